"""Files at http:// and https://, by single byte ranges over connections that stay open."""

from __future__ import annotations

import http.client
import os
import re
import socket
import ssl
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from urllib.parse import SplitResult, urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

from fastjag.core.checks import first_line
from fastjag.io.errors import ServerError
from fastjag.io.sources.access import Access, find_token, what_was_sent
from fastjag.io.sources.client import HEAD, NoRanges, State, Transient
from fastjag.io.sources.pieces import Limits
from fastjag.io.transport import (
    PORTS,
    connect_timeout,
    reach,
    server_name,
    silent,
    stall_timeout,
    stalled,
)

_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_REDIRECTS = 10
#: What servers say when they are busy or start again.
_BUSY = {408, 425, 429, 500, 502, 503, 504}
#: Of a request: its headers, by method, URL and headers so far.
Sign = Callable[[str, str, dict[str, str]], Mapping[str, str]]


class _Pool:
    """Connections that wait for their next request, by server: of all files of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle = defaultdict[tuple[str, str], list[http.client.HTTPConnection]](list)
        # A child must not talk on the connections of its parent.
        os.register_at_fork(after_in_child=self.__init__)  # type: ignore[misc]

    def take(self, key: tuple[str, str]) -> http.client.HTTPConnection | None:
        with self._lock:
            return self._idle[key].pop() if self._idle[key] else None

    def give(self, key: tuple[str, str], connection: http.client.HTTPConnection) -> None:
        with self._lock:
            self._idle[key].append(connection)


_pool = _Pool()
_asking_for_tokens: set[str] = set()  # servers (scheme and host) that refuse without one


@cache
def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    folder = os.environ.get("X509_CERT_DIR", "/etc/grid-security/certificates")
    if os.path.isdir(folder):  # of grid sites, which other authorities vouch for
        context.load_verify_locations(capath=folder)
    return context


class HttpClient:
    """One file of a web server."""

    limits = Limits(requests=32, spans=1, size=4 << 20)

    def __init__(self, url: str, access: Access, sign: Sign | None = None) -> None:
        self.url = self._first = url
        self.server = server_name(url)
        self._location = url  # behind redirects
        self._sign = sign
        options = {} if sign else access.options("http", url)
        self._given = options.get("token")
        self._headers = {"Accept-Encoding": "identity"} | dict(options.get("headers", {}))
        self._size, self._version = -1, ""
        self._active: dict[http.client.HTTPConnection, tuple[str, str]] = {}
        self._closed = False

    def open(self) -> State:
        if _proxy(urlsplit(self._first)) is None:  # which may reach what we do not
            reach(self._first)
        head = bytearray(HEAD)
        self._size, self._version = -1, ""
        n = self._get(0, memoryview(head))
        return State(self._size, self._version, bytes(head[:n]))

    def fetch(self, spans: Sequence[tuple[int, memoryview]]) -> None:
        for seek, into in spans:
            if seek + len(into) > self._size:
                raise EOFError(f"{self.url} ends at byte {self._size}")
            self._get(seek, into)

    def close(self) -> None:
        self._closed = True
        for connection in list(self._active):
            if (sock := connection.sock) is not None:
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)  # wakes up who waits for it

    def name(self, url: str) -> None:
        """What messages call the file, if not by its address."""
        self.url = url

    @contextmanager
    def whole(self) -> Iterator[tuple[http.client.HTTPResponse, Callable[[int], bytes]]]:
        """An answer without ranges, and a function that reads on in it."""
        answer, connection = self._answer("GET", self._location, {})

        def read(size: int) -> bytes:
            with self._explained():
                return answer.read(size)

        try:
            yield answer, read
        finally:
            self._active.pop(connection, None)
            connection.close()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """What breaks in the middle of an answer, in our words."""
        try:
            yield
        except ServerError:
            raise
        except TimeoutError as error:
            raise stalled(self.url, self._first) from error
        except (OSError, http.client.HTTPException) as error:
            raise Transient(f"the connection broke: {_text(error)}") from error

    def _get(self, seek: int, into: memoryview) -> int:
        """Fill ``into`` with a range; at the first time the file may end before. Returns how many."""
        asked = {"Range": f"bytes={seek}-{seek + len(into) - 1}"}
        try:
            answer, connection = self._answer("GET", self._location, asked)
        except _Refused:
            if self._location == self._first:
                raise
            self._location = self._first  # where it was redirected to is over
            answer, connection = self._answer("GET", self._location, asked)
        try:
            with self._explained():
                size = self._check(answer, seek, len(into))
                self._fill(answer, into[:size])
        except BaseException:
            self._active.pop(connection, None)
            connection.close()  # in the middle of an answer
            raise
        self._free(connection)
        return size

    def _check(self, answer: http.client.HTTPResponse, seek: int, size: int) -> int:
        """How many bytes follow; raises where they are not those that were asked for."""
        if answer.status == 200:
            raise NoRanges(
                f"{self.url}: the server sends no byte ranges: copy the file and read that, or give "
                f"a folder as cache= (server {self.server})"
            )
        found = _RANGE.fullmatch((answer.getheader("Content-Range") or "").strip())
        if answer.status != 206 or not found:
            raise Transient(
                f"answered {answer.status} with Content-Range {answer.getheader('Content-Range')!r}",
                attempts=3,
            )
        first, last, total = map(int, found.groups())
        version = answer.getheader("ETag") or answer.getheader("Last-Modified") or ""
        if self._size < 0:
            self._size, self._version = total, version
            size = min(size, total)
        if (total, version) != (self._size, self._version):
            raise ServerError(
                f"{self.url}: the file changed on the server {self.server} while it was "
                f"read ({self._size} bytes, {self._version!r}; now {total}, {version!r})"
            )
        length = answer.getheader("Content-Length")
        if (first, last) != (seek, seek + size - 1) or length not in (None, str(size)):
            raise Transient(
                f"asked for bytes {seek} to {seek + size - 1}, it sent {first} to {last} "
                f"in {length} bytes", attempts=3,
            )  # fmt: skip
        if (encoding := answer.getheader("Content-Encoding", "identity")) != "identity":
            raise Transient(f"sent bytes in the encoding {encoding!r}", attempts=3)
        return size

    def _fill(self, answer: http.client.HTTPResponse, into: memoryview) -> None:
        done = 0
        while done < len(into):
            try:
                n = answer.readinto(into[done:])
            except http.client.IncompleteRead:
                n = 0
            if not n:
                raise Transient(f"the answer ended after {done} of {len(into)} bytes")
            done += n
        if answer.read(1):
            raise Transient(f"the answer has more than {len(into)} bytes", attempts=3)

    def _answer(
        self, method: str, url: str, headers: Mapping[str, str]
    ) -> tuple[http.client.HTTPResponse, http.client.HTTPConnection]:
        """The answer behind redirects, its status one of success."""
        for _ in range(_REDIRECTS):
            parts = urlsplit(url)
            origin = f"{parts.scheme}://{parts.netloc}"
            token = self._token(origin)
            own = dict(headers) | self._headers | (
                {"Authorization": f"Bearer {token[0]}"} if token else {}
            )  # fmt: skip
            if origin != _origin(self._first):  # what is secret was for the first server
                own = {k: v for k, v in own.items() if k.lower() not in ("authorization", "cookie")}
            signed = self._sign(method, url, own) if self._sign else own
            answer, connection = self._exchange(method, parts, signed)
            if answer.status in (200, 206):
                self._location = url
                return answer, connection
            body = self._discard(answer, connection)
            if answer.status in (301, 302, 303, 307, 308) and (to := answer.getheader("Location")):
                url = urljoin(url, to)
                if urlsplit(url).scheme not in ("http", "https"):
                    raise ServerError(f"{self.url}: the server redirects to {url}")
                continue
            if answer.status in (401, 403) and self._may_ask_again(origin, token):
                continue
            if answer.status in _BUSY:
                raise Transient(
                    f"HTTP Error {answer.status} ({answer.reason})", None, _wait(answer)
                )
            hint = (
                f"; {what_was_sent(token)}"
                if answer.status in (401, 403) and not self._sign
                else ""
            )
            raise _Refused(
                f"{self.url}: not a readable file: HTTP Error {answer.status} ({answer.reason}) from "
                f"the server {self.server}{body}{hint}"
            )
        raise ServerError(f"{self.url}: more than {_REDIRECTS} redirects")

    def _token(self, origin: str) -> tuple[str, str] | None:
        """What is sent along: a token that was given, or one that this server asked for."""
        if self._sign is not None or origin != _origin(self._first):
            return None
        if self._given is not None:
            return find_token(self._given)
        return find_token() if origin in _asking_for_tokens else None

    def _may_ask_again(self, origin: str, token: tuple[str, str] | None) -> bool:
        """After a refusal: whether there is a token that the server has not seen."""
        secure = origin.startswith("https://") or urlsplit(origin).hostname in (
            "localhost", "127.0.0.1", "::1",
        )  # fmt: skip
        if self._sign is not None or self._given is not None or not secure:
            return False
        if origin != _origin(self._first):
            return False
        _asking_for_tokens.add(origin)
        found = find_token()
        return found is not None and (token is None or found[0] != token[0])

    def _exchange(
        self, method: str, parts: SplitResult, headers: Mapping[str, str]
    ) -> tuple[http.client.HTTPResponse, http.client.HTTPConnection]:
        """Request and first lines of the answer."""
        key = parts.scheme, parts.netloc
        target = parts._replace(scheme="", netloc="", fragment="").geturl() or "/"
        proxy = _proxy(parts)
        if proxy is not None and parts.scheme == "http":
            target = parts._replace(fragment="").geturl()
        while True:
            connection = _pool.take(key)
            fresh = connection is None
            if connection is None:
                connection = self._connect(parts, proxy)
            self._active[connection] = key
            try:
                with self._explained():
                    if self._closed:
                        raise ServerError(f"{self.url}: closed")
                    connection.request(method, target, headers=dict(headers))
                    return connection.getresponse(), connection
            except BaseException as error:
                self._active.pop(connection, None)
                connection.close()
                if fresh or not isinstance(error, Transient):
                    raise
                # It was closed while nobody used it: the next one.

    def _connect(self, parts: SplitResult, proxy: str | None) -> http.client.HTTPConnection:
        host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
        via = urlsplit(proxy) if proxy else parts
        secure = parts.scheme == "https"
        near = via.hostname or "", via.port or PORTS[via.scheme]
        limit = connect_timeout()
        connection = (
            http.client.HTTPSConnection(*near, timeout=limit, context=_tls())
            if secure
            else http.client.HTTPConnection(*near, timeout=limit)
        )
        if proxy and secure:
            connection.set_tunnel(host, port)
        try:
            connection.connect()
        except TimeoutError as error:
            raise silent(self.url, parts.geturl()) from error
        except ssl.SSLCertVerificationError as error:
            raise ServerError(
                f"{self.url}: the certificate of {host}:{port} is not valid: {_text(error)}"
            ) from error
        except OSError as error:
            raise Transient(f"it cannot be reached: {_text(error)}") from error
        connection.sock.settimeout(stall_timeout())
        return connection

    def _free(self, connection: http.client.HTTPConnection) -> None:
        key = self._active.pop(connection)
        if connection.sock is not None and not self._closed:
            _pool.give(key, connection)
        else:
            connection.close()

    def _discard(
        self, answer: http.client.HTTPResponse, connection: http.client.HTTPConnection
    ) -> str:
        """What an answer without a file says of its reason, in short; the connection ends."""
        try:
            text = answer.read(500).decode("utf-8", "replace") if answer.status >= 400 else ""
        except (OSError, http.client.HTTPException):
            text = ""
        self._active.pop(connection, None)
        connection.close()
        found = re.search(r"<Message>([^<]+)|^([^<{\n]{1,200})", text.strip())  # S3, or plain text
        return f": {(found[1] or found[2]).strip()}" if found else ""


class _Refused(ServerError):
    """An answer that says no."""


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _proxy(parts: SplitResult) -> str | None:
    """That of the environment (HTTPS_PROXY, NO_PROXY, ...) for a URL."""
    proxy = getproxies().get(parts.scheme)
    if not proxy or proxy_bypass(parts.hostname or ""):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _wait(answer: http.client.HTTPResponse) -> float:
    """Seconds of Retry-After, which may be a date as well."""
    text = (answer.getheader("Retry-After") or "").strip()
    return float(text) if text.isdigit() else 0.0


def _text(error: Exception) -> str:
    return getattr(error, "strerror", None) or first_line(error) or type(error).__name__
