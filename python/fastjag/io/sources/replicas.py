"""One file at several addresses, and patience: what fails for a while is asked again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from fastjag.io.errors import ServerError
from fastjag.io.sources.client import Client, State, Transient
from fastjag.io.transport import stall_timeout

T = TypeVar("T")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 5.0  # seconds
_ATTEMPTS = 3  # where another replica is left


class Replicas:
    """The first of several clients that works, and later the next one if it fails."""

    def __init__(self, path: str, clients: Sequence[Client]) -> None:
        self.path, self._clients = path, list(clients)
        self._closed = threading.Event()
        self._turn = threading.Lock()  # for whoever goes on to the next replica
        self._failures: dict[str, None] = {}
        self._over: ServerError | None = None
        self._current = 0
        try:
            self.state = self._open(self.client)
        except ServerError as error:
            self.state = self._open_next(error)

    @property
    def client(self) -> Client:
        """The one in use."""
        return self._clients[self._current]

    def fetch(self, spans: Sequence[tuple[int, memoryview]]) -> None:
        """Fill each of (seek, bytes). ServerError where no replica can."""
        while True:
            client = self.client
            try:
                gone = partial(self._gone, client)
                return patiently(
                    client, partial(client.fetch, spans), self._most(client), self._closed, gone
                )
            except ServerError as error:
                with self._turn:
                    if client is self.client:  # no other thread has gone on
                        self._open_next(error, self.state)

    def close(self) -> None:
        self._closed.set()
        for client in self._clients:
            client.close()

    def _open_next(self, error: ServerError, known: State | None = None) -> State:
        """The next replica that opens and is the same file; raises what is known if there is none.

        Others see it when it is known to be the same.
        """
        if self._over is not None:
            raise self._over
        self._failures[str(error)] = None
        if self._current + 1 < len(self._clients):
            self.client.close()
        for i in range(self._current + 1, len(self._clients)):
            if self._closed.is_set():
                break
            client = self._clients[i]
            try:
                state = self._open(client)
                # The head has the file's UUID.
                if known is None or (state.size, state.head) == (known.size, known.head):
                    self._current = i
                    return state
                error = ServerError(f"{client.url}: not the file that {self.path} was")
            except ServerError as other:
                error = other
            client.close()
            self._failures[str(error)] = None
        if len(self._failures) > 1:
            reasons = "; ".join(self._failures)
            error = ServerError(f"{self.path}: no replica can be read: {reasons}")
        self._over = error
        raise error

    def _open(self, client: Client) -> State:
        return patiently(client, client.open, self._most(client), self._closed, self._closed.is_set)

    def _most(self, client: Client) -> int | None:
        """Attempts: fewer while there is another replica."""
        return None if client is self._clients[-1] else _ATTEMPTS

    def _gone(self, client: Client) -> bool:
        return self._closed.is_set() or client is not self.client


def patiently(
    client: Client,
    ask: Callable[[], T],
    most: int | None = None,
    closed: threading.Event | None = None,
    over: Callable[[], bool] = lambda: False,
) -> T:
    """What ``ask`` gives, asked again after Transient, with growing pauses.

    ServerError after FASTJAG_STALL_TIMEOUT, ``most`` attempts, or when it is ``over``.
    """
    started, pause, attempts = time.monotonic(), _FIRST_PAUSE, 0
    patience = stall_timeout()
    while True:
        try:
            return ask()
        except Transient as error:
            attempts += 1
            waited = time.monotonic() - started
            limits = [n for n in (error.attempts, most) if n is not None]
            pause = max(pause, error.pause)
            if over() or waited + pause > patience or attempts >= min(limits, default=attempts + 1):
                times = "once" if attempts == 1 else f"{attempts} times"
                raise ServerError(
                    f"{client.url}: not a readable file: the server {client.server} failed {times} "
                    f"within {waited:.1f} s (FASTJAG_STALL_TIMEOUT: {patience:g} s): {error}"
                ) from error
            (closed or threading.Event()).wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
