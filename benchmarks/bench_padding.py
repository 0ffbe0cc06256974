"""padding against awkward: columns in memory to dense arrays, zero-padded and cut off."""

import awkward as ak
import numpy as np
from harness import Race, race, toy_muons


def padded(column, width):
    return ak.to_numpy(ak.fill_none(ak.pad_none(column, width, clip=True), np.float32(0)))


def run() -> list[Race]:
    muons = toy_muons()
    array = muons.to_awkward()
    names = ["pt", "eta", "phi"]
    reused = muons.pad(4, "pt")
    return [
        race(
            "pad 1 column to (N, 4)",
            {
                "fastjag": lambda: muons.pad(4, "pt").values,
                "fastjag, out=": lambda: muons.pad(4, "pt", out=reused).values,
                "awkward": lambda: padded(array.pt, 4),
            },
            np.testing.assert_array_equal,
        ),
        race(
            "pad 3 columns to (N, 4, 3)",
            {
                "fastjag": lambda: muons.pad(4, names).values,
                "awkward": lambda: np.stack([padded(array[n], 4) for n in names], axis=2),
            },
            np.testing.assert_array_equal,
        ),
        race(
            "pad 3 columns to (N, 3, 4)",
            {
                "fastjag": lambda: muons.pad(4, names, layout="NFK").values,
                "awkward": lambda: np.stack([padded(array[n], 4) for n in names], axis=1),
            },
            np.testing.assert_array_equal,
        ),
    ]
