"""Baskets of a TTree: where they lie, and what is in them.

A branch is cut into baskets, each a run of entries: a key (names and sizes), then the values in big
endian, mostly compressed; those with lists add where each entry begins, which the counter branch
tells as well (nMuon for Muon_pt). uproot finds the baskets; this module reads them into a buffer that
is used again.
Format: https://root.cern/doc/v636/classTBasket.html and TKey.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from fastjag.core.arrays import Array, Offsets
from fastjag.io.compression import unpack
from fastjag.io.sources import Bytes
from fastjag.io.tasks import at_least

Empty: TypeAlias = Callable[[Any, Any], Array]  # of shape and dtype

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
    nested: bool = False  #: the values of an entry are lists

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


class Buffers(threading.local):
    """What baskets are read and decompressed into: each thread has its own.

    ``empty`` makes the arrays in which columns stay, ``rests`` those of what is kept of a basket for the next
    range, both as ``numpy.empty``.
    """

    packed = unpacked = memoryview(b"")

    def __init__(self, empty: Empty = np.empty, rests: Empty = np.empty) -> None:
        self.empty, self.rests = empty, rests


class Baskets:
    """Baskets of one file, decompressed into a buffer that the next one overwrites.

    Several that are read by turns may have the ``buffers`` together: memory that is warm is faster.
    """

    def __init__(self, source: Bytes, buffers: Buffers | None = None) -> None:
        self.source, self.buffers = source, buffers or Buffers()

    def read(self, stored: Stored, basket: int) -> tuple[memoryview, int, int]:
        """(content, where its values end, length of the key, from which ROOT counts offsets)."""
        body, n_object, stop, n_key = self.packed_body(stored, basket)
        if len(body) != n_object:
            self.buffers.unpacked = at_least(self.buffers.unpacked, n_object)
            try:
                unpack(body, self.buffers.unpacked[:n_object])
            except ValueError as error:
                raise ValueError(f"basket {basket} of {stored.name}: {error}") from None
            body = self.buffers.unpacked[:n_object]
        return body, stop, n_key

    def packed_body(self, stored: Stored, basket: int) -> tuple[memoryview, int, int, int]:
        """(content as it is stored, its size, where its values end, length of the key)."""
        size, seek = stored.sizes[basket], stored.seeks[basket]
        self.buffers.packed = at_least(self.buffers.packed, size)
        packed = self.buffers.packed[:size]
        try:
            self.source.read(seek, packed)
        except EOFError:
            size = 0
        if size < _KEY.size:
            raise ValueError(f"the file ends within a basket of {stored.name}")
        n_bytes, _, n_object, _, n_key, _ = _KEY.unpack_from(packed)
        if n_bytes != size or not _KEY.size + 5 < n_key <= size or n_object < 0:
            raise ValueError(f"no basket of {stored.name} at byte {seek}")
        stop = _LAST.unpack_from(packed, n_key - 5)[0] - n_key
        if not 0 <= stop <= n_object:
            raise ValueError(f"a basket of {stored.name} has {stop} bytes of values")
        return packed[n_key:], n_object, stop, n_key


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
        or (sizes % (1 if stored.nested else stored.dtype.itemsize)).any()
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
