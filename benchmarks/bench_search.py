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
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
from harness import OUT, Race
from scipy import stats

from fastjag.analyses.dimuon.config import DimuonConfig
from fastjag.analyses.dimuon.run import STAGES
from fastjag.analyses.dimuon.run import run as run_stages
from fastjag.analyses.dimuon.toys import search_events, toy_events, write_search
from fastjag.models.fold_scores import TreeSettings

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


def signal_toy(seed: int) -> dict[str, float]:
    """Highest significances in one toy with signal, and what must not be there."""
    import torch

    torch.set_num_threads(1)
    events = toy_events(TOY_EVENTS, signal=SIGNAL, seed=seed)
    settings = TreeSettings.preset("fast", members=20)
    found = search_events(
        events, flow_seeds=(2 * seed, 2 * seed + 1), classifier=settings, seed=seed, check=True
    )
    result = {"inclusive": float(found["OS"].inclusive.Z)}
    result |= {f"{name} cut": float(c.result.Z.max()) for name, c in found["OS"].curves.items()}
    for name, one in found.items():
        result[f"{name} reweighting"] = float(one.reweighted.Z)
    curve = found["SS"].curves["classifier"]
    result["SS classifier at 10 %"] = float(curve.result.Z[np.abs(curve.rates - 0.1).argmin()])
    closure = found["OS"].closure
    assert closure is not None
    result["sideband AUC"] = closure.auc
    return result


def null_toy(seed: int) -> list[float]:
    """Z at each of NULL_RATES, and of the reweighting, without signal."""
    import torch

    torch.set_num_threads(1)
    found = search_events(
        toy_events(TOY_EVENTS, seed=seed), flow_seeds=(seed,), seed=seed, rates=NULL_RATES,
        classifier=TreeSettings.preset("fast", members=1),
    )["OS"]  # fmt: skip
    return [*found.curves["classifier"].result.Z, float(found.reweighted.Z)]


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
