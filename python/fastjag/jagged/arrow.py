"""Columns to and from Arrow and pandas, without copies where layouts allow.

The libraries are imported by the function that needs them, never at import time.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np

from fastjag.core.arrays import Array, Offsets
from fastjag.core.checks import needs
from fastjag.core.devices import check_on_host
from fastjag.jagged.columns import Column
from fastjag.jagged.interchange import Parts
from fastjag.jagged.shapes import PLAIN, is_flat, is_lists, is_plain

# ---- Arrow ------------------------------------------------------------------------------------


def from_arrow(array: Any) -> Parts:
    import pyarrow as pa

    if not isinstance(array, (pa.Array, pa.ChunkedArray)):
        raise TypeError(f"expected an Arrow array, got {type(array).__name__}; pick a column")
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
        if isinstance(array, pa.ChunkedArray):  # more than fits one array, or none at all
            array = pa.concat_arrays(array.chunks) if array.num_chunks else array
    kind = array.type
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)) or not pa.types.is_struct(
        kind.value_type
    ):
        raise TypeError(f"expected an Arrow list<struct<...>> array, got {kind}")
    if array.null_count:
        raise TypeError(f"the Arrow array has {array.null_count} null events; fill them first")
    return _from_arrow_lists(array, "the Arrow array")


def _from_arrow_lists(array: Any, name: str) -> Parts:
    """Lists without nulls."""
    import pyarrow as pa

    offsets = array.offsets.to_numpy()
    start, stop = (int(offsets[0]), int(offsets[-1])) if len(offsets) else (0, 0)
    content = array.values.slice(start, stop - start)
    if start:
        offsets = offsets - start
    if not pa.types.is_struct(content.type):
        return offsets, {PLAIN: _from_arrow_values(content, name)}
    if content.null_count:
        raise TypeError(f"{name} has {content.null_count} null particles")
    return offsets, {
        field.name: _from_arrow_values(values, f"column {field.name!r}")
        for field, values in zip(content.type, content.flatten(), strict=True)
    }


def _from_arrow_values(values: Any, name: str) -> Array | Parts:
    import pyarrow as pa

    if values.null_count:
        raise TypeError(f"{name} has {values.null_count} nulls; fill them first")
    kind = values.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _from_arrow_lists(values, name)
    if pa.types.is_fixed_size_list(kind) and kind.list_size:
        flat = _from_arrow_values(values.flatten(), name)
        if not isinstance(flat, tuple):
            return flat.reshape(len(values), kind.list_size, *flat.shape[1:])
    if not pa.types.is_primitive(kind):
        raise TypeError(f"{name} has type {kind}; accepted are numbers and lists of them")
    numbers: Array = values.to_numpy(zero_copy_only=not pa.types.is_boolean(kind))
    return numbers


def to_arrow(offsets: Offsets, columns: Mapping[str, Column]) -> Any:
    needs("pyarrow", "arrow")
    check_on_host(offsets, "Arrow")
    import pyarrow as pa

    contents = [arrow_column(column) for column in columns.values()]
    return _arrow_lists(offsets, pa.StructArray.from_arrays(contents, list(columns)))


def to_arrow_lists(offsets: Offsets, values: Column) -> Any:
    needs("pyarrow", "arrow")
    check_on_host(offsets, "Arrow")
    return _arrow_lists(offsets, arrow_column(values))


def _arrow_lists(offsets: Offsets, content: Any) -> Any:
    import pyarrow as pa

    # Arrow's buffers can be written: what kernels trust is copied.
    return pa.LargeListArray.from_arrays(pa.array(offsets.copy()), content)


def arrow_column(column: Column) -> Any:
    """Numbers, lists of a fixed size, lists, or text as a dictionary of its kinds."""
    import pyarrow as pa

    if is_lists(column):
        if is_plain(column):
            return to_arrow_lists(column._offsets, column._columns[PLAIN])
        return to_arrow(column._offsets, column._columns)
    if isinstance(column, np.ndarray) and column.ndim > 1:
        array = pa.array(column.reshape(-1))
        for size in reversed(column.shape[1:]):
            array = pa.FixedSizeListArray.from_arrays(array, size)
        return array
    array = pa.array(column)
    return array.dictionary_encode() if getattr(column, "dtype", None) == object else array


# ---- pandas -----------------------------------------------------------------------------------


def to_pandas(offsets: Offsets, columns: Mapping[str, Column]) -> Any:
    pandas = _pandas(offsets)
    counts = np.diff(offsets)
    events = np.repeat(np.arange(len(counts)), counts)
    index = pandas.MultiIndex.from_arrays(
        [events, np.arange(len(events)) - offsets[events]], names=["entry", "subentry"]
    )
    return pandas.DataFrame(_series(columns, index), index=index, copy=True)


def rows_to_pandas(columns: Mapping[str, Array]) -> Any:
    """A frame with a row per entry of the columns, copied."""
    return _pandas(*columns.values()).DataFrame(dict(columns), copy=True)


def events_to_pandas(flat: Mapping[str, Array], lists: Mapping[str, Any]) -> Any:
    """A frame with a row per event: numbers as they are, lists with Arrow's dtype."""
    pandas = _pandas(*flat.values())
    return pandas.DataFrame(_series({**flat, **lists}), copy=True)


def _series(columns: Mapping[str, Any], index: Any = None) -> dict[str, Any]:
    """Numbers as they are; lists, which pandas has no dtype for, with Arrow's; text as categories."""
    import pandas

    series: dict[str, Any] = {}
    for name, column in columns.items():
        if getattr(column, "dtype", None) == object:
            series[name] = pandas.Categorical(column)
        elif isinstance(column, np.ndarray) and is_flat(column):
            series[name] = column
        else:
            needs("pyarrow", "arrow")
            array = arrow_column(column)
            series[name] = pandas.Series(array, index, dtype=pandas.ArrowDtype(array.type))
    return series


def rows_to_arrow(columns: Mapping[str, Any]) -> Any:
    """A table of columns, arrays of NumPy's or Arrow's, all of the same length."""
    needs("pyarrow", "arrow")
    check_on_host(next(iter(columns.values()), None), "Arrow")
    import pyarrow as pa

    return pa.Table.from_arrays([arrow_column(c) for c in columns.values()], list(columns))


def _pandas(*columns: Any) -> Any:
    if find_spec("pandas") is None:
        raise ModuleNotFoundError("this needs pandas, which is not installed: pip install pandas")
    for values in columns:
        check_on_host(values, "pandas")
    import pandas

    return pandas
