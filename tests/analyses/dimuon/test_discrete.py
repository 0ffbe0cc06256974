"""Discrete features of the search: dequantised alike in data and samples, and taken back exactly."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fastjag.analyses.dimuon import preprocess
from fastjag.analyses.dimuon.preprocess import Preprocessing

pytest.importorskip("torch")
pytest.importorskip("xgboost")

from fastjag.analyses.dimuon.config import FlowSection
from fastjag.analyses.dimuon.pairs import WindowPairs
from fastjag.analyses.dimuon.samples import draw_null
from fastjag.analyses.dimuon.toys import CONFIG, FITS, search_pairs

TRIGGER = "HLT_Mu17_Mu8"


def sample(seed=1, n=4000, signal=0):
    """Pairs that fall with mass; jets and muons by Poisson, a trigger that depends on pt."""
    rng = np.random.default_rng(seed)
    mass = 5 + rng.exponential(7, 3 * n)
    mass = np.r_[mass[mass < 16][:n], rng.normal(9.5, 0.1, signal)]
    n = len(mass)
    pt = rng.exponential(10, n)
    features = {
        "dimu_pt": pt,
        "n_muons": 2.0 + rng.poisson(0.15, n),
        "n_jets": rng.poisson(1 + pt / 20).astype(float),
        TRIGGER: (rng.random(n) < 1 / (1 + np.exp(1 - pt / 10))).astype(float),
    }
    return WindowPairs(mass, features, (mass < 9) | (mass >= 10.6))


def fitted(events, seed=3):
    return Preprocessing.fit(events.features, events.mass, events.sideband, seed)


def test_noise_is_uniform_and_the_inverse_takes_it_off():
    events = sample()
    some = fitted(events)
    assert some.discrete == ("n_muons", "n_jets", TRIGGER)
    found = some.transform(events.features, events.mass)
    assert found.kept.all()
    back = some.inverse(found.values)
    for name in some.discrete:
        np.testing.assert_array_equal(back[name], events.features[name])
    np.testing.assert_allclose(back["dimu_pt"], events.features["dimu_pt"], rtol=1e-9)
    # Before the logit: one cell of width 1 around every integer, filled evenly.
    scale, z = some.scales["n_jets"], found.values[:, 2] * some.scales["n_jets"].std
    odds = np.exp(z + scale.mean)
    place = odds * (1 + preprocess.EPSILON) / (1 + odds)
    x = (place - 0.02) / 0.96 * (scale.high - scale.low) + scale.low
    noise = x - events.features["n_jets"]
    assert stats.kstest(noise, stats.uniform(-0.5, 1).cdf).pvalue > 1e-3
    assert len(np.unique(found.values[:, 3])) > 3000


def test_noise_is_that_of_the_recorded_seed():
    events = sample(n=500)
    some = fitted(events)
    again = Preprocessing.from_dict(json.loads(json.dumps(some.to_dict())))
    first, second = (p.transform(events.features, events.mass).values for p in (some, again))
    np.testing.assert_array_equal(first, second)
    assert again.seed == 3
    other = fitted(events, seed=4).transform(events.features, events.mass).values
    np.testing.assert_array_equal(first[:, 0], other[:, 0])  # not discrete: no noise
    assert not np.array_equal(first[:, 1], other[:, 1])
    old = some.to_dict()  # as 0.1.0 left it
    del old["seed"]
    old["scales"] = {
        "dimu_pt": {k: old["scales"]["dimu_pt"][k] for k in ("low", "high", "mean", "std")}
    }
    assert Preprocessing.from_dict(old).discrete == ()


@given(st.integers(1, 7), st.integers(-50, 50), st.integers(1, 30), st.booleans())
def test_steps(step, start, last, halves):
    """Charges of -1 and 1, even numbers, halves: noise is as wide as the step between values."""
    rng = np.random.default_rng(1)
    unit = 0.5 if halves else 1.0
    x = unit * (start + step * np.r_[0, last, rng.integers(last + 1, size=998)].astype(float))
    mass = rng.uniform(5, 16, 1000)
    some = Preprocessing.fit({"x": x}, mass, (mass < 9) | (mass >= 10.6))
    scale = some.scales["x"]
    values = np.unique(x)
    expected = np.gcd.reduce(np.diff(values / unit).astype(int)) * unit
    assert scale.step == pytest.approx(expected)
    found = some.transform({"x": x}, mass)
    kept = x[found.kept]
    assert len(kept) > 990
    np.testing.assert_array_equal(some.inverse(found.values)["x"], kept)


def test_what_is_not_discrete():
    rng = np.random.default_rng(1)
    mass = rng.uniform(5, 16, 2000)
    for x in (rng.exponential(20, 2000).astype("f4"), rng.normal(size=2000),
              np.r_[np.zeros(200), rng.exponential(1, 1800)]):  # fmt: skip
        some = Preprocessing.fit({"x": x}, mass, (mass < 9) | (mass >= 10.6))
        assert some.discrete == ()


def test_draws_have_the_noise_of_data():
    """What a flow draws between two integers goes to one of them, and is spread as data are."""
    events = sample(n=2000)
    some = fitted(events)
    rng = np.random.default_rng(5)
    drawn = rng.normal(size=(3000, 4))
    values = some.with_noise(drawn)
    np.testing.assert_array_equal(values[:, 0], drawn[:, 0])
    n_jets = some.inverse(values)["n_jets"]
    assert (n_jets == np.rint(n_jets)).all()
    assert 0 <= n_jets.min() <= n_jets.max() == events.features["n_jets"].max()
    np.testing.assert_array_equal(n_jets, some.inverse(drawn)["n_jets"])
    other = some.with_noise(drawn, " validation")
    np.testing.assert_array_equal(some.inverse(other)["n_jets"], n_jets)
    assert (other[:, 2] != values[:, 2]).mean() > 0.9
    # So the table of what was drawn gives the same values again.
    again = some.transform(some.inverse(values), rng.uniform(5, 16, 3000))
    np.testing.assert_allclose(again.values[:, 1:], values[again.kept][:, 1:], atol=1e-9)
    plain = some.without_noise(values)
    assert len(np.unique(plain[:, 2])) == len(np.unique(n_jets))
    np.testing.assert_array_equal(some.inverse(plain)["n_jets"], n_jets)

    class Normal:
        def sample(self, context, seed):
            return np.random.default_rng(seed).normal(size=(len(context), 4))

    class Flat:
        window = CONFIG.window

        def between(self, low, high):
            return 500.0

        def draw(self, n, seed, low, high):
            return np.random.default_rng(seed).uniform(low, high, n)

    _, null = draw_null([Normal()], some, Flat(), seed=1)
    np.testing.assert_array_equal(null, some.with_noise(null, " null 1"))


FEATURES = ("dimu_pt", "n_muons", "n_jets", TRIGGER)


@pytest.fixture
def searched(tmp_path):
    config = replace(
        CONFIG, features=FEATURES, seed=2, significance=FITS,
        flow=FlowSection(preset="fast", seeds=(1,)),
    )  # fmt: skip
    return lambda events, other: search_pairs(
        {"OS": events, "SS": other}, config, tmp_path, closure=True
    )


def test_closure_and_reweighting_with_integers(searched):
    """An area near 0.5, and no more signal than there are events."""
    events = sample(n=6000)
    results = searched(events, sample(2, n=2000))
    closure, record = results.json("check", "closure"), results.significance["OS"]
    assert closure["both sidebands"]["auc"] == pytest.approx(0.5, abs=0.02)
    assert closure["both sidebands"]["passes"]
    assert abs(record["reweighted"]["S"]) < (~events.sideband).sum()
    assert record["reweighted"]["Z"] < 4
    # Cuts on the feature are cuts on integers.
    rates = np.array(record["curves"]["n_muons"]["rates"])
    assert len(np.unique(rates.round(6))) <= len(np.unique(events.features["n_muons"]))


def test_without_dequantisation_a_classifier_finds_integers(monkeypatch, searched):
    monkeypatch.setattr(preprocess, "_grid", lambda _: (0.0, 0))
    results = searched(sample(n=6000), sample(2, n=2000))
    assert results.json("check", "closure")["both sidebands"]["auc"] > 0.9
