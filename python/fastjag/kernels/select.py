"""select: particles by mask, events by range, and the order of particles within events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastjag.core.arrays import Array, Offsets
from fastjag.core.checks import at_least
from fastjag.core.devices import ends
from fastjag.kernels.gpu import Cpu, Gpu, device_of


def select(offsets: Offsets, mask: NDArray[np.bool_], *, threads: int | None = None) -> Offsets:
    """Offsets of the particles that pass ``mask``, which is indexed as the content is."""
    return _selected(offsets, mask, device_of(offsets=offsets, mask=mask), threads)[0]


def keep(
    offsets: Offsets,
    mask: NDArray[np.bool_],
    columns: Sequence[Array | None],
    *,
    threads: int | None = None,
) -> tuple[Offsets, list[Array]]:
    """Offsets and columns of the particles that pass ``mask``; None is the column of their indices.

    On a GPU the host waits once, for the number of those that pass, and any byte but 0 does.
    """
    given = [column for column in columns if column is not None]
    device = device_of(offsets=offsets, mask=mask, columns=given or None)
    bounds, scratch = _selected(offsets, mask, device, threads)
    n = int(bounds[-1])
    kept: list[Array] = []
    for values in columns:
        if values is None and device.is_cpu:
            first = int(offsets[0])
            kept.append(np.flatnonzero(mask[first : int(offsets[-1])]) + first)
            continue
        result: Array = device.empty(n, np.int64 if values is None else values.dtype)
        where = device.where(threads, scratch=scratch)
        device.kernels.compact(offsets, mask, bounds, values, result, where)
        kept.append(result)
    return bounds, kept


def _selected(
    offsets: Offsets, mask: NDArray[np.bool_], device: Cpu | Gpu, threads: int | None
) -> tuple[Offsets, Any]:
    """Offsets, and what a GPU notes of the mask: what becomes of it afterwards does not matter."""
    bounds: Offsets = device.empty(len(offsets), np.int64)
    scratch = device.scratch("select", len(mask))
    device.kernels.select(offsets, mask, bounds, device.where(threads, scratch=scratch))
    return bounds, scratch


def gather(
    starts: NDArray[np.int64],
    out_offsets: Offsets,
    values: Array,
    *,
    size: int | None = None,
    threads: int | None = None,
) -> Array:
    """One column with event i copied from ``values[starts[i]:]``, as long as its out_offsets.

    ``size`` is what these end at, where that is known: a GPU would have to be asked.
    """
    device = device_of(starts=starts, out_offsets=out_offsets, values=values)
    result: Array = device.empty(int(out_offsets[-1]) if size is None else size, values.dtype)
    device.kernels.gather(starts, out_offsets, values, result, device.where(threads))
    return result


def order(
    offsets: Offsets,
    key: Array,
    *,
    limit: int | None = None,
    span: tuple[int, int] | None = None,
    threads: int | None = None,
) -> NDArray[np.int64]:
    """Content indices of each event's particles by descending ``key``: stable, NaN last.

    With ``limit`` only the first that many of each event are in order. Shape: the number of
    particles that the offsets span; ``span`` is the first and the last of them, where they are known.
    """
    most = np.iinfo(np.int64).max if limit is None else at_least("limit", limit, 0)
    device = device_of(offsets=offsets, key=key)
    first, last = ends(offsets) if span is None else span
    if isinstance(device, Gpu):  # no place stays empty, even if another thread changes the key
        result: NDArray[np.int64] = device.arange(first, last)
    else:
        result = device.empty(last - first, np.int64)
    scratch = device.scratch("order", last - first)
    where = device.where(threads, scratch=scratch)
    device.kernels.order(offsets, key, most, result, where)
    return result
