"""Files that only fsspec knows a way to: gs://, memory://, sftp:// and many more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastjag.core.checks import first_line
from fastjag.core.extras import how_to_install
from fastjag.io.errors import ReadError, ServerError
from fastjag.io.sources.access import Access
from fastjag.io.sources.client import HEAD, State
from fastjag.io.sources.pieces import Limits


class FsspecClient:
    """One file of a file system of fsspec."""

    limits = Limits(requests=8, spans=256, size=4 << 20)

    def __init__(self, url: str, access: Access) -> None:
        try:
            import fsspec
        except ModuleNotFoundError:
            raise ModuleNotFoundError(
                f"{url}: {url.partition('://')[0]}:// is read by fsspec, which is not installed: "
                f"{how_to_install('remote')}"
            ) from None
        self.url, self.server = url, url.partition("://")[2].partition("/")[0]
        try:
            self._files, self._path = fsspec.core.url_to_fs(url, **access.storage_options)
        except ImportError as error:
            raise ModuleNotFoundError(f"{url}: {first_line(error)}") from error
        except Exception as error:  # of whatever library this is
            raise ReadError(f"{url}: fsspec cannot open it: {first_line(error)}") from error

    def open(self) -> State:
        try:
            self._files.invalidate_cache()
            info: dict[str, Any] = self._files.info(self._path)
            head = self._files.cat_file(self._path, start=0, end=min(HEAD, int(info["size"])))
        except Exception as error:
            raise ServerError(f"{self.url}: not a readable file: {first_line(error)}") from error
        version = next(
            (str(info[k]) for k in ("ETag", "etag", "mtime", "created") if k in info), ""
        )
        return State(int(info["size"]), version, bytes(head))

    def fetch(self, spans: Sequence[tuple[int, memoryview]]) -> None:
        starts = [seek for seek, _ in spans]
        ends = [seek + len(into) for seek, into in spans]
        try:
            answers = self._files.cat_ranges([self._path] * len(spans), starts, ends)
        except Exception as error:
            raise ServerError(f"{self.url}: cannot be read: {first_line(error)}") from error
        for answer, (seek, into) in zip(answers, spans, strict=True):
            if isinstance(answer, Exception):  # as fsspec hands them out
                raise ServerError(f"{self.url}: cannot be read: {first_line(answer)}") from answer
            if len(answer) != len(into):
                raise ServerError(
                    f"{self.url}: {len(answer)} instead of {len(into)} bytes from byte {seek} on"
                )
            into[:] = answer

    def close(self) -> None:
        """fsspec has nothing to close."""
