"""padding against what people use: columns in memory to dense arrays, zero-padded and cut off."""

import awkward as ak
import numpy as np
import peers
from harness import Race, race, toy_muons

import fastjag as fj

same = np.testing.assert_array_equal


def close(ours, theirs):
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)


def padded(column, width):
    return ak.to_numpy(ak.fill_none(ak.pad_none(column, width, clip=True), np.float32(0)))


def rows(n_events, mean, n_columns=1):
    rng = np.random.default_rng(1)
    offsets = np.r_[0, np.cumsum(rng.poisson(mean, n_events))]
    names = [f"x{i}" for i in range(n_columns)]
    return fj.Jagged(offsets, {n: rng.normal(size=offsets[-1]).astype("f4") for n in names})


def one_column(n_events, mean, width):
    jagged = rows(n_events, mean)
    array, content, offsets = jagged.to_awkward().x0, jagged["x0"], jagged.offsets.copy()
    reused, copy = jagged.pad(width, "x0"), np.empty((n_events, width), np.float32)
    dense = reused.values.copy()
    work, candidates = peers.present(
        f"pad {n_events} rows of mean {mean} to {width}",
        {
            "fastjag": lambda: jagged.pad(width, "x0").values,
            "fastjag, out=": lambda: jagged.pad(width, "x0", out=reused).values,
            "memcpy of the result": lambda: np.copyto(copy, dense) or copy,
            "numba": peers.numba and (lambda: peers.pad_numba(content, offsets, width)),
            "fbgemm": (lambda: peers.pad_fbgemm(content, offsets, width)) if peers.FBGEMM else None,
            "torch": peers.torch and (lambda: peers.pad_torch(content, offsets, width)),
            "numpy mask": lambda: peers.pad_numpy(content, offsets, width),
            "awkward": lambda: padded(array, width),
        },
    )
    return race(work, candidates, same)


def ten_columns():
    jagged = rows(200_000, 6, 10)
    width, names, offsets = 16, list(jagged.columns), jagged.offsets.copy()
    mean, scale = np.linspace(-0.3, 0.3, 10), np.linspace(0.5, 2, 10)
    mean32, inverse32 = mean.astype("f4"), (1 / scale).astype("f4")

    def ours(out=None):
        return jagged.pad(width, layout="NFK", mean=mean, scale=scale, clip=(-5, 5), out=out)

    def per_column():
        return np.stack(
            [
                peers.pad_numba(
                    np.clip((jagged[name] - m) * s, np.float32(-5), np.float32(5)), offsets, width
                )
                for name, m, s in zip(names, mean32, inverse32, strict=True)
            ],
            axis=1,
        )

    def fused():
        content = np.concatenate([jagged[name] for name in names])
        out = np.zeros((len(jagged), len(names), width), np.float32)
        starts = np.arange(len(names)) * jagged.n_particles
        low, high = np.float32(-5), np.float32(5)
        peers.standardise_rows(content, starts, offsets, mean32, inverse32, low, high, out)
        return out

    reused = ours()
    dense, copy = reused.values.copy(), np.empty_like(reused.values)
    standardised = peers.present(
        "standardise, clip, pad 10 columns to (N, 10, 16)",
        {
            "fastjag": lambda: ours().values,
            "fastjag, out=": lambda: ours(reused).values,
            "memcpy of the result": lambda: np.copyto(copy, dense) or copy,
            "numba, one column at a time": peers.numba and per_column,
            "numba, all columns in one pass": peers.numba and fused,
        },
    )
    half = jagged[:100_000]
    again, half_offsets = half.pad(width), half.offsets.copy()
    innermost = peers.present(
        "pad 10 columns to (N, 16, 10)",
        {
            "fastjag": lambda: half.pad(width).values,
            "fastjag, out=": lambda: half.pad(width, out=again).values,
            "numba": peers.numba
            and (
                lambda: np.stack(
                    [peers.pad_numba(half[n], half_offsets, width) for n in names], axis=2
                )
            ),
            "fbgemm": (
                lambda: np.stack(
                    [peers.pad_fbgemm(half[n], half_offsets, width) for n in names], axis=2
                )
            )
            if peers.FBGEMM
            else None,
        },
    )
    return [race(*standardised, close), race(*innermost, same)]


def wrapped():
    """A tagger's inputs: particles again in empty slots, each column with bounds of its own, NaN to 0."""
    jagged = rows(20_000, 40, 17)
    width, names, offsets = 128, list(jagged.columns), jagged.offsets.copy()
    rng = np.random.default_rng(2)
    columns = {
        n: np.where(rng.random(len(jagged[n])) < 0.001, np.float32(np.nan), jagged[n])
        for n in names
    }
    jagged = fj.Jagged(offsets, columns)
    some = np.arange(17) % 3 > 0  # of the others, weaver knows no bounds
    mean = [0.1 * i if s else None for i, s in enumerate(some)]
    scale = [0.5 + 0.1 * i if s else None for i, s in enumerate(some)]
    clip = [(-1.0 - 0.1 * i, 2.0) if s else None for i, s in enumerate(some)]
    options = {
        "mode": "wrap",
        "layout": "NFK",
        "mean": mean,
        "scale": scale,
        "clip": clip,
        "nan": 0,
    }

    def ours(out=None):
        return jagged.pad(width, **options, out=out)

    array = jagged.to_awkward()
    slots = np.arange(width)

    def by_awkward():
        out = np.zeros((len(jagged), len(names), width), np.float32)
        counts = ak.to_numpy(ak.num(array))
        filled = counts > 0
        places = (slots % np.maximum(counts, 1)[:, None] + offsets[:-1, None])[filled]
        for i, name in enumerate(names):
            x = ak.to_numpy(ak.flatten(array[name]))
            if some[i]:
                inverse = np.float32(1 / scale[i])
                x = np.clip((x - np.float32(mean[i])) * inverse, *map(np.float32, clip[i]))
            out[filled, i] = np.nan_to_num(x, nan=0)[places]
        return out

    reused = ours()
    dense, copy = reused.values.copy(), np.empty_like(reused.values)
    table = {
        "array": array,
        "names": names,
        "mean": mean,
        "scale": scale,
        "clip": clip,
        "width": width,
    }
    work, candidates = peers.present(
        "standardise, clip and wrap 17 columns to (N, 17, 128)",
        {
            "fastjag": lambda: ours().values,
            "fastjag, out=": lambda: ours(reused).values,
            "memcpy of the result": lambda: np.copyto(copy, dense) or copy,
            "weaver-core": peers.WEAVER and (lambda: peers.wrap_weaver(**table)),
            "awkward and NumPy": by_awkward,
        },
    )
    return race(work, candidates, close)


def run() -> list[Race]:
    muons = toy_muons()
    array = muons.to_awkward()
    names = ["pt", "eta", "phi"]
    return [
        one_column(400_000, 6, 16),
        one_column(100_000, 40, 128),
        *ten_columns(),
        wrapped(),
        race(
            "pad 3 columns to (N, 4, 3)",
            {
                "fastjag": lambda: muons.pad(4, names).values,
                "awkward": lambda: np.stack([padded(array[n], 4) for n in names], axis=2),
            },
            same,
        ),
    ]
