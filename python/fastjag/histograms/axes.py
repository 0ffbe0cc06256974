"""Axes of histograms as ``hist`` has them, and the edges that count to the last bit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastjag.core.devices import to_host

MOST_BINS = 2**27  #: of an axis: a gigabyte of counts


def as_axes(hist: Any, given: Sequence[Any]) -> tuple[list[Any], list[NDArray[np.float64]]]:
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
