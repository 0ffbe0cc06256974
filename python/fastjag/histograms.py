"""Histograms as ``hist.Hist``, filled by the compiled kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastjag import kernels
from fastjag.arrays import Array, as_column, as_float, check_length, needs


def histogram(
    values: ArrayLike | tuple[ArrayLike, ArrayLike],
    axes: Any,
    *,
    weights: ArrayLike | None = None,
    out: Any = None,
    threads: int | None = None,
) -> Any:
    """Fill a 1-D or 2-D histogram.

    Parameters
    ----------
    values
        One column, or a tuple (x, y) of columns of equal length.
    axes
        One axis, or a tuple of two: ``hist.axis`` Regular (also with transform) or Variable,
        a tuple (n_bins, low, high), or an array or list of bin edges in increasing order.
    weights
        One per entry; the result then also holds the sum of squared weights.
    out
        A histogram that this function returned earlier for the same axes: filled on top, for
        loops over batches.

    Returns
    -------
    hist.Hist
        With ``Int64`` storage, or ``Weight`` if there are weights. Bin i holds
        ``edges[i] <= x < edges[i + 1]``, to the last bit what ``numpy.histogram`` gives in float64
        for the same edges (those of ``numpy.linspace`` for a Regular axis); values
        below and above are in the underflow and overflow. NaN is in no bin and in no flow bin but
        counted (weighted: summed) in ``result.metadata["nan"]``, which ``+`` does not add up.
    """
    needs("hist", "hist")
    import hist

    columns = _columns(values)
    given = axes if _is_pair(axes, len(columns)) else (axes,)
    if len(given) != len(columns):
        raise ValueError(f"{len(columns)} columns need as many axes, got {len(given)}")
    binning = [_axis(hist, a) for a in given]
    weight = None if weights is None else as_float(weights, "weights")
    if weight is not None:
        check_length(weight, "weights", len(columns[0]), "values")
    edges = [_edges(hist, a) for a in binning]
    sums, variances = kernels.histogram(columns, edges, weights=weight, threads=threads)
    storage = hist.storage.Int64() if weight is None else hist.storage.Weight()
    if out is None:
        result = hist.Hist(*binning, storage=storage)
        result.metadata = {"nan": 0}
    else:
        result = _checked(hist, out, binning, storage)
    inner = tuple(slice(0, len(e) + 1) for e in edges)  # every slot but the NaN one
    view = result.view(flow=True)
    if variances is None:
        view += sums[inner]
    else:
        view["value"] += sums[inner]
        view["variance"] += variances[inner]
    nan = sums[-1] if sums.ndim == 1 else sums[-1, :].sum() + sums[:-1, -1].sum()
    result.metadata["nan"] += nan.item()
    return result


def _columns(values: Any) -> list[Array]:
    pair = values if _is_pair(values, 2) else (values,)
    names = ("values",) if len(pair) == 1 else ("x", "y")
    columns = [as_column(v, name) for v, name in zip(pair, names, strict=True)]
    dtype = np.float32 if all(c.dtype == np.float32 for c in columns) else np.float64
    if len(columns) == 2:
        check_length(columns[1], "y", len(columns[0]), "values of x")
    return [c.astype(dtype, copy=False) for c in columns]


def _edges(hist: Any, axis: Any) -> NDArray[np.float64]:
    edges = np.ascontiguousarray(axis.edges, dtype=np.float64)
    if isinstance(axis, hist.axis.Regular) and axis.transform is None:
        # The edges that a Regular axis shows are rounded a second time: of 100 bins in 0-200 one
        # begins at 56.00000000000001, and a value of 56 would fall below it.
        edges = np.linspace(edges[0], edges[-1], len(edges))
    if not (edges[1:] > edges[:-1]).all():
        raise ValueError(f"the axis must run from low to high, got {edges[0]:g} to {edges[-1]:g}")
    return edges


def _is_pair(value: Any, n: int) -> bool:
    return isinstance(value, tuple) and n == 2 and len(value) == 2


def _axis(hist: Any, axis: Any) -> Any:
    if isinstance(axis, (hist.axis.Regular, hist.axis.Variable)):
        if axis.traits.circular or not (axis.traits.underflow and axis.traits.overflow):
            raise ValueError("axes must have underflow and overflow and not be circular")
        if axis.traits.growth:
            raise ValueError("growing axes are not supported")
        return axis
    if isinstance(axis, tuple) and len(axis) == 3 and isinstance(axis[0], (int, np.integer)):
        if axis[0] < 1 or not axis[1] < axis[2]:
            raise ValueError(f"axis must be (n_bins, low, high) with low < high, got {axis!r}")
        return hist.axis.Regular(*axis)
    if isinstance(axis, hist.axis.AxesMixin):
        raise TypeError(f"axis {type(axis).__name__} is not supported; use Regular or Variable")
    edges = np.asarray(axis, dtype=np.float64)
    if edges.ndim != 1 or len(edges) < 2 or not (edges[1:] > edges[:-1]).all():
        raise ValueError("bin edges must be at least two numbers in increasing order")
    return hist.axis.Variable(edges)


def _checked(hist: Any, out: Any, axes: Sequence[Any], storage: Any) -> Any:
    metadata = vars(out).get("metadata") if isinstance(out, hist.Hist) else None
    if not isinstance(metadata, dict) or "nan" not in metadata:
        raise ValueError(f"out must be a histogram that fastjag.histogram returned, got {out!r}")
    # By their edges: the axes themselves got a label when they became a histogram's.
    same = len(out.axes) == len(axes) and all(
        np.array_equal(a.edges, b.edges) for a, b in zip(out.axes, axes, strict=True)
    )
    if not same or out.storage_type is not type(storage):
        raise ValueError(
            f"out has axes {tuple(out.axes)} and storage {out.storage_type.__name__}; "
            f"this fill needs {tuple(axes)} and {type(storage).__name__}"
        )
    return out
