"""Some events of one file, as collections and arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from fastjag.core.arrays import Array
from fastjag.core.checks import near_misses
from fastjag.jagged import Jagged

#: A list branch's collection and column.
Place: TypeAlias = tuple[str, str]


@dataclass(frozen=True)
class Source:
    """Where a batch came from: entries ``start`` to ``stop`` of a tree in a file."""

    file: str
    tree: str
    start: int
    stop: int

    def __str__(self) -> str:
        return f"{self.file}:{self.tree}[{self.start}:{self.stop}]"


class Batch:
    """Some events of one file: ``batch.Muon`` is a Jagged, ``batch["MET_pt"]`` an array.

    ``collections`` and ``flat`` hold all of them by name: Jagged, and arrays of shape (n_events,),
    or (n_events, 3) where every event has three numbers. ``batch["Muon"]`` is ``batch.Muon``, for
    collections whose names are those of attributes (``flat``, ``source``) or no identifiers; of an
    event branch and a collection of one name it is the event branch.
    """

    def __init__(
        self,
        collections: dict[str, Jagged],
        flat: dict[str, Array],
        source: Source,
        names: Mapping[Place, str] | None = None,
    ):
        self.collections = collections
        self.flat = flat
        self.source = source
        self._names = names or {}

    def __len__(self) -> int:
        return self.source.stop - self.source.start

    @property
    def nbytes(self) -> int:
        """Memory of the arrays."""
        groups = self.collections.values()
        arrays = [*self.flat.values(), *(j.offsets for j in groups)]
        return sum(a.nbytes for a in [*arrays, *(j[c] for j in groups for c in j.columns)])

    def branch(self, collection: str, column: str) -> str:
        """The branch that a column of a collection is; no two columns have the same."""
        usual = column if column == collection else f"{collection}_{column}"
        return self._names.get((collection, column), usual)

    def __getattr__(self, name: str) -> Jagged:
        collections: dict[str, Jagged] = self.__dict__.get("collections", {})
        if name in collections:
            return collections[name]
        if name.startswith("_"):
            raise AttributeError(name)
        raise AttributeError(
            f"no collection {name!r} among the branches read: {near_misses(name, collections)}"
        )

    def __getitem__(self, name: str) -> Any:
        """The event branch or, if there is none of that name, the collection."""
        if name in self.flat:
            return self.flat[name]
        if name in self.collections:
            return self.collections[name]
        for collection, particles in self.collections.items():
            for column in particles.columns:
                if name == self.branch(collection, column):
                    plain = collection.isidentifier() and collection not in dir(Batch)
                    where = f".{collection}" if plain else f"[{collection!r}]"
                    raise KeyError(f"{name!r} is jagged: use batch{where}[{column!r}]")
        known = [*self.flat, *self.collections]
        raise KeyError(f"no event branch {name!r} was read: {near_misses(name, known)}")

    def __repr__(self) -> str:
        parts = [f"{n} ({j.n_particles}: {', '.join(j.columns)})"
                 for n, j in self.collections.items()] + list(self.flat)  # fmt: skip
        return f"<Batch of {len(self)} events: {', '.join(parts)}; {self.source}>"
