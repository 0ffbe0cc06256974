"""Whole programs take turns: each on the whole file and on one of 1000 events.

The second time is that of starting: interpreter, imports, dictionaries of ROOT, opening the file,
compilation at run time. Both the start and the rest are shown.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from harness import OUT, Race, toy_file

HERE = Path(__file__).parent
SHORT = 1000  # events of the file that shows the start
LIBRARIES = [
    "Core",
    "Imt",
    "RIO",
    "Hist",
    "MathCore",
    "Tree",
    "TreePlayer",
    "ROOTVecOps",
    "ROOTDataFrame",
    "ROOTNTuple",
]


@dataclass
class Program:
    """A command that gets a file, and then ``arguments``."""

    command: list[str]
    arguments: tuple[str, ...] = ()
    scale: float = 1.0  #: its time is multiplied: it does only a part of the events
    absent: str = ""  #: why it cannot run


def script(name: str, *needs: str, **options) -> Program:
    """benchmarks/jobs/NAME.py."""
    missing = [module for module in needs if find_spec(module) is None]
    absent = f"{', '.join(missing)} not installed" if missing else ""
    return Program([sys.executable, str(HERE / "jobs" / f"{name}.py")], absent=absent, **options)


def root(name: str, **options) -> Program:
    """benchmarks/root_loops/NAME.cpp, compiled against the ROOT of this environment."""
    spec = find_spec("ROOT")
    if spec is None or not spec.submodule_search_locations:
        return Program([], absent="ROOT not installed", **options)
    folder = spec.submodule_search_locations[0]
    source, program = HERE / "root_loops" / f"{name}.cpp", OUT / name
    newest = max(file.stat().st_mtime for file in source.parent.iterdir())
    if not program.exists() or program.stat().st_mtime < newest:
        OUT.mkdir(exist_ok=True)
        compiler = ["g++", "-O3", "-march=native", "-std=c++17", "-pthread"]
        linked = [f"-L{folder}/lib", f"-Wl,-rpath,{folder}/lib", "-Wl,--allow-shlib-undefined"]
        done = subprocess.run(
            [*compiler, f"-I{folder}/include", source, "-o", program]
            + [f"-l{library}" for library in LIBRARIES] + linked,
            capture_output=True, check=False,
        )  # fmt: skip
        if done.returncode:
            return Program([], absent="cannot be compiled against ROOT", **options)
    return Program([str(program)], **options)


def clustered(compression: str, events: int) -> Path:
    """The toys as ROOT writes them, or as they are where there is no ROOT."""
    plain = toy_file(compression, events)
    path = plain.with_stem(f"{plain.stem}-clusters")
    program = root("rewrite")
    if program.absent:
        return plain
    if not path.exists():
        subprocess.run([*program.command, str(path), str(plain)], check=True)
    return path


def _run(program: Program, path: Path, cores: set[int]) -> tuple[str, float, float]:
    """Output, wall and CPU time [ms]."""
    ours = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)  # the program inherits it
    started = time.perf_counter()
    process = subprocess.Popen(
        [*program.command, str(path), *program.arguments],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env={k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")},
    )  # fmt: skip
    os.sched_setaffinity(0, ours)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        name = Path(program.command[-1]).name
        raise RuntimeError(f"{name} failed on {path.name}")
    return output, wall * 1e3, (usage.ru_utime + usage.ru_stime) * 1e3


def race_programs(
    work: str,
    programs: dict[str, Program],
    compression: str,
    check: Callable[[np.ndarray, np.ndarray], None],
    events: int,
    cores: int = 1,
    rounds: int = 5,
    moved: int = 0,
    files: tuple[Path, Path] | None = None,
) -> Race:
    """As :func:`harness.race`, for programs on the first ``cores`` cores that we may use.

    ``files``: one of all events and a short one, if not of the toys that :mod:`harness` makes.
    """
    chosen = set(sorted(os.sched_getaffinity(0))[:cores])
    # One cluster, as uproot writes, would leave RDataFrame with one thread.
    long, short = files or (
        (toy_file if cores == 1 else clustered)(compression, events), toy_file(compression, SHORT)
    )  # fmt: skip
    result = Race(work, threads=cores, moved=moved)
    first = None
    for name, program in list(programs.items()):
        if not program.absent:
            try:
                output = _run(program, long, chosen)[0]
            except RuntimeError as error:
                program.absent = str(error)
        if program.absent:
            result.absent[name] = program.absent
            del programs[name]
            continue
        values = np.array([line.split() for line in output.splitlines()], float)
        first = values if first is None else first
        if program.scale == 1:
            check(first, values)
    whole: dict[str, list[float]] = {name: [np.inf, np.inf] for name in programs}
    start: dict[str, list[float]] = {name: [np.inf, np.inf] for name in programs}
    for _ in range(rounds):
        for name, program in programs.items():
            for path, best in ((long, whole[name]), (short, start[name])):
                _, *times = _run(program, path, chosen)
                best[:] = map(min, best, times)
    for name, program in programs.items():
        result.start[name] = start[name][0]
        result.wall[name] = (whole[name][0] - start[name][0]) * program.scale
        result.cpu[name] = (whole[name][1] - start[name][1]) * program.scale
    return result
