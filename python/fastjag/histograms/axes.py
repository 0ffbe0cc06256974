"""Axes of histograms as ``hist`` has them, and the edges that count to the last bit."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastjag.core.devices import to_host

MOST_BINS = 2**27  #: of an axis: a gigabyte of counts
RESERVED = ("weight", "sample", "threads")  #: keywords of ``hist.Hist.fill``: hist warns of them


def kernel_axes(hist: Any, given: Sequence[Any]) -> tuple[list[Any], list[NDArray[np.float64]]]:
    """Axes that the kernels know, and the edges that count for each; errors for all others."""
    both = [as_axis(hist, axis) for axis in given]
    for axis, edges in both:
        if edges is None and not isinstance(axis, (hist.axis.Regular, hist.axis.Variable)):
            raise TypeError(f"axis {type(axis).__name__} is not supported; use Regular or Variable")
        if edges is None and axis.traits.growth:
            raise ValueError("growing axes are not supported")
        if edges is None:
            raise ValueError("axes must have underflow and overflow and not be circular")
    return [axis for axis, _ in both], [edges for _, edges in both if edges is not None]


def as_axis(hist: Any, axis: Any) -> tuple[Any, NDArray[np.float64] | None]:
    """An axis of hist, and the edges that count for the kernels; None: they do not know it.

    They know axes of numbers in increasing order with underflow and overflow.
    """
    if isinstance(axis, (hist.axis.Regular, hist.axis.Variable)):
        edges = np.ascontiguousarray(axis.edges, dtype=np.float64)
        if not (edges[1:] > edges[:-1]).all():
            raise ValueError(
                f"the axis must run from low to high, got {edges[0]:g} to {edges[-1]:g}"
            )
        traits = axis.traits
        if traits.circular or traits.growth or not (traits.underflow and traits.overflow):
            return axis, None
        if isinstance(axis, hist.axis.Regular) and axis.transform is None:
            edges = _linspace(len(edges) - 1, float(edges[0]), _high(edges))
        return axis, edges
    if isinstance(axis, hist.axis.AxesMixin):
        return axis, None
    if hasattr(type(axis), "traits"):  # of boost-histogram, without name and label
        (same,) = hist.Hist(axis).axes
        own = copy.copy(same)
        own.label = ""
        return as_axis(hist, own)
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
    try:
        edges = np.asarray(to_host(axis), dtype=np.float64)
    except (TypeError, ValueError):
        edges = np.empty(0)
    if edges.ndim != 1 or len(edges) < 2 or not (edges[1:] > edges[:-1]).all():
        raise ValueError(
            "bin edges must be at least two numbers in increasing order; an axis is one of hist, "
            f"(n_bins, low, high) or bin edges, got {axis!r:.100}"
        )
    return hist.axis.Variable(edges), edges


def name_axes(
    axes: Sequence[Any], names: Sequence[str | None], other: Sequence[str] = ()
) -> list[Any]:
    """The axes, those without name and label with the names of their columns.

    An axis gets the label alone where hist cannot have the name: one that another axis has
    (``other``: names of axes to come), or a keyword of ``hist.Hist.fill``.
    """
    taken = [axis.name for axis in axes if axis.name] + [n for n in names if n]
    taken += [*RESERVED, *other]
    result = []
    for axis, name in zip(axes, names, strict=True):
        if name and not axis.name and not axis.label:
            axis = copy.copy(axis)  # the caller's stays as it is
            axis.label = name
            if taken.count(name) == 1:
                axis.__dict__["name"] = name
        result.append(axis)
    return result


def same_bins(own: Any, given: Any) -> bool:
    """Whether a histogram's axis, which may have grown, is the axis that was given."""
    if own.traits != given.traits:
        return False
    if not own.traits.continuous and type(own) is not type(given):
        return False
    if not own.traits.ordered:  # categories
        first = list(own)[: len(given)] if own.traits.growth else list(own)
        return first == list(given)
    mine, others = own.edges, given.edges
    if not own.traits.growth:
        return own.extent == given.extent and np.array_equal(mine, others)
    if type(own) is type(given) and type(own).__name__ == "Variable":
        return bool(np.isin(others, mine).all())
    width, bins = others[1] - others[0], (others[0] - mine[0]) / (others[1] - others[0])
    return bool(np.isclose(mine[1] - mine[0], width) and abs(bins - round(bins)) < 1e-6)


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
