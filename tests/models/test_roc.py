"""ROC curves: against scikit-learn, by hand, and where nothing can be said."""

import numpy as np
import pytest

from fastjag.models.roc import area_error, roc_curve


@pytest.mark.parametrize("seed", range(4))
def test_as_scikit_learn_has_it(seed):
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(seed)
    signal = rng.random(400) < 0.3
    scores, weights = np.round(rng.normal(signal, 1.5), 1), rng.random(400)  # with equal scores
    for w in (None, weights):
        curve = roc_curve(signal, scores, w)
        area = metrics.roc_auc_score(signal, scores, sample_weight=w)
        assert curve.area == pytest.approx(area, rel=1e-12)
        rates = metrics.roc_curve(signal, scores, sample_weight=w, drop_intermediate=False)
        np.testing.assert_allclose(curve.background, rates[0], atol=1e-12)
        np.testing.assert_allclose(curve.signal, rates[1], atol=1e-12)


def test_by_hand():
    """Of three pairs one is in the right order, one in the wrong one, one equal."""
    curve = roc_curve([True, False, False, False], [0.5, 0.5, 0.2, np.inf])
    np.testing.assert_array_equal(curve.signal, [0, 0, 1, 1])
    np.testing.assert_array_equal(curve.background, [0, 1 / 3, 2 / 3, 1])
    assert curve.area == pytest.approx(0.5)
    assert roc_curve([True, False], [np.inf, np.inf]).area == 0.5
    assert roc_curve([True, False], [1, -np.inf]).area == 1


def test_an_event_and_its_negative_copy_change_nothing():
    rng = np.random.default_rng(1)
    signal, scores, weights = rng.random(50) < 0.5, rng.random(50), rng.random(50)
    more = (
        np.append(signal, [True, True]),
        np.append(scores, [0.3, 0.3]),
        np.append(weights, [5, -5]),
    )
    assert roc_curve(*more).area == pytest.approx(roc_curve(signal, scores, weights).area)


@pytest.mark.parametrize(
    ("signal", "weights"),
    [([], []), ([True, True], [1, 1]), ([False, False], [1, 1]), ([True, False], [0, 1]),
     ([True, False], [1, -1]), ([True, False], [np.nan, 1])],
)  # fmt: skip
def test_without_signal_or_background_there_is_no_curve(signal, weights):
    curve = roc_curve(signal, np.arange(len(signal)), weights)
    assert len(curve.signal) == len(curve.background) == 0
    assert np.isnan(curve.area)


def test_scores_must_be_numbers():
    with pytest.raises(ValueError, match="scores must be numbers, event 1 has NaN"):
        roc_curve([True, False, True], [0.1, np.nan, np.nan])


def test_error_of_the_area_is_the_spread_of_samples():
    rng = np.random.default_rng(5)
    labels = np.arange(300) % 3 == 0
    areas = [roc_curve(labels, rng.normal(labels, 1.0)).area for _ in range(300)]
    expected = area_error(float(np.mean(areas)), 100, 200)
    assert np.std(areas) == pytest.approx(expected, rel=0.15)
    assert np.isnan(area_error(0.5, 0, 10))
    assert area_error(1.0, 5, 5) == 0
