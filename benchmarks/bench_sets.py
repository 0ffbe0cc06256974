"""sets: a pyramid-match machine trained on events that no matrix of all pairs could hold.

Run by itself, it trains once and prints time and memory of the process:
python benchmarks/bench_sets.py 50000
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from sklearn.svm import SVC

import fastjag as fj
from fastjag.models.pyramid_classifiers import PyramidLinear, SumOfPyramids

LEVELS = 6
EXTENT = {"log_pt": (3.0, 7.0), "eta": (-5.0, 5.0), "phi": (-np.pi, np.pi)}
EVENTS = 50_000

# Five classes: mean numbers of jets and leptons, width in eta of the jets, pt scale of photons.
_JETS, _LEPTONS = np.array([0.8, 2.3, 1.2, 1.2, 5.0]), np.array([0.02, 0.02, 0.5, 0.3, 0.6])
_ETA, _PT = np.array([1.4, 2.8, 1.3, 1.3, 0.9]), np.array([30.0, 55.0, 60.0, 60.0, 80.0])


def events(n: int, seed: int) -> tuple[dict[str, fj.Jagged], np.ndarray]:
    """Photons, leptons and jets of ``n`` events, and their classes."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 5, n)

    def particles(counts: np.ndarray, pt: np.ndarray, eta: np.ndarray) -> fj.Jagged:
        of = np.repeat(y, counts)
        columns = {
            "log_pt": np.log(25 + rng.exponential(pt[of])),
            "eta": rng.normal(0, eta[of]),
            "phi": rng.uniform(-np.pi, np.pi, len(of)),
        }
        return fj.Jagged.from_counts(counts, {k: v.astype("f4") for k, v in columns.items()})

    return {
        "photon": particles(np.full(n, 2), _PT, np.full(5, 1.0)),
        "lep": particles(rng.poisson(_LEPTONS[y]), np.full(5, 30.0), np.full(5, 1.2)),
        "jet": particles(rng.poisson(_JETS[y]), np.full(5, 35.0), _ETA),
    }, y


def peak_memory() -> float:
    """Of this process [MB]; what resource.getrusage says begins with the parent's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def machine() -> PyramidLinear:
    kernel = fj.PyramidMatch(LEVELS, EXTENT, circular=["phi"])
    return PyramidLinear(dict.fromkeys(("photon", "lep", "jet"), kernel))


def alone(n: int) -> dict[str, float]:
    """Train on ``n`` events and judge 5,000 others, in this process."""
    X, y = events(n, 1)
    new, truth = events(5_000, 2)
    started, cpu = time.perf_counter(), time.process_time()
    model = machine().fit(X, y, progress=False)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    predicted = model.predict(new)
    recall = [(predicted[truth == c] == c).mean() for c in range(5)]
    return {
        "events": n,
        "features": model.pyramids_.transform({t: p[:1] for t, p in X.items()}).shape[1],
        "seconds": seconds,
        "cpu_seconds": cpu,
        "peak_MB": peak_memory(),
        "matrix_MB": 8 * n * n / 1e6,
        "balanced_accuracy": float(np.mean(recall)),
    }


def run() -> list:
    from harness import Race

    races = []
    for n in (5_000, EVENTS):
        done = subprocess.run(
            [sys.executable, __file__, str(n)], capture_output=True, text=True, check=True
        )
        found = json.loads(done.stdout)
        race = Race(
            f"sets: pyramid-match machine on {n:,} events, explicit features, peak "
            f"{found['peak_MB']:.0f} MB (the matrix alone: {found['matrix_MB']:,.0f} MB)"
        )
        race.wall["fastjag"] = found["seconds"] * 1e3
        race.cpu["fastjag"] = found["cpu_seconds"] * 1e3
        if n == 5_000:
            X, y = events(n, 1)
            started, cpu = time.perf_counter(), time.process_time()
            SVC(kernel="precomputed").fit(SumOfPyramids(machine().kernels).gram(X), y)
            name = "matrix and SVC (libsvm)"
            race.wall[name] = (time.perf_counter() - started) * 1e3
            race.cpu[name] = (time.process_time() - cpu) * 1e3
        else:
            race.absent["matrix and SVC (libsvm)"] = f"{found['matrix_MB'] / 1e3:.0f} GB"
        races.append(race)
    return races


if __name__ == "__main__":
    print(json.dumps(alone(int(sys.argv[1]) if len(sys.argv) > 1 else EVENTS)))
