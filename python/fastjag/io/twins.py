"""Columns of lists whose pages hold the same bytes, which uproot writes once for each field.

ROOT writes one page for equal ones, so that the columns are one already (``fields``). uproot gives
every field of a collection its own copy: packed bytes are compared, which is quicker than to undo
their compression by far.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace
from functools import cached_property

import numpy as np

from fastjag.io.pages import Column, Paged
from fastjag.io.rntuple import SUM
from fastjag.io.sources import Bytes


class Lengths:
    """Those of the lists of a column, which are only read to compare them with another column's."""

    def __init__(self, column: Column, read: Callable[[], Hashable]) -> None:
        self.column, self._read = column, read

    @cached_property
    def digest(self) -> Hashable:
        """Equal for equal lengths."""
        return self._read()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Lengths):
            return NotImplemented
        return self.column is other.column or self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)


class Twins:
    """The columns of one file that were compared so far."""

    def __init__(self) -> None:
        self._first: dict[Hashable, Column] = {}  # by their bytes
        self._known: dict[Column, Column] = {}

    def first_of(self, column: Column, source: Bytes) -> Column:
        """The first column compared that has the same elements; it may be this one."""
        if column not in self._known:
            places = tuple(piece._replace(page=None) for piece in column.pieces)
            key = places, column.bases, _bytes_of(column, source)
            self._known[column] = self._first.setdefault(key, column)
        return self._known[column]

    def merged(self, stored: Paged) -> Paged:
        """The same branch, with the first column in the place of its copies."""
        levels = tuple(self._known.get(column, column) for column in stored.levels)
        return stored if levels == stored.levels else replace(stored, levels=levels)


def _bytes_of(column: Column, source: Bytes) -> bytes:
    """A hash of what is in the pages, as they are packed, and of their checksums."""
    import xxhash

    digest = xxhash.xxh3_128()
    for piece in column.pieces:
        if piece.page is not None:
            packed = np.empty(piece.page.size + SUM * piece.page.checked, np.uint8)
            source.read(piece.page.seek, packed.data)
            digest.update(piece.page.size.to_bytes(8, "little"))
            digest.update(packed)
    return bytes(digest.digest())
