"""Bytes of a file far away: what is announced is fetched ahead, so that round trips overlap."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import blake2b

from fastjag.io.errors import ServerError
from fastjag.io.sources.pieces import Piece, Span, coalesce
from fastjag.io.sources.replicas import Replicas

#: Bytes that are on their way or wait to be read, at most, beyond what somebody waits for.
AHEAD = 128 << 20
_FIRST = 16 << 20  # as long as nothing was read
#: Bytes of one request, about: later ones are on their way while its baskets are decompressed.
_REQUEST = 4 << 20


@dataclass
class _Request:
    """Spans that one answer fills, until their last piece was read."""

    spans: list[Span]
    size: int
    done: Future[dict[Piece, memoryview]]
    left: set[Piece] = field(default_factory=set)


class RemoteBytes:
    """The bytes of a remote file. Several threads may read at once."""

    def __init__(self, replicas: Replicas) -> None:
        self.path, self.state = replicas.path, replicas.state
        self.size = self.state.size
        #: Which version of which file this is.
        self.key = blake2b(
            repr((self.path, self.size, self.state.version)).encode() + self.state.head,
            digest_size=16,
        ).hexdigest()
        self._replicas = replicas
        self._lock = threading.Lock()
        self._queue: dict[Piece, None] = {}  # announced, not yet asked for
        self._asked: dict[Piece, _Request] = {}  # asked for, not yet read
        self._busy = 0  # bytes of these
        self._uses = Counter[Piece]()  # of pieces that are read more than once
        self._used = 0  # bytes that were read
        self._closed = False
        # Each thread waits for one answer at a time.
        self._threads = ThreadPoolExecutor(replicas.client.limits.requests, "fastjag-remote")

    def read(self, seek: int, into: memoryview) -> None:
        piece = (seek, len(into))
        if not len(into):
            return
        if seek + len(into) > self.size:
            raise EOFError(f"{self.path} ends at byte {self.size}")
        if seek + len(into) <= len(self.state.head):
            into[:] = self.state.head[seek : seek + len(into)]
            return
        while True:
            with self._lock:
                self._check_open()
                request = self._asked.get(piece)
                if request is None:
                    self._ask(self._take(piece))
                    request = self._asked[piece]
            try:
                found = request.done.result()
            except BaseException as error:
                with self._lock:
                    self._forget(piece, request)
                if isinstance(error, CancelledError):
                    continue  # closed, or other pieces were announced meanwhile
                raise
            into[:] = found[piece]
            with self._lock:
                self._used += piece[1]
                if self._uses[piece]:
                    self._uses[piece] -= 1
                else:
                    self._forget(piece, request)
                if not self._closed:
                    self._fill()
            return

    def expect(self, pieces: Sequence[Piece]) -> None:
        """Begin to fetch pieces in this order, as far as AHEAD allows."""
        first = len(self.state.head)
        uses = Counter(piece for piece in pieces if first < sum(piece) <= self.size)
        wanted = dict.fromkeys(uses)
        with self._lock:
            if self._closed:
                return
            for piece, request in list(self._asked.items()):
                if piece not in wanted:
                    self._forget(piece, request)
            self._queue = {piece: None for piece in wanted if piece not in self._asked}
            self._uses, self._used = +(uses - Counter(wanted.keys())), 0
            self._fill()

    def fetch(self, pieces: Sequence[Piece]) -> list[Future[memoryview]]:
        """The pieces, each as soon as it is there: for who wants them now and only once."""
        with self._lock:
            self._check_open()
            requests = [self._start(spans) for spans in self._requests(pieces)]
        answers: dict[Piece, Future[memoryview]] = {}
        for request in requests:
            for piece in request.left:
                answer = answers[piece] = Future[memoryview]()
                request.done.add_done_callback(_hand_over(piece, answer))
        return [answers[piece] for piece in pieces]

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._queue, self._asked = {}, {}
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._replicas.close()

    def _check_open(self) -> None:
        if self._closed:
            raise ServerError(f"{self.path}: read after it was closed")

    def _fill(self) -> None:
        # Who reads on gets more: few bytes are in vain where only the first step is wanted.
        limit = min(AHEAD, _FIRST + 2 * self._used)
        while self._queue and self._busy < limit:
            self._ask(self._take(next(iter(self._queue))))

    def _take(self, first: Piece) -> list[Piece]:
        """Announced pieces from one on, out of the queue, for about one request; itself at least."""
        taken, size = [first], first[1]
        most = (
            self._replicas.client.limits.spans if self._replicas.client.limits.spans > 1 else 1024
        )
        if first in self._queue:
            found = False
            for piece in self._queue:
                found = found or piece == first
                if found and piece != first:
                    if size >= _REQUEST or len(taken) >= most:
                        break
                    taken.append(piece)
                    size += piece[1]
            for piece in taken:
                del self._queue[piece]
        return taken

    def _ask(self, pieces: Sequence[Piece]) -> None:
        for spans in self._requests(pieces):
            request = self._start(spans)
            self._busy += request.size
            self._asked |= dict.fromkeys(request.left, request)

    def _requests(self, pieces: Sequence[Piece]) -> Iterator[list[Span]]:
        limits = self._replicas.client.limits
        spans = coalesce(pieces, limits.size)
        for i in range(0, len(spans), limits.spans):
            yield spans[i : i + limits.spans]

    def _start(self, spans: list[Span]) -> _Request:
        left = {piece for span in spans for piece in span.pieces}
        size = sum(span.stop - span.start for span in spans)
        return _Request(spans, size, self._threads.submit(self._get, spans), left)

    def _get(self, spans: Sequence[Span]) -> dict[Piece, memoryview]:
        buffers = [memoryview(bytearray(span.stop - span.start)) for span in spans]
        self._replicas.fetch([(s.start, b) for s, b in zip(spans, buffers, strict=True)])
        return {
            (seek, size): buffer[seek - span.start : seek - span.start + size]
            for span, buffer in zip(spans, buffers, strict=True)
            for seek, size in span.pieces
        }

    def _forget(self, piece: Piece, request: _Request) -> None:
        """A piece that was read, or that nobody wants any more."""
        if self._asked.get(piece) is request:
            del self._asked[piece]
            request.left.discard(piece)
            if not request.left:
                self._busy -= request.size
                request.done.cancel()  # if it has not begun


def _hand_over(piece: Piece, answer: Future[memoryview]):  # type: ignore[no-untyped-def]
    def done(whole: Future[dict[Piece, memoryview]]) -> None:
        if whole.cancelled():
            answer.set_exception(ServerError("closed while it was read"))
        elif (error := whole.exception()) is not None:
            answer.set_exception(error)
        else:
            answer.set_result(whole.result()[piece])

    return done
