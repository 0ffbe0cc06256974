"""Histograms of many features for many cuts on a score, filled in one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastjag import kernels
from fastjag.core.arrays import Array, as_float, check_length
from fastjag.core.checks import near_misses, needs
from fastjag.core.devices import as_cupy, on_gpu, to_host
from fastjag.histograms.axes import kernel_axes, name_axes
from fastjag.histograms.columns import as_strided, weight_sets


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

    named = _by_name(features)
    score = as_float(scores, "scores")
    for name, column in named.items():
        check_length(column, f"feature {name!r}", len(score), "scores")
    axes, bounds = kernel_axes(hist, _axis_of_each(edges, tuple(named)))
    if isinstance(features, Mapping):  # else the names are positions
        # One at a time: each is the axis of a histogram of its own.
        axes = [name_axes([a], [name])[0] for a, name in zip(axes, named, strict=True)]
    cut = np.asarray(to_host(as_float(cuts, "cuts")), np.float64)
    if len(cut) == 0 or np.isnan(cut).any():
        raise ValueError("cuts must be at least one number, none of them NaN")
    single, replicas = (True, []) if weights is None else weight_sets(weights, len(score), "scores")
    slots = kernels.histogram_cuts(
        list(named.values()), bounds, score, cut, weights=replicas, threads=threads,
    )  # fmt: skip
    counts, *sums = (to_host(a) for a in slots)
    if weights is None:
        return CutHistograms(tuple(named), cut, tuple(axes), counts, None, None)
    if single:
        sums = [a[0] for a in sums]
    return CutHistograms(tuple(named), cut, tuple(axes), counts, sums[0], sums[1])


def _by_name(features: Any) -> dict[str, Array]:
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
    return {name: as_strided(column, f"feature {name!r}") for name, column in columns.items()}


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
