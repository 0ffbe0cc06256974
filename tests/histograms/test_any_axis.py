"""Axes that boost-histogram fills: to the last bit what hist itself gives, but for NaN."""

import awkward as ak
import boost_histogram as bh
import hist
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastjag as fj
from fastjag.histograms import boost, nan_hist

A = hist.axis
LOG = A.transform.log

NUMBERS = {
    "regular": A.Regular(7, -2, 3.3),
    "variable": A.Variable([-1.0, 0.0, 0.1, 4.0]),
    "infinite ends": A.Variable([-np.inf, 0.0, np.inf]),
    "log": A.Regular(5, 0.1, 50, transform=LOG),
    "sqrt": A.Regular(5, 0, 10, transform=A.transform.sqrt),
    "pow": A.Regular(5, 1, 10, transform=A.transform.Pow(2)),
    "no flow": A.Regular(4, 0, 2, flow=False),
    "no underflow": A.Regular(4, 0, 2, underflow=False),
    "no overflow": A.Variable([0.0, 0.3, 2.0], overflow=False),
    "circular": A.Regular(8, 0, 2 * np.pi, circular=True),
    "circular variable": A.Variable([0.0, 1.0, 4.0], circular=True),
    "growing": A.Regular(4, 0, 2, growth=True),
    "growing variable": A.Variable([0.0, 0.3, 2.0], growth=True),
}
INTEGERS = {
    "integer": A.Integer(-1, 4),
    "integer no flow": A.Integer(0, 3, flow=False),
    "integer growing": A.Integer(2, 4, growth=True),
    "integer circular": A.Integer(0, 3, circular=True),
    "categories": A.IntCategory([5, -1, 2]),
    "categories no overflow": A.IntCategory([5, -1, 2], overflow=False),
    "categories growing": A.IntCategory([], growth=True),
    "boolean": A.Boolean(),
}
TEXTS = {
    "words": A.StrCategory(["μ", "e e"]),
    "words growing": A.StrCategory(["tau"], growth=True),
}
BY_KERNEL = ["regular", "variable", "infinite ends", "log", "sqrt", "pow"]
EVERY = {**NUMBERS, **INTEGERS, **TEXTS}


def column_for(name, rng, n):
    """Values in, beside and far from the bins of an axis, in a dtype that it takes."""
    if name in TEXTS:
        words = np.array(["μ", "e e", "tau", "", "μ "])[rng.integers(0, 5, n)]
        return rng.choice([0, 1, 2]), words
    if name in INTEGERS:
        dtype = rng.choice(["?", "i1", "u1", "i2", "u4", "i8", "u8", ">i4"])
        return 0, rng.integers(-3 if np.dtype(dtype).kind == "i" else 0, 8, n).astype(dtype)
    dtype = rng.choice(["f4", "f8", ">f8", "i4"])
    if dtype == "i4":
        return 0, rng.integers(-3, 8, n).astype(dtype)
    axis = NUMBERS[name]
    edges = axis.edges[np.isfinite(axis.edges)]
    x = rng.normal(1, 2, n)
    on = rng.random(n) < 0.3
    x[on] = rng.choice([*edges, *np.nextafter(edges, -np.inf)], on.sum())
    odd = rng.random(n) < rng.choice([0, 0.2])
    x[odd] = rng.choice([np.nan, np.inf, -np.inf, -0.0, 30.0], odd.sum())
    return 0, x.astype(dtype)


def as_given(kind, words):
    return [words, words.astype(object), list(words)][kind]


def same(found, expected):
    assert isinstance(found, nan_hist.Hist)
    assert found.storage_type is expected.storage_type
    for a, b in zip(found.axes, expected.axes, strict=True):
        assert list(a) == list(b)
        assert a.traits == b.traits
    np.testing.assert_array_equal(found.view(flow=True).tolist(), expected.view(flow=True).tolist())


