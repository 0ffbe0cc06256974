"""A thousand ranges on an engine that fails in every way, jobs that share a folder, and drivers that die."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest
from batch.engines import AsThreads, Chaos
from batch.jobs import WEIGHTS

from fastjag import batch
from fastjag.batch import RANGE

N, FEW, SIZE = 1_000, 300, 40
PIECES = batch.simulated(N * SIZE, SIZE)


def weighted(piece):
    """A sum whose last bits tell in which order it was added up."""
    rng = np.random.default_rng(piece.start)
    x = rng.normal(size=len(piece)) * WEIGHTS[piece.start % 3]
    return {"sum": float(x.sum()), "starts": [piece.start], "events": len(piece)}


class Fates:
    """What becomes of each range, by a seed; the function that suffers it, in threads of this process."""

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        self.kind = rng.choice(["well", "disk", "memory"], N, p=[0.84, 0.15, 0.01])
        self.poison = int(rng.integers(N))
        self.tried, self.lock = [0] * N, threading.Lock()

    def __call__(self, piece):
        i = piece.start // SIZE
        with self.lock:
            self.tried[i] += 1
            times = self.tried[i]
        if i == self.poison:
            raise ZeroDivisionError("bad event")
        if self.kind[i] == "disk" and times < 3:
            raise OSError("the disk is away")
        if self.kind[i] == "memory" and times < 2:
            raise MemoryError
        return weighted(piece)


@pytest.mark.parametrize(
    "seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 30))]
)
def test_a_thousand_ranges(seed):
    """Coverage is exact, the poison is named, what is missing completes, no event comes twice."""
    fates = Fates(seed)
    with Chaos(seed, loses=0.05, twice=0.05, late=0.05) as engine:
        outcome = batch.run(
            fates, PIECES, RANGE, executor=AsThreads(engine), on_error="report", retries=9
        )
        assert engine.lost > 0
    (failed,) = outcome.failed
    poison = PIECES[fates.poison]
    assert (failed.range, failed.kind) == (poison, "error")
    assert "ZeroDivisionError: bad event" in failed.message
    assert failed.message in str(failed)
    assert outcome.coverage() == {"simulated": ((N - 1) * SIZE, N * SIZE)}
    assert [*outcome.missing()] == [poison]
    starts = [piece.start for piece in PIECES]
    # Halves are of one range: its start comes once, or with the others of its parts.
    found = list(dict.fromkeys(start // SIZE * SIZE for start in outcome.value["starts"]))
    assert found == [start for start in starts if start != poison.start]
    assert len(set(outcome.value["starts"])) == len(outcome.value["starts"])
    assert outcome.value["events"] == outcome.n_events == (N - 1) * SIZE
    again = batch.run(weighted, outcome.missing(), RANGE)
    assert outcome.value["events"] + again.value["events"] == N * SIZE


def test_the_same_with_a_folder(tmp_path):
    """What is missing is sent again until all is there: then it is what a serial run gives, to the last bit."""
    rng = np.random.default_rng(1)
    bad = set(rng.choice(FEW, 30, replace=False).tolist())

    def function(piece):
        if piece.start // SIZE in bad:
            raise ValueError("not today")
        return weighted(piece)

    run = {"on_error": "report", "retries": 9, "keep": tmp_path}
    with Chaos(1, loses=0.05, twice=0.05, late=0.1) as engine:
        first = batch.run(function, PIECES[:FEW], RANGE, executor=engine, **run)
    assert {piece.start // SIZE for piece in first.missing()} == bad
    # Another function: results of the first one are not its results.
    with Chaos(2, loses=0.05, late=0.1) as engine:
        second = batch.run(weighted, first.missing(), RANGE, executor=engine, **run)
        assert second.complete
        every = batch.run(weighted, PIECES[:FEW], RANGE, executor=engine, **run)
    assert every.kept >= len(bad)  # and what workers computed before they died
    assert every.value == batch.run(weighted, PIECES[:FEW], RANGE).value
    assert every.coverage() == {"simulated": (FEW * SIZE, FEW * SIZE)}
    assert len(list(tmp_path.glob("*/*.result"))) == 2 * FEW - len(bad)
    assert not list(tmp_path.glob("*/.*"))


CLIENT = textwrap.dedent("""
    import sys, time
    import numpy as np
    from fastjag import batch
    def function(piece):
        rng = np.random.default_rng(piece.start)
        time.sleep(0.002)
        open("calls", "ab").write(b"%d\\n" % piece.start)
        return {"sum": float(rng.normal(size=len(piece)).sum()), "starts": [piece.start]}
    ready = batch.processes(2)
    out = batch.run(function, batch.simulated(12_000, 40), batch.RANGE, keep="kept", executor=ready, progress=False)
    print(out.complete, repr(out.value["sum"]), len(out.value["starts"]))
""")


def client(folder):
    return subprocess.Popen(
        [sys.executable, "job.py"], cwd=folder, stdout=subprocess.PIPE, text=True
    )


def results(folder):
    return list((folder / "kept").glob("*/*.result"))


def test_two_clients_and_a_driver_that_is_killed(tmp_path):
    """Two clients at once give the same; one that is killed goes on where it was, with no range lost or twice."""
    (tmp_path / "calls").touch()
    (tmp_path / "job.py").write_text(CLIENT)
    killed = client(tmp_path)
    for _ in range(4000):
        if len(results(tmp_path)) > 20:
            break
        time.sleep(0.005)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    time.sleep(0.1)  # its processes end with it
    there = len(results(tmp_path))
    assert 20 < there < 300
    half = set((tmp_path / "kept").glob("*/.*"))  # of what was killed while it wrote
    calls = len((tmp_path / "calls").read_bytes().splitlines())
    both = [client(tmp_path) for _ in range(2)]
    said = {process.communicate()[0] for process in both}
    assert len(said) == 1
    assert next(iter(said)).startswith("True ")
    assert len(results(tmp_path)) == 300
    # What was kept is not computed again; both clients may do the same range at the same time.
    assert (
        300 - there
        <= len((tmp_path / "calls").read_bytes().splitlines()) - calls
        < 2 * (300 - there)
    )
    assert client(tmp_path).communicate()[0] == next(iter(said))
    assert set((tmp_path / "kept").glob("*/.*")) <= half
