"""histogram: the kernel against the reference, and fastjag.histogram against NumPy and boost."""

import math
import sys

import hist
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import EDGES, FLOATS, assert_same, column, hostile_values
from traffic import counted, sectors, worst_conflict

import fastjag as fj
from fastjag import kernels
from fastjag.core import devices
from fastjag.kernels import reference


class TestHistogram:
    @pytest.mark.parametrize("name", EDGES)
    @pytest.mark.parametrize("dtype", FLOATS)
    def test_edges_and_beside_them(self, kernels, name, dtype):
        edges = EDGES[name]
        with np.errstate(over="ignore"):
            x = hostile_values(np.random.default_rng(1), edges).astype(dtype)
        counts, _ = kernels.histogram([x], [edges])
        expected, _ = reference.histogram([x], [edges])
        assert counts.dtype == np.int64
        np.testing.assert_array_equal(counts, expected)
        assert counts.sum() == len(x)
        # NumPy closes its last bin: leave out what lies on the upper edge.
        inner = x[np.isfinite(x) & (x != edges[-1])].astype(np.float64)
        if np.isfinite(edges).all():
            with np.errstate(over="ignore"):
                np.testing.assert_array_equal(counts[1:-2], np.histogram(inner, edges)[0])

    @given(
        st.sampled_from(sorted(EDGES)), st.sampled_from(FLOATS), st.integers(0, 2**32 - 1),
        st.integers(0, 300),
    )  # fmt: skip
    def test_one_dimension(self, kernels, name, dtype, seed, n):
        x = column(np.random.default_rng(seed), dtype, n)
        counts, none = kernels.histogram([x], [EDGES[name]])
        assert none is None
        np.testing.assert_array_equal(counts, reference.histogram([x], [EDGES[name]])[0])

    @given(
        st.integers(1, 3000), st.floats(-1e4, 1e4), st.floats(1e-6, 1e6), st.sampled_from(FLOATS),
        st.integers(0, 2**32 - 1),
    )  # fmt: skip
    def test_where_rounding_decides(self, kernels, n_bins, low, width, dtype, seed):
        """Most blocks of random values are far enough from every edge not to look at edges."""
        edges = np.linspace(low, low + width, n_bins + 1)
        assume((np.diff(edges) > 0).all())
        rng = np.random.default_rng(seed)
        x = rng.uniform(low - width / 10, low + 1.1 * width, 5000).astype(dtype)
        expected = np.bincount(np.searchsorted(edges, x, side="right"), minlength=n_bins + 3)
        np.testing.assert_array_equal(kernels.histogram([x], [edges])[0], expected)
        # At distances where that begins to hold, each in a block of its own.
        step = width / n_bins * 10.0 ** rng.uniform(-8, -2, 30) * rng.choice([-1, 1], 30)
        for near in (rng.choice(edges, 30) + step).astype(dtype):
            counts, _ = kernels.histogram([np.array([near])], [edges])
            assert counts[np.searchsorted(edges, near, side="right")] == 1

    @given(
        st.lists(st.sampled_from(sorted(EDGES)), min_size=1, max_size=2),
        st.sampled_from(FLOATS), st.sampled_from(FLOATS), st.integers(0, 2**32 - 1),
    )  # fmt: skip
    def test_weights_and_two_dimensions(self, kernels, names, dtype, weight_dtype, seed):
        rng = np.random.default_rng(seed)
        columns = [column(rng, dtype, 150) for _ in names]
        edges = [EDGES[name] for name in names]
        weights = rng.normal(size=150).astype(weight_dtype)
        counts, _ = kernels.histogram(columns, edges)
        np.testing.assert_array_equal(counts, reference.histogram(columns, edges)[0])
        found = kernels.histogram(columns, edges, weights=weights)
        expected = reference.histogram(columns, edges, weights)
        size, _ = reference.histogram(columns, edges, np.abs(weights))
        assert (np.abs(found[0] - expected[0]) <= 1e-12 * size).all()
        np.testing.assert_allclose(found[1], expected[1], rtol=1e-12)

    @pytest.mark.parametrize("bins", [(10,), (5000,), (20_000,), (30, 20), (150, 90)])
    @pytest.mark.parametrize("dtypes", ["f4 f4", "f4 f8", "f8 f4", "f8 f8"])
    def test_few_and_many_bins(self, kernels, bins, dtypes):
        rng = np.random.default_rng(len(bins))
        dtype, weight_dtype = dtypes.split()
        columns = [rng.normal(size=7003).astype(dtype) for _ in bins]
        weights = rng.normal(size=7003).astype(weight_dtype)
        edges = [np.linspace(-2, 2, n + 1) for n in bins]
        slots = [np.searchsorted(e, x, side="right") for e, x in zip(edges, columns, strict=True)]
        shape = tuple(n + 3 for n in bins)
        index = np.ravel_multi_index(slots, shape)
        add = lambda w: np.bincount(index, w, minlength=np.prod(shape)).reshape(shape)
        np.testing.assert_array_equal(kernels.histogram(columns, edges)[0], add(None))
        found = kernels.histogram(columns, edges, weights=weights)
        w = weights.astype("f8")
        assert (np.abs(found[0] - add(w)) <= 1e-12 * add(np.abs(w))).all()
        np.testing.assert_allclose(found[1], add(w * w), rtol=1e-12)

    @pytest.mark.parametrize("dtype", FLOATS)
    @pytest.mark.parametrize(
        "scale", [1e-320, 1e-308, 1e-200, 1e-40, 1.0, 1e30, 1e150, 1e200, 1e307]
    )
    def test_weights_of_any_size(self, kernels, dtype, scale):
        """In every bin: denormal, zero, huge and both signs; squares vanish or overflow."""
        rng = np.random.default_rng(11)
        x = rng.uniform(0, 1, 500)
        with np.errstate(all="ignore"):
            weights = (scale * rng.choice([0, 1, -1, 1e-3, 0.7, 3e-8], 500)).astype(dtype)
            edges = [np.linspace(0, 1, 9)]
            found = kernels.histogram([x], edges, weights=weights)
            expected = reference.histogram([x], edges, weights)
            size = reference.histogram([x], edges, np.abs(weights))[0]
            assert (
                np.abs(found[0] - expected[0])[np.isfinite(size)]
                <= (1e-12 * size)[np.isfinite(size)]
            ).all()
        np.testing.assert_allclose(found[1], expected[1], rtol=1e-12, atol=0)

    @pytest.mark.parametrize(
        ("weights", "sumw", "sumw2"),
        [
            ([np.nan, 1], np.nan, np.nan),
            ([np.inf, 1], np.inf, np.inf),
            ([-np.inf, 1], -np.inf, np.inf),
            ([-np.inf, np.inf], np.nan, np.inf),
            ([np.inf, np.nan], np.nan, np.nan),
            ([1e200, 1.0], 1e200, np.inf),
            ([1e308, 1e308], np.inf, np.inf),
            ([-1e308, -1e308], -np.inf, np.inf),
            ([1.3e154, 1.0], 1.3e154, 1.3e154**2),
            ([5e-324, 5e-324], 1e-323, 0),
            ([-0.0, 0.0], 0, 0),
        ],
    )
    def test_weights_that_are_not_plain_numbers(self, kernels, weights, sumw, sumw2):
        """They are seen in their own bin, and in no other."""
        x, weights = np.array([0.5, 0.5, 1.5]), np.array([*weights, 2.5])
        found = kernels.histogram([x], [np.array([0.0, 1, 2])], weights=weights)
        np.testing.assert_array_equal(found[0], [0, sumw, 2.5, 0, 0])
        np.testing.assert_array_equal(found[1], [0, sumw2, 6.25, 0, 0])

    @pytest.mark.parametrize("largest", [1e5, 1e9, 1e14])
    def test_one_weight_above_all(self, kernels, largest):
        rng = np.random.default_rng(12)
        weights = rng.exponential(size=5000)
        weights[17] = largest
        found = kernels.histogram([np.zeros(5000)], [np.array([-1.0, 1])], weights=weights)
        assert found[0][1] == pytest.approx(math.fsum(weights), rel=4e-15)
        assert found[1][1] == pytest.approx(math.fsum(weights**2), rel=4e-15)

    @pytest.mark.parametrize("chunk", [1, 7, 1000])
    def test_more_entries_than_counters_hold(self, kernels, monkeypatch, chunk):
        monkeypatch.setattr(sys.modules["fastjag.kernels.histogram"], "CHUNK", chunk)
        x, y, weights = np.random.default_rng(5).normal(size=(3, 50))
        edges = [EDGES["regular"], EDGES["variable"]]
        counts, _ = kernels.histogram([x, y], edges)
        np.testing.assert_array_equal(counts, reference.histogram([x, y], edges)[0])
        sums = kernels.histogram([x, y], edges, weights=weights)
        expected = reference.histogram([x, y], edges, weights)
        np.testing.assert_allclose(sums, expected, rtol=1e-12, atol=1e-14)

    @pytest.mark.parametrize("n_bins", [1, 33])
    def test_slots_that_end_with_a_line_of_shared_memory(self, kernels, n_bins):
        """On a GPU 4, or 36: what is behind the last one is that of the first one again."""
        x = np.full(100, -1.0)
        found = kernels.histogram([x], [np.linspace(0, 1, n_bins + 1)], weights=np.ones(100))
        for sums in found:
            assert sums.tolist() == [100] + [0] * (n_bins + 2)

    def test_a_word_that_is_just_full(self, kernels):
        """Sums on a GPU have two words: 2^32 - 1 in the lower one is not yet carried."""
        small = (2.0**32 - 1) * 2.0 ** -np.arange(40, 72)  # one of them is so many units
        x = np.repeat(np.arange(len(small)) + 0.5, 2)
        weights = np.column_stack([np.ones(len(small)), small]).ravel()
        found = kernels.histogram([x], [np.arange(len(small) + 1.0)], weights=weights)
        np.testing.assert_array_max_ulp(found[0][1:-2], 1 + small)
        np.testing.assert_array_max_ulp(found[1][1:-2], 1 + small**2)

    @pytest.mark.parametrize("dtype", FLOATS)
    def test_same_on_any_number_of_threads(self, dtype):
        rng = np.random.default_rng(4)
        x, y = column(rng, dtype, 450_000), column(rng, dtype, 450_000)
        weights = rng.normal(size=len(x))
        edges = [EDGES["regular"], EDGES["variable"]]
        one = kernels.histogram([x, y], edges, threads=1)[0]
        weighted = kernels.histogram([x, y], edges, weights=weights, threads=1)
        size = kernels.histogram([x, y], edges, weights=np.abs(weights), threads=1)[0]
        assert one.sum() == len(x)
        for threads in (2, 3, 4):
            assert_same(kernels.histogram([x, y], edges, threads=threads)[0], one)
            more = kernels.histogram([x, y], edges, weights=weights, threads=threads)
            again = kernels.histogram([x, y], edges, weights=weights, threads=threads)
            assert_same(again[0], more[0])
            assert_same(again[1], more[1])
            assert (np.abs(more[0] - weighted[0]) <= 1e-12 * size).all()


