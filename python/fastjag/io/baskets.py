"""Columns of numbers out of the baskets of a TTree in a local file, without a detour.

A branch is cut into baskets, each a run of entries: a key (names and sizes), then the values in big
endian, mostly compressed; those with lists add where each entry begins, which the counter branch
tells as well (nMuon for Muon_pt). uproot finds the baskets; this module reads them in order, each
once: into a buffer that is used again, from there to the array where the values stay.
Format: https://root.cern/doc/v636/classTBasket.html and TKey.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastjag import kernels
from fastjag.core.arrays import Array, Offsets, offsets_of
from fastjag.io.compression import unpack

_KEY = struct.Struct(
    ">ihiIhh"
)  # bytes in all, version, bytes of the object, date, of the key, cycle
_LAST = struct.Struct(">i")  # end of the values, 5 bytes before the end of the key


@dataclass(frozen=True)
class Stored:
    """Where a branch lies: baskets by their places in the file, sizes and entries."""

    name: str
    dtype: np.dtype[Any]  #: in the file: big endian
    seeks: Sequence[int]
    sizes: Sequence[int]
    entries: Sequence[int]  #: first entry of each basket, and the end of the last
    counter: Stored | None  #: the branch of the lengths, if this one has lists
    header: int = 0  #: bytes before the values of an entry: 10 for std::vector
    leaf: str | None = None  #: the one wanted, where an entry has several
    to: np.dtype[Any] | None = None  #: native, where columns have another one than the file

    @property
    def native(self) -> np.dtype[Any]:
        """Of the values in columns."""
        dtype = self.dtype if self.leaf is None else self.dtype[self.leaf]
        return self.to or dtype.base.newbyteorder("=")

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the numbers in an entry."""
        return (self.dtype if self.leaf is None else self.dtype[self.leaf]).shape

    def values(self, data: memoryview) -> Array:
        """What bytes of the file mean, not yet native."""
        values: Array = np.frombuffer(data, self.dtype)
        return values if self.leaf is None else values[self.leaf]


class Baskets:
    """The baskets of one branch, decompressed into a buffer that the next one overwrites."""

    def __init__(self, stored: Stored, file: int) -> None:
        self.stored, self.file = stored, file
        self.packed = self.unpacked = memoryview(b"")

    def read(self, basket: int) -> tuple[memoryview, int, int]:
        """(content, where its values end, length of the key, from which ROOT counts offsets)."""
        size, seek = self.stored.sizes[basket], self.stored.seeks[basket]
        self.packed = packed = _at_least(self.packed, size)[:size]
        if os.preadv(self.file, [packed], seek) != size or size < _KEY.size:
            raise ValueError(f"the file ends within a basket of {self.stored.name}")
        n_bytes, _, n_object, _, n_key, _ = _KEY.unpack_from(packed)
        if n_bytes != size or not _KEY.size + 5 < n_key <= size or n_object < 0:
            raise ValueError(f"no basket of {self.stored.name} at byte {seek}")
        stop = _LAST.unpack_from(packed, n_key - 5)[0] - n_key
        if not 0 <= stop <= n_object:
            raise ValueError(f"a basket of {self.stored.name} has {stop} bytes of values")
        body = packed[n_key:]
        if len(body) != n_object:
            self.unpacked = _at_least(self.unpacked, n_object)
            try:
                unpack(body, self.unpacked[:n_object])
            except ValueError as error:
                raise ValueError(f"basket {basket} of {self.stored.name}: {error}") from None
            body = self.unpacked[:n_object]
        return body, stop, n_key


class _Column:
    """Values of one branch, read from front to back."""

    def __init__(self, stored: Stored, file: int) -> None:
        self.stored, self.baskets = stored, Baskets(stored, file)
        self.basket = 0  # the next to read
        # Read, but not asked for yet.
        self.left: Array = np.empty((0, *stored.shape), stored.native)

    def read(self, start: int, stop: int, bounds: Offsets | None) -> Array:
        """Values of entries start to stop, of which entry start + i owns those from bounds[i]."""
        n = stop - start if bounds is None else int(bounds[-1])
        out: Array = np.empty((n, *self.stored.shape), self.stored.native)
        filled = min(n, len(self.left))
        out[:filled] = self.left[:filled]
        self.left = self.left[filled:]
        stored = self.stored
        while self.basket < len(stored.seeks) and stored.entries[self.basket] < stop:
            first, end = stored.entries[self.basket], stored.entries[self.basket + 1]
            values = self._values()
            take = n - filled if end > stop else len(values)
            expected = end - start if bounds is None else int(bounds[end - start]) if end <= stop \
                else None  # fmt: skip
            if (expected is not None and filled + len(values) != expected) or take > len(values):
                raise ValueError(
                    f"basket {self.basket} of {stored.name} has {len(values)} values for entries "
                    f"{first} to {end}, which is not what their lengths add up to"
                )
            np.copyto(out[filled : filled + take], values[:take])
            filled += take
            if take < len(values):
                self.left = values[take:].astype(out.dtype)
            self.basket += 1
        if filled != n or (stop == stored.entries[-1] and len(self.left)):
            raise ValueError(f"{stored.name} has not as many values as its entries until {stop}")
        return out

    def _values(self) -> Array:
        """Of the next basket: in a buffer that the basket after it overwrites."""
        body, stop, _ = self.baskets.read(self.basket)
        if stop % self.stored.dtype.itemsize:
            raise ValueError(f"a basket of {self.stored.name} has {stop} bytes of values")
        return self.stored.values(body[:stop])


