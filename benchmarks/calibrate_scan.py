"""Whether the mass scan says the truth: bias of its background, its global p-values, injected peaks.

Usage: python benchmarks/calibrate_scan.py [--spectra 200] [--toys 100] [--processes 2] [--seed 1]

Prints three tables in Markdown, those of docs/scan.md, and ends with 1 where a number is outside of what
that page promises. Every number follows from the seed, whatever the number of processes.
"""

import argparse
import os
import platform
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
from scipy import special, stats

LOW, HIGH = 10.0, 100.0  # GeV
SHAPES = {
    "m^-2": lambda m: m**-2.0,
    "m^-3": lambda m: m**-3.0,
    "m^-4": lambda m: m**-4.0,
    "m^-5": lambda m: m**-5.0,
    "m^-6": lambda m: m**-6.0,
    "exp(-m/3)": lambda m: np.exp(-m / 3),
    "m^-3 / (1 + exp(-(m - 15)/3))": lambda m: m**-3 / (1 + np.exp(-(m - 15) / 3)),
}
EVENTS = (1e4, 1e5, 1e6, 3e6, 3e7)
RESOLUTIONS = (0.01, 0.015, 0.02, 0.03, 0.05, 0.1)
DRAWN = [(n, r) for n in (1e4, 1e6, 3e7) for r in (0.015, 0.05)]
STRENGTHS = (3, 4, 5, 6, 7, 8)  # sigma expected: S / sqrt(B) in the window of a peak
SR_BINS, SB_BINS = 4, 12


def spectrum(shape, n, resolution, low=LOW, high=HIGH):
    """Edges of equal ratio, and the exact expectation of their bins for n events."""
    bins = int(np.log(high / low) / np.log1p(resolution))
    edges = low * (1 + resolution) ** np.arange(bins + 1)
    x, weight = np.polynomial.legendre.leggauss(12)
    half, middle = np.diff(edges)[:, None] / 2, (edges[1:] + edges[:-1])[:, None] / 2
    expected = (weight * SHAPES[shape](middle + half * x) * half).sum(axis=1)
    return edges, expected / expected.sum() * n


def sums(bins):
    """Of signal regions, in the order of the windows of a scan."""
    view = np.lib.stride_tricks.sliding_window_view(bins, SR_BINS).sum(axis=-1)
    return view[SB_BINS : len(view) - SB_BINS - 1]


def bias(task):
    """The largest |B - true| / sqrt(true) of usable windows on exact expectations, and their share."""
    from fastjag.statistics import scan_counts

    shape, n, resolution = task
    # Of 10 % there are not enough bins of 10 to 100 GeV for a window.
    low, high = (2.0, 120.0) if resolution == 0.1 else (LOW, HIGH)
    edges, expected = spectrum(shape, n, resolution, low, high)
    scan = scan_counts(expected, edges, toys=1)
    true = sums(expected)
    off = np.abs(scan.B - true) / np.sqrt(true)
    return np.max(off[scan.usable], initial=0.0), scan.usable.mean()


def global_p(task):
    """The global p of the largest Z of one smooth spectrum, its peaks, share of usable windows, seconds."""
    from fastjag.statistics import scan_counts

    n, resolution, number, toys, seed = task
    shape = list(SHAPES)[number % len(SHAPES)]
    edges, expected = spectrum(shape, n, resolution)
    rng = np.random.default_rng([seed, int(n), int(1000 * resolution), number])
    start = time.process_time()
    scan = scan_counts(rng.poisson(expected), edges, toys=toys, seed=number)
    seconds = time.process_time() - start
    return float(scan.global_p(scan.Z.max())), len(scan.peaks), scan.usable.mean(), seconds


