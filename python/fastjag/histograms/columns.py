"""What ``fj.histogram`` is given: columns and their names, the axis of each, weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from fastjag.core.arrays import Array, as_column, as_float, check_length
from fastjag.core.checks import near_misses
from fastjag.core.devices import as_cupy, on_gpu, to_device_of, to_host


class Columns(NamedTuple):
    """Columns of values, and of each what errors call it, its name if it has one, and its axis."""

    values: list[Any]
    called: list[str]
    names: list[str | None]
    axes: list[Any]

    def repeated(self) -> list[Any]:
        """The columns, of several those that are numbers repeated for every entry."""
        like = next((value for value in self.values if not is_scalar(value)), None)
        if like is None or len(self.values) == 1 or not hasattr(like, "__len__"):
            return self.values
        return [
            repeat(value, len(like), like)
            if is_scalar(value) and not isinstance(value, (str, bytes))
            else value
            for value in self.values
        ]


def match(values: Any, axes: Any) -> Columns:
    """Columns and axes that belong together, one of each, in the order of the axes."""
    keys = list(axes) if isinstance(axes, Mapping) else None
    given = list(axes.values()) if isinstance(axes, Mapping) else list(_each(axes))
    table = _names_of_table(values)
    if not given or table == []:
        raise ValueError("a histogram needs at least one column and its axis, got none")
    if table is None:
        several = list(values) if _is_several(values) else [values]
        columns, own = zip(*map(_column_and_name, several), strict=True)
        names = keys or list(own)
        called = ["values"] if len(columns) == 1 else [f"values[{i}]" for i in range(len(columns))]
        if len(columns) == 2:
            called = ["x", "y"]
    else:
        names = keys or _columns_for(given, table)
        for name in names:
            if name not in table and not hasattr(
                values, "fields"
            ):  # those have errors of their own
                known = [str(column) for column in table]
                raise KeyError(f"no column {name!r} for an axis: {near_misses(str(name), known)}")
        columns = tuple(_column_and_name(values[name])[0] for name in names)
        called = [f"column {name!r}" for name in names]
    if len(given) != len(columns):
        hint = (
            "; a list is one column: several columns are a tuple"
            if isinstance(values, list)
            else ""
        )
        raise ValueError(f"{len(columns)} columns need as many axes, got {len(given)}{hint}")
    return Columns(list(columns), called, [n if n is None else str(n) for n in names], given)


def _each(axes: Any) -> Sequence[Any]:
    """One axis, or several: a tuple of numbers is (n_bins, low, high), a list of them edges."""
    one = not isinstance(axes, (tuple, list)) or not any(
        isinstance(a, (tuple, list)) or hasattr(type(a), "traits") or getattr(a, "ndim", 0) > 0
        for a in axes
    )
    return (axes,) if one else axes


def _is_several(values: Any) -> bool:
    """Whether these are columns: a tuple, not of numbers or words alone."""
    return isinstance(values, tuple) and not all(is_scalar(value) for value in values)


def is_scalar(value: Any) -> bool:
    ndim = getattr(value, "ndim", None)  # of a Jagged it may be a column
    return isinstance(value, (Real, str, bytes)) or (isinstance(ndim, int) and ndim == 0)


def _names_of_table(values: Any) -> list[Any] | None:
    """Names of the columns of a dict, Dimuons, Jagged, batch, data frame or records; else None."""
    if isinstance(values, Mapping):
        return list(values)
    if isinstance(values, (np.ndarray, list, tuple)):
        return None
    for attribute in ("column_names", "columns", "fields"):  # of Arrow, of Jagged and frames, ...
        names = getattr(values, attribute, None)
        if names is not None and not isinstance(names, np.ndarray) and not callable(names):
            return list(names) or None
    return None


def _columns_for(axes: Sequence[Any], table: list[Any]) -> list[Any]:
    """Which columns of a table the axes mean: those of their names, or all in their order."""
    named = [getattr(axis, "name", "") for axis in axes]
    if all(name and name in table for name in named):
        return named
    if len(axes) != len(table):
        raise ValueError(
            f"a table of {len(table)} columns needs as many axes, got {len(axes)}; pick columns by a "
            'dict of axes, such as {"mass": (120, 60, 120)}'
        )
    return table


def _column_and_name(value: Any) -> tuple[Any, Any]:
    """A column, and its name if it has one: a Series, or a table of nothing else."""
    table = _names_of_table(value)
    if table is not None:
        if len(table) != 1:
            raise ValueError(
                f"a table among columns must have one column, got {table}: pick one by "
                f"[[{table[0]!r}]]"
            )
        return value[table[0]], table[0]
    name = getattr(value, "name", None)
    return value, name if isinstance(name, str) and name else None


def numbers(columns: Columns) -> list[Array]:
    """Columns for the kernels: of one float dtype and one length."""
    checked = list(map(as_column, columns.repeated(), columns.called))
    dtype = np.float32 if all(c.dtype == np.float32 for c in checked) else np.float64
    if len(checked) == 2:
        what = "values of x" if columns.called == ["x", "y"] else f"entries of {columns.called[0]}"
        check_length(checked[1], columns.called[1], len(checked[0]), what)
    return [c.astype(dtype, copy=False) for c in checked]


def repeat(value: Any, n: int, like: Any) -> Any:
    """A number for every one of n entries, on the device of another column."""
    return to_device_of(like, np.full(n, to_host(value)))


def as_weights(weights: Any, n: int, like: Any) -> Array:
    """A float column of n weights; a number is the weight of every entry."""
    if is_scalar(weights) and not isinstance(weights, (str, bytes)):
        weights = repeat(float(weights), n, like)
    if getattr(weights, "ndim", 1) == 2:
        raise ValueError(
            f"weights must have one dimension, got shape {tuple(weights.shape)}: rows of weights "
            'need names, variations=["nominal", ...]'
        )
    column = as_float(weights, "weights")
    check_length(column, "weights", n, "values")
    return column


def weight_sets(weights: Any, n: int, what: str) -> tuple[bool, list[Array]]:
    """Whether there is one set of weights, not several; each of them, n long.

    ``what`` is what there are n of.
    """
    rows: Any = weights
    several = isinstance(weights, (list, tuple)) and not all(map(is_scalar, weights))
    if not several:
        rows = as_cupy(weights)
        rows = rows if on_gpu(rows) else np.asanyarray(rows)
    single = not several and rows.ndim == 1
    named = {"weights": rows} if single else {f"weights[{i}]": w for i, w in enumerate(rows)}
    if not named:
        raise ValueError("weights must be of at least one replica, got none")
    sets = [as_strided(column, name) for name, column in named.items()]
    for name, column in zip(named, sets, strict=True):
        check_length(column, name, n, what)
    return single, sets


def as_strided(values: Any, name: str) -> Array:
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
