"""Preprocessing of the dimuon search: the published formulas, an exact inverse, bad columns."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastjag.analyses.dimuon.preprocess import Preprocessing


def sample(seed=1, n=500):
    rng = np.random.default_rng(seed)
    mass = rng.uniform(5, 16, n)
    features = {
        "dimu_pt": rng.exponential(20, n).astype("f4"),
        "mu0_ip3d": 10 ** rng.normal(-2.5, 0.5, n),
        "dimu_eta": rng.normal(0, 2, n),
    }
    return features, mass, (mass < 9) | (mass >= 10.6)


def test_published_formulas():
    """Section by section: range, cushion, logit, standardised in the sidebands."""
    features, mass, sideband = sample()
    result = Preprocessing.fit(features, mass, sideband).transform(features, mass)
    for column, x in enumerate(features.values()):
        x = x.astype("f8")
        high = 1.2 * x.max() if x.max() >= 0 else x.max()
        xn = 0.96 * (x - x.min()) / (high - x.min()) + 0.02
        z = np.log(xn / (1 - xn + 1e-4))
        expected = (z - z[sideband].mean()) / z[sideband].std()
        np.testing.assert_allclose(result.values[:, column], expected, rtol=1e-12, atol=1e-12)
    expected = (mass - mass[sideband].mean()) / mass[sideband].std()
    np.testing.assert_allclose(result.mass, expected, rtol=1e-12)
    assert result.kept.all()
    assert result.dropped == {}


@given(st.integers(0, 2**32 - 1))
def test_the_inverse_is_exact(seed):
    features, mass, sideband = sample(seed, 60)
    fitted = Preprocessing.fit(features, mass, sideband)
    back = fitted.inverse(fitted.transform(features, mass).values)
    for name, x in features.items():
        scale = np.ptp(x)
        np.testing.assert_allclose(back[name], x, atol=1e-12 * scale)


def test_inverse_of_anything_stays_in_range():
    features, mass, sideband = sample()
    fitted = Preprocessing.fit(features, mass, sideband)
    back = fitted.inverse(np.array([[-1e6] * 3, [1e6] * 3]))
    for name, values in back.items():
        scale = fitted.scales[name]
        width = scale.high - scale.low
        assert values[0] == pytest.approx(scale.low - 0.02 / 0.96 * width)
        assert values[1] == pytest.approx(scale.high + (0.02 + 1e-4) / 0.96 * width)


def test_fitted_on_one_class_applied_to_another():
    features, mass, sideband = sample()
    fitted = Preprocessing.fit(features, mass, sideband)
    other = {name: values.astype("f8").copy() for name, values in features.items()}
    other["dimu_pt"][3] = 1.5 * other["dimu_pt"].max()  # beyond the headroom: no logit
    other["dimu_pt"][4] = np.nan
    other["dimu_eta"][4] = np.inf
    result = fitted.transform(other, mass)
    assert result.dropped == {"dimu_pt": 2, "dimu_eta": 1}
    assert np.flatnonzero(~result.kept).tolist() == [3, 4]
    assert result.values.shape == (498, 3)
    assert len(result.mass) == 498


def test_kept_as_json():
    features, mass, sideband = sample()
    fitted = Preprocessing.fit(features, mass, sideband)
    assert Preprocessing.from_dict(json.loads(json.dumps(fitted.to_dict()))) == fitted


def test_real_sideband_masses(cases):
    """The constants of the published data: mean 8.98692405743, std 3.31165524778."""
    mass = np.load(cases / "masses_OS.npz")["OS_0"]
    sideband = (mass < 9) | (mass >= 10.6)
    fitted = Preprocessing.fit({"x": np.arange(len(mass))}, mass, sideband)
    assert sideband.sum() == 10640
    assert fitted.mass_mean == pytest.approx(8.98692405743, rel=2e-7)
    assert fitted.mass_std == pytest.approx(3.31165524778, rel=2e-7)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dimu_pt": np.full(500, 3.0)}, "feature 'dimu_pt' has the same value 3 in all events"),
        (
            {"dimu_pt": np.full(500, np.nan)},
            "'dimu_pt' is not a finite number in any of 500 events",
        ),
        ({"dimu_pt": np.ones(499)}, "feature 'dimu_pt' has 499 entries, but there are 500 masses"),
        ({"sideband": np.zeros(500, bool)}, "none of the 500 events is in the sidebands"),
        ({"mass": np.full(500, np.nan)}, "the mass must be finite"),
    ],
)
def test_errors_of_fit(change, message):
    features, mass, sideband = sample()
    mass = change.pop("mass", mass)
    sideband = change.pop("sideband", sideband)
    with pytest.raises(ValueError, match=message):
        Preprocessing.fit(features | change, mass, sideband)


def test_errors_of_transform():
    features, mass, sideband = sample()
    fitted = Preprocessing.fit(features, mass, sideband)
    with pytest.raises(KeyError, match="no feature 'dimu_pt': did you mean 'dimuon_pt'"):
        fitted.transform({"dimuon_pt": mass, "mu0_ip3d": mass, "dimu_eta": mass}, mass)
    with pytest.raises(ValueError, match=r"shape \(n, 3\), got \(5, 2\)"):
        fitted.inverse(np.zeros((5, 2)))
    with pytest.raises(ValueError, match="at least one feature"):
        Preprocessing.fit({}, mass, sideband)
