"""histogram_cuts: histograms of many columns of those events whose score reaches each of many cuts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastjag.core.arrays import Array
from fastjag.kernels.gpu import device_of
from fastjag.kernels.histogram import CHUNK, GRAIN, Axis, on_gpu
from fastjag.kernels.threads import get_num_threads

LANES = 8  # replicas in a tile; on a GPU, that the kernel fills at a time
BLOCK = 1024  # entries of a tile
CACHE = 2**22  # bytes of sums that stay near the processor


def histogram_cuts(
    columns: Sequence[Array],
    edges: Sequence[NDArray[np.float64]],
    scores: Array,
    cuts: NDArray[np.float64],
    *,
    weights: Sequence[Array] = (),
    threads: int | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Fill the histograms of events with ``scores >= cut``, for every column and every cut.

    Columns, scores and weights are float32 or float64 in native byte order, with any stride, all
    n_events long; ``edges`` has those of each column, ``cuts`` are not NaN. Returns counts (n_cuts,
    n_columns, slots), and the sums of w and of w² (len(weights), n_cuts, n_columns, slots). Slots
    are underflow, as many bins as the column with most of them has, overflow, NaN.
    """
    n = len(scores)
    ascending, which = np.unique(cuts, return_inverse=True)
    n_slots = max(len(e) for e in edges) + 2
    shape = (len(columns), len(ascending), n_slots)
    if shape[1] * n_slots >= 2**31:
        raise ValueError(f"bins times cuts must be less than 2**31, got {n_slots} times {shape[1]}")
    device = device_of(columns=columns, scores=scores, weights=weights or None)
    if not device.is_cpu:
        classes = which.reshape(-1), ascending
        return _on_gpu(device, columns, edges, scores, classes, weights, n_slots)
    # Every thread has its own sums, which must be worth clearing and merging.
    work = n // max(1 + GRAIN // len(columns), 4 * shape[1] * n_slots)
    n_threads = min(get_num_threads(threads), 1 + work)
    axes = [Axis.of(e, n) for e in edges]
    score_axis = Axis.of(ascending, n)
    counts = device.zeros(shape, np.int64)
    sums = device.zeros((2, len(weights), *shape))
    # As many tiles as stay in the cache.
    at_once = LANES * max(1, CACHE // (16 * LANES * int(np.prod(shape))))
    for first in range(0, n, CHUNK):
        chunk = slice(first, first + CHUNK)
        for replica in range(0, max(1, len(weights)), at_once):
            some = [w[chunk] for w in weights[replica : replica + at_once]]
            one = replica == 0 and len(some) == 1
            tiles = -(-len(some) // LANES)
            counted = device.zeros((n_threads, *shape), np.uint32) if replica == 0 else None
            size = (2, 1) if one else (tiles, 2, LANES)
            summed = device.zeros((n_threads, *shape, *size)) if some else None
            scratch = None
            if some and not one:  # and what it takes to begin on a line of the cache
                scratch = np.empty(64 * (n_threads * tiles * BLOCK * LANES // 8 + 1), np.uint8)
            device.kernels.histogram_cuts(
                scores[chunk], score_axis, [c[chunk] for c in columns], axes, some, n_slots,
                counted, summed, scratch, None, 0, 0, device.where(n_threads),
            )  # fmt: skip
            if counted is not None:
                counts += counted.sum(axis=0, dtype=np.int64)
            if summed is not None:
                total = summed.sum(axis=0).reshape(*shape, -1, 2, size[-1])
                total = np.moveaxis(total, (-2, -3, -1), (0, 1, 2))  # (2, tiles, lanes, ...)
                total = total.reshape(2, -1, *shape)
                sums[:, replica : replica + at_once] += total[:, : len(some)]
    for row, e in enumerate(edges):  # overflow and NaN go to the end, behind the longest axis
        own = len(e)
        for a in (counts, sums):
            flow = a[..., row, :, own : own + 2].copy()
            a[..., row, :, own : own + 2] = 0
            a[..., row, :, -2:] = flow
    sums = _passing(sums, which)
    return _passing(counts, which), sums[0], sums[1]


def _on_gpu(
    device: Any,
    columns: Sequence[Array],
    edges: Sequence[NDArray[np.float64]],
    scores: Array,
    classes: tuple[NDArray[np.int64], NDArray[np.float64]],
    weights: Sequence[Array],
    n_slots: int,
) -> tuple[Any, Any, Any]:
    """The same by kernels that do all of it: at most three launches for 32 columns and 8 weights.

    ``classes`` are that of every cut, and where they begin.
    """
    n, (class_of_cut, begins) = len(scores), classes
    *axes, score_axis = on_gpu(device, [Axis.of(e, n) for e in (*edges, begins)])
    shape = (len(class_of_cut), len(columns), n_slots)
    counts = device.zeros(shape, np.int64)
    sums = device.zeros((2, len(weights), *shape))
    class_of_cut = device.asarray(class_of_cut.astype(np.int32))
    slots = len(columns) * len(begins) * n_slots
    for first in range(0, n, CHUNK):
        chunk = slice(first, first + CHUNK)
        for replica in range(0, max(1, len(weights)), LANES):
            some = [w[chunk] for w in weights[replica : replica + LANES]]
            size = device.kernels.histogram_cuts_scratch(len(some), slots)
            where = device.where(None, scratch=device.zeros(size, np.uint8))
            device.kernels.histogram_cuts(
                scores[chunk], score_axis, [c[chunk] for c in columns], axes, some, n_slots,
                counts if replica == 0 else None, sums, None, class_of_cut, replica, len(weights), where,
            )  # fmt: skip
    return counts, sums[0], sums[1]


def _passing(classes: Array, which: Array) -> Array:
    """(..., column, class, slot) to (..., cut, column, slot): an event passes all cuts up to its class.

    ``which`` says for every cut whose class it is.
    """
    upwards = np.cumsum(classes[..., ::-1, :], axis=-2)[..., ::-1, :]
    return upwards[..., which, :].swapaxes(-3, -2)
