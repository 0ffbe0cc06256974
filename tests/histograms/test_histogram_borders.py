"""Borders of what fj.histogram takes: dtypes of pairs, sizes of axes."""

import numpy as np
import pytest

import fastjag as fj


@pytest.mark.parametrize("swap", [False, True])
def test_a_float64_column_beside_a_float32_one_keeps_its_digits(swap):
    edge = 1 + 2.0**-40  # float32 has 1.0 here
    x, y = np.array([0.5], np.float32), np.array([1 + 2.0**-41])
    columns, axes = (x, y), ([0, 1], [0, 1, edge, 2])
    h = fj.histogram(columns[::-1] if swap else columns, axes[::-1] if swap else axes)
    assert h.values().ravel().tolist() == [0, 1, 0]


def test_most_bins(monkeypatch):
    monkeypatch.setattr("fastjag.histograms.axes.MOST_BINS", 4)
    assert len(fj.histogram([0.5], (4, 0, 1)).axes[0]) == 4
    with pytest.raises(ValueError, match="an axis can have up to 4 bins, got 5"):
        fj.histogram([0.5], (5, 0, 1))


@pytest.mark.parametrize("axis", [(3, 0, np.inf), (3, -np.inf, 0), (2147483647, 0, 1)])
def test_axes_without_end(axis):
    with pytest.raises(ValueError, match=r"must be finite|can have up to"):
        fj.histogram([0.5], axis)


def test_storage_of_integers_is_filled_with_integers():
    import hist

    mine = hist.Hist(hist.axis.Regular(2, 0, 2), storage=hist.storage.Int64())
    assert fj.histogram([0.5, 1.5, 1.7], (2, 0, 2), out=mine).view().tolist() == [1, 2]
