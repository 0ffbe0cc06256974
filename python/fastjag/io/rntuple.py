"""What an RNTuple says about itself: envelopes whose checksums hold, clusters, and where pages lie.

uproot reads the anchor, header and footer, and the locators of the page lists; the lists of pages are
read here, as there may be a hundred thousand pages. uproot compares the checksums of header and footer
only, and not under ``python -O``.
Format: https://github.com/root-project/root/blob/master/tree/ntuple/doc/BinaryFormatSpecification.md,
"Envelopes", "Frames" and "Page Locations": an envelope ends with the XXH3 checksum (64 bits, little
endian) of what is before it, decompressed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from fastjag.io.errors import ReadError

SUM = 8  # bytes of a checksum

OLD = "ROOT::Experimental::RNTuple"

_FRAME = struct.Struct("<qI")  # minus its bytes, items
_SIZE = struct.Struct("<q")
_CLUSTER = struct.Struct("<qQQ")  # bytes of the record, first entry, entries and flags
_PAGE = struct.Struct("<iiQ")  # elements, bytes, place
_LARGE = struct.Struct("<iiQQ")  # elements, kind of locator, bytes, place
_ENTRIES = (1 << 56) - 1
_LARGE_KIND = 1


class Page(NamedTuple):
    """Where a page lies."""

    n: int  #: elements
    seek: int
    size: int  #: in bytes, without its checksum
    checked: bool  #: whether its checksum follows


def check_envelopes(tree: Any, where: str) -> Clusters:
    """The clusters of an RNTuple opened by uproot, when its header, footer and page lists are whole.

    Raises ReadError, beginning with ``where``, for damage and for formats that would be misread.
    """
    version = [tree.member(f"fVersion{part}") for part in ("Epoch", "Major", "Minor", "Patch")]
    if version[0] != 1:
        raise ReadError(f"{where}: RNTuple format {'.'.join(map(str, version))}; 1 can be read")
    tree._prepare_header_chunk()
    tree._prepare_footer_chunk()
    for part, chunk in (("header", tree._header_chunk), ("footer", tree._footer_chunk)):
        if not holds(chunk.raw_data):
            raise ReadError(f"{where}: the checksum of the {part} is wrong")
    if flags := tree.header.feature_flag | tree.footer.feature_flag:
        raise ReadError(f"{where}: uses features that are not known (flags {flags:#x})")
    return Clusters(tree)


def refuse_old(kind: str, where: str) -> None:
    """Raises ReadError for the class name of RNTuples before format 1.0."""
    if kind == OLD:
        raise ReadError(
            f"{where}: an RNTuple from before format 1.0 ({OLD}), which only the version of ROOT that "
            f"wrote it reads: write it again with ROOT 6.34 or later"
        )


def holds(content: Any) -> bool:
    """Whether the last bytes are the checksum of those before."""
    import xxhash

    data = memoryview(content)
    expected = int.from_bytes(data[-SUM:].tobytes(), "little")
    return len(data) > SUM and xxhash.xxh3_64_intdigest(data[:-SUM]) == expected


class Clusters:
    """The clusters of an RNTuple: runs of entries, each with pages of all of its columns."""

    def __init__(self, tree: Any) -> None:
        self.firsts = [0]  #: the first entry of each, and the end of the last
        self._frames: list[tuple[bytes, list[int]]] = []  # of each, where its columns' pages stand
        for record in tree.footer.cluster_group_records:
            link = record.page_list_link
            chunk, _ = tree.read_locator(link.locator, link.env_uncomp_size)
            data = bytes(chunk.raw_data)
            if not holds(data):
                at = link.locator.offset
                raise ValueError(f"the checksum of the list of pages at {at} is wrong")
            if int.from_bytes(data[8:16], "little") != tree.header.checksum:
                raise ValueError("a list of pages belongs to another header")
            self._add(data)

    def __len__(self) -> int:
        return len(self._frames)

    def _add(self, data: bytes) -> None:
        """The clusters of one list of pages."""
        summaries, end = _items(data, 16)
        for at in summaries:
            _, first, n = _CLUSTER.unpack_from(data, at)
            if n & ~_ENTRIES:
                raise ValueError("its clusters are sharded, which is not known")
            if first != self.firsts[-1]:
                raise ValueError(f"a cluster begins at entry {first}, not {self.firsts[-1]}")
            self.firsts.append(first + n)
        clusters, _ = _items(data, end)
        self._frames += [(data, list(_items(data, at)[0])) for at in clusters]
        if len(self._frames) != len(self.firsts) - 1:
            raise ValueError("a list of pages has other clusters than it says")

    def pages(self, cluster: int, column: int) -> tuple[int, list[Page]] | None:
        """(first element, pages) of a column, which later clusters may have alone.

        None where another representation of the column has the values.
        """
        data, frames = self._frames[cluster]
        if column >= len(frames):
            return None
        size, n_pages = _FRAME.unpack_from(data, frames[column])
        at, end = frames[column] + _FRAME.size, frames[column] - size
        pages = []
        for _ in range(n_pages):
            n, n_bytes, seek = _PAGE.unpack_from(data, at)
            at += _PAGE.size
            if n_bytes < 0:
                if -n_bytes >> 24 != _LARGE_KIND:
                    raise ValueError(f"its pages have locators of kind {-n_bytes >> 24}")
                n, _, n_bytes, seek = _LARGE.unpack_from(data, at - _PAGE.size)
                at += _LARGE.size - _PAGE.size
            pages.append(Page(abs(n), seek, n_bytes, n < 0))
        (first,) = _SIZE.unpack_from(data, at)
        if at + _SIZE.size > end:
            raise ValueError("a list of pages is cut off")
        return None if first < 0 else (first, pages)


def _items(data: bytes, at: int) -> tuple[Iterator[int], int]:
    """Where the items of a list frame begin, each a frame itself, and where the list ends."""
    size, n = _FRAME.unpack_from(data, at)
    if size >= 0 or at - size > len(data):
        raise ValueError("a list of pages is cut off")

    def places() -> Iterator[int]:
        place = at + _FRAME.size
        for _ in range(n):
            yield place
            (length,) = _SIZE.unpack_from(data, place)
            if not length:
                raise ValueError("a list of pages has an item of no bytes")
            place += abs(length)

    return places(), at - size
