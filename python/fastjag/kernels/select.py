"""select: particles by mask, events by range, and the order of particles within events."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastjag.core.arrays import Array, Offsets
from fastjag.core.checks import at_least
from fastjag.kernels.gpu import Gpu, device_of


def select(offsets: Offsets, mask: NDArray[np.bool_], *, threads: int | None = None) -> Offsets:
    """Offsets of the particles that pass ``mask``, which is indexed as the content is."""
    device = device_of(offsets=offsets, mask=mask)
    result: Offsets = device.empty(len(offsets), np.int64)
    device.kernels.select(offsets, mask, result, device.where(threads))
    device.add_up(result)
    return result


def compact(
    offsets: Offsets,
    mask: NDArray[np.bool_],
    out_offsets: Offsets,
    values: Array,
    *,
    threads: int | None = None,
) -> Array:
    """One column without the particles that fail ``mask``; ``out_offsets`` from :func:`select`."""
    device = device_of(offsets=offsets, mask=mask, out_offsets=out_offsets, values=values)
    result: Array = device.empty(int(out_offsets[-1]), values.dtype)
    with device.second_pass(threads) as where:
        device.kernels.compact(offsets, mask, out_offsets, values, result, where)
    return result


def gather(
    starts: NDArray[np.int64], out_offsets: Offsets, values: Array, *, threads: int | None = None
) -> Array:
    """One column with event i copied from ``values[starts[i]:]``, as long as its out_offsets."""
    device = device_of(starts=starts, out_offsets=out_offsets, values=values)
    result: Array = device.empty(int(out_offsets[-1]), values.dtype)
    device.kernels.gather(starts, out_offsets, values, result, device.where(threads))
    return result


def order(
    offsets: Offsets, key: Array, *, limit: int | None = None, threads: int | None = None
) -> NDArray[np.int64]:
    """Content indices of each event's particles by descending ``key``: stable, NaN last.

    With ``limit`` only the first that many of each event are in order. Shape: the number of
    particles that the offsets span.
    """
    most = np.iinfo(np.int64).max if limit is None else at_least("limit", limit, 0)
    device = device_of(offsets=offsets, key=key)
    result: NDArray[np.int64] = device.empty(int(offsets[-1] - offsets[0]), np.int64)
    if isinstance(device, Gpu):  # no place stays empty, even if another thread changes the key
        result[:] = device.xp.arange(int(offsets[0]), int(offsets[-1]))
    device.kernels.order(offsets, key, most, result, device.where(threads))
    return result
