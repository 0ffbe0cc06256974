"""Open files: what is asked of their trees is looked up once, and the latest stay open."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fastjag.io.files import ReadError
from fastjag.io.friends import Befriended
from fastjag.io.ranges import Range
from fastjag.io.reader import Reader


@dataclass
class Opened:
    """A tree, and the branches that are asked for."""

    reader: Reader | Befriended
    names: list[str]
    step: int = 0  #: events; 0 before it is known
    missing: ReadError | None = None  #: why the branches cannot be read, which needs events


class Readers:
    """Trees by path and name, of which ``keep`` stay open for the next range."""

    def __init__(self, read: Callable[[str, str | None], Opened], keep: int) -> None:
        self._read, self._keep = read, keep
        self._open: dict[tuple[str, str | None], Opened] = {}  # the latest last

    def get(self, path: str, tree: str | None) -> Opened:
        opened = self._open.pop((path, tree), None) or self._read(path, tree)
        self._open[path, tree] = opened
        return opened

    def trim(self) -> None:
        """Close all but the latest."""
        while len(self._open) > self._keep:
            self.drop(*next(iter(self._open)))

    def drop(self, path: str, tree: str | None) -> None:
        """Close one, after whose error nobody should read on."""
        opened = self._open.pop((path, tree), None)
        if opened is not None:
            opened.reader.close()

    def close(self) -> None:
        self._keep = 0
        self.trim()


def check_range(reader: Reader | Befriended, wanted: Range) -> None:
    """Raises ReadError where the file is not the one the range was made of, or has not its entries."""
    uuid = str(reader.file.file.uuid)
    if wanted.uuid is not None and wanted.uuid != uuid:
        raise ReadError(
            f"{wanted.file}: is another file than when its ranges were made: its UUID is {uuid}, that of "
            f"the ranges {wanted.uuid}; make them again (fastjag.ranges)"
        )
    if wanted.stop > reader.n_entries:
        raise ReadError(
            f"{wanted.file}:{reader.tree_name}: has {reader.n_entries} entries, the range is of "
            f"{wanted.start} to {wanted.stop}"
        )
