"""The particles of one event."""

from __future__ import annotations

from typing import Any

from fastjag.core.arrays import Array
from fastjag.core.checks import near_misses
from fastjag.core.display import listed, numbers
from fastjag.jagged.columns import ParticleColumns


class Event(ParticleColumns, dict[str, Array]):
    """The particles of one event of a Jagged: ``muons[0]``, ``for event in muons``.

    ``event["pt"]``, or ``event.pt``, is a column, shape (n_particles,), a view; ``len(event)`` is the number of
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
    def _columns(self) -> dict[str, Array]:
        return self

    def __len__(self) -> int:
        return self.n_particles

    def __getitem__(self, name: str) -> Array:
        if not isinstance(name, str):
            raise TypeError(
                f"an event takes the name of a column, got {name!r}: "
                f"event[{self.columns[0]!r}][{name!r}] picks its particles"
            )
        return dict.__getitem__(self, name)

    def __missing__(self, name: str) -> Array:
        raise KeyError(f"no column {name!r}: {near_misses(name, self)}")

    def _arrays(self) -> dict[Any, Array]:
        return {("Event", name): values for name, values in self.items()}

    def __repr__(self) -> str:
        shown = [f"{name} [{numbers(self[name])}]" for name in self.columns[:4]]
        more = f"  and {listed(self.columns[4:])}" if len(self.columns) > 4 else ""
        return f"<Event of {len(self)} particles: {'  '.join(shown)}{more}>"
