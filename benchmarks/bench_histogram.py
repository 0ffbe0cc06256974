"""histogram against boost-histogram (through hist), fast-histogram, NumPy and a numba loop."""

import fast_histogram
import hist
import numba
import numpy as np
from harness import Race, race

import fastjag as fj

LOG = np.geomspace(1, 200, 41)


@numba.njit
def bin_of(x, low, scale, n):
    """Slots as those of hist: underflow, bins, overflow. NaN counts as overflow here."""
    at = (x - low) * scale
    return 0 if at < 0 else 1 + int(at) if at < n else n + 1


@numba.njit
def numba_1d(x, low, high, n):
    counts = np.zeros(n + 2, np.int64)
    scale = np.float32(n / (high - low))
    for value in x:
        counts[bin_of(value, low, scale, n)] += 1
    return counts


@numba.njit
def numba_weighted(x, weights, low, high, n):
    sums = np.zeros((n + 2, 2))
    scale = np.float32(n / (high - low))
    for i in range(len(x)):
        k = bin_of(x[i], low, scale, n)
        w = float(weights[i])
        sums[k, 0] += w
        sums[k, 1] += w * w
    return sums


@numba.njit
def numba_2d(x, y, low, high, n):
    counts = np.zeros((n + 2, n + 2), np.int64)
    scale = np.float32(n / (high - low))
    for i in range(len(x)):
        counts[bin_of(x[i], low, scale, n), bin_of(y[i], low, scale, n)] += 1
    return counts


def bins(result):
    """What is in the bins, without flow and errors."""
    if isinstance(result, hist.Hist):
        return result.values()
    if isinstance(result, tuple):  # NumPy
        return result[0]
    if result.shape[-1] == 2:  # numba's sums of w and w²
        return result[1:-1, 0]
    flow = (slice(1, -1),) * result.ndim
    return result[flow] if result.shape[0] == 102 else result


def check(ours, theirs):
    # Others guess without looking at the edges: values on one may fall into the next bin.
    ours, theirs = bins(ours), bins(theirs)
    off = np.abs(ours - theirs).sum() / ours.sum()
    assert off < 1e-4, f"{off} of the entries differ"


def boost(axes, columns, weights=None):
    storage = hist.storage.Int64() if weights is None else hist.storage.Weight()
    return hist.Hist(*axes, storage=storage).fill(*columns, weight=weights)


def variations(n: int, n_variations: int) -> Race:
    """Rows of weights along an axis of variations."""
    rng = np.random.default_rng(2)
    x = rng.normal(91, 20, n).astype(np.float32)
    weights = rng.uniform(0, 2, (n_variations, n)).astype(np.float32)
    names = [f"variation {i}" for i in range(n_variations)]
    axis, first = hist.axis.Regular(100, 0, 200), hist.axis.StrCategory(names)

    def one_each() -> hist.Hist:
        result = hist.Hist(first, axis, storage=hist.storage.Weight())
        for i, w in enumerate(weights):
            result.view(flow=True)[i] = fj.histogram(x, axis, weights=w).view(flow=True)
        return result

    def boost_histogram() -> hist.Hist:
        result = hist.Hist(first, axis, storage=hist.storage.Weight())
        for name, w in zip(names, weights, strict=True):
            result.fill(name, x, weight=w)
        return result

    return race(
        f"histogram: {n_variations} variations of weights, {n:,} entries",
        {
            "fastjag": lambda: fj.histogram(x, axis, weights=weights, variations=names),
            "fastjag, one after the other": one_each,
            "boost-histogram": boost_histogram,
        },
        check,
    )


def run() -> list[Race]:
    rng = np.random.default_rng(1)
    x, y = (rng.normal(91, 20, 10_000_000).astype(np.float32) for _ in range(2))
    weights = rng.uniform(0, 2, len(x)).astype(np.float32)
    axis = hist.axis.Regular(100, 0, 200)
    low, high = np.float32(0), np.float32(200)
    expected, _ = np.histogram(x.astype(np.float64), np.linspace(0, 200, 101))
    np.testing.assert_array_equal(fj.histogram(x, axis).values(), expected)
    shape = {"bins": 100, "range": (0, 200)}
    square = {"bins": 100, "range": ((0, 200), (0, 200))}
    return [
        race(
            "histogram: 10 M float32, 100 bins",
            {
                "fastjag": lambda: fj.histogram(x, axis),
                "boost-histogram": lambda: boost([axis], [x]),
                "fast-histogram": lambda: fast_histogram.histogram1d(x, **shape),
                "numpy": lambda: np.histogram(x, **shape),
                "numba loop": lambda: numba_1d(x, low, high, 100),
            },
            check,
        ),
        race(
            "histogram: 10 M float32, weighted",
            {
                "fastjag": lambda: fj.histogram(x, axis, weights=weights),
                "boost-histogram": lambda: boost([axis], [x], weights),
                "fast-histogram, no errors": lambda: fast_histogram.histogram1d(
                    x, weights=weights, **shape
                ),
                "numpy, no errors": lambda: np.histogram(x, weights=weights, **shape),
                "numba loop": lambda: numba_weighted(x, weights, low, high, 100),
            },
            check,
        ),
        race(
            "histogram: 10 M float32, 100 x 100 bins",
            {
                "fastjag": lambda: fj.histogram((x, y), (axis, axis)),
                "boost-histogram": lambda: boost([axis, axis], [x, y]),
                "fast-histogram": lambda: fast_histogram.histogram2d(x, y, **square),
                "numba loop": lambda: numba_2d(x, y, low, high, 100),
            },
            check,
        ),
        race(
            "histogram: 10 M float32, 40 logarithmic bins",
            {
                "fastjag": lambda: fj.histogram(x, LOG),
                "boost-histogram": lambda: boost([hist.axis.Variable(LOG)], [x]),
                "numpy": lambda: np.histogram(x, LOG),
            },
            check,
        ),
        variations(1_000, 200),
        variations(10_000, 200),
        variations(1_000_000, 40),
    ]
