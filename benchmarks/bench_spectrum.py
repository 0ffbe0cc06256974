"""The whole spectrum job, file to histograms, against uproot + awkward + vector + hist."""

import numpy as np
import spectrum_awkward
from harness import Race, race, toy_file

from fastjag.analyses.spectrum import spectrum


def check(ours, theirs):
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.sum(flow=True) == other.sum(flow=True)
        # float64 from the first step on the other side: only a rounded edge can move an entry.
        assert np.abs(mine.values() - other.values()).sum() <= 20


def ours(path):
    result = spectrum(path, progress=False, threads=1)
    return result.opposite, result.same


def run() -> list[Race]:
    races = []
    for compression in ("none", "lz4", "zstd"):
        path = toy_file(compression)
        check(ours(path), spectrum_awkward.spectrum([path], exact=True))
        races.append(
            race(
                f"spectrum: file to histograms, {compression}",
                {
                    "fastjag": lambda path=path: ours(path),
                    "uproot + awkward + vector": lambda path=path: spectrum_awkward.spectrum(
                        [path]
                    ),
                },
                lambda a, b: None,  # checked above, in float64; the float32 masses cancel
            )
        )
    return races
