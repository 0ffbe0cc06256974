"""Weights for training keep what the signed weights say, whatever becomes of negative ones."""

import numpy as np
import pytest

pytest.importorskip("sklearn")

from hypothesis import given
from hypothesis import strategies as st

from fastjag.models.weights import POLICIES, draw_balanced, training_weights


def signed(rng, n, share):
    """Three classes of very different weights, a share of them negative."""
    y = rng.integers(0, 3, n)
    y[:3] = [0, 1, 2]
    w = np.array([1e-8, 1.0, 1e4])[y] * rng.gamma(4, 1, n)
    return y, np.where(rng.random(n) < share, -w, w)


@pytest.mark.parametrize("policy", ["abs", "clip", "drop"])
def test_weights_are_positive_and_classes_equal(policy):
    y, w = signed(np.random.default_rng(1), 4000, 0.25)
    assert 0.2 < (w < 0).mean() < 0.3
    known = training_weights(y, w, negative=policy)
    assert (known.weights >= 0).all()
    assert known.weights.mean() == pytest.approx(1, rel=1e-12)
    sums = np.bincount(known.codes, known.weights)
    np.testing.assert_allclose(sums / sums.sum(), 1 / 3, rtol=1e-12)
    if policy == "drop":
        np.testing.assert_array_equal(known.rows, np.flatnonzero(w >= 0))
    else:
        np.testing.assert_array_equal(known.rows, np.arange(len(w)))
        assert ((known.weights == 0) == ((w < 0) & (policy == "clip"))).all()


@given(seed=st.integers(0, 2**32 - 1), policy=st.sampled_from(["abs", "clip", "drop"]))
def test_classes_become_equal(seed, policy):
    y, w = signed(np.random.default_rng(seed), 300, 0.1)
    known = training_weights(np.array(["b", "a", "c"])[y], w, negative=policy)
    assert known.classes.tolist() == ["a", "b", "c"]
    np.testing.assert_allclose(np.bincount(known.codes, known.weights), len(known.rows) / 3)
    # Inside a class, positive weights keep their ratios.
    one = (y[known.rows] == 0) & (w[known.rows] > 0)
    ratios = known.weights[one] / w[known.rows][one]
    np.testing.assert_allclose(ratios, ratios[0])


def test_without_weights():
    known = training_weights([0, 0, 0, 1])
    np.testing.assert_allclose(known.weights, [2 / 3, 2 / 3, 2 / 3, 2])


class TestDraw:
    def test_proportional_to_weight(self):
        rng = np.random.default_rng(3)
        weights = rng.gamma(0.5, 1, 500)
        codes = np.zeros(500, int)
        times = np.zeros(500)
        for _ in range(200):
            drawn = np.bincount(draw_balanced(codes, weights, 100, rng), minlength=500)
            expected = 100 * weights / weights.sum()
            assert ((drawn >= np.floor(expected)) & (drawn <= np.floor(expected) + 1)).all()
            times += drawn
        np.testing.assert_allclose(times / 200, expected, atol=0.15)

    def test_equal_weights_repeat_nothing(self):
        rng = np.random.default_rng(4)
        codes = np.repeat([0, 1, 2], [50, 7, 20])
        drawn = draw_balanced(codes, np.ones(77), 7, rng)
        assert len(np.unique(drawn)) == 21
        np.testing.assert_array_equal(np.bincount(codes[drawn]), [7, 7, 7])

    def test_events_without_weight_are_never_drawn(self):
        codes, weights = np.repeat([0, 1], 6), np.array([0, 1, 0, 1, 0, 0] * 2, float)
        for seed in range(50):
            drawn = draw_balanced(codes, weights, 5, np.random.default_rng(seed))
            assert (weights[drawn] > 0).all()


@pytest.mark.parametrize(
    ("y", "w", "policy", "message"),
    [
        (["a", "b"], [1, 0], "abs", r"class b add up to 0, .* \(1 events\)"),
        (["a", "b", "b"], [1, 1, -2], "abs", "class b add up to -1, not to a positive number"),
        (["a", "b", "b"], [1, 2, -1], "error", "1 events have .*, the first is event 2 with -1"),
        (["a", "b"], [1, np.nan], "abs", "sample_weight must be finite, got nan for event 1"),
        (["a", "a"], [1, 1], "abs", "at least two classes, but all are a"),
        ([], [], "abs", "at least two classes, but there are no events"),
        (["a", "b"], [1], "abs", "sample_weight has 1 entries, but there are 2 events"),
        ([["a"]], [1], "abs", r"y must have shape \(n,\), got \(1, 1\)"),
        (["a", "b"], [1, 1], "skip", "negative must be 'abs' or 'clip' or 'drop' or 'error'"),
    ],
)
def test_errors(y, w, policy, message):
    with pytest.raises(ValueError, match=message):
        training_weights(y, w, negative=policy)


def test_policies_are_all_tested():
    assert POLICIES == ("abs", "clip", "drop", "error")
