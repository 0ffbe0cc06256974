"""How time grows with events and shrinks with threads: kernels in memory, and the spectrum job."""

import os

import numpy as np
from bench_spectrum import check
from harness import Race, race, toy_muons
from programs import race_programs, root, script

import fastjag as fj

SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
AXIS = (400, 0.0, 200.0)


def several(muons: fj.Jagged, n: int) -> fj.Jagged:
    """The muons again and again until there are n events."""
    times = -(-n // len(muons))
    columns = {name: np.tile(muons[name], times) for name in muons.columns}
    return fj.Jagged.from_counts(np.tile(muons.counts, times), columns)[:n]


def run() -> list[Race]:
    races = []
    cores = len(os.sched_getaffinity(0))
    muons = toy_muons(1_000_000)
    for n in SIZES:
        some = several(muons, n)
        mass = fj.dimuon(some, fields=("mass",)).mass
        padded = some.pad(4, ["pt", "eta", "phi"])
        kernels = {
            "pad 3 columns to (N, 4, 3), out=": lambda t, some=some, out=padded: some.pad(
                4, ["pt", "eta", "phi"], out=out, threads=t
            ).values,
            "aggregate: sum of 1 column": lambda t, some=some: some.aggregate(
                "pt", ["sum"], threads=t
            )["sum"],
            "dimuon mass": lambda t, some=some: fj.dimuon(some, fields=("mass",), threads=t).mass,
            "histogram of the masses": lambda t, mass=mass: fj.histogram(
                mass, AXIS, threads=t
            ).values(),
        }  # fmt: skip
        for work, kernel in kernels.items():
            candidates = {
                f"fastjag, {t} thread{'s' * (t > 1)}": lambda t=t, kernel=kernel: kernel(t)
                for t in sorted({1, cores})
            }
            races.append(race(f"{work}, {n:.0e} events", candidates, np.testing.assert_array_equal))
    for n in (100_000, 500_000):
        programs = {"fastjag": script("spectrum_fastjag"), "ROOT TTreeReader": root("tree_reader")}
        work = f"file to dimuon spectrum, zstd, {n:.0e} events"
        races.append(race_programs(work, programs, "zstd", check, n))
    return races