@given(
    st.lists(st.sampled_from(sorted(EVERY)), min_size=1, max_size=4),
    st.sampled_from([None, "f4", "f8", "i4", "number"]), st.integers(0, 60),
    st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_equals_boost(names, weighted, n, seed):
    if len(names) < 3 and set(names) <= set(BY_KERNEL):
        names = [*names, "integer", "words"]
    rng = np.random.default_rng(seed)
    pairs = [column_for(name, rng, n) for name in names]
    values = tuple(as_given(*pair) if pair[1].dtype.kind == "U" else pair[1] for pair in pairs)
    axes = tuple(EVERY[name] for name in names)
    weights = 0.3 if weighted == "number" else None
    if weighted not in (None, "number"):
        weights = (3 * rng.normal(size=n)).astype(weighted)
    found = fj.histogram(values if len(values) > 1 else values[0], axes, weights=weights)

    lost = np.zeros(n, bool)
    for _, column in pairs:
        if column.dtype.kind == "f":
            lost |= np.isnan(column)
    storage = hist.storage.Double() if weights is None else hist.storage.Weight()
    expected = hist.Hist(*axes, storage=storage)
    every = np.full(n, 0.3) if weighted == "number" else weights
    expected.fill(*(c[~lost] for _, c in pairs), weight=None if every is None else every[~lost])
    same(found, expected)
    total = lost.sum() if every is None else every[lost].sum(dtype="f8")
    assert found.metadata["nan"] == total
    # Of one axis: boost has NaN among the overflow where an axis has that.
    if len(names) == 1 and axes[0].traits.overflow and axes[0].traits.continuous and every is None:
        whole = hist.Hist(*axes).fill(pairs[0][1]).values(flow=True)
        whole[-1] -= total
        np.testing.assert_array_equal(found.values(flow=True), whole)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("weighted", [False, True])
def test_batches_add_up(name, weighted):
    """Into what this function made, and into the user's own; growing axes grow on."""
    rng = np.random.default_rng(1)
    batches = [column_for(name, rng, 50)[1] for _ in range(3)]
    weights = [rng.integers(1, 5, 50).astype("f8") if weighted else None for _ in batches]
    axis, other = EVERY[name], A.Integer(0, 2)
    storage = hist.storage.Weight() if weighted else hist.storage.Double()
    mine, first = hist.Hist(axis, other, storage=storage, name="mine"), None
    for x, w in zip(batches, weights, strict=True):
        first = fj.histogram((x, 1), (axis, other), weights=w, out=first)
        assert fj.histogram((x, 1), weights=w, out=mine) is mine
        none = None if w is None else w[:0]
        assert fj.histogram((x[:0], 1), (axis, other), weight=none, out=mine) is mine
    np.testing.assert_array_equal(mine.view(flow=True).tolist(), first.view(flow=True).tolist())
    assert mine.metadata == first.metadata
    total = sum(50 if w is None else w.sum() for w in weights)
    found = first.values(flow=True).sum() + first.metadata["nan"]
    # Boost drops what is beside an axis without flow bins, and -inf on a circular Variable.
    dropped = ("no flow", "no underflow", "no overflow", "circular variable", "boolean")
    if not name.endswith(dropped):
        assert found == total


def test_axes_of_boost_histogram():
    h = fj.histogram([1, 2, 9], bh.axis.Integer(0, 3))
    assert type(h.axes[0]) is hist.axis.Integer
    assert h.view(flow=True).tolist() == [0, 0, 1, 1, 1]
    h = fj.histogram([0.1, 0.2], bh.axis.Regular(3, 0.1, 0.7))  # by the kernel
    assert h.view().tolist() == [2, 0, 0]
    assert (h.axes[0].name, h.axes[0].label) == ("", "Axis 0")


def test_three_axes_of_numbers():
    x, y, z = np.random.default_rng(2).normal(size=(3, 500))
    h = fj.histogram((x, y, z), ((4, -2, 2), [-1.0, 0, 1], A.Regular(3, 0, 1)))
    assert h.ndim == 3
    assert h.sum(flow=True) == 500
    expected = np.histogramdd((x, y, z), (np.linspace(-2, 2, 5), [-1, 0, 1], np.linspace(0, 1, 4)))
    np.testing.assert_array_equal(h.values(), expected[0])


def test_one_word_for_all_entries():
    axes = (A.StrCategory([], growth=True, name="process"), A.Regular(2, 0, 2, name="mass"))
    h = None
    for sample, mass in (("dy", [0.5, 1.5, 1.6]), ("data", [0.1]), ("dy", [np.nan])):
        h = fj.histogram((sample, mass), axes, out=h)
    assert list(h.axes["process"]) == ["dy", "data"]
    assert h["dy", :].values().tolist() == [1, 2]
    assert h["data", :].values().tolist() == [1, 0]
    assert h.metadata["nan"] == 1
    assert fj.histogram((1, [0.5, 3.0]), ((2, 0, 2), (2, 0, 2))).values().tolist() == [
        [0, 0],
        [1, 0],
    ]


def test_axes_of_out_stand_for_those_not_given():
    mine = hist.Hist(A.Regular(2, 0, 2), A.StrCategory(["a"]), storage=hist.storage.Weight())
    fj.histogram(([0.5], ["a"]), weight=[2.0], out=mine)
    assert mine[0, "a"].value == 2
    one = fj.histogram([0.5], (2, 0, 2))
    assert fj.histogram([0.6], out=one).view().tolist() == [2, 0]


TEXT = ["a", "é", "a"]


@pytest.mark.parametrize(
    "words",
    [ak.Array(TEXT), pd.Series(TEXT, dtype="category"), pd.Series(TEXT, dtype="string"), pa.array(TEXT),
     np.array(TEXT, np.dtypes.StringDType()), np.char.encode(TEXT), np.array(TEXT, object), TEXT],
    ids=lambda words: type(words).__name__,
)  # fmt: skip
def test_text_of_any_library(words):
    h = fj.histogram(words, A.StrCategory([], growth=True))
    assert list(h.axes[0]) == ["a", "é"]
    assert h.values().tolist() == [2, 1]


class TestErrors:
    I3 = A.Integer(0, 3)

    @pytest.mark.parametrize(
        ("values", "axes", "options", "error", "message"),
        [
            ([1.0], I3, {}, TypeError, r"values has dtype float64; Integer axes take integers and"),
            ([1.0], A.IntCategory([1]), {}, TypeError, "IntCategory axes take integers and bools"),
            ([0.5], A.Boolean(), {}, TypeError, "Boolean axes take integers and bools"),
            ([2**31], I3, {}, ValueError, "values has 2147483648; Integer axes take integers of 32"),
            ([5, -(2**31) - 1, 7], I3, {}, ValueError, "values has -2147483649; Integer axes take"),
            (np.array([2**63], "u8"), I3, {}, ValueError, "values has 9223372036854775808; Int"),
            (["a"], I3, {}, TypeError, "values has dtype <U1"),
            ([1], A.StrCategory(["a"]), {}, TypeError, "dtype int64; StrCategory axes take text"),
            (np.array([b"\xff"]), A.StrCategory([]), {}, ValueError, "bytes that are not UTF-8"),
            (np.ma.array(["a"], mask=[1]), A.StrCategory([]), {}, TypeError, "is a NumPy masked array"),
            (["a", None], A.StrCategory(["a"]), {}, TypeError, "values must be text .* entry 1 is N"),
            ([["a"]], A.StrCategory(["a"]), {}, ValueError, r"values must have one dimension, got"),
            ("a", A.StrCategory(["a"]), {}, ValueError, "values must have one dimension, got 'a'"),
            (([1], [1, 2], [1]), (I3,) * 3, {}, ValueError,
             r"values\[1\] has 2 entries, but there are 1 entries of values\[0\]"),
            (([1], [1]), (I3,) * 3, {}, ValueError, "2 columns need as many axes, got 3"),
            (([1],) * 3, (5, 0, 1), {}, ValueError, "3 columns need as many axes, got 1"),
            ([1, 2], I3, {"weights": [1.0]}, ValueError, "weights has 1 entries, but there are 2"),
            ([1], I3, {"weights": [1.0], "weight": 2}, TypeError, "weights and weight mean the same"),
            ([1], I3, {"weights": np.ones((2, 1))}, ValueError, r"got shape \(2, 1\): rows .* varia"),
            ([1], I3, {"weights": "a"}, (TypeError, ValueError), "weights"),
            ([1], None, {}, TypeError, "axes must be given, unless out has them"),
            ([1], None, {"out": 5}, TypeError, "out must be a hist.Hist, got int"),
            ([1e300], A.Regular(3, 0, 3, growth=True), {}, ValueError,
             "values has values from 1e.300 to 1e.300, for which the axis would grow to 1e.300 bins"),
            ([-2**31], A.Integer(0, 3, growth=True), {}, ValueError, "would grow to 2.15e.09 bins"),
            (([1],) * 3, (A.Integer(0, 2000),) * 3, {}, ValueError, "less than 2..31 bins, got 80"),
            ([1], A.Regular(2, 1, 0, circular=True), {}, ValueError, "must run from low to high"),
            ([1], I3, {"out": hist.Hist(A.Integer(0, 4))}, ValueError, "out has axes"),
            ([1], I3, {"out": hist.Hist(A.Integer(0, 3, growth=True))}, ValueError, "out has axes"),
            ([1], I3, {"out": hist.Hist(A.Variable([0, 1, 2, 3]))}, ValueError, "out has axes"),
            ([1], A.IntCategory([1, 2]), {"out": hist.Hist(A.IntCategory([2, 1]))}, ValueError, "ax"),
            ([1], A.IntCategory([2], growth=True),
             {"out": hist.Hist(A.IntCategory([1, 2], growth=True))}, ValueError, "out has axes"),
            ([1], A.Regular(2, 0, 3, growth=True),
             {"out": hist.Hist(A.Regular(3, 0, 3, growth=True))}, ValueError, "out has axes"),
            ([1], A.Regular(3, 0.5, 3.5, growth=True),
             {"out": hist.Hist(A.Regular(3, 0, 3, growth=True))}, ValueError, "out has axes"),
            ([1], I3, {"out": hist.Hist(I3, storage=hist.storage.Mean())}, ValueError, "Mean"),
            ([1], I3, {"threads": 0}, ValueError, "threads must be a positive integer"),
        ],
    )  # fmt: skip
    def test_say_what_is_accepted(self, values, axes, options, error, message):
        with pytest.raises(error, match=message):
            fj.histogram(values, axes, **options)
        out = options.get("out")
        if isinstance(out, hist.Hist):
            assert not np.any(np.asarray(out.view(flow=True).tolist()))

    @pytest.mark.parametrize(
        ("axis", "error", "message"),
        [
            (I3, TypeError, "axis Integer is not supported; use Regular or Variable"),
            (A.Regular(2, 0, 1, flow=False), ValueError, "must have underflow and overflow"),
            (A.Regular(2, 0, 1, circular=True), ValueError, "not be circular"),
            (A.Regular(2, 0, 1, growth=True), ValueError, "growing axes are not supported"),
        ],
    )
    def test_of_many_cuts(self, axis, error, message):
        with pytest.raises(error, match=message):
            fj.histogram_cuts([[0.5]], axis, [1.0], [0])

    def test_columns_on_a_gpu(self, gpu):
        x = gpu.asarray(np.array([1, 2]))
        with pytest.raises(ValueError, match=r"values is on GPU 0, but .*\(Integer\) are filled by "
                           r"boost-histogram on the CPU: take values there first, with .to\(.cpu"):  # fmt: skip
            fj.histogram(x, self.I3)
        with pytest.raises(ValueError, match="weights is on GPU 0"):
            fj.histogram([1, 2], self.I3, weights=x)


def test_growth_is_bounded_by_what_is_there(monkeypatch):
    """The axis of ``out`` counts, as far as it has grown."""
    monkeypatch.setattr(boost, "MOST_BINS", 20)
    axis = A.Integer(0, 3, growth=True)
    h = fj.histogram([10], axis)
    assert len(fj.histogram([-5], axis, out=h).axes[0]) == 16
    with pytest.raises(ValueError, match="would grow to 21 bins"):
        fj.histogram([-10], axis, out=h)
    assert h.sum(flow=True) == 2


def test_integers_of_32_bits_are_taken_to_the_last_one():
    h = fj.histogram([2**31 - 1, -(2**31), 1], A.Integer(0, 3))
    assert h.view(flow=True).tolist() == [1, 0, 1, 0, 1]


def test_most_bins_of_all_axes(monkeypatch):
    axes = (A.Integer(0, 3), A.Integer(0, 2, flow=False))  # 5 times 2 with flow bins
    for most, fits in ((11, True), (10, False)):
        monkeypatch.setattr(boost, "MOST_CELLS", most)
        if fits:
            assert fj.histogram(([1], [1]), axes).sum() == 1
            continue
        with pytest.raises(ValueError, match=r"less than 2..31 bins, got 10"):
            fj.histogram(([1], [1]), axes)
