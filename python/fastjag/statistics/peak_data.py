"""What a peak is fitted to: masses one by one, or bins; and the errors where it cannot be."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastjag.core.arrays import as_float
from fastjag.core.devices import to_host
from fastjag.statistics.windows import Floats

Interval = tuple[float, float]
_LEAST = 10  # entries


class PeakData(NamedTuple):
    """Entries in a window: ``masses`` is None where they come in bins."""

    masses: Floats | None
    edges: Floats  #: (n_bins + 1,)
    counts: Floats  #: of pictures and chi2 where there are masses
    variances: Floats
    weighted: bool

    @property
    def window(self) -> Interval:
        return float(self.edges[0]), float(self.edges[-1])


def peak_data(data: Any, window: Any, free: int) -> PeakData:
    """Entries of masses, of a histogram or of (counts, edges), for a fit of ``free`` parameters."""
    interval = None if window is None else _interval(window)
    if hasattr(data, "axes") and callable(getattr(data, "values", None)):
        counts, edges, variances = _histogram(data)
        return _bins(counts, edges, variances, interval, free)
    if isinstance(data, tuple):
        if len(data) not in (2, 3):
            raise ValueError(
                f"bins are (counts, edges) or (counts, edges, variances), got {len(data)} arrays"
            )
        counts, edges = (_host(x, name) for x, name in zip(data, ("counts", "edges"), strict=False))
        if len(edges) != len(counts) + 1:
            raise ValueError(
                f"{len(counts)} counts need {len(counts) + 1} edges, got {len(edges)} "
                "(masses are one array, not a tuple)"
            )
        variances = _host(data[2], "variances") if len(data) == 3 else None
        if variances is not None and len(variances) != len(counts):
            raise ValueError(f"{len(counts)} counts need as many variances, got {len(variances)}")
        return _bins(counts, edges, variances, interval, free)
    if interval is None:
        raise ValueError("masses need window=(low, high)")
    return _masses(_host(data, "masses"), interval, free)


def _host(values: Any, name: str) -> Floats:
    return np.asarray(to_host(as_float(values, name)), np.float64)


def _interval(window: Any) -> Interval:
    try:
        low, high = (float(edge) for edge in window)
    except (TypeError, ValueError):
        raise ValueError(f"window must be (low, high), got {window!r}") from None
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise ValueError(f"window must be (low, high) with low < high, got {window!r}")
    return low, high


def _histogram(h: Any) -> tuple[Floats, Floats, Floats | None]:
    """Of any histogram with axes, values() and variances(), such as hist's and uproot's."""
    if len(h.axes) != 1:
        raise ValueError(f"a peak is fitted to a histogram of one axis, this one has {len(h.axes)}")
    if str(getattr(h, "kind", "COUNT")).rpartition(".")[2] == "MEAN":
        raise ValueError("the histogram holds means, not counts")
    given = getattr(h.axes[0], "edges", None)
    edges = given() if callable(given) else given
    if edges is None or not np.issubdtype(np.asarray(edges).dtype, np.number):
        raise ValueError("the axis of the histogram has no edges")
    counts = np.asarray(h.values(), np.float64)
    variances = h.variances()
    if variances is None:
        raise ValueError(
            "the histogram has weights but no sums of their squares: fill it with storage Weight"
        )
    edges, variances = np.asarray(edges, np.float64), np.asarray(variances, np.float64)
    return counts, edges, None if np.array_equal(counts, variances) else variances


def _bins(
    counts: Floats, edges: Floats, variances: Floats | None, window: Interval | None, free: int
) -> PeakData:
    if not (np.isfinite(edges).all() and (np.diff(edges) > 0).all()):
        raise ValueError("edges must be finite and increase")
    low, high = float(edges[0]), float(edges[-1])
    if window is not None:
        slack = 1e-9 * (high - low)
        if window[0] < low - slack or window[1] > high + slack:
            raise ValueError(
                f"window {window[0]:g} to {window[1]:g} is outside of the bins, "
                f"which go from {low:g} to {high:g}"
            )
        inside = (edges[:-1] >= window[0] - slack) & (edges[1:] <= window[1] + slack)
        at = np.flatnonzero(inside)
        if not len(at):
            raise ValueError(f"no bin lies in the window {window[0]:g} to {window[1]:g}")
        chosen = slice(at[0], at[-1] + 1)
        counts, edges = counts[chosen], edges[at[0] : at[-1] + 2]
        variances = None if variances is None else variances[chosen]
    squares = counts if variances is None else variances
    wrong = ~(np.isfinite(counts) & np.isfinite(squares)) | (counts < 0) | (squares < 0)
    if wrong.any():
        i = int(wrong.argmax())
        raise ValueError(
            f"the bin {edges[i]:g} to {edges[i + 1]:g} holds {counts[i]:g} with variance "
            f"{squares[i]:g}: a likelihood needs bins that are finite and not negative"
        )
    if (empty := (counts > 0) & (squares == 0)).any():
        i = int(empty.argmax())
        raise ValueError(f"the bin {edges[i]:g} to {edges[i + 1]:g} holds {counts[i]:g} but no variance")  # fmt: skip
    # Of weighted entries: as many without weights would be as precise.
    total = float(counts.sum())
    n = total * total / float(squares.sum()) if total else 0.0
    _enough(n, (float(edges[0]), float(edges[-1])), free, f"bins go from {low:g} to {high:g}")
    if len(counts) <= free:
        raise ValueError(f"{len(counts)} bins cannot fix {free} parameters: take narrower bins")
    return PeakData(None, edges, counts, squares, variances is not None)


def _masses(masses: Floats, window: Interval, free: int) -> PeakData:
    if (nan := int(np.isnan(masses).sum())) > 0:
        raise ValueError(f"{nan:,} of {len(masses):,} masses are NaN: drop them first")
    chosen = masses[(masses >= window[0]) & (masses < window[1])]
    span = f"masses go from {masses.min():g} to {masses.max():g}" if len(masses) else "none given"
    _enough(len(chosen), window, free, f"{len(masses):,} in all, {span}")
    bins = int(np.clip(round(2 * len(chosen) ** 0.4), 12, 80))
    edges = np.linspace(*window, bins + 1)
    counts = np.histogram(chosen, edges)[0].astype(np.float64)
    return PeakData(chosen, edges, counts, counts, False)


def _enough(n: float, window: Interval, free: int, span: str) -> None:
    least = max(_LEAST, free + 2)
    if n < least:
        raise ValueError(
            f"{n:,.3g} entries between {window[0]:g} and {window[1]:g} ({span}); "
            f"a fit of {free} parameters needs at least {least}"
        )
