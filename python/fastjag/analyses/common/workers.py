"""Processes that work for this one, and end with it."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


@contextmanager
def worker_pool(
    workers: int, start: Callable[[], None] | None = None
) -> Iterator[ProcessPoolExecutor]:
    """An executor with so many processes, each of which calls ``start`` first.

    The processes are fresh ones, as a fork would copy threads' locks, and nothing of them stays:
    where the block ends by an exception, Ctrl-C or a signal that raises, what still runs is killed
    and not waited for; where this process itself is killed, the system kills them.
    """
    pool = ProcessPoolExecutor(
        workers, get_context("spawn"), initializer=_begin, initargs=(os.getpid(), start)
    )
    try:
        yield pool
    except BaseException:
        # Private, but shutdown() waits for what runs, and forgets whom to kill otherwise.
        processes = list((pool._processes or {}).values())
        pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.kill()
        for process in processes:
            process.join()
        raise
    pool.shutdown()


def _begin(parent: int, start: Callable[[], None] | None) -> None:
    # Ctrl-C reaches all processes of a terminal: the first one says so, and ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # At the parent's end, even by SIGKILL, and even while a library holds Python's lock.
    prctl = getattr(ctypes.CDLL(None), "prctl", None)  # Linux
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it has ended already
        os._exit(1)
    if start is not None:
        start()
