"""Figures of merit against plain formulas."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("sklearn")

from sklearn import metrics

from fastjag.analyses.diphoton.evaluation import (
    balanced_accuracy,
    category_significance,
    confusion,
    evaluate,
    mean_and_error,
    purities,
    recalls,
    reliability,
    roc,
    stratified_folds,
)


def answers(seed, n=200, k=4):
    """Labels, probabilities that know something, positive weights; every class occurs."""
    rng = np.random.default_rng(seed)
    label = rng.permutation(np.arange(n) % k)
    logits = rng.normal(size=(n, k)).round(1) + 1.5 * np.eye(k)[label]  # rounded: ties
    p = np.exp(logits)
    return label, p / p.sum(axis=1, keepdims=True), rng.gamma(2, 1, n)


@settings(max_examples=15)
@given(st.integers(0, 2**32 - 1))
def test_as_scikit_learn_has_them(seed):
    label, p, w = answers(seed)
    predicted = p.argmax(axis=1)
    matrix = confusion(label, predicted, 4, w)
    np.testing.assert_allclose(
        matrix, metrics.confusion_matrix(label, predicted, sample_weight=w), rtol=1e-12
    )
    np.testing.assert_allclose(
        recalls(matrix), metrics.recall_score(label, predicted, average=None, sample_weight=w)
    )
    np.testing.assert_allclose(
        purities(matrix),
        metrics.precision_score(
            label, predicted, average=None, sample_weight=w, zero_division=np.nan
        ),
    )
    assert balanced_accuracy(confusion(label, predicted, 4)) == pytest.approx(
        metrics.balanced_accuracy_score(label, predicted)
    )
    curve = roc(label == 1, p[:, 1], w)
    assert curve["auc"] == pytest.approx(
        metrics.roc_auc_score(label == 1, p[:, 1], sample_weight=w)
    )
    assert (curve["signal"][0], curve["background"][0]) == (0, 0)
    for part, name in ((label == 1, "signal"), (label != 1, "background")):
        assert curve[f"{name}_events"] == pytest.approx(w[part].sum() ** 2 / (w[part] ** 2).sum())
    assert 0 < curve["auc_error"] < 0.2
    assert (curve["signal"][-1], curve["background"][-1]) == pytest.approx((1, 1))


def test_negative_weights_cancel():
    """An event and its negative copy change no weighted figure."""
    label, p, w = answers(1)
    more = (np.append(label, [2, 2]), np.concatenate([p, p[:1], p[:1]]), np.append(w, [5.0, -5.0]))
    for function in (
        lambda y, q, v: confusion(y, q.argmax(axis=1), 4, v),
        lambda y, q, v: roc(y == 2, q[:, 2], v)["auc"],
        lambda y, q, v: reliability(y == 2, q[:, 2], v)["share"],
    ):
        np.testing.assert_allclose(function(*more), function(label, p, w), rtol=1e-12, atol=1e-12)


class TestSignificance:
    def test_of_numbers(self):
        found = category_significance(np.array([[10.0, 2.0], [100.0, 8.0]]))
        np.testing.assert_allclose(found["S"], [10, 8])
        np.testing.assert_allclose(found["B"], [100, 2])
        np.testing.assert_allclose(found["simple"], [1.0, 8 / np.sqrt(2)])
        expected = [
            np.sqrt(2 * (110 * np.log(1.1) - 10)), np.sqrt(2 * (10 * np.log(5) - 8))
        ]  # fmt: skip
        np.testing.assert_allclose(found["asimov"], expected)

    def test_of_nothing(self):
        """No background, a negative one, and a category that is negative as a whole."""
        found = category_significance(
            np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 2.0], [0.0, -2.0, -3.0]])
        )
        assert np.isnan(found["asimov"]).all()
        assert np.isnan(found["simple"]).all()
        assert np.isnan(purities(np.array([[0.0, 1.0], [0.0, 2.0]]))[0])

    def test_negative_signal(self):
        found = category_significance(np.array([[-1.0, 0.0], [10.0, 1.0]]))
        assert found["simple"][0] == pytest.approx(-1 / np.sqrt(10))
        assert found["asimov"][0] == pytest.approx(-1 / np.sqrt(10), rel=0.05)


def test_reliability_of_true_probabilities():
    """Classes drawn with the probabilities themselves lie on the diagonal; squared ones do not."""
    rng = np.random.default_rng(1)
    p = rng.random(40_000)
    is_class = rng.random(40_000) < p
    w = rng.gamma(2, 1, 40_000)
    good = reliability(is_class, p, w)
    assert (np.abs(good["share"] - good["probability"]) < 4 * good["error"]).all()
    assert good["ece"] < 0.02
    assert 1000 < good["events"].min() < 40_000
    assert reliability(is_class, p**2, w)["ece"] > 0.1


def test_errors_are_those_of_a_mean():
    found = mean_and_error([0.5, 0.6, 0.7])
    assert found["mean"] == pytest.approx(0.6)
    assert found["error"] == pytest.approx(0.1 / np.sqrt(3))


def test_folds_have_their_share_of_every_class():
    label = np.repeat([0, 1, 2], [100, 10, 31])
    fold = stratified_folds(label, ("a", "b", "c"), 5, seed=1)
    for c, n in enumerate((100, 10, 31)):
        counts = np.bincount(fold[label == c], minlength=5)
        assert counts.sum() == n
        assert counts.max() - counts.min() <= 1
    assert not np.array_equal(fold, stratified_folds(label, ("a", "b", "c"), 5, seed=2))
    with pytest.raises(ValueError, match="class 'd' has no events, but there are 5 folds"):
        stratified_folds(label, ("a", "b", "c", "d"), 5, seed=1)
    with pytest.raises(ValueError, match="class 'b' has 10 events, but there are 11 folds"):
        stratified_folds(label, ("a", "b", "c"), 11, seed=1)


def test_figures_of_a_perfect_model():
    label = np.arange(60) % 3
    found = evaluate(
        label, np.eye(3)[label], np.ones(60), np.arange(60) // 3 % 4, ("a", "b", "c")
    )  # fmt: skip
    assert found["balanced_accuracy"]["mean"] == 1
    assert found["log_loss"] == pytest.approx(0)
    assert [found["roc"][c]["auc"] for c in "abc"] == [1, 1, 1]
    np.testing.assert_array_equal(found["confusion"], 20 * np.eye(3))
