"""How many threads kernels use, and that they survive forks, other threads and ThreadSanitizer."""

import os
import shutil
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from strategies import assert_same

import fastjag as fj
from fastjag import kernels
from fastjag.core import cgroups

ROOT = Path(__file__).parents[2]


class TestNumberOfThreads:
    def test_precedence(self, threads_restored, monkeypatch):
        monkeypatch.setattr(threads_restored, "available", lambda: 6)
        assert fj.get_num_threads() == 6
        monkeypatch.setenv("OMP_NUM_THREADS", "5,2")
        assert fj.get_num_threads() == 5
        monkeypatch.setattr(threads_restored, "_forked", True)
        assert fj.get_num_threads() == 1
        monkeypatch.setenv("FASTJAG_NUM_THREADS", "4")
        assert fj.get_num_threads() == 4
        fj.set_num_threads(3)
        assert fj.get_num_threads() == 3
        assert fj.get_num_threads(2) == 2
        fj.set_num_threads(None)
        assert fj.get_num_threads() == 4

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            ("", 6),
            ("many", 6),
            ("0", 1),
            ("3", 3),
            (" 3 ", 3),
            ("²", 6),
            ("9" * 12, 4096),
            ("9" * 5000, 6),
            ("-2", 6),
            ("1e3", 6),
        ],
    )
    def test_other_programs_may_write_anything(
        self, threads_restored, monkeypatch, value, expected
    ):
        monkeypatch.setattr(threads_restored, "available", lambda: 6)
        monkeypatch.setenv("OMP_NUM_THREADS", value)
        assert fj.get_num_threads() == expected

    @pytest.mark.parametrize("value", [0, -1, 1.5, "many", True, ""])
    def test_invalid_values(self, threads_restored, monkeypatch, value):
        with pytest.raises(ValueError, match=f"^n must be a positive integer, got {value!r}"):
            fj.set_num_threads(value)
        with pytest.raises(ValueError, match=f"^threads must be a positive integer, got {value!r}"):
            fj.get_num_threads(value)
        monkeypatch.setenv("FASTJAG_NUM_THREADS", str(value))
        with pytest.raises(ValueError, match=r"^FASTJAG_NUM_THREADS must be a positive integer"):
            fj.get_num_threads()

    @pytest.mark.parametrize(
        ("files", "expected"),
        [
            ({"/sys/fs/cgroup/cpu.max": "max 100000"}, 8),
            ({"/sys/fs/cgroup/cpu.max": "350000 100000\n"}, 3),
            ({"/sys/fs/cgroup/cpu.max": "50000 100000"}, 1),
            ({"/sys/fs/cgroup/cpu.max": "1600000 100000"}, 8),
            # Of a job of Slurm: the group of the task has no limit, that of the job has one.
            ({"/proc/self/cgroup": "0::/system.slice/job_7/task_0\n",
              "/sys/fs/cgroup/system.slice/job_7/task_0/cpu.max": "max 100000",
              "/sys/fs/cgroup/system.slice/job_7/cpu.max": "200000 100000"}, 2),
            ({"/proc/self/cgroup": "5:memory:/a\n4:cpu,cpuacct:/slurm/job_7\n0::/\n",
              "/sys/fs/cgroup/cpu/slurm/job_7/cpu.cfs_quota_us": "300000",
              "/sys/fs/cgroup/cpu/slurm/job_7/cpu.cfs_period_us": "100000"}, 3),
            ({"cpu.cfs_quota_us": "-1", "cpu.cfs_period_us": "100000"}, 8),
            ({"cpu.cfs_quota_us": "200000", "cpu.cfs_period_us": "100000"}, 2),
            ({}, 8),
        ],
    )  # fmt: skip
    def test_affinity_and_control_group(self, threads_restored, monkeypatch, files, expected):
        def read(path):
            for name, text in files.items():
                if path.endswith(name):
                    return text
            raise FileNotFoundError(path)

        monkeypatch.setattr(cgroups, "read", read)
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
        assert fj.get_num_threads() == expected

    @pytest.mark.parametrize(
        ("task", "expected"), [("3", 3), ("12", 8), ("0", 8), ("many", 8), ("", 8)]
    )
    def test_task_of_slurm(self, threads_restored, monkeypatch, task, expected):
        monkeypatch.setattr(cgroups, "contents", lambda *names: iter(()))
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
        monkeypatch.setenv("SLURM_CPUS_PER_TASK", task)
        assert fj.get_num_threads() == expected

    def test_environment_of_a_process(self):
        code = "import fastjag as fj; print(fj.get_num_threads())"
        env = {**os.environ, "FASTJAG_NUM_THREADS": "7"}
        done = subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == "7"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_kernels_after_a_fork():
    code = """
        import os, time
        import numpy as np
        import fastjag as fj

        jagged = fj.Jagged(np.arange(0, 2_000_001, 4), {"x": np.arange(2_000_000.0)})
        work = lambda threads: jagged.aggregate("x", ["sum"], threads=threads)["sum"]
        expected = work(4)
        child = os.fork()
        if child == 0:
            right = fj.get_num_threads() == 1
            right &= np.array_equal(work(4), expected) and np.array_equal(work(None), expected)
            os._exit(0 if right else 1)
        assert fj.get_num_threads() == 3
        for _ in range(500):
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                break
            time.sleep(0.01)
        else:
            os.kill(child, 9)
            raise SystemExit("the child hangs")
        raise SystemExit(os.waitstatus_to_exitcode(status))
    """
    env = {k: v for k, v in os.environ.items() if k != "FASTJAG_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**env, "OMP_NUM_THREADS": "3"}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_kernels_in_concurrent_threads(large):
    offsets, make = large
    jagged = fj.Jagged(offsets, {"x": make("f4"), "y": make("f8")})
    mask = jagged["y"] > 0

    def work(threads):
        return [
            jagged.aggregate("x", ["sum"], threads=threads)["sum"],
            jagged.pad(3, ["x", "y"], by="y", threads=threads).values,
            jagged.keep(mask, threads=threads)["y"],
            kernels.histogram([jagged["y"]], [np.linspace(-1, 1, 9)], threads=threads)[0],
        ]

    expected = work(1)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(work, [1, 2, 3, 4] * 2):
            for a, b in zip(found, expected, strict=True):
                assert_same(a, b)


@pytest.fixture(scope="module")
def thread_sanitizer(tmp_path_factory):
    """Compiler command that builds with ThreadSanitizer."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("there is no g++ to build the C++ test with")
    command = [compiler, "-std=c++20", "-O2", "-fsanitize=thread", "-pthread"]
    folder = tmp_path_factory.mktemp("sanitizer")
    (folder / "empty.cpp").write_text("int main() {}\n")
    build = [*command, folder / "empty.cpp", "-o", folder / "empty"]
    if subprocess.run(build, capture_output=True, check=False).returncode:
        pytest.skip("this g++ does not link with -fsanitize=thread")
    if subprocess.run([folder / "empty"], capture_output=True, check=False).returncode:
        pytest.skip("programs with ThreadSanitizer do not start on this kernel")
    return command


def test_parallel_hpp(thread_sanitizer, tmp_path):
    program = tmp_path / "test_parallel"
    source = ROOT / "tests" / "cpp" / "test_parallel.cpp"
    flags = ["-Wall", "-Wextra", "-Werror", f"-I{ROOT / 'cpp'}"]
    command = [*thread_sanitizer, *flags, source, "-o", program]
    build = subprocess.run(command, capture_output=True, text=True, check=False)
    assert build.returncode == 0, build.stderr
    done = subprocess.run([program], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.split() == [
        "elements", "events", "balance", "fairness", "exceptions", "interrupts",
    ]  # fmt: skip
