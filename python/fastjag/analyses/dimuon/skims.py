"""The published skims: pickled dicts of awkward arrays, read without running anything in them.

Per ROOT file of CMS Run2016H there are ``all_mu_GUID`` and ``all_jet_GUID`` (zenodo 14618719).
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastjag.core.arrays import Array, Offsets
from fastjag.core.checks import first_line, near_misses
from fastjag.io import Batch, Source
from fastjag.io.files import ReadError
from fastjag.jagged import Jagged
from fastjag.schemas import NANOAOD

MUONS, JETS = "all_mu_", "all_jet_"

# All that pickles of awkward 1.x and 2.x arrays name. None of it is imported, let alone called.
_NAMES = {
    ("awkward.highlevel", "Array"),
    ("awkward._ext", "ListOffsetForm"),  # 1.x
    ("awkward._ext", "NumpyForm"),
    ("awkward._ext", "EmptyForm"),
    ("awkward._pickle", "unpickle_array_schema_1"),  # from 2.5 on
    ("awkward._pickle", "unpickle_array_schema_2"),
    ("builtins", "getattr"),  # 2.x before that: getattr(object, "__new__")(Array)
    ("builtins", "object"),
    ("builtins", "bytearray"),
    ("_codecs", "encode"),  # bytes in protocol 2
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    *((core + module, name)
      for core in ("numpy.core.", "numpy._core.")
      for module, name in (("multiarray", "_reconstruct"), ("numeric", "_frombuffer"))),
}  # fmt: skip
# Letters of dtypes in the forms of awkward 1.x, on 64-bit Linux.
_LETTERS = {"?": "bool", "b": "int8", "B": "uint8", "h": "int16", "H": "uint16", "i": "int32",
            "I": "uint32", "l": "int64", "q": "int64", "L": "uint64", "Q": "uint64",
            "f": "float32", "d": "float64"}  # fmt: skip
_INDEX = {"i32": "int32", "u32": "uint32", "i64": "int64"}


class _Inert:
    """What a pickle asked for by name, called or filled: kept as it was said, never done."""

    def __init__(self, *said: Any) -> None:
        self.said = said
        self.state: Any = None

    def __call__(self, *said: Any) -> _Inert:
        return _Inert(self, *said)

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        module = "builtins" if module == "__builtin__" else module
        if (module, name) not in _NAMES:
            raise pickle.UnpicklingError(
                f"it asks for {module}.{name}, which arrays of awkward and NumPy do not need"
            )
        return type(name, (_Inert,), {})  # of this unpickler alone


def is_skim(path: str) -> bool:
    """Whether a file has the name of such a pickle."""
    return Path(path).name.startswith((MUONS, JETS))


def pair_files(paths: Iterable[str]) -> list[tuple[str, str]]:
    """(muons, jets) of every skim, in the order of the muon files; ValueError if one is alone."""
    pairs: dict[tuple[Path, str], dict[str, str]] = {}
    for path in paths:
        kind = MUONS if Path(path).name.startswith(MUONS) else JETS
        key = Path(path).parent, Path(path).name.removeprefix(kind)
        pairs.setdefault(key, {})[kind] = path
    for (folder, guid), pair in pairs.items():
        for kind in (MUONS, JETS):
            if kind not in pair:
                there = next(iter(pair.values()))
                raise ValueError(
                    f"{there}: its partner {folder / (kind + guid)} is not among the files; "
                    f"{folder / 'all_*'} takes both"
                )
    return [(pair[MUONS], pair[JETS]) for pair in pairs.values()]


def read_pair(
    muons: str, jets: str, required: Sequence[str], optional: Iterable[str] = ()
) -> Batch:
    """All events of a muon pickle and its jet pickle, as a batch like those of ROOT files.

    Raises ReadError naming file and branch: where a pickle is cut off or asks for anything but
    arrays of numbers and lists of them, a ``required`` branch is missing, or lengths differ.
    """
    columns: dict[str, tuple[Offsets | None, Array]] = {}
    homes: dict[str, str] = {}
    for path in (muons, jets):
        content = _load(path)
        for name in dict.fromkeys([*required, *optional]):
            if name in content and name not in columns:
                try:
                    columns[name] = _column(content[name])
                except (TypeError, ValueError, KeyError, IndexError) as error:
                    raise ReadError(f"{path}: branch {name!r}: {error}") from None
                homes[name] = path
        del content  # it may fill much of the memory
    for name in required:
        if name not in columns:
            raise ReadError(f"{muons} and {jets}: no branch {name!r}: {near_misses(name, columns)}")
    return _batch(columns, homes)


def _load(path: str) -> Mapping[str, Any]:
    try:
        with open(path, "rb") as file:
            content = _Unpickler(file).load()
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such file") from None
    except EOFError:
        raise ReadError(f"{path}: the pickle is cut off") from None
    except pickle.UnpicklingError as error:
        cut = "truncated" in str(error)
        raise ReadError(f"{path}: {'the pickle is cut off' if cut else error}") from None
    except (
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
        ArithmeticError,
        MemoryError,
        RecursionError,
    ) as error:  # what bytes at random make of it
        raise ReadError(f"{path}: not a pickle of arrays: {first_line(error)}") from None
    if not isinstance(content, dict):
        raise ReadError(f"{path}: holds a {type(content).__name__}, not a dict of branches")
    return content


def _batch(columns: Mapping[str, tuple[Offsets | None, Array]], homes: Mapping[str, str]) -> Batch:
    first = next(iter(columns))
    lengths = {n: len(v) if o is None else len(o) - 1 for n, (o, v) in columns.items()}
    n_events = lengths[first]
    flat: dict[str, Array] = {}
    groups: dict[str, tuple[str, Offsets, dict[str, Array]]] = {}
    for name, (offsets, values) in columns.items():
        where = f"{homes[name]}: branch {name!r}"
        if lengths[name] != n_events:
            raise ReadError(
                f"{where} has {lengths[name]} events, {first!r} of {homes[first]} has {n_events}"
            )
        if offsets is None:
            flat[name] = values
            continue
        prefix, column = NANOAOD.split(name)
        known, common, group = groups.setdefault(prefix, (name, offsets, {}))
        if not np.array_equal(common, offsets):
            event = int((np.diff(common) != np.diff(offsets)).argmax())
            raise ReadError(f"{where} and {known!r} have different lengths in event {event}")
        group[column or name] = values
    collections = {}
    for prefix, (known, offsets, group) in groups.items():
        try:
            collections[prefix] = Jagged(offsets, group)
        except (ValueError, TypeError) as error:
            raise ReadError(f"{homes[known]}: branches {prefix}_*: {error}") from None
    return Batch(collections, flat, Source(homes[first], "pickle", 0, n_events))


# ---- what was said, as arrays -------------------------------------------------------------------


def _column(value: Any) -> tuple[Offsets | None, Array]:
    """(offsets, values) of lists of numbers, (None, values) of numbers."""
    if _kind(value) in ("_reconstruct", "_frombuffer"):
        array = _ndarray(value)
        if array.ndim != 1:
            raise TypeError(f"has {array.ndim} dimensions; accepted are numbers and lists of them")
        return None, array
    form, length, buffers, order = _parts(value)
    if isinstance(length, (list, tuple)):
        raise TypeError("is a partitioned array, which awkward 1.x only made when asked to")
    kind, key, detail = _form(form)
    if kind == "numbers":
        return None, _buffer(buffers, f"{key}-data", detail, length, order)
    if kind != "lists":
        raise TypeError(f"has no numbers but {kind}")
    index, content = detail
    offsets = _buffer(buffers, f"{key}-offsets", index, length + 1, order).astype(np.int64)
    kind, key, detail = _form(content)
    n = int(offsets[-1])
    if kind == "nothing" and n == 0:
        return offsets, np.empty(0, np.float32)
    if kind != "numbers":
        raise TypeError(f"has lists of {kind}; accepted are numbers and lists of them")
    return offsets, _buffer(buffers, f"{key}-data", detail, n, order)


def _kind(value: Any) -> str:
    return type(value).__name__ if isinstance(value, _Inert) else ""


def _parts(value: Any) -> tuple[Any, Any, Mapping[str, Any], str]:
    """Form, length, buffers and byte order of an awkward array."""
    kind = _kind(value)
    if kind == "unpickle_array_schema_1":
        form, length, buffers, *_ = value.said
        return form, length, buffers, "<"
    if kind == "unpickle_array_schema_2":
        form, length, buffers, order, *_ = value.said
        return form, length, buffers, str(order)
    made = kind == "_Inert" and len(value.said) == 2  # object.__new__(Array)
    if kind == "Array" or (made and getattr(value.said[1], "__name__", "") == "Array"):
        form, length, buffers, *_ = value.state
        return form, length, buffers, "<"
    raise TypeError(f"is no array but {type(value).__name__}")


def _form(form: Any) -> tuple[str, str, Any]:
    """What a form describes ("numbers", "lists", ...), the key of its buffers, and details."""
    if isinstance(form, Mapping):
        kind, key = str(form["class"]), str(form.get("form_key"))
        if kind == "NumpyArray" and not form.get("inner_shape"):
            return "numbers", key, form["primitive"]
        if kind == "ListOffsetArray":
            return "lists", key, (_INDEX[form["offsets"]], form["content"])
        return "nothing" if kind == "EmptyArray" else kind, key, None
    kind = _kind(form)
    if kind == "NumpyForm" and not form.state[3]:
        return "numbers", f"part0-{form.state[2]}", _LETTERS[form.state[5]]
    if kind == "ListOffsetForm":
        _, _, key, index, content = form.state
        return "lists", f"part0-{key}", (_INDEX[index], content)
    return "nothing" if kind == "EmptyForm" else kind or type(form).__name__, "", None


def _buffer(buffers: Mapping[str, Any], key: str, dtype: str, length: int, order: str) -> Array:
    """The first ``length`` numbers of a buffer, in native byte order."""
    wanted = np.dtype(str(dtype))
    if wanted.kind not in "biuf":
        raise TypeError(f"has type {dtype}; accepted are numbers")
    raw = _bytes(buffers[key])
    if len(raw) < length * wanted.itemsize or length < 0:
        raise ValueError(f"{key} has {len(raw)} bytes, {length} of {dtype} need more")
    stored = wanted.newbyteorder(">" if order in (">", "big") else "<")
    return np.frombuffer(raw, stored, length).astype(wanted, copy=False)


def _bytes(value: Any) -> bytes | bytearray:
    if isinstance(value, (bytes, bytearray)):
        return value
    kind = _kind(value)
    if kind == "bytearray":
        return _bytes(value.said[0]) if value.said else b""
    if kind == "encode" and value.said[1:] == ("latin1",):
        return bytes(str(value.said[0]), "latin1")
    return _ndarray(value).tobytes()


def _ndarray(value: Any) -> Array:
    kind = _kind(value)
    if kind == "_reconstruct":
        _, shape, dtype, fortran, data = value.state
    elif kind == "_frombuffer":
        data, dtype, shape, layout, *_ = value.said
        fortran = layout == "F"
    else:
        raise TypeError(f"holds {type(value).__name__} where an array is expected")
    if fortran and len(shape) > 1:
        raise TypeError("has columns in Fortran's order")
    return np.frombuffer(_bytes(data), _dtype(dtype)).reshape(shape)


def _dtype(value: Any) -> np.dtype[Any]:
    letters = str(value.said[0]) if _kind(value) == "dtype" else ""
    if letters[:1] not in tuple("biuf") or not letters[1:].isdigit():
        raise TypeError(f"has type {letters or type(value).__name__}; accepted are numbers")
    big = bool(value.state) and value.state[1] == ">"
    return np.dtype(letters).newbyteorder(">" if big else "<")
