"""Negative weights that disappear among their neighbours: cell resampling.

J. R. Andersen, A. Maier, "Unbiased elimination of negative weights in Monte Carlo samples", Eur. Phys. J.
C 82 (2022) 433 (arXiv:2109.07851). The event of the most negative weight is the seed of a cell, to which
its nearest neighbours are added until the cell's sum of weights is not negative. In the cell, weights
become their sizes, times what keeps the sum. What an observable sees changes only within cells, which
get smaller the more events there are.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastjag.core.arrays import check_length

Floats = NDArray[np.float64]
_NEIGHBOURS = 32  # asked for at first


class Resampled(NamedTuple):
    """Weights without negative ones, and the cells that it took."""

    weights: Floats  #: (n,), not negative, with the sums of the groups
    sizes: NDArray[np.int64]  #: events in every cell, in the order in which cells were made
    radii: (
        Floats  #: distance of the seed to the farthest event of every cell, in standard deviations
    )


def resample_cells(X: ArrayLike, weights: ArrayLike, groups: ArrayLike | None = None) -> Resampled:
    """Weights without negative ones, of events with the features ``X``, (n, n_features).

    Distances are Euclidean in features that are divided by their standard deviation in the group. A
    feature that is NaN has the mean of its column, and a column of its own says so, so that events with
    and without are apart. ``groups`` are classes, (n,), between which no weight moves.

    Raises ValueError for weights that are not finite, for infinite features, and for a group whose weights
    add up to less than 0, naming it.

    Examples
    --------
    >>> from fastjag.models.cells import resample_cells
    >>> found = resample_cells([[0.0], [0.1], [5.0]], [2.0, -1.0, 3.0])
    >>> found.weights.round(3), found.sizes
    (array([0.667, 0.333, 3.   ]), array([2]))
    """
    table = np.asarray(X, np.float64)
    if table.ndim != 2:
        raise ValueError(f"X must have shape (n, n_features), got {table.shape}")
    w = np.array(weights, np.float64)
    check_length(w, "weights", len(table), "events")
    for name, bad in (("weights", ~np.isfinite(w)), ("X", np.isinf(table).any(axis=1))):
        if bad.any():
            raise ValueError(f"{name} must be finite, event {int(bad.argmax())} is not")
    labels = np.zeros(len(w), np.int64) if groups is None else np.asarray(groups)
    check_length(labels, "groups", len(w), "events")
    sizes, radii = [], []
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        if w[own].sum() < 0:
            raise ValueError(f"the weights of group {label!s} add up to {w[own].sum():g}, below 0")
        w[own], of_cells = _resample(_standardised(table[own]), w[own])
        sizes += [size for size, _ in of_cells]
        radii += [radius for _, radius in of_cells]
    return Resampled(w, np.array(sizes, np.int64), np.array(radii, np.float64))


def _standardised(table: Floats) -> Floats:
    missing = np.isnan(table)
    count = np.maximum((~missing).sum(axis=0), 1)
    mean = np.where(missing, 0, table).sum(axis=0) / count
    centred = np.where(missing, 0, table - mean)
    spread = np.sqrt((centred**2).sum(axis=0) / count)
    scaled = centred / np.where(spread > 0, spread, 1)
    return np.column_stack([scaled, missing[:, missing.any(axis=0)].astype(np.float64)])


def _resample(x: Floats, w: Floats) -> tuple[Floats, list[tuple[int, float]]]:
    from sklearn.neighbors import NearestNeighbors

    negative = np.flatnonzero(w < 0)
    if not len(negative):
        return w, []
    seeds = negative[np.argsort(w[negative], kind="stable")]
    search = NearestNeighbors().fit(x)
    k = min(_NEIGHBOURS, len(x))
    found = search.kneighbors(x[seeds], k, return_distance=False)
    cells = []
    for seed, near in zip(seeds, found, strict=True):
        if w[seed] >= 0:  # in another cell
            continue
        members, n = _around(seed, near), k
        while not (enough := _enough(w, members)) and n < len(x):
            n = min(4 * n, len(x))
            more: Any = search.kneighbors(x[[seed]], n, return_distance=False)[0]
            members = _around(seed, more)
        # All of a group add up to 0 or more, but for rounding.
        cell = members[: enough or len(members)]
        sizes = np.abs(w[cell])
        w[cell] = sizes * (max(w[cell].sum(), 0.0) / sizes.sum())
        cells.append((len(cell), float(np.sqrt(((x[cell] - x[seed]) ** 2).sum(axis=1)).max())))
    return w, cells


def _around(seed: int, near: NDArray[np.int64]) -> NDArray[np.int64]:
    """The seed first, also where others are at the same place."""
    return np.concatenate([[seed], near[near != seed]])


def _enough(w: Floats, members: NDArray[np.int64]) -> int:
    """How many of them have weights that add up to 0 or more; 0: none of these numbers."""
    sums = np.cumsum(w[members]) >= 0
    return int(sums.argmax()) + 1 if sums.any() else 0
