"""Classifiers in folds: they find what is there, learn nothing from what they score, and repeat."""

import numpy as np
import pytest

pytest.importorskip("xgboost")

from sklearn.metrics import roc_auc_score

from fastjag.models.fold_scores import TreeSettings, fold_scores

SMALL = TreeSettings.preset("fast", members=2, rounds=40)


def samples(seed=1, n=1500, signal=0.2):
    """Background, and data of a signal region with some signal and of sidebands without."""
    rng = np.random.default_rng(seed)
    background = rng.normal(size=(3 * n, 3))
    inside = np.repeat([True, False], n)
    data = rng.normal(size=(2 * n, 3))
    is_signal = inside & (rng.random(2 * n) < signal)
    data[is_signal] = 0.4 * data[is_signal] + [1.5, 0, 0]
    return background, data, inside, is_signal


def test_signal_gets_higher_scores():
    background, data, inside, is_signal = samples()
    scores = fold_scores(background, data, inside, settings=SMALL, seed=1)
    assert ((scores.data > 0) & (scores.data < 1)).all()
    assert roc_auc_score(is_signal[inside], scores.data[inside]) > 0.8
    assert scores.data[~inside].mean() < scores.data[is_signal].mean()
    assert len(scores.best_rounds) == 5
    assert {len(r) for r in scores.best_rounds} == {2}
    assert len(scores.losses[0]["validation"]) >= scores.best_rounds[0][0]


def test_scores_are_out_of_fold():
    """An event that changes cannot change scores of its own fold: nobody there learned from it."""
    background, data, inside, _ = samples(n=200, signal=0)
    before = fold_scores(background, data, inside, settings=SMALL, seed=2)
    for event in (0, 7, 150):
        changed = data.copy()
        changed[event] = [4.0, -4.0, 4.0]
        after = fold_scores(background, changed, inside, settings=SMALL, seed=2)
        same = before.data == after.data
        fold = before.folds == before.folds[event]
        assert same[fold & (np.arange(len(data)) != event)].all()
        assert not same[~fold].all()


def test_nothing_to_find_without_signal():
    background, data, inside, _ = samples(signal=0)
    scores = fold_scores(background, data, inside, settings=SMALL, seed=2)
    assert roc_auc_score(inside, scores.data) == pytest.approx(0.5, abs=0.04)


def test_every_event_has_one_fold():
    background, data, inside, _ = samples(n=200)
    scores = fold_scores(
        background, data, inside, settings=TreeSettings.preset("fast", members=1, rounds=3)
    )
    for part in (inside, ~inside):
        np.testing.assert_array_equal(np.bincount(scores.folds[part]), np.full(5, 40))


def test_one_seed_one_result():
    background, data, inside, _ = samples(n=200)
    run = lambda seed, threads: fold_scores(
        background, data, inside, settings=SMALL, seed=seed, threads=threads,
        others={"same": data},
    )  # fmt: skip
    first, second, other = run(1, 1), run(1, 2), run(2, 1)
    np.testing.assert_array_equal(first.data, second.data)
    np.testing.assert_array_equal(first.others["same"], second.others["same"])
    assert not np.array_equal(first.data, other.data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"background": np.zeros((9, 2))}, r"background must have shape \(n, 3\), got \(9, 2\)"),
        ({"data": np.zeros(9)}, r"data must have shape \(n, F\), got \(9,\)"),
        ({"background": np.zeros((4, 3))}, "background has 4 events, fewer than the 5 folds"),
        ({"signal_region": np.zeros(60, bool)}, "the signal region has 0 events, fewer than"),
        ({"signal_region": np.zeros(3, bool)}, "signal_region has 3 entries, but there are 60"),
        ({"background": np.full((9, 3), np.nan)}, "background must be finite, event 0"),
        ({"others": {"alt": np.zeros((2, 1))}}, r"others\['alt'\] must have shape \(n, 3\)"),
        ({"settings": "papers"}, "settings must be 'paper' or 'fast', got 'papers'"),
        ({"settings": TreeSettings(folds=2)}, "folds must be an integer >= 3, got 2"),
    ],
)
def test_errors(change, message):
    background, data, inside, _ = samples(n=30)
    arguments = {"background": background, "data": data, "signal_region": inside, **change}
    with pytest.raises(ValueError, match=message):
        fold_scores(**arguments)
