"""Pieces of work on threads, each of which has buffers of its own."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, Generic, TypeVar

import numpy as np

Tool = TypeVar("Tool")


def at_least(buffer: memoryview, size: int) -> memoryview:
    """A buffer of so many bytes: this one, if it is long enough."""
    return buffer if len(buffer) >= size else np.empty(size + size // 4, np.uint8).data


class Tasks(Generic[Tool]):
    """Threads, of which the one that waits is one; without others, pieces are done where they are added.

    A piece is called with the tool of its thread, which ``tool`` makes.
    """

    def __init__(self, threads: int, tool: Callable[[], Tool], name: str) -> None:
        self._tool, self._own = tool, threading.local()
        self.pool = ThreadPoolExecutor(threads - 1, name) if threads > 1 else None
        self._running: list[tuple[Future[None], Callable[[Tool], None]]] = []

    def add(self, pieces: Iterable[Callable[[Tool], None]]) -> None:
        """Begin with these, behind all that were added before."""
        if self.pool is None:
            for piece in pieces:
                self._do(piece)
        else:
            self._running += [(self.pool.submit(self._do, piece), piece) for piece in pieces]

    @property
    def running(self) -> int:
        """How many pieces were added since the last ``finish``."""
        return len(self._running)

    def finish(self, first: int | None = None) -> None:
        """Do and wait for all pieces, or the first few; raises what the first that failed raised."""
        waited = self._running[:first]
        for number, (future, piece) in enumerate(waited):
            if not future.cancel():  # begun by another thread
                continue
            try:
                self._do(piece)
            except BaseException:
                _wait_for(waited[:number])
                raise
        _wait_for(waited)
        self._running = self._running[len(waited) :]

    def stop(self) -> None:
        """Drop what has not begun, and wait for the rest."""
        for future, _ in self._running:
            future.cancel()
        wait([future for future, _ in self._running])
        self._running = []

    def close(self) -> None:
        """The threads end."""
        if self.pool is not None:
            self.pool.shutdown(cancel_futures=True)

    def _do(self, piece: Callable[[Tool], None]) -> None:
        if not hasattr(self._own, "tool"):
            self._own.tool = self._tool()
        piece(self._own.tool)


def _wait_for(begun: Iterable[tuple[Future[None], Any]]) -> None:
    """Those that other threads do."""
    for future, _ in begun:
        if not future.cancelled():
            future.result()


class InOrder(ABC, Generic[Tool]):
    """What is read range by range: the source is told what comes, as long as one follows the other."""

    tasks: Tasks[Tool]

    def __init__(self, start: int) -> None:
        self._next = start
        self._expect(start)

    def close(self) -> None:
        """The threads end."""
        self.tasks.close()

    def read(self, start: int, stop: int) -> list[tuple[Any, Any]]:
        """(offsets or None, values) of each branch for entries ``start`` to before ``stop``.

        Values of lists in lists are a Jagged, text an array of str.
        """
        if start != self._next:
            self._expect(start)
        self._next = stop
        try:
            return self._read(start, stop)
        except BaseException:
            self.tasks.stop()
            raise

    @abstractmethod
    def _read(self, start: int, stop: int) -> list[tuple[Any, Any]]: ...

    @abstractmethod
    def _expect(self, start: int) -> None:
        """Tell the source what is read from there on."""
