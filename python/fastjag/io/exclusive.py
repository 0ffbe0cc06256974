"""One thread at a time, in one process: for what reads files from front to back."""

from __future__ import annotations

import os
import threading
from typing import Any


class Exclusive:
    """A context that threads enter one after the other, and only the process that was first.

    The process that a fork makes has neither the threads that read ahead nor a place of its own in
    the file: without this it would wait for ever.
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self.process: int | None = None
        # A step that asks for the next batch has an error of Python's, not a deadlock.
        self.lock = threading.RLock()

    def elsewhere(self) -> bool:
        """Whether another process has begun."""
        return self.process not in (None, os.getpid())

    def __enter__(self) -> None:
        if self.elsewhere():
            raise RuntimeError(
                f"{self.what} belong to process {self.process}, which began to read them before it "
                f"was forked: read them anew in this one ({os.getpid()})"
            )
        self.lock.acquire()
        self.process = os.getpid()

    def __exit__(self, *_: object) -> None:
        self.lock.release()

    def __reduce__(self) -> tuple[Any, ...]:
        return Exclusive, (self.what,)  # a copy of what has not begun
