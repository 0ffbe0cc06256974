"""What was measured as tables and JSON; :mod:`pictures` draws it."""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from harness import OUT, Race
from pictures import DOCS, QUESTIONS, draw, draw_jets

from fastjag import __version__, kernels

HERE = Path(__file__).parent
LIBRARIES = ("numpy", "awkward", "uproot", "vector", "numba", "coffea", "hist", "boost-histogram",
             "fast-histogram", "scipy", "scikit-learn", "torch", "fbgemm-gpu-cpu", "weaver-core",
             "root", "cramjam", "correctionlib")  # fmt: skip


def memory_limits() -> dict[str, float]:
    """Bandwidth of one thread in this run [GB/s]: memcpy, read, fill, fresh."""
    OUT.mkdir(exist_ok=True)
    program = OUT / "limits"
    source = HERE / "limits.cpp"
    subprocess.run(["g++", "-O3", "-march=native", source, "-o", program], check=True)
    lines = subprocess.check_output([program], text=True).splitlines()
    return {name: float(value) for name, value in map(str.split, lines)}


def versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "fastjag": __version__}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def machine() -> str:
    cpu = platform.processor()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.split(":")[1].strip()
    cores = len(os.sched_getaffinity(0))
    return f"{cpu}, {cores} cores, kernels for {kernels.build_info()['SIMD']}"


def _verdict(race: Race, name: str) -> str:
    if name.startswith("fastjag"):
        return ""
    ratio = race.ratio(name)
    if ratio >= 1.05:
        return f"**{ratio:.1f}x** faster"
    return "as fast" if ratio > 0.95 else f"**slower**: {name} takes {ratio:.2f} of the time"


def _ms(time: float) -> str:
    return f"{time:,.0f}" if time >= 100 else f"{time:.3g}"


def table(sections: dict[str, list[Race]]) -> str:
    """A table for each section."""
    parts = []
    for word, races in sections.items():
        with_start = any(race.start for race in races)
        head = ["work", "candidate", "wall [ms]", "CPU [ms]"]
        head += ["start-up [ms]"] * with_start + ["fastjag is"]
        lines = [f"### {word}", "", f"| {' | '.join(head)} |", "|---|---|---:|---:|---:|"]
        lines[-1] += "---:|" * with_start
        for race in races:
            for name in race.wall:
                row = [race.work, name, _ms(race.wall[name]), _ms(race.cpu[name])]
                row += [f"{race.start[name]:.0f}" if name in race.start else ""] * with_start
                lines.append(f"| {' | '.join([*row, _verdict(race, name)])} |")
            for name, reason in race.absent.items():
                lines.append(f"| {race.work} | {name} | {reason} | |{' |' * with_start} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def publish(sections: dict[str, list[Race]], limits: dict[str, float]) -> None:
    """Write docs/benchmarks.json, .md (below its mark) and the pictures."""
    record = {
        "date": datetime.date.today().isoformat(),
        "command": "make bench",
        "machine": machine(),
        "versions": versions(),
        "memory GB/s": limits,
        "sections": {word: [vars(race) for race in races] for word, races in sections.items()},
    }
    (DOCS / "benchmarks.json").write_text(json.dumps(record, indent=1) + "\n")
    head = (DOCS / "benchmarks.md").read_text().split("<!-- measured -->")[0]
    memory = ", ".join(f"{name} {value:.1f} GB/s" for name, value in limits.items())
    listed = ", ".join(f"{name} {value}" for name, value in record["versions"].items())
    (DOCS / "benchmarks.md").write_text(
        f"{head}<!-- measured -->\n\n{record['date']}, `make bench`, {record['machine']}. "
        f"Memory on one thread in the same run: {memory}. Versions: {listed}.\n\n"
        f"{_pictures()}\n\n{table(sections)}\n"
    )
    draw(sections, limits, DOCS)


def _pictures() -> str:
    return "\n\n".join(f"{said}\n\n![{said}]({name})" for name, said in QUESTIONS.items())


def publish_jets(races: list[Race], limits: dict[str, float]) -> None:
    """Write docs/benchmarks_jets.json and .png, and the part of docs/benchmarks.md between its marks."""
    record = {
        "date": datetime.date.today().isoformat(),
        "command": "make bench BENCH=jets",
        "machine": machine(),
        "versions": versions(),
        "memory GB/s": limits,
        "races": [vars(race) for race in races],
    }
    (DOCS / "benchmarks_jets.json").write_text(json.dumps(record, indent=1) + "\n")
    draw_jets(races, limits, DOCS)
    page = (DOCS / "benchmarks.md").read_text()
    head, rest = page.split("<!-- jets -->")
    tail = rest.split("<!-- /jets -->")[1]
    (DOCS / "benchmarks.md").write_text(
        f"{head}<!-- jets -->\n\n{record['date']}, `{record['command']}`, {record['machine']}; read: "
        f"{limits['read']:.1f} GB/s in the same run.\n\n![Times of jobs on jets]"
        f"(benchmarks_jets.png)\n\n{table({'jets': races})}\n\n<!-- /jets -->{tail}"
    )
