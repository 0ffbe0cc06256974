"""The particles of one event."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, ValuesView
from typing import Any

from fastjag.core.arrays import Array
from fastjag.core.display import listed, numbers
from fastjag.jagged.columns import ParticleColumns


class Event(ParticleColumns):
    """The particles of one event of a Jagged: ``muons[0]``, ``for event in muons``.

    ``event["pt"]``, or ``event.pt``, is a column, shape (n_particles,), a view; ``len(event)`` is the number of
    particles, as in functions that numba compiles. Otherwise it is a dict of its columns:
    ``dict(event)``, ``event.items()``, names by ``in`` and iteration.

    Examples
    --------
    >>> import fastjag as fj
    >>> muons = fj.Jagged([0, 2, 2, 3], {"pt": [41.5, 18.2, 33.0], "eta": [0.1, -1.2, 2.1]})
    >>> muons[0].pt
    array([41.5, 18.2])
    >>> [len(event) for event in muons]
    [2, 0, 1]
    """

    __slots__ = ()

    def __init__(self, columns: dict[str, Array]) -> None:
        self._columns = columns

    def __len__(self) -> int:
        return self.n_particles

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __getitem__(self, name: str) -> Array:
        if not isinstance(name, str):
            raise TypeError(
                f"an event takes the name of a column, got {name!r}: "
                f"event[{self.columns[0]!r}][{name!r}] picks its particles"
            )
        return self._column(name)

    def _arrays(self) -> dict[Any, Array]:
        return {("Event", name): values for name, values in self._columns.items()}

    def keys(self) -> KeysView[str]:
        return self._columns.keys()

    def values(self) -> ValuesView[Array]:
        return self._columns.values()

    def items(self) -> ItemsView[str, Array]:
        return self._columns.items()

    def __repr__(self) -> str:
        shown = [f"{name} [{numbers(self._columns[name])}]" for name in self.columns[:4]]
        more = f"  and {listed(self.columns[4:])}" if len(self._columns) > 4 else ""
        return f"<Event of {len(self)} particles: {'  '.join(shown)}{more}>"
