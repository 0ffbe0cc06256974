"""The events of a lap in memory, of which batches are taken in any order."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastjag.core.arrays import Array
from fastjag.jagged import Jagged, concatenate
from fastjag.jagged.shapes import size_of

#: What a model sees of some events, one entry per event: arrays and lists, or padded tensors.
Rows = Mapping[str, Any]

#: Bytes of an event's tensors up to which they are kept padded: to pad a batch costs more than to pick it.
SMALL = 2048


class ModelInputs(Protocol):
    """What the loader asks of :class:`fastjag.inputs.Inputs`."""

    columns: tuple[str, ...]
    dense_bytes: int

    def rows(self, events: Any) -> Rows: ...

    def tensors(self, rows: Rows, out: Mapping[str, Array] | None = None) -> dict[str, Array]: ...


def n_rows(rows: Rows, of: str) -> int:
    """How many events they are; a ValueError names those that differ."""
    sizes = {name: len(values) for name, values in rows.items()}
    if not sizes:
        raise ValueError(f"{of}: the inputs are of no group, feature, target or weight")
    if len({*sizes.values()}) > 1:
        listed = ", ".join(f"{name} {n}" for name, n in sizes.items())
        raise ValueError(f"{of}: the inputs differ in how many events they have: {listed}")
    return next(iter(sizes.values()))


class Pool:
    """Up to so many events, as tensors or, where these are wide or ragged, as rows.

    Threads ``put`` runs of events at places of their own.
    """

    def __init__(self, inputs: ModelInputs, capacity: int, *, keep_rows: bool = False) -> None:
        self.inputs, self.capacity = inputs, capacity
        #: None before the first events have come.
        self.padded: bool | None = False if keep_rows else None
        self._tensors: dict[str, Array] = {}
        self._rows: dict[int, Rows] = {}
        self._runs: dict[int, int] = {}  # place to number
        self._lock = threading.Lock()

    def put(self, place: int, rows: Rows, of: str) -> None:
        n = n_rows(rows, of)
        if not n:
            return
        if self.padded is None:
            self._begin(rows, n)
        if self.padded:
            own = {name: kept[place : place + n] for name, kept in self._tensors.items()}
            for name, values in self.inputs.tensors(rows, out=own).items():
                if not _same_memory(values, own[name]):  # not all can be written where they stay
                    own[name][...] = values
        with self._lock:
            self._runs[place] = n
            if not self.padded:
                self._rows[place] = rows

    def _begin(self, rows: Rows, n: int) -> None:
        """Whether tensors are kept, and memory for them: by the first events."""
        tensors = self.inputs.tensors(rows)
        with self._lock:
            if self.padded is not None:
                return
            if self.inputs.dense_bytes <= SMALL and is_dense(tensors, n):
                self._tensors = {
                    name: np.empty((self.capacity, *values.shape[1:]), values.dtype)
                    for name, values in tensors.items()
                }
                self.padded = True
            else:
                self.padded = False

    def finish(self) -> int:
        """All are put; returns how many."""
        places = sorted(self._runs)
        if self.padded is False:
            parts = [self._rows[place] for place in places if self._runs[place]]
            self._rows.clear()
            names = parts[0]
            self._joined = {name: _joined([part[name] for part in parts]) for name in names}
            self._places = None
        else:
            runs = [np.arange(p, p + self._runs[p]) for p in places]
            at = np.concatenate(runs) if runs else np.empty(0, np.int64)
            self._places = None if len(at) and at[-1] == len(at) - 1 else at
        n = sum(self._runs.values())
        self._runs.clear()
        return n

    def take(self, events: NDArray[np.int64]) -> Rows:
        """These of the events, counted from the first: tensors or rows, as they are kept."""
        if self.padded is False:
            return {name: _taken(values, events) for name, values in self._joined.items()}
        if self._places is not None:
            events = self._places[events]
        # All are there: "clip" means that NumPy need not look first.
        return {name: values.take(events, 0, mode="clip") for name, values in self._tensors.items()}

    @property
    def nbytes(self) -> int:
        if self.padded is False:
            return sum(size_of(values) for values in self._joined.values())
        return sum(values.nbytes for values in self._tensors.values())


def is_dense(tensors: Mapping[str, Array], n: int) -> bool:
    """Whether every tensor has one entry per event, so that events can be picked from it."""
    return all(len(values) == n for values in tensors.values())


def _same_memory(values: Array, other: Array) -> bool:
    address = values.__array_interface__["data"][0]
    return bool(values.shape == other.shape and address == other.__array_interface__["data"][0])


def _joined(parts: list[Any]) -> Any:
    if len(parts) == 1:
        return parts[0]
    return concatenate(parts) if isinstance(parts[0], Jagged) else np.concatenate(parts)


def _taken(values: Any, events: NDArray[np.int64]) -> Any:
    return values[events] if isinstance(values, Jagged) else values.take(events, axis=0)
