"""histogram: counts or sums of weights in one or two dimensions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fastjag import _cpu
from fastjag.arrays import Array
from fastjag.kernels.threads import get_num_threads


def histogram(
    columns: Sequence[Array],
    edges: Sequence[NDArray[np.float64]],
    *,
    weights: Array | None = None,
    threads: int | None = None,
) -> tuple[Array, Array | None]:
    """Fill one histogram with one or two columns of one float dtype.

    Bin i of an axis holds ``edges[i] <= x < edges[i + 1]``. Every axis has n_bins + 3 slots:
    underflow, the bins, overflow, NaN. Returns (counts, None) without weights, counts int64;
    (sum of weights, sum of squared weights) with them, float64. A NaN weight is a weight like any
    other: its bin becomes NaN.
    """
    shape = tuple(len(e) + 2 for e in edges)
    slots = int(np.prod(shape))
    n_threads = get_num_threads(threads)
    y = columns[1] if len(columns) == 2 else None
    edges_y = edges[1] if len(edges) == 2 else None
    regular = [is_regular(e) for e in edges] + [False]
    if weights is None:
        counts = np.zeros(shape, np.int64)
        scratch: Array = np.zeros((n_threads, slots), np.int64)
        flat = counts.reshape(-1)
        _cpu.histogram(columns[0], edges[0], regular[0], y, edges_y, regular[1], None, scratch,
                       flat, None, None, n_threads)  # fmt: skip
        return counts, None
    sumw, sumw2 = np.zeros(shape), np.zeros(shape)
    scratch = np.zeros((n_threads, slots, 2))
    _cpu.histogram(columns[0], edges[0], regular[0], y, edges_y, regular[1], weights, scratch,
                   None, sumw.reshape(-1), sumw2.reshape(-1), n_threads)  # fmt: skip
    return sumw, sumw2


def is_regular(edges: NDArray[np.float64]) -> bool:
    """Whether the bin of a value may be guessed by division (and then corrected by one)."""
    n = len(edges) - 1
    with np.errstate(over="ignore"):
        width = (edges[-1] - edges[0]) / n
    if not np.finfo(np.float64).tiny <= width < np.inf:  # 1 / width must be finite, too
        return False
    ideal = edges[0] + width * np.arange(n + 1)
    return bool((np.abs(edges - ideal) < 0.01 * width).all())
