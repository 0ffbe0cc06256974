"""The look-elsewhere effect over all that the dimuon search tries, from null searches of toys that train again.

    make bench BENCH=elsewhere
    python benchmarks/bench_elsewhere.py [number of null searches, 200 [processes, one for each CPU]]

About 6 s of CPU for each, 20 minutes in all on one free core. Finished ones stay in benchmarks/out/elsewhere/kept, so that the same command
goes on after an interrupt. Prints the table for docs/statistics.md and draws docs/elsewhere.png. Half of the null searches
are compared with the other half: their global p has to be uniform.
"""

from __future__ import annotations

import os

os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # small networks: threads take longer together than one

import sys
import time
from pathlib import Path

import numpy as np
from harness import OUT, Race
from scipy import stats

from fastjag import batch
from fastjag.analyses.dimuon.elsewhere import look_elsewhere, toy_nulls
from fastjag.analyses.dimuon.results import DimuonResults
from fastjag.analyses.dimuon.toys import CONFIG, search_pairs, toy_events
from fastjag.reporting.plots import BLUE, RED, figure, save

TOY_EVENTS, SIGNAL, NULLS = 80_000, 270, 200
DOCS = Path(__file__).parents[1] / "docs"


def search() -> DimuonResults:
    """The search of toys with a signal of the published size, in which all is looked at."""
    folder = OUT / "elsewhere" / "search"
    results = DimuonResults(CONFIG, folder)
    if not (folder / "significance" / "significance.json").exists():
        search_pairs(toy_events(TOY_EVENTS, signal=SIGNAL, seed=1), CONFIG, folder)
    return results


def uniform(maxima: np.ndarray) -> float:
    """p-value (Kolmogorov and Smirnov, of two samples) that the global p of every second null search is uniform.

    It is counted among the others, which are a sample themselves: a comparison with a uniform distribution
    would take their fluctuations for a deviation.
    """
    return float(stats.ks_2samp(maxima[::2], maxima[1::2]).pvalue)


def picture(record: dict) -> None:
    with figure(9, 6) as (fig, ax):
        top = max(4.0, *record["maxima"], record["Z"]) + 0.5
        counts, *_ = ax.hist(record["maxima"], np.linspace(0, top, 41), color=BLUE, alpha=0.7,
                label=f"{record['experiments']} searches without a signal")  # fmt: skip
        ax.axvline(record["Z"], color=RED, lw=2, label=f"with a signal: {record['Z']:.1f}")
        ax.set(xlabel="Largest local significance of a search", ylabel="Searches")
        ax.set_ylim(0, 1.35 * counts.max())  # room for the legend
        ax.legend(loc="upper left")
    save(fig, DOCS / "elsewhere.png")


def run(nulls: int = NULLS, processes: int | None = None) -> list[Race]:
    results, start = search(), time.perf_counter()
    workers = batch.processes(processes or len(os.sched_getaffinity(0)))
    keep = OUT / "elsewhere" / "kept"
    record = look_elsewhere(
        [results], toy_nulls(TOY_EVENTS, seed=10_000), nulls, keep=keep, executor=workers, seed=1
    )
    maxima = np.asarray(record["maxima"])
    print(
        "| null searches | median of the largest Z | 95 % | local Z | global p | global Z | p uniform |"
    )
    print("|---|---|---|---|---|---|---|")
    print(f"| {nulls} | {np.median(maxima):.2f} | {np.quantile(maxima, 0.95):.2f} | {record['Z']:.2f} | "
          f"{record['p_global']:.3g} ({record['p_low']:.2g} to {record['p_high']:.2g}) | "
          f"{record['Z_global']:.2f} | {uniform(maxima):.2f} |")  # fmt: skip
    picture(record)
    race = Race(f"{nulls} null searches of {TOY_EVENTS:,} toys", waits=True)
    race.wall["fastjag"] = 1e3 * (time.perf_counter() - start)
    return [race]


if __name__ == "__main__":
    run(*map(int, sys.argv[1:]))
