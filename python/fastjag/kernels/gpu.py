"""Which compiled module a call goes to: the one for the device that its arrays live on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from fastjag import _cpu
from fastjag.core import devices
from fastjag.core.arrays import Array, Offsets
from fastjag.kernels.threads import get_num_threads

_cuda: Any = None


class Cpu:
    """NumPy arrays and kernels that run on threads."""

    is_cpu = True
    kernels: Any = _cpu

    @staticmethod
    def empty(shape: int | tuple[int, ...], dtype: DTypeLike) -> Array:
        return np.empty(shape, dtype)

    @staticmethod
    def zeros(shape: int | tuple[int, ...], dtype: DTypeLike = np.float64) -> Array:
        return np.zeros(shape, dtype)

    @staticmethod
    def where(threads: int | None, *, changed: Any = None, scratch: Any = None) -> int:
        """The last argument of a kernel: how many threads it may use."""
        return get_num_threads(threads)

    @contextmanager
    def second_pass(self, threads: int | None, scratch: Any = None) -> Iterator[Any]:
        """The last argument of a kernel that fills what another has counted.

        RuntimeError where it finds other numbers: inputs changed in between.
        """
        yield self.where(threads)  # kernels themselves raise it

    @staticmethod
    def scratch(kernel: str, *sizes: int) -> None:
        """Memory that the kernel needs beside its results: here it takes its own."""

    @staticmethod
    def asarray(values: Any) -> Array:
        """``values`` on this device."""
        return np.asarray(values)

    @staticmethod
    def add_up(counts: Offsets) -> None:
        """Kernels that write offsets have done so."""


class Gpu:
    """CuPy arrays and kernels that run on CuPy's current stream."""

    is_cpu = False

    def __init__(self) -> None:
        self.kernels = cuda_module()
        self.xp = devices.cupy()

    @staticmethod
    def empty(shape: int | tuple[int, ...], dtype: DTypeLike) -> Any:
        return devices.empty(shape, dtype)

    @staticmethod
    def zeros(shape: int | tuple[int, ...], dtype: DTypeLike = np.float64) -> Any:
        return devices.zeros(shape, dtype)

    @staticmethod
    def arange(first: int, last: int) -> Any:
        return devices.arange(first, last)

    def where(self, threads: int | None, *, changed: Any = None, scratch: Any = None) -> Any:
        """The last argument of a kernel: the handle of the stream, and memory if it needs some."""
        get_num_threads(threads)  # what is wrong on the CPU is wrong here
        stream = int(self.xp.cuda.get_current_stream().ptr)
        return stream if changed is None and scratch is None else (stream, changed, scratch)

    def scratch(self, kernel: str, *sizes: int) -> Any:
        return self.empty(getattr(self.kernels, f"{kernel}_scratch")(*sizes), np.uint8)

    @contextmanager
    def second_pass(self, threads: int | None, scratch: Any = None) -> Iterator[Any]:
        changed = self.zeros(1, np.int32)
        yield self.where(threads, changed=changed, scratch=scratch)
        if int(changed[0]):
            raise RuntimeError(
                "mask or columns changed while they were read: another thread writes into them"
            )

    @staticmethod
    def asarray(values: Any) -> Any:
        return devices.to_gpu(np.asarray(values) if not devices.on_gpu(values) else values)

    def add_up(self, counts: Any) -> None:
        """Turn the counts that a kernel wrote behind a zero into offsets, in place."""
        self.kernels.scan(counts, self.scratch("scan", len(counts)), self.where(None))


CPU = Cpu()


def cuda_module() -> Any:
    """The compiled CUDA kernels; a RuntimeError says why there are none, or no GPU to run them."""
    global _cuda
    if _cuda is None:
        try:
            module: Any = import_module("fastjag._cuda")
        except ImportError as error:
            raise RuntimeError(
                "device 'cuda' is not available: this fastjag was built without CUDA kernels "
                f"({error}); docs/gpu.md says how to build them"
            ) from None
        problem = module.problem()
        if problem:
            raise RuntimeError(f"device 'cuda' is not available: {problem}")
        _cuda = module
    return _cuda


def missing(device: str) -> str:
    """Why kernels cannot run on "cuda" or "cuda:1"; "" where they can, and for "cpu"."""
    if device == "cpu":
        return ""
    try:
        cuda_module()
        devices.cupy()
    except (RuntimeError, ImportError) as error:
        return str(error)
    return ""


def device_of(**arrays: Any) -> Cpu | Gpu:
    """The device of all these arguments (None: not given); a ValueError names those that differ."""
    given = {name: array for name, array in arrays.items() if array is not None}
    place = devices.check_together("all arrays of a call", given) if given else "on the CPU"
    return CPU if place == "on the CPU" else Gpu()
