"""Processes of this machine as an executor that can be made anew when one of them dies."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any

from fastjag.batch import slot
from fastjag.core.checks import at_least
from fastjag.kernels.threads import available

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_starting = threading.Lock()


def processes(
    n: int | None = None,
    threads: int | None = None,
    start: Callable[[], object] | None = None,
) -> Callable[[], ProcessPoolExecutor]:
    """What makes an executor of ``n`` fresh processes, for ``run(..., executor=processes(8))``.

    ``n`` is by default the number of cores that this process may use (affinity, control groups, the task of
    Slurm). Each has ``threads`` for its
    kernels (``FASTJAG_NUM_THREADS``); default: the cores divided by ``n``, 1 at least. Scripts need no
    ``if __name__ == "__main__"``: processes do not import them. They end with this process, even where
    it is killed. Each calls ``start`` first. With ``device="cuda"``, each sees one GPU, in turn those of
    ``CUDA_VISIBLE_DEVICES`` or of the machine: as many processes as GPUs are usual.
    """
    cores = available()
    n = cores if n is None else n
    at_least("n", n, 1)
    if threads is not None:
        at_least("threads", threads, 1)
    each = threads or max(1, cores // n)

    def make() -> ProcessPoolExecutor:
        context = _Context()
        started = context.Value("i", 0)
        return ProcessPoolExecutor(
            n, context, initializer=_begin, initargs=(os.getpid(), each, started, n, start)
        )

    return make


@contextmanager
def ended(pool: ProcessPoolExecutor) -> Iterator[ProcessPoolExecutor]:
    """An executor for a block: where that ends by an exception, Ctrl-C or a signal that raises, what still
    runs is killed, and not waited for."""
    try:
        yield pool
    except BaseException:
        kill(pool)
        raise
    pool.shutdown()


def kill(pool: ProcessPoolExecutor) -> None:
    """End an executor's processes, whatever they do."""
    # Private, but shutdown() waits for what runs, and forgets whom to kill otherwise.
    running = list((pool._processes or {}).values())
    pool.shutdown(wait=False, cancel_futures=True)
    for process in running:
        process.kill()
    for process in running:
        process.join()


class _Process(SpawnProcess):
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


class _Context(SpawnContext):
    Process = _Process


def _begin(
    parent: int, threads: int, started: Any, processes: int, start: Callable[[], object] | None
) -> None:
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
    if start is not None:
        start()
