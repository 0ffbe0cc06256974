"""pyramid: Gram matrices of sets, against the sorted merge that people write in numba."""

import os

import numpy as np
from harness import OUT, Race, race

import fastjag as fj

LEVELS = 8
EXTENT = {"pt": (0.0, 300.0), "eta": (-5.0, 5.0), "phi": (-np.pi, np.pi)}
WIDE = EXTENT | {"mass": (0.0, 50.0), "btag": (0.0, 1.0)}


def sets(n: int, seed: int = 1) -> fj.Jagged:
    """Events of ten points on average, clustered as jets are in pt, eta and mass."""
    draw = np.random.default_rng(seed)
    counts = draw.poisson(10, n)
    m = counts.sum()
    columns = {
        "pt": draw.exponential(30, m),
        "eta": draw.normal(0, 1.5, m),
        "phi": draw.uniform(-np.pi, np.pi, m),
        "mass": draw.exponential(5, m),
        "btag": draw.beta(0.5, 2, m),
    }
    return fj.Jagged.from_counts(counts, {k: v.astype(np.float32) for k, v in columns.items()})


def numba_way():
    """Morton codes and a merge of sorted lists for every pair and level, compiled."""
    from numba import njit

    @njit(cache=True)
    def gram(offsets, points, low, scale, levels):
        n, (m, d) = len(offsets) - 1, points.shape
        codes = np.zeros(m, np.uint64)
        top = 2 ** (levels - 1) - 1
        for i in range(m):
            for k in range(d):
                t = np.floor((np.float64(points[i, k]) - low[k]) * scale[k])
                cell = np.uint64(min(max(t, 0), top))
                for b in range(levels - 1):
                    bit = (cell >> np.uint64(b)) & np.uint64(1)
                    codes[i] |= bit << np.uint64(b * d + k)
        for e in range(n):
            codes[offsets[e] : offsets[e + 1]].sort()
        out = np.zeros((n, n), np.uint16)
        for i in range(n):
            for j in range(i + 1):
                total = 0
                for level in range(levels):
                    shift = np.uint64(d * level)
                    a, b, shared = offsets[i], offsets[j], 0
                    while a < offsets[i + 1] and b < offsets[j + 1]:
                        x, y = codes[a] >> shift, codes[b] >> shift
                        shared += x == y
                        a += x <= y
                        b += y <= x
                    total += shared << max(0, levels - 2 - level)
                out[i, j] = out[j, i] = total
        return out

    low = np.array([low for low, _ in EXTENT.values()])
    scale = np.array([2.0 ** (LEVELS - 1) / (high - low) for low, high in EXTENT.values()])
    return lambda x: gram(
        x.offsets, np.stack([x[name] for name in EXTENT], axis=1), low, scale, LEVELS
    )


def streamed(pyramid: fj.PyramidMatch, sample: fj.Jagged) -> int:
    path = OUT / "gram.npy"
    size = pyramid.gram(sample, dtype="uint16", out=path, overwrite=True).nbytes
    path.unlink()
    return size


def written(size: int) -> int:
    """The limit: so many bytes to the same disk."""
    path, block = OUT / "zeros", np.zeros(64 << 20, np.uint8)
    with open(path, "wb") as file:
        file.writelines(block[: size - begin].data for begin in range(0, size, len(block)))
    path.unlink()
    return size


def run() -> list[Race]:
    equal = np.testing.assert_array_equal
    pyramid = fj.PyramidMatch(LEVELS, EXTENT)
    small = sets(2000)
    candidates = {"fastjag": lambda: pyramid.gram(small, dtype="uint16")}
    absent = {}
    try:
        merge = numba_way()
        candidates["numba, sorted merge"] = lambda: merge(small)
    except ImportError:
        absent = {"numba, sorted merge": "numba not installed"}
    races = [race("pyramid: Gram matrix, N=2,000, d=3", candidates, equal)]
    races[0].absent |= absent
    cores = len(os.sched_getaffinity(0))
    for extent in (EXTENT, WIDE):
        sample, match = sets(10_000), fj.PyramidMatch(LEVELS, extent)
        out = np.empty((len(sample), len(sample)), np.uint16)
        candidates = {
            f"fastjag, {t} thread{'s' * (t > 1)}": lambda t=t, sample=sample, match=match, out=out: (
                match.gram(sample, out=out, threads=t)[:9].copy()
            )
            for t in sorted({1, cores})
        }
        races.append(
            race(f"pyramid: Gram matrix, N=10,000, d={len(extent)}, out=", candidates, equal)
        )
    many = sets(100_000)
    races.append(
        race(
            "pyramid: sparse features, N=100,000",
            {"fastjag": lambda: pyramid.fit_transform(many).shape},
            equal,
        )
    )
    size = 2 * 40_000**2
    races.append(
        race(
            f"pyramid: Gram matrix to disk, N=40,000 ({size / 1e9:.1f} GB)",
            {
                "fastjag": lambda: streamed(pyramid, many[:40_000]),
                "writing zeros": lambda: written(size),
            },
            lambda a, b: equal(a, size + 0 * b),
            rounds=2,
        )
    )
    return races
