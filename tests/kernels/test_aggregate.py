"""aggregate: statistics per event against the reference."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import (
    DTYPES,
    FLOATS,
    INTEGERS,
    assert_same,
    jagged_arrays,
    uneven_jagged,
)

from fastjag import kernels
from fastjag.kernels import reference

SUMS = ("sum", "mean", "std")
EXACT = tuple(name for name in kernels.STATISTICS if name not in SUMS)


def magnitudes(offsets, values, largest=False):
    """Per event the sum (or maximum) of |x|: what the rounding of a sum is relative to."""
    x = np.abs(values.astype(np.float64))
    pick = np.max if largest else np.sum
    return np.array([pick(x[s], initial=0.0) for _, s in reference.slices(offsets)])


class TestAggregate:
    @given(jagged_arrays())
    def test_exact_statistics(self, kernels, parts):
        offsets, (values,) = parts
        found = kernels.aggregate(offsets, values, EXACT)
        assert list(found) == list(EXACT)
        for name in EXACT:
            expected = reference.aggregate(offsets, values, name)
            np.testing.assert_array_equal(found[name], expected.astype(found[name].dtype), name)

    @pytest.mark.parametrize("name", kernels.STATISTICS)
    def test_one_alone(self, kernels, name):
        """Nothing else is computed on the way to it."""
        offsets, values = np.array([0, 2, 2, 3, 43]), np.arange(43.0) % 7
        found = kernels.aggregate(offsets, values, [name])
        assert list(found) == [name]
        expected = reference.aggregate(offsets, values, name)
        np.testing.assert_allclose(found[name], expected.astype(found[name].dtype), rtol=1e-14)

    @given(jagged_arrays(dtypes=FLOATS), st.sampled_from(SUMS))
    def test_float_sums(self, kernels, parts, name):
        offsets, (values,) = parts
        found = kernels.aggregate(offsets, values, [name])[name]
        expected = reference.aggregate(offsets, values, name)
        scale = magnitudes(offsets, values, largest=name != "sum")
        special = ~np.isfinite(expected)
        np.testing.assert_array_equal(found[special], expected[special])
        error = np.abs(found[~special] - expected[~special])
        assert (error <= 1e-12 * scale[~special]).all()

    @given(jagged_arrays(dtypes=INTEGERS))
    def test_integer_sums_wrap_as_numpy_does(self, kernels, parts):
        offsets, (values,) = parts
        wide = np.int64 if values.dtype.kind == "i" else np.uint64
        with np.errstate(over="ignore"):
            expected = [values[s].sum(dtype=wide) for _, s in reference.slices(offsets)]
        assert_same(kernels.aggregate(offsets, values, ["sum"])["sum"], np.array(expected, wide))

    @given(jagged_arrays(dtypes=INTEGERS), st.sampled_from(["mean", "std"]))
    def test_integer_means(self, kernels, parts, name):
        offsets, (values,) = parts
        found = kernels.aggregate(offsets, values, [name])[name]
        expected = reference.aggregate(offsets, values, name)
        scale = magnitudes(offsets, values, largest=True)
        np.testing.assert_array_equal(np.isnan(found), np.diff(offsets) == 0)
        assert not (np.abs(found - expected) > 1e-12 * scale).any()

    @pytest.mark.parametrize(
        ("dtype", "expected"),
        [("f4", "f8 f8 f8 f4 f4"), ("f8", "f8 f8 f8 f8 f8"), ("i4", "i8 f8 f8 f8 f8"),
         ("u1", "u8 f8 f8 f8 f8"), ("?", "u8 f8 f8 f8 f8")],
    )  # fmt: skip
    def test_dtypes(self, kernels, dtype, expected):
        names = ["sum", "mean", "std", "min", "max"]
        found = kernels.aggregate(np.array([0, 2]), np.ones(2, dtype), names)
        assert [found[name].dtype for name in names] == [np.dtype(d) for d in expected.split()]

    def test_empty_events(self, kernels):
        found = kernels.aggregate(np.array([0, 0]), np.empty(0, "i4"), kernels.STATISTICS)
        expected = {"count": 0, "sum": 0, "argmin": -1, "argmax": -1, "any": False, "all": True}
        for name in kernels.STATISTICS:
            np.testing.assert_array_equal(found[name], [expected.get(name, np.nan)])

    def test_std_does_not_cancel(self, kernels):
        values = 1e9 + np.array([0.0, 1.0, 2.0])
        found = kernels.aggregate(np.array([0, 3]), values, ["std"])["std"]
        assert found[0] == pytest.approx(np.sqrt(2 / 3), rel=1e-12)

    @pytest.mark.parametrize("dtype", ["f4", "f8", "i2"])
    def test_many_events(self, kernels, dtype):
        offsets = uneven_jagged()
        values = np.random.default_rng(1).normal(10, 5, int(offsets[-1])).astype(dtype)
        found = kernels.aggregate(offsets, values, kernels.STATISTICS)
        counts, first = np.diff(offsets), offsets[0]
        assert_same(found["count"], counts)
        event = np.repeat(np.arange(len(counts)), counts)
        sums = np.bincount(event, values[first:].astype("f8"), len(counts))  # in stored order
        short = counts <= 32
        assert_same(found["sum"][short].astype("f8"), sums[short])
        np.testing.assert_allclose(found["sum"], sums, rtol=1e-12)
        with np.errstate(invalid="ignore"):
            assert_same(found["mean"][short], (sums / counts)[short])
        full = counts > 0
        for name, extreme in (("min", np.minimum), ("max", np.maximum)):
            expected = extreme.reduceat(values, offsets[:-1][full])
            assert (found[name][full] == expected).all()
            at = offsets[:-1][full] + found["arg" + name][full]
            assert (values[at] == expected).all()

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_same_on_any_number_of_threads(self, large, dtype):
        offsets, make = large
        values = make(dtype)
        one = kernels.aggregate(offsets, values, kernels.STATISTICS, threads=1)
        for threads in (2, 3, 4):
            more = kernels.aggregate(offsets, values, kernels.STATISTICS, threads=threads)
            for name in kernels.STATISTICS:
                assert_same(more[name], one[name])

    @pytest.mark.parametrize("name", ["average", "SUM", "median"])
    def test_unknown_statistics(self, name):
        with pytest.raises(ValueError, match=f"unknown statistic '{name}': .*"):
            kernels.aggregate(np.array([0, 2]), np.ones(2), [name])

    def test_suggests_the_near_miss(self):
        with pytest.raises(ValueError, match=r"did you mean 'sum'\?"):
            kernels.aggregate(np.array([0, 2]), np.ones(2), ["Sum"])
