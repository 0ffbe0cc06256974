"""Settings and fixtures shared by all tests."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from strategies import column, large_jagged

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


@pytest.fixture(scope="session", params=["cpu"])
def device(request):
    """Where a test's Jagged lives: ``jagged.to(device)``."""
    return request.param


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
