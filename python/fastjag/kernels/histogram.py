"""histogram: counts or sums of weights in one or two dimensions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fastjag import _cpu
from fastjag.arrays import Array
from fastjag.kernels.threads import get_num_threads

GRAIN = 100_000  # entries below which the kernel does not start another thread


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
    n_threads = min(get_num_threads(threads), 1 + len(columns[0]) // GRAIN)
    y = columns[1] if len(columns) == 2 else None
    edges_y = edges[1] if len(edges) == 2 else None
    margins = [margin(e) for e in edges] + [np.inf]
    if weights is None:
        counts = np.zeros(shape, np.int64)
        scratch: Array = np.zeros((n_threads, slots), np.int64)
        flat = counts.reshape(-1)
        _cpu.histogram(columns[0], edges[0], margins[0], y, edges_y, margins[1], None, scratch,
                       flat, None, None, n_threads)  # fmt: skip
        return counts, None
    sumw, sumw2 = np.zeros(shape), np.zeros(shape)
    scratch = np.zeros((n_threads, slots, 2))
    _cpu.histogram(columns[0], edges[0], margins[0], y, edges_y, margins[1], weights, scratch,
                   None, sumw.reshape(-1), sumw2.reshape(-1), n_threads)  # fmt: skip
    return sumw, sumw2


def margin(edges: NDArray[np.float64]) -> float:
    """How far from an edge, in bins, division by the bin width finds the right bin for sure.

    Infinite where the edges are not equidistant.
    """
    n = len(edges) - 1
    with np.errstate(over="ignore"):
        width = (edges[-1] - edges[0]) / n
    if not np.finfo(np.float64).tiny <= width < np.inf or n > 2**30:  # 1 / width must be finite
        return np.inf
    off = np.abs(edges - (edges[0] + width * np.arange(n + 1))).max() / width
    # Rounding: of edges and ideal edges, and of the division, each by a few units in the last place.
    off += 2.0**-50 * (np.abs(edges).max() / width + 2 * n)
    return float(off) if off < 0.01 else np.inf
