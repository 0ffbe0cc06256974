"""RNTuples whose checksums hold: of header, footer, lists of pages, and of the pages themselves.

uproot reads them; it compares the checksums of header and footer only, and not under ``python -O``.
Format: https://github.com/root-project/root/blob/master/tree/ntuple/doc/BinaryFormatSpecification.md,
"Envelopes" and "Page Locations": XXH3, 64 bits, little endian. An envelope ends with that of what is
before it, decompressed; a page is followed by its own, of the bytes in the file. Writers may leave
those of pages out (uproot does): then damage in a page that is not compressed stays unseen.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from fastjag.io.files import ReadError

_SUM = 8  # bytes of a checksum

OLD = "ROOT::Experimental::RNTuple"


def check_pages(tree: Any, where: str) -> Any:
    """The same RNTuple, opened by uproot, that raises ValueError where it would read damage.

    Raises ReadError, beginning with ``where``, for a format that uproot would misread.
    """
    version = [tree.member(f"fVersion{part}") for part in ("Epoch", "Major", "Minor", "Patch")]
    if version[0] != 1:
        raise ReadError(f"{where}: RNTuple format {'.'.join(map(str, version))}; 1 can be read")
    tree._prepare_header_chunk()
    tree._prepare_footer_chunk()
    for part, chunk in (("header", tree._header_chunk), ("footer", tree._footer_chunk)):
        if not _holds(chunk.raw_data):
            raise ReadError(f"{where}: the checksum of the {part} is wrong")
    if flags := tree.header.feature_flag | tree.footer.feature_flag:
        raise ReadError(f"{where}: uses features that are not known (flags {flags:#x})")
    kind: Any = type(tree)
    tree.__class__ = _checking_class(kind)
    tree.read_lists()
    return tree


def refuse_old(kind: str, where: str) -> None:
    """Raises ReadError for the class name of RNTuples before format 1.0."""
    if kind == OLD:
        raise ReadError(
            f"{where}: an RNTuple from before format 1.0 ({OLD}), which only the version of ROOT that "
            f"wrote it reads: write it again with ROOT 6.34 or later"
        )


def offsets(tree: Any, column: str) -> Iterator[Any]:
    """The offsets in a column of an awkward form, some clusters at a time, each from 0."""
    number = int(column.split("-")[1])
    clusters = tree.cluster_summaries
    missing = tree.column_records[number].first_element_index  # of a field that was added later
    start = 0
    while start < len(clusters):
        stop, first = start + 1, clusters[start].num_first_entry
        while stop < len(clusters) and clusters[stop].num_first_entry - first < 1_000_000:
            stop += 1
        yield tree.read_cluster_range(
            number, start, stop, missing_element_padding=max(missing - first, 0)
        )
        start = stop


def _holds(content: Any) -> bool:
    """Whether the last bytes are the checksum of those before."""
    import xxhash

    data = memoryview(content)
    expected = int.from_bytes(data[-_SUM:].tobytes(), "little")
    return len(data) > _SUM and xxhash.xxh3_64_intdigest(data[:-_SUM]) == expected


@cache
def _checking_class(kind: Any) -> Any:
    import uproot

    class Checking(kind):  # type: ignore[misc]
        """An RNTuple that compares checksums as it reads."""

        def read_lists(self) -> None:
            links = [record.page_list_link for record in self.footer.cluster_group_records]
            self._lists = {link.locator.offset for link in links}
            self._with_sum: set[int] = set()
            self._with_sum = {page.locator.offset for _, page in _pages(self) if page.has_checksum}
            for envelope in self.page_list_envelopes:
                if envelope.header_checksum != self.header.checksum:
                    raise ValueError("a list of pages belongs to another header")

        def read_locator(self, loc: Any, uncomp_size: int) -> Any:
            if loc.offset in self._lists:
                chunk, cursor = super().read_locator(loc, uncomp_size)
                if not _holds(chunk.raw_data):
                    raise ValueError(f"the checksum of the list of pages at {loc.offset} is wrong")
                return chunk, cursor
            if loc.offset not in self._with_sum:
                return super().read_locator(loc, uncomp_size)
            data = self.file.source.chunk(loc.offset, loc.offset + loc.num_bytes + _SUM).raw_data
            if not _holds(data):
                raise ValueError(
                    f"the checksum of a page of {self._field_at(loc.offset)} at byte {loc.offset} is "
                    f"wrong"
                )
            chunk = uproot.source.chunk.Chunk.wrap(self.file.source, data[:-_SUM], loc.offset)
            cursor = uproot.source.cursor.Cursor(loc.offset)
            if loc.num_bytes < uncomp_size:
                chunk = uproot.compression.decompress(chunk, cursor, {}, loc.num_bytes, uncomp_size)
                cursor.move_to(0)
            return chunk, cursor

        def _field_at(self, offset: int) -> str:
            """The path of the field that a page belongs to."""
            column = next(column for column, page in _pages(self) if page.locator.offset == offset)
            place, names = self.column_records[column].field_id, list[str]()
            while True:
                record = self.field_records[place]
                names.insert(0, record.field_name)
                if record.parent_field_id == place:
                    return repr(".".join(names))
                place = record.parent_field_id

    return Checking


def _pages(tree: Any) -> Any:
    """(column, page) of all clusters."""
    for columns in tree.page_link_list:
        for i, column in enumerate(columns):
            for page in column.pages:
                yield i, page
