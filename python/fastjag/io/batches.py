"""Some events of one file, as collections and arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, cast, overload

import numpy as np
from numpy.typing import NDArray

from fastjag.core.arrays import Array, as_event_indices
from fastjag.core.checks import is_integer, near_misses, one_of
from fastjag.core.devices import to_device_of, to_gpu, to_host
from fastjag.core.display import NAMES, html_table, listed, numbers, short
from fastjag.core.habits import OF_BATCH, NotAnArray, no_attribute
from fastjag.jagged import Jagged, arrow, concatenate, interchange
from fastjag.jagged.joining import join_columns
from fastjag.jagged.shapes import described

#: A list branch's collection and column.
Place: TypeAlias = tuple[str, str]


@dataclass(frozen=True)
class Source:
    """Where a batch came from: entries ``start`` to ``stop`` of a tree in a file."""

    file: str
    tree: str
    start: int
    stop: int
    dataset: str = ""  #: of the range, where ranges were read

    def __str__(self) -> str:
        return f"{self.file}:{self.tree}[{self.start}:{self.stop}]"


class Batch(NotAnArray):
    """Some events of one file: ``batch.Muon`` is a Jagged, ``batch["MET_pt"]`` an array.

    ``collections`` and ``flat`` hold all of them by name: Jagged, and arrays of shape (n_events,),
    or (n_events, 3) where every event has three numbers; text is an array of str. ``fields`` are the names of both, which
    iteration gives, too. ``batch["Muon"]`` is ``batch.Muon``, for collections whose names are those of
    attributes (``flat``, ``source``) or no identifiers; of an event branch and a collection of one name it
    is the event branch. ``batch["Muon_pt"]``, by the name of a branch, is a Jagged of that column alone.
    ``batch[mask]``, ``batch[indices]`` and ``batch[10:20]`` are some of the events.
    """

    def __init__(
        self,
        collections: dict[str, Jagged],
        flat: dict[str, Array],
        source: Source,
        names: Mapping[Place, str] | None = None,
        entries: NDArray[np.int64] | None = None,
    ):
        self.collections = collections
        self.flat = flat
        self.source = source
        self._names = names or {}
        self._entries = entries

    def __setstate__(self, state: dict[str, Any]) -> None:
        # Pickles of 0.2 and before have no entries, or survivors' under another name.
        self.__dict__.update({"_entries": state.pop("entries", None), **state})

    def __len__(self) -> int:
        if self._entries is not None:
            return len(self._entries)
        return self.source.stop - self.source.start

    @property
    def entries(self) -> NDArray[np.int64]:
        """int64 (n_events,): which entries of the tree the events are."""
        if self._entries is not None:
            return self._entries
        return np.arange(self.source.start, self.source.stop)

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of collections and event branches."""
        return tuple(dict.fromkeys([*self.collections, *self.flat]))

    @property
    def nbytes(self) -> int:
        """Memory of the arrays."""
        return sum(array.nbytes for array in self._arrays().values())

    def branch(self, collection: str, column: str) -> str:
        """The branch that a column of a collection is; no two columns have the same."""
        usual = column if column == collection else f"{collection}_{column}"
        return self._names.get((collection, column), usual)

    def __iter__(self) -> Iterator[str]:
        return iter(self.fields)

    def __contains__(self, name: object) -> bool:
        """Whether ``batch[name]`` is there."""
        if name in self.flat or name in self.collections:
            return True
        return isinstance(name, str) and self._place(name) is not None

    def _place(self, name: str) -> Place | None:
        """Collection and column of the branch of this name."""
        for collection, particles in self.collections.items():
            for column in particles.columns:
                if name == self.branch(collection, column):
                    return collection, column
        return None

    def __getattr__(self, name: str) -> Any:
        """The collection or, if there is none of that name, the event branch."""
        collections: dict[str, Jagged] = self.__dict__.get("collections", {})
        if name in collections:
            return collections[name]
        if name.startswith("_") or "flat" not in self.__dict__:  # in the middle of an unpickling
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError:
            raise no_attribute(
                "Batch", "collection or branch", name, self._known(), OF_BATCH
            ) from None

    def _known(self) -> list[str]:
        """Names that somebody may have meant."""
        groups = self.collections.items()
        return [*self.fields, *(self.branch(n, c) for n, j in groups for c in j.columns)]

    def __dir__(self) -> list[str]:
        return [*object.__dir__(self), *map(str, self.fields)]

    def _ipython_key_completions_(self) -> list[str]:
        return list(dict.fromkeys(self._known()))

    @overload
    def __getitem__(self, key: str) -> Any: ...
    @overload
    def __getitem__(self, key: slice | list[Any] | NDArray[Any]) -> Batch: ...
    def __getitem__(self, key: Any) -> Any:
        """By name, the event branch, the collection or the column of one; else some of the events."""
        if not isinstance(key, str):
            return self._events(key)
        if key in self.flat:
            return self.flat[key]
        if key in self.collections:
            return self.collections[key]
        if (place := self._place(key)) is not None:
            return self.collections[place[0]][[place[1]]]
        raise KeyError(f"no branch {key!r} was read: {near_misses(key, self._known())}")

    def event_branch(self, name: str) -> Array:
        """A branch with one number, or a few, per event; KeyError where it is jagged or not there."""
        values = self[name]
        if isinstance(values, Jagged):
            raise KeyError(f"{name!r} is jagged, where one number per event is needed")
        if values.dtype == object:
            raise KeyError(f"{name!r} is text, where one number per event is needed")
        return cast(Array, values)

    def _events(self, key: Any) -> Batch:
        if is_integer(key):
            raise TypeError(
                f"a batch is picked from by name, mask, slice or a list of events, got {key}: "
                f"batch[{key}:{int(key) + 1}] is one event, batch.Muon[{key}] its muons"
            )
        if isinstance(key, list) and any(isinstance(one, str) for one in key):
            raise TypeError("a batch takes one name: batch[name], or read fewer columns")
        # Of one kind for all collections: a mask of events is never one of their particles.
        rows = key if _in_one_piece(key) else as_event_indices(to_host(key), len(self), np.empty(0))
        entries = self.entries[rows]
        source = self.source
        if self._entries is None and _in_one_piece(key):
            start, stop, _ = key.indices(len(self))
            source = replace(
                source, start=source.start + start, stop=source.start + max(start, stop)
            )

        def some(values: Any, like: Array) -> Any:
            return values[rows if isinstance(rows, slice) else to_device_of(like, rows)]

        return Batch(
            {name: some(jagged, jagged.offsets) for name, jagged in self.collections.items()},
            {name: some(values, values) for name, values in self.flat.items()},
            source,
            self._names,
            entries if source is self.source else None,
        )

    # ---- in other shapes --------------------------------------------------------------------

    def to(self, device: str) -> Batch:
        """The same events on "cuda" (CuPy's current GPU) or "cpu", as :meth:`Jagged.to`.

        Text stays on the CPU: CuPy has none.
        """
        move = to_gpu if one_of("device", device, ("cpu", "cuda")) == "cuda" else to_host
        collections = {name: jagged.to(device) for name, jagged in self.collections.items()}
        flat = {n: v if v.dtype == object else move(v) for n, v in self.flat.items()}
        return Batch(collections, flat, self.source, self._names, self._entries)

    def to_awkward(self) -> Any:
        """An awkward array of events: collections as lists of records, event branches as numbers."""
        if both := [name for name in self.flat if name in self.collections]:
            raise ValueError(
                f"{both[0]!r} is an event branch and a collection, which one array cannot hold: "
                f"batch.collections[{both[0]!r}].to_awkward() is one of them"
            )
        groups = {name: particles.to_awkward() for name, particles in self.collections.items()}
        return interchange.rows_to_awkward({**groups, **self.flat}, len(self))

    def to_arrow(self) -> Any:
        """An Arrow table with a row per event and a column per branch, of lists where it is jagged.

        Text is a dictionary: the names of its kinds, and their codes.
        """
        return arrow.rows_to_arrow({**self._lists(), **self.flat})

    def to_pandas(self) -> Any:
        """A pandas DataFrame with a row per event and a column per branch, copied.

        Columns of lists have Arrow's dtype, as pandas has none; ``batch.Muon.to_pandas()`` has a row per
        particle. Columns of several numbers per event have it, too. Text is a column of categories.
        """
        return arrow.events_to_pandas(self.flat, self._lists())

    def _lists(self) -> dict[str, Any]:
        return {
            self.branch(name, column): arrow.to_arrow_lists(particles.offsets, particles[column])
            for name, particles in self.collections.items()
            for column in particles.columns
        }

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """What ``pyarrow.table(batch)`` and ``polars.DataFrame(batch)`` read."""
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def __awkward_function__(self, function: Any, _: Any, args: Any, kwargs: Any) -> Any:
        return interchange.call_awkward(function, args, kwargs)

    def _how(self) -> str:
        return "batch.fields names its collections and arrays"

    # ---- several ----------------------------------------------------------------------------

    @staticmethod
    def _joined(parts: Sequence[Batch]) -> Batch:
        first = parts[0]
        for i, part in enumerate(parts):
            for name in {*first.fields, *part.fields}:
                for kind in ("collections", "flat"):
                    if (name in getattr(part, kind)) != (name in getattr(first, kind)):
                        raise KeyError(f"{name!r} is not in {kind} of part 0 and part {i} alike")
        collections = {
            name: concatenate([part.collections[name] for part in parts])
            for name in first.collections
        }
        flat = join_columns([part.flat for part in parts], "event branch")
        names = {place: name for part in reversed(parts) for place, name in part._names.items()}
        homes = list(dict.fromkeys((part.source.file, part.source.tree) for part in parts))
        n = sum(len(part) for part in parts)
        if len(homes) > 1:  # entries of several trees are no entries of one
            files = listed(list(dict.fromkeys(file for file, _ in homes)))
            trees = listed(list(dict.fromkeys(tree for _, tree in homes)))
            return Batch(collections, flat, Source(files, trees, 0, n), names)
        start = min(part.source.start for part in parts)
        source = Source(*homes[0], start, max(part.source.stop for part in parts))
        entries = np.concatenate([part.entries for part in parts])
        whole = n == source.stop - start and bool((np.diff(entries) == 1).all())
        return Batch(collections, flat, source, names, None if whole else entries)

    def _arrays(self) -> dict[Any, Array]:
        found: dict[Any, Array] = {
            ("Batch", "flat", name): values for name, values in self.flat.items()
        }
        for name, particles in self.collections.items():
            found |= {("Batch", name, *key): v for key, v in particles._arrays().items()}
        return found

    # ---- shown ------------------------------------------------------------------------------

    def __repr__(self) -> str:
        parts = [f"{short(n)} ({j.n_particles}: {listed(j.columns)})"
                 for n, j in list(self.collections.items())[:NAMES]]  # fmt: skip
        more = len(self.collections) - len(parts)
        parts += [f"... and {more} more collections"] * (more > 0)
        parts += [listed(list(self.flat))] * bool(self.flat)
        return f"<Batch of {len(self)} events: {', '.join(parts)}; {self.source}>"

    def _repr_html_(self) -> str:
        rows: list[list[Any]] = []
        for name, particles in self.collections.items():
            rows.append(
                [short(name), f"{particles.n_particles} particles", listed(particles.columns)]
            )
        for name, values in self.flat.items():
            kind = "text" if values.dtype == object else described(values)
            rows.append([short(name), kind, numbers(values.reshape(-1))])
        hidden = len(rows) - LINES
        rows = rows[:LINES] + [["...", f"{hidden} more", ""]] * (hidden > 0)
        caption = f"Batch of {len(self)} events, {self.source}"
        return html_table(caption, ["name", "kind", "columns or first values"], rows)


def _in_one_piece(key: object) -> bool:
    return isinstance(key, slice) and key.step in (None, 1)


#: Rows of the table of a batch.
LINES = 30
