"""aggregate against awkward and numba: six statistics of one column per event."""

import awkward as ak
import numpy as np
import peers
from harness import Race, race, toy_muons


def awkward_way(column):
    column = ak.values_astype(column, np.float64)  # awkward sums float32 in float32
    return {
        "count": ak.num(column),
        "sum": ak.sum(column, axis=1),
        "mean": ak.mean(column, axis=1),
        "std": ak.std(column, axis=1),
        "min": ak.min(column, axis=1),
        "max": ak.max(column, axis=1),
    }


def check(ours, theirs):
    for name, values in ours.items():
        other = ak.to_numpy(ak.fill_none(theirs[name], np.nan))
        # awkward's std is the one-pass form: it cancels where the values are close.
        tolerance = {"rtol": 1e-6, "atol": 1e-4} if name == "std" else {"rtol": 1e-12}
        np.testing.assert_allclose(values, other, **tolerance)


def run() -> list[Race]:
    muons = toy_muons()
    column = muons.to_awkward().pt
    statistics = ["count", "sum", "mean", "std", "min", "max"]
    work, candidates = peers.present(
        "aggregate: 6 statistics of 1 column",
        {
            "fastjag": lambda: muons.aggregate("pt", statistics),
            "awkward": lambda: awkward_way(column),
            "numba": peers.numba and (lambda: peers.aggregate_numba(muons.offsets, muons["pt"])),
        },
    )
    return [race(work, candidates, check)]
