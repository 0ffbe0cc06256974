"""Processes that work for another one end with it, whatever ends that."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import as_completed
from pathlib import Path

import pytest

from fastjag.batch.processes import ended, processes

# Work that holds Python's lock, as a library's C++ does: no thread of the worker can run.
JOB = """
import ctypes, os

def work(folder):
    open(os.path.join(folder, str(os.getpid())), "w").close()
    ctypes.PyDLL(None).sleep(600)
"""
SCRIPT = """
import signal, sys
from concurrent.futures import as_completed
from fastjag.batch.processes import ended, processes
from job import work

def stop(number, frame):
    sys.exit(128 + number)

for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, stop)
with ended(processes(2)()) as pool:
    for task in as_completed([pool.submit(work, sys.argv[1]) for _ in range(5)]):
        task.result()
"""


def alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def wait_for(condition, seconds):
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.05)
    return condition()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nobody_stays(tmp_path, number):
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "job.py").write_text(JOB)
    seen = tmp_path / "pids"
    seen.mkdir()
    process = subprocess.Popen([sys.executable, str(tmp_path / "script.py"), str(seen)],
                               stderr=subprocess.PIPE, text=True)  # fmt: skip
    try:
        assert wait_for(lambda: len(list(seen.iterdir())) == 2, 60)
        workers = [int(p.name) for p in seen.iterdir()]
        assert all(map(alive, workers))
        os.kill(process.pid, number)  # to it alone, not to its group
        _, errors = process.communicate(timeout=20)
        assert wait_for(lambda: not any(map(alive, workers)), 10)
    finally:
        process.kill()
    assert process.returncode == (-9 if number == signal.SIGKILL else 128 + number)
    assert "Traceback" not in errors
    assert len(list(seen.iterdir())) == 2  # what waited was not begun


def children():
    mine = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    return {int(pid) for pid in mine}


def square(x):
    return x * x


def fail(seconds):
    if seconds == 0:
        raise ValueError("this one")
    time.sleep(seconds)


def test_results_and_errors():
    before = children()
    with ended(processes(2)()) as pool:
        assert sorted(t.result() for t in as_completed(pool.submit(square, i) for i in range(5))) == [
            0, 1, 4, 9, 16]  # fmt: skip
    # An error of one task does not wait for the others.
    started = time.monotonic()
    with pytest.raises(ValueError, match="this one"), ended(processes(2)()) as pool:
        [pool.submit(fail, seconds) for seconds in (300, 0)][1].result()
    assert time.monotonic() - started < 60
    # multiprocessing keeps its tracker of resources.
    left = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children() - before]
    assert all(b"resource_tracker" in line for line in left)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_simulation(tmp_path, number):
    """The command, while its workers are inside the generator."""
    pytest.importorskip("pythia8mc")
    process = subprocess.Popen(
        [sys.executable, "-m", "fastjag", "simulate", "diphoton", "--out", str(tmp_path / "out"),
         "--events", "4000", "--workers", "1", "--classes", "yy"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )  # fmt: skip

    def workers():
        found = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        return [int(p) for p in found
                if b"spawn_main" in Path(f"/proc/{p}/cmdline").read_bytes()]  # fmt: skip

    def generates():
        return workers() and b"pythia8" in Path(f"/proc/{workers()[0]}/maps").read_bytes()

    try:
        assert wait_for(generates, 90)
        time.sleep(0.5)
        busy = workers()
        os.kill(process.pid, number)
        _, errors = process.communicate(timeout=30)
        assert wait_for(lambda: not any(map(alive, busy)), 10)
    finally:
        process.kill()
    if number == signal.SIGINT:
        assert (process.returncode, errors) == (130, "fastjag: ended by SIGINT\n")
        assert not (tmp_path / "out").exists()
