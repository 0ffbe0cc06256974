"""What arrays must look like before a kernel sees them, and the errors when they cannot."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastjag.core.devices import as_cupy, check_together, empty, namespace, on_gpu, to_device_of
from fastjag.core.habits import NotAnArray

Array: TypeAlias = NDArray[Any]
Offsets: TypeAlias = NDArray[np.int64]

COLUMN_DTYPES = "bool, integers of 1 to 8 bytes, float32 and float64"


def as_native(values: Array) -> Array:
    """The same values, contiguous, aligned and in native byte order: the one place that copies.

    Returns ``values`` itself where nothing needs to change.
    """
    if on_gpu(values):
        there: Any = values
        if there.flags.c_contiguous:
            return values
        with there.device:  # CuPy copies to the current GPU
            copied: Array = there.copy()
        return copied
    flags = values.flags
    if (
        type(values) is np.ndarray
        and flags.c_contiguous
        and flags.aligned
        and values.dtype.isnative
    ):
        return values
    dtype = values.dtype.newbyteorder("=")
    return np.require(values, dtype=dtype, requirements=["C", "A"])


def as_column(values: ArrayLike, name: str, several: bool = False, any_byte: bool = False) -> Array:
    """A 1-D column that kernels can read, without a copy where it already is one.

    What lives on a GPU (CuPy, torch, numba, DLPack) stays there, as a CuPy array. ``several`` numbers
    per entry, shape (n, 3) or (n, 2, 3), are accepted where that is said. ``any_byte``: bools on a GPU
    may be others than 0 and 1, which to find out the host would have to wait for.
    """
    column: Array = as_cupy(values) if on_gpu(values) else _as_numpy(values, name)
    if column.ndim < 1 or (column.ndim > 1 and not several):
        raise ValueError(f"{name} must have one dimension, got shape {column.shape}")
    if 0 in column.shape[1:]:
        raise ValueError(f"{name} has no numbers in its entries: its shape is {column.shape}")
    if column.dtype.kind not in "biuf" or column.dtype.itemsize not in (1, 2, 4, 8):
        raise TypeError(f"{name} has dtype {column.dtype}; accepted are {COLUMN_DTYPES}")
    if column.dtype == np.float16:
        raise TypeError(f"{name} has dtype float16; convert it with .astype('float32')")
    column = as_native(column)
    if column.dtype != np.bool_ or not len(column) or (any_byte and on_gpu(column)):
        return column
    return as_bools(column) if column.view(np.uint8).max() > 1 else column


def as_bools(column: Array) -> Array:
    """Bits seen as bool, as 0 and 1: kernels count on that."""
    bools: Array = column.view(np.uint8) != 0
    return bools


def _as_numpy(values: ArrayLike, name: str) -> Array:
    if isinstance(values, NotAnArray):  # a column of lists, say
        raise TypeError(f"{name}: a {type(values).__name__} is no array: {values._how()}")
    try:
        column = np.asanyarray(values)
    except ValueError as error:  # nested lists, or a jagged awkward array
        raise ValueError(
            f"{name} must be flat, one entry per particle or event; flatten it, or use "
            f"fastjag.Jagged.from_awkward ({type(values).__name__}: {str(error).splitlines()[0]})"
        ) from None
    # numpy.ma takes longer to load than most commands to calculate.
    if type(column) is not np.ndarray and np.ma.isMaskedArray(column):
        raise TypeError(
            f"{name} is a NumPy masked array; fill or drop the masked values first "
            f"(for example {name}.filled(0))"
        )
    return np.asarray(column)


def as_number(values: ArrayLike, name: str, dtype: DTypeLike) -> Array:
    """A column of exactly ``dtype``; only conversions that keep every value are made."""
    column = as_column(values, name)
    if column.dtype == dtype:
        return column
    if np.can_cast(column.dtype, dtype, casting="safe"):
        return column.astype(dtype)
    with np.errstate(invalid="ignore"):  # NaN: refused just below
        converted = column.astype(dtype)
    if not np.array_equal(converted, column):
        raise TypeError(
            f"{name} has dtype {column.dtype} with values that {np.dtype(dtype)} cannot hold"
        )
    return converted


def as_float(values: ArrayLike, name: str) -> Array:
    """A float32 or float64 column; integers become float64."""
    column = as_column(values, name)
    return column if column.dtype.kind == "f" else column.astype(np.float64)


def as_mask(mask: ArrayLike, name: str, length: int, what: str) -> NDArray[np.bool_]:
    """A boolean column of the given length; on a GPU every byte but 0 means true."""
    column = as_column(mask, name, any_byte=True)
    if column.dtype != np.bool_:
        raise TypeError(f"{name} must be boolean, got dtype {column.dtype}")
    check_length(column, name, length, what)
    return column


def check_length(column: Array, name: str, length: int, what: str) -> None:
    if len(column) != length:
        raise ValueError(f"{name} has {len(column)} entries, but there are {length} {what}")


def check_finite(values: NDArray[Any], name: str) -> None:
    """ValueError for a number, or row of numbers, that is not finite, naming the event."""
    finite = np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
    if not finite.all():
        event = int(finite.argmin())
        raise ValueError(f"{name} must be finite, event {event} is {values[event].tolist()}")


#: The first and the last of int64 offsets, and the first event that ends before it begins, or None.
Facts: TypeAlias = tuple[int, int, int | None]


def facts_of(offsets: Offsets) -> Facts:
    """By NumPy; ``kernels.facts_of`` knows GPUs, too."""
    falls = offsets[1:] < offsets[:-1]
    return int(offsets[0]), int(offsets[-1]), int(falls.argmax()) if falls.any() else None


def as_offsets(
    offsets: ArrayLike, length: int, facts: Callable[[Offsets], Facts] = facts_of
) -> tuple[Offsets, int, int]:
    """Validated int64 offsets into a content of ``length`` particles, the first and the last of them.

    Raises ValueError naming the first event that is wrong.
    """
    column = as_column(offsets, "offsets")
    if column.dtype.kind not in "iu":
        raise TypeError(f"offsets must be integers, got dtype {column.dtype}")
    if len(column) == 0:
        raise ValueError("offsets must have n_events + 1 entries, got none")
    wide = column.dtype == np.uint64
    checked = column.view(np.int64) if wide else column.astype(np.int64, copy=False)
    first, last, falls = facts(checked)
    # What does not fit is below 0 now, and so is what comes first, or less than what is before it.
    if wide and (first < 0 or falls is not None) and (most := int(column.max())) >= 2**63:
        raise ValueError(f"offsets must fit into int64, got {most}")
    if first < 0:
        raise ValueError(f"offsets must start at 0 or above, got {first}")
    if falls is not None:
        raise ValueError(
            f"offsets must not decrease: event {falls} would run from {int(checked[falls])} "
            f"to {int(checked[falls + 1])}"
        )
    if last > length:
        raise ValueError(f"offsets end at {last}, but the columns have {length} particles")
    return checked, first, last


def offsets_of(counts: NDArray[Any]) -> Offsets:
    """Offsets from 0 of lists of these lengths."""
    offsets: Offsets = namespace(counts).zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    return offsets


def texts(offsets: Offsets, characters: Array) -> Array:
    """Python's strings, of bytes in UTF-8 one after the other; each kind is one object.

    However many entries have it: files and types have few names.
    """
    data, bounds = characters.tobytes(), offsets.tolist()
    kinds: dict[bytes, str] = {}
    found: Array = np.empty(len(bounds) - 1, object)
    for i, (start, stop) in enumerate(pairwise(bounds)):
        one = data[start:stop]
        if one not in kinds:
            kinds[one] = one.decode("utf-8", "surrogateescape")
        found[i] = kinds[one]
    return found


def read_only(offsets: Offsets) -> Offsets:
    """The same numbers in the same memory, which nobody can write to by them; CuPy has none.

    Nor by what they are a view of: the memory belongs to a read-only buffer, whose arrays cannot
    be made writeable. The caller keeps no other array of that memory.
    """
    if on_gpu(offsets):
        return offsets
    owner: Any = offsets
    while isinstance(owner, np.ndarray):
        owner = owner.base
    if isinstance(owner, memoryview) and owner.readonly:
        return offsets
    kept = np.ascontiguousarray(offsets)
    kept.flags.writeable = False
    return np.frombuffer(kept.data, np.int64)


def as_event_indices(
    key: Any, n: int, like: Array, n_particles: int | None = None
) -> NDArray[np.int64]:
    """Which of ``n`` events a slice, mask or integers pick, on the device of ``like``.

    A mask that could be, or is, one of their ``n_particles`` particles is a ValueError.
    """
    if isinstance(key, slice):
        return cast(Offsets, to_device_of(like, np.arange(*key.indices(n))))
    if isinstance(key, (int, np.integer)) and not isinstance(key, bool):
        raise TypeError(f"for a single event use a slice, [{key}:{int(key) + 1}]")
    if isinstance(key, list):
        key = to_device_of(like, np.asarray(key if key else np.empty(0, np.int64)))
    index = as_column(key, "the event index", any_byte=True)
    if index.dtype == np.bool_:
        if len(index) == n_particles == n > 0:
            raise ValueError(
                f"a mask of {n} entries may be one of the {n} events or of the {n} particles: "
                ".keep(mask) keeps particles, [mask.nonzero()[0]] picks events"
            )
        if len(index) == n_particles != n:
            raise ValueError(
                f"the event mask has {len(index)} entries, but there are {n} events: "
                f"for a mask of the {n_particles} particles there is .keep(mask)"
            )
        check_length(index, "the event mask", n, "events")
    check_together("events and what picks them", {"the events": like, "the event index": index})
    if index.dtype == np.bool_:
        return np.flatnonzero(index.view(np.uint8))
    if index.dtype.kind not in "iu":
        raise TypeError(f"events are picked by slice, mask or integers, got {index.dtype}")
    wide = index.astype(np.int64)  # n may not fit into the index' own type
    wrapped = np.where(index < 0, wide + n, wide)
    bad = (wrapped < 0) | (wrapped >= n)
    if bad.any():
        raise IndexError(f"event {int(index[bad][0])} is out of range for {n} events")
    return wrapped


def out_array(
    out: Array | None,
    shape: tuple[int, ...],
    dtype: DTypeLike,
    name: str = "out",
    like: Array | None = None,
) -> Array:
    """``out`` if it fits, a new array if it is None; a ValueError says what does not fit.

    ``like`` is an array on the device where the result belongs; default: the CPU.
    """
    gpu = on_gpu(like)
    if out is None:
        new: Array = empty(shape, dtype) if gpu else np.empty(shape, dtype)
        return new
    if on_gpu(out) != gpu:
        places = ("on a GPU", "on the CPU")
        raise ValueError(
            f"{name} is {places[gpu]}, but what is written into it is {places[not gpu]}"
        )
    if not gpu and not isinstance(out, np.ndarray):
        raise TypeError(f"{name} must be a NumPy array, got {type(out).__name__}")
    out = as_cupy(out)
    if out.shape != shape or out.dtype != dtype:
        raise ValueError(
            f"{name} must have shape {shape} and dtype {np.dtype(dtype)}, "
            f"got {out.shape} and {out.dtype}"
        )
    if gpu:
        if not out.flags.c_contiguous:
            raise ValueError(f"{name} must be C-contiguous")
        return out
    if not (out.flags.c_contiguous and out.flags.aligned and out.dtype.isnative):
        raise ValueError(f"{name} must be C-contiguous, aligned and in native byte order")
    if not out.flags.writeable:
        raise ValueError(f"{name} is read-only")
    return out
