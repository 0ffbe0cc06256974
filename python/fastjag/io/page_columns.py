"""Columns of numbers out of the pages of an RNTuple, for any range of entries.

All pages of a range, whatever column they are of, are pieces of work of one pool: each is checked,
decompressed into a buffer of its thread, and its encoding undone straight into the array where the
values stay. First come ends of lists and the numbers of entries, then the content of the lists. The bytes
of a page that reaches beyond the range are kept, so that ranges in order decompress each page once.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from fastjag.core.arrays import Array, Offsets, texts
from fastjag.io.baskets import Buffers, Empty
from fastjag.io.pages import Column, Paged, PageReader, Piece, runs, undo
from fastjag.io.rntuple import SUM
from fastjag.io.sources import Bytes
from fastjag.io.tasks import InOrder, Tasks
from fastjag.jagged import Jagged
from fastjag.jagged.shapes import PLAIN

_PIECE = 1 << 17  # bytes in the file: small pages are not worth a task each


class ColumnRange:
    """One column in a range of its elements."""

    def __init__(self, column: Column) -> None:
        self.column = column
        self.empty: Empty = np.empty
        self.left: tuple[int, Any] | None = None  # a page that reaches beyond the range
        self.known: tuple[int, Any] | None = None  # the one that reached beyond the range before
        self.end: tuple[int, int] | None = None  # where the last list of the range ends
        self.begin(0, 0)

    def begin(self, start: int, stop: int) -> Sequence[int]:
        """Make room for a range; returns the pages to ``take``."""
        self.start, self.stop = start, stop
        self.out = self._room()
        pieces = self.column.covering(start, stop)
        if pieces:
            self.known, self.left = self.left, None
        return pieces

    def _room(self) -> Array:
        return self.empty((max(0, self.stop - self.start),), self.column.dtype)

    def take(self, pieces: Sequence[int], reader: PageReader) -> None:
        """Read these pages; in any thread."""
        for number in pieces:
            piece = self.column.pieces[number]
            kept = self.known is not None and self.known[0] == number
            content = self.known[1] if self.known and kept else self._content(piece, reader)
            low, high = max(piece.first, self.start), min(piece.stop, self.stop)
            self._put(piece, content, low, high)
            if piece.stop > self.stop:
                self.left = number, content
            elif kept and isinstance(content, memoryview):
                reader.take_back(content)

    def values(self) -> Array:
        """Those of the range, when all pages are taken."""
        out, self.out = self.out, self.out[:0]
        return out

    def _content(self, piece: Piece, reader: PageReader) -> Any:
        """What is kept of a page that reaches beyond the range."""
        data = reader.unpacked_of(self.column, piece)
        if piece.stop > self.stop:
            reader.let_go(data)
        return data

    def _put(self, piece: Piece, content: Any, low: int, high: int) -> None:
        """The elements of a page from ``low`` to before ``high``, which are in the range."""
        out = self.out[low - self.start : high - self.start]
        undo(self.column, piece, content, out, low - piece.first)


class _Lists(ColumnRange):
    """The ends of lists of one column."""

    def begin(self, start: int, stop: int) -> Sequence[int]:
        """One list more is read where nothing else tells the begin of the first."""
        self.first = start
        firsts, self.before = self.column.firsts, None
        cluster = bisect_right(firsts, start) - 1
        if start >= stop or start == firsts[cluster]:
            self.before = self.column.base(min(cluster, len(firsts) - 1))
        elif self.end is not None and self.end[0] == start:
            self.before = self.end[1]
        return super().begin(start if self.before is not None else start - 1, stop)

    def _room(self) -> Array:
        """With a place in front, for where the first list begins."""
        n = max(0, self.stop - self.start)
        if self.before is None:
            self.all = np.empty(n, np.int64)
            return self.all
        self.all = np.empty(n + 1, np.int64)
        self.all[0] = self.before
        return self.all[1:]

    def _content(self, piece: Piece, reader: PageReader) -> Array:
        """All ends of lists of a page: the file has their differences."""
        inside = self.start <= piece.first and piece.stop <= self.stop
        place = piece.first - self.start
        values = self.out[place : place + piece.n] if inside else np.empty(piece.n, np.int64)
        reader.read(self.column, piece, values)
        return values

    def _put(self, piece: Piece, content: Array, low: int, high: int) -> None:
        if content.base is None:  # else they are there
            self.out[low - self.start : high - self.start] = content[
                low - piece.first : high - piece.first
            ]

    def offsets(self) -> Offsets:
        """Where the lists of the range begin and end among all elements of their content."""
        offsets, self.all, self.out = self.all, self.all[:0], self.out[:0]
        if len(offsets) > 1:  # of no lists, nothing is known
            self.end = self.stop, int(offsets[-1])
        self._check(offsets)
        return offsets

    def _check(self, offsets: Offsets) -> None:
        """No wrong lists come of damage that no checksum sees."""
        firsts, bases, name = self.column.firsts, self.column.bases, self.column.name
        assert bases is not None
        if len(offsets) < 2:
            return
        if (offsets[1:] < offsets[:-1]).any():
            entry = self.first + int((offsets[1:] < offsets[:-1]).argmax())
            raise ValueError(f"list {entry} of {name!r} ends before it begins")
        low = bisect_right(firsts, self.first) - 1
        for cluster in range(low, bisect_left(firsts, self.stop)):
            until, begin, end = firsts[cluster + 1], bases[cluster], bases[cluster + 1]
            found = int(offsets[min(self.stop, until) - self.first])
            whole = until <= self.stop
            if found > end or (whole and found < end) or offsets[0] < bases[low]:
                raise ValueError(
                    f"the lists of {name!r} until {min(self.stop, until)} end at {found - begin} in "
                    f"their cluster, which has {end - begin} elements of them"
                )


def range_of(column: Column) -> ColumnRange:
    """Of the kind that a column is."""
    return ColumnRange(column) if column.bases is None else _Lists(column)


class PageColumns(InOrder[PageReader]):
    """Several branches of one RNTuple, read together, range by range.

    Ranges may be in any order; those that follow one another decompress each page once. ``start``
    and ``stop`` are where the first will begin and the last will end, by which ``source`` is told what
    to expect; its owner closes it.
    """

    def __init__(
        self, source: Bytes, branches: Sequence[Paged], threads: int, start: int = 0,
        stop: int | None = None, kind: Callable[[Column], ColumnRange] = range_of,
        buffers: Buffers | None = None,
    ) -> None:  # fmt: skip
        self.source, self.branches, self._stop = source, branches, stop
        columns = [column for branch in branches for column in (*branch.levels, branch.values)]
        #: Columns that several branches share are read once.
        self.ranges = {column: kind(column) for column in columns if column is not None}
        for found in self.ranges.values():
            found.empty = (buffers or Buffers()).empty
        self.tasks = Tasks(threads, lambda: PageReader(source), "fastjag-pages")
        self._shared = Counter(branch.values for branch in branches)
        self._pages = sorted(
            (piece.cluster, piece.page.seek, piece.page.size + SUM * piece.page.checked)
            for column in self.ranges
            for piece in column.pieces
            if piece.page is not None
        )
        super().__init__(start)

    def _read(self, start: int, stop: int) -> list[tuple[Offsets | None, Any]]:
        bounds: dict[Column, Offsets] = {}
        begun = set[Column]()
        for depth in range(1 + max((len(branch.levels) for branch in self.branches), default=0)):
            lists = [branch for branch in self.branches if len(branch.levels) > depth]
            ends = [branch for branch in self.branches if len(branch.levels) == depth]
            for branch in lists:
                self._begin(begun, branch, depth, branch.levels[depth], bounds, start, stop)
            n_lists = self.tasks.running
            for branch in ends:
                if branch.values is not None:
                    self._begin(begun, branch, depth, branch.values, bounds, start, stop)
            self.tasks.finish(n_lists)
            for branch in lists:
                column = branch.levels[depth]
                if column not in bounds:
                    found = self.ranges[column]
                    assert isinstance(found, _Lists)
                    bounds[column] = found.offsets()
        self.tasks.finish()
        for offsets in bounds.values():
            offsets -= offsets[0]
        values = {c: r.values() for c, r in self.ranges.items() if c.bases is None}
        return [self._result(branch, bounds, values, stop - start) for branch in self.branches]

    def _begin(
        self, begun: set[Column], branch: Paged, depth: int, column: Column,
        bounds: Mapping[Column, Offsets], start: int, stop: int,
    ) -> None:  # fmt: skip
        """Read what a branch needs of a column, unless another one has asked for it."""
        if column in begun:
            return
        begun.add(column)
        if depth:
            around = bounds[branch.levels[depth - 1]]
            each = math.prod(branch.shape) if column is branch.values else 1
            first, last = int(around[0]) * each, int(around[-1]) * each
        else:
            each = 1 if branch.levels else math.prod(branch.shape)
            first, last = start * each, stop * each
        wanted = self.ranges[column]
        pieces = wanted.begin(first, last)
        self.tasks.add(partial(wanted.take, run) for run in runs(column, pieces, _PIECE))

    def _result(
        self, branch: Paged, bounds: Mapping[Column, Offsets], values: dict[Column, Array], n: int
    ) -> tuple[Offsets | None, Any]:
        if branch.values is None:
            return None, np.diff(bounds[branch.levels[0]]).astype(branch.dtype)
        found = values[branch.values]
        values[branch.values] = found.copy() if self._shared[branch.values] > 1 else found
        if branch.text:
            return None, texts(bounds[branch.levels[0]], found)
        if not branch.levels:
            return None, found.reshape(n, *branch.shape)
        column: Any = found
        if branch.shape:
            column = found.reshape(len(found) // math.prod(branch.shape), *branch.shape)
        for level in reversed(branch.levels[1:]):
            column = Jagged(bounds[level], {PLAIN: column})
        return bounds[branch.levels[0]], column

    def _expect(self, start: int) -> None:
        """Tell the source what is read from there on: steps of any size take it in this order."""
        if not self.branches:
            return
        entries = self.branches[0].entries
        low = bisect_right(entries, start) - 1
        high = len(entries) if self._stop is None else bisect_left(entries, self._stop)
        first, last = (bisect_left(self._pages, (cluster,)) for cluster in (low, high))
        self.source.expect([(seek, size) for _, seek, size in self._pages[first:last]])
