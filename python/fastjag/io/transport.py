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
from urllib.parse import urlsplit

from fastjag.core.checks import first_line
from fastjag.io.errors import ServerError

#: The port of a URL that has none, for what we have clients of our own for.
PORTS = {"http": 80, "https": 443, "root": 1094, "roots": 1094, "xroot": 1094, "xroots": 1094}
XROOTD = {"root", "roots", "xroot", "xroots"}
#: An XRootD client's first words (protocol specification, "Initial handshake").
_HELLO = struct.pack(">5i", 0, 0, 0, 4, 2012)

_reached: dict[tuple[str, int], float] = {}  # when servers last answered


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


def set_xrootd() -> None:
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
                if urlsplit(url).scheme in XROOTD:
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
        host, port = parts.hostname, parts.port or PORTS.get(parts.scheme, 443)
    except ValueError as error:
        raise ServerError(f"{url}: no valid URL: {error}") from None
    if not host:
        raise ServerError(f"{url}: the URL names no server")
    return host, port


def server_name(url: str) -> str:
    """Host and port of a URL, for messages."""
    host, port = _server(url)
    return f"{host}:{port}"


def silent(path: str, url: str) -> ServerError:
    """The error of a server that accepts no connection; ``path`` is the file, ``url`` has the server."""
    return _silent(path, *_server(url))


def stalled(path: str, url: str) -> ServerError:
    """The error of a transfer that came to a halt."""
    return ServerError(
        f"{path}: the server {server_name(url)} sent nothing for {stall_timeout():g} s "
        f"(FASTJAG_STALL_TIMEOUT)"
    )


def explain(error: Exception, otherwise: Exception | None = None) -> Exception:
    """What a server's failure says, whatever was raised on top of it.

    All other errors are ``otherwise``, or what they are.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ServerError):
            return type(cause)(*cause.args)  # anew, as no error can be its own cause
        cause = cause.__cause__
    return otherwise or error
