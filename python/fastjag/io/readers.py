"""Open files: what is asked of their trees is looked up once, the latest stay open, and the next is opened ahead."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from fastjag.io.files import ReadError
from fastjag.io.friends import Befriended
from fastjag.io.ranges import Range
from fastjag.io.reader import Reader

#: Files on servers that are opened before they are read.
AHEAD = 4


@dataclass
class Opened:
    """A tree, and the branches that are asked for."""

    reader: Reader | Befriended
    names: list[str]
    step: int = 0  #: events; 0 before it is known
    missing: ReadError | None = None  #: why the branches cannot be read, which needs events


class Readers:
    """Trees by path and name, of which ``keep`` stay open for the next range."""

    def __init__(
        self,
        read: Callable[[str, str | None], Reader | Befriended],
        ask: Callable[[Reader | Befriended, bool], Opened],
        keep: int,
    ) -> None:
        self._read, self._ask, self._keep = read, ask, keep
        self._open: dict[tuple[str, str | None], Opened] = {}  # the latest last
        self._ahead: dict[tuple[str, str | None], Future[Reader | Befriended]] = {}
        self._threads: ThreadPoolExecutor | None = None

    def get(self, path: str, tree: str | None) -> Opened:
        opened = self._open.pop((path, tree), None)
        if opened is None:
            ahead = self._ahead.pop((path, tree), None)
            reader = self._read(path, tree) if ahead is None else ahead.result()
            opened = self._ask(reader, True)
        self._open[path, tree] = opened
        return opened

    def ahead(self, path: str, tree: str | None, wanted: Range | None) -> None:
        """Begin to open a file on a server, in a thread, and to fetch what will be read first of it.

        So round trips of several files pass at once, and while another one is read.
        """
        key = path, tree
        if "://" not in path or key in self._open or key in self._ahead:
            return
        self._threads = self._threads or ThreadPoolExecutor(AHEAD, "fastjag-open")
        self._ahead[key] = self._threads.submit(self._begin, path, tree, wanted)

    def _begin(self, path: str, tree: str | None, wanted: Range | None) -> Reader | Befriended:
        reader = self._read(path, tree)
        with suppress(Exception):  # who reads it says what is wrong with it
            names = self._ask(reader, False).names
            start, stop = (wanted.start, wanted.stop) if wanted else (0, reader.n_entries)
            reader.announce(names, start, stop)
        return reader

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
        for ahead in self._ahead.values():
            if not ahead.cancel():  # nobody waits for a server whose file is not wanted any more
                ahead.add_done_callback(_close)
        if self._threads is not None:
            self._threads.shutdown(wait=False)


def _close(ahead: Future[Reader | Befriended]) -> None:
    with suppress(Exception):  # it could not be opened
        ahead.result().close()


def changes(trees: Sequence[tuple[str, str | None]]) -> list[int]:
    """Where another tree begins, of some that are read one after the other."""
    return [i for i, tree in enumerate(trees) if i == 0 or tree != trees[i - 1]]


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
