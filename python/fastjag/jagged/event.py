"""The particles of one event."""

from __future__ import annotations

from typing import Any

from fastjag.core.arrays import Array
from fastjag.core.checks import near_misses
from fastjag.core.display import listed
from fastjag.jagged.columns import Column, ParticleColumns
from fastjag.jagged.shapes import arrays_of, shown


class Event(ParticleColumns, dict[str, Column]):
    """The particles of one event of a Jagged: ``muons[0]``, ``for event in muons``.

    ``event["pt"]``, or ``event.pt``, is a column, shape (n_particles,), a view, or a Jagged where every
    particle has a list; ``len(event)`` is the number of
    particles, as in functions that numba compiles. Otherwise it is a dict of its columns:
    ``event.items()``, names by ``in`` and iteration, ``pandas.DataFrame(event)``.

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

    # An event is itself and no other one; fj.equal compares columns.
    __eq__ = object.__eq__
    __ne__ = object.__ne__
    __hash__ = object.__hash__  # type: ignore[assignment]
    __contains__ = dict.__contains__

    @property
    def _columns(self) -> dict[str, Column]:
        return self

    def __len__(self) -> int:
        return self.n_particles

    def __getitem__(self, name: str) -> Column:
        if not isinstance(name, str):
            raise TypeError(
                f"an event takes the name of a column, got {name!r}: "
                f"event[{self.columns[0]!r}][{name!r}] picks its particles"
            )
        return dict.__getitem__(self, name)

    def __missing__(self, name: str) -> Column:
        raise KeyError(f"no column {name!r}: {near_misses(name, self)}")

    def _arrays(self) -> dict[Any, Array]:
        return arrays_of(self, "Event")

    def __repr__(self) -> str:
        cells = [f"{name} [{shown(self[name])}]" for name in self.columns[:4]]
        more = f"  and {listed(self.columns[4:])}" if len(self.columns) > 4 else ""
        return f"<Event of {len(self)} particles: {'  '.join(cells)}{more}>"
