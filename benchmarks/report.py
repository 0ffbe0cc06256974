"""What was measured as one table, one JSON and one picture."""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import matplotlib as mpl
import mplhep
from harness import EVENTS, OUT, Race
from matplotlib.figure import Figure

from fastjag import __version__, kernels

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs"
LIBRARIES = ("numpy", "awkward", "uproot", "vector", "numba", "coffea", "hist", "boost-histogram",
             "fast-histogram", "scipy", "scikit-learn", "torch", "fbgemm-gpu-cpu", "weaver-core",
             "root", "cramjam")  # fmt: skip
OURS, THEIRS, FASTER = "#e42536", "#3f90da", "#7a21dd"


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


def draw(sections: dict[str, list[Race]], limits: dict[str, float], path: Path) -> None:
    """Left: the whole job, file to spectrum. Right: every other comparison, as ratios."""
    style = {"font.size": 13, "mathtext.cal": "sans", "ytick.minor.visible": False}
    with mpl.style.context([mplhep.style.CMS, style]):
        others = [r for w, races in sections.items() if w not in ("spectrum", "scaling")
                  for r in races]  # fmt: skip
        rows = [(r, p) for r in others for p in r.wall if not p.startswith("fastjag")]
        fig = Figure(figsize=(19, max(9, 0.28 * len(rows) + 1.5)), layout="constrained")
        left, right = fig.subplots(1, 2)
        _draw_jobs(left, sections.get("spectrum", []), limits, f"{EVENTS:,} events")
        ratios = [r.ratio(p) for r, p in rows]
        colors = [THEIRS if x >= 1 else FASTER for x in ratios]
        bars = right.barh(range(len(rows)), ratios, color=colors)
        right.bar_label(bars, [f"{x:.1f}" for x in ratios], padding=3, fontsize=9)
        right.set_yticks(range(len(rows)), [f"{r.work} · {p}" for r, p in rows], fontsize=8)
        right.axvline(1, color=OURS, lw=1.5)
        for i, (race, _) in enumerate(rows):
            if race.moved:  # what memcpy of as many bytes would take
                x = race.moved / limits["memcpy"] * 1e-6 / next(iter(race.time.values()))
                right.plot([x, x], [i - 0.4, i + 0.4], color="k", lw=1.5)
        right.set(xscale="log", ylim=(len(rows) - 0.4, -0.6))
        right.set_xlim(min(0.4, 0.8 * min(ratios, default=1)), 2.5 * max(ratios, default=1))
        right.set_xlabel("Time of the peer / time of fastjag (line: limit of memory)", fontsize=13)
        fig.savefig(path, dpi=75)


def _draw_jobs(ax, races: list[Race], limits: dict[str, float], what: str) -> None:
    labels, y = [], 0.0
    for race in races:
        for name, time in race.time.items():
            color = OURS if name.startswith("fastjag") else THEIRS
            ax.barh(y, time, color=color, height=0.85)
            ax.text(time * 1.05, y, f"{time:,.0f}", va="center", fontsize=9)
            labels.append((y, name))
            y += 1
        ax.text(0.99, y - len(race.wall) - 0.62, race.work, ha="right", va="bottom", fontsize=10,
                transform=ax.get_yaxis_transform())  # fmt: skip
        if race.moved:
            limit = race.moved / limits["read"] * 1e-6
            ax.plot([limit] * 2, [y - len(race.wall) - 0.5, y - 0.5], color="k", lw=1.5)
        y += 1.1
    ax.set_yticks([at for at, _ in labels], [name for _, name in labels], fontsize=8)
    ax.set(xscale="log", ylim=(y - 1, -1.3), xlim=(None, 2 * ax.get_xlim()[1]))
    ax.set_xlabel(f"Time for {what} [ms], start-up subtracted (line: reading the numbers)",
                  fontsize=13)  # fmt: skip


def publish(sections: dict[str, list[Race]], limits: dict[str, float]) -> None:
    """Write docs/benchmarks.json, .md (below its mark) and .png."""
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
        f"![Times and ratios](benchmarks.png)\n\n{table(sections)}\n"
    )
    draw(sections, limits, DOCS / "benchmarks.png")


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
    style = {"font.size": 13, "mathtext.cal": "sans", "ytick.minor.visible": False}
    with mpl.style.context([mplhep.style.CMS, style]):
        fig = Figure(figsize=(12, 0.34 * sum(len(r.wall) + 1 for r in races) + 1.5),
                     layout="constrained")  # fmt: skip
        _draw_jobs(fig.subplots(), races, limits, "all jets")
        fig.savefig(DOCS / "benchmarks_jets.png", dpi=75)
    page = (DOCS / "benchmarks.md").read_text()
    head, rest = page.split("<!-- jets -->")
    tail = rest.split("<!-- /jets -->")[1]
    (DOCS / "benchmarks.md").write_text(
        f"{head}<!-- jets -->\n\n{record['date']}, `{record['command']}`, {record['machine']}; read: "
        f"{limits['read']:.1f} GB/s in the same run.\n\n![Times of jobs on jets]"
        f"(benchmarks_jets.png)\n\n{table({'jets': races})}\n\n<!-- /jets -->{tail}"
    )
