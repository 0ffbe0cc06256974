"""The columns of an RNTuple, and what is in their pages.

A column is a run of elements, cut into clusters and pages. Those of a column of lists are where each
list ends among the elements of its content, from 0 in each cluster. A column may have several
representations, of which each cluster has one; a column that was added later has no pages before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from fastjag import kernels
from fastjag.core.arrays import Array
from fastjag.io.compression import unpack
from fastjag.io.gpu_blocks import Content, content_of
from fastjag.io.rntuple import SUM, Page, holds
from fastjag.io.sources import Bytes
from fastjag.io.tasks import at_least


class Coding(NamedTuple):
    """How the numbers of a page are stored, and what they are."""

    encoding: str  #: of ``kernels.pages``
    bits: int  #: 0: the column says
    dtype: str
    low: float = 0.0
    high: float = 0.0


#: By the type of a column in the file; what is not here is no number.
CODINGS = {
    0x00: Coding("bit", 1, "?"),
    0x01: Coding("plain", 8, "u1"), 0x02: Coding("plain", 8, "u1"),
    0x03: Coding("plain", 8, "i1"), 0x04: Coding("plain", 8, "u1"),
    0x05: Coding("plain", 16, "i2"), 0x06: Coding("plain", 16, "u2"),
    0x07: Coding("plain", 32, "i4"), 0x08: Coding("plain", 32, "u4"),
    0x09: Coding("plain", 64, "i8"), 0x0A: Coding("plain", 64, "u8"),
    0x0B: Coding("half", 16, "f4"), 0x0C: Coding("plain", 32, "f4"), 0x0D: Coding("plain", 64, "f8"),
    0x0E: Coding("index", 32, "i8"), 0x0F: Coding("index", 64, "i8"),
    0x11: Coding("zigzag", 16, "i2"), 0x12: Coding("split", 16, "u2"),
    0x13: Coding("zigzag", 32, "i4"), 0x14: Coding("split", 32, "u4"),
    0x15: Coding("zigzag", 64, "i8"), 0x16: Coding("split", 64, "u8"),
    0x17: Coding("split_half", 16, "f4"), 0x18: Coding("split", 32, "f4"),
    0x19: Coding("split", 64, "f8"),
    0x1A: Coding("split_index", 32, "i8"), 0x1B: Coding("split_index", 64, "i8"),
    0x1C: Coding("truncated", 0, "f4"), 0x1D: Coding("quantised", 0, "f4"),
}  # fmt: skip


class Piece(NamedTuple):
    """A page and its place in its column."""

    first: int  #: element
    n: int
    cluster: int
    coding: Coding
    page: Page | None  #: None: zeros, of a column that was added later

    @property
    def stop(self) -> int:
        return self.first + self.n


@dataclass(frozen=True, eq=False)
class Column:
    """Elements in the order of the file."""

    name: str  #: of the field, for messages
    dtype: np.dtype[Any]
    pieces: Sequence[Piece]
    firsts: Sequence[int]  #: the first element of each cluster, and the end of the last
    #: Of a column of lists: the first element of their content in each cluster, and the end.
    bases: Sequence[int] | None = None
    starts: Array = field(init=False, repr=False)  #: the first element of each piece

    def __post_init__(self) -> None:
        starts = np.array([piece.first for piece in self.pieces], np.int64)
        object.__setattr__(self, "starts", starts)

    def covering(self, start: int, stop: int) -> range:
        """The pieces that have elements of a range."""
        if start >= stop:
            return range(0)
        first = int(np.searchsorted(self.starts, start, "right")) - 1
        return range(first, int(np.searchsorted(self.starts, stop)))

    def base(self, cluster: int) -> int:
        """What to add to the elements of a cluster."""
        return self.bases[cluster] if self.bases is not None else 0


@dataclass(frozen=True)
class Paged:
    """What a branch is made of: ends of lists from the outermost level on, and the values."""

    levels: tuple[Column, ...]
    values: Column | None  #: None: the lengths of the lists themselves
    shape: tuple[int, ...]  #: of what an entry, or an element of a list, holds
    dtype: np.dtype[Any]
    entries: Sequence[int]  #: the first of each cluster, and the end of the last
    text: bool = False  #: lists are of characters

    @property
    def counts(self) -> Paged:
        """The lengths of the lists alone."""
        return replace(self, values=None, shape=(), dtype=np.dtype(np.int64))

    @property
    def nbytes(self) -> int:
        """In memory, all entries: values, and offsets of each level."""
        values = self.levels[-1] if self.values is None else self.values
        lists = () if self.values is None else self.levels
        return values.firsts[-1] * self.dtype.itemsize + sum(8 * c.firsts[-1] for c in lists)


class PageReader:
    """Reads pages, one at a time, into buffers that the next one overwrites, unless they are let go."""

    def __init__(self, source: Bytes) -> None:
        self.source = source
        self.packed = self.unpacked = memoryview(b"")
        self._spare = deque[memoryview](maxlen=8)  # other threads' readers may let go of more

    def read(self, column: Column, piece: Piece, out: Array) -> None:
        """All elements of a page."""
        undo(column, piece, self.unpacked_of(column, piece), out)

    def unpacked_of(self, column: Column, piece: Piece) -> memoryview:
        """The bytes of a page, decompressed; none of one that was added later."""
        if piece.page is None:
            return memoryview(b"")
        return self._content(column, piece.page, kernels.page_bytes(piece.n, piece.coding.bits))

    def let_go(self, data: memoryview) -> None:
        """What ``unpacked_of`` gave stays as it is, until it is taken back."""
        other = self._spare.pop() if self._spare else memoryview(b"")
        if data.obj is self.packed.obj:
            self.packed = other
        else:
            self.unpacked = other

    def take_back(self, data: memoryview) -> None:
        """What a reader has let go, and nobody needs any more: memory that was in use is faster."""
        self._spare.append(memoryview(data.obj))

    def content(self, column: Column, page: Page, size: int) -> Content:
        """A page as it is stored, for a GPU to decompress: ``size`` bytes of values."""
        where = f"a page of {column.name!r} at byte {page.seek}"
        try:
            return content_of(where, self._body(column, page, size), size)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None

    def _content(self, column: Column, page: Page, size: int) -> memoryview:
        """The bytes of a page, decompressed: ``size`` of them."""
        body = self._body(column, page, size)
        if len(body) == size:
            return body
        self.unpacked = at_least(self.unpacked, size)
        try:
            unpack(body, self.unpacked[:size], page.checked)
        except ValueError as error:
            where = f"a page of {column.name!r} at byte {page.seek}"
            raise ValueError(f"{where}: {error}") from None
        return self.unpacked[:size]

    def _body(self, column: Column, page: Page, size: int) -> memoryview:
        """The bytes of a page as it is stored, not longer than decompressed."""
        stored = page.size + SUM * page.checked
        self.packed = at_least(self.packed, stored)
        packed = self.packed[:stored]
        where = f"a page of {column.name!r} at byte {page.seek}"
        try:
            self.source.read(page.seek, packed)
        except EOFError:
            raise ValueError(f"the file ends within {where}") from None
        if page.checked and not holds(packed):
            raise ValueError(f"the checksum of {where} is wrong")
        if page.size > size:
            raise ValueError(f"{where} has {page.size} bytes, for {size} of values")
        return packed[: page.size]


def undo(column: Column, piece: Piece, data: memoryview, out: Array, first: int = 0) -> None:
    """Elements of a page out of its bytes, from ``first`` on, as many as ``out`` has room for."""
    coding, base = piece.coding, column.base(piece.cluster)
    if piece.page is None:
        out[:] = base
    elif out.dtype != coding.dtype:  # another representation than most clusters have
        same = np.empty(len(out), coding.dtype)
        undo(column, piece, data, same, first)
        out[:] = same
    else:
        kernels.pages(
            data, coding.encoding, coding.bits, out, low=coding.low, high=coding.high, base=base,
            n=piece.n, first=first, threads=1,
        )  # fmt: skip


def runs(column: Column, pieces: Sequence[int], size: int) -> Iterator[list[int]]:
    """Pieces in runs of about one size in the file: small pages are not worth a task each."""
    run: list[int] = []
    total = 0
    for i in pieces:
        run.append(i)
        page = column.pieces[i].page
        total += page.size if page else 0
        if total >= size:
            yield run
            run, total = [], 0
    if run:
        yield run
