"""Columns of numbers out of the baskets of a TTree, for any range of entries, without a detour.

All baskets of a range are pieces of work of one pool, whatever branch they are of: each is decompressed
into a buffer of its thread, and its values are copied, in the byte order of this machine, to where they
stay. A basket that reaches beyond the range is kept from its end on, so that ranges in order read each
basket once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, ClassVar, NamedTuple

import numpy as np

from fastjag import kernels
from fastjag.core.arrays import Array, Offsets, offsets_of
from fastjag.io.baskets import Baskets, Buffers, Empty, Stored, list_bounds
from fastjag.io.sources import Bytes
from fastjag.io.tasks import InOrder, Tasks
from fastjag.jagged import Jagged
from fastjag.jagged.columns import Column
from fastjag.jagged.shapes import PLAIN

_PIECE = 1 << 17  # bytes in the file: small baskets are not worth a task each


class _Left(NamedTuple):
    """Of a basket that reaches beyond the range that was read: what is behind it."""

    basket: int
    entry: int  #: the first
    content: Any


class BranchColumn(ABC):
    """One branch in a range of entries."""

    ITEMS: ClassVar[str]

    def __init__(self, stored: Stored) -> None:
        self.stored = stored
        self.left: _Left | None = None
        self.empty: Empty = np.empty
        self.rests: Empty = np.empty
        entries = np.asarray(stored.entries)
        if (entries[1:] < entries[:-1]).any():
            raise ValueError(f"the baskets of {stored.name} are not in the order of its entries")

    def begin(
        self, start: int, stop: int, offsets: Offsets | None = None, base: int = 0
    ) -> Sequence[int]:
        """The baskets to ``take`` for a range; ``offsets`` are of the lists from ``base`` on."""
        self.start, self.stop, self.offsets, self.base = start, stop, offsets, base
        baskets = self._baskets()
        self._prepare(baskets)
        if not baskets or not self._keeps(start):
            return baskets
        assert self.left is not None
        basket, first, content = self.left
        self._keep(basket, self._put(basket, first, content))
        return baskets[1:]

    def first(self, start: int) -> int:
        """The entry from which lengths must be known, if the range begins at ``start``."""
        if self.left is not None and self._keeps(start):
            return self.left.entry
        return self.stored.entries[bisect_right(self.stored.entries, start) - 1]

    def take(self, basket: int, unpacked: Baskets) -> None:
        """Read one basket; in any thread."""
        rest = self._put(basket, self.stored.entries[basket], self._content(basket, unpacked))
        self._keep(basket, rest)

    @abstractmethod
    def end(self) -> tuple[Offsets | None, Any]:
        """(offsets or None, values), when all baskets are taken."""

    @abstractmethod
    def _prepare(self, baskets: range) -> None:
        """Room for what is in the range."""

    @abstractmethod
    def _content(self, basket: int, unpacked: Baskets) -> Any:
        """What is in a basket."""

    @abstractmethod
    def _put(self, basket: int, first: int, content: Any) -> Any:
        """Put away what is in the range, of a basket's content from entry ``first`` on.

        Returns what is behind the range.
        """

    def _keep(self, basket: int, rest: Any) -> None:
        if self.stored.entries[basket + 1] > self.stop:
            self.left = _Left(basket, self.stop, rest)

    def _keeps(self, start: int) -> bool:
        left = self.left
        return left is not None and left.entry <= start < self.stored.entries[left.basket + 1]

    def _baskets(self) -> range:
        """Those with entries of the range."""
        if self.start >= self.stop:
            return range(0)
        entries = self.stored.entries
        there = entries[0] <= self.start and self.stop <= entries[-1]
        if not there or len(self.stored.seeks) < len(entries) - 1:
            name = self.stored.name
            raise ValueError(
                f"{name} has not as many {self.ITEMS} as its entries until {self.stop}"
            )
        first = bisect_right(entries, self.start) - 1
        return range(first, bisect_left(entries, self.stop, lo=first))


class Numbers(BranchColumn):
    """Of a branch with a fixed number of values per entry, or with a counter."""

    ITEMS = "values"

    def take(self, basket: int, unpacked: Baskets) -> None:
        content = self._content(basket, unpacked)
        rest = self._put(basket, self.stored.entries[basket], content)
        if (
            self.stored.entries[basket + 1] > self.stop
        ):  # elsewhere it is empty, and copies cost time
            kept = self.rests(rest.shape, self.stored.native)
            np.copyto(kept, rest)
            self._keep(basket, kept)

    def end(self) -> tuple[None, Array]:
        out = self.out
        del self.out
        return None, out

    def _prepare(self, baskets: range) -> None:
        self._find_places(baskets)
        self.out = self.empty((self.places[-1], *self.stored.shape), self.stored.native)

    def _find_places(self, baskets: range) -> None:
        entries = self.stored.entries[baskets.start : baskets.stop + 1] if baskets else [self.start]
        inside = [min(max(entry, self.start), self.stop) for entry in entries]
        if self.offsets is not None:
            inside = self.offsets[np.array(inside) - self.base].tolist()
        # Where in the range the values of each basket begin, and the last ones end.
        self.places: list[int] = [place - inside[0] for place in inside]
        self.number = baskets.start

    def _content(self, basket: int, unpacked: Baskets) -> Array:
        body, stop, _ = unpacked.read(self.stored, basket)
        if stop % self.stored.dtype.itemsize:
            raise ValueError(f"a basket of {self.stored.name} has {stop} bytes of values")
        return self.stored.values(body[:stop])  # in a buffer that the next one overwrites

    def _put(self, basket: int, first: int, content: Array) -> Array:
        place, stop = self.places[basket - self.number : basket - self.number + 2]
        before = 0 if first >= self.start else self._values(first, self.start)
        done, n = before + stop - place, len(content)
        end = self.stored.entries[basket + 1]
        if done > n or (done < n and end <= self.stop):
            raise ValueError(
                f"basket {basket} of {self.stored.name} has {n} values for entries "
                f"{first} to {end}, which is not what their lengths add up to"
            )
        self._copy(content[before:done], place, stop)
        return content[done:]

    def _copy(self, values: Array, place: int, stop: int) -> None:
        np.copyto(self.out[place:stop], values)

    def _values(self, start: int, stop: int) -> int:
        """How many the entries from start to stop have."""
        if self.offsets is None:
            return stop - start
        return int(self.offsets[stop - self.base] - self.offsets[start - self.base])


class _Lists(BranchColumn):
    """Of a std::vector branch: nothing but its baskets knows the lengths."""

    ITEMS = "lists"

    LEVELS: ClassVar[int] = 1

    def end(self) -> tuple[Offsets, Column]:
        parts = zip(*(self.found[b] for b in sorted(self.found)), strict=True)
        counts, *lists, values = (np.concatenate(p) if len(p) > 1 else p[0] for p in parts)
        self.found.clear()
        column: Column = values
        for lengths in lists:
            column = Jagged(offsets_of(lengths), {PLAIN: column})
        return offsets_of(counts), column

    def _prepare(self, baskets: range) -> None:
        none = *[np.empty(0, np.int64)] * self.LEVELS, np.empty(0, self.stored.native)
        self.found: dict[int, tuple[Array, ...]] = {-1: none} if self.start >= self.stop else {}

    def _content(self, basket: int, unpacked: Baskets) -> tuple[Array, ...]:
        """Lengths of lists, of the lists in these if there are any, and values."""
        stored = self.stored
        body, end, n_key = unpacked.read(stored, basket)
        starts, stops = list_bounds(stored, basket, body, end, n_key)
        return self._split(basket, np.frombuffer(body[:end], np.uint8), starts, stops)

    def _split(
        self, basket: int, data: Array, starts: Offsets, stops: Offsets
    ) -> tuple[Array, ...]:
        stored = self.stored
        lists = kernels.gather(starts, offsets_of(stops - starts), data, threads=1)
        values = lists.view(stored.dtype).astype(stored.native)
        return (stops - starts) // stored.dtype.itemsize, values

    def _put(self, basket: int, first: int, content: tuple[Array, ...]) -> tuple[Array, ...]:
        end = self.stored.entries[basket + 1]
        low, high = max(first, self.start) - first, min(end, self.stop) - first
        found, rest = [], []
        for part in content:
            found.append(part[low:high])
            rest.append(part[high:])
            if part is not content[-1]:
                low, high = int(part[:low].sum()), int(part[:high].sum())
        self.found[basket] = tuple(found)
        return tuple(rest)


class _ListsOfLists(_Lists):
    """Of a branch of std::vector<std::vector<T>>."""

    LEVELS = 2

    def _split(
        self, basket: int, data: Array, starts: Offsets, stops: Offsets
    ) -> tuple[Array, ...]:
        try:
            return kernels.nested_lists(data, starts, stops, self.stored.native)
        except ValueError as error:
            first, end = self.stored.entries[basket : basket + 2]
            raise ValueError(
                f"basket {basket} of {self.stored.name}, entries {first} to {end}: {error}"
            ) from None


def column_of(stored: Stored) -> BranchColumn:
    """Of the kind that a branch is."""
    if stored.nested:
        return _ListsOfLists(stored)
    return (_Lists if stored.header else Numbers)(stored)


class BranchColumns(InOrder[Baskets]):
    """Several branches of one tree, read together, range by range.

    Ranges may be in any order; those that follow one another decompress each basket once. ``start``
    and ``stop`` are where the first will begin and the last will end, by which ``source`` is told what
    to expect; its owner closes it.
    """

    def __init__(
        self, source: Bytes, branches: Sequence[Stored], threads: int, start: int = 0,
        stop: int | None = None, kind: Callable[[Stored], BranchColumn] = column_of,
        buffers: Buffers | None = None,
    ) -> None:  # fmt: skip
        self.source, self._stop = source, stop
        counters = {_key(b.counter): b.counter for b in branches if b.counter}
        self.counters = {key: Numbers(b) for key, b in counters.items()}
        self.columns = [kind(branch) for branch in branches]
        buffers = buffers or Buffers()
        for column in self.columns:
            column.empty, column.rests = buffers.empty, buffers.rests
        # Decompression, reading and NumPy's copies release the GIL.
        self.tasks = Tasks(threads, lambda: Baskets(source, buffers), "fastjag-baskets")
        super().__init__(start)

    def _read(self, start: int, stop: int) -> list[tuple[Offsets | None, Any]]:
        bases = dict.fromkeys(self.counters, start)
        for column in self.columns if start < stop else ():
            if column.stored.counter:  # lists of a basket are counted from its begin on
                key = _key(column.stored.counter)
                bases[key] = min(bases[key], column.first(start))
        for key, counter in self.counters.items():
            self.tasks.add(_pieces(counter, counter.begin(bases[key], stop)))
        n_counters = self.tasks.running
        for column in self.columns:
            if not column.stored.counter:
                self.tasks.add(_pieces(column, column.begin(start, stop)))
        self.tasks.finish(n_counters)
        offsets = {key: _offsets(c.end()[1], c.stored.name) for key, c in self.counters.items()}
        for column in self.columns:
            if column.stored.counter:
                key = _key(column.stored.counter)
                baskets = column.begin(start, stop, offsets[key], bases[key])
                self.tasks.add(_pieces(column, baskets))
        self.tasks.finish()
        own = {key: _from(known, start - bases[key]) for key, known in offsets.items()}
        parts = [column.end() for column in self.columns]
        return [
            (own[_key(column.stored.counter)], values) if column.stored.counter else (lists, values)
            for column, (lists, values) in zip(self.columns, parts, strict=True)
        ]

    def _expect(self, start: int) -> None:
        """Tell the source what is read from there on: steps of any size take it in this order."""
        pieces = []
        for column in (*self.counters.values(), *self.columns):
            stored = column.stored
            first = max(0, bisect_right(stored.entries, start) - 1)
            last = None if self._stop is None else bisect_left(stored.entries, self._stop)
            pieces += list(zip(stored.entries, stored.seeks, stored.sizes, strict=False))[
                first:last
            ]
        self.source.expect([(seek, size) for _, seek, size in sorted(pieces, key=itemgetter(0))])


def _pieces(column: BranchColumn, baskets: Sequence[int]) -> Iterator[partial[None]]:
    """Work of about one size: runs of baskets."""
    run: list[int] = []
    size = 0
    for basket in baskets:
        run.append(basket)
        size += column.stored.sizes[basket]
        if size >= _PIECE:
            yield partial(_take, column, run)
            run, size = [], 0
    if run:
        yield partial(_take, column, run)


def _take(column: BranchColumn, baskets: Sequence[int], unpacked: Baskets) -> None:
    for basket in baskets:
        column.take(basket, unpacked)


def _key(stored: Stored) -> Hashable:
    """Of a branch: two of one name have their baskets at different places."""
    return stored.name, *stored.seeks[:1]


def _from(offsets: Offsets, entry: int) -> Offsets:
    return offsets[entry:] - offsets[entry] if entry else offsets


def _offsets(counts: Array, name: str) -> Offsets:
    if len(counts) and counts.min() < 0:
        raise ValueError(f"{name} counts {counts.min()} in one entry")
    return offsets_of(counts)
