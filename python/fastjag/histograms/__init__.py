"""Histograms as ``hist.Hist``, filled by the compiled kernel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastjag import kernels
from fastjag.core.arrays import Array, as_column, as_float, check_length
from fastjag.core.checks import near_misses, needs
from fastjag.core.devices import as_cupy, on_gpu, to_host

MOST_BINS = 2**27  #: of an axis: a gigabyte of counts


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
    binning, edges = _axes(hist, given)
    weight = None if weights is None else as_float(weights, "weights")
    if weight is not None:
        check_length(weight, "weights", len(columns[0]), "values")
    filled = kernels.histogram(columns, edges, weights=weight, threads=threads)
    sums, variances = to_host(filled[0]), to_host(filled[1])
    storages = (
        [hist.storage.Weight] if weight is not None else [hist.storage.Double, hist.storage.Int64]
    )
    if out is None:
        result = nan_hist.Hist(*binning, storage=storages[0]())
    else:
        result = _checked(hist, out, binning, storages)
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


@dataclass(frozen=True, eq=False)
class CutHistograms:
    """Histograms of features for the events that pass each of several cuts on a score.

    Arrays have the axes ([replica,] cut, feature[, bin]), in the order in which cuts and features
    were given. Features with fewer bins than others have zeros after their last bin.
    """

    features: tuple[str, ...]  #: names; "0", "1", ... where features had none
    cuts: NDArray[np.float64]  #: (n_cuts,)
    axes: tuple[Any, ...]  #: hist axes, one of each feature
    slot_counts: NDArray[np.int64]  #: (n_cuts, n_features, 1 + n_bins + 2): underflow, bins, ...
    slot_sumw: NDArray[np.float64] | None  #: ... overflow and NaN; ([n_replicas,] ...)
    slot_sumw2: NDArray[np.float64] | None

    @property
    def counts(self) -> NDArray[np.int64]:
        """Number of events in each bin, (n_cuts, n_features, n_bins)."""
        return self.slot_counts[..., 1:-2]

    @property
    def underflow(self) -> NDArray[np.int64]:
        """Number of events below the first edge, (n_cuts, n_features)."""
        return self.slot_counts[..., 0]

    @property
    def overflow(self) -> NDArray[np.int64]:
        """Number of events not below the last edge, (n_cuts, n_features)."""
        return self.slot_counts[..., -2]

    @property
    def nan(self) -> NDArray[np.int64]:
        """Number of events whose feature is NaN, (n_cuts, n_features)."""
        return self.slot_counts[..., -1]

    @property
    def sumw(self) -> NDArray[np.float64] | None:
        """Sum of weights in each bin, ([n_replicas,] n_cuts, n_features, n_bins); None without."""
        return None if self.slot_sumw is None else self.slot_sumw[..., 1:-2]

    @property
    def sumw2(self) -> NDArray[np.float64] | None:
        """Sum of squared weights in each bin, shaped as ``sumw``; None without weights."""
        return None if self.slot_sumw2 is None else self.slot_sumw2[..., 1:-2]

    def hist(self, feature: str | int, cut: int, replica: int | None = None) -> Any:
        """One histogram as :func:`histogram` returns it, by name and position of the cut."""
        import hist

        from fastjag.histograms import nan_hist

        if isinstance(feature, str) and feature not in self.features:
            raise KeyError(f"no feature {feature!r}: {near_misses(feature, self.features)}")
        row = self.features.index(feature) if isinstance(feature, str) else feature
        replicas = self.slot_sumw is not None and self.slot_sumw.ndim == 4
        if replicas != (replica is not None):
            raise ValueError(f"replica must be {'an index' if replicas else 'None'}: weights "
                             f"{'had' if replicas else 'had no'} replicas")  # fmt: skip
        axis = self.axes[row]
        # The axis' own slots and overflow, NaN not among them.
        slots = [*range(len(axis) + 1), -2]
        where = (cut, row) if replica is None else (replica, cut, row)
        if self.slot_sumw is None or self.slot_sumw2 is None:
            result = nan_hist.Hist(axis, storage=hist.storage.Double())
            result.view(flow=True)[:] = self.slot_counts[cut, row][slots]
            nan_hist.count_nan(result, self.slot_counts[cut, row, -1].item())
        else:
            result = nan_hist.Hist(axis, storage=hist.storage.Weight())
            result.view(flow=True)["value"] = self.slot_sumw[where][slots]
            result.view(flow=True)["variance"] = self.slot_sumw2[where][slots]
            nan_hist.count_nan(result, self.slot_sumw[where][-1].item())
        return result


def histogram_cuts(
    features: Mapping[str, ArrayLike] | Sequence[ArrayLike] | Array,
    edges: Any,
    scores: ArrayLike,
    cuts: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    threads: int | None = None,
) -> CutHistograms:
    """Histogram many features for many cuts on a score, in one pass over the events.

    For every cut, events with ``score >= cut`` (compared in float64) fill one histogram per
    feature. An event whose score is NaN passes no cut, not even ``-inf``.

    Parameters
    ----------
    features
        A dict or sequence of columns, or an array (n_events, n_features); read without a copy
        if of float32 or float64 in native byte order. On a GPU if scores and weights are.
    edges
        An axis as for :func:`histogram`, the same for all features, or one of each: a dict by
        the features' names, or a sequence.
    scores
        (n_events,).
    cuts
        (n_cuts,), in any order.
    weights
        (n_events,), or (n_replicas, n_events) for as many sets of histograms, as bootstrap asks for.

    Returns
    -------
    CutHistograms
        With ``counts``, and ``sumw`` and ``sumw2`` if there are weights. Counts do not depend on
        the number of threads, sums only by rounding.
    """
    needs("hist", "hist")
    import hist

    named = _named(features)
    score = as_float(scores, "scores")
    for name, column in named.items():
        check_length(column, f"feature {name!r}", len(score), "scores")
    axes, bounds = _axes(hist, _axis_of_each(edges, tuple(named)))
    cut = np.asarray(to_host(as_float(cuts, "cuts")), np.float64)
    if len(cut) == 0 or np.isnan(cut).any():
        raise ValueError("cuts must be at least one number, none of them NaN")
    single, replicas = (True, []) if weights is None else _replicas(weights, len(score))
    filled = kernels.histogram_cuts(
        list(named.values()), bounds, score, cut, weights=replicas, threads=threads,
    )  # fmt: skip
    counts, *sums = (to_host(a) for a in filled)
    if weights is None:
        return CutHistograms(tuple(named), cut, tuple(axes), counts, None, None)
    if single:
        sums = [a[0] for a in sums]
    return CutHistograms(tuple(named), cut, tuple(axes), counts, sums[0], sums[1])


def _named(features: Any) -> dict[str, Array]:
    """The columns of features by name."""
    if isinstance(features, Mapping):
        columns = {str(name): column for name, column in features.items()}
    elif isinstance(features, np.ndarray) or on_gpu(features):
        features = as_cupy(features)
        if features.ndim != 2:
            raise ValueError(
                f"features must be of shape (n_events, n_features), got {features.shape}"
            )
        columns = {str(i): features[:, i] for i in range(features.shape[1])}
    else:
        columns = {str(i): column for i, column in enumerate(features)}
    if not columns:
        raise ValueError("features must be at least one column, got none")
    return {name: _strided(column, f"feature {name!r}") for name, column in columns.items()}


def _strided(values: Any, name: str) -> Array:
    """A float column, as it lies in memory where the kernel can read that."""
    if on_gpu(values):
        values = as_cupy(values)
        known = values.ndim == 1 and values.dtype in (np.float32, np.float64)
        return values if known else as_float(values, name)
    if isinstance(values, np.ndarray) and not np.ma.isMaskedArray(values) and values.ndim == 1:
        known = values.dtype in (np.float32, np.float64) and values.dtype.isnative
        if known and values.flags.aligned and values.strides[0] % values.itemsize == 0:
            return values
    return as_float(values, name)


def _replicas(weights: Any, n_events: int) -> tuple[bool, list[Array]]:
    """Whether there is one set of weights, not several; each of them."""
    of_gpu = isinstance(weights, (list, tuple)) and any(map(on_gpu, weights))
    rows: Any = weights if of_gpu else as_cupy(weights)
    if not (of_gpu or on_gpu(rows)):
        rows = np.asanyarray(rows)
    single = not of_gpu and rows.ndim == 1
    named = {"weights": rows} if single else {f"weights[{i}]": w for i, w in enumerate(rows)}
    if not named:
        raise ValueError("weights must be of at least one replica, got none")
    sets = [_strided(column, name) for name, column in named.items()]
    for name, column in zip(named, sets, strict=True):
        check_length(column, name, n_events, "scores")
    return single, sets


def _axis_of_each(edges: Any, names: tuple[str, ...]) -> list[Any]:
    """What was given for each feature."""
    if isinstance(edges, Mapping):
        if set(edges) != set(names):
            raise ValueError(f"edges are of {sorted(edges)}, but features are {sorted(names)}")
        return [edges[name] for name in names]
    one_of_each = (
        edges.ndim == 2
        if isinstance(edges, np.ndarray)
        else isinstance(edges, Sequence) and not all(isinstance(e, Real) for e in edges)
    )
    if not one_of_each:
        return [edges] * len(names)
    if len(edges) != len(names):
        raise ValueError(f"edges are of {len(edges)} features, but there are {len(names)}")
    return list(edges)


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


def _axes(hist: Any, given: Sequence[Any]) -> tuple[list[Any], list[NDArray[np.float64]]]:
    """The axes of a histogram, and the edges that count for each of them."""
    both = [_axis(hist, axis) for axis in given]
    return [axis for axis, _ in both], [edges for _, edges in both]


def _axis(hist: Any, axis: Any) -> tuple[Any, NDArray[np.float64]]:
    if isinstance(axis, (hist.axis.Regular, hist.axis.Variable)):
        if axis.traits.circular or not (axis.traits.underflow and axis.traits.overflow):
            raise ValueError("axes must have underflow and overflow and not be circular")
        if axis.traits.growth:
            raise ValueError("growing axes are not supported")
        edges = np.ascontiguousarray(axis.edges, dtype=np.float64)
        if not (edges[1:] > edges[:-1]).all():
            raise ValueError(
                f"the axis must run from low to high, got {edges[0]:g} to {edges[-1]:g}"
            )
        if isinstance(axis, hist.axis.Regular) and axis.transform is None:
            edges = _linspace(len(edges) - 1, float(edges[0]), _high(edges))
        return axis, edges
    if isinstance(axis, tuple) and len(axis) == 3 and isinstance(axis[0], (int, np.integer)):
        n_bins, low, high = axis
        if n_bins < 1 or not low < high:
            raise ValueError(f"axis must be (n_bins, low, high) with low < high, got {axis!r}")
        if not np.isfinite([low, high]).all():
            raise ValueError(f"low and high of an axis must be finite, got {axis!r}")
        if n_bins > MOST_BINS:
            raise ValueError(f"an axis can have up to {MOST_BINS:,} bins, got {n_bins}")
        edges = _linspace(int(n_bins), float(low), float(high))
        return hist.axis.Regular(*axis), edges
    if isinstance(axis, hist.axis.AxesMixin):
        raise TypeError(f"axis {type(axis).__name__} is not supported; use Regular or Variable")
    edges = np.asarray(to_host(axis), dtype=np.float64)
    if edges.ndim != 1 or len(edges) < 2 or not (edges[1:] > edges[:-1]).all():
        raise ValueError("bin edges must be at least two numbers in increasing order")
    return hist.axis.Variable(edges), edges


def _linspace(n_bins: int, low: float, high: float) -> NDArray[np.float64]:
    with np.errstate(over="ignore", invalid="ignore"):
        edges = np.linspace(low, high, n_bins + 1)
    if not (edges[1:] > edges[:-1]).all():
        raise ValueError(f"float64 has no {n_bins} bins of one width from {low!r} to {high!r}")
    return edges


def _high(edges: NDArray[np.float64]) -> float:
    """What a Regular axis that shows these edges was made with.

    The axis keeps high - low, rounded, and shows the rounded sum of that and low: for 10.77 after
    -6.49 it is 10.769999999999998. Many numbers may give the same; people write down few digits.
    """
    low, shown = float(edges[0]), float(edges[-1])
    written = (float(f"{shown:.{digits}e}") for digits in range(13))
    for high in (*written, shown, *(float(x) for x in np.nextafter(shown, [-np.inf, np.inf]))):
        if low + (high - low) == shown:
            return high
    return shown


def _checked(hist: Any, out: Any, axes: Sequence[Any], storages: Sequence[Any]) -> Any:
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
