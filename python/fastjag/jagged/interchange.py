"""Columns to and from awkward, Arrow, pandas and torch, without copies where layouts allow.

The libraries are imported by the function that needs them, never at import time.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from fastjag.core.arrays import Array, Offsets, as_column, as_offsets
from fastjag.core.checks import near_misses, needs
from fastjag.core.devices import on_gpu

Parts = tuple[Offsets, dict[str, Array]]


# ---- awkward ----------------------------------------------------------------------------------


def from_awkward(array: Any, columns: list[str] | None) -> Parts:
    import awkward as ak

    layout = ak.to_layout(array)
    if layout.backend.name != "cpu":
        raise TypeError(f"awkward array on backend {layout.backend.name!r}; accepted is 'cpu'")
    if not layout.fields:
        raise TypeError(
            f"expected an awkward array of records, got {ak.type(array)}; "
            'name its column, for example ak.zip({"pt": array})'
        )
    for name in columns or ():
        if name not in layout.fields:
            raise KeyError(f"no field {name!r}: {near_misses(name, layout.fields)}")
    names = columns or list(layout.fields)
    layout = _materialise(ak, layout[names])
    if layout.is_record:  # a record of lists: every field brings its own offsets
        parts = [_flat_list(layout.content(name), name) for name in names]
        first = parts[0]
        for name, (offsets, _) in zip(names, parts, strict=True):
            if not np.array_equal(offsets, first[0]):
                raise ValueError(f"fields {names[0]!r} and {name!r} have different lengths")
        return first[0], {n: _values(p[1], n) for n, p in zip(names, parts, strict=True)}
    offsets, content = _flat_list(layout, "the array")
    content = _unwrap(content, "the particles")
    if not content.is_record:
        raise TypeError(f"expected lists of records, got {ak.type(array)}")
    return offsets, {n: _values(_unwrap(content.content(n), n), n) for n in names}


def awkward_column(array: Any, name: str) -> tuple[Offsets | None, Array]:
    """(offsets, values) of one column of lists, (None, values) of numbers per event."""
    import awkward as ak

    layout = _unwrap(ak.to_layout(array), f"branch {name!r}")
    text = layout.parameter("__array__") in ("string", "bytestring")
    if layout.is_numpy or (layout.is_regular and layout.content.is_numpy and not text):
        return None, np.asarray(ak.to_numpy(layout))
    if not layout.is_list or text:
        raise TypeError(
            f"branch {name!r} has type {layout.form.type}; accepted are numbers and lists of them"
        )
    offsets, content = _flat_list(layout, f"branch {name!r}")
    return offsets, _values(content, name)


def _materialise(ak: Any, layout: Any) -> Any:
    """coffea's lazy columns, loaded (awkward < 2.8 has none)."""
    return ak.materialize(layout, highlevel=False) if hasattr(ak, "materialize") else layout


def _unwrap(layout: Any, name: str) -> Any:
    """Without index and option wrappers; a real option type is refused."""
    while True:
        if layout.is_option:
            missing = int(np.count_nonzero(layout.mask_as_bool(valid_when=False)))
            if missing:
                raise TypeError(
                    f"{name} has {missing} missing values (option type); fill them with "
                    "ak.fill_none or drop them with ak.drop_none first"
                )
            layout = layout.project()
        elif layout.is_indexed:
            layout = layout.project()
        else:
            return layout


def _flat_list(layout: Any, name: str) -> tuple[Offsets, Any]:
    """Offsets and content of one level of lists."""
    layout = _unwrap(layout, name)
    if not layout.is_list:
        raise TypeError(f"{name} is not jagged: its type is {layout.form.type}")
    if not hasattr(layout, "offsets"):  # RegularArray, or the ListArray that an event mask leaves
        layout = layout.to_ListOffsetArray64(True)
    offsets, content = np.asarray(layout.offsets.data), layout.content
    start = int(offsets[0]) if len(offsets) else 0
    bounds = as_offsets(offsets, len(content))
    return bounds - start if start else bounds, content[start : int(bounds[-1])]


