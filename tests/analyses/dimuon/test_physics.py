"""The search finds a hidden signal in toys, and nothing where there is none.

Small networks and few classifiers; benchmarks/bench_search.py is the long version.
"""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

torch = pytest.importorskip("torch")
pytest.importorskip("xgboost")

from fastjag.analyses.dimuon.config import ClassifierSection, FlowSection
from fastjag.analyses.dimuon.toys import CONFIG, FITS, search_pairs, toy_events

RATES = (1.0, 0.3, 0.1, 0.03)


pytestmark = pytest.mark.usefixtures("one_thread")


def searches(folder, seeds, signal, members, fits=FITS, **options):
    """What each toy shows in both charge classes."""
    results = []
    for seed in seeds:
        config = replace(
            CONFIG, seed=seed, significance=fits,
            flow=FlowSection(preset="fast", seeds=(seed,), settings={"epochs": 16}),
            classifier=ClassifierSection(preset="fast", settings={"members": members}),
        )  # fmt: skip
        pairs = toy_events(80_000, signal=signal, seed=seed)
        results.append(search_pairs(pairs, config, folder / str(seed), **options))
    return results


@pytest.fixture(scope="module")
def with_signal(tmp_path_factory):
    found = searches(tmp_path_factory.mktemp("signal"), range(1, 11), 270, members=4)
    return [results.significance for results in found]


@pytest.fixture(scope="module")
def without_signal(tmp_path_factory):
    found = searches(
        tmp_path_factory.mktemp("null"), range(101, 109), 0, 1, replace(FITS, rates=RATES)
    )
    return [results.significance for results in found]


def Z_at(curve, rates):
    """Of a curve of ``significance.json``, nearest to these shares of the sidebands."""
    return [curve["Z"][np.abs(np.subtract(curve["rates"], rate)).argmin()] for rate in rates]


def test_a_hidden_signal_is_found(with_signal):
    best = {
        name: np.array([max(record["OS"]["curves"][name]["Z"]) for record in with_signal])
        for name in ("classifier", *CONFIG.features)
    }
    inclusive = np.array([record["table"][0]["Z"] for record in with_signal])
    assert {record["table"][0]["selection"] for record in with_signal} == {"inclusive"}
    assert np.median(inclusive) < 2
    assert np.median(best["classifier"] - inclusive) > 2
    for feature in CONFIG.features:
        assert np.median(best["classifier"]) > np.median(best[feature])
    weighted = [record["OS"]["reweighted"] for record in with_signal]
    assert np.median([w["Z"] for w in weighted] - inclusive) > 2
    assert all(w["converged"] for w in weighted)


def test_same_sign_pairs_show_nothing(with_signal, without_signal):
    """Scored by what learned from opposite-sign pairs, with or without a signal among them."""
    Z = []
    for record in with_signal + without_signal:
        Z += Z_at(record["SS"]["curves"]["classifier"], (0.3, 0.1))
    assert max(Z) < 3.5
    assert np.median(Z) < 1


def test_nothing_is_found_without_a_signal(without_signal):
    Z = np.array([Z_at(r["OS"]["curves"]["classifier"], RATES) for r in without_signal])
    assert Z.max() < 3.5
    # Half of the cuts have a deficit: cuts are correlated, so that few numbers say this loosely.
    assert 0.15 < (Z == 0).mean() < 0.85
    assert stats.norm.sf(Z[Z > 0]).mean() > 0.1  # 0.25 on average


def test_samples_are_like_the_sidebands(tmp_path):
    (results,) = searches(tmp_path, [201], 0, members=1, closure=True)
    closure = results.json("check", "closure")["both sidebands"]
    assert closure["auc"] == pytest.approx(0.5, abs=0.02)
