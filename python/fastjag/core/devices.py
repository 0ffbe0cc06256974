"""Where arrays live: NumPy's on the CPU, CuPy's on a GPU. CuPy is imported when it is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

DLPACK_CUDA = (2, 13)  # kDLCUDA, kDLCUDAManaged

_cupy: Any = None
_copy: ContextVar[Callable[[Any], Any] | None] = ContextVar("copy to the GPU", default=None)


class CudaError(RuntimeError):
    """A CUDA kernel could not be launched, or failed; the message names kernel and cause."""


def cupy() -> Any:
    """CuPy; a ModuleNotFoundError says what to install."""
    global _cupy
    if _cupy is None:
        try:
            import cupy as module
        except ImportError as error:
            from fastjag.core.extras import how_to_install

            raise ModuleNotFoundError(
                "arrays on a GPU are CuPy's, which cannot be imported "
                f"({error}): {how_to_install('cuda')}"
            ) from None
        _cupy = module
    return _cupy


def on_gpu(array: object) -> bool:
    """Whether an array (CuPy, torch, numba, DLPack) lives on a GPU."""
    if isinstance(array, np.ndarray):
        return False
    if _cupy is not None and isinstance(array, _cupy.ndarray):
        return True
    if hasattr(array, "__dlpack_device__"):
        return int(array.__dlpack_device__()[0]) in DLPACK_CUDA
    return hasattr(array, "__cuda_array_interface__")


def as_cupy(array: Any) -> Any:
    """What lives on a GPU as a CuPy array of the same memory; everything else as it is.

    By DLPack where the library has it: CuPy's stream then waits for the library's.
    """
    if isinstance(array, np.ndarray) or (_cupy is not None and isinstance(array, _cupy.ndarray)):
        return array
    if hasattr(array, "__dlpack_device__"):
        there = int(array.__dlpack_device__()[0]) in DLPACK_CUDA
        if not there or isinstance(array, cupy().ndarray):
            return array
        if hasattr(array, "__dlpack__"):
            return cupy().from_dlpack(array)
    interface = getattr(array, "__cuda_array_interface__", None)
    if interface is None or isinstance(array, cupy().ndarray):
        return array
    cuda, address = cupy().cuda, interface["data"][0]  # 0: no memory
    number = cuda.runtime.pointerGetAttributes(address).device if address else None
    with cuda.Device(number):  # asarray copies what another GPU than the current one has
        return cupy().asarray(_Shown(array, interface))


class _Shown:
    """An array and its interface, which libraries build anew whenever they are asked."""

    def __init__(self, array: Any, interface: Any) -> None:
        self.array, self.__cuda_array_interface__ = array, interface


def place(array: Any) -> str:
    """Where an array lives, in words; a list of them lives in one place, or they are all named."""
    if type(array) is np.ndarray:  # asked of every argument of every kernel
        return "on the CPU"
    if isinstance(array, (list, tuple)):
        return " and ".join(sorted({place(one) for one in array})) or "on the CPU"
    there = as_cupy(array)
    on_any = _cupy is not None and isinstance(there, _cupy.ndarray)
    return f"on GPU {there.device.id}" if on_any else "on the CPU"


def check_together(what: str, arrays: Mapping[str, Any]) -> str:
    """The one place where all these live; a ValueError names those that differ.

    Or it is a GPU that is not CuPy's current one: what CuPy then does may be a copy, or slow.
    """
    places = {name: place(array) for name, array in arrays.items()}
    if len(set(places.values())) > 1:
        listed = ", ".join(f"{name} {where}" for name, where in places.items())
        raise ValueError(f"{what} must be on one device, got {listed}")
    found = next(iter(places.values()))
    if found != "on the CPU" and found != (current := f"on GPU {cupy().cuda.Device().id}"):
        raise ValueError(
            f"the arrays are {found}, but the current device is {current[3:]}: "
            f"call inside `with cupy.cuda.Device({found.rsplit(maxsplit=1)[-1]}):`"
        )
    return found


def namespace(array: object) -> ModuleType:
    """NumPy or CuPy: what makes arrays beside this one."""
    return cupy() if on_gpu(array) else np


def empty(shape: int | tuple[int, ...], dtype: DTypeLike) -> Any:
    """A CuPy array; a MemoryError names the size if there is no room for it."""
    with _room_for(shape, dtype):
        return cupy().empty(shape, dtype)


def zeros(shape: int | tuple[int, ...], dtype: DTypeLike) -> Any:
    """As :func:`empty`, of zeros."""
    with _room_for(shape, dtype):
        return cupy().zeros(shape, dtype)


def arange(first: int, last: int) -> Any:
    """As :func:`empty`, of the int64 numbers from the first to the one before the last."""
    with _room_for(last - first, np.int64):
        return cupy().arange(first, last, dtype=np.int64)


def ends(array: Any) -> tuple[int, int]:
    """The first and the last one of integers, for which a GPU is asked once."""
    both = array[:: max(1, len(array) - 1)].tolist()
    return both[0], both[-1]


def to_gpu(array: Any) -> Any:
    """The values of a NumPy array on the GPU; an array that is there already, as it is."""
    if on_gpu(array):
        return as_cupy(array)
    copy = _copy.get()
    if copy is not None and array.dtype.kind in "biufc" and array.dtype.isnative:
        return copy(array)
    with _room_for(array.shape, array.dtype):
        return cupy().asarray(array)


@contextmanager
def copying(copy: Callable[[Any], Any]) -> Iterator[None]:
    """Within, :func:`to_gpu` copies by this function, which may return before the values are there."""
    token = _copy.set(copy)
    try:
        yield
    finally:
        _copy.reset(token)


def current(device: str) -> AbstractContextManager[Any]:
    """Within, "cuda" means this device: "cuda:1" is the second GPU. "cpu" and "cuda" change nothing."""
    _, _, number = device.partition(":")
    return cupy().cuda.Device(int(number)) if number else nullcontext()


def to_host(array: Any) -> Any:
    """A NumPy array of the same values."""
    return as_cupy(array).get() if on_gpu(array) else array


def check_on_host(array: Any, library: str) -> None:
    """ValueError for what is on a GPU."""
    if on_gpu(array):
        raise ValueError(
            f"{library} arrays are made of columns on the CPU, but these are on a GPU: "
            'call .to("cpu") first'
        )


def to_device_of(array: Any, values: Any) -> Any:
    """``values``, made by NumPy, on the device of ``array``."""
    return to_gpu(values) if on_gpu(array) else values


@contextmanager
def _room_for(shape: int | tuple[int, ...], dtype: DTypeLike) -> Iterator[None]:
    try:
        yield
    except MemoryError as error:
        nbytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        raise MemoryError(
            f"the GPU has no room for {nbytes:,} bytes: shape {shape}, {np.dtype(dtype)} ({error})"
        ) from None
