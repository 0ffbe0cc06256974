"""The diphoton continuum in categories: unbiased in the window, blind to it, and in the significance."""

import numpy as np
import pytest
from diphoton_samples import CLASSES, events

from fastjag.analyses.diphoton.continuum import in_window, with_continuum
from fastjag.analyses.diphoton.events import Events
from fastjag.analyses.diphoton.features import aggregates
from fastjag.analyses.diphoton.report import continuum_table
from fastjag.analyses.diphoton.train import compare

WINDOW, LIMITS = (121.0, 129.0), (105.0, 160.0)


def masses(n, slope, rng):
    u = rng.random(n)
    low, high = (np.exp(-slope * (m - 125)) for m in LIMITS)
    return 125 - np.log(low - u * (low - high)) / slope


class TestWindow:
    @pytest.mark.parametrize("slope", [0.005, 0.03])
    def test_unbiased_with_its_error(self, slope):
        rng = np.random.default_rng(1)
        pulls, shares = [], []
        for _ in range(150):
            m = masses(rng.poisson(800), slope, rng)
            found = in_window(m, np.ones(len(m)), WINDOW, LIMITS)
            truth = (
                800
                * (np.exp(-slope * -4) - np.exp(-slope * 4))
                / (np.exp(-slope * -20) - np.exp(-slope * 35))
            )
            pulls.append((found.expected - truth) / found.error)
            shares.append(found.slope)
        assert abs(np.mean(pulls)) < 4 / np.sqrt(150)
        assert 0.8 < np.std(pulls) < 1.2
        assert np.mean(shares) == pytest.approx(slope, abs=0.002)

    def test_blind(self):
        rng = np.random.default_rng(2)
        m = masses(500, 0.02, rng)
        found = in_window(m, np.ones(500), WINDOW, LIMITS)
        peak = np.concatenate([m, np.full(1000, 125.0), [100.0, 170.0]])
        assert in_window(peak, np.ones(1502), WINDOW, LIMITS) == found

    def test_weights_and_a_given_slope(self):
        rng = np.random.default_rng(3)
        m = masses(500, 0.02, rng)
        one = in_window(m, np.ones(500), WINDOW, LIMITS)
        two = in_window(m, np.full(500, 2.0), WINDOW, LIMITS)
        assert two.expected == pytest.approx(2 * one.expected)
        assert two.error == pytest.approx(2 * one.error, rel=1e-6)
        flat = in_window(m, np.ones(500), WINDOW, LIMITS, slope=0.0)
        assert flat.expected == pytest.approx(flat.outside * 8 / 47)
        assert in_window(m[:0], np.ones(0), WINDOW, LIMITS).expected == 0


def test_significance_in_the_window():
    """One category of each class, numbers by hand."""
    probability = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.2, 0.8]])
    signal = {"label": np.array([0, 1, 1, 0]), "probability": probability,
              "weight": np.array([3.0, 1.0, 2.0, 5.0]), "mass": np.array([125.0, 125, 124, 140])}  # fmt: skip
    rng = np.random.default_rng(4)
    m = masses(4000, 0.02, rng)
    background = {
        "probability": np.tile([[0.9, 0.1]], (4000, 1)),
        "weight": np.full(4000, 0.1),
        "mass": m,
    }
    found = with_continuum(signal, background, ["a", "b"], WINDOW, LIMITS)
    assert found["S"] == {"a": 3.0, "b": 2.0}
    assert found["B"] == {"a": 1.0, "b": 0.0}
    inside = 0.1 * np.count_nonzero((m >= 121) & (m < 129))
    assert found["continuum"]["a"] == pytest.approx(inside, abs=5 * found["error"]["a"])
    assert found["continuum"]["b"] == 0
    b = 1.0 + found["continuum"]["a"]
    assert found["Z"]["a"] == pytest.approx(np.sqrt(2 * ((3 + b) * np.log1p(3 / b) - 3)))
    assert np.isnan(found["Z"]["b"])


def test_in_a_comparison():
    sample = events(400, seed=2, shares=(0.2,) * 5)
    rng = np.random.default_rng(5)
    other = events(300, seed=9)
    flat = {**other.flat, "label": np.zeros(300, np.int64), "weight": np.full(300, 2.0),
            "m_yy": masses(300, 0.02, rng)}  # fmt: skip
    continuum = Events(other.particles, flat, ("data",))
    names = ("n_jets_30", "ht", "pt_yy", "met")
    found = compare(
        sample, aggregates(sample, names), models=["balanced forest", "pyramid linear"], folds=2, fast=True,
        threads=1, progress=False, continuum=(continuum, aggregates(continuum, names)),
    ).numbers  # fmt: skip
    for model in found["models"].values():
        c = model["continuum"]
        total = in_window(flat["m_yy"], flat["weight"], WINDOW, LIMITS)
        assert sum(c["continuum"].values()) == pytest.approx(total.expected, abs=3 * total.error)
        for name in CLASSES:
            assert not c["Z"][name] > model["significance"]["asimov"][name]
    columns, rows = continuum_table(found)
    assert [row[0] for row in rows] == list(found["models"])
    assert columns[0].startswith("Z from 121 to 129 GeV")
    assert "continuum" not in compare(
        sample, aggregates(sample, names), models=["balanced forest"], folds=2, fast=True, threads=1,
        progress=False,
    ).numbers["models"]["balanced forest"]  # fmt: skip
