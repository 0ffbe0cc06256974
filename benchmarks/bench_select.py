"""select against awkward: particles by mask, and order within events."""

import awkward as ak
import numpy as np
from harness import Race, race, toy_muons


def check(ours, theirs):
    np.testing.assert_array_equal(ours.counts, ak.num(theirs))
    for name in ours.columns:
        np.testing.assert_array_equal(ours[name], ak.flatten(theirs[name]))


def run() -> list[Race]:
    muons = toy_muons()
    array = muons.to_awkward()
    mask = muons["pt"] > 10
    jagged_mask = array.pt > 10
    return [
        race(
            "select: particles with pt > 10, 4 columns",
            {
                "fastjag": lambda: muons.keep(mask),
                # awkward masks lazily: packing is what makes the columns usable.
                "awkward": lambda: ak.to_packed(array[jagged_mask]),
            },
            check,
        ),
        race(
            "sort by eta, 4 columns",
            {
                "fastjag": lambda: muons.sort("eta"),
                "awkward": lambda: ak.to_packed(
                    array[ak.argsort(array.eta, axis=1, ascending=False, stable=True)]
                ),
            },
            check,
        ),
    ]
