"""Fills that boost-histogram does: any axes and any number of them, as ``hist`` itself fills them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastjag.core.arrays import Array, as_column, check_length
from fastjag.core.devices import on_gpu, place
from fastjag.histograms.axes import MOST_BINS
from fastjag.histograms.columns import Columns

INT32 = np.iinfo(np.int32)
MOST_CELLS = 2**31  #: of all axes together, as for the kernels


def as_entries(columns: Columns, axes: Sequence[Any]) -> list[Any]:
    """What boost-histogram can fill into the axes: arrays of one length, or a str for all entries.

    Numbers for Regular and Variable, integers of 32 bits for Integer, IntCategory and Boolean, text
    for StrCategory. A number stands for every entry, too.
    """
    for value, called in zip(columns.values, columns.called, strict=True):
        refuse_gpu(value, called, axes)
    entries = [
        _texts(value, called) if type(axis).__name__ == "StrCategory"
        else _numbers(value, called, type(axis).__name__)
        for value, called, axis in zip(columns.repeated(), columns.called, axes, strict=True)
    ]  # fmt: skip
    lengths = [(len(e), c) for e, c in zip(entries, columns.called, strict=True) if _many(e)]
    if not lengths:
        raise ValueError(f"{columns.called[0]} must have one dimension, got {entries[0]!r}")
    n, first = lengths[0]
    for entry, called in zip(entries, columns.called, strict=True):
        if _many(entry):
            check_length(entry, called, n, f"entries of {first}")
    return entries


def check_size(axes: Sequence[Any], entries: Sequence[Any], columns: Columns) -> None:
    """Refuse what would make the axes of a histogram grow beyond memory, before they do."""
    cells = 1
    for axis, entry, name in zip(axes, entries, columns.called, strict=True):
        bins = float(axis.extent)
        if axis.traits.growth and axis.traits.ordered and type(axis).__name__ != "Variable":
            finite = entry[np.isfinite(entry)]
            edges = axis.edges
            if len(finite):
                low, high = min(edges[0], finite.min()), max(edges[-1], finite.max())
                bins += (low < edges[0]) * (edges[0] - low) / (edges[1] - edges[0])
                bins += (high > edges[-1]) * (high - edges[-1]) / (edges[1] - edges[0])
            if not bins <= MOST_BINS:
                raise ValueError(
                    f"{name} has values from {finite.min()} to {finite.max()}, for which the axis "
                    f"would grow to {bins:.3g} bins: up to {MOST_BINS:,} are accepted"
                )
        cells *= math.ceil(bins)
    if cells >= MOST_CELLS:
        raise ValueError(f"the histogram must have less than 2**31 bins, got {cells}")


def refuse_gpu(value: Any, called: str, axes: Sequence[Any]) -> None:
    if on_gpu(value):
        kinds = ", ".join(type(axis).__name__ for axis in axes)
        raise ValueError(
            f"{called} is {place(value)}, but histograms of these axes ({kinds}) are filled by "
            f'boost-histogram on the CPU: take {called} there first, with .to("cpu") of a Jagged, '
            ".get() of CuPy or .cpu() of torch"
        )


def fill(
    result: Any, entries: Sequence[Any], weights: Sequence[Array] | None,
    names: Sequence[str] | None,
) -> float:  # fmt: skip
    """Fill a histogram, with several weights once for each of the names on its first axis.

    Returns how many entries are NaN on one of the axes, or the sum of their weights. They go into no
    bin and no flow bin.
    """
    n = next(len(entry) for entry in entries if _many(entry))
    nan = np.zeros(n, np.bool_)
    for entry in entries:
        if _many(entry) and entry.dtype.kind == "f":
            nan |= np.isnan(entry)
    some = nan.any()
    kept = [entry[~nan] if some and _many(entry) else entry for entry in entries]
    if weights is None:
        result.fill(*kept)
        return int(nan.sum())
    for i, weight in enumerate(weights):
        first = () if names is None else (names[i],)
        result.fill(*first, *kept, weight=weight[~nan] if some else weight)
    return sum(float(weight[nan].sum(dtype=np.float64)) for weight in weights)


def _many(entry: Any) -> bool:
    return not isinstance(entry, str)


def _numbers(value: Any, called: str, kind: str) -> Array:
    column = as_column(value, called)
    if kind in ("Regular", "Variable"):
        return column
    if column.dtype.kind == "f":
        if len(column) == 0:
            return column.astype(np.int64)
        raise TypeError(
            f"{called} has dtype {column.dtype}; {kind} axes take integers and bools: convert with "
            '.astype("int64")'
        )
    if len(column) and not (INT32.min <= column.min() and column.max() <= INT32.max):
        wrong = column.max() if column.max() > INT32.max else column.min()
        raise ValueError(f"{called} has {wrong}; {kind} axes take integers of 32 bits")
    return column


def _texts(value: Any, called: str) -> Any:
    if isinstance(value, str):
        return str(value)
    column = np.asanyarray(value)
    if column.ndim != 1:
        raise ValueError(f"{called} must have one dimension, got shape {column.shape}")
    if len(column) == 0:
        return np.empty(0, "U1")
    if column.dtype.kind == "S":
        try:
            return np.char.decode(column, "utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(f"{called} has bytes that are not UTF-8: {error}") from None
    if column.dtype.kind == "O":
        for i, text in enumerate(column):
            if not isinstance(text, str):
                raise TypeError(
                    f"{called} must be text for a StrCategory axis, entry {i} is {text!r}"
                )
    elif column.dtype.kind not in "UT":
        raise TypeError(
            f"{called} has dtype {column.dtype}; StrCategory axes take text: "
            "for integers there is hist.axis.IntCategory"
        )
    if np.ma.isMaskedArray(column):
        raise TypeError(f"{called} is a NumPy masked array; fill or drop the masked values first")
    return np.asarray(column)
