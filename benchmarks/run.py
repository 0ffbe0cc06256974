"""Run every benchmark on one thread; write docs/benchmarks.json, .md and .png.

make bench
"""

from __future__ import annotations

import os

os.environ["FASTJAG_NUM_THREADS"] = "1"  # before the first kernel, in this process only

import argparse
import datetime
import importlib
import json
import platform
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import mplhep
import numpy as np
from harness import Race, race

from fastjag import __version__, kernels

WORDS = ("padding", "aggregate", "select", "dimuon", "nearest", "pyramid", "histogram",
         "histogram_cuts", "spectrum")  # fmt: skip
DOCS = Path(__file__).parent.parent / "docs"


def memory() -> dict[str, float]:
    """What the machine can do in this run [GB/s]: copy, read, and fill fresh memory."""
    n = 50_000_000
    x, y = np.ones(n, np.float32), np.ones(n, np.float32)
    limits = race(
        "memory",
        {
            "memcpy": lambda: np.copyto(y, x),
            "read": lambda: x.max(),
            "fresh fill": lambda: np.full(n, 1, np.float32),
        },
        lambda a, b: None,
    )
    moved = {"memcpy": 8 * n, "read": 4 * n, "fresh fill": 4 * n}  # bytes, without write-allocate
    return {name: moved[name] / ms * 1e-6 for name, ms in limits.wall.items()}


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return platform.processor()


def table(races: list[Race]) -> str:
    lines = [
        "| work | candidate | wall [ms] | CPU [ms] | fastjag is |",
        "|---|---|---:|---:|---:|",
    ]
    for r in races:
        for name in r.wall:
            ours = name.startswith("fastjag")
            faster = "" if ours else f"**{r.ratio(name):.1f}x** faster"
            lines.append(
                f"| {r.work} | {name} | {r.wall[name]:.1f} | {r.cpu[name]:.1f} | {faster} |"
            )
    return "\n".join(lines)


def draw(races: list[Race], path: Path) -> None:
    rows = [(r.work, peer, r.ratio(peer)) for r in races for peer in r.wall
            if not peer.startswith("fastjag")]  # fmt: skip
    plt.style.use([mplhep.style.CMS, {"font.size": 13, "mathtext.cal": "sans"}])
    fig, ax = plt.subplots(figsize=(12, 0.45 * len(rows) + 1.5), layout="constrained")
    bars = ax.barh(range(len(rows)), [x for *_, x in rows], color="#3f90da")
    ax.bar_label(bars, [f"{x:.1f}x" for *_, x in rows], padding=3, fontsize=12)
    ax.set_yticks(
        range(len(rows)), [f"{work}\nagainst {peer}" for work, peer, _ in rows], fontsize=9
    )
    ax.axvline(1, color="k", lw=1)
    ax.set(xscale="log", xlim=(0.8, 150), xlabel="How many times faster fastjag is, one thread")
    ticks = [1, 2, 5, 10, 20, 50, 100]
    ax.set_xticks(ticks, [str(x) for x in ticks])
    ax.minorticks_off()
    ax.invert_yaxis()
    fig.savefig(path, dpi=90)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="*", default=WORDS, help="benchmarks to run")
    words = parser.parse_args().words
    matplotlib.use("Agg")
    races = []
    for word in words:
        print(f"{word} ...", flush=True)
        races += importlib.import_module(f"bench_{word}").run()
    limits = memory()
    print(table(races))
    if tuple(words) != WORDS:
        return  # the published page has all of them
    simd = kernels.build_info()["SIMD"]
    machine = f"{processor()}, {os.cpu_count()} cores, kernels for {simd}, fastjag {__version__}"
    record = {
        "date": datetime.date.today().isoformat(),
        "command": "make bench",
        "machine": machine,
        "memory GB/s": limits,
        "races": [vars(r) for r in races],
    }
    (DOCS / "benchmarks.json").write_text(json.dumps(record, indent=1) + "\n")
    page = (DOCS / "benchmarks.md").read_text()
    head = page.split("<!-- measured -->")[0]
    measured = (
        f"<!-- measured -->\n\n{record['date']}, `make bench`, {machine}. Memory in the same run: "
        + ", ".join(f"{name} {x:.1f} GB/s" for name, x in limits.items())
        + f".\n\n![Ratios](benchmarks.png)\n\n{table(races)}\n"
    )
    (DOCS / "benchmarks.md").write_text(head + measured)
    draw(races, DOCS / "benchmarks.png")


if __name__ == "__main__":
    main()
