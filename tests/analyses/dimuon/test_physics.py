"""The search finds a hidden signal in toys, and nothing where there is none.

Small networks and few classifiers; benchmarks/bench_search.py is the long version.
"""

import numpy as np
import pytest
from scipy import stats

torch = pytest.importorskip("torch")
pytest.importorskip("xgboost")

from fastjag.analyses.dimuon.toys import CONFIG, search_events, toy_events
from fastjag.models.flow_training import FlowSettings
from fastjag.models.fold_scores import TreeSettings

RATES = (1.0, 0.3, 0.1, 0.03)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def searches(seeds, signal, **options):
    """Both charge classes of each toy."""
    return [
        search_events(
            toy_events(80_000, signal=signal, seed=seed), flow_seeds=(seed,), seed=seed,
            flow=FlowSettings.preset("fast", epochs=16), **options,
        )
        for seed in seeds
    ]  # fmt: skip


@pytest.fixture(scope="module")
def with_signal():
    return searches(range(1, 11), 270, classifier=TreeSettings.preset("fast", members=4))


@pytest.fixture(scope="module")
def without_signal():
    return searches(
        range(101, 109), 0, classifier=TreeSettings.preset("fast", members=1), rates=RATES
    )


def test_a_hidden_signal_is_found(with_signal):
    best = {
        name: np.array([found["OS"].curves[name].result.Z.max() for found in with_signal])
        for name in ("classifier", *CONFIG.features)
    }
    inclusive = np.array([found["OS"].inclusive.Z for found in with_signal])
    assert np.median(inclusive) < 2
    assert np.median(best["classifier"] - inclusive) > 2
    for feature in CONFIG.features:
        assert np.median(best["classifier"]) > np.median(best[feature])
    weighted = [found["OS"].reweighted for found in with_signal]
    Z = np.array([w.Z for w in weighted])
    assert np.median(Z - inclusive) > 2
    assert all(w.converged for w in weighted)


def test_same_sign_pairs_show_nothing(with_signal, without_signal):
    """ScoredPairs by what learned from opposite-sign pairs, with or without a signal among them."""
    Z = []
    for found in with_signal + without_signal:
        curve = found["SS"].curves["classifier"]
        Z += [curve.result.Z[np.abs(curve.rates - rate).argmin()] for rate in (0.3, 0.1)]
    assert max(Z) < 3.5
    assert np.median(Z) < 1


def test_nothing_is_found_without_a_signal(without_signal):
    Z = np.array([found["OS"].curves["classifier"].result.Z for found in without_signal])
    assert Z.max() < 3.5
    # Half of the cuts have a deficit: cuts are correlated, so that few numbers say this loosely.
    assert 0.15 < (Z == 0).mean() < 0.85
    assert stats.norm.sf(Z[Z > 0]).mean() > 0.1  # 0.25 on average


def test_samples_are_like_the_sidebands():
    (found,) = searches([201], 0, classifier=TreeSettings.preset("fast", members=1), check=True)
    assert found["OS"].closure.auc == pytest.approx(0.5, abs=0.02)
    assert found["SS"].closure is None
