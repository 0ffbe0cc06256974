"""nearest: particles of two collections that are close to each other in eta and phi."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastjag.core.arrays import Array, Offsets
from fastjag.core.devices import ends, on_gpu
from fastjag.kernels.gpu import device_of

Side = tuple[Offsets, Array, Array]


def nearest(
    left: Side, right: Side, *, n_left: int | None = None, threads: int | None = None
) -> tuple[NDArray[np.int64], Array]:
    """Content index of, and delta_r to, the nearest right particle of each left particle.

    ``left`` and ``right`` are (offsets, eta, phi) of the same events, all columns of one dtype,
    float32 or float64; ``n_left`` is how many particles the left offsets span, where that is known.
    See :func:`fastjag.nearest`.
    """
    offsets, eta, _ = _same_events(left, right)
    n = _spanned(offsets) if n_left is None else n_left
    device = device_of(left=left, right=right)
    index, delta_r = device.empty(n, np.int64), device.empty(n, eta.dtype)
    where = device.where(threads, scratch=device.scratch("nearest", len(right[1])))
    device.kernels.nearest(*left, *right, index, delta_r, where)
    return index, delta_r


def in_cone(
    left: Side,
    right: Side,
    radius: ArrayLike,
    *,
    n_left: int | None = None,
    threads: int | None = None,
) -> tuple[Offsets, NDArray[np.int64], Array]:
    """Offsets (n_left + 1,), content indices and delta_r of all pairs closer than ``radius``.

    ``left``, ``right`` and ``n_left`` as for :func:`nearest`; see :func:`fastjag.in_cone`.
    """
    offsets, eta, _ = _same_events(left, right)
    n = _spanned(offsets) if n_left is None else n_left
    radii = _radii(radius, n)
    one = isinstance(radii, float)
    device = device_of(left=left, right=right, radius=None if one else radii)
    scratch = device.scratch("in_cone", n, len(right[1]))
    # Behind the offsets, whether the second pass looks at columns again: the host asks once for
    # that and for the number of pairs.
    counted = device.zeros(n + 2, np.int64)
    pair_offsets: Offsets = counted[:-1]
    where = device.where(threads, changed=counted[-1:].view(np.int32)[:1], scratch=scratch)
    device.kernels.in_cone(*left, *right, radii, pair_offsets, None, None, where)
    device.add_up(pair_offsets)
    n_pairs, again = counted[-2:].tolist()
    index, delta_r = device.empty(n_pairs, np.int64), device.empty(n_pairs, eta.dtype)
    outputs = pair_offsets, index, delta_r
    if again or device.is_cpu:
        with device.second_pass(threads, scratch) as where:
            device.kernels.in_cone(*left, *right, radii, *outputs, where)
    else:
        where = device.where(threads, scratch=scratch)
        device.kernels.in_cone(*left, *right, radii, *outputs, where)
    return outputs


def _spanned(offsets: Offsets) -> int:
    first, last = ends(offsets)
    return last - first


def _same_events(left: Side, right: Side) -> Side:
    n_left, n_right = len(left[0]) - 1, len(right[0]) - 1
    if n_left != n_right:
        raise ValueError(
            "left and right must be collections of the same events, "
            f"but left has {n_left} events and right has {n_right}"
        )
    return left


def _radii(radius: Any, n: int) -> Any:
    """One radius, a float, or n of them, where they are."""
    given = radius if on_gpu(radius) else np.asarray(radius)
    if given.dtype.kind not in "iuf" or given.shape not in ((), (n,)):
        raise ValueError(f"radius must be a number or one per left particle ({n}), got {radius!r}")
    radii = given.astype(np.float64) if given.shape else np.float64(given.item()).reshape(1)
    wrong = ~((radii > 0) & (radii < np.inf))
    if wrong.any():
        raise ValueError(f"radius must be positive and finite, got {float(radii[wrong][0]):g}")
    return radii if given.shape else float(radii[0])
