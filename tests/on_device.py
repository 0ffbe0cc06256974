"""Tests on a GPU, real or emulated, with bodies that know NumPy arrays only."""

import inspect
import itertools
import os
import warnings
from contextlib import contextmanager
from importlib.util import find_spec

import numpy as np

from fastjag import kernels
from fastjag.core import devices
from fastjag.kernels import gpu

# Arguments that are written; others are read, or stay on the host.
OUTPUTS = {("padding", "out"), ("padding", "mask"), ("pyramid_gram", "out")}
HOST = {("padding", "mean"), ("padding", "scale"), ("padding", "clip"), ("padding", "fill"), ("histogram", "edges"),
        ("histogram_cuts", "edges"), ("histogram_cuts", "cuts")}  # fmt: skip


def missing(name):
    """Why "cuda" or "cuda-emulated" cannot be tested, or nothing."""
    if name == "cuda":
        try:
            gpu.cuda_module()
            with warnings.catch_warnings():  # of CuPy's import: shown, and no reason to stop
                warnings.simplefilter("default")
                devices.cupy()
        except (RuntimeError, ModuleNotFoundError) as error:
            return str(error)
    elif "FASTJAG_EXPECT_EMULATION" not in os.environ:
        if kernels.build_info()["sanitized"]:
            return "emulated CUDA threads have stacks that AddressSanitizer does not know"
        if find_spec("_cuda_emulated") is None:
            return "the CUDA emulation is not built: make -C tests/cuda_emulation"
    return ""


@contextmanager
def emulated():
    """The emulation stands for _cuda, and a stand-in over its memory for CuPy."""
    import emulated_cupy
    from emulated_memory import emulation

    before = gpu._cuda, devices._cupy
    gpu._cuda, devices._cupy = emulation, emulated_cupy
    try:
        yield emulation
    finally:
        gpu._cuda, devices._cupy = before


def moved(array, device):
    """A NumPy array, or its copy on the GPU."""
    return devices.to_gpu(array) if device == "cuda" else array


class KernelsOnGpu:
    """fastjag.kernels for NumPy arrays: arguments go to the GPU, results come back."""

    def __init__(self):
        # Arrays of a user may begin anywhere: every other one has an element before its own.
        self.skip = itertools.cycle([0, 1, 0, 3])

    def __getattr__(self, name):
        found = getattr(kernels, name)
        return self._wrapped(found) if inspect.isfunction(found) else found

    def _wrapped(self, kernel):
        def call(*args, **kwargs):
            given = inspect.signature(kernel).bind(*args, **kwargs).arguments
            moved = []  # (NumPy array, its copy on the GPU, whether it is an output)
            for name, value in given.items():
                written = (kernel.__name__, name) in OUTPUTS
                if (kernel.__name__, name) in HOST:
                    continue
                given[name] = _with_arrays(value, lambda a, w=written: self._to_gpu(a, w, moved))
            result = kernel(**given)
            for host, on_gpu, written in moved:
                if written:
                    host[...] = on_gpu.get()
                else:
                    assert on_gpu.get().tobytes() == host.tobytes(), "an input was written"
            return _with_arrays(result, lambda a: _to_host(a, moved))

        return call

    def _to_gpu(self, array, written, moved):
        if not isinstance(array, np.ndarray):
            return array
        xp, skip = devices.cupy(), next(self.skip)
        new = xp.empty(array.size + skip, array.dtype)[skip:].reshape(array.shape)
        if not written:  # else what a kernel leaves out is seen
            new[...] = xp.asarray(array)
        moved.append((array, new, written))
        return new


def _to_host(array, moved):
    for host, on_gpu, _ in moved:
        if array is on_gpu:  # the caller's own
            return host
    return devices.to_host(array)


def _with_arrays(value, change):
    """``value`` with ``change`` made to each array in it."""
    if isinstance(value, dict):
        return {name: _with_arrays(v, change) for name, v in value.items()}
    if isinstance(value, (list, tuple)):
        parts = [_with_arrays(v, change) for v in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return change(value)
