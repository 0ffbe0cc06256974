"""Cuts and likelihood reweighting on small toys with known truth."""

import numpy as np
import pytest
from search_samples import WINDOW, cut_curve, toy_pairs

from fastjag.analyses.dimuon.cuts import discriminant_of, reweighted
from fastjag.statistics import significance


class TestCuts:
    def test_a_cut_on_the_right_feature_finds_the_peak(self):
        events = toy_pairs(signal=90)
        plain = cut_curve(events, np.zeros(len(events)), WINDOW, degree=3, rates=[1.0])
        curve = cut_curve(events, events.features["dimu_pt"], WINDOW, degree=3)
        assert plain.result.Z[0] < 5
        assert curve.result.Z[curve.best] > plain.result.Z[0] + 3
        assert curve.result.S[curve.best] == pytest.approx(90, abs=30)
        # Each point is the fit of the events that pass.
        i = curve.best
        chosen = events[events.features["dimu_pt"] >= curve.cuts[i]]
        left, sr, right, _ = WINDOW.count(chosen.mass)
        one = significance(left, sr, right, window=WINDOW, degree=3)
        assert pytest.approx(curve.result.Z[i], abs=1e-9) == one.Z
        assert chosen.sideband.sum() / events.sideband.sum() == pytest.approx(curve.rates[i])

    def test_reweighting(self):
        events = toy_pairs(signal=150)
        pt = events.features["dimu_pt"]
        mu = 0.25  # what an ideal classifier of data against background says
        signal = np.exp(-0.5 * ((pt - 45) / 5) ** 2) / (5 * np.sqrt(2 * np.pi))
        ratio = 1 - mu + mu * signal / (np.exp(-pt / 10) / 10)
        likely = ratio / (1 + ratio)
        found = reweighted(events, likely, WINDOW, degree=3)
        left, sr, right, _ = WINDOW.count(events.mass)
        plain = significance(left, sr, right, window=WINDOW, degree=3)
        assert found.converged
        assert found.Z > plain.Z + 2
        with pytest.raises(ValueError, match="probabilities between 0 and 1"):
            reweighted(events, likely * 0, WINDOW, degree=3)

    def test_no_excess_no_reweighting(self):
        events = toy_pairs(n=2000)
        depleted = events[events.sideband | (np.arange(len(events)) % 2 == 0)]
        found = reweighted(depleted, np.full(len(depleted), 0.5), WINDOW, degree=3)
        assert found.S < 0
        assert (found.Z, found.p) == (0, 0.5)

    def test_no_background_no_reweighting(self):
        """A classifier that leaves no event of the sidebands a weight: nothing can be claimed."""
        events = toy_pairs(signal=150)
        certain = np.where(events.sideband, 0.1, 0.9)
        assert reweighted(events, certain, WINDOW, degree=3).Z == 0

    def test_signs_of_the_publication(self):
        x = np.array([-2.0, 1.0])
        assert discriminant_of("dimu_pt", x).tolist() == [-2, 1]
        assert discriminant_of("mu0_ip3d", x).tolist() == [2, -1]
        assert discriminant_of("dimu_eta", x).tolist() == [-2, -1]
        assert discriminant_of("mumu_deltaR", x).tolist() == [-2, 1]
