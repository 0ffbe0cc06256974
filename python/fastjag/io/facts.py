"""What the ranges of a file depend on: its UUID, the entries of a tree, its size and its clusters."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from fastjag.io.files import ReadError
from fastjag.io.rntuple import check_envelopes
from fastjag.io.sources import Access
from fastjag.io.trees import find_tree, is_rntuple, no_tree, open_root, open_tree

_COUNTED = 0x40000000  # of an object that says its number of bytes
_OBJECT = struct.Struct(">IH")  # bytes, version
_COUNT = struct.Struct(">I")
_SIZES = struct.Struct(">qq")
_VERSIONS = range(16, 21)  # of TTree: since ROOT 5.0


@dataclass(frozen=True)
class Facts:
    """Of a tree in a file.

    ``n_bytes`` are those of all branches, decompressed. ``clusters`` are the entries at which baskets of
    all branches, or clusters of an RNTuple, begin, and the end: at least 0 and ``n_entries``. None: they
    were not looked for.
    """

    uuid: str
    tree: str
    n_entries: int
    n_bytes: int
    clusters: tuple[int, ...] | None
    size: int  #: of the file in bytes


class Wanted(NamedTuple):
    """Pieces of about so many bytes, or entries."""

    size: int
    in_bytes: bool

    def pieces(self, facts: Facts) -> int:
        """How many of a file."""
        return max(1, round((facts.n_bytes if self.in_bytes else facts.n_entries) / self.size))

    def enough(self, facts: Facts) -> bool:
        """Whether one can cut by these facts."""
        return facts.clusters is not None or self.pieces(facts) == 1

    def cut(self, facts: Facts) -> list[tuple[int, int]]:
        """(start, stop) of the pieces, none of them less than a cluster.

        Of equal pieces, each ends where the nearest cluster does.
        """
        n, pieces = facts.n_entries, self.pieces(facts)
        nearest: dict[int, tuple[float, int]] = {}  # to the end of each piece
        for edge in facts.clusters or () if pieces > 1 and n else ():
            piece = round(edge * pieces / n)
            distance = abs(edge - piece * n / pieces), edge
            nearest[piece] = min(distance, nearest.get(piece, distance))
        inner = [nearest[piece][1] for piece in sorted(nearest) if 0 < piece < pieces]
        return list(pairwise([0, *inner, n])) if n else []


def look(
    path: str, tree: str | None, access: Access | None, wanted: Wanted, known: Facts | None = None
) -> Facts:
    """Open a file for its facts. Errors are those of reading it.

    ``known`` are facts from before, which are returned if the file has their UUID still and they are
    enough. Clusters are looked for in trees that are more than one piece.
    """
    _, file = open_root(path, access)
    with file:
        uuid, size = str(file.file.uuid), int(file.file.source.num_bytes)
        if known is not None and (known.uuid, known.size) == (uuid, size) and wanted.enough(known):
            return known
        try:
            name, key = find_tree(file, path, tree, None)
            if sizes := _head(file.key(key)):
                facts = Facts(uuid, name, *sizes, None, size)
                if wanted.enough(facts):
                    return facts
            opened = open_tree(file, f"{path}:{name}", key)
            find = _of_rntuple if is_rntuple(opened) else _of_tree
            n, n_bytes, clusters = find(opened, f"{path}:{name}")
        except Exception as error:
            if isinstance(error, ReadError):
                raise
            raise no_tree(error, path, tree) from error
    return Facts(uuid, name, n, n_bytes, tuple(sorted({0, *clusters, n})), size)


def _of_tree(tree: Any, where: str) -> tuple[int, int, list[int]]:
    n = int(tree.num_entries)
    entries = [b.entry_offsets for b in tree.itervalues(recursive=True) if b.num_baskets]
    n_bytes = tree.member("fTotBytes") or sum(b.uncompressed_bytes for b in tree.branches)
    return n, int(n_bytes), _common(entries, n)


def _head(entry: Any) -> tuple[int, int] | None:
    """(entries, bytes of all branches) of a TTree, from its first members.

    All of it takes uproot ten times as long, because of its branches. None where a tree is of another
    version, or its writer did not record them.
    """
    if entry.fClassName != "TTree":
        return None
    chunk, cursor = entry.get_uncompressed_chunk_cursor()
    data = memoryview(chunk.raw_data)[cursor.index - chunk.start :]
    count, version = _OBJECT.unpack_from(data)
    if not (count & _COUNTED and version in _VERSIONS):
        return None
    at = _OBJECT.size
    for _ in range(4):  # the parts of TNamed, TAttLine, TAttFill and TAttMarker
        (count,) = _COUNT.unpack_from(data, at)
        if not count & _COUNTED:
            return None
        at += _COUNT.size + (count & ~_COUNTED)
    n, n_bytes = _SIZES.unpack_from(data, at)
    return (int(n), int(n_bytes)) if (n >= 0 and n_bytes > 0) or n == 0 else None


def _common(entries: Sequence[Sequence[int]], n: int) -> list[int]:
    """The entries at which all branches begin a basket; of one branch where they have none in common.

    Old trees have baskets of one size in bytes, so that each branch begins its own somewhere else.
    """
    different = {tuple(own) for own in entries if own[-1] == n}  # others cannot be read
    if not different:
        return []
    longest = max(different, key=lambda own: (len(own), own))
    common = set(longest).intersection(*different)
    return sorted(common - {0, n} or set(longest))


def _of_rntuple(tree: Any, where: str) -> tuple[int, int, list[int]]:
    clusters = check_envelopes(tree, where)
    n_bits = 0
    for number, column in enumerate(tree.column_records):
        for cluster in range(len(clusters)):
            _, pages = clusters.pages(cluster, number) or (0, [])
            n_bits += column.nbits * sum(page.n for page in pages)
    return clusters.firsts[-1], int(n_bits) // 8, clusters.firsts
