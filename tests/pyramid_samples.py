"""Sets of points for the tests of pyramid, and what the reference says of them."""

import numpy as np
from hypothesis import strategies as st

import fastjag as fj
from fastjag.core.devices import on_gpu, to_host
from fastjag.jagged import as_jagged
from fastjag.kernels import reference


class PyramidMatchOnGpu(fj.PyramidMatch):
    """PyramidMatch for sets on the CPU, whose work is done on a GPU."""

    def gram(self, X, Y=None, **options):
        found = super().gram(_there(X), _there(Y), **options)
        assert on_gpu(found)
        return to_host(found)

    def neighbors(self, X, Y=None, k=5):
        return tuple(to_host(found) for found in super().neighbors(_there(X), _there(Y), k))

    def _fit(self, X):
        return super()._fit(_there(X))

    def transform(self, X):
        return super().transform(_there(X))

    def operator(self, X, Y=None):
        return super().operator(_there(X), _there(Y))


def _there(sets):
    return None if sets is None else as_jagged(sets).to("cuda")


EXTENT = {
    "x": (-2.0, 3.0),
    "phi": (-np.pi, np.pi),
    "y": (0.0, 1.0),
    "z": (10.0, 1e3),
    "u": (-1e-3, 2e-3),
}


def coordinate(rng, low, high, n):
    """Points inside, on the borders of cells and of the extent, far beyond, and twice the same."""
    values = rng.uniform(low, high, n)
    borders = low + (high - low) * np.arange(17) / 16
    special = np.r_[
        borders, low - 1, high + 1, 3 * high, -1e30, 1e300, 1.7e308, np.nextafter(high, low)
    ]
    where = rng.random(n) < rng.choice([0.0, 0.3, 1.0])
    values[where] = rng.choice(special, where.sum())
    if n > 1:
        twice = rng.random(n) < rng.choice([0.0, 0.5])
        values[twice] = values[rng.integers(0, n, twice.sum())]
    return values


def sets_of(counts, names, rng, dtype="f8"):
    n = sum(counts)
    with np.errstate(over="ignore"):
        columns = {name: coordinate(rng, *EXTENT[name], n) for name in names}
        if dtype == "f4":
            columns = {k: np.clip(v, -1e37, 1e37).astype("f4") for k, v in columns.items()}
        if dtype == "i4":
            columns = {k: np.clip(v, -1e9, 1e9).astype("i4") for k, v in columns.items()}
    columns["type"] = rng.integers(-1, 2, n).astype("i2")
    return fj.Jagged.from_counts(np.array(counts, int), columns)


def integers(match, X, Y=None):
    """What ``match.gram(X, Y, dtype="uint32")`` must be."""
    shifts = None
    if match.shifts:
        rng = np.random.default_rng(match.seed)
        shifts = rng.random((match.shifts, len(match.extent)))

    def pyramids(sets):
        return reference.pyramids(
            sets.offsets,
            [(sets[k], *bounds, k in match.circular) for k, bounds in match.extent.items()],
            match.levels,
            shifts,
            sets[match.categorical] if match.categorical else None,
        )

    rows = pyramids(X)
    return reference.pyramid_gram(rows, rows if Y is None else pyramids(Y))


def normalized(exact, match, X, Y=None):
    """K / sqrt(K(X, X) K(Y, Y)) of the integers, 0 where a set is empty."""
    sizes = X.counts[:, None] * (X if Y is None else Y).counts[None, :]
    return exact / match.unit / np.sqrt(np.maximum(sizes, 1))


@st.composite
def cases(draw):
    """(parameters, X, Y): any dimension, circles, shifts, types; empty, single and large sets."""
    names = draw(st.permutations(list(EXTENT)))[: draw(st.integers(1, 5))]
    parameters = {
        "levels": draw(st.integers(1, 10)),
        "extent": {name: EXTENT[name] for name in names},
        "circular": [name for name in names if draw(st.booleans())],
        "shifts": draw(st.sampled_from([0, 0, 1, 3])),
        "seed": draw(st.integers(0, 99)),
        "categorical": draw(st.sampled_from([None, "type"])),
        "normalize": draw(st.booleans()),
    }
    counts = st.one_of(
        st.lists(st.integers(0, 5), max_size=8),
        st.lists(st.just(0), max_size=3),
        st.lists(st.just(1), min_size=2, max_size=12),
        st.tuples(st.integers(0, 3), st.integers(30, 60), st.integers(0, 3)).map(list),
    )
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype = draw(st.sampled_from(["f8", "f4", "i4"]))
    X, Y = (sets_of(draw(counts), names, rng, dtype) for _ in range(2))
    return parameters, X, Y


def many(n, seed=1, dimensions=2, mean=3.0):
    """``n`` sets of a few clustered points in (0, 1)."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(mean, n)
    columns = {name: rng.beta(2, 5, counts.sum()) for name in "abcde"[:dimensions]}
    columns["type"] = rng.integers(0, 3, counts.sum())
    return fj.Jagged.from_counts(np.array(counts, int), columns)


def unit_cube(dimensions):
    return dict.fromkeys("abcde"[:dimensions], (0.0, 1.0))
