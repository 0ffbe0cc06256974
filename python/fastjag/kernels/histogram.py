"""histogram: counts or sums of weights in one or two dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastjag.core.arrays import Array
from fastjag.kernels.gpu import Cpu, Gpu, device_of
from fastjag.kernels.threads import get_num_threads

GRAIN = 400_000  # entries below which the kernel does not start another thread
CHUNK = 2**31  # entries in one call: counters of the kernel have 32 bits
CELLS = (256, 1024, 4096)  # sizes of tables; one larger than the first-level cache helps nobody


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
    (sum of weights, sum of squared weights) with them, float64, on the device of the columns. A NaN
    weight is a weight like any other: its bin becomes NaN. A GPU adds weights up as integers, in
    any order to the same last bit: in a bin of n entries a weight is rounded by less than n² 2^-123
    of the largest one there.
    """
    shape = tuple(len(e) + 2 for e in edges)
    slots = int(np.prod(shape))
    if slots >= 2**31:
        raise ValueError(f"the histogram must have less than 2**31 bins, got {slots}")
    n = len(columns[0])
    device = device_of(columns=columns, weights=weights)
    # Every thread has its own sums, which must be worth clearing and merging.
    n_threads = min(get_num_threads(threads), 1 + n // max(GRAIN, 4 * slots))
    copies = 4 if slots <= 256 else 1
    axes = [Axis.of(e, n) for e in edges]
    if not device.is_cpu:
        axes = on_gpu(device, axes)
    axis_y = axes[1] if len(axes) == 2 else None
    counts = device.zeros(slots, np.int64) if weights is None else None
    sumw, sumw2 = (None, None) if weights is None else (device.zeros(slots), device.zeros(slots))
    for first in range(0, n, CHUNK):
        chunk = slice(first, first + CHUNK)
        x, *y = (c[chunk] for c in columns)
        w = None if weights is None else weights[chunk]
        size = (n_threads, copies, slots)
        scratch: Array | None
        if device.is_cpu:
            scratch = np.zeros(size, np.uint32) if w is None else np.zeros((*size, 2))
        else:
            scratch = None if w is None else scratch_of(device, slots)
        device.kernels.histogram(x, axes[0], y[0] if y else None, axis_y, w, scratch, counts, sumw,
                                 sumw2, device.where(n_threads))  # fmt: skip
    if counts is not None:
        return counts.reshape(shape), None
    assert sumw is not None
    assert sumw2 is not None
    return sumw.reshape(shape), sumw2.reshape(shape)


def scratch_of(device: Cpu | Gpu, slots: int) -> Array:
    """What a GPU needs to add up weights in so many slots."""
    return device.zeros(device.kernels.histogram_scratch(slots), np.uint8)


class Axis(NamedTuple):
    """How the kernel finds the bin of a value: ``HistogramAxis`` in cpp/fastjag/kernels.hpp."""

    edges: NDArray[np.float64]
    n_cells: int = 0
    scale: float = 0.0
    shift: float = 0.0
    logarithmic: bool = False
    first: NDArray[np.int32] | None = None
    steps: int = 0
    margin: float = np.inf
    margin_single: float = np.inf

    @staticmethod
    def of(edges: NDArray[np.float64], n_values: int) -> Axis:
        """For float64 ``edges`` in increasing order, and this many values."""
        padded = np.append(edges, np.nan)
        return _regular(edges, padded) or _table(edges, padded, n_values) or Axis(padded)


def on_gpu(device: Any, axes: Sequence[Axis]) -> list[Axis]:
    """With their arrays on the GPU: one copy for all of them, each from a multiple of 8 bytes on."""
    parts: list[Array] = []
    for axis in axes:
        first = np.empty(0, np.int32) if axis.first is None else axis.first
        parts += [axis.edges, np.append(first, np.zeros(len(first) % 2, np.int32)).view(np.float64)]
    there = device.asarray(np.concatenate(parts))
    placed, begin = [], 0
    for axis, edges, first in zip(axes, parts[::2], parts[1::2], strict=True):
        middle, end = begin + len(edges), begin + len(edges) + len(first)
        table = None if axis.first is None else there[middle:end].view(np.int32)
        placed.append(axis._replace(edges=there[begin:middle], first=table))
        begin = end
    return placed


def _regular(edges: NDArray[np.float64], padded: NDArray[np.float64]) -> Axis | None:
    """For equidistant edges."""
    n = len(edges) - 1
    if not 1 <= n <= 2**30:
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        width = (edges[-1] - edges[0]) / n
        if not np.finfo(np.float64).tiny <= width <= np.finfo(np.float64).max:
            return None
        scale = 1 / width
        shift = 0.5 - edges[0] * scale
        off = np.abs(edges - (edges[0] + width * np.arange(n + 1))).max() / width
        # Rounding of scale, shift, product and sum: each by half a unit in the last place of
        # something that is not larger than this.
        size = np.abs(edges).max() / width + n + 1
        margin = off + 2.0**-50 * size
        if not margin < 0.01:
            return None
        single = off + 2.0**-22 * size
        limits = np.finfo(np.float32)
        if not (limits.tiny <= scale <= limits.max and abs(shift) <= limits.max):
            single = np.inf
    return Axis(padded, n + 1, float(scale), float(shift), steps=1,
                margin=float(margin), margin_single=float(single))  # fmt: skip


def _table(edges: NDArray[np.float64], padded: NDArray[np.float64], n_values: int) -> Axis | None:
    """Cells of equal size in x or in its logarithm; None where they would not save a search."""
    best = None
    finite = edges[np.isfinite(edges)]
    for cells in CELLS if n_values > 8 * CELLS[-1] else ():
        for logarithmic, inner in ((False, finite), (True, finite[finite > 0])):
            if len(inner) < 2:
                continue
            keys = inner.view(np.int64).astype(np.float64) if logarithmic else inner
            with np.errstate(over="ignore", invalid="ignore"):
                scale = cells / (keys[-1] - keys[0])
                shift = -keys[0] * scale
                every = edges.view(np.int64).astype(np.float64) if logarithmic else edges
                at = every * scale + shift  # as the kernel does it, to the last bit
            if not (0 < scale < np.inf and np.isfinite(shift)):
                continue
            cell = np.clip(at, 0, cells - 1).astype(np.int64)
            steps = int(np.bincount(cell).max())
            if best is None or steps < best.steps:
                first = np.searchsorted(cell, np.arange(cells)).astype(np.int32)
                best = Axis(padded, cells, float(scale), float(shift), logarithmic, first, steps)
        if best is not None and best.steps == 1:
            return best
    return best if best is not None and best.steps <= 4 else None
