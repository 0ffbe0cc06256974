"""What users call on a GPU, and what each call costs besides the work: how often the host waits for the
GPU, and which kernels are launched. Counted by the emulation, as docs/gpu.md shows and tests hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

import fastjag as fj
from fastjag.core import devices

Call = Callable[[dict[str, Any]], Any]


class Cost(NamedTuple):
    """``waits`` of the host, ``launches`` of our kernels by name (scan: those of CUB), and CuPy's."""

    waits: int
    launches: dict[str, int]
    cupy: int


def inputs(n_events: int = 40) -> dict[str, Any]:
    """Muons and jets on the GPU, masks, and what a histogram takes."""
    rng = np.random.default_rng(1)
    particles = {}
    for name, mean in (("muons", 2.5), ("jets", 6)):
        counts = rng.poisson(mean, n_events)
        n = int(counts.sum())
        columns = {
            "pt": rng.exponential(20, n).astype("f4"),
            "eta": rng.normal(0, 1.2, n).astype("f4"),
            "phi": rng.uniform(-3, 3, n).astype("f4"),
            "charge": rng.choice(np.array([-1, 1], "i4"), n),
            "id": rng.random(n) < 0.5,
        }
        particles[name] = fj.Jagged.from_counts(counts, columns).to("cuda")
    xp = devices.cupy()
    values = rng.normal(size=(12, 500)).astype("f4")
    return particles | {
        "offsets": particles["muons"].offsets,
        "columns": {name: particles["muons"][name] for name in columns},
        "mask": particles["muons"]["pt"] > 10,
        "events": xp.asarray(rng.random(n_events) < 0.5),
        "chosen": xp.asarray(np.arange(0, n_events, 2)),
        "values": [xp.asarray(v) for v in values],
    }


def _histogram_cuts(a: dict[str, Any], weights: int) -> Any:
    edges, cuts = np.linspace(-3, 3, 51), np.linspace(-2, 2, 12)
    return fj.kernels.histogram_cuts(
        a["values"][:10], [edges] * 10, a["values"][10], cuts, weights=a["values"][11:] * weights
    )


CALLS: dict[str, Call] = {
    "`Jagged(offsets, columns)` of 5 columns": lambda a: fj.Jagged(a["offsets"], a["columns"]),
    "`keep(mask)` of 5 columns": lambda a: a["muons"].keep(a["mask"]),
    "`muons[mask of events]`": lambda a: a["muons"][a["events"]],
    "`muons[indices]`": lambda a: a["muons"][a["chosen"]],
    "`muons[10:20]`": lambda a: a["muons"][10:20],
    "`sort`": lambda a: a["muons"].sort("pt"),
    "`pad` of 3 columns, and the mask": lambda a: a["muons"].pad(4, ["pt", "eta", "phi"]),
    "`pad(by=)`, 3 columns": lambda a: a["muons"].pad(4, ["pt", "eta", "phi"], by="pt"),
    "`pad` of float32, int32 and bool": lambda a: a["muons"].pad(4, ["pt", "charge", "id"]),
    "`aggregate`, sum and max": lambda a: a["muons"].aggregate("pt", ["sum", "max"]),
    "`dimuon`": lambda a: fj.dimuon(a["muons"]),
    "`dimuon(mask=)`": lambda a: fj.dimuon(a["muons"], mask=a["mask"]),
    '`dimuon(pairs="all")`': lambda a: fj.dimuon(a["muons"], pairs="all"),
    '`dimuon(pairs="all", mask=)`': lambda a: fj.dimuon(a["muons"], pairs="all", mask=a["mask"]),
    "`nearest`": lambda a: fj.nearest(a["muons"], a["jets"]),
    "`in_cone`": lambda a: fj.in_cone(a["muons"], a["jets"], 0.4),
    "`histogram`": lambda a: fj.kernels.histogram([a["values"][0]], [np.linspace(-3, 3, 101)]),
    "`histogram(weights=)`": lambda a: fj.kernels.histogram(
        [a["values"][0]], [np.linspace(-3, 3, 101)], weights=a["values"][1]
    ),
    "`histogram_cuts`, 10 columns, 12 cuts": lambda a: _histogram_cuts(a, 0),
    "`histogram_cuts(weights=)`": lambda a: _histogram_cuts(a, 1),
}


@contextmanager
def counting() -> Iterator[Callable[[], Cost]]:
    """Within, costs so far; with the emulation in place of a GPU."""
    import emulated_memory

    emulated_memory.emulation.launched()
    before = dict(emulated_memory.happened)
    names: Counter[str] = Counter()

    def so_far() -> Cost:
        names.update(kernel_of(launch[0]) for launch in emulated_memory.emulation.launched())
        happened = {k: n - before[k] for k, n in emulated_memory.happened.items()}
        return Cost(happened["waits"], dict(names), happened["launches"])

    yield so_far


def kernel_of(launch: str) -> str:
    """The name of a kernel without its template arguments."""
    return launch.strip("()").partition("<")[0]


def costs() -> dict[str, Cost]:
    """Of every call."""
    given, found = inputs(), {}
    for name, call in CALLS.items():
        with counting() as so_far:
            result = call(given)
            found[name] = so_far()
        del result
    return found


def table() -> str:
    """For docs/gpu.md."""
    lines = ["| call | waits of the host | launches | of CuPy |", "|---|---:|---|---:|"]
    for name, cost in costs().items():
        listed = ", ".join(f"{k} {n}" if n > 1 else k for k, n in cost.launches.items())
        number = sum(cost.launches.values())
        lines.append(f"| {name} | {cost.waits} | {number}{listed and ': '}{listed} | {cost.cupy} |")
    return "\n".join(lines)
