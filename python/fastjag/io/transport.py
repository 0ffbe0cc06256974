"""Files on servers: the libraries they need, and deadlines, so that a dead server ends in an error.

``FASTJAG_CONNECT_TIMEOUT`` (default 5) is the seconds in which a server must accept a connection and,
for ``root://``, answer; ``FASTJAG_STALL_TIMEOUT`` (default 60) those without a single byte after which
a transfer is given up. Whatever XRootD's own variables (``XRD_CONNECTIONWINDOW``, ...) say has
precedence.
"""

from __future__ import annotations

import math
import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from fastjag.core.checks import first_line
from fastjag.io.files import PORTS, ReadError

_XROOTD = {"root", "roots", "xroot", "xroots"}
#: An XRootD client's first words (protocol specification, "Initial handshake").
_HELLO = struct.pack(">5i", 0, 0, 0, 4, 2012)

_reached: dict[tuple[str, int], float] = {}  # when servers last answered


class ServerError(ReadError):
    """A server that cannot be reached or has stopped to answer; the message names it."""


def connect_timeout() -> float:
    """Seconds in which a server must answer at first."""
    return _seconds("FASTJAG_CONNECT_TIMEOUT", 5.0)


def stall_timeout() -> float:
    """Seconds without a byte after which a transfer is given up."""
    return _seconds("FASTJAG_STALL_TIMEOUT", 60.0)


def _seconds(variable: str, default: float) -> float:
    text = os.environ.get(variable, "").strip()
    try:
        value = float(text) if text else default
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise ValueError(f"{variable} must be seconds above 0, got {text!r}")
    return value


def options(path: str) -> dict[str, Any]:
    """What ``uproot.open`` is told for a file: nothing, or the deadlines of its transport.

    Raises ServerError, naming the host, if the server does not answer.
    """
    scheme = path.partition("://")[0].lower() if "://" in path else ""
    if scheme not in PORTS:
        return {}
    if scheme in _XROOTD:
        reach(path)
        _set_xrootd()
        return {"timeout": math.ceil(stall_timeout())}
    import aiohttp
    from fsspec.config import conf

    client = {"timeout": aiohttp.ClientTimeout(
        total=None, sock_connect=connect_timeout(), sock_read=stall_timeout()
    )} | conf.get(scheme, {}).get("client_kwargs", {})  # fmt: skip
    if not client.get("trust_env"):  # a proxy may reach what we do not
        reach(path)
    return {"client_kwargs": client, "handler": _source()}


class _Raising:
    """A file system of fsspec that raises what went wrong in the middle of several ranges.

    fsspec puts the errors among the results, where uproot takes them for bytes, and gives the whole
    file where a server knows no ranges.
    """

    def __init__(self, fs: Any) -> None:
        self._fs = fs

    def __getattr__(self, name: str) -> Any:
        return getattr(self._fs, name)

    def cat_file(self, path: str, start: int, end: int) -> Any:
        return _check_range(self._fs.cat_file(path, start=start, end=end), path, start, end)

    async def _cat_ranges(self, paths: list[str], starts: list[int], ends: list[int]) -> list[Any]:
        answers = await self._fs._cat_ranges(paths=paths, starts=starts, ends=ends)
        return [_check_range(*some) for some in zip(answers, paths, starts, ends, strict=True)]


def _check_range(data: Any, path: str, start: int, end: int) -> Any:
    if isinstance(data, Exception):
        raise data
    if len(data) > end - start:
        raise ServerError(f"{path}: the server sends no byte ranges: copy the file and read that")
    return data


@cache
def _source() -> Any:
    from fsspec.implementations.cached import CachingFileSystem
    from uproot.source.fsspec import FSSpecSource

    class PatientSource(FSSpecSource):  # type: ignore[misc]
        _fs: Any

        def _open(self) -> None:
            super()._open()
            if not isinstance(self._fs, CachingFileSystem):  # which uproot has to recognise
                self._fs = _Raising(self._fs)

    return PatientSource


def _set_xrootd() -> None:
    """The client's settings; what stands in the environment of the process is not changed."""
    from XRootD.client import EnvPutInt

    connect, stall = math.ceil(connect_timeout()), math.ceil(stall_timeout())
    for name, value in {
        "ConnectionWindow": connect, "ConnectionRetry": 1, "StreamErrorWindow": connect,
        "StreamTimeout": stall, "RequestTimeout": stall, "TimeoutResolution": 1,
    }.items():  # fmt: skip
        EnvPutInt(name, value)


def reach(url: str) -> None:
    """Raises ServerError unless the server of a URL answers in time; asked once a minute at most."""
    host, port = _server(url)
    now = time.monotonic()
    if now - _reached.get((host, port), -math.inf) < 60:
        return
    limit = connect_timeout()
    failure: list[str] = []

    def ask() -> None:
        try:
            with _connection(host, port, now + limit) as server:
                if urlsplit(url).scheme in _XROOTD:
                    server.sendall(_HELLO)
                    if not server.recv(1):
                        raise ConnectionError("it closed the connection")
        except TimeoutError:
            return  # reported below
        except (OSError, ValueError) as error:  # ValueError: a name that cannot be
            failure.append(getattr(error, "strerror", None) or first_line(error))
        else:
            _reached[host, port] = time.monotonic()

    # In a thread: nothing else bounds the look-up of a name.
    asking = threading.Thread(target=ask, name="fastjag-reach", daemon=True)
    asking.start()
    asking.join(limit + 0.5)
    if failure:
        raise ServerError(f"{url}: the server {host}:{port} cannot be reached: {failure[0]}")
    if (host, port) not in _reached or _reached[host, port] < now:
        raise _silent(url, host, port)


def _silent(url: str, host: str, port: int) -> ServerError:
    return ServerError(
        f"{url}: the server {host}:{port} did not answer within {connect_timeout():g} s "
        f"(FASTJAG_CONNECT_TIMEOUT)"
    )


@contextmanager
def _connection(host: str, port: int, until: float) -> Iterator[socket.socket]:
    """A connection to one of a host's addresses, all of which have some of the time."""
    addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for i, (family, kind, protocol, _, address) in enumerate(addresses):
        with socket.socket(family, kind, protocol) as server:
            left = until - time.monotonic()
            server.settimeout(max(0.01, left / (len(addresses) - i)))
            try:
                server.connect(address)
            except OSError:
                if i == len(addresses) - 1:
                    raise
                continue
            server.settimeout(max(0.01, until - time.monotonic()))
            yield server
            return


def _server(url: str) -> tuple[str, int]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or PORTS[parts.scheme]
    except ValueError as error:
        raise ServerError(f"{url}: no valid URL: {error}") from None
    if not host:
        raise ServerError(f"{url}: the URL names no server")
    return host, port


def explain(error: Exception, path: str, otherwise: Exception | None = None) -> Exception:
    """What a library says of a stalled transfer, in words that name the server.

    All other errors are ``otherwise``, or what they are.
    """
    if isinstance(error, ServerError):
        return error
    text = str(error)
    expired = "Operation expired" in text or "Socket timeout" in text  # as XRootD has it
    if "://" not in path or not (expired or isinstance(error, TimeoutError)):
        return otherwise or error
    host, port = _server(path)
    failure = ServerError(
        f"{path}: the server {host}:{port} sent nothing for {stall_timeout():g} s "
        f"(FASTJAG_STALL_TIMEOUT)"
    )
    if "ConnectionTimeout" in type(error).__name__:  # aiohttp's
        failure = _silent(path, host, port)
    failure.__cause__ = error
    return failure
