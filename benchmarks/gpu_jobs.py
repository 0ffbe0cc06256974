"""What the CUDA kernels are measured on: one job for each, of any size, on any device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastjag import kernels
from fastjag.core import devices

Arrays = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """``run(arrays)`` calls fastjag.kernels on the device of ``arrays``; results by name."""

    name: str
    work: str
    arrays: Callable[[int], Arrays]
    run: Callable[[Arrays], Arrays]
    #: Whether results equal the CPU's to the last bit; else to 1e-12 of the sums of absolutes.
    exact: bool = True

    def least(self, arrays: Arrays, results: Arrays) -> int:
        """Bytes that any program has to read and write: inputs and results, once each."""
        return sum(a.nbytes for a in (*arrays.values(), *results.values()))


def to_device(arrays: Arrays) -> Arrays:
    """On the GPU, but for what stays on the host: edges of bins and cuts."""
    return {
        name: array if name in HOST else devices.cupy().asarray(array)
        for name, array in arrays.items()
    }


def to_host(arrays: Arrays) -> Arrays:
    return {name: devices.to_host(array) for name, array in arrays.items()}


HOST = {"edges", "cuts"}


def _muons(n_events: int, mean: float = 2.5) -> Arrays:
    draw = np.random.default_rng(1)
    counts = draw.poisson(mean, n_events)
    n = int(counts.sum())
    return {
        "offsets": np.r_[0, np.cumsum(counts)],
        "pt": draw.exponential(20, n).astype("f4"),
        "eta": draw.normal(0, 1.2, n).astype("f4"),
        "phi": draw.uniform(-np.pi, np.pi, n).astype("f4"),
    }


def _only(*names: str) -> Callable[[int], Arrays]:
    return lambda n_events: {name: _muons(n_events)[name] for name in names}


def _pad(a: Arrays) -> Arrays:
    mask = _empty(a, (len(a["offsets"]) - 1, 4), np.bool_)
    columns = [a["pt"], a["eta"], a["phi"]]
    return {"values": kernels.padding(a["offsets"], columns, 4, mask=mask), "mask": mask}


def _empty(a: Arrays, shape: tuple[int, ...], dtype: Any) -> Any:
    return devices.namespace(a["offsets"]).empty(shape, dtype)


def _columns(n_events: int) -> Arrays:
    muons = _muons(n_events, 6)
    draw = np.random.default_rng(2)
    n = len(muons["pt"])
    return {"offsets": muons["offsets"]} | {
        f"x{i}": draw.normal(size=n).astype("f4") for i in range(10)
    }


def _standardise(a: Arrays) -> Arrays:
    columns = [a[f"x{i}"] for i in range(10)]
    mean, scale = list(np.linspace(-0.3, 0.3, 10)), list(np.linspace(0.5, 2, 10))
    values = kernels.padding(
        a["offsets"], columns, 16, layout="NFK", mean=mean, scale=scale, clip=(-5, 5)
    )
    return {"values": values}


def _masked(n_events: int) -> Arrays:
    muons = _muons(n_events)
    return {"offsets": muons["offsets"], "mask": muons["pt"] > 10, "pt": muons["pt"]}


def _keep(a: Arrays) -> Arrays:
    offsets, (pt,) = kernels.keep(a["offsets"], a["mask"], [a["pt"]])
    return {"offsets": offsets, "pt": pt}


def _every_other(n_events: int) -> Arrays:
    muons = _muons(n_events)
    chosen = np.arange(0, n_events, 2)
    counts = np.diff(muons["offsets"])[chosen]
    return {
        "starts": muons["offsets"][chosen],
        "out_offsets": np.r_[0, np.cumsum(counts)],
        "pt": muons["pt"],
    }


def _gather(a: Arrays) -> Arrays:
    return {"pt": kernels.gather(a["starts"], a["out_offsets"], a["pt"])}


def _order(a: Arrays) -> Arrays:
    return {"order": kernels.order(a["offsets"], a["pt"])}


def _aggregate(a: Arrays) -> Arrays:
    return kernels.aggregate(a["offsets"], a["pt"], ["count", "sum", "max"])


def _charged(n_events: int) -> Arrays:
    muons = _muons(n_events)
    draw = np.random.default_rng(3)
    return muons | {"charge": draw.choice(np.array([-1, 1], "i4"), len(muons["pt"]))}


def _dimuon(a: Arrays) -> Arrays:
    _, fields = kernels.dimuon(
        a["offsets"], a["pt"], a["eta"], a["phi"], a["charge"],
        particle_mass=0.1056583755, fields=["mass", "event"],
    )  # fmt: skip
    return fields


def _legs(n: int) -> Arrays:
    muons = [_muons(n, 1.05) for _ in range(2)]
    draw = np.random.default_rng(4)
    return {
        f"{name}{leg}": draw.permutation(muons[leg - 1][name])[:n]
        for leg in (1, 2)
        for name in ("pt", "eta", "phi")
    }


def _pair_mass(a: Arrays) -> Arrays:
    return {"mass": kernels.pair_mass(list(a.values()), 0.1056583755, 0.1056583755)}


def _two_sides(n_events: int) -> Arrays:
    left, right = _muons(n_events), _muons(n_events, 6)
    return {f"left_{k}": left[k] for k in ("offsets", "eta", "phi")} | {
        f"right_{k}": right[k] for k in ("offsets", "eta", "phi")
    }


def _sides(a: Arrays) -> list[tuple[Any, Any, Any]]:
    return [
        tuple(a[f"{side}_{k}"] for k in ("offsets", "eta", "phi")) for side in ("left", "right")
    ]


def _nearest(a: Arrays) -> Arrays:
    index, delta_r = kernels.nearest(*_sides(a))
    return {"index": index, "delta_r": delta_r}


def _in_cone(a: Arrays) -> Arrays:
    offsets, index, delta_r = kernels.in_cone(*_sides(a), 0.4)
    return {"offsets": offsets, "index": index, "delta_r": delta_r}


def _masses(n: int) -> Arrays:
    draw = np.random.default_rng(5)
    return {
        "mass": draw.normal(91, 10, n).astype("f4"),
        "weights": draw.normal(1, 0.1, n).astype("f4"),
        "edges": np.linspace(60, 120, 101),
    }


def _histogram(a: Arrays) -> Arrays:
    counts, _ = kernels.histogram([a["mass"]], [a["edges"]])
    return {"counts": counts}


def _weighted(a: Arrays) -> Arrays:
    sumw, sumw2 = kernels.histogram([a["mass"]], [a["edges"]], weights=a["weights"])
    return {"sumw": sumw, "sumw2": sumw2}


def _unweighted(n: int) -> Arrays:
    return {name: _masses(n)[name] for name in ("mass", "edges")}


def _features(n: int) -> Arrays:
    draw = np.random.default_rng(6)
    return {f"x{i}": draw.normal(size=n).astype("f4") for i in range(10)} | {
        "score": draw.uniform(size=n).astype("f4"),
        "edges": np.linspace(-4, 4, 51),
        "cuts": np.linspace(0, 0.95, 12),
    }


def _histogram_cuts(a: Arrays) -> Arrays:
    columns = [a[f"x{i}"] for i in range(10)]
    counts, _, _ = kernels.histogram_cuts(columns, [a["edges"]] * 10, a["score"], a["cuts"])
    return {"counts": counts}


def _sets(n: int) -> Arrays:
    sets = _muons(round(n**0.5), 10)  # so that the matrix has n elements
    return {name: sets[name] for name in ("offsets", "eta", "phi")}


def _gram(a: Arrays) -> Arrays:
    import fastjag as fj  # with scikit-learn, which nothing else here needs

    sets = fj.Jagged(a["offsets"], {name: a[name] for name in ("eta", "phi")})
    match = fj.PyramidMatch(8, {"eta": (-5.0, 5.0), "phi": (-np.pi, np.pi)})
    return {"gram": match.gram(sets, dtype="uint16")}


MUONS = ("offsets", "pt")
JOBS = [
    Job("padding", "3 columns to (N, 4, 3), and the mask", _muons, _pad),
    Job("padding", "10 columns, standardised, to (N, 10, 16); mean 6", _columns, _standardise),
    Job("select", "particles above 10 GeV, of 1 column", _masked, _keep),
    Job("select", "every other event, of 1 column", _every_other, _gather),
    Job("select", "order by pt", _only(*MUONS), _order),
    Job("aggregate", "count, sum and max of pt", _only(*MUONS), _aggregate),
    Job("dimuon", "leading opposite-sign pairs: mass, event", _charged, _dimuon),
    Job("dimuon", "masses of given pairs", _legs, _pair_mass),
    Job("nearest", "nearest of 6 for each of 2.5 particles", _two_sides, _nearest),
    Job("nearest", "those of 6 in a cone of 0.4 around 2.5", _two_sides, _in_cone),
    Job("histogram", "counts, 100 bins", _unweighted, _histogram),
    Job("histogram", "weighted, 100 bins", _masses, _weighted, exact=False),
    Job("histogram_cuts", "10 columns of 50 bins, 12 cuts", _features, _histogram_cuts),
    Job("pyramid_gram", "Gram matrix of N elements, sets of 10 points", _sets, _gram),
]
