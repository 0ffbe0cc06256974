"""Files at root://, by vector reads: many pieces for one round trip."""

from __future__ import annotations

import ctypes
import math
import threading
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlsplit

from fastjag.io.errors import ReadError, ServerError
from fastjag.io.sources.access import Access, find_token
from fastjag.io.sources.client import HEAD, State, Transient
from fastjag.io.sources.pieces import Limits
from fastjag.io.transport import (
    connect_timeout,
    reach,
    server_name,
    set_xrootd,
    stall_timeout,
    stalled,
)

#: What servers take unless they are configured otherwise (readv_ior_max).
_PIECE = (2 << 20) - 16
#: Errors of servers (kXR_...) that may be over soon: FSError, IOError, noserver, ServerError,
#: Cancelled, inProgress, TLSRequired is not among them, Overloaded, TimerExpired, noReplicas.
_TRANSIENT = {3005, 3007, 3012, 3014, 3015, 3024, 3028, 3029}
#: ArgInvalid, ArgTooLong, Unsupported: this server reads one piece at a time only.
_NO_VECTORS = {3000, 3002, 3013}
_EXPIRED = {206, 207}  # of the client: errOperationExpired, and its socket's timeout


class XrootdClient:
    """One file of an XRootD server."""

    limits = Limits(requests=8, spans=1024, size=_PIECE)

    def __init__(self, url: str, access: Access) -> None:
        self.url, self.server = url, server_name(url)
        self._token = access.options("root", url).get("token")
        self._turn = threading.Lock()
        self._file: Any = None
        self._size, self._version = -1, ""
        self._vectors = True
        self._closed = False

    def open(self) -> State:
        reach(self.url)
        set_xrootd()
        file = self._opened()
        size = min(HEAD, self._size)
        head = bytearray(size)
        if size:
            self._read(file, 0, memoryview(head))
        return State(self._size, self._version, bytes(head))

    def fetch(self, spans: Sequence[tuple[int, memoryview]]) -> None:
        for seek, into in spans:
            if seek + len(into) > self._size:
                raise EOFError(f"{self.url} ends at byte {self._size}")
        with self._turn:
            file = self._file if self._file is not None else self._opened()
        try:
            if (len(spans) == 1 and len(spans[0][1]) <= _PIECE) or not self._vectors:
                for seek, into in spans:
                    self._read(file, seek, into)
            else:
                self._read_vectors(file, spans)
        except Transient:
            with self._turn:
                if self._file is file:  # nobody has opened it again since
                    self._file = None
                    _let_go(file)
            raise

    def close(self) -> None:
        self._closed = True
        file, self._file = self._file, None
        if file is not None:
            _let_go(file)

    def _opened(self) -> Any:
        """The file, opened; the same as before if it was open before."""
        from XRootD.client import File
        from XRootD.client.flags import OpenFlags

        if self._closed:
            raise ServerError(f"{self.url}: closed")
        file, limit = File(), self._limit()
        _without_recovery(file)
        url = self.url
        if self._token is not None:  # XRootD finds those of the environment by itself
            mark = "&" if urlsplit(url).query else "?"
            url += f"{mark}authz={quote('Bearer ' + find_token(self._token)[0])}"  # type: ignore[index]
        self._check(file.open(url, OpenFlags.READ, timeout=limit)[0])
        status, info = file.stat(timeout=limit)
        self._check(status)
        state = info.size, str(info.modtime)
        if self._size >= 0 and state != (self._size, self._version):
            raise ServerError(
                f"{self.url}: the file changed on the server {self.server} while it was "
                f"read ({self._size} bytes, now {state[0]})"
            )
        self._size, self._version = state
        self._file = file
        return file

    def _read(self, file: Any, seek: int, into: memoryview) -> None:
        status, data = file.read(seek, len(into), timeout=self._limit())
        self._check(status)
        self._copy(data, into)

    def _read_vectors(self, file: Any, spans: Sequence[tuple[int, memoryview]]) -> None:
        parts = [
            (seek + i, into[i : i + _PIECE])
            for seek, into in spans
            for i in range(0, len(into), _PIECE)
        ]
        most = self.limits.spans
        for first in range(0, len(parts), most):
            some = parts[first : first + most]
            asked = [(seek, len(into)) for seek, into in some]
            status, answer = file.vector_read(asked, timeout=self._limit())
            if not status.ok and status.errno in _NO_VECTORS:
                self._vectors = False
                for seek, into in some:
                    self._read(file, seek, into)
                continue
            self._check(status)
            chunks = list(answer.chunks)
            if [(chunk.offset, chunk.length) for chunk in chunks] != asked:
                raise Transient("sent other pieces than were asked for", attempts=3)
            for chunk, (_, into) in zip(chunks, some, strict=True):
                self._copy(chunk.buffer, into)

    @staticmethod
    def _copy(data: bytes, into: memoryview) -> None:
        if len(data) != len(into):
            raise Transient(f"sent {len(data)} of {len(into)} bytes", attempts=3)
        into[:] = data

    def _check(self, status: Any) -> None:
        """Raises what a status of XRootD says."""
        if status.ok:
            return
        text = " ".join(str(status.message).split())
        if status.code in _EXPIRED or "expired" in text or "Socket timeout" in text:
            raise stalled(self.url, self.url)
        if status.code == 400 and status.errno not in _TRANSIENT:  # the server's own words
            raise ServerError(
                f"{self.url}: not a readable file: the server {self.server} says {text}"
            )
        raise Transient(text)

    @staticmethod
    def _limit() -> int:
        return math.ceil(stall_timeout())


def _without_recovery(file: Any) -> None:
    """The client would open a file again by itself, and not see that it changed."""
    found = file.set_property("ReadRecovery", "false")
    # XRootD 6.2 gives a reference to True that it does not own; each call would cost Python one.
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(found))


def _let_go(file: Any) -> None:
    """Close a file without waiting for the server.

    In a thread of ours: a callback would need the interpreter, which the end of the object holds.
    """
    limit = math.ceil(connect_timeout())
    threading.Thread(target=file.close, args=(limit,), name="fastjag-close", daemon=True).start()


def list_folder(url: str, folder: str, access: Access) -> list[tuple[str, bool]]:
    """(name, whether it is a folder) of what a folder of a server has; ReadError without one."""
    from XRootD.client import FileSystem
    from XRootD.client.flags import DirListFlags, StatInfoFlags

    reach(url)
    set_xrootd()
    parts = urlsplit(url)
    token = access.options("root", url).get("token")
    path = folder + (f"?authz={quote('Bearer ' + token)}" if token else "")
    system = FileSystem(f"{parts.scheme}://{parts.netloc}")
    flags = DirListFlags.STAT | DirListFlags.LOCATE | DirListFlags.MERGE
    status, found = system.dirlist(path, flags, timeout=math.ceil(stall_timeout()))
    if not status.ok:
        text = " ".join(str(status.message).split())
        raise ReadError(f"{url}: {folder} cannot be listed by {server_name(url)}: {text}")
    return [
        (entry.name, bool(entry.statinfo and entry.statinfo.flags & StatInfoFlags.IS_DIR))
        for entry in found
    ]
