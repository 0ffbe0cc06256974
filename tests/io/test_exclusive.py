"""Readers that several threads share, and those that a fork copies."""

import copy
import pickle
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fastjag as fj
from fastjag import toys
from fastjag.io import iteration
from fastjag.io.exclusive import Exclusive
from fastjag.selection import Step, survivors

N = 3000


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return toys.write(tmp_path_factory.mktemp("toys") / "a.root", N, seed=1, columns=["event"])


def open_reader(kind, path):
    if kind == "survivors":
        step = Step("all", ["event"], lambda batch: np.ones(len(batch), bool))
        return survivors(path, [step], batch_size=50)
    return fj.iterate(path, "event", step=50, prefetch=kind == "ahead")


@pytest.mark.parametrize("kind", ["ahead", "plain", "survivors"])
class TestThreads:
    def test_each_batch_goes_to_one(self, kind, path):
        batches, found, errors = open_reader(kind, path), [], []

        def take():
            try:
                found.extend(batch["event"] for batch in batches)
            except BaseException as error:  # noqa: BLE001
                errors.append(error)

        threads = [threading.Thread(target=take) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert errors == []
        assert len(found) == N // 50
        events = np.sort(np.concatenate(found))
        np.testing.assert_array_equal(
            events, np.sort(np.concatenate([b["event"] for b in open_reader(kind, path)]))
        )

    def test_closed_by_another_thread(self, kind, path):
        batches = open_reader(kind, path)
        next(batches)
        thread = threading.Thread(target=batches.close)
        thread.start()
        thread.join(60)
        assert not thread.is_alive()
        assert list(batches) == []


FORK = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
import fastjag as fj
from test_exclusive import open_reader
fj.set_num_threads(int(sys.argv[4]))
batches = open_reader(sys.argv[2], sys.argv[3])
later = open_reader(sys.argv[2], sys.argv[3])
first = next(batches)
child = os.fork()
if child == 0:
    signal.alarm(60)  # ends the child where it hangs
    try:
        next(batches)
    except RuntimeError as error:
        assert f"belong to process {os.getppid()}" in str(error), error
        print("clear", flush=True)
    batches.close()
    print(sum(len(b) for b in later), flush=True)  # this one had not begun
    del batches, later
    sys.exit(7)
_, status = os.waitpid(child, 0)
print(os.waitstatus_to_exitcode(status), flush=True)
print(len(first) + sum(len(b) for b in batches))
"""


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("kind", ["ahead", "plain", "survivors"])
def test_a_fork(kind, threads, path):
    """The child says at once that it cannot go on; the parent reads on as if nothing happened."""
    folder = __file__.rsplit("/", 1)[0]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK, folder, kind, path, str(threads)],
        capture_output=True, text=True, check=False, timeout=200,
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout.split() == ["clear", str(N), "7", str(N)]


def test_a_step_that_asks_for_the_next_batch(path):
    """An error of Python's, and no deadlock."""
    step = Step("greedy", ["event"], lambda batch: next(chosen))
    chosen = survivors(path, [step], batch_size=50)
    with pytest.raises(ValueError, match="generator already executing"):
        next(chosen)


class TestCopies:
    def test_what_has_not_begun(self, path):
        batches = fj.iterate(path, "event", step=50)
        for other in (pickle.loads(pickle.dumps(batches)), copy.deepcopy(batches)):
            assert sum(len(b) for b in other) == N
        assert batches.n_events == 0
        assert sum(len(b) for b in batches) == N

    def test_a_turn(self):
        turn = Exclusive("things")
        assert not turn.elsewhere()
        with turn, turn:
            assert not turn.elsewhere()
        turn.process = -1
        assert turn.elsewhere()
        with (
            pytest.raises(RuntimeError, match=r"things belong to process -1.* read them anew"),
            turn,
        ):
            pass
        again = copy.copy(turn)
        assert (again.what, again.process) == ("things", None)


def test_a_signal_while_the_thread_starts(path, monkeypatch):
    """The executor does not know of that thread, and does not wait for it. What the signal raises must get out."""
    reads = iteration.Batches._read_files

    def slowly(batches, advance):
        time.sleep(0.1)
        yield from reads(batches, advance)

    class Interrupted(ThreadPoolExecutor):
        def submit(self, *work):
            super().submit(*work)
            self._threads.clear()
            time.sleep(0.02)
            raise SystemExit(130)

    monkeypatch.setattr(iteration.Batches, "_read_files", slowly)
    monkeypatch.setattr(iteration, "ThreadPoolExecutor", Interrupted)
    with pytest.raises(SystemExit) as ended:
        next(open_reader("ahead", path))
    assert ended.value.code == 130
