"""nearest: particles of two collections that are close to each other in eta and phi."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastjag.core.arrays import Array, Offsets
from fastjag.core.devices import on_gpu
from fastjag.kernels.gpu import device_of

Side = tuple[Offsets, Array, Array]


def nearest(
    left: Side, right: Side, *, threads: int | None = None
) -> tuple[NDArray[np.int64], Array]:
    """Content index of, and delta_r to, the nearest right particle of each left particle.

    ``left`` and ``right`` are (offsets, eta, phi) of the same events, all columns of one dtype,
    float32 or float64; see :func:`fastjag.nearest`.
    """
    offsets, eta, _ = _same_events(left, right)
    n = int(offsets[-1] - offsets[0])
    device = device_of(left=left, right=right)
    index, delta_r = device.empty(n, np.int64), device.empty(n, eta.dtype)
    device.kernels.nearest(*left, *right, index, delta_r, device.where(threads))
    return index, delta_r


def in_cone(
    left: Side, right: Side, radius: ArrayLike, *, threads: int | None = None
) -> tuple[Offsets, NDArray[np.int64], Array]:
    """Offsets (n_left + 1,), content indices and delta_r of all pairs closer than ``radius``.

    ``left`` and ``right`` as for :func:`nearest`; see :func:`fastjag.in_cone`.
    """
    offsets, eta, _ = _same_events(left, right)
    n = int(offsets[-1] - offsets[0])
    given = _radii(radius, n)
    device = device_of(left=left, right=right, radius=None if np.isscalar(radius) else given)
    radii = device.empty(n, np.float64)
    radii[:] = device.asarray(given)
    where = device.where(threads)
    pair_offsets = device.empty(n + 1, np.int64)
    device.kernels.in_cone(*left, *right, radii, pair_offsets, None, None, where)
    device.add_up(pair_offsets)
    n_pairs = int(pair_offsets[-1])
    index, delta_r = device.empty(n_pairs, np.int64), device.empty(n_pairs, eta.dtype)
    with device.second_pass(threads) as where:
        device.kernels.in_cone(*left, *right, radii, pair_offsets, index, delta_r, where)
    return pair_offsets, index, delta_r


def _same_events(left: Side, right: Side) -> Side:
    n_left, n_right = len(left[0]) - 1, len(right[0]) - 1
    if n_left != n_right:
        raise ValueError(
            "left and right must be collections of the same events, "
            f"but left has {n_left} events and right has {n_right}"
        )
    return left


def _radii(radius: Any, n: int) -> Any:
    """One radius or n of them, where they are."""
    given = radius if on_gpu(radius) else np.asarray(radius)
    if given.dtype.kind not in "iuf" or given.shape not in ((), (n,)):
        raise ValueError(f"radius must be a number or one per left particle ({n}), got {radius!r}")
    radii = given.astype(np.float64)
    wrong = ~((radii > 0) & (radii < np.inf))
    if wrong.any():
        first = float(radii[wrong][0])
        raise ValueError(f"radius must be positive and finite, got {first:g}")
    return radii