class TestTraffic:
    """On a GPU: columns are read by whole sectors, and lanes do not wait for one another."""

    @pytest.mark.parametrize("spread", ["all bins", "one bin"])
    @pytest.mark.parametrize("dtype", FLOATS)
    @pytest.mark.parametrize("weight_dtype", [None, *FLOATS])
    def test_columns(self, emulation, dtype, weight_dtype, spread):
        xp = devices.cupy()
        # A lane reads 16 bytes: so many neighbours fall into one bin, those of the next lane beside it.
        together = 16 // max(np.dtype(t).itemsize for t in (dtype, weight_dtype or dtype))
        bins = 100 if spread == "all bins" else 1
        x = xp.asarray((np.arange(8192) // together % bins).astype(dtype))
        weights = None if weight_dtype is None else xp.asarray(np.ones(8192, weight_dtype))
        with counted(emulation) as rows:
            kernels.histogram([x, x], [np.array([-1.0, 1e3]), np.arange(101.0)], weights=weights)
        columns = [r for r in rows if r["where"].startswith("histogram.cu")]
        for kernel in ["count"] if weights is None else ["measure", "add_up"]:
            found, ideal, _ = sectors(columns, kernel, "global read")
            assert found == ideal
        assert worst_conflict(rows) <= 2


AXES = {
    "tuple": (8, -2, 3),
    "regular": hist.axis.Regular(8, -2, 3, name="x", label="mass"),
    "variable": hist.axis.Variable([-1.0, 0.0, 0.5, 4.0]),
    "edges": [-1.0, 0.0, 0.5, 4.0],
    "log": hist.axis.Regular(8, 0.01, 10, transform=hist.axis.transform.log),
    "sqrt": hist.axis.Regular(5, 0, 10, transform=hist.axis.transform.sqrt),
}


class TestHist:
    """fastjag.histogram: what it returns is what hist itself would have filled."""

    @pytest.mark.parametrize("axis", AXES)
    @pytest.mark.parametrize("weighted", [False, True])
    def test_equals_boost(self, axis, weighted):
        rng = np.random.default_rng(3)
        x = rng.normal(0.7, 1.5, 2000)  # random: never on an edge, where boost rounds
        if axis in ("log", "sqrt"):  # boost has values outside of a transform's domain above it
            x = np.abs(x)
        weights = rng.normal(size=len(x)) if weighted else None
        result = fj.histogram(x, AXES[axis], weights=weights)
        storage = hist.storage.Weight() if weighted else hist.storage.Int64()
        boost = hist.Hist(result.axes[0], storage=storage)
        boost.fill(x, weight=weights)
        if weighted:
            for field in ("value", "variance"):
                found, expected = (h.view(flow=True)[field] for h in (result, boost))
                np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
        else:
            np.testing.assert_array_equal(result.view(flow=True), boost.view(flow=True))
            assert result.sum(flow=True) == len(x)

    @pytest.mark.parametrize("axis", ["regular", "log", "variable"])
    def test_edges_of_the_axis_count(self, axis):
        edges = AXES[axis].edges
        x = hostile_values(np.random.default_rng(2), edges, n=0)
        result = fj.histogram(x, AXES[axis])
        expected, _ = reference.histogram([x], [edges])
        np.testing.assert_array_equal(result.view(flow=True), expected[:-1])
        assert result.metadata == {"nan": 1}

    @pytest.mark.parametrize("as_axis", [tuple, lambda axis: hist.axis.Regular(*axis)])
    @pytest.mark.parametrize("dtype", ["f8", "f4"])
    def test_regular_is_linspace(self, as_axis, dtype):
        """A Regular axis of hist rounds its edges otherwise, and keeps no upper edge."""
        rng = np.random.default_rng(13)
        axes = [(3, -6.49, 10.77), (100, 0, 200), (1, -0.1, 0.3), (7, 1e15, 1e15 + 3)]
        for _ in range(60):
            low, high = np.sort(np.round(rng.choice(20_001, 2, replace=False) / 100 - 100, 2))
            axes.append((int(rng.integers(1, 200)), low, high))
        for n, low, high in axes:
            edges = np.linspace(low, high, n + 1)
            with np.errstate(over="ignore"):
                x = hostile_values(rng, edges, n=0).astype(dtype)
            found = fj.histogram(x, as_axis((n, low, high)))
            expected, _ = reference.histogram([x], [edges])
            np.testing.assert_array_equal(found.view(flow=True), expected[:-1], str((n, low, high)))
            shown = found.axes[0].edges
            assert np.abs(shown - edges).max() <= 4 * np.spacing(np.abs(edges).max())
            inner = x[x != edges[-1]].astype("f8")  # NumPy closes its last bin
            np.testing.assert_array_equal(found.view(), np.histogram(inner, edges)[0])

    def test_regular_made_from_any_number(self):
        """Where high - low is exact, high is known to the last bit, however many digits it has."""
        rng = np.random.default_rng(14)
        for low, ratio in zip(rng.uniform(1, 2, 200), rng.uniform(1.1, 2, 200), strict=True):
            high = low * ratio
            edges = np.linspace(low, high, 8)
            found = fj.histogram([high, np.nextafter(high, 0)], hist.axis.Regular(7, low, high))
            assert found.view(flow=True)[-2:].tolist() == [1, 1], (low, high)
            assert fj.histogram(edges, hist.axis.Regular(7, low, high)).view().tolist() == [1] * 7

    def test_single_precision_bounds_are_the_numbers_they_are(self):
        low, high = np.float32(0.1), np.float32(0.7)
        edges = np.linspace(float(low), float(high), 4)
        assert fj.histogram(edges, (3, low, high)).view(flow=True).tolist() == [0, 1, 1, 1, 1]

    def test_axes_keep_their_names(self):
        (axis,) = fj.histogram([], AXES["regular"]).axes
        assert (axis.name, axis.label) == ("x", "mass")

    def test_values_outside_of_a_transform_are_below(self):
        assert fj.histogram([-1.0, 0.0], AXES["log"]).view(flow=True)[0] == 2

    @pytest.mark.parametrize("axis", AXES)
    def test_out_for_every_kind_of_axis(self, axis):
        first = fj.histogram([0.6], AXES[axis])
        assert fj.histogram([0.6], AXES[axis], out=first).sum() == 2

    @pytest.mark.parametrize("weighted", [False, True])
    def test_out_accumulates_over_batches(self, weighted):
        rng = np.random.default_rng(5)
        x, y = rng.normal(size=(2, 900))
        x[::50], y[::70] = np.nan, np.nan
        weights = np.round(4 * rng.random(900)) if weighted else None  # exact sums
        axes = (AXES["regular"], AXES["edges"])
        whole, out = fj.histogram((x, y), axes, weights=weights), None
        for i in range(3):
            s = slice(300 * i, 300 * (i + 1))
            w = weights[s] if weighted else None
            filled = fj.histogram((x[s], y[s]), axes, weights=w, out=out)
            assert out is None or filled is out
            out = filled
        np.testing.assert_array_equal(out.view(flow=True), whole.view(flow=True))
        assert out.metadata == whole.metadata
        missing = np.isnan(x) | np.isnan(y)
        assert whole.metadata["nan"] == (weights[missing].sum() if weighted else missing.sum())

    def test_total_and_flow_equal_the_reference(self):
        rng = np.random.default_rng(6)
        x, y = column(rng, "f8", 700), column(rng, "f8", 700)
        edges = [EDGES["infinite ends"], EDGES["variable"]]
        result = fj.histogram((x, y), tuple(edges))
        expected, _ = reference.histogram([x, y], edges)
        np.testing.assert_array_equal(result.view(flow=True), expected[:-1, :-1])
        assert result.sum(flow=True) + result.metadata["nan"] == 700

    @pytest.mark.parametrize("dtype", ["?", "u1", "i8", "f4", ">f8"])
    def test_any_number_type(self, dtype):
        result = fj.histogram(np.ones(3, dtype), (2, 0, 2), weights=np.ones(3, dtype))
        assert result.view()["value"].tolist() == [0, 3]

    def test_nothing_to_fill(self):
        assert fj.histogram([], (2, 0, 1)).sum(flow=True) == 0
        assert fj.histogram(([], []), ((2, 0, 1), [0, 1]), weights=[]).sum(flow=True).value == 0

    def test_nan_weight_is_seen(self):
        view = fj.histogram([0.5, 1.5], (2, 0, 2), weights=[np.nan, 1.0]).view()
        assert np.isnan(view["value"]).tolist() == [True, False]


REGULAR = hist.axis.Regular(2, 0, 1)


@pytest.mark.parametrize(
    ("values", "axes", "options", "error", "message"),
    [
        (([1.0], [1.0]), REGULAR, {}, ValueError, "2 columns need as many axes, got 1"),
        (([1.0], [1.0, 2.0]), (REGULAR, REGULAR), {}, ValueError, "y has 2 entries, but there are"),
        ([[1.0]], REGULAR, {}, ValueError, r"values must have one dimension, got shape \(1, 1\)"),
        (["a"], REGULAR, {}, TypeError, "values has dtype"),
        ([1.0], REGULAR, {"weights": [1, 2]}, ValueError, "weights has 2 entries, but there are 1"),
        ([1.0], REGULAR, {"weights": ["a"]}, TypeError, "weights has dtype"),
        ([1.0], (5, 5, 0), {}, ValueError, r"\(n_bins, low, high\) with low < high, got"),
        ([1.0], (-1, 0, 5), {}, ValueError, r"\(n_bins, low, high\)"),
        ([1.0], (5, 0, np.inf), {}, ValueError, r"low and high .* must be finite, got \(5, 0, inf"),
        ([1.0], (5, -np.inf, 0), {}, ValueError, "low and high of an axis must be finite"),
        ([1.0], (5, np.nan, 0), {}, ValueError, "with low < high"),
        ([1.0], (5, 0, 1e-323), {}, ValueError, "float64 has no 5 bins of one width from 0.0 to"),
        ([1.0], (5, -1.7e308, 1.7e308), {}, ValueError, "float64 has no 5 bins of one width"),
        ([1.0], (2**31 - 1, 0, 1), {}, ValueError, "up to 134,217,728 bins, got 2147483647"),
        ([1.0], (2**63, 0, 1), {}, ValueError, "up to 134,217,728 bins, got 9223372036854775808"),
        (
            [1.0],
            hist.axis.Regular(5, 5, 0),
            {},
            ValueError,
            "axis must run from low to high, got 5",
        ),
        ([1.0], [1.0], {}, ValueError, "bin edges must be at least two numbers in increasing"),
        ([1.0], [1.0, 1.0], {}, ValueError, "bin edges must be at least two numbers"),
        ([1.0], [0, np.nan, 1.0], {}, ValueError, "bin edges must be at least two numbers"),
        ([1.0], [0, np.inf, np.inf], {}, ValueError, "bin edges must be at least two numbers"),
        ([1.0], REGULAR, {"out": 5}, TypeError, "out must be a hist.Hist, got int"),
        ([1.0], REGULAR, {"out": fj.histogram([], (3, 0, 1))}, ValueError, "out has axes .*3, 0"),
        ([1.0], REGULAR, {"out": fj.histogram([], REGULAR, weights=[])}, ValueError, "Weight"),
        ([1.0], REGULAR, {"threads": -1}, ValueError, "threads must be a positive integer"),
    ],
)
def test_errors_say_what_is_accepted(values, axes, options, error, message):
    with pytest.raises(error, match=message):
        fj.histogram(values, axes, **options)
