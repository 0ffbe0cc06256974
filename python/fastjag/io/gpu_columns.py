"""Columns whose numbers a GPU decompresses and decodes: baskets and pages wait for it as they are.

The CPU reads the lengths of lists, since they say how large everything is, and all that is not plain numbers.
A basket or page that two steps share is decoded in both: steps of at least a cluster read each once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fastjag import kernels
from fastjag.core.arrays import Array
from fastjag.core.devices import zeros
from fastjag.io.baskets import Baskets, Stored
from fastjag.io.branch_columns import BranchColumn, Numbers, column_of
from fastjag.io.gpu_blocks import Content, content_of
from fastjag.io.page_columns import ColumnRange, range_of
from fastjag.io.pages import Coding, Column, Paged, PageReader, Piece


@dataclass(frozen=True, eq=False)
class Slice:
    """Some numbers of a basket or page, and their place in their column."""

    content: Content
    coding: Coding
    n: int  #: numbers in the content
    first: int
    count: int
    to: int


@dataclass(frozen=True, eq=False)
class Packed:
    """The values of a column that wait for the GPU."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    parts: Sequence[Slice]

    def __len__(self) -> int:
        return self.shape[0]

    def reshape(self, *shape: int) -> Packed:
        return replace(self, shape=shape)

    def copy(self) -> Packed:
        return self

    def unpacked(self, data: Any, places: Mapping[int, int]) -> Any:
        """The values, on the GPU; ``data`` has the contents at ``places``."""
        out = zeros(math.prod(self.shape), self.dtype)
        rows: dict[Coding, list[list[int]]] = {}
        for part in self.parts:
            row = [places[id(part.content)], part.n, part.first, part.count, part.to]
            rows.setdefault(part.coding, []).append(row)
        for coding, some in rows.items():
            kernels.page_rows(
                data, np.array(some, np.int64), coding.encoding, coding.bits, out,
                low=coding.low, high=coding.high,
            )  # fmt: skip
        return out.reshape(self.shape)


class _Values:
    """Values of a basket that follow one another; slices are taken as of an array."""

    def __init__(self, content: Content, begin: int, stop: int) -> None:
        self.content, self.begin, self.stop = content, begin, stop

    def __len__(self) -> int:
        return self.stop - self.begin

    def __getitem__(self, part: slice) -> _Values:
        begin, stop, _ = part.indices(len(self))
        return _Values(self.content, self.begin + begin, self.begin + max(begin, stop))


class _PackedNumbers(Numbers):
    """Of a branch whose baskets the GPU decodes."""

    def __init__(self, stored: Stored, coding: Coding) -> None:
        super().__init__(stored)
        self.coding = coding
        self.parts: list[Slice] = []
        self.inner = math.prod(stored.shape)  # numbers in a value

    def take(self, basket: int, unpacked: Baskets) -> None:
        BranchColumn.take(self, basket, unpacked)

    def end(self) -> tuple[None, Any]:
        return None, Packed(self.stored.native, (self.places[-1], *self.stored.shape), self.parts)

    def _prepare(self, baskets: range) -> None:
        self._find_places(baskets)
        self.parts = []

    def _content(self, basket: int, unpacked: Baskets) -> Any:
        stored = self.stored
        body, size, stop, _ = unpacked.packed_body(stored, basket)
        if stop % stored.dtype.itemsize:
            raise ValueError(f"a basket of {stored.name} has {stop} bytes of values")
        what = f"basket {basket} of {stored.name}"
        return _Values(_content(what, body, size), 0, stop // stored.dtype.itemsize)

    def _copy(self, values: Any, place: int, stop: int) -> None:
        if stop > place:
            first, count = values.begin * self.inner, (stop - place) * self.inner
            numbers = values.stop * self.inner
            self.parts.append(
                Slice(values.content, self.coding, numbers, first, count, place * self.inner)
            )


class _PackedRange(ColumnRange):
    """Of a column whose pages the GPU decodes."""

    def begin(self, start: int, stop: int) -> Sequence[int]:
        self.parts: list[Slice] = []
        return super().begin(start, stop)

    def _content(self, piece: Piece, reader: PageReader) -> Any:
        column, coding = self.column, piece.coding
        if piece.page is None:  # of a column that was added later: zeros, which is what is there
            return None
        if np.dtype(coding.dtype) == column.dtype:
            content = reader.content(column, piece.page, kernels.page_bytes(piece.n, coding.bits))
            return content, coding
        values: Array = np.empty(piece.n, column.dtype)  # another representation than most have
        reader.read(column, piece, values)
        plain = Content("", memoryview(values.tobytes()), None, values.nbytes)
        return plain, Coding("plain", 8 * column.dtype.itemsize, column.dtype.str)

    def _room(self) -> Array:
        return np.empty(0, self.column.dtype)

    def _put(self, piece: Piece, content: Any, low: int, high: int) -> None:
        if content is not None:
            stored, coding = content
            first, to = low - piece.first, low - self.start
            self.parts.append(Slice(stored, coding, piece.n, first, high - low, to))

    def values(self) -> Any:
        return Packed(self.column.dtype, (max(0, self.stop - self.start),), self.parts)


def branch_column(stored: Stored) -> BranchColumn:
    """For the GPU where it can decode it, else for the CPU."""
    dtype = stored.dtype.base
    plain = stored.leaf is None and not stored.header and dtype.kind in "biuf"
    if not plain or dtype.itemsize > 8 or stored.native != dtype.newbyteorder("="):
        return column_of(stored)
    return _PackedNumbers(stored, Coding("swapped", 8 * dtype.itemsize, dtype.str))


def page_range(branches: Sequence[Paged]) -> Callable[[Column], ColumnRange]:
    """For the GPU where all branches of a column are plain numbers, else for the CPU."""
    others = {b.values for b in branches if b.text or len(b.levels) > 1}

    def kind(column: Column) -> ColumnRange:
        if column in others or column.bases is not None:
            return range_of(column)
        return _PackedRange(column)

    return kind


def _content(what: str, body: memoryview, size: int) -> Content:
    try:
        return content_of(what, body, size)
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from None
