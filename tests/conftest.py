"""Settings and fixtures shared by all tests."""

import os
from contextlib import nullcontext
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from on_device import KernelsOnGpu, emulated
from pyramid_samples import PyramidMatchOnGpu
from strategies import column, large_jagged

import fastjag.kernels

# The same examples on every machine: a red test is red for everybody.
settings.register_profile(
    "fastjag",
    deadline=None,
    derandomize=True,
    max_examples=80,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("fastjag")


@pytest.fixture(scope="session", params=["cpu", "cuda-emulated", "cuda"])
def device(request):
    """Where a test's Jagged lives, for ``jagged.to(device)``: "cpu" or "cuda"."""
    return _available(request.param)


@pytest.fixture(scope="session")
def kernels(device):
    """fastjag.kernels for NumPy arrays, on every device."""
    return fastjag.kernels if device == "cpu" else KernelsOnGpu()


@pytest.fixture(scope="session")
def PyramidMatch(device):
    """fastjag.PyramidMatch for sets on the CPU, which does its work on every device."""
    return fastjag.PyramidMatch if device == "cpu" else PyramidMatchOnGpu


@pytest.fixture
def emulation():
    """The emulation's own functions (statistics, schedules, ...); device "cuda" is emulated."""
    _available("cuda-emulated")
    with emulated() as module:
        yield module
        module.reset()


@pytest.fixture(autouse=True)
def _emulated_if_asked(request):
    """The emulation stands for a GPU while a test runs that asks for it, and no longer."""
    asked = getattr(request.node, "callspec", None)
    with emulated() if asked and asked.params.get("device") == "cuda-emulated" else nullcontext():
        yield


@cache
def _missing(device):
    """Why a device cannot be tested, or nothing."""
    if device == "cuda":
        try:
            fastjag.kernels.device.cuda_module()
            fastjag.devices.cupy()
        except (RuntimeError, ModuleNotFoundError) as error:
            return str(error)
    if device == "cuda-emulated" and "FASTJAG_EXPECT_EMULATION" not in os.environ:
        if fastjag.kernels.build_info()["sanitized"]:
            return "emulated CUDA threads have stacks that AddressSanitizer does not know"
        if find_spec("_cuda_emulated") is None:
            return "the CUDA emulation is not built: make -C tests/cuda_emulation"
    return ""


def _available(device):
    """The name of the device: "cpu" or "cuda"; a test is skipped where there is none."""
    if reason := _missing(device):
        pytest.skip(reason)
    return device.removesuffix("-emulated")


@pytest.fixture(scope="session")
def real_data():
    """The folder of real files that FASTJAG_REAL_DATA names."""
    folder = os.environ.get("FASTJAG_REAL_DATA", "")
    if not folder:
        pytest.skip("FASTJAG_REAL_DATA is not set: it names a folder with real data files")
    if not Path(folder).is_dir():
        pytest.skip(f"FASTJAG_REAL_DATA is no folder: {folder}")
    return Path(folder)


@pytest.fixture(scope="session")
def large():
    """(offsets, maker of columns) above the grain, so that kernels really use their threads."""
    offsets = large_jagged()
    rng = np.random.default_rng(2)
    return offsets, lambda dtype: column(rng, dtype, int(offsets[-1]))


@pytest.fixture
def threads_restored(monkeypatch):
    """Thread settings as in a fresh process, before and after."""
    from fastjag.kernels import threads

    monkeypatch.setattr(threads, "_chosen", None)
    monkeypatch.setattr(threads, "_forked", False)
    monkeypatch.delenv("FASTJAG_NUM_THREADS", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    threads._cgroup_quota.cache_clear()
    yield threads
    threads._cgroup_quota.cache_clear()
