"""Many small files, files of many branches, small files from process start to result, and two threads on large ones."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import awkward as ak
import numpy as np
import uproot
from harness import COLUMNS, EVENTS, OUT, Race, race, toy_file
from programs import SHORT, root, script

import fastjag as fj
from fastjag import toys

FILES, EACH = 200, 2000  # small files, and events of each
BRANCHES, WIDE = 1500, 500  # of a wide file, and its events
STARTS = 9  # of each program
CODECS = ("zstd", "zlib", "lzma")


def check(ours: np.ndarray, theirs: np.ndarray) -> None:
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def small_files() -> list[str]:
    folder = OUT / f"small-{FILES}-{EACH}"
    paths = [folder / f"{i}.root" for i in range(FILES)]
    if not paths[-1].exists():
        folder.mkdir(parents=True, exist_ok=True)
        for i, path in enumerate(paths):
            toys.write(path, EACH, seed=i, compression="zstd", progress=False)
    return [str(path) for path in paths]


def ours(files: list[str], columns: list[str] | None = None) -> np.ndarray:
    sums = np.zeros(2)
    for batch in fj.iterate(files, columns, progress=False):
        sums += [sum(float(np.sum(c, dtype=float)) for c in batch.flat.values()), len(batch)]
        for particles in batch.collections.values():
            sums[0] += sum(float(particles[c].sum(dtype=float)) for c in particles.columns)
    return sums


def uproots(files: list[str], columns: list[str] | None = None) -> np.ndarray:
    sums = np.zeros(2)
    for arrays in uproot.iterate([f"{f}:Events" for f in files], columns, library="ak", how=dict):
        flat = [np.asarray(ak.flatten(array, axis=None)) for array in arrays.values()]
        sums += [sum(float(np.sum(c, dtype=float)) for c in flat), len(next(iter(arrays.values())))]
    return sums


def wide_file(kind: str) -> str:
    path = OUT / f"wide-{BRANCHES}-{kind}.root"
    if not path.exists():
        rng = np.random.default_rng(1)
        counts = rng.poisson(3, WIDE)
        lists = ak.unflatten(rng.random(counts.sum(), np.float32), counts)
        content = {
            f"b{i}": rng.random(WIDE, np.float32) if i % 2 else lists for i in range(BRANCHES)
        }
        OUT.mkdir(exist_ok=True)
        with uproot.recreate(path) as file:
            if kind == "rntuple":
                file.mkrntuple("Events", content)
            else:
                kinds = {
                    n: "float32" if isinstance(c, np.ndarray) else "var * float32"
                    for n, c in content.items()
                }
                file.mktree("Events", kinds, counter_name=lambda _: "n")
                file["Events"].extend(content)
    return str(path)


def starts() -> Race:
    """From process start to its end, on a file of 1000 events; interpreters with compiled modules."""
    path = str(toy_file("zstd", SHORT))
    cli = [
        sys.executable,
        "-m",
        "fastjag",
        "spectrum",
        path,
        "--no-pictures",
        "--json",
        "--force",
        "--out",
    ]
    commands = {
        "fastjag spectrum": [*cli, str(OUT / "start")],
        "uproot + awkward + hist": [*script("spectrum_awkward").command, path],
    }
    result = Race(f"process start to spectrum of {SHORT:,} events", waits=True)
    for name, program in (
        ("ROOT by hand", "branch_address"),
        ("ROOT TTreeReader", "tree_reader"),
    ):
        found = root(program)
        if found.absent:
            result.absent[name] = found.absent
        else:
            commands[name] = [*found.command, path]
    around = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    for i in range(STARTS + 1):  # the first one writes compiled modules
        for name, command in commands.items():
            before, begun = os.times(), time.perf_counter()
            subprocess.run(
                command,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=around,
                check=True,
            )
            wall, after = (time.perf_counter() - begun) * 1e3, os.times()
            cpu = (after[2] + after[3] - before[2] - before[3]) * 1e3
            if i:
                result.wall[name] = min(result.wall.get(name, 1e9), wall)
                result.cpu[name] = min(result.cpu.get(name, 1e9), cpu)
    return result


def threads(codec: str) -> Race:
    """Reading four columns: one thread against two, by the clock."""
    path = toy_file(codec)

    def read(n: int) -> np.ndarray:
        fj.set_num_threads(n)
        sums = np.zeros(len(COLUMNS))
        for batch in fj.iterate(path, COLUMNS, progress=False):
            sums += [batch.Muon[c.partition("_")[2]].sum(dtype=float) for c in COLUMNS]
        return sums

    try:
        return race(
            f"reading {EVENTS:,} events, {codec}",
            {"fastjag, 2 threads": lambda: read(2), "fastjag, 1 thread": lambda: read(1)},
            check, threads=2,
        )  # fmt: skip
    finally:
        fj.set_num_threads(1)


def run() -> list[Race]:
    files = small_files()
    races = [
        race(
            f"{FILES} files of {EACH:,} events, four columns",
            {"fastjag": lambda: ours(files, COLUMNS), "uproot": lambda: uproots(files, COLUMNS)},
            check, rounds=3,
        )
    ]  # fmt: skip
    for kind in ("ttree", "rntuple"):
        path = [wide_file(kind)]
        races.append(
            race(
                f"all of {BRANCHES:,} branches, {kind}",
                {"fastjag": lambda path=path: ours(path), "uproot": lambda path=path: uproots(path)},
                check, rounds=2,
            )
        )  # fmt: skip
    return [*races, starts(), *(threads(codec) for codec in CODECS)]
