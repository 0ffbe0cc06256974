"""Processes of this machine as an executor that can be made anew when one of them dies."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fastjag.core.checks import at_least
from fastjag.kernels.threads import available

if TYPE_CHECKING:  # who works alone does not wait for multiprocessing
    from concurrent.futures import ProcessPoolExecutor


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
        from concurrent.futures import ProcessPoolExecutor

        from fastjag.batch.spawned import Context, begin

        context = Context()
        started = context.Value("i", 0)
        return ProcessPoolExecutor(
            n, context, initializer=begin, initargs=(os.getpid(), each, started, n, start)
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
