"""The choice of background in the mass scan."""

import numpy as np
import pytest

from fastjag.statistics import scan_counts
from fastjag.statistics.elsewhere import counting_q0, counting_Z
from fastjag.statistics.scan_choice import choice_Z

RATIO = 1.015
EDGES = 10 * RATIO ** np.arange(120)
MASS = np.sqrt(EDGES[1:] * EDGES[:-1])


def smooth(shape, events):
    e = shape(MASS) * np.diff(EDGES)
    return events * e / e.sum()


@pytest.mark.parametrize(
    "shape", [lambda m: m**-4.0, lambda m: np.exp(-m / 6)], ids=["power", "exp"]
)
def test_nothing_is_found_in_a_smooth_spectrum(shape):
    e = smooth(shape, 1e6)
    exact = scan_counts(e, EDGES, toys=1)
    assert exact.Z_profiled.max() < 0.05
    rng = np.random.default_rng(1)
    Z = np.concatenate([scan_counts(rng.poisson(e), EDGES, toys=1).Z_profiled for _ in range(12)])
    # Half of all windows have no excess, the others half of a normal distribution.
    assert 0.35 < (Z > 0).mean() < 0.65
    assert np.sqrt((Z[Z > 0] ** 2).mean()) == pytest.approx(1.0, abs=0.15)


def test_a_peak_has_both_significances():
    n = np.round(smooth(lambda m: m**-3.0, 1e5))
    n[50:54] += [60, 180, 180, 60]
    found = scan_counts(n, EDGES, toys=20)
    (peak,) = found.peaks
    assert peak.Z_profiled == pytest.approx(found.Z_profiled[found.Z.argmax()])
    assert 3 < peak.Z_profiled <= peak.Z + 0.5
    assert found.Z_profiled.shape == found.Z.shape


def test_two_choices_by_hand():
    """At no signal and at the best one, the smallest of the choices: with data between two of them."""
    rng = np.random.default_rng(3)
    n = rng.poisson(100 * np.exp(-np.linspace(0, 1, 28)), (5, 28)).astype(float)
    w = np.ones(n.shape)
    w[:, 12:16] = 0
    Z, good = choice_Z(n, w, slice(12, 16), RATIO, 1)
    assert good.all()
    more, _ = choice_Z(n, w, slice(12, 16), RATIO, 6)
    assert not np.array_equal(Z, more)
    w[:, 16:] = 0  # one side only
    assert not choice_Z(n, w, slice(12, 16), RATIO, 1)[1].any()


def test_q0_is_of_both_sides():
    assert counting_Z(120, 100, 5) == pytest.approx(np.sqrt(counting_q0(120, 100, 5)))
    assert counting_Z(80, 100, 5) == 0
    assert counting_q0(80, 100, 5) > 2
    assert counting_q0(100, 100, 5) == pytest.approx(0, abs=1e-9)
