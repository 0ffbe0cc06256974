"""Fresh processes of this machine: how they start, and end with the one that started them."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any

from fastjag.batch import slot

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_starting = threading.Lock()


class OwnProcess(SpawnProcess):
    """One that does not run the user's script."""

    def start(self) -> None:
        # What a process is told of __main__ makes it run the user's script once more.
        main = sys.modules["__main__"]
        hidden: dict[str, Any] = {}
        with _starting:
            for name in ("__file__", "__spec__"):
                if name in main.__dict__:
                    hidden[name] = main.__dict__[name]
            main.__dict__.pop("__file__", None)
            main.__spec__ = None
            try:
                super().start()
            finally:
                main.__dict__.update(hidden)


class Context(SpawnContext):
    """Makes such processes."""

    Process = OwnProcess


def begin(
    parent: int, threads: int, started: Any, processes: int, start: Callable[[], object] | None
) -> None:
    """What a process does before its first task."""
    # Ctrl-C reaches all processes of a terminal: the first one says so, and ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # At the parent's end, even by SIGKILL, and even while a library holds Python's lock.
    prctl = getattr(ctypes.CDLL(None), "prctl", None)  # Linux
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it has ended already
        os._exit(1)
    os.environ.setdefault("FASTJAG_NUM_THREADS", str(threads))
    with started:  # a lock
        number = started.value
        started.value += 1
    slot.join(number, processes)
    slot.hold_memory()
    if start is not None:
        start()
