"""The work of awkward's study of CUDA backends (scikit-hep/awkward, pull request 3748), by fastjag.

    python benchmarks/bench_awkward_study.py                    # on the GPU; writes docs/benchmarks-study.json
    python benchmarks/bench_awkward_study.py --device cpu --sizes 1e5 --out study.json

Data as in the study: in each event 0 to 10 electrons and as many muons, drawn apart; pt from 10 to 100, eta from
-3 to 3, phi from 0 to 2 pi, uniform, float64, seed 42. Work: electrons with pt > 40, muons with pt > 20 and
|eta| < 2.4; events of which exactly two are left; their mass, without masses of their own. Data lie on the device
when the clock starts, and a synchronisation ends it. Every result is compared with awkward's on the CPU (1e-6).
awkward's own CUDA backend runs beside it where it is installed; where it is not, or fails, a line says why.

Published on an RTX 6000 Ada, 10 million events: awkward on the CPU 2.466 s, on CUDA 0.0700 s, cuda.compute
0.0243 s.
"""

from __future__ import annotations

import argparse
import datetime
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import fastjag as fj
from fastjag.core import devices
from fastjag.reporting.output import new_file

OUT = Path(__file__).parents[1] / "docs" / "benchmarks-study.json"
SIZES = [1e4, 1e5, 1e6, 1e7]
Events = dict[str, fj.Jagged]


def events(n: int) -> Events:
    """In the order of the study's draws: numbers of both, then the columns of each."""
    draws = np.random.RandomState(42)
    counts = {name: draws.randint(0, 11, n) for name in ("electron", "muon")}
    return {
        name: fj.Jagged.from_counts(
            some,
            {column: draws.uniform(low, high, int(some.sum()))
             for column, low, high in (("pt", 10, 100), ("eta", -3, 3), ("phi", 0, 2 * np.pi))},
        )
        for name, some in counts.items()
    }  # fmt: skip


def good(particles: fj.Jagged, name: str) -> Any:
    if name == "electron":
        return particles["pt"] > 40
    return (particles["pt"] > 20) & (abs(particles["eta"]) < 2.4)


def steps(given: Events) -> dict[str, Any]:
    """Cut, pick events, and take the mass of the first and the second."""
    masses = {}
    for name, particles in given.items():
        kept = particles.keep(good(particles, name))
        two = kept[kept.counts == 2]
        first, second = ([two[c][i::2] for c in ("pt", "eta", "phi")] for i in (0, 1))
        masses[name] = fj.pair_mass(*first, *second, mass1=0.0, mass2=0.0)
    return masses


def dimuon(given: Events) -> dict[str, Any]:
    """Cut, pick events, and take all pairs."""
    masses = {}
    for name, particles in given.items():
        kept = particles.keep(good(particles, name))
        two = kept[kept.counts == 2]
        masses[name] = fj.dimuon(two, "any", particle_mass=0.0, fields=["mass"]).mass
    return masses


def fused(given: Events) -> dict[str, Any]:
    """The leading pair of what passes, and then the events of which two do."""
    masses = {}
    for name, particles in given.items():
        mask = good(particles, name)
        pairs = fj.dimuon(particles, "any", mask=mask, particle_mass=0.0, fields=["mass", "event"])
        n = particles.with_columns(keep=mask).aggregate("keep", ["sum"])["sum"]
        masses[name] = pairs.mass[n[pairs.event] == 2]
    return masses


def awkward(given: dict[str, Any]) -> dict[str, Any]:
    """As awkward's arrays, of any backend."""
    import awkward as ak

    masses = {}
    for name, particles in given.items():
        kept = particles[good(particles, name)]
        two = kept[ak.num(kept.pt, axis=1) == 2]
        a, b = two[:, 0], two[:, 1]
        masses[name] = np.sqrt(2 * a.pt * b.pt * (np.cosh(a.eta - b.eta) - np.cos(a.phi - b.phi)))
    return masses


OURS = {"steps": steps, "dimuon": dimuon, "fused": fused}


def seconds(call: Callable[[], Any], wait: Callable[[], Any], rounds: int) -> list[float]:
    """The first call, and then the others in order of their time."""
    times = []
    for _ in range(1 + rounds):
        wait()
        start = time.perf_counter()
        call()
        wait()
        times.append(time.perf_counter() - start)
    return [times[0], *sorted(times[1:])]


def check(found: dict[str, Any], expected: dict[str, Any]) -> None:
    for name, masses in expected.items():
        np.testing.assert_allclose(
            devices.to_host(found[name]), np.asarray(masses), rtol=1e-6, atol=1e-5
        )


def measure(n: int, device: str, rounds: int) -> list[dict[str, Any]]:
    """Every version on so many events; a peer that fails leaves the reason."""
    here = events(n)
    given = {name: particles.to(device) for name, particles in here.items()}
    columns = {name: particles.to_awkward() for name, particles in here.items()}
    expected = awkward(columns)
    wait: Callable[[], Any] = devices.cupy().cuda.Device().synchronize if device == "cuda" else int
    rows: list[dict[str, Any]] = []
    for name, version in OURS.items():
        check(version(given), expected)
        rows.append(row(n, f"fastjag, {name}", seconds(lambda v=version: v(given), wait, rounds)))
    rows.append(row(n, "awkward, cpu", seconds(lambda: awkward(columns), int, min(3, rounds))))
    if device == "cuda":
        try:
            import awkward as ak

            there = {name: ak.to_backend(array, "cuda") for name, array in columns.items()}
            check(
                {k: ak.to_backend(v, "cpu").to_numpy() for k, v in awkward(there).items()}, expected
            )
            rows.append(row(n, "awkward, cuda", seconds(lambda: awkward(there), wait, rounds)))
        except Exception as error:  # noqa: BLE001  whatever its backend lacks
            reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
            rows.append({"events": n, "version": "awkward, cuda", "absent": reason})
    return rows


def row(n: int, version: str, times: list[float]) -> dict[str, Any]:
    return {"events": n, "version": version, "first": times[0], "best": times[1],
            "median": statistics.median(times[1:])}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--sizes", type=float, nargs="+", default=SIZES)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for n in map(int, options.sizes):
        rows += measure(n, options.device, options.rounds)
        record = {"date": datetime.date.today().isoformat(), "command": " ".join(["python", *sys.argv]),
                  "device": options.device, "rows": rows}  # fmt: skip
        with new_file(options.out) as path:
            path.write_text(json.dumps(record, indent=1) + "\n")
        for one in rows:
            if one["events"] == n:
                print(one, flush=True)


if __name__ == "__main__":
    main()
