"""A folder of copies of remote files: the pieces that were read, each with its checksum.

Every version of a file has two files here: one with its bytes, which has holes where nothing was read,
and an index that only grows. Processes may share the folder: a record of the index is one write, what
it says is checked whenever it is used, and what does not fit is fetched again.
"""

from __future__ import annotations

import os
import struct
import threading
import time
import warnings
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

from fastjag.io.errors import ReadError
from fastjag.io.sources.pieces import Piece

_RECORD = struct.Struct("<QQ16s8s")  # seek, size, checksum of the bytes, checksum of the record
_swept: dict[str, float] = {}  # when folders were last looked through


def cache_limit() -> int:
    """Bytes that a folder of copies may have."""
    text = os.environ.get("FASTJAG_CACHE_GB", "").strip() or "100"
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e9:
        raise ValueError(f"FASTJAG_CACHE_GB must be gigabytes above 0, got {text!r}")
    return int(value * 1e9)


class Store:
    """The pieces of one version of a file that are in the folder."""

    def __init__(self, folder: str, key: str) -> None:
        self._lock = threading.Lock()
        self._known: dict[Piece, bytes] = {}
        self._full = False
        place = place_of(folder, key)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        try:
            self._bytes = os.open(f"{place}.bytes", flags, 0o666)
            self._index = os.open(f"{place}.index", flags | os.O_APPEND, 0o666)
            os.utime(f"{place}.index")  # used last
        except OSError as error:
            raise ReadError(f"{folder}: no folder for copies (cache=): {error.strerror}") from error
        for seek, size, checksum in _records(self._index):
            self._known[seek, size] = checksum

    def __contains__(self, piece: Piece) -> bool:
        return piece in self._known

    def get(self, seek: int, into: memoryview) -> bool:
        """Fill ``into`` from the copy; whether that was possible."""
        checksum = self._known.get((seek, len(into)))
        if checksum is None:
            return False
        if os.preadv(self._bytes, [into], seek) == len(into) and _digest(into, 16) == checksum:
            return True
        self._known.pop((seek, len(into)), None)  # damaged, or the other file of it was deleted
        return False

    def put(self, seek: int, data: memoryview) -> None:
        """Keep a piece. A folder that takes no more costs a warning, no result."""
        piece = (seek, len(data))
        if self._full or piece in self._known:
            return
        checksum = _digest(data, 16)
        record = struct.pack("<QQ16s", seek, len(data), checksum)
        try:
            with self._lock:  # after close(), the numbers are those of other files
                if self._bytes < 0 or os.pwrite(self._bytes, data, seek) != len(data):
                    return  # less than all fits: the next one says why
                os.write(self._index, record + _digest(record, 8))
        except OSError as error:
            self._full = True
            warnings.warn(
                f"copies of remote files are not kept any more: {error.strerror}", stacklevel=3
            )
            return
        self._known[piece] = checksum

    def close(self) -> None:
        with self._lock:
            if self._bytes >= 0:
                os.close(self._bytes)
                os.close(self._index)
                self._bytes = self._index = -1


def place_of(folder: str, key: str) -> str:
    """The path of a file's copies without suffix; what was not used for longest goes if there are too many."""
    try:
        Path(folder, key[:2]).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ReadError(f"{folder}: no folder for copies (cache=): {error.strerror}") from error
    _sweep(folder)
    return os.path.join(folder, key[:2], key)


def _sweep(folder: str) -> None:
    """Once a minute at most: files used last stay, up to the limit."""
    now = time.monotonic()
    if now - _swept.get(folder, -1e9) < 60:
        return
    _swept[folder] = now
    limit = cache_limit()
    files: dict[str, tuple[float, int]] = {}
    for path in Path(folder).glob("??/*.*"):
        try:
            status = path.stat()
        except OSError:  # another process was here
            continue
        place = str(path.with_suffix(""))
        used, size = files.get(place, (0.0, 0))
        files[place] = max(used, status.st_mtime), size + status.st_blocks * 512
    total = sum(size for _, size in files.values())
    for place, (_, size) in sorted(files.items(), key=lambda item: item[1]):
        if total <= limit:
            return
        for suffix in (".index", ".bytes", ".whole"):
            Path(place + suffix).unlink(missing_ok=True)
        total -= size


def _records(file: int) -> Iterator[tuple[int, int, bytes]]:
    """(seek, size, checksum) of all records that are whole."""
    with os.fdopen(os.dup(file), "rb") as index:
        index.seek(0)
        data = index.read()
    start, n = 0, _RECORD.size
    while start + n <= len(data):
        # A disk that is full may take a part of a record: the next one begins within its length.
        shift = next((i for i in range(n) if _is_record(data[start + i : start + i + n])), None)
        if shift is not None:
            yield _RECORD.unpack_from(data, start + shift)[:3]
        start += n + (shift or 0)


def _is_record(data: bytes) -> bool:
    return len(data) == _RECORD.size and data[32:] == _digest(data[:32], 8)


def _digest(data: bytes | memoryview, size: int) -> bytes:
    return blake2b(data, digest_size=size).digest()