class _Lists:
    """Lists of one std::vector branch, read from front to back: nothing else knows their lengths."""

    def __init__(self, stored: Stored, file: int) -> None:
        self.stored, self.baskets = stored, Baskets(stored, file)
        self.basket = 0  # the next to read
        self.counts: Array = np.empty(0, np.int64)  # read, but not asked for yet
        self.left: Array = np.empty(0, stored.native)

    def read(self, start: int, stop: int) -> tuple[Offsets, Array]:
        """(offsets, values) of entries start to stop."""
        stored, n = self.stored, stop - start
        counts, values = [self.counts], [self.left]
        while self.basket < len(stored.seeks) and stored.entries[self.basket] < stop:
            body, end, n_key = self.baskets.read(self.basket)
            starts, stops = list_bounds(stored, self.basket, body, end, n_key)
            counts.append((stops - starts) // stored.dtype.itemsize)
            data = np.frombuffer(body[:end], np.uint8)
            lists = kernels.gather(starts, offsets_of(stops - starts), data, threads=1)
            values.append(lists.view(stored.dtype).astype(stored.native))
            self.basket += 1
        lengths = np.concatenate(counts) if len(counts) > 1 else self.counts
        content = np.concatenate(values) if len(values) > 1 else self.left
        if len(lengths) < n:
            raise ValueError(f"{stored.name} has not as many lists as its entries until {stop}")
        offsets = offsets_of(lengths[:n])
        self.counts, self.left = lengths[n:], content[offsets[-1] :]
        return offsets, content[: offsets[-1]]


def list_bounds(
    stored: Stored, basket: int, body: memoryview, stop: int, n_key: int
) -> tuple[Offsets, Offsets]:
    """Where in a basket the values of each entry begin and end, in bytes, by its own table."""
    offsets = offset_table(stored, basket, body, stop).astype(np.int64) - n_key
    offsets[-1] = stop  # left open in the file
    starts, stops = offsets[:-1] + stored.header, offsets[1:]
    sizes = stops - starts
    if len(sizes) and (
        starts.min() < 0 or stops.max() > stop or sizes.min() < 0
        or (sizes % stored.dtype.itemsize).any()
    ):  # fmt: skip
        raise wrong_basket(stored, basket, "offsets beyond its values")
    return starts, stops


def offset_table(stored: Stored, basket: int, body: memoryview, stop: int) -> Array:
    """Where each entry of a basket begins, counted from the key's begin; the last is left open."""
    n = stored.entries[basket + 1] - stored.entries[basket]
    table = np.frombuffer(body[stop:], ">i4", (len(body) - stop) // 4)
    if len(table) < n + 2 or table[0] != n + 1:
        raise wrong_basket(stored, basket, "a table of offsets that does not fit")
    return table[1 : n + 2]


def wrong_basket(stored: Stored, basket: int, what: str) -> ValueError:
    first, end = stored.entries[basket : basket + 2]
    return ValueError(f"basket {basket} of {stored.name}, entries {first} to {end}, has {what}")


def _at_least(buffer: memoryview, size: int) -> memoryview:
    return buffer if len(buffer) >= size else np.empty(size + size // 4, np.uint8).data


class BranchColumns:
    """Several branches of one tree, read together range by range from the first entry on."""

    def __init__(self, path: str, branches: Sequence[Stored], threads: int) -> None:
        self.branches = branches
        counters = {_key(b.counter): b.counter for b in branches if b.counter}
        self.file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.counters = {key: _Column(b, self.file) for key, b in counters.items()}
        self.columns = [(_Lists if b.header else _Column)(b, self.file) for b in branches]
        # Decompression, reading and NumPy's copies release the GIL.
        self.pool = ThreadPoolExecutor(threads, "fastjag-baskets") if threads > 1 else None

    def close(self) -> None:
        if self.pool is not None:
            self.pool.shutdown()
        os.close(self.file)

    def read(self, start: int, stop: int) -> list[tuple[Offsets | None, Array]]:
        """(offsets or None, values) of each branch; ``start`` is the ``stop`` of the last call."""
        bounds = {
            key: _offsets(column.read(start, stop, None), column.stored.name)
            for key, column in self.counters.items()
        }
        run = map if self.pool is None else self.pool.map

        def one(branch: Stored, column: _Column | _Lists) -> tuple[Offsets | None, Array]:
            if isinstance(column, _Lists):
                return column.read(start, stop)
            offsets = bounds[_key(branch.counter)] if branch.counter else None
            return offsets, column.read(start, stop, offsets)

        return list(run(one, self.branches, self.columns))


def _key(stored: Stored) -> Hashable:
    """Of a branch: two of one name have their baskets at different places."""
    return stored.name, *stored.seeks[:1]


def _offsets(counts: Array, name: str) -> Offsets:
    if len(counts) and counts.min() < 0:
        raise ValueError(f"{name} counts {counts.min()} in one entry")
    return offsets_of(counts)
