"""What batch.run adds to the work itself: time, memory of the driver, planning of many files.

Plain loops and batch.run take turns in the same processes, after a first round: what processes need to start is in no
number.
"""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

from harness import COLUMNS, OUT, Race, toy_file

import fastjag as fj
from fastjag import toys

JOB = Path(__file__).parent / "jobs" / "batch_job.py"
ROUNDS = 5
FILES, SMALL_FILES = 10, 10_000


def job(*words: object) -> dict:
    """What a program of its own says of itself."""
    command = [sys.executable, str(JOB), *map(str, words)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def overhead(work: str, what: str, number: int, *more: object) -> list[Race]:
    """Batch.run on processes beside plain loops in the same number of processes: CPU time of all."""
    told = job(what, ROUNDS, number, "1,2", *more)
    races = []
    for n, processes in ((1, "one process"), (2, "two processes")):
        race = Race(f"{work}, {told['ranges']} ranges, {processes}")
        for name, way in (("batch.run", f"batch.run, {n}"), ("loops at once", f"loop, {n}")):
            rounds = told["rounds"][way]
            race.wall[name] = min(one["wall"] for one in rounds) * 1e3
            race.cpu[name] = min(one["cpu"] for one in rounds) * 1e3
        races.append(race)
    return races


def copies() -> Path:
    """A folder of toy NanoAOD files, zstd, of two million events each."""
    folder = OUT / "batch"
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(FILES):
        if not (path := folder / f"{i}.root").exists():
            shutil.copy(toy_file("zstd"), path)
    return folder


def planning() -> Race:
    folder = OUT / "batch-small"
    if not folder.exists():
        folder.mkdir(parents=True)
        toys.write(folder / "00000.root", 100, seed=1, columns=COLUMNS)
        for i in range(1, SMALL_FILES):  # a link would count once
            shutil.copy(folder / "00000.root", folder / f"{i:05}.root")
    race = Race(f"planning {SMALL_FILES:,} local files", wall={"fj.ranges": 1e12})
    for _ in range(2):
        wall, cpu = time.perf_counter(), time.process_time()
        pieces = fj.ranges(folder, progress=False)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        assert len(pieces.files) == SMALL_FILES
        assert pieces.n_events == SMALL_FILES * 100
        race.wall["fj.ranges"] = min(race.wall["fj.ranges"], wall * 1e3)
        race.cpu["fj.ranges"] = min(race.cpu.get("fj.ranges", 1e12), cpu * 1e3)
    return race


def driver() -> Race:
    told = job("trivial", 1, 100_000, "1")
    assert told["ranges"] == told["counts"]["events"] == 100_000
    work = f"100,000 ranges of nothing: the driver has {told['memory']:.0f} MB at most"
    race = Race(work)
    for name, way in (("batch.run", "batch.run, 1"), ("a loop", "loop, 1")):
        race.wall[name], race.cpu[name] = (told["rounds"][way][0][c] * 1e3 for c in ("wall", "cpu"))
    return race


def run() -> list[Race]:
    return [
        driver(),
        planning(),
        *overhead("20 million events of 10 files", "files", FILES, copies()),
        *overhead("100 million simulated events", "simulated", 100_000_000),
    ]
