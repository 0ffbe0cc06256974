"""Cell resampling against its definition, one cell at a time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastjag.models.cells import resample_cells


def by_definition(x, w):
    """Of one group without NaN, features divided by their standard deviations."""
    w, spread = list(map(float, w)), x.std(axis=0)
    x = (x - x.mean(axis=0)) / np.where(spread > 0, spread, 1)
    cells = []
    for seed in sorted((i for i in range(len(w)) if w[i] < 0), key=lambda i: w[i]):
        if w[seed] >= 0:
            continue
        distance = ((x - x[seed]) ** 2).sum(axis=1)
        others = sorted((i for i in range(len(w)) if i != seed), key=lambda i: distance[i])
        cell, total = [seed], w[seed]
        while total < 0 and others:
            cell.append(others.pop(0))
            total += w[cell[-1]]
        sizes = sum(abs(w[i]) for i in cell)
        for i in cell:
            w[i] = abs(w[i]) * max(total, 0) / sizes
        cells.append(len(cell))
    return np.array(w), cells


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(3, 120), st.integers(1, 4))
def test_definition(seed, n, features):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, features))
    w = rng.exponential(1, n) * np.where(rng.random(n) < rng.choice([0.1, 0.3, 0.45]), -1, 1)
    w[0] += max(0, 0.1 - w.sum())
    found = resample_cells(x, w)
    expected, cells = by_definition(x, w)
    np.testing.assert_allclose(found.weights, expected, rtol=1e-9, atol=1e-12)
    assert found.sizes.tolist() == cells
    assert (found.weights >= 0).all()
    assert found.weights.sum() == pytest.approx(w.sum(), rel=1e-9)
    assert (found.radii > 0).all()


def test_observables_are_kept_and_errors_are_smaller():
    rng = np.random.default_rng(1)
    n = 4000
    x = rng.normal(size=(n, 2))
    w = np.where(rng.random(n) < 0.25, -1.0, 1.0)
    found = resample_cells(x, w).weights
    edges = np.linspace(-2, 2, 9)
    before, after = (np.histogram(x[:, 0], edges, weights=v)[0] for v in (w, found))
    error = np.sqrt(np.histogram(x[:, 0], edges, weights=w**2)[0])
    assert (np.abs(after - before) < 0.5 * error).all()
    assert (found**2).sum() < 0.55 * (w**2).sum()
    # Sizes alone keep no sum.
    assert abs(np.abs(w).sum() - w.sum()) > 0.4 * n


def test_groups_and_missing_features():
    x = np.array([[0.0, 1.0], [0.1, np.nan], [0.2, 1.0], [5.0, 1.0], [-5.0, 1.0], [0.05, 1.0]])
    w = [-1.0, 5.0, 3.0, 1.0, 1.0, 4.0]
    # The event without the second feature is far; the last one is of another group.
    found = resample_cells(x, w, [*"aaaaa", "b"])
    np.testing.assert_allclose(found.weights, [0.5, 5.0, 1.5, 1.0, 1.0, 4.0])
    assert found.sizes.tolist() == [2]
    nothing = resample_cells(x, np.abs(w))
    np.testing.assert_array_equal(nothing.weights, np.abs(w))
    assert len(nothing.sizes) == 0


@pytest.mark.parametrize(
    ("x", "w", "message"),
    [
        ([[0.0], [1.0]], [1.0, -2.0], "group 0 add up to -1, below 0"),
        ([[0.0], [np.inf]], [1.0, 2.0], "X must be finite, event 1"),
        ([[0.0], [1.0]], [np.nan, 2.0], "weights must be finite, event 0"),
        ([[0.0], [1.0]], [2.0], "weights has 1 entries"),
        ([0.0, 1.0], [2.0, 1.0], "X must have shape"),
    ],
)
def test_errors(x, w, message):
    with pytest.raises(ValueError, match=message):
        resample_cells(x, w)
