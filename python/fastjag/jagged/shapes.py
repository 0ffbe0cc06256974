"""Columns of any shape: a number for each particle, several, or a list.

Kernels take one number per particle. Other columns are picked from by indices; a column of lists is a
Jagged, whose events are the particles.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from fastjag import kernels
from fastjag.core.arrays import Array, Offsets, as_column
from fastjag.core.devices import namespace, on_gpu
from fastjag.core.display import COLUMNS, VALUES, listed, numbers
from fastjag.jagged.columns import Column, ParticleColumns

#: The column of a list of plain numbers, which have no name of their own.
PLAIN = "value"


def as_particles(values: Any, name: str, any_byte: bool = False) -> Column:
    """A column as a Jagged holds it, without a copy where it can be; bools as for as_column."""
    if isinstance(values, ParticleColumns):
        if isinstance(values, dict):
            raise TypeError(f"{name} is one event; accepted are arrays and a Jagged of all lists")
        return values
    return as_column(values, name, several=True, any_byte=any_byte)


def is_lists(column: Column) -> bool:
    """Whether it is a Jagged: a list for each particle."""
    return isinstance(column, ParticleColumns)


def is_flat(column: Column) -> bool:
    """Whether it has one number per particle, as kernels take."""
    return not is_lists(column) and column.ndim == 1


def is_plain(lists: Any) -> bool:
    """Whether lists hold plain numbers, and not records of several columns."""
    return tuple(lists._columns) == (PLAIN,)


def first_array(column: Column) -> Array:
    """An array of it, which says where it lives."""
    array: Array = column._offsets if is_lists(column) else column
    return array


def arrays_of(columns: Mapping[str, Column], owner: str) -> dict[Any, Array]:
    """All arrays of columns, by what they are in ``owner``."""
    found: dict[Any, Array] = {}
    for name, values in columns.items():
        if is_lists(values):
            found |= {(owner, name, *key): array for key, array in values._arrays().items()}
        else:
            found[owner, name] = values
    return found


# ---- some of the particles ----------------------------------------------------------------------


def taken(column: Column, particles: NDArray[np.int64]) -> Column:
    """Those of the particles with these indices."""
    return column._gather(particles) if is_lists(column) else column[particles]


def gathered(column: Column, starts: Offsets, offsets: Offsets, size: int | None = None) -> Column:
    """Those of the events that start there, and are as long as the new offsets say.

    ``size`` is what these end at, where that is known: a GPU would have to be asked.
    """
    if is_flat(column):
        return kernels.gather(starts, offsets, column, size=size)
    return taken(column, particles_of(starts, offsets, int(offsets[-1]) if size is None else size))


def particles_of(starts: Offsets, offsets: Offsets, size: int) -> NDArray[np.int64]:
    """Indices of the particles of events that start there, and are as long as the offsets say.

    ``size`` is what these end at.
    """
    particles: NDArray[np.int64] = namespace(offsets).arange(size)
    shifts = starts - offsets[:-1]
    if on_gpu(offsets):  # CuPy repeats all as often
        return particles + shifts[np.searchsorted(offsets, particles, side="right") - 1]
    return particles + np.repeat(shifts, np.diff(offsets))


def scaled(column: Column, factor: float) -> Column:
    """Numbers times a factor, in their own dtype if that is a float's; text as it is."""
    if is_lists(column):
        columns = {n: scaled(c, factor) for n, c in column._columns.items()}
        return type(column)._of(column._offsets, columns)
    if column.dtype == object:
        return column
    return column * (column.dtype.type(factor) if column.dtype.kind == "f" else factor)


def size_of(column: Column) -> int:
    """Bytes of its arrays."""
    arrays = column._arrays().values() if is_lists(column) else [column]
    return sum(array.nbytes for array in arrays)


# ---- errors -------------------------------------------------------------------------------------


def refuse(name: str, column: Column, what: str, way: str = "") -> NoReturn:
    """A TypeError for a column that is not flat: what it holds, and what to do instead."""
    if is_lists(column):
        own = f"[{name!r}] is a Jagged of the lists, .flatten({name!r}) joins those of an event"
    else:
        first = ", ".join("0" * (column.ndim - 1))
        own = f"[{name!r}][:, {first}] is the first of them, which .with_columns makes a column"
    raise TypeError(
        f"column {name!r} holds {described(column)} for each particle, but {what} takes one number: "
        f"{way or own}"
    )


# ---- shown --------------------------------------------------------------------------------------


def described(column: Column) -> str:
    """``float32``, ``float32 (3,)``, ``lists of float32`` or ``lists of {pt, eta}``."""
    if not is_lists(column):
        return f"{column.dtype}" + (f" {column.shape[1:]}" if column.ndim > 1 else "")
    if is_plain(column):
        return f"lists of {described(column._columns[PLAIN])}"
    return f"lists of {{{listed([*column._columns])}}}"


def shown(column: Column) -> str:
    """The first values of a column."""
    if is_flat(column):
        return numbers(column)
    more = ", ..." if len(column) > VALUES else ""
    if not is_lists(column):
        return ", ".join(f"[{numbers(row.reshape(-1))}]" for row in column[:VALUES]) + more
    return ", ".join(_list(event) for event in islice(column, VALUES)) + more


def _list(event: Any) -> str:
    """``[1, 2]``, or ``[pt 41.5, 18.2; eta 0.1, 2.2]`` of records."""
    if tuple(event) == (PLAIN,):
        return f"[{shown(event[PLAIN])}]"
    cells = [f"{name} {shown(values)}" for name, values in islice(event.items(), COLUMNS // 2)]
    return f"[{'; '.join(cells)}]"
