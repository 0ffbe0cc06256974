"""Named columns of particles: what Jagged and its events share."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, TypeAlias

from fastjag.core.checks import near_misses
from fastjag.core.habits import OF_JAGGED, NotAnArray, no_attribute

#: Of shape (n,) or (n, 3, ...), or a Jagged of n events: a list for each particle.
Column: TypeAlias = Any


class ParticleColumns(NotAnArray):
    """Columns of equal length, by name and, where no method or property has it, by attribute."""

    __slots__ = ()

    @property
    @abstractmethod
    def _columns(self) -> dict[str, Column]:
        """All of them by name."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(self._columns)

    @property
    def n_particles(self) -> int:
        """Number of particles."""
        return len(next(iter(self._columns.values())))

    def __contains__(self, name: object) -> bool:
        return name in self._columns

    def _column(self, name: str) -> Column:
        try:
            return self._columns[name]
        except KeyError:
            raise KeyError(f"no column {name!r}: {near_misses(name, self._columns)}") from None

    def __getattr__(self, name: str) -> Column:
        """Only called for what is no method and no property."""
        if name.startswith("_"):
            raise AttributeError(name)
        if name in self._columns:
            return self[name]  # type: ignore[index]
        owner = f"{type(self).__name__} of {', '.join(self.columns[:4])}"
        raise no_attribute(owner, "column", name, self._columns, OF_JAGGED)

    def __dir__(self) -> list[str]:
        return [*object.__dir__(self), *map(str, self._columns)]

    def _ipython_key_completions_(self) -> list[str]:
        return list(self._columns)

    def _how(self) -> str:
        return f"a column is one, for example muons[{self.columns[0]!r}]"
