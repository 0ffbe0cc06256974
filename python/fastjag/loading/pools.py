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
from fastjag.loading.lists import Lists

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


def stays_padded(inputs: ModelInputs) -> bool:
    """Whether events are kept as tensors, and their columns let go at once."""
    return inputs.dense_bytes <= SMALL and getattr(inputs, "is_dense", True)


class Pool:
    """Events as rows, of which some are taken. Threads ``put`` runs of events at places of their own."""

    padded = False

    def __init__(self, inputs: ModelInputs) -> None:
        self.inputs = inputs
        self._rows: dict[int, Rows] = {}
        self._runs: dict[int, int] = {}  # place to number
        self._lock = threading.Lock()

    def put(self, place: int, rows: Rows, of: str) -> None:
        n = n_rows(rows, of)
        with self._lock:
            if n:
                self._runs[place], self._rows[place] = n, rows

    def finish(self) -> int:
        """All are put; returns how many."""
        parts = [self._rows[place] for place in sorted(self._runs)]
        n = sum(self._runs.values())
        self._rows.clear()
        self._runs.clear()
        self._joined: Rows = {
            name: _joined([part[name] for part in parts]) for name in (parts[0] if parts else ())
        }
        return n

    def take(self, events: NDArray[np.int64]) -> Rows:
        """These of the events, counted from the first in the order of places."""
        return {name: _taken(values, events) for name, values in self._joined.items()}

    @property
    def nbytes(self) -> int:
        return sum(
            values.nbytes if isinstance(values, Lists) else size_of(values)
            for values in self._joined.values()
        )


def is_dense(tensors: Mapping[str, Array], n: int) -> bool:
    """Whether every tensor has one entry per event, so that events can be picked from it."""
    return all(len(values) == n for values in tensors.values())


def _joined(parts: list[Any]) -> Any:
    if not isinstance(parts[0], Jagged):
        return np.concatenate(parts)
    return Lists(parts) if Lists.can_have(parts) else concatenate(parts)


def _taken(values: Any, events: NDArray[np.int64]) -> Any:
    if isinstance(values, Lists):
        return values.take(events)
    return values[events] if isinstance(values, Jagged) else values.take(events, axis=0)
