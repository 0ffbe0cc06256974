"""What batch.run adds to the work itself: time, memory of the driver, planning of many files.

Every candidate is a program that also runs with a few events; the table has the difference, and that time as start-up, of
which processes need more.
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
ROUNDS = 2
FILES, SMALL_FILES = 10, 10_000


def job(*words: object) -> dict:
    """What a program of its own says of itself."""
    command = [sys.executable, str(JOB), *map(str, words)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def overhead(work: str, what: str, full: int, few: int, *more: object) -> Race:
    """Batch.run on processes beside a loop: CPU time of all processes."""
    race = Race(work)
    ways = {"batch.run, 1 process": "processes:1", "a loop": "loop", "batch.run, 2 processes": "processes:2"}  # fmt: skip
    long, short, counts = {}, {}, []
    for _ in range(ROUNDS):
        for name, way in ways.items():
            for number, found in ((few, short), (full, long)):
                told = job(what, way, number, *more)
                if number == full:
                    counts.append(told["counts"])
                best = found.setdefault(name, {"wall": 1e9, "cpu": 1e9})
                for clock in best:
                    best[clock] = min(best[clock], told[clock])
    assert all(count == counts[0] for count in counts), counts
    for name in ways:
        race.wall[name] = (long[name]["wall"] - short[name]["wall"]) * 1e3
        race.cpu[name] = (long[name]["cpu"] - short[name]["cpu"]) * 1e3
        race.start[name] = short[name]["wall"] * 1e3
    return race


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
    told = job("trivial", "processes:1", 100_000)
    assert told["ranges"] == told["counts"]["events"] == 100_000
    work = f"100,000 ranges of nothing: the driver has {told['memory']:.0f} MB at most"
    name = "batch.run, 1 process"
    return Race(work, wall={name: told["wall"] * 1e3}, cpu={name: told["cpu"] * 1e3})


def run() -> list[Race]:
    return [
        driver(),
        planning(),
        overhead("18 million events of 9 files", "files", FILES, 1, copies()),
        overhead("100 million simulated events", "simulated", 104_000_000, 4_000_000),
    ]
