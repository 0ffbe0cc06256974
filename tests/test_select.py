"""select, compact, gather and order against the reference, to the last bit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import DTYPES, assert_same, jagged_arrays

from fastjag import reference


class TestSelect:
    @given(jagged_arrays(), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.1, 0.5, 1.0]))
    def test_keeps_what_passes(self, kernels, parts, seed, probability):
        offsets, (values,) = parts
        mask = np.random.default_rng(seed).random(len(values)) < probability
        bounds = kernels.select(offsets, mask)
        kept = kernels.compact(offsets, mask, bounds, values)
        expected = reference.keep(offsets, mask, values)
        assert_same(bounds, np.cumsum([0, *map(len, expected)], dtype=np.int64))
        assert_same(kept, np.array([x for event in expected for x in event], values.dtype))

    @given(jagged_arrays(), st.data())
    def test_gathers_events(self, kernels, parts, data):
        offsets, (values,) = parts
        n = len(offsets) - 1
        events = data.draw(st.lists(st.integers(0, n - 1), max_size=8) if n else st.just([]))
        picked = [values[offsets[e] : offsets[e + 1]] for e in events]
        bounds = np.cumsum([0, *map(len, picked)], dtype=np.int64)
        starts = offsets[np.array(events, np.int64)]
        found = kernels.gather(starts, bounds, values)
        assert_same(found, np.concatenate([values[:0], *picked]))

    @pytest.mark.parametrize("dtype", ["u1", "i2", "f4", "f8"])
    def test_same_on_any_number_of_threads(self, kernels, large, dtype):
        offsets, make = large
        values, mask = make(dtype), make("f8") > 0.5
        one = kernels.select(offsets, mask, threads=1)
        for threads in (2, 3, 4):
            assert_same(kernels.select(offsets, mask, threads=threads), one)
            assert_same(kernels.compact(offsets, mask, one, values, threads=threads), values[mask])
            assert_same(kernels.gather(offsets[:-1], offsets, values, threads=threads), values)


class TestOrder:
    @given(jagged_arrays())
    def test_descending_stable_nan_last(self, kernels, parts):
        offsets, (key,) = parts
        assert kernels.order(offsets, key).tolist() == reference.order(offsets, key)

    @given(jagged_arrays(), st.sampled_from([0, 1, 2, 30]))
    def test_limit(self, kernels, parts, limit):
        offsets, (key,) = parts
        found, expected = kernels.order(offsets, key, limit=limit), reference.order(offsets, key)
        bounds = offsets - offsets[0]
        for _, s in reference.slices(bounds):
            first = slice(s.start, min(s.stop, s.start + limit))
            assert found[first].tolist() == expected[first]
            assert sorted(found[s]) == sorted(expected[s])  # never a particle twice

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_same_on_any_number_of_threads(self, kernels, large, dtype):
        offsets, make = large
        key = make(dtype)
        one = kernels.order(offsets, key, threads=1)
        for threads in (2, 3, 4):
            assert_same(kernels.order(offsets, key, threads=threads), one)

    @pytest.mark.parametrize("limit", [-1, 1.5])
    def test_bad_limit(self, kernels, limit):
        with pytest.raises(ValueError, match=f"limit must be an integer >= 0, got {limit}"):
            kernels.order(np.array([0, 30]), np.zeros(30), limit=limit)
