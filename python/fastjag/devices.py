"""Where arrays live: NumPy's on the CPU, CuPy's on a GPU. CuPy is imported when it is needed."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

_cupy: Any = None


class CudaError(RuntimeError):
    """A CUDA kernel could not be launched, or failed; the message names kernel and cause."""


def cupy() -> Any:
    """CuPy; a ModuleNotFoundError says what to install."""
    global _cupy
    if _cupy is None:
        try:
            import cupy as found
        except ImportError as error:
            raise ModuleNotFoundError(
                "arrays on a GPU are CuPy's, which cannot be imported "
                f"({error}): pip install 'fastjag[cuda]'"
            ) from None
        _cupy = found
    return _cupy


def on_gpu(array: object) -> bool:
    """Whether an array (CuPy, torch, numba) lives on a GPU."""
    return not isinstance(array, np.ndarray) and hasattr(array, "__cuda_array_interface__")


def namespace(array: object) -> ModuleType:
    """NumPy or CuPy: what makes arrays beside this one."""
    return cupy() if on_gpu(array) else np


def to_host(array: Any) -> Any:
    """A NumPy array of the same values."""
    return array.get() if on_gpu(array) else array


def beside(array: Any, values: Any) -> Any:
    """``values``, made by NumPy, on the device of ``array``."""
    return cupy().asarray(values) if on_gpu(array) else values
