"""Files of web servers that know no ranges: downloaded as a whole, into the folder of copies."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from hashlib import blake2b

from fastjag.io.errors import ReadError, ServerError
from fastjag.io.sources.client import HEAD, NoRanges, State, Transient
from fastjag.io.sources.http import HttpClient
from fastjag.io.sources.pieces import Limits
from fastjag.io.sources.store import place_of
from fastjag.reporting.output import new_file

_BLOCK = 1 << 20


class WebClient:
    """A file of a web server: its ranges, or a copy of all of it where the server knows none."""

    def __init__(self, web: HttpClient, folder: str | None) -> None:
        self.url, self.server, self._folder = web.url, web.server, folder
        self._web = web
        self._client: HttpClient | WholeFile = web

    @property
    def limits(self) -> Limits:
        return self._client.limits

    @property
    def whole(self) -> bool:
        """Whether the folder has all of it."""
        return isinstance(self._client, WholeFile)

    def open(self) -> State:
        try:
            return self._client.open()
        except NoRanges:
            if self._folder is None:
                raise
        self._client = WholeFile(self._web, self._folder)
        return self._client.open()

    def fetch(self, spans: Sequence[tuple[int, memoryview]]) -> None:
        self._client.fetch(spans)

    def close(self) -> None:
        self._client.close()


class WholeFile:
    """A file that is downloaded when it is opened, unless the folder has this version of it."""

    limits = Limits(requests=4, spans=1024, size=16 << 20)

    def __init__(self, web: HttpClient, folder: str) -> None:
        self.url, self.server, self._web, self._folder = web.url, web.server, web, folder
        self._file = -1

    def open(self) -> State:
        with self._web.whole() as (answer, read):
            length = answer.getheader("Content-Length")
            version = answer.getheader("ETag") or answer.getheader("Last-Modified") or ""
            name = repr((self.url, length, version)).encode()
            path = place_of(self._folder, blake2b(name, digest_size=16).hexdigest()) + ".whole"
            if not (version and length and os.path.exists(path)):
                self._download(path, read, int(length) if length else None)
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        os.utime(path)  # used last
        return State(os.fstat(self._file).st_size, version, os.pread(self._file, HEAD, 0))

    def fetch(self, spans: Sequence[tuple[int, memoryview]]) -> None:
        for seek, into in spans:
            if os.preadv(self._file, [into], seek) != len(into):
                raise EOFError(f"{self.url} ends before byte {seek + len(into)}")

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _download(self, path: str, read: Callable[[int], bytes], length: int | None) -> None:
        """Under another name until it is complete."""
        try:
            with new_file(path) as partial, open(partial, "wb") as file:
                done = 0
                while block := read(_BLOCK):
                    file.write(block)
                    done += len(block)
                if length is not None and done != length:
                    raise Transient(f"the answer ended after {done} of {length} bytes")
        except ServerError:
            raise
        except OSError as error:
            raise ReadError(f"{self.url}: no copy in {self._folder}: {error}") from error
