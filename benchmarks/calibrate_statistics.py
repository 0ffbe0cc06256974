"""Whether intervals cover what they promise, and whether backgrounds are biased: docs/statistics.md.

Usage: python benchmarks/calibrate_statistics.py [coverage bias] [--toys 1000] [--seed 1]

Prints the tables of that page in Markdown, and ends with 1 where a number is outside of what it promises. Every
number follows from the seed.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # fits of many spectra are many small products

import argparse
import platform
import sys
import time

import numpy as np

from fastjag.statistics import BinnedModel, Family, Window, fit_signal, interval
from fastjag.statistics.intervals import ratio_p

SEARCH = Window(5, 9, 10.6, 16, sr_edges=12)  # GeV; that of the dimuon search
COARSE = Window(5, 9, 10.6, 16, sr_edges=4)
LEVELS = (0.6827, 0.95)
EVENTS = (5, 20, 100, 1_000, 10_000)
FEW = (5, 20)
TRUTHS = {
    "exp(-m/3)": lambda m: np.exp(-m / 3),
    "exp(-m/2) + 0.05 exp(-m/8)": lambda m: np.exp(-m / 2) + 0.05 * np.exp(-m / 8),
    "m^-4": lambda m: m**-4.0,
    "m^-4 / (1 + exp(-(m - 7.5)/1.33))": lambda m: m**-4.0 / (1 + np.exp(-(m - 7.5) / 1.33)),
    "(16.5 - m)^2": lambda m: (16.5 - m) ** 2,
}
SINGLE = [("legendre", 3), ("legendre", 5), ("bernstein", 4), ("exponential", 1), ("exponential", 2),
          ("power", 1), ("power", 2), ("inverse", 3), ("dijet", 2), ("dijet", 3)]  # fmt: skip
#: What is profiled: all of these.
CHOICES = [
    Family(name, order)
    for name, orders in {"legendre": range(2, 7), "bernstein": range(2, 7), "exponential": range(1, 5),
                         "power": range(1, 5), "inverse": range(1, 5), "dijet": range(2, 5)}.items()
    for order in orders
]  # fmt: skip


def expectation(model, shape, events):
    """Exact integrals over the bins, of so many events in all."""
    x, weight = np.polynomial.legendre.leggauss(20)
    half, middle = (model.high - model.low)[:, None] / 2, (model.high + model.low)[:, None] / 2
    e = (weight * shape(middle + half * x) * half).sum(axis=1)
    return events * e / e.sum()


def coverage(toys, seed):
    """Share of toys whose interval holds the true signal, sqrt(n) of n events in the signal region."""
    failures = []
    print("| events in the signal region | signal | interval | 68.3 % | 95 % | error |")
    print("|---|---|---|---|---|---|")
    model = BinnedModel.of_window(COARSE, Family("exponential", 1))
    for n in EVENTS:
        signal = np.sqrt(n)
        e = expectation(model, TRUTHS["exp(-m/3)"], 1.0)
        e = e / e[-1] * (n - signal)
        e[-1] += signal
        drawn = np.random.default_rng([seed, n]).poisson(e, (toys, len(e))).astype(float)
        error = [np.sqrt(level * (1 - level) / toys) for level in LEVELS]
        rows = {}
        held = []
        for level in LEVELS:
            found = interval(model, drawn, level)
            held.append(((found.low <= signal) & (signal <= found.high)).mean())
        rows["profile likelihood"] = held
        if n in FEW:
            p = ratio_p(model, drawn, signal, toys=400, seed=seed)
            rows["Feldman and Cousins"] = [(p > 1 - level).mean() for level in LEVELS]
        for name, shares in rows.items():
            print(f"| {n:,} | {signal:.1f} | {name} | {100 * shares[0]:.1f} % | {100 * shares[1]:.1f} % | "
                  f"{100 * error[0]:.1f}, {100 * error[1]:.1f} % |", flush=True)  # fmt: skip
            for level, share, size in zip(LEVELS, shares, error, strict=True):
                # Of few events the profile is an approximation; toys are what has to hold.
                wrong = abs(share - level) > 3 * size
                if wrong and not (n in FEW and name == "profile likelihood"):
                    failures.append(f"coverage {name}, {n} events, {level}: {share:.3f}")
    return failures


def bias(toys, seed, events=20_000, sigmas=(0, 3)):
    """Mean of S - true over the mean error, of single families and of profiling, for each truth."""
    failures = []
    names = [*(f"{name} {order}" for name, order in SINGLE), "profiled"]
    print("| truth | signal | " + " | ".join(names) + " |")
    print("|---" * (len(names) + 2) + "|")
    base = BinnedModel.of_window(SEARCH, Family("legendre", 3))
    every = [base.with_family(family) for family in CHOICES]
    for number, (name, shape) in enumerate(TRUTHS.items()):
        e = expectation(base, shape, events)
        for strength in sigmas:
            true = strength * np.sqrt(e[-1])
            rng = np.random.default_rng([seed, number, strength])
            drawn = rng.poisson(e + true * base.signal, (toys, len(e))).astype(float)
            pulls = []
            for models in (*(base.with_family(Family(*f)) for f in SINGLE), every):
                found = fit_signal(models, drawn)
                pulls.append((found.S - true).mean() / found.error.mean())
            shown = " | ".join(f"{p:+.2f}" for p in pulls)
            print(f"| {name} | {strength} sigma | {shown} |", flush=True)
            if abs(pulls[-1]) > 0.2:
                failures.append(f"bias of profiling, {name}, {strength} sigma: {pulls[-1]:+.2f}")
    print(f"\nThe error of a mean is {1 / np.sqrt(toys):.2f}.")
    return failures


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "parts", nargs="*", default=["coverage", "bias"], choices=["coverage", "bias"]
    )
    parser.add_argument("--toys", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    start, failures = time.time(), []
    if "coverage" in given.parts:
        failures += coverage(given.toys, given.seed)
        print()
    if "bias" in given.parts:
        failures += bias(max(given.toys // 2, 2), given.seed)
    print(
        f"\n{time.time() - start:.0f} s, Python {platform.python_version()}, NumPy {np.__version__}"
    )
    for failure in failures:
        print(f"outside: {failure}", file=sys.stderr)
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
