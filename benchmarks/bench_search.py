"""The dimuon search: what its stages cost, and what it finds in toys, with and without a signal.

    make bench BENCH=search
    python benchmarks/bench_search.py stages | signal | null [number of toys]

Half an hour on two free cores: not part of ``make bench`` without a name.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from harness import OUT, Race
from scipy import stats

from fastjag.analyses.dimuon.config import (
    ClassifierSection,
    DimuonConfig,
    FlowSection,
    SignificanceSettings,
)
from fastjag.analyses.dimuon.run import STAGES
from fastjag.analyses.dimuon.run import run as run_stages
from fastjag.analyses.dimuon.toys import CONFIG, FITS, search_pairs, toy_events, write_search

EVENTS = 135_000  # of which 20,000 opposite-sign pairs are in the window after all cuts
TOY_EVENTS = 80_000  # yields of the publication
SIGNAL = 270  # of which 97 pass
NULL_RATES = (1.0, 0.3, 0.1, 0.03, 0.01)


def stages() -> list[Race]:
    """The publication's configuration: 5 flows x 400 epochs, 5 x 100 classifiers, all fits."""
    folder = OUT / "search"
    shutil.rmtree(folder, ignore_errors=True)
    config = write_search(folder / "toys.root", EVENTS, signal=450, seed=1)
    text = config.read_text().replace('preset = "fast"', 'preset = "paper"')
    config.write_text(text.replace("seeds = [1, 2]", "seeds = [1, 2, 3, 4, 5]"))
    search = DimuonConfig.read(config)
    race = Race(f"publication's configuration, {EVENTS:,} toys")
    for stage in STAGES:
        wall, cpu = time.perf_counter(), time.process_time()
        results = run_stages(search, folder, [stage])
        race.wall[f"fastjag: {stage}"] = 1e3 * (time.perf_counter() - wall)
        race.cpu[f"fastjag: {stage}"] = 1e3 * (time.process_time() - cpu)
        print(f"{stage}: {race.wall[f'fastjag: {stage}'] / 1e3:.1f} s", flush=True)
    n = len(results.pairs("OS"))
    race.work = f"publication's configuration, {n:,} opposite-sign pairs"
    race.wall["fastjag: all"] = sum(race.wall.values())
    race.cpu["fastjag: all"] = sum(race.cpu.values())
    return [race]


def search_toy(
    seed: int, signal: int, flows: tuple[int, ...], members: int, fits: SignificanceSettings = FITS,
    **options: Any,
) -> Any:  # fmt: skip
    """What the search of one toy leaves: significances, and the closure of its sidebands."""
    import torch

    torch.set_num_threads(1)
    config = replace(
        CONFIG, seed=seed, significance=fits, flow=FlowSection(preset="fast", seeds=flows),
        classifier=ClassifierSection(preset="fast", settings={"members": members}),
    )  # fmt: skip
    with TemporaryDirectory() as folder:
        pairs = toy_events(TOY_EVENTS, signal=signal, seed=seed)
        results = search_pairs(pairs, config, Path(folder) / "search", **options)
        return results.significance, results.json("check", "closure")


def signal_toy(seed: int) -> dict[str, float]:
    """Highest significances in one toy with signal, and what must not be there."""
    record, closure = search_toy(seed, SIGNAL, (2 * seed, 2 * seed + 1), 20, closure=True)
    result = {"inclusive": record["table"][0]["Z"]}
    curves = {name: c for name, c in record["OS"]["curves"].items() if name != "random"}
    result |= {f"{name} cut": max(curve["Z"]) for name, curve in curves.items()}
    for name in ("OS", "SS"):
        result[f"{name} reweighting"] = record[name]["reweighted"]["Z"]
    (result["SS classifier at 10 %"],) = Z_at(record["SS"]["curves"]["classifier"], [0.1])
    result["sideband AUC"] = closure["both sidebands"]["auc"]
    return result


def null_toy(seed: int) -> list[float]:
    """Z at each of NULL_RATES, and of the reweighting, without signal."""
    record = search_toy(seed, 0, (seed,), 1, replace(FITS, rates=NULL_RATES))[0]["OS"]
    return [*Z_at(record["curves"]["classifier"], NULL_RATES), record["reweighted"]["Z"]]


def Z_at(curve: dict[str, Any], rates: Sequence[float]) -> list[float]:
    """Nearest to these shares of the sidebands."""
    return [curve["Z"][np.abs(np.subtract(curve["rates"], rate)).argmin()] for rate in rates]


def half_normal(Z: np.ndarray, seed: int = 1) -> tuple[float, float]:
    """Share of zeros, and p-value (Kolmogorov and Smirnov) of Z being 0 or half-normal.

    Zeros stand for p-values between 0.5 and 1, from which they are drawn.
    """
    p = np.where(Z > 0, stats.norm.sf(Z), np.random.default_rng(seed).uniform(0.5, 1, len(Z)))
    return float((Z == 0).mean()), float(stats.kstest(p, "uniform").pvalue)


def _toys(function, seeds) -> list:
    workers = len(os.sched_getaffinity(0))
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return list(pool.map(function, seeds))


def signal(n: int = 10) -> None:
    found = _toys(signal_toy, range(1, n + 1))
    print(f"| with signal | median of {n} | lowest | highest |\n|---|---:|---:|---:|")
    for name in found[0]:
        values = [f[name] for f in found]
        print(f"| {name} | {np.median(values):.3f} | {min(values):.3f} | {max(values):.3f} |")
    ahead = [f["classifier cut"] - f["inclusive"] for f in found]
    print(
        f"| classifier cut - inclusive | {np.median(ahead):.3f} | {min(ahead):.3f} | {max(ahead):.3f} |"
    )


def null(n: int = 200) -> None:
    report_null(np.array(_toys(null_toy, range(1001, 1001 + n))))


def report_null(Z: np.ndarray) -> None:
    print(f"| without signal, {len(Z)} toys | Z = 0 | Z > 1 | Z > 2 | highest | p of half-normal |")
    print("|---|---:|---:|---:|---:|---:|")
    names = ["inclusive", *(f"classifier at {r:.0%}" for r in NULL_RATES[1:]), "reweighting"]
    for name, values in zip(names, Z.T, strict=True):
        zeros, p = half_normal(values)
        print(f"| {name} | {zeros:.1%} | {(values > 1).mean():.1%} | {(values > 2).mean():.1%} "
              f"| {values.max():.2f} | {p:.2f} |")  # fmt: skip


def run() -> list[Race]:
    signal()
    null()
    return stages()


if __name__ == "__main__":
    if sys.argv[1:2] == ["stages"]:
        import report

        print(report.table({"search": stages()}))
    else:
        {"signal": signal, "null": null}[sys.argv[1]](*map(int, sys.argv[2:]))
