"""Columns to and from awkward and torch, without copies where layouts allow.

The libraries are imported by the function that needs them, never at import time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias
from weakref import WeakValueDictionary

import numpy as np

from fastjag.core.arrays import Array, Offsets, as_column, as_offsets, texts
from fastjag.core.checks import near_misses, needs
from fastjag.core.devices import check_on_host, on_gpu
from fastjag.jagged.columns import Column
from fastjag.jagged.shapes import PLAIN, is_lists, is_plain

#: Offsets and columns. A column of lists is such a pair itself, or a Jagged on the way out.
Parts: TypeAlias = tuple[Offsets, dict[str, Any]]


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
        return first[0], {n: _column(p[1], n) for n, p in zip(names, parts, strict=True)}
    offsets, content = _flat_list(layout, "the array")
    content = _unwrap(content, "the particles")
    if not content.is_record:
        raise TypeError(f"expected lists of records, got {ak.type(array)}")
    return offsets, {n: _column(content.content(n), n) for n in names}


def awkward_column(array: Any, name: str) -> tuple[Offsets | None, Any]:
    """(offsets, column) of one column of lists, (None, values) of numbers or text per event."""
    import awkward as ak

    layout = _unwrap(ak.to_layout(array), f"branch {name!r}")
    if is_text(layout):
        offsets, content = _flat_list(layout, f"branch {name!r}")
        return None, texts(offsets, np.asarray(content.data))
    if layout.is_numpy or _is_fixed(layout):
        return None, _numpy(layout)
    if not layout.is_list:
        raise TypeError(
            f"branch {name!r} has type {layout.form.type}; accepted are numbers, text and lists of numbers"
        )
    offsets, content = _flat_list(layout, f"branch {name!r}")
    return offsets, _column(content, name)


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
    bounds, start, stop = as_offsets(offsets, len(content))
    return bounds - start if start else bounds, content[start:stop]


def _column(layout: Any, name: str) -> Array | Parts:
    """Numbers, some of them, or a list for each particle."""
    layout = _unwrap(layout, name)
    if layout.is_unknown:
        return np.empty(0, np.float64)
    if layout.is_numpy or (_is_fixed(layout) and not is_text(layout)):
        return as_column(_numpy(layout), f"column {name!r}", several=True)
    if not layout.is_list or is_text(layout):
        raise TypeError(
            f"column {name!r} has type {layout.form.type}; accepted are numbers and lists of them"
        )
    offsets, content = _flat_list(layout, name)
    content = _unwrap(content, name)
    if not content.is_record:
        return offsets, {PLAIN: _column(content, name)}
    return offsets, {n: _column(content.content(n), f"{name}.{n}") for n in content.fields}


def _is_fixed(layout: Any) -> bool:
    """Whether every entry has as many numbers, and some."""
    while layout.is_regular and layout.size:
        layout = layout.content
    return bool(layout.is_numpy)


def is_text(layout: Any) -> bool:
    """Whether a layout, or a form, is of strings."""
    return layout.parameter("__array__") in ("string", "bytestring")


def _numpy(layout: Any) -> Array:
    import awkward as ak

    return np.asarray(layout.data if layout.is_numpy else ak.to_numpy(layout))


def to_awkward(offsets: Offsets, columns: Mapping[str, Column], with_name: str | None) -> Any:
    needs("awkward", "io")
    check_on_host(offsets, "awkward")
    import awkward as ak

    layout = _awkward_lists(offsets, _awkward_records(offsets, columns, with_name))
    return ak.Array(layout, behavior=_behavior(with_name))


def _awkward_lists(offsets: Offsets, content: Any) -> Any:
    import awkward as ak

    return ak.contents.ListOffsetArray(ak.index.Index64(offsets.copy()), content)


def _awkward_records(
    offsets: Offsets, columns: Mapping[str, Column], with_name: str | None = None
) -> Any:
    import awkward as ak

    contents = [_awkward_content(column) for column in columns.values()]
    parameters = None if with_name is None else {"__record__": with_name}
    return ak.contents.RecordArray(
        contents, list(columns), length=int(offsets[-1]), parameters=parameters
    )


def _awkward_content(column: Column) -> Any:
    import awkward as ak

    if not is_lists(column):
        return ak.contents.NumpyArray(column)
    plain, offsets, columns = is_plain(column), column._offsets, column._columns
    content = _awkward_content(columns[PLAIN]) if plain else _awkward_records(offsets, columns)
    return _awkward_lists(offsets, content)


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


def rows_to_awkward(columns: Mapping[str, Any], length: int, with_name: str | None = None) -> Any:
    """Records of columns, arrays of NumPy's or awkward's, all of the same length."""
    needs("awkward", "io")
    check_on_host(next(iter(columns.values()), None), "awkward")
    import awkward as ak

    contents = [
        ak.to_layout(values.tolist() if getattr(values, "dtype", None) == object else values)
        for values in columns.values()
    ]
    parameters = None if with_name is None else {"__record__": with_name}
    records = ak.contents.RecordArray(contents, list(columns), length=length, parameters=parameters)
    return ak.Array(records, behavior=_behavior(with_name))


# ---- torch ------------------------------------------------------------------------------------


def tensor(array: Array) -> Any:
    """The same numbers as a torch tensor on the same device; those that are read-only, copied."""
    needs("torch", "torch")
    import torch

    if on_gpu(array):
        if not torch.cuda.is_available():
            raise RuntimeError(
                f"the columns are on a GPU, which this torch ({torch.__version__}) cannot use: "
                'install torch with CUDA, or call .to("cpu") first'
            )
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
    return _nested(tensor(values), bounds, **lengths)


def _nested(values: Any, offsets: Any, **lengths: int) -> Any:
    """Without the line that torch 2.13 logs about its own code, which no caller can heed."""
    import logging

    import torch

    def other(record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith("is_fx_tracing will return true")

    log = logging.getLogger("torch.fx._symbolic_trace")
    log.addFilter(other)
    try:
        return torch.nested.nested_tensor_from_jagged(values, offsets, **lengths)
    finally:
        log.removeFilter(other)


def to_nested(values: Any, offsets: Any) -> Any:
    """A nested tensor of values (n, F) and offsets, which may be torch's already, without a copy."""
    needs("torch", "torch")
    import torch

    parts = [p if isinstance(p, torch.Tensor) else tensor(p) for p in (values, offsets)]
    return _nested(*parts)
