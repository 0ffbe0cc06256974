"""Factors of events by a correction of a file, as a configuration names it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from fastjag import corrections
from fastjag.core.arrays import Array


@dataclass(frozen=True)
class Factors:
    """One correction, and the columns that its inputs are: of particles of a collection, or of events."""

    file: str
    name: str
    particles: str | None
    columns: Mapping[str, str]  #: input to column, where names differ

    @property
    def branches(self) -> list[str]:
        """What files must have. ValueError where the correction has not exactly one input of text."""
        prefix = "" if self.particles is None else f"{self.particles}_"
        return [prefix + column for column in self._columns().values()]

    def function(self, text: str, outside: MutableMapping[str, int] | None) -> Callable[..., Array]:
        """The factor of every event, where the input of text is ``text``.

        Its parameters are those of a step of :class:`fastjag.Variations`. Entries outside of the range are
        added to ``outside`` the first time that it is called.
        """
        columns = self._columns()
        choice: dict[str, Any] = {self._choice(): text}
        counts: list[MutableMapping[str, int] | None] = [outside]

        def once() -> MutableMapping[str, int] | None:
            return counts.pop() if counts else None

        if self.particles is not None:

            def of_particles(particles: Any) -> Array:
                values = self._correction()(particles, names=columns, counts=once(), **choice)
                return corrections.prod(particles, values)

            return of_particles

        def of_events(*given: Array) -> Array:
            by_name = dict(zip(self.parameters, given, strict=True))
            values = {name: by_name[column] for name, column in columns.items()}
            return self._correction()(values, counts=once(), **choice)

        return of_events

    @property
    def parameters(self) -> list[str]:
        """Names of what :meth:`function` takes."""
        if self.particles is not None:
            return [self.particles]
        return [*dict.fromkeys(self._columns().values())]

    def _correction(self) -> corrections.Correction:
        return _read(self.file)[self.name]

    def _columns(self) -> dict[str, str]:
        """Column of every input that is a number."""
        types = self._correction().types
        return {name: self.columns.get(name, name) for name in types if types[name] != "string"}

    def _choice(self) -> str:
        """The input that says which variation is meant."""
        types = self._correction().types
        texts = [name for name, kind in types.items() if kind == "string"]
        if len(texts) != 1:
            raise ValueError(
                f"{self.file}: correction {self.name!r} must have one input of text, that up and down are "
                f"values of, got {texts or 'none'}"
            )
        return texts[0]


@lru_cache(maxsize=32)
def _read(file: str) -> corrections.Corrections:
    return corrections.read(file)
