"""How many threads kernels use, and how they were built."""

from __future__ import annotations

import os
from contextvars import ContextVar
from functools import cache

from fastjag import _cpu
from fastjag.core import cgroups

MOST = 4096

_chosen: int | None = None
_forked = False
_own: ContextVar[int | None] = ContextVar("threads of kernels that this thread calls", default=None)


def _after_fork() -> None:
    global _forked
    _forked = True
    _cgroup_quota.cache_clear()


# A forked worker shares the machine with its siblings: one thread unless it is told otherwise.
os.register_at_fork(after_in_child=_after_fork)


def _positive(value: object, name: str) -> int:
    try:
        threads = int(str(value))
    except ValueError:
        threads = 0
    if threads < 1:
        raise ValueError(f"{name} must be a positive integer, got {value!r:.60}")
    if threads > MOST:
        raise ValueError(f"{name} must be at most {MOST}, got {value!r:.60}")
    return threads


@cache  # reading it costs more than a small kernel
def _cgroup_quota() -> float:
    """CPUs that the control groups grant, infinite where there is no limit."""
    granted = [float("inf")]
    try:
        for (text,) in cgroups.contents("cpu", "cpu.max"):
            quota, period = text.split()[:2]
            if quota != "max":
                granted.append(int(quota) / int(period))
        for texts in cgroups.contents("cpu", "cpu.cfs_quota_us", "cpu.cfs_period_us"):
            quota_us, period_us = map(int, texts)
            if quota_us > 0:
                granted.append(quota_us / period_us)
    except ValueError:
        pass
    return min(granted)


def available() -> int:
    """Cores that affinity, control groups and the task of Slurm grant."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        cores = os.cpu_count() or 1
    task = os.environ.get("SLURM_CPUS_PER_TASK", "")
    if task.isdecimal() and int(task) > 0:
        cores = min(cores, int(task))
    return max(1, int(min(cores, _cgroup_quota())))


def set_num_threads(n: int | None) -> None:
    """Number of threads for all kernels of this process; None goes back to the default."""
    global _chosen
    _chosen = None if n is None else _positive(n, "n")


def limited(n: int) -> None:
    """For the kernels that this thread calls from now on: many threads call kernels side by side."""
    _own.set(n)


def get_num_threads(threads: int | None = None) -> int:
    """Number of threads that a kernel will use at most.

    In this order: the argument, what this thread was ``limited`` to, :func:`set_num_threads`, ``FASTJAG_NUM_THREADS``,
    1 inside a forked worker, ``OMP_NUM_THREADS``, the cores that affinity, control groups and Slurm
    (``SLURM_CPUS_PER_TASK``) grant.
    """
    if threads is not None:
        return _positive(threads, "threads")
    if (own := _own.get()) is not None:
        return own
    if _chosen is not None:
        return _chosen
    if "FASTJAG_NUM_THREADS" in os.environ:
        return _positive(os.environ["FASTJAG_NUM_THREADS"], "FASTJAG_NUM_THREADS")
    if _forked:
        return 1
    # Other programs' variable may hold anything: what is no number of threads counts for nothing.
    asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if asked.isdecimal() and len(asked) < 20:
        return min(max(1, int(asked)), MOST)
    return available()


def build_info() -> dict[str, str | bool]:
    """How the compiled module was built."""
    return {"compiler": _cpu.compiler, "SIMD": _cpu.simd, "sanitized": _cpu.sanitized}
