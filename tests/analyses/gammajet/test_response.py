"""Which events count in the measured response."""

from dataclasses import replace

import numpy as np
import pytest

from fastjag.analyses.gammajet import toys
from fastjag.analyses.gammajet.config import GammaJetConfig, GammaJetSample
from fastjag.analyses.gammajet.response import measure

DATA = GammaJetSample(name="data", files=("data.root",))


def test_deviations_are_left_out_and_counted():
    rows = toys.draw(2000, seed=4) | {"weight": np.ones(2000)}
    rows["balance"][:5] = [1.7, 0.3, 1.69999, 0.30001, 3.0]
    config = GammaJetConfig(samples=(DATA,), pt_edges=(200, 10_000), alpha_edges=(0, 0.2, 0.4),
                        eta_ranges=((0.0, 5.0),))  # fmt: skip
    balance, mpf = measure(rows, config)
    assert (balance["left_out"], mpf["left_out"]) == (3, 0)
    narrow = replace(config, eta_ranges=((0.5, 1.0),), max_alpha=0.15)
    (balance, _) = measure(rows, narrow)
    eta, few = np.abs(rows["jet_eta"]), rows["alpha"] < 0.15
    inside = (eta >= 0.5) & (eta < 1.0) & few & (np.abs(rows["balance"] - 1) < 0.7)
    (one,) = balance["bins"]
    assert one["entries"] == inside.sum()
    assert one["mean"] == pytest.approx(rows["balance"][inside].mean())
    assert one["alpha"] == pytest.approx(rows["alpha"][inside].mean())
    assert one["pt"] == pytest.approx(rows["photon_pt"][inside].mean())
