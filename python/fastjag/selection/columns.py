"""Branches of one file, read for chosen entries: baskets without any are not even fetched."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fastjag import kernels
from fastjag.core.arrays import Array, Offsets, offsets_of
from fastjag.io.baskets import Baskets, Stored, offset_table, wrong_basket
from fastjag.io.branches import Branch, Parts
from fastjag.io.page_columns import PageColumns
from fastjag.io.pages import Paged
from fastjag.io.reader import Reader
from fastjag.io.sources import Bytes
from fastjag.jagged.columns import Column
from fastjag.jagged.joining import join
from fastjag.jagged.shapes import gathered, size_of
from fastjag.kernels.threads import get_num_threads

Entries = NDArray[np.int64]


@dataclass
class Counters:
    """What reading cost, and what it would have cost to read every column for all events.

    Baskets are those of TTrees: an RNTuple has none, and counts only ``bytes_copied``.
    """

    baskets_read: int = 0  #: fetched and decompressed
    baskets_skipped: int = 0  #: of columns that were asked for, but without surviving events
    bytes_read: int = 0  #: of the baskets read, as in the file
    bytes_skipped: int = 0  #: of the baskets skipped, as in the file
    bytes_decoded: int = 0  #: of the baskets read, decompressed
    bytes_copied: int = 0  #: into the arrays that steps and output were made of

    def __iadd__(self, other: Counters) -> Self:
        for name in (field.name for field in fields(self)):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        return self


class EntryColumns:
    """Columns of an open file; entries have to be asked for in ascending order."""

    def __init__(self, reader: Reader, names: Iterable[str]) -> None:
        self.reader, self.columns = reader, dict[str, _Own | _Foreign]()
        self.counters = Counters()
        self._open = ExitStack()
        self._source = self._open.enter_context(reader.bytes())
        for name in names:
            branch = reader.branch(name)
            stored = reader.stored_branch(branch)
            if stored is None:
                self.columns[name] = _Foreign(reader, name, branch, self._source)
                continue
            self.columns[name] = _Own(stored, self._source)
        threads = get_num_threads()
        self._pool = ThreadPoolExecutor(threads, "fastjag-columns") if threads > 1 else None

    def close(self) -> None:
        """Close the file and complete the counters."""
        if self._pool is not None:
            self._pool.shutdown()
        self._open.close()
        for column in self.columns.values():
            self.counters += column.counters
            self.counters.baskets_skipped += len(column.sizes) - column.counters.baskets_read
            self.counters.bytes_skipped += sum(column.sizes) - column.counters.bytes_read
            if isinstance(column, _Foreign) and column.pages is not None:
                column.pages.close()

    def read(self, names: Sequence[str], entries: Entries) -> dict[str, Parts]:
        """Offsets (None for one number per event) and values, in GeV, of sorted entries."""
        own = [name for name in names if isinstance(self.columns[name], _Own)]
        columns = [self.columns[name] for name in own]
        self._source.expect([p for c in columns if isinstance(c, _Own) for p in c.pieces(entries)])
        run = map if self._pool is None or len(own) < 2 else self._pool.map
        parts = dict(zip(own, run(lambda name: self.columns[name].read(entries), own), strict=True))
        for name in names:  # uproot's have threads of their own
            offsets, values = parts[name] if name in parts else self.columns[name].read(entries)
            parts[name] = offsets, self.reader.to_gev(name, values)
            n_bytes = size_of(values) + (0 if offsets is None else offsets.nbytes)
            self.counters.bytes_copied += n_bytes
        return {name: parts[name] for name in names}


class _Own:
    """A branch of numbers or lists of numbers, out of its baskets; the last one is kept."""

    def __init__(self, stored: Stored, source: Bytes) -> None:
        self.stored, self.baskets = stored, Baskets(source)
        self.sizes = stored.sizes
        self.firsts = np.asarray(stored.entries, np.int64)
        self.lengths = None if stored.counter is None else _Own(stored.counter, source)
        self.counters = Counters()
        self.current = -1
        self.body, self.stop, self.n_key = memoryview(b""), 0, 0

    def pieces(self, entries: Entries) -> list[tuple[int, int]]:
        """Where in the file the baskets are that ``read`` will need, as far as is known before."""
        needed = [b for b, _, _ in self._baskets(entries) if b != self.current]
        own = [(self.stored.seeks[b], self.stored.sizes[b]) for b in needed]
        lengths = [] if self.lengths is None else self.lengths.pieces(entries)
        return own + lengths

    def _baskets(self, entries: Entries) -> list[tuple[int, int, int]]:
        """Of each basket with some of the entries: its number, and which of them those are."""
        if not len(entries):
            return []
        low, high = np.searchsorted(self.firsts, entries[[0, -1]], side="right") - 1
        bounds = np.searchsorted(entries, self.firsts[low : high + 2]).tolist()
        some = (low + np.flatnonzero(np.diff(bounds))).tolist()
        return [(basket, bounds[basket - low], bounds[basket - low + 1]) for basket in some]

    def read(self, entries: Entries) -> Parts:
        pieces: list[tuple[Array | None, Array]] = []
        for basket, first, last in self._baskets(entries):
            pieces.append(self._piece(basket, entries[first:last]))
        native = np.empty((0, *self.stored.shape), self.stored.native)
        if self.stored.counter is None and not self.stored.header:
            return None, _concatenate([values for _, values in pieces], native)
        counts = _concatenate([n for n, _ in pieces if n is not None], np.empty(0, np.int64))
        return offsets_of(counts), _concatenate([values for _, values in pieces], native)

    def _piece(self, basket: int, entries: Entries) -> tuple[Array | None, Array]:
        """(counts or None, values) of entries of one basket."""
        first, end = self.firsts[basket : basket + 2].tolist()
        if basket != self.current:
            self.current = -1
            self.body, self.stop, self.n_key = self.baskets.read(self.stored, basket)
            self.current = basket
            self.counters.baskets_read += 1
            self.counters.bytes_read += self.stored.sizes[basket]
            self.counters.bytes_decoded += len(self.body)
        start, stop = int(entries[0]) - first, int(entries[-1]) - first + 1
        whole = len(entries) == stop - start
        chosen: slice | Entries = slice(start, stop) if whole else entries - first
        dtype, native = self.stored.dtype, self.stored.native
        data = self.body[: self.stop]
        if self.stored.counter is None and not self.stored.header:
            if self.stop != (end - first) * dtype.itemsize:
                raise wrong_basket(self.stored, basket, f"{self.stop} bytes of values")
            return None, self.stored.values(data)[chosen].astype(native)
        starts, stops = self._bounds(basket, first, end, chosen)
        n_bytes = stops - starts
        counts = n_bytes // dtype.itemsize
        # Nothing below has to think of damaged files.
        ok = starts.min() >= 0 and stops.max() <= self.stop and n_bytes.min() >= 0
        if not ok or (counts * dtype.itemsize != n_bytes).any():
            raise wrong_basket(self.stored, basket, "offsets beyond its values")
        if whole and not self.stored.header and int(n_bytes.sum()) == stops[-1] - starts[0]:
            return counts, np.frombuffer(data[starts[0] : stops[-1]], dtype).astype(native)
        content = np.frombuffer(data, np.uint8)
        values = np.frombuffer(
            kernels.gather(starts, offsets_of(n_bytes), content, threads=1), dtype
        )
        return counts, values.astype(native, copy=False)

    def _bounds(
        self, basket: int, first: int, end: int, chosen: slice | Entries
    ) -> tuple[Entries, Entries]:
        """Where in the basket the values of the chosen entries begin and end, in bytes."""
        if len(self.body) == self.stop and self.lengths is not None:  # ROOT may leave offsets out
            counts = self.lengths.read(np.arange(first, end))[1]
            offsets = offsets_of(counts.astype(np.int64)) * self.stored.dtype.itemsize
        else:
            offsets = offset_table(self.stored, basket, self.body, self.stop)
            offsets[-1] = self.stop + self.n_key  # left open in the file
        starts, stops = (part[chosen].astype(np.int64) for part in (offsets[:-1], offsets[1:]))
        shift = 0 if offsets.dtype == np.int64 else self.n_key
        return starts + (self.stored.header - shift), stops - shift


class _Foreign:
    """Any other branch: uproot reads its baskets, and those of RNTuples have pages."""

    def __init__(self, reader: Reader, name: str, column: Branch, source: Bytes) -> None:
        self.reader, self.name = reader, name
        branch: Any = column.stored
        self.branch, self.counters = branch, Counters()
        self.sizes: Sequence[int] = []
        self.pages: PageColumns | None = None
        if isinstance(branch, Paged):
            firsts: Sequence[int] = branch.entries
            self.pages = PageColumns(source, [branch], get_num_threads())
        else:
            firsts = branch.entry_offsets
            self.sizes = branch.member("fBasketBytes")[: len(firsts) - 1].tolist()
            self.sizes = [*self.sizes, *[0] * (len(firsts) - 1 - len(self.sizes))]
        self.firsts = np.asarray(firsts, np.int64)
        self.seen = -1  # the last basket counted

    def read(self, entries: Entries) -> Parts:
        pieces: list[Parts] = []
        runs: list[tuple[int, int, Entries]] = []
        bounds = np.searchsorted(entries, self.firsts)
        hit = np.flatnonzero(np.diff(bounds))
        # Neighbouring baskets at once: a call of uproot costs more than a basket.
        for run in np.split(hit, np.flatnonzero(np.diff(hit) > 1) + 1) if len(hit) else []:
            chosen = entries[bounds[run[0]] : bounds[run[-1] + 1]]
            runs.append((int(chosen[0]), int(chosen[-1]) + 1, chosen))
        for start, stop, chosen in runs or [(0, 0, entries)]:
            parts = self.reader.entries(self.name, start, stop, self.pages)
            pieces.append(_pick(*parts, chosen - start))
        self._count(hit)
        values = join([values for _, values in pieces], self.name)
        if pieces[0][0] is None:
            return None, values
        counts = np.concatenate([np.diff(o) for o, _ in pieces if o is not None])
        return offsets_of(counts), values

    def _count(self, hit: NDArray[np.intp]) -> None:
        for basket in hit[hit > self.seen].tolist() if self.sizes else ():
            self.counters.baskets_read += 1
            self.counters.bytes_read += self.sizes[basket]
            self.counters.bytes_decoded += int(self.branch.basket_uncompressed_bytes(basket))
            self.seen = basket


def _pick(offsets: Offsets | None, values: Column, entries: Entries) -> Parts:
    if offsets is None:
        return None, values[entries]
    new = offsets_of(offsets[entries + 1] - offsets[entries])
    return new, gathered(values, offsets[entries], new)


def _concatenate(pieces: list[Array], none: Array) -> Array:
    if len(pieces) == 1:
        return pieces[0]
    return np.concatenate(pieces) if pieces else none
