"""What workers find out about the slot that they run in: cores, memory, a GPU."""

import os
import resource
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

import fastjag as fj
from fastjag import batch, toys
from fastjag.batch import RANGE, slot
from fastjag.core import cgroups
from fastjag.core.checks import n_bytes

GB = 2**30


@pytest.fixture
def nowhere(monkeypatch):
    """A machine of 64 GB without limits: files that a test sets are all that control groups say."""
    for name in [n for n in os.environ if n.startswith(("SLURM_", "CUDA_"))]:
        monkeypatch.delenv(name)
    files = {}

    def read(path):
        if path not in files:
            raise FileNotFoundError(path)
        return files[path]

    monkeypatch.setattr(cgroups, "read", read)
    sizes = {"SC_PHYS_PAGES": 64 * GB // 4096, "SC_PAGE_SIZE": 4096}
    sysconf = os.sysconf
    monkeypatch.setattr(os, "sysconf", lambda name: sizes.get(name) or sysconf(name))
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY,) * 2)
    slot.memory.cache_clear()
    yield files
    slot.memory.cache_clear()


def _pages(piece):
    """Pages that the kernel gave for what is freed and taken again, as ranges do."""
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        arrays = [np.ones(3_000_000) for _ in range(4)]  # 96 MB
        del arrays
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def test_memory_is_held_from_range_to_range():
    if slot.memory() < 4 * GB:
        pytest.skip("this machine is too small for it")
    run = partial(batch.run, _pages, batch.simulated(1, 1), RANGE)
    assert run(executor=batch.processes(1)).value < 500  # of 23,400


class TestHeldMemory:
    @pytest.fixture
    def told(self, nowhere, monkeypatch):
        told = []
        libc = SimpleNamespace(mallopt=lambda *what: told.append(what) or 1)
        monkeypatch.setattr(slot.ctypes, "CDLL", lambda _: libc)
        return told

    def test_a_large_slot(self, told):
        assert slot.hold_memory()
        assert told == [(-3, 32 * 2**20), (-1, 128_000_000)]

    def test_a_small_slot(self, told, nowhere):
        nowhere["/sys/fs/cgroup/memory.max"] = f"{GB}\n"
        assert not slot.hold_memory()
        assert told == []

    def test_one_of_many_processes(self, told, monkeypatch):
        monkeypatch.setattr(slot, "_sharing", 64)
        assert not slot.hold_memory()

    def test_what_the_user_says(self, told, monkeypatch):
        monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "131072")
        assert not slot.hold_memory()
        assert told == []


class TestMemory:
    @pytest.mark.parametrize(
        ("files", "variables", "expected"),
        [
            ({}, {}, 64 * GB),
            ({"/sys/fs/cgroup/memory.max": f"{4 * GB}\n"}, {}, 4 * GB),
            ({"/sys/fs/cgroup/memory.max": "max\n"}, {}, 64 * GB),
            ({"/proc/self/cgroup": "0::/slurm/job_7/step_0\n",
              "/sys/fs/cgroup/slurm/job_7/step_0/memory.max": "max\n",
              "/sys/fs/cgroup/slurm/job_7/memory.max": f"{2 * GB}\n",
              "/sys/fs/cgroup/slurm/memory.max": f"{9 * GB}\n"}, {}, 2 * GB),
            ({"/proc/self/cgroup": "4:memory:/slurm/job_7\n",
              "/sys/fs/cgroup/memory/slurm/job_7/memory.limit_in_bytes": f"{3 * GB}\n",
              "/sys/fs/cgroup/memory/memory.limit_in_bytes": f"{2**63 - 4096}\n"}, {}, 3 * GB),
            ({}, {"SLURM_MEM_PER_NODE": "8192"}, 8 * GB),
            ({}, {"SLURM_MEM_PER_NODE": "0"}, 64 * GB),
            ({}, {"SLURM_MEM_PER_NODE": "8192", "SLURM_STEP_TASKS_PER_NODE": "4(x2),1"}, 2 * GB),
            ({}, {"SLURM_MEM_PER_CPU": "1024", "SLURM_CPUS_PER_TASK": "3"}, 3 * GB),
            ({}, {"SLURM_MEM_PER_CPU": "1024", "SLURM_CPUS_ON_NODE": "8"}, 8 * GB),
            ({"/sys/fs/cgroup/memory.max": f"{GB}"}, {"SLURM_MEM_PER_NODE": "8192"}, GB),
        ],
    )  # fmt: skip
    def test_the_least_limit_holds(self, nowhere, monkeypatch, files, variables, expected):
        nowhere |= files
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        assert slot.memory() == expected

    def test_limit_of_addresses(self, nowhere, monkeypatch):
        monkeypatch.setattr(resource, "getrlimit", lambda _: (5_000_000_000, 5_000_000_000))
        assert slot.memory() == 4_000_000_000

    @pytest.mark.parametrize(
        ("limit", "sharing", "asked", "step"),
        [
            (64 * GB, 1, "100 MB", 100_000_000),
            (556_000_000, 1, "100 MB", 100_000_000),
            (406_000_000, 1, "100 MB", 50_000_000),
            (406_000_000, 1, "20 MB", 20_000_000),
            (1_624_000_000, 4, "100 MB", 50_000_000),
            (100_000_000, 1, "100 MB", 1_000_000),
        ],
    )
    def test_steps_fit(self, nowhere, monkeypatch, limit, sharing, asked, step):
        nowhere["/sys/fs/cgroup/memory.max"] = str(limit)
        monkeypatch.setattr(slot, "_sharing", sharing)
        assert n_bytes(slot.step(asked)) == step
        assert slot.step(10_000_000) == 10_000_000  # events: what the caller wants

    def test_results_of_a_small_slot(self, nowhere, monkeypatch, tmp_path):
        path = tmp_path / "a.root"
        toys.write(path, 60_000, seed=1)
        sizes = []

        def masses(events):
            sizes.append(events.nbytes)
            mass = fj.dimuon(events.Muon).mass
            weights = np.modf(mass * 1e3)[0]
            return {"n": len(mass), "sum": weights.sum(dtype="f8"), "h": fj.histogram(mass, (50, 0, 100)),
                    "w": fj.histogram(mass, (50, 0, 100), weights=weights)}  # fmt: skip

        columns = ["Muon_pt", "Muon_eta", "Muon_phi", "Muon_charge", "Muon_mass"]
        large = batch.run(masses, fj.ranges(path), columns).value
        assert len(sizes) == 1
        nowhere["/sys/fs/cgroup/memory.max"] = "259000000"  # 1 MB for a step
        slot.memory.cache_clear()
        small = batch.run(masses, fj.ranges(path), columns).value
        assert len(sizes) > 2
        assert max(sizes[1:]) < 1_300_000
        assert (small["n"], small["h"]) == (large["n"], large["h"])
        np.testing.assert_allclose(small["sum"], large["sum"], rtol=1e-12)
        np.testing.assert_allclose(small["w"].values(), large["w"].values(), rtol=1e-12, atol=1e-9)


