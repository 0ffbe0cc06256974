"""What the ranges of a file depend on: its UUID, the entries of a tree, its size and its clusters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from fastjag.io.files import ReadError
from fastjag.io.rntuple import check_envelopes
from fastjag.io.sources import Access
from fastjag.io.trees import find_tree, is_rntuple, no_tree, open_root, open_tree


@dataclass(frozen=True)
class Facts:
    """Of a tree in a file.

    ``n_bytes`` are those of all branches, decompressed. ``clusters`` are the entries at which baskets of
    all branches, or clusters of an RNTuple, begin, and the end: at least 0 and ``n_entries``.
    """

    uuid: str
    tree: str
    n_entries: int
    n_bytes: int
    clusters: tuple[int, ...]
    size: int  #: of the file in bytes


def look(path: str, tree: str | None, access: Access | None, known: Facts | None = None) -> Facts:
    """Open a file for its facts. Errors are those of reading it.

    ``known`` are facts from before, which are returned if the file has their UUID still.
    """
    _, file = open_root(path, access)
    with file:
        uuid, size = str(file.file.uuid), int(file.file.source.num_bytes)
        if known is not None and (known.uuid, known.size) == (uuid, size):
            return known
        try:
            name, key = find_tree(file, path, tree, None)
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
    return n, int(tree.member("fTotBytes")), _common(entries, n)


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


def cut(facts: Facts, size: int, *, in_bytes: bool) -> list[tuple[int, int]]:
    """(start, stop) of pieces of about ``size`` bytes or entries, none of them less than a cluster.

    Of equal pieces, each ends where the nearest cluster does.
    """
    n = facts.n_entries
    if not n:
        return []
    pieces = max(1, round((facts.n_bytes if in_bytes else n) / size))
    nearest: dict[int, tuple[float, int]] = {}  # to the end of each piece
    for edge in facts.clusters:
        piece = round(edge * pieces / n)
        distance = abs(edge - piece * n / pieces), edge
        nearest[piece] = min(distance, nearest.get(piece, distance))
    inner = [nearest[piece][1] for piece in sorted(nearest) if 0 < piece < pieces]
    return list(pairwise([0, *inner, n]))
