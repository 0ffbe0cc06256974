"""histogram_cuts: 30 features of a million events for 12 cuts on a score."""

import boost_histogram as bh
import fast_histogram
import numpy as np
from harness import Race, race

import fastjag as fj

EVENTS, FEATURES, BINS = 1_000_000, 30, 50
CUTS = np.array([0, 0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 0.995, 0.999])
RANGE = (-3.0, 3.0)


def upwards(classes):
    """(cut, feature, bin) of what passes a cut, from [feature] (bin, class)."""
    return np.cumsum(np.stack(classes)[..., ::-1], axis=-1)[..., ::-1].transpose(2, 0, 1)


def boost_classes(features, scores, weights=None):
    """Once per feature with the score's class as second axis, then sums over classes."""
    storage = bh.storage.Int64() if weights is None else bh.storage.Weight()
    of_score = bh.axis.Integer(0, len(CUTS), underflow=False, overflow=False)
    classes = np.searchsorted(CUTS, scores, side="right") - 1
    filled = []
    for x in features:
        h = bh.Histogram(bh.axis.Regular(BINS, *RANGE), of_score, storage=storage)
        filled.append(h.fill(x, classes, weight=weights).values())
    return upwards(filled)


def boost_three_axes(features, scores):
    """All features as one column, with their number as third axis."""
    n = len(features)
    h = bh.Histogram(
        bh.axis.IntCategory(range(n)),
        bh.axis.Regular(BINS, *RANGE),
        bh.axis.Integer(0, len(CUTS), underflow=False, overflow=False),
        storage=bh.storage.Int64(),
    )
    classes = np.searchsorted(CUTS, scores, side="right") - 1
    for i, x in enumerate(features):
        h.fill(i, x, classes)
    return upwards(list(h.values()))


def boost_per_cut(features, scores):
    result = np.zeros((len(CUTS), len(features), BINS))
    for c, cut in enumerate(CUTS):
        passes = scores >= cut
        for f, x in enumerate(features):
            h = bh.Histogram(bh.axis.Regular(BINS, *RANGE), storage=bh.storage.Int64())
            result[c, f] = h.fill(x[passes]).values()
    return result


def fast_per_cut(features, scores):
    result = np.zeros((len(CUTS), len(features), BINS))
    for c, cut in enumerate(CUTS):
        passes = scores >= cut
        for f, x in enumerate(features):
            result[c, f] = fast_histogram.histogram1d(x[passes], bins=BINS, range=RANGE)
    return result


def check(ours, theirs):
    # Others guess without looking at the edges: values on one may fall into the next bin.
    assert np.abs(ours - theirs).sum() < 1e-4 * ours.sum()


def run() -> list[Race]:
    rng = np.random.default_rng(1)
    features = [rng.normal(size=EVENTS).astype(np.float32) for _ in range(FEATURES)]
    table = np.stack(features, axis=1)
    scores = rng.random(EVENTS).astype(np.float32)
    weights = rng.uniform(0, 2, EVENTS).astype(np.float32)
    replicas = rng.poisson(1, (8, EVENTS)).astype(np.float32)
    axis = (BINS, *RANGE)

    def ours(columns, *weight):
        return fj.histogram_cuts(columns, axis, scores, CUTS, *weight)

    return [
        race(
            "histogram_cuts: 30 features x 12 cuts, 1 M events",
            {
                "fastjag": lambda: ours(features).counts,
                "fastjag, features side by side": lambda: ours(table).counts,
                "boost-histogram, classes of scores": lambda: boost_classes(features, scores),
                "boost-histogram, three axes": lambda: boost_three_axes(features, scores),
                "boost-histogram, per cut": lambda: boost_per_cut(features, scores),
                "fast-histogram, per cut": lambda: fast_per_cut(features, scores),
            },
            check,
        ),
        race(
            "histogram_cuts: weighted, with errors",
            {
                "fastjag": lambda: ours(features, weights).sumw,
                "boost-histogram, classes of scores": lambda: boost_classes(
                    features, scores, weights
                ),
            },
            check,
        ),
        race(
            "histogram_cuts: 8 bootstrap replicas",
            {
                "fastjag": lambda: ours(features, replicas).sumw,
                "boost-histogram, classes of scores": lambda: np.stack(
                    [boost_classes(features, scores, w) for w in replicas]
                ),
            },
            check,
        ),
    ]
