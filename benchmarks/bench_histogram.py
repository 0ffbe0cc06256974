"""histogram against boost-histogram (through hist): one column of 10 million numbers."""

import hist
import numpy as np
from harness import Race, race

import fastjag as fj


def check(ours, theirs):
    # boost-histogram guesses without looking at the edges: values on one may fall below it.
    off = np.abs(ours.values(flow=True) - theirs.values(flow=True)).sum()
    assert off < 40, f"{off} entries differ"


def run() -> list[Race]:
    rng = np.random.default_rng(1)
    x = rng.normal(91, 20, 10_000_000).astype(np.float32)
    weights = rng.uniform(0, 2, len(x)).astype(np.float32)
    axis = hist.axis.Regular(100, 0, 200)
    expected, _ = np.histogram(x.astype(np.float64), np.linspace(0, 200, 101))
    np.testing.assert_array_equal(fj.histogram(x, axis).values(), expected)
    return [
        race(
            "histogram: 10 M float32, 100 bins",
            {
                "fastjag": lambda: fj.histogram(x, axis),
                "boost-histogram": lambda: hist.Hist(axis, storage=hist.storage.Int64()).fill(x),
            },
            check,
        ),
        race(
            "histogram: 10 M float32, weighted",
            {
                "fastjag": lambda: fj.histogram(x, axis, weights=weights),
                "boost-histogram": lambda: hist.Hist(axis, storage=hist.storage.Weight()).fill(
                    x, weight=weights
                ),
            },
            check,
        ),
    ]
