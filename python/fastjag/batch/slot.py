"""What a worker may use where it runs, of a job, a container or the machine: memory and a GPU.

Cores are those of :func:`fastjag.get_num_threads`, which looks at the same places.
"""

from __future__ import annotations

import ctypes
import os
import re
import resource
from functools import cache

from fastjag.core import cgroups
from fastjag.core.checks import n_bytes

#: Of a worker without events: Python, libraries and baskets.
_BASE = 256_000_000
_ADDRESSES = (
    1_000_000_000  # of libraries and threads, which RLIMIT_AS counts and no memory stands behind
)
_STEPS = 3  # in memory at once, as of fastjag.iterate
_LEAST = 1_000_000  # bytes of a step
_HELD = 128_000_000  # bytes that were freed, for the next range
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h
_MOST_IN_HEAP = 32 << 20  # bytes: glibc's own limit of the second

_number: int | None = None  # of this process, where batch.processes started it
_sharing = 1  # processes that have the memory of the slot together


def join(number: int, processes: int) -> None:
    """This process is one of so many that :func:`fastjag.batch.processes` started."""
    global _number, _sharing
    _number, _sharing = number, processes


# ---- memory ----------------------------------------------------------------------------------


def step(asked: int | str) -> int | str:
    """The size of a step that fits into the memory of this worker: the one asked for, or less.

    A number of events is what the caller wants.
    """
    if isinstance(asked, int):
        return asked
    most = max(_LEAST, (memory() // _sharing - _BASE) // _STEPS)
    return asked if n_bytes(asked) <= most else f"{most} B"


def hold_memory() -> bool:
    """Let this process, which has ranges to work on and nothing else, hold some memory from one to the next.

    glibc gives back what is free when a range is done, and the kernel clears it page by page for the next one: that
    took a fifth of a worker's time. False where a slot is too small for it, the user has set these limits, or there
    is another libc.
    """
    set_by_user = {"MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"} & set(os.environ)
    if set_by_user or memory() // _sharing < 10 * _HELD:
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return all(
        mallopt(name, size)
        for name, size in ((_MMAP_THRESHOLD, _MOST_IN_HEAP), (_TRIM_THRESHOLD, _HELD))
    )


@cache
def memory() -> int:
    """Bytes that the slot has, by the least of all limits."""
    found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), *_of_slurm()]
    for name in ("memory.max", "memory.limit_in_bytes"):
        found += [
            int(text) for (text,) in cgroups.contents("memory", name) if text.strip().isdecimal()
        ]
    addresses, _ = resource.getrlimit(resource.RLIMIT_AS)
    if addresses != resource.RLIM_INFINITY:
        found.append(max(_BASE, addresses - _ADDRESSES))
    return min(found)


def _of_slurm() -> list[int]:
    """Of a task of Slurm; nothing where it sets no limit."""
    # Of the step that srun started: a batch script is alone, however many tasks its job may start.
    tasks = max(_integers("SLURM_STEP_TASKS_PER_NODE"), default=1) or 1
    found = [n / tasks for n in _integers("SLURM_MEM_PER_NODE")[:1]]
    for core in _integers("SLURM_MEM_PER_CPU")[:1]:
        on_node = [n / tasks for n in _integers("SLURM_CPUS_ON_NODE")[:1]]
        found += [core * n for n in _integers("SLURM_CPUS_PER_TASK")[:1] or on_node]
    return [int(megabytes * 2**20) for megabytes in found if megabytes > 0]  # 0: all of the node


def _integers(name: str) -> list[int]:
    """Of a variable such as ``4(x2),1``: 4 and 1."""
    return [int(text) for text in re.findall(r"(?:^|,)(\d+)", os.environ.get(name, ""))]


# ---- GPU -------------------------------------------------------------------------------------


def take_gpu() -> None:
    """Let this process see one GPU of the slot, by its number: one after the other, again from the first.

    ``CUDA_VISIBLE_DEVICES`` is what is there, if somebody has set it. It has to be called before CuPy or torch.
    Processes that nobody numbered keep what they see, and work on its first.
    """
    number = _number
    if number is None:  # tasks of Slurm on one node may all see all of its GPUs
        number = next(iter(_integers("SLURM_LOCALID")), 0)
        if number == 0:
            return
    seen = gpus()
    if len(seen) > 1 or (seen and "CUDA_VISIBLE_DEVICES" not in os.environ):
        os.environ["CUDA_VISIBLE_DEVICES"] = seen[number % len(seen)]


def gpus() -> list[str]:
    """What CUDA calls the GPUs that this process sees: numbers, ``GPU-...`` or ``MIG-...``."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is None:
        return [str(i) for i in range(_nvidia_devices())]
    seen: list[str] = []
    for name in given.split(","):
        # CUDA, too, ends at the first that is none.
        if not re.fullmatch(r"\d+|(GPU|MIG)-[-/\w]+", name.strip()):
            break
        seen.append(name.strip())
    return seen


def _nvidia_devices() -> int:
    try:
        return sum(bool(re.fullmatch(r"nvidia\d+", name)) for name in os.listdir("/dev"))
    except OSError:
        return 0
