"""Values of expressions: one number, one per event, or one per particle; and the names that have them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np

from fastjag.core.arrays import Array
from fastjag.core.checks import near_misses
from fastjag.io import Batch
from fastjag.jagged import Jagged
from fastjag.jagged.shapes import described, is_lists


class Value(NamedTuple):
    """Numbers, and the particles that they are of; None: of events, or a constant (a Python number)."""

    array: Any
    lists: Jagged | None = None

    @property
    def is_constant(self) -> bool:
        return isinstance(self.array, (bool, int, float))


class Evaluated(Protocol):
    """What an expression is: from names to its value."""

    def __call__(self, names: EventNames, /) -> Value: ...


class EventNames:
    """What the names in expressions are for the events of one batch.

    A name is a branch that was read or one of the ``definitions``; each of these is evaluated once.
    """

    def __init__(self, events: Batch, definitions: Mapping[str, Evaluated] | None = None) -> None:
        self.events, self._definitions = events, definitions or {}
        self._known: dict[str, Value] = {}
        self._places = {
            events.branch(name, column): (name, column)
            for name, particles in events.collections.items()
            for column in particles.columns
        }

    def __len__(self) -> int:
        return len(self.events)

    @property
    def like(self) -> Array:
        """Any array of the events: it says where they live."""
        particles = [jagged._offsets for jagged in self.events.collections.values()]
        found: Array = next(iter([*self.events.flat.values(), *particles]), np.empty(0))
        return found

    def __call__(self, name: str) -> Value:
        if name not in self._known:
            definition = self._definitions.get(name)
            self._known[name] = self._branch(name) if definition is None else definition(self)
        return self._known[name]

    def _branch(self, name: str) -> Value:
        if name in self.events.flat:
            values = self.events.flat[name]
            if values.dtype == object:
                raise TypeError(f"branch {name!r} is text, and expressions take numbers")
            return Value(values)
        if name not in self._places:
            known = [*self.events.flat, *self._places, *self._definitions]
            raise KeyError(f"no branch {name!r} was read: {near_misses(name, known)}")
        collection, column = self._places[name]
        particles = self.events.collections[collection]
        values = particles._columns[column]
        if is_lists(values) or values.ndim > 1:
            raise TypeError(
                f"branch {name!r} holds {described(values)} for each particle, and expressions take "
                "one number"
            )
        return Value(values, particles)


def number(array: Any) -> Any:
    """For arithmetic: integers and truth values as float64, so that nothing wraps around."""
    if isinstance(array, (bool, int, float)) or array.dtype.kind == "f":
        return array
    return array.astype(np.float64)


def together(values: Mapping[str, Value]) -> tuple[list[Any], Jagged | None]:
    """Arrays that go together, by what they are called in errors, and the particles that they are of.

    Values of events are repeated for the particles, where one of the values is of particles.
    """
    lists: Jagged | None = None
    first = ""
    for name, value in values.items():
        if value.lists is None:
            continue
        if lists is None:
            lists, first = value.lists, name
        else:
            _check_lengths(lists, value.lists, first, name)
    if lists is None:
        return [value.array for value in values.values()], None
    arrays = [
        value.array
        if value.lists is not None or value.is_constant
        else lists.broadcast(value.array)
        for value in values.values()
    ]
    return arrays, lists


def _check_lengths(a: Jagged, b: Jagged, first: str, second: str) -> None:
    if a is b:
        return
    ours, theirs = a.counts, b.counts
    if len(ours) == len(theirs) and bool((ours == theirs).all()):
        return
    event = int((ours != theirs).argmax())
    raise ValueError(
        f"{first} and {second} have lists of different lengths: event {event} has {int(ours[event])} "
        f"and {int(theirs[event])}; {second.split('[')[0]}[0] is the first of each event"
    )


def of_events(value: Value, text: str) -> Array:
    """The value as an array with one number per event, or a ValueError that names the expression."""
    if value.lists is not None:
        raise ValueError(
            f"{text!r} has a number for each particle, where one per event is needed: {text}[0] is "
            f"that of the first, sum({text}) and max({text}) are of all"
        )
    if value.array.ndim > 1:
        raise ValueError(
            f"{text!r} has numbers of shape {value.array.shape[1:]} per event: {text}[0] is the first"
        )
    found: Array = value.array
    return found
