"""Hostile jagged arrays for property tests, and the comparisons that fit them."""

import numpy as np
from hypothesis import strategies as st

from fastjag.core.devices import to_host

INTEGERS = ["?", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8"]
FLOATS = ["f4", "f8"]
DTYPES = INTEGERS + FLOATS


def column(rng, dtype, n):
    """Values with ties and everything that is special about their type."""
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return rng.integers(0, 2, n).astype(bool)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        special = [limits.min, limits.max, 0, 1]
        plain = rng.integers(0, 100, n)
    else:
        special = [np.nan, np.inf, -np.inf, -0.0, 0.0, 1.0, np.finfo(dtype).tiny]
        plain = rng.normal(size=n) * 10.0 ** rng.integers(-3, 4, n)
        ties = rng.random(n) < 0.3
        plain[ties] = np.round(plain[ties])
    values = plain.astype(dtype)
    where = rng.random(n) < rng.choice([0.0, 0.1, 0.5])
    values[where] = np.array(special, dtype)[rng.integers(0, len(special), where.sum())]
    return values


@st.composite
def offsets_and_length(draw, huge=5000):
    """Validated offsets, and the length of a content that is at least as long as they need."""
    small = st.lists(st.integers(0, 6), min_size=1, max_size=10)
    counts = draw(
        st.one_of(
            small,
            st.lists(st.integers(0, 40), min_size=1, max_size=4),
            # Several blocks of events that kernels take at a time, and the rest.
            st.lists(st.integers(0, 5), min_size=16, max_size=40),
            st.lists(st.sampled_from([0, 1, 4, 31, 32, 33]), min_size=8, max_size=25),
            st.just([]),
            st.lists(st.just(0), min_size=1, max_size=5),
            st.tuples(small, small).map(lambda ab: [*ab[0], huge, *ab[1]]),
        )
    )
    start, tail = draw(st.sampled_from([0, 0, 1, 3])), draw(st.sampled_from([0, 0, 1, 7]))
    offsets = start + np.cumsum([0, *counts], dtype=np.int64)
    return offsets, int(offsets[-1]) + tail


@st.composite
def jagged_arrays(draw, dtypes=DTYPES, n_columns=1, same_dtype=False, huge=5000):
    """(offsets, columns): no events, empty events, one huge event, offsets from 3, a tail, NaN."""
    offsets, length = draw(offsets_and_length(huge=huge))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kinds = [draw(st.sampled_from(dtypes)) for _ in range(1 if same_dtype else n_columns)]
    return offsets, [column(rng, kinds[i % len(kinds)], length) for i in range(n_columns)]


def hostile_layouts(values):
    """The same values in memory that no kernel can read as it is (and some that it can)."""
    raw = np.empty(values.nbytes + 1, np.uint8)
    unaligned = raw[1:].view(values.dtype)
    unaligned[:] = values
    read_only = values.copy()
    read_only.flags.writeable = False
    return {
        "big-endian": values.astype(values.dtype.newbyteorder(">")),
        "strided": np.repeat(values, 2)[::2],
        "reversed": values[::-1].copy()[::-1],
        "read-only": read_only,
        "unaligned": unaligned,
        "field of records": np.rec.fromarrays([values, values], names="a,b")["a"],
    }


def large_jagged(n_events=60_000, seed=1, huge=100_000):
    """Offsets far above the grain of threads, with one huge event."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(4, n_events)
    counts[rng.random(n_events) < 0.2] = 0
    counts[n_events // 3] = huge
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def uneven_jagged(seed=3):
    """Offsets of many events, not from 0: some crowded, then nearly all empty, then some long."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(3, 6000)
    counts[1000:4000] = rng.random(3000) < 0.005
    counts[[100, 4100, 4101, 5999]] = [257, 700, 512, 1500]
    return 2 + np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def assert_same(found, expected):
    """Equal dtype, shape and values to the last bit; NaN equals NaN, -0.0 differs from 0.0."""
    found, expected = np.asarray(to_host(found)), np.asarray(to_host(expected))
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found, expected)
    if found.dtype.kind == "f":
        number = ~np.isnan(found)
        np.testing.assert_array_equal(np.signbit(found[number]), np.signbit(expected[number]))


EDGES = {
    "regular": np.linspace(-1, 2, 8),
    "one bin": np.array([0.0, 1.0]),
    "rounded": np.arange(11) * 0.1,
    "nearly regular": np.linspace(0, 1, 5) + np.array([0, 2e-3, -2e-3, 1e-3, 0]),
    "variable": np.array([-3.0, -2.5, 0.0, 1e-9, 4.0]),
    "infinite ends": np.array([-np.inf, -1.0, 0.5, np.inf]),
    "log": np.logspace(-3, 3, 13),
    "subnormal": np.arange(5) * 1e-310,
    "huge": np.array([-1.7e308, 0.0, 1.7e308]),
    "far from 0": 1e15 + np.arange(6) * 0.125,
}


def hostile_values(rng, edges, n=200):
    """Values on every edge, one step beside it on both sides, and everything special."""
    around = [np.nextafter(edges, -np.inf), edges, np.nextafter(edges, np.inf)]
    finite = edges[np.isfinite(edges)]
    special = [np.nan, np.inf, -np.inf, -0.0, 0.0, 5e-324, 1e308, -1e308]
    inside = rng.uniform(finite[0] / 2, finite[-1] / 2, n) * 2.1
    return np.concatenate([*around, special, inside])
