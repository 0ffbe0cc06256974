"""Particles of one collection near those of another, in eta and phi."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastjag import kernels
from fastjag.core.arrays import Array, Offsets, as_float
from fastjag.jagged import Jagged
from fastjag.jagged.momenta import with_angles

Side = tuple[Offsets, Array, Array]  # offsets, eta, phi


def nearest(
    left: Any, right: Any, *, threads: int | None = None
) -> tuple[NDArray[np.int64], Array]:
    """For each particle of ``left`` the nearest one of ``right`` in the same event.

    Parameters
    ----------
    left, right
        :class:`Jagged` or awkward arrays of records with columns ``eta`` and ``phi`` [rad], of
        the same events, or in the other coordinates that :func:`dimuon` takes. phi may lie outside
        [-pi, pi].

    Returns
    -------
    index
        int64, one entry per left particle (flat, in order): index into the flat columns of
        ``right``, the same that ``right["pt"]`` takes, which start at 0 with the first event. -1
        where the event has no right particle at a finite distance: none at all, or NaN on either
        side. So take ``right["pt"][index]`` where ``index >= 0`` only. Of equally near
        particles the first.
    delta_r
        sqrt(delta_eta² + delta_phi²), delta_phi wrapped; inf where there is none. Computed in
        float64 and given in the wider dtype of the columns.

    Raises ValueError where the numbers of events differ.

    Examples
    --------
    >>> import fastjag as fj
    >>> jets = fj.Jagged([0, 2, 3], {"eta": [0.0, 2.0, 1.0], "phi": [3.1, 0.0, 1.0]})
    >>> partons = fj.Jagged([0, 2, 2], {"eta": [1.9, 0.0], "phi": [0.0, -3.1]})
    >>> fj.nearest(jets, partons)[0]
    array([ 1,  0, -1])
    """
    first, second = _sides(left, right)
    return kernels.nearest(first, second, n_left=len(first[1]), threads=threads)


def in_cone(left: Any, right: Any, radius: ArrayLike, *, threads: int | None = None) -> Jagged:
    """All particles of ``right`` within a cone around each particle of ``left``.

    Parameters
    ----------
    left, right
        As for :func:`nearest`.
    radius
        A number, or one per left particle: a right particle is in the cone if it is in the same
        event and delta_r < radius (decided on the squares, in float64).

    Returns
    -------
    Jagged
        One "event" per left particle, in order, with the right particles of its cone in stored
        order: columns ``index`` (int64, into the flat columns of ``right``) and ``delta_r``
        (as for :func:`nearest`). A particle is in its own cone: with ``left`` equal to
        ``right``, drop the entries where ``index`` is the particle's own.

    Examples
    --------
    The sum of the pt of tracks in jets:

    >>> import fastjag as fj
    >>> jets = fj.Jagged([0, 2], {"eta": [0.0, 2.0], "phi": [3.1, 0.0]})
    >>> tracks = fj.Jagged(
    ...     [0, 3], {"pt": [5.0, 7.0, 1.0], "eta": [0.1, 0.0, 2.1], "phi": [3.0, -3.1, 0.2]}
    ... )
    >>> tracks_in_jets = fj.in_cone(jets, tracks, 0.4)
    >>> tracks_in_jets.counts
    array([2, 1])
    >>> pt = tracks["pt"][tracks_in_jets["index"]]
    >>> tracks_in_jets.with_columns(pt=pt).aggregate("pt", ["sum"])["sum"]
    array([12.,  1.])
    """
    first, second = _sides(left, right)
    n_left = len(first[1])
    offsets, index, delta_r = kernels.in_cone(first, second, radius, n_left=n_left, threads=threads)
    return Jagged._of(offsets, {"index": index, "delta_r": delta_r})


def wrap_phi(phi: Array) -> Array:
    """The same angles within [-pi, pi], in the dtype that NumPy gives them."""
    return phi - 2 * np.pi * np.rint(phi / (2 * np.pi))


def delta_phi(a: Array, b: Array) -> Array:
    """|a - b| of angles [rad] the shorter way round, from 0 to pi."""
    return np.abs((a - b + np.pi) % (2 * np.pi) - np.pi)


def _sides(left: Any, right: Any) -> tuple[Side, Side]:
    jagged = [with_angles(particles) for particles in (left, right)]
    columns = [[as_float(side[name], name) for name in ("eta", "phi")] for side in jagged]
    dtype = np.result_type(*(column.dtype for side in columns for column in side))
    first, second = (
        (side.offsets, eta.astype(dtype, copy=False), phi.astype(dtype, copy=False))
        for side, (eta, phi) in zip(jagged, columns, strict=True)
    )
    return first, second