class TestGpus:
    @pytest.mark.parametrize(
        ("visible", "devices", "seen"),
        [
            (None, 0, []),
            (None, 3, ["0", "1", "2"]),
            ("2", 3, ["2"]),
            ("1, 0", 3, ["1", "0"]),
            ("GPU-8932f937-d72c,GPU-0a", 3, ["GPU-8932f937-d72c", "GPU-0a"]),
            ("MIG-GPU-8932/1/0,MIG-4f", 3, ["MIG-GPU-8932/1/0", "MIG-4f"]),
            ("", 3, []),
            ("-1", 3, []),
            ("1,-1,2", 3, ["1"]),
            ("NoDevFiles", 3, []),
        ],
    )
    def test_what_is_seen(self, nowhere, monkeypatch, visible, devices, seen):
        monkeypatch.setattr(slot, "_nvidia_devices", lambda: devices)
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert slot.gpus() == seen

    @pytest.mark.parametrize(
        ("number", "variables", "devices", "taken"),
        [
            (0, {}, 2, "0"),
            (3, {}, 2, "1"),
            (3, {}, 0, None),
            (1, {"CUDA_VISIBLE_DEVICES": "GPU-a,GPU-b,GPU-c"}, 8, "GPU-b"),
            (1, {"CUDA_VISIBLE_DEVICES": "5"}, 8, "5"),
            (1, {"CUDA_VISIBLE_DEVICES": ""}, 8, ""),
            (None, {}, 8, None),
            (None, {"CUDA_VISIBLE_DEVICES": "2,3"}, 8, "2,3"),
            (None, {"SLURM_LOCALID": "0"}, 4, None),
            (None, {"SLURM_LOCALID": "2"}, 4, "2"),
            (None, {"SLURM_LOCALID": "2", "CUDA_VISIBLE_DEVICES": "7"}, 8, "7"),
        ],
    )  # fmt: skip
    def test_what_a_process_takes(self, nowhere, monkeypatch, number, variables, devices, taken):
        monkeypatch.setattr(slot, "_nvidia_devices", lambda: devices)
        monkeypatch.setattr(slot, "_number", number)
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # so that it is as before afterwards
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        for _ in range(2):  # of every task again
            slot.take_gpu()
            assert os.environ.get("CUDA_VISIBLE_DEVICES") == taken


def seen_by(piece):
    import sys
    import time

    time.sleep(0.05)  # so that others get some
    assert "cupy" not in sys.modules
    assert "torch" not in sys.modules
    variable = os.environ.get("CUDA_VISIBLE_DEVICES")
    return {(os.getpid(), variable, fj.get_num_threads())}


class TestProcesses:
    def test_one_gpu_each(self, monkeypatch):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,MIG-a,GPU-b")
        monkeypatch.delenv("FASTJAG_NUM_THREADS", raising=False)
        workers = batch.processes(3, threads=2)
        pieces = batch.simulated(60, size=1)
        seen = batch.run(seen_by, pieces, RANGE, executor=workers, device="cuda").value
        assert sorted(gpu for _, gpu, _ in seen) == ["4", "GPU-b", "MIG-a"]
        assert {n for *_, n in seen} == {2}
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "4,MIG-a,GPU-b"

    def test_as_many_as_the_slot_has_cores(self, threads_restored, nowhere, monkeypatch):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)))
        monkeypatch.setenv("SLURM_CPUS_PER_TASK", "6")
        pool = batch.processes()()
        assert isinstance(pool, ProcessPoolExecutor)
        assert pool._max_workers == 6
        pool.shutdown()
