"""Filling histograms of one and two axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastjag import kernels
from fastjag.core.arrays import Array, as_column, as_float, check_length
from fastjag.core.checks import needs
from fastjag.core.devices import to_host
from fastjag.histograms.axes import as_axes


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
        One column, or a tuple (x, y) of columns of equal length. Columns on a GPU are counted
        there; the histogram is the host's.
    axes
        One axis, or a tuple of two: ``hist.axis`` Regular (also with transform) or Variable,
        a tuple (n_bins, low, high), or an array or list of bin edges in increasing order. A tuple
        has the edges ``numpy.linspace(low, high, n_bins + 1)``, and so has a Regular axis without
        transform. Such an axis does not keep ``high`` but a rounded distance from ``low``; of
        the numbers that make the same axis, ``high`` is one of at most 13 digits if there is one.
    weights
        One per entry; the result then also holds the sum of squared weights.
    out
        A histogram to fill on top, for loops over batches: one that this function returned, or any
        ``hist.Hist`` with the same axes and storage (without weights ``Double`` or ``Int64``, with
        weights ``Weight``). Its ``metadata`` is a dict or None, for the count of NaN.

    Returns
    -------
    hist.Hist
        With ``Double`` storage (counts are exact up to 2**53), or ``Weight`` if there are weights:
        uproot writes both. Bin i holds
        ``edges[i] <= x < edges[i + 1]``, to the last bit what ``numpy.histogram`` gives in float64
        for the same edges, but for the last one: it is exclusive, so that a value on it is
        overflow. Values below the first edge are underflow. The axis of the histogram is Regular
        where a tuple or Regular was given, and hist computes the edges that it shows: they differ
        from those of ``numpy.linspace``, which count, by rounding errors, a few units in the last
        place of the largest edge. With the edges themselves as ``axes`` the axis is Variable and
        shows what counts to the last bit. NaN is in no bin and in no flow bin but
        counted (weighted: summed) in ``result.metadata["nan"]``, which sums of histograms add up,
        and slices, copies and pickles keep (:class:`fastjag.histograms.nan_hist.Hist`).
    """
    needs("hist", "hist")
    import hist

    from fastjag.histograms import nan_hist

    columns = _columns(values)
    given = axes if _is_pair(axes, len(columns)) else (axes,)
    if len(given) != len(columns):
        raise ValueError(f"{len(columns)} columns need as many axes, got {len(given)}")
    binning, edges = as_axes(hist, given)
    weight = None if weights is None else as_float(weights, "weights")
    if weight is not None:
        check_length(weight, "weights", len(columns[0]), "values")
    slots = kernels.histogram(columns, edges, weights=weight, threads=threads)
    sums, variances = to_host(slots[0]), to_host(slots[1])
    storages = (
        [hist.storage.Weight] if weight is not None else [hist.storage.Double, hist.storage.Int64]
    )
    if out is None:
        result = nan_hist.Hist(*binning, storage=storages[0]())
    else:
        result = _check_out(hist, out, binning, storages)
    inner = tuple(slice(0, len(e) + 1) for e in edges)  # every slot but the NaN one
    view = result.view(flow=True)
    if variances is None:
        view += sums[inner]
    else:
        view["value"] += sums[inner]
        view["variance"] += variances[inner]
    nan = sums[-1] if sums.ndim == 1 else sums[-1, :].sum() + sums[:-1, -1].sum()
    nan_hist.count_nan(result, nan.item())
    return result


def _columns(values: Any) -> list[Array]:
    pair = values if _is_pair(values, 2) else (values,)
    names = ("values",) if len(pair) == 1 else ("x", "y")
    columns = [as_column(v, name) for v, name in zip(pair, names, strict=True)]
    dtype = np.float32 if all(c.dtype == np.float32 for c in columns) else np.float64
    if len(columns) == 2:
        check_length(columns[1], "y", len(columns[0]), "values of x")
    return [c.astype(dtype, copy=False) for c in columns]


def _is_pair(value: Any, n: int) -> bool:
    return isinstance(value, tuple) and n == 2 and len(value) == 2


def _check_out(hist: Any, out: Any, axes: Sequence[Any], storages: Sequence[Any]) -> Any:
    """``out``, if it can take this fill."""
    if not isinstance(out, hist.Hist):
        raise TypeError(f"out must be a hist.Hist, got {type(out).__name__}")
    # By their edges: the axes themselves got a label when they became a histogram's.
    same = len(out.axes) == len(axes) and all(
        a.extent == b.extent and np.array_equal(a.edges, b.edges)
        for a, b in zip(out.axes, axes, strict=True)
    )
    if not same or out.storage_type not in storages:
        raise ValueError(
            f"out has axes {tuple(out.axes)} and storage {out.storage_type.__name__}; this fill "
            f"needs {tuple(axes)} and {' or '.join(s.__name__ for s in storages)}"
        )
    metadata = vars(out).get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        raise ValueError(
            "out.metadata must be a dict or None, where NaN can be counted, "
            f"got {type(metadata).__name__}"
        )
    return out
