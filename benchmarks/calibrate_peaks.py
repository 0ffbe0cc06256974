"""Whether fit_peak says the truth: pulls of its parameters over toys, for each shape and background.

Usage: python benchmarks/calibrate_peaks.py [--toys 500] [--processes 2] [--seed 1] [--likelihood binned]

Prints the table of docs/peaks.md, and ends with 1 where a mean is not within 0.1 of zero or a width not
between 0.9 and 1.1. The Crystal Ball on a polynomial is judged with its tails fixed to their true values, as
docs/peaks.md recommends; with free tails it is printed only. Every number follows from the seed, whatever the number of processes.
"""

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
from calibrate_scan import processor

WINDOW = (2.8, 3.4)  # GeV
BINS = 60
SLOPE = 2.0  # 1 / GeV
#: The true values of each shape; powers of the Crystal Ball are fixed, as fit_peak does.
TRUE = {
    "gaussian": {"mass": 3.097, "width": 0.03},
    "crystal-ball": {"mass": 3.097, "width": 0.03, "alpha_left": 1.2, "alpha_right": 1.6},
    "voigt": {"mass": 3.097, "width": 0.02, "gamma": 0.03},
}
EVENTS, BELOW = 3000, 3000
POLYNOMIAL = (0.5, 0.3, 0.2)  # parts of the Bernstein polynomials of degree 2
CASES = [
    (shape, background, way)
    for background, way in (
        ("exponential", "binned"),
        ("polynomial", "binned"),
        ("exponential", "unbinned"),
    )
    for shape in TRUE
]
FREE_TAILS = ("crystal-ball, free tails", "polynomial", "binned")  # beyond what the data can tell
CASES.insert(CASES.index(("crystal-ball", "polynomial", "binned")) + 1, FREE_TAILS)


def inside(draw, n, rng):
    """n values of ``draw(size)`` in the window."""
    kept = np.empty(0)
    while len(kept) < n:
        more = draw(2 * n + 10)
        kept = np.append(kept, more[(more > WINDOW[0]) & (more < WINDOW[1])])
    return kept[:n]


def toy(shape, background, rng, events=EVENTS, below=BELOW):
    """Masses: Poisson numbers of peak and background in the window, without any code of the fit."""
    true = TRUE[shape]
    mass, width = true["mass"], true["width"]

    def gaussian(n):
        return rng.normal(mass, width, n)

    def voigt(n):
        return gaussian(n) + true["gamma"] / 2 * rng.standard_cauchy(n)

    def crystal_ball(n):
        # Tails by the inverse of their integrals, from the heights at which they meet the core.
        from scipy import special

        n_tail, alphas = 3.0, np.array([true["alpha_left"], true["alpha_right"]])
        areas = n_tail / (alphas * (n_tail - 1)) * np.exp(-(alphas**2) / 2)
        edges = special.ndtr([-true["alpha_left"], true["alpha_right"]])
        core = np.sqrt(2 * np.pi) * np.diff(edges)[0]
        part = rng.choice(3, n, p=np.array([*areas, core]) / (sum(areas) + core))
        t = special.ndtri(rng.uniform(*edges, n))
        for i, (alpha, sign) in enumerate(((true["alpha_left"], -1), (true["alpha_right"], 1))):
            u = rng.random(n) ** (-1 / (n_tail - 1))  # (1 + alpha (t - alpha) / n)
            t = np.where(part == i, sign * (alpha + n_tail / alpha * (u - 1)), t)
        return mass + width * t

    draw = {"gaussian": gaussian, "voigt": voigt, "crystal-ball": crystal_ball}[shape]
    n = rng.poisson(below)
    if background == "exponential":
        length = WINDOW[1] - WINDOW[0]
        rest = WINDOW[0] - np.log1p(rng.random(n) * np.expm1(-SLOPE * length)) / SLOPE
    else:
        i = rng.choice(3, n, p=POLYNOMIAL)
        rest = WINDOW[0] + (WINDOW[1] - WINDOW[0]) * rng.beta(i + 1, 3 - i)
    return np.append(inside(draw, rng.poisson(events), rng), rest)


def pulls(task):
    """{name: (fit - true) / error} of one toy, its p-value and whether it is valid."""
    import fastjag as fj

    shape, background, way, seed, number, events, below = task
    shape, _, free = shape.partition(", ")
    fixed = {}
    if shape == "crystal-ball" and background == "polynomial" and not free:
        fixed = {name: TRUE[shape][name] for name in ("alpha_left", "alpha_right")}
    rng = np.random.default_rng([seed, list(TRUE).index(shape), background == "polynomial", number])
    masses = toy(shape, background, rng, events, below)
    data = masses if way == "unbinned" else np.histogram(masses, np.linspace(*WINDOW, BINS + 1))
    fit = fj.fit_peak(data, WINDOW, shape=shape, background=background, fixed=fixed)
    true = {k: v for k, v in TRUE[shape].items() if k not in fixed} | {"events": events}
    found = {n: (fit.parameters[n][0] - v) / (fit.parameters[n][1] or np.nan) for n, v in true.items()}  # fmt: skip
    found["background"] = (fit.background - below) / fit.background_error
    return found, fit.p_value, fit.valid


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--toys", type=int, default=500)
    parser.add_argument("--likelihood", choices=("binned", "unbinned"), help="default: both")
    parser.add_argument("--background", choices=("exponential", "polynomial"), help="default: both")
    parser.add_argument("--shape", choices=tuple(TRUE), help="default: all")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # of the processes
    start, failures = time.time(), []
    print("| shape | background | likelihood | parameter | mean of the pulls | width | toys |")
    print("|---|---|---|---|---|---|---|", flush=True)
    with ProcessPoolExecutor(given.processes, mp_context=get_context("spawn")) as pool:
        for case in CASES:
            wanted = (given.shape, given.background, given.likelihood)
            named = (case[0].split(",")[0], *case[1:])
            if any(w not in (None, c) for w, c in zip(wanted, named, strict=True)):
                continue
            tasks = [(*case, given.seed, i, EVENTS, BELOW) for i in range(given.toys)]
            done = list(pool.map(pulls, tasks, chunksize=10))
            for name in done[0][0]:
                # Without toys in which a parameter ended at its limit and has no error.
                pull = np.array([found[name] for found, _, valid in done if valid])
                pull = pull[np.isfinite(pull)]
                mean, width = pull.mean(), pull.std(ddof=1)
                print(f"| {' | '.join(case)} | {name} | {mean:+.3f} | {width:.3f} | {len(pull)} |",
                      flush=True)  # fmt: skip
                if case != FREE_TAILS and not (
                    abs(mean) < 0.1 and 0.9 < width < 1.1 and len(pull) > 0.98 * len(done)
                ):
                    failures.append(f"{case}, {name}: {mean:+.3f}, {width:.3f}, {len(pull)} toys")
            p = np.array([p for _, p, _ in done])
            print(f"| {' | '.join(case)} | p < 0.05 | {(p < 0.05).mean():.1%} | | {len(p)} |")
    print(f"\n{time.time() - start:.0f} s with {given.processes} processes, {processor()}")
    for failure in failures:
        print(f"outside: {failure}", file=sys.stderr)
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
