"""Trees side by side: what ROOT calls friends has more branches of the same entries."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import Any

import numpy as np

from fastjag.core.arrays import Array
from fastjag.io.batches import Batch, Place
from fastjag.io.branches import LeftOut
from fastjag.io.errors import ReadError
from fastjag.io.reader import Reader
from fastjag.jagged import Jagged, equal
from fastjag.jagged.shapes import is_lists


class Befriended:
    """A tree and its friends, read as one: as far as iteration asks, it is a :class:`Reader`.

    Raises ReadError, naming both files and their numbers, where they have not as many entries.
    """

    def __init__(self, first: Reader, friends: Sequence[Reader]) -> None:
        self.first, self.readers = first, [first, *friends]
        self.file, self.tree_name, self.n_entries = first.file, first.tree_name, first.n_entries
        self._names: list[list[str]] = [[] for _ in self.readers]
        for friend in friends:
            if friend.n_entries != first.n_entries:
                raise ReadError(
                    f"{_where(first)} has {first.n_entries} entries and its friend {_where(friend)} "
                    f"{friend.n_entries}: friends have the same entries"
                )

    @property
    def left_out(self) -> list[LeftOut]:
        return [branch for reader in self.readers for branch in reader.left_out]

    def close(self) -> None:
        for reader in self.readers:
            reader.close()

    def branches(self, columns: Sequence[str] | None) -> list[str]:
        """As of a reader: of all trees by default, else a name from the first tree that has it, and what
        matches a pattern from all of them."""
        if columns is None:
            self._names = [reader.branches(None) for reader in self.readers]
            return self._all()
        wanted: list[list[str]] = [[] for _ in self.readers]
        for name in columns:
            own = [i for i, reader in enumerate(self.readers) if reader.names.find(name)]
            like = [i for i, reader in enumerate(self.readers) if reader.names.matching(name)]
            if not own and not like:
                also = ", ".join(_where(friend) for friend in self.readers[1:])
                raise ReadError(
                    f"{_where(self.first)}: {self.first.names.unknown(name)} (nor has a friend: {also})"
                )
            for i in own[:1] or like:
                wanted[i].append(name)
        self._names = [
            reader.branches(own) if own else []
            for reader, own in zip(self.readers, wanted, strict=True)
        ]
        return self._all()

    def optional(self, names: Iterable[str], _: Iterable[str]) -> list[str]:
        """As of a reader: of the first tree that has them."""
        left = list(names)
        for reader, own in zip(self.readers, self._names, strict=True):
            own += reader.optional([n for n in left if reader.names.find(n)], own)
            left = [name for name in left if not reader.names.find(name)]
        return self._all()

    def _all(self) -> list[str]:
        return [name for own in self._names for name in own]

    def _used(self) -> list[tuple[Reader, list[str]]]:
        return [(r, own) for r, own in zip(self.readers, self._names, strict=True) if own]

    def entries_per_step(self, _: Sequence[str], step: int | str) -> int:
        if isinstance(step, int):
            return step
        per_byte = sum(1 / reader.entries_per_step(own, step) for reader, own in self._used())
        return max(1, int(1 / per_byte))

    def announce(self, _: Sequence[str], start: int, stop: int) -> None:
        """As of a reader."""
        for reader, own in self._used():
            reader.announce(own, start, stop)

    def batches(self, _: Sequence[str], step: int, start: int, stop: int) -> Generator[Batch]:
        """Batches of all trees, each as one."""
        with ExitStack() as stack:
            streams = [
                stack.enter_context(closing(reader.batches(own, step, start, stop)))
                for reader, own in self._used()
            ]
            for parts in zip(*streams, strict=True):
                yield self._merged(parts)

    def _merged(self, parts: Sequence[Batch]) -> Batch:
        first = parts[0]
        collections, flat = dict(first.collections), dict(first.flat)
        names: dict[Place, str] = dict(first._names)
        for part in parts[1:]:
            for name, values in part.flat.items():
                if name in flat:
                    _check_same(name, flat[name], values, first, part)
                flat.setdefault(name, values)
            for name, particles in part.collections.items():
                own = collections.get(name)
                collections[name] = particles if own is None else _together(
                    name, own, particles, first, part
                )  # fmt: skip
            names |= {place: name for place, name in part._names.items() if place not in names}
        source = replace(first.source, file=self.first.path, tree=self.first.tree_name)
        return Batch(collections, flat, source, names)


def _where(reader: Reader) -> str:
    return f"{reader.path}:{reader.tree_name}"


def _together(name: str, own: Jagged, other: Jagged, first: Batch, part: Batch) -> Jagged:
    """Columns of one collection, of two trees."""
    differ = own.counts != other.counts
    if differ.any():
        event = int(differ.argmax())
        raise ReadError(
            f"{first.source} has {own.counts[event]} particles of {name} in entry "
            f"{first.source.start + event}, and its friend {part.source} {other.counts[event]}"
        )
    for column in other.columns:
        if column in own:
            branch = part.branch(name, column)
            _check_same(branch, own[column], other[column], first, part, own.offsets)
    new: dict[str, Any] = {c: other[c] for c in other.columns if c not in own}
    return own.with_columns(**new)


def _check_same(
    name: str, own: Any, other: Any, first: Batch, part: Batch, offsets: Array | None = None
) -> None:
    """A branch that both have has the same values in both: else the entries are others."""
    where = ""
    if is_lists(own) or is_lists(other) or own.shape != other.shape:
        if is_lists(own) and is_lists(other) and equal(own, other):
            return
    else:
        same = own == other
        if own.dtype.kind == other.dtype.kind == "f":
            same |= np.isnan(own) & np.isnan(other)
        if same.all():
            return
        at = int(np.argwhere(~same)[0, 0])
        entry = at if offsets is None else int(np.searchsorted(offsets, at, side="right")) - 1
        where = f", in entry {first.source.start + entry} first"
    raise ReadError(
        f"{name!r} of {first.source} and of its friend {part.source} differ{where}: friends have the "
        "same entries in the same order, so that a branch which both have is the same; name the "
        "columns, which reads it of the first tree that has it"
    )
