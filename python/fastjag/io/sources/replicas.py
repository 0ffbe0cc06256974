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
        self._current = 0
        try:
            self.state = self._patiently(self.client, self.client.open)
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
                return self._patiently(client, partial(client.fetch, spans))
            except ServerError as error:
                with self._turn:
                    if client is self.client:  # no other thread has gone on
                        self._open_next(error, self.state)

    def close(self) -> None:
        self._closed.set()
        for client in self._clients[: self._current + 1]:
            client.close()

    def _open_next(self, error: ServerError, known: State | None = None) -> State:
        """The next replica that opens and is the same file; raises what is known if there is none."""
        while True:
            self._failures[str(error)] = None
            if self._current + 1 == len(self._clients) or self._closed.is_set():
                if len(self._failures) == 1:
                    raise error
                reasons = "; ".join(self._failures)
                raise ServerError(f"{self.path}: no replica can be read: {reasons}") from error
            self.client.close()
            self._current += 1
            try:
                state = self._patiently(self.client, self.client.open)
                # The head has the file's UUID.
                if known is None or (state.size, state.head) == (known.size, known.head):
                    return state
                error = ServerError(f"{self.client.url}: not the file that {self.path} was")
            except ServerError as other:
                error = other

    def _patiently(self, client: Client, ask: Callable[[], T]) -> T:
        """What ``ask`` gives; fewer attempts while there is another replica."""
        last = self._current + 1 == len(self._clients)
        return patiently(
            client, ask, None if last else _ATTEMPTS, self._closed,
            lambda: self._closed.is_set() or client is not self.client,
        )  # fmt: skip


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