def _values(layout: Any, name: str) -> Array:
    if layout.is_unknown:
        return np.empty(0, np.float64)
    if not layout.is_numpy or layout.data.ndim != 1:
        raise TypeError(
            f"column {name!r} has type {layout.form.type}; accepted are numbers, one list deep"
        )
    return as_column(np.asarray(layout.data), f"column {name!r}")


def to_awkward(offsets: Offsets, columns: Mapping[str, Array], with_name: str | None) -> Any:
    needs("awkward", "io")
    _check_on_host(offsets, "awkward")
    import awkward as ak

    records = ak.contents.RecordArray(
        [ak.contents.NumpyArray(values) for values in columns.values()],
        list(columns),
        length=int(offsets[-1]),
        parameters=None if with_name is None else {"__record__": with_name},
    )
    layout = ak.contents.ListOffsetArray(ak.index.Index64(offsets.copy()), records)
    return ak.Array(layout, behavior=_behavior(with_name))


def _behavior(with_name: str | None) -> Any:
    if with_name is None or not with_name.startswith(("Momentum", "Vector")):
        return None
    import vector

    return vector.backends.awkward.behavior


def call_awkward(function: Any, args: Any, kwargs: Any) -> Any:
    """A function of awkward on arguments that may be, or hold, what has ``to_awkward``."""

    def converted(value: Any) -> Any:
        if hasattr(type(value), "__awkward_function__"):
            return value.to_awkward()
        if type(value) in (list, tuple):
            return type(value)(converted(one) for one in value)
        if type(value) is dict:
            return {name: converted(one) for name, one in value.items()}
        return value

    return function(*converted(args), **converted(kwargs))


def _check_on_host(array: Any, library: str) -> None:
    if on_gpu(array):
        raise ValueError(
            f"{library} arrays are made of columns on the CPU, but these are on a GPU: "
            'call .to("cpu") first'
        )


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
    offsets = array.offsets.to_numpy()
    start, stop = (int(offsets[0]), int(offsets[-1])) if len(offsets) else (0, 0)
    particles = array.values.slice(start, stop - start)
    if particles.null_count:
        raise TypeError(f"the Arrow array has {particles.null_count} null particles")
    columns = {}
    for field, values in zip(kind.value_type, particles.flatten(), strict=True):
        if values.null_count:
            raise TypeError(f"column {field.name!r} has {values.null_count} nulls; fill them first")
        if not (pa.types.is_primitive(values.type)):
            raise TypeError(f"column {field.name!r} has type {values.type}; accepted are numbers")
        columns[field.name] = values.to_numpy(zero_copy_only=not pa.types.is_boolean(values.type))
    return offsets - start if start else offsets, columns


def to_arrow(offsets: Offsets, columns: Mapping[str, Array]) -> Any:
    needs("pyarrow", "arrow")
    _check_on_host(offsets, "Arrow")
    import pyarrow as pa

    particles = pa.StructArray.from_arrays([pa.array(v) for v in columns.values()], list(columns))
    # Arrow's buffers can be written: what kernels trust is copied.
    return pa.LargeListArray.from_arrays(pa.array(offsets.copy()), particles)


def to_arrow_lists(offsets: Offsets, values: Array) -> Any:
    needs("pyarrow", "arrow")
    _check_on_host(offsets, "Arrow")
    import pyarrow as pa

    return pa.LargeListArray.from_arrays(pa.array(offsets.copy()), pa.array(values))


# ---- pandas -----------------------------------------------------------------------------------


def to_pandas(offsets: Offsets, columns: Mapping[str, Array]) -> Any:
    pandas = _pandas(offsets)
    counts = np.diff(offsets)
    events = np.repeat(np.arange(len(counts)), counts)
    index = pandas.MultiIndex.from_arrays(
        [events, np.arange(len(events)) - offsets[events]], names=["entry", "subentry"]
    )
    return pandas.DataFrame(dict(columns), index=index, copy=True)