def injected(task):
    """(S - true) / error of a peak at 25 GeV in its window, NaN where it is not usable; whether found."""
    from fastjag.statistics import scan_counts

    n, resolution, strength, number, toys, seed = task
    edges, expected = spectrum("m^-3", n, resolution)
    places = np.sqrt(edges[:-SR_BINS] * edges[SR_BINS:])[SB_BINS : -SB_BINS - 1]
    at = int(np.abs(places - 25).argmin())
    peak = np.diff(special.ndtr((edges / places[at] - 1) / resolution))
    true = strength * np.sqrt(sums(expected)[at])
    rng = np.random.default_rng([seed, int(n), int(1000 * resolution), strength, number])
    counts = rng.poisson(expected + peak * true / sums(peak)[at])
    scan = scan_counts(counts, edges, toys=toys, seed=number)
    pull = (scan.S[at] - true) / scan.error[at] if scan.usable[at] else np.nan
    return pull, any(p.low < places[at] < p.high for p in scan.peaks)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spectra", type=int, default=200)
    parser.add_argument("--toys", type=int, default=100)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # of the processes
    start, failures = time.time(), []
    with ProcessPoolExecutor(given.processes, mp_context=get_context("spawn")) as pool:
        failures += biases(pool)
        failures += p_values(pool, given)
        failures += peaks(pool, given)
    print(f"\n{time.time() - start:.0f} s with {given.processes} processes, {processor()}, "
          f"Python {platform.python_version()}, NumPy {np.__version__}")  # fmt: skip
    for failure in failures:
        print(f"outside: {failure}", file=sys.stderr)
    sys.exit(bool(failures))


def biases(pool):
    print("| spectrum | largest bias | usable, n <= 3e6 and resolution <= 0.05 | all |")
    print("|---|---|---|---|")
    tasks = [(s, n, r) for s in SHAPES for n in EVENTS for r in RESOLUTIONS]
    found = dict(zip(tasks, pool.map(bias, tasks, chunksize=4), strict=True))
    failures, every = [], []
    for shape in SHAPES:
        worst = max(found[t][0] for t in tasks if t[0] == shape)
        some = [found[t][1] for t in tasks if t[0] == shape and t[1] <= 3e6 and t[2] <= 0.05]
        whole = np.mean([found[t][1] for t in tasks if t[0] == shape])
        every += some
        print(f"| {shape} | {worst:.3f} | {np.mean(some):.1%} | {whole:.1%} |")
        failures += [f"bias {worst:.3f} of {shape}"] * bool(worst >= 0.2)
    print(f"| all | | {np.mean(every):.1%} | |\n", flush=True)
    return failures + [f"{np.mean(every):.1%} usable"] * bool(np.mean(every) < 0.9)


def p_values(pool, given):
    print("| events | resolution | KS p-value | p < 0.05 | peaks | usable | s per spectrum |")
    print("|---|---|---|---|---|---|---|")
    failures = []
    for n, resolution in DRAWN:
        tasks = [(n, resolution, i, given.toys, given.seed) for i in range(given.spectra)]
        p, found, usable, seconds = np.transpose(list(pool.map(global_p, tasks, chunksize=5)))
        ks, share = stats.kstest(p, "uniform").pvalue, (p < 0.05).mean()
        print(f"| {n:.0e} | {resolution} | {ks:.3f} | {share:.1%} | {int(found.sum())} "
              f"| {usable.mean():.1%} | {seconds.mean():.2f} |", flush=True)  # fmt: skip
        if ks <= 0.001 or not 0.02 <= share <= 0.085:
            failures.append(f"global p of {n:.0e} events, {resolution}: KS {ks:.2g}, {share:.1%}")
    print()
    return failures


def peaks(pool, given):
    print(
        "| expected S / sqrt(B) | mean (S - true) / error | its error | spread | usable | found |"
    )
    print("|---|---|---|---|---|---|")
    failures = []
    for strength in STRENGTHS:
        tasks = [
            (n, r, strength, i, min(given.toys, 50), given.seed)
            for n, r in ((1e5, 0.05), (1e6, 0.015))
            for i in range(given.spectra // 2)
        ]
        pull, found = np.transpose(list(pool.map(injected, tasks, chunksize=5)))
        good = pull[np.isfinite(pull)]
        print(f"| {strength} | {good.mean():+.3f} | {good.std() / np.sqrt(len(good)):.3f} "
              f"| {good.std():.2f} | {len(good) / len(pull):.1%} | {found.mean():.1%} |",
              flush=True)  # fmt: skip
        if not abs(good.mean()) < 0.15:
            failures.append(f"{strength} sigma: mean pull {good.mean():+.3f}")
    return failures


def processor():
    with open("/proc/cpuinfo") as info:
        names = [line.split(":")[1].strip() for line in info if line.startswith("model name")]
    return f"{names[0]} ({len(names)} cores)" if names else platform.processor()


if __name__ == "__main__":
    main()
