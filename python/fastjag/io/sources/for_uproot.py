"""How uproot reads through our own clients: metadata, and columns that we leave to it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from fastjag.io.sources import Access, open_remote
from fastjag.io.sources.local import LocalBytes

if TYPE_CHECKING:
    from fastjag.io.sources.client import State

#: Metadata of files that were open before, in bytes of all of them.
_KEPT = 64 << 20
#: Of one file more is not kept: these are no metadata.
_LARGEST = 16 << 20
#: A first look at what is likely larger than uproot asks for at first.
_LOOK = 32 << 10
#: Of the end of a file, read at once: the list of its keys and the streamers stand there.
_TAIL = 256 << 10


class Far(Protocol):
    """What uproot needs of a remote file."""

    path: str
    size: int
    key: str
    state: State

    def fetch(self, pieces: Sequence[tuple[int, int]]) -> list[Future[memoryview]]: ...

    def close(self) -> None: ...


class _Known:
    """Blocks of metadata, by version of a file; the files used last stay."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files: OrderedDict[str, dict[int, memoryview]] = OrderedDict()
        self._size = 0

    def find(self, key: str, start: int, stop: int) -> memoryview | None:
        with self._lock:
            blocks = self._files.get(key, {})
            if blocks:
                self._files.move_to_end(key)
            for first, block in blocks.items():
                if first <= start and stop <= first + len(block):
                    return block[start - first : stop - first]
        return None

    def keep(self, key: str, start: int, block: memoryview) -> None:
        with self._lock:
            blocks = self._files.setdefault(key, {})
            before = blocks.get(start)
            kept = sum(map(len, blocks.values())) + len(block)
            if (before is not None and len(before) >= len(block)) or kept > _LARGEST:
                return
            self._size += len(block) - (0 if before is None else len(before))
            blocks[start] = block
            while self._size > _KEPT and len(self._files) > 1:
                _, old = self._files.popitem(last=False)
                self._size -= sum(map(len, old.values()))


_known = _Known()


def metadata(far: Far, start: int, stop: int) -> memoryview:
    """Bytes of a file that are read one after the other, by looking a little further."""
    stop = min(stop, far.size)
    if stop <= len(far.state.head):
        return memoryview(far.state.head)[start:stop]
    if (found := _known.find(far.key, start, stop)) is not None:
        return found
    tail = max(0, far.size - _TAIL)
    if start < tail or _known.find(far.key, tail, far.size) is not None:
        end = min(far.size, max(stop, start + _LOOK))
        wanted = [(start, end - start)]
        if _known.find(far.key, tail, far.size) is None:
            wanted.append((tail, far.size - tail))
    else:
        wanted = [(tail, far.size - tail)]
    for (first, _), answer in zip(wanted, far.fetch(wanted), strict=True):
        block = answer.result()
        _known.keep(far.key, first, block)
        if first <= start and stop <= first + len(block):
            found = block[start - first : stop - first]
    assert found is not None
    return found


def open_file(path: str, access: Access | None = None) -> tuple[Any, Any]:
    """The bytes of a remote file, None for a local one, and the file as uproot opens it.

    Closing the file closes both.
    """
    import uproot

    # No caches: what was read must be free to go when its batch goes.
    options = {"object_cache": None, "array_cache": None}
    is_far = "://" in path
    opened = open_remote(path, access or Access.of()) if is_far else LocalBytes(path)
    try:
        # The path is no text, in which uproot would look for colons.
        file = uproot.open({path: None}, handler=_handlers()[is_far], opened=opened, **options)
    except BaseException:
        opened.close()
        raise
    return (opened if is_far else None), file


@cache
def _handlers() -> tuple[Any, Any]:
    """The classes that ``uproot.open`` takes as its ``handler``, of local and of remote files."""
    from uproot.source.chunk import Chunk, Source
    from uproot.source.futures import TrivialFuture

    class Given(Source):  # type: ignore[misc]
        """``opened`` is the file, which is closed with it."""

        def __init__(self, file_path: str, opened: Any, **_: Any) -> None:
            super().__init__()
            self._file_path, self._opened, self._open = file_path, opened, True
            self._num_bytes = opened.size

        def _count(self, pieces: int, size: int) -> None:
            self._num_requests += 1
            self._num_requested_chunks += pieces
            self._num_requested_bytes += size

        @property
        def closed(self) -> bool:
            return not self._open

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: object) -> None:
            if self._open:
                self._open = False
                self._opened.close()

    class FarSource(Given):
        def chunk(self, start: int, stop: int) -> Any:
            self._count(1, stop - start)
            return Chunk.wrap(self, metadata(self._opened, start, stop), start)

        def chunks(self, ranges: list[tuple[int, int]], notifications: Any) -> list[Any]:
            self._count(len(ranges), sum(stop - start for start, stop in ranges))
            pieces = [(start, min(stop, self._num_bytes) - start) for start, stop in ranges]
            chunks = []
            for (start, stop), answer in zip(ranges, self._opened.fetch(pieces), strict=True):
                chunk = Chunk(self, start, stop, answer)
                answer.add_done_callback(_notify(notifications, chunk))
                chunks.append(chunk)
            return chunks

    class NearSource(Given):
        """uproot's own opens a local file again for every piece, by way of fsspec."""

        def chunk(self, start: int, stop: int) -> Any:
            return Chunk.wrap(self, self._read(start, stop), start)

        def chunks(self, ranges: list[tuple[int, int]], notifications: Any) -> list[Any]:
            chunks = []
            for start, stop in ranges:
                chunk = Chunk(self, start, stop, TrivialFuture(self._read(start, stop)))
                notifications.put(chunk)
                chunks.append(chunk)
            return chunks

        def _read(self, start: int, stop: int) -> Any:
            """Less at the end of the file, which uproot compares where it has to be all."""
            self._count(1, stop - start)
            data = np.empty(max(0, min(stop, self._num_bytes) - start), np.uint8)
            self._opened.read(start, data.data)
            return data

    return NearSource, FarSource


def _notify(notifications: Any, chunk: Any) -> Callable[[object], None]:
    return lambda _: notifications.put(chunk)