def rows_to_pandas(columns: Mapping[str, Array]) -> Any:
    """A frame with a row per entry of the columns, copied."""
    return _pandas(*columns.values()).DataFrame(dict(columns), copy=True)


def events_to_pandas(flat: Mapping[str, Array], lists: Mapping[str, Any]) -> Any:
    """A frame with a row per event: numbers as they are, lists with Arrow's dtype."""
    pandas = _pandas(*flat.values())
    numbers = {name: values for name, values in flat.items() if values.ndim == 1}
    others = {name: values for name, values in flat.items() if name not in numbers}
    columns: dict[str, Any] = dict(numbers)
    for name, column in zip({**lists, **others}, rows_to_arrow({**lists, **others}), strict=True):
        columns[name] = pandas.Series(column, dtype=pandas.ArrowDtype(column.type))
    return pandas.DataFrame(columns, copy=True)


def rows_to_awkward(columns: Mapping[str, Any], length: int, with_name: str | None = None) -> Any:
    """Records of columns, arrays of NumPy's or awkward's, all of the same length."""
    needs("awkward", "io")
    _check_on_host(next(iter(columns.values()), None), "awkward")
    import awkward as ak

    contents = [ak.to_layout(values) for values in columns.values()]
    parameters = None if with_name is None else {"__record__": with_name}
    records = ak.contents.RecordArray(contents, list(columns), length=length, parameters=parameters)
    return ak.Array(records, behavior=_behavior(with_name))


def rows_to_arrow(columns: Mapping[str, Any]) -> Any:
    """A table of columns, arrays of NumPy's or Arrow's, all of the same length."""
    needs("pyarrow", "arrow")
    _check_on_host(next(iter(columns.values()), None), "Arrow")
    import pyarrow as pa

    arrays = []
    for values in columns.values():
        if isinstance(values, np.ndarray) and values.ndim > 1:  # some numbers per event
            flat = pa.array(values.reshape(-1))
            arrays.append(pa.FixedSizeListArray.from_arrays(flat, values.shape[1]))
        else:
            arrays.append(pa.array(values))
    return pa.Table.from_arrays(arrays, list(columns))


def _pandas(*columns: Any) -> Any:
    if find_spec("pandas") is None:
        raise ModuleNotFoundError("this needs pandas, which is not installed: pip install pandas")
    for values in columns:
        _check_on_host(values, "pandas")
    import pandas

    return pandas


# ---- torch ------------------------------------------------------------------------------------


def tensor(array: Array) -> Any:
    """The same numbers as a torch tensor on the same device; those that are read-only, copied."""
    needs("torch", "torch")
    import torch

    if on_gpu(array):
        return torch.from_dlpack(array)  # CuPy and torch order their streams themselves
    # torch has no read-only tensors: a copy keeps the promise of the array.
    return torch.from_numpy(array if array.flags.writeable else array.copy())


# Offsets as tensors, for as long as nested tensors hold them: torch takes two nested tensors for
# events of the same lengths if they share this very object.
_shared: WeakValueDictionary[int, Any] = WeakValueDictionary()


def to_torch(offsets: Offsets, columns: Array | list[Array]) -> Any:
    needs("torch", "torch")
    import torch

    values = columns if not isinstance(columns, list) else np.stack(columns, axis=1)
    new = tensor(offsets.copy())
    bounds = _shared.get(id(offsets))
    # Another array may have had this address, and anybody can write into a tensor.
    if bounds is None or bounds.device != new.device or not torch.equal(bounds, new):
        _shared[id(offsets)] = bounds = new
    lengths: dict[str, int] = {}
    if len(offsets) > 1:
        counts = np.diff(offsets)
        lengths = {"min_seqlen": int(counts.min()), "max_seqlen": int(counts.max())}
    return torch.nested.nested_tensor_from_jagged(tensor(values), bounds, **lengths)
