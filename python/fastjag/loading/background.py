"""Work in a thread behind the loop that uses it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Behind(Generic[T]):
    """An iterator of what a generator gives, which runs in a thread up to ``depth`` items ahead.

    What it raises is raised here, in its place. ``close`` ends the thread, and the generator in it.
    """

    def __init__(self, items: Generator[T], depth: int, name: str) -> None:
        self._items, self._depth = items, depth
        self._ready: deque[T] = deque()
        self._error: BaseException | None = None
        self._done = self._stopped = False
        self._changed = threading.Condition()
        # A loop that is left without closing it must not keep Python from ending.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        with self._changed:
            while not self._ready and not self._done and not self._stopped:
                self._changed.wait()
            if self._ready:
                item = self._ready.popleft()
                self._changed.notify_all()
                return item
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        raise StopIteration

    def end(self) -> None:
        """Nobody wants more: who waits for it goes on, and the thread ends when it can."""
        with self._changed:
            self._stopped = True
            self._ready.clear()
            self._changed.notify_all()

    def close(self) -> None:
        self.end()
        self._thread.join()

    def _run(self) -> None:
        try:
            for item in self._items:
                with self._changed:
                    self._ready.append(item)
                    del item
                    self._changed.notify_all()
                    while len(self._ready) >= self._depth and not self._stopped:
                        self._changed.wait()
                    if self._stopped:
                        break
        except BaseException as error:  # noqa: BLE001  belongs to the loop in front
            self._error = error
        try:
            self._items.close()
        except BaseException as error:  # noqa: BLE001
            self._error = self._error or error
        with self._changed:
            self._done = True
            self._changed.notify_all()
