"""Weights of several variations, filled along an axis of their names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastjag import kernels
from fastjag.core.arrays import Array, as_native
from fastjag.core.devices import namespace, on_gpu, to_host
from fastjag.histograms.columns import is_scalar

AXIS = "variation"  #: name of the axis
#: Entries up to which a GPU fills all variations in one pass, as a CPU does always.
FEW = 2**15


def as_names(variations: Any, weights: Any) -> list[str]:
    """Names of variations, as many as there are rows of weights."""
    names = [] if isinstance(variations, (str, bytes)) else list(variations)
    if not names or not all(isinstance(name, str) for name in names):
        raise TypeError(f"variations must be a list of names, got {variations!r}")
    if len(set(names)) < len(names):
        raise ValueError(f"variations must have different names, got {names}")
    shape = getattr(weights, "shape", None)
    if shape is None:
        rows = list(weights) if isinstance(weights, (list, tuple)) else []
        shape = (len(rows),) if all(map(is_scalar, rows)) else (len(rows), "n")
    if len(shape) != 2 or shape[0] != len(names):
        raise ValueError(
            f"weights must be of shape (n_variations, n) for {len(names)} variations, got shape "
            f"({', '.join(map(str, shape))}{',' * (len(shape) == 1)})"
        )
    return [str(name) for name in names]


def axis_of(hist: Any, names: Sequence[str], out: Any) -> Any:
    """The axis of these variations; one that grows, where that of ``out`` does."""
    own = out.axes[0] if out is not None and out.axes else None
    if isinstance(own, hist.axis.StrCategory) and own.traits.growth:
        return hist.axis.StrCategory(list(own), growth=True, name=AXIS)
    return hist.axis.StrCategory(names, name=AXIS)


def rows_of(result: Any, names: Sequence[str]) -> list[int]:
    """Where the variations stand on the first axis of a histogram, which grows if it can."""
    if not result.axes[0].traits.growth:
        return list(range(len(names)))
    known = set(result.axes[0])
    for name in names:
        if name not in known:  # nothing, beyond all bins
            result.fill(name, *[np.array([np.nan])] * (result.ndim - 1), weight=np.zeros(1))
    at = {name: i for i, name in enumerate(result.axes[0])}
    return [at[name] for name in names]


def one_pass(
    columns: Sequence[Array], edges: Sequence[NDArray[np.float64]], rows: Sequence[Array],
    threads: int | None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # fmt: skip
    """Sums of w and of w² of histograms of many columns, (n_variations, n_columns, slots).

    Slots are underflow, as many bins as the axis with most of them has, overflow, NaN.
    """
    x = columns[0]
    passing = namespace(x).zeros(len(x), np.float32)
    cut = np.array([-np.inf])
    _, *both = kernels.histogram_cuts(columns, edges, passing, cut, weights=rows, threads=threads)
    sumw, sumw2 = (to_host(a)[:, 0] for a in both)
    return sumw, sumw2


def sums(
    columns: Sequence[Array], edges: Sequence[NDArray[np.float64]], rows: Sequence[Array],
    threads: int | None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # fmt: skip
    """Sums of w and of w² by the kernels, (n_variations, slots of x[, slots of y])."""
    if len(columns) == 1 and (len(columns[0]) <= FEW or not on_gpu(columns[0])):
        sumw, sumw2 = one_pass(columns, edges, rows, threads)
        return sumw[:, 0], sumw2[:, 0]
    one_each = [
        kernels.histogram(columns, edges, weights=as_native(w), threads=threads) for w in rows
    ]
    first, second = zip(*one_each, strict=True)
    return np.stack([to_host(a) for a in first]), np.stack([to_host(a) for a in second])
