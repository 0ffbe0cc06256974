"""select, keep, gather and order against the reference, to the last bit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import DTYPES, assert_same, column, jagged_arrays, uneven_jagged
from traffic import counted, sectors

from fastjag import kernels
from fastjag.core import devices
from fastjag.kernels import reference


class TestSelect:
    @given(jagged_arrays(), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.1, 0.5, 1.0]))
    def test_keeps_what_passes(self, kernels, parts, seed, probability):
        offsets, (values,) = parts
        mask = np.random.default_rng(seed).random(len(values)) < probability
        bounds, (kept, places) = kernels.keep(offsets, mask, [values, None])
        assert_same(kernels.select(offsets, mask), bounds)
        expected = reference.keep(offsets, mask, values)
        assert_same(bounds, np.cumsum([0, *map(len, expected)], dtype=np.int64))
        assert_same(kept, np.array([x for event in expected for x in event], values.dtype))
        assert_same(
            places, np.flatnonzero(mask[: offsets[-1]] & (np.arange(offsets[-1]) >= offsets[0]))
        )

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
    def test_many_events(self, kernels, dtype):
        offsets, rng = uneven_jagged(), np.random.default_rng(1)
        values = column(rng, dtype, int(offsets[-1]) + 3)
        mask = rng.random(len(values)) < 0.4
        bounds, (kept,) = kernels.keep(offsets, mask, [values])
        before = np.concatenate([[0], np.cumsum(mask)])
        assert_same(bounds, (before[offsets] - before[offsets[0]]).astype(np.int64))
        inside = slice(offsets[0], offsets[-1])
        assert_same(kept, values[inside][mask[inside]])
        events = rng.permutation(len(offsets) - 1)
        counts = np.diff(offsets)[events]
        bounds = np.concatenate([[0], np.cumsum(counts)])
        found = kernels.gather(offsets[events], bounds, values)
        index = np.repeat(offsets[events] - bounds[:-1], counts) + np.arange(bounds[-1])
        assert_same(found, values[index])

    def test_more_particles_than_threads(self, kernels):
        """A GPU's warp takes several tiles of 128, of some of which nothing stays."""
        offsets = np.arange(0, 40_001, 5)
        mask = np.arange(40_000) % 1000 < 300
        bounds, (places,) = kernels.keep(offsets, mask, [None])
        assert_same(bounds, np.concatenate([[0], np.cumsum(mask)])[offsets])
        assert_same(places, np.flatnonzero(mask))

    @pytest.mark.parametrize("dtype", ["u1", "i2", "f4", "f8"])
    def test_same_on_any_number_of_threads(self, large, dtype):
        offsets, make = large
        values, mask = make(dtype), make("f8") > 0.5
        one = kernels.select(offsets, mask, threads=1)
        for threads in (2, 3, 4):
            bounds, (kept,) = kernels.keep(offsets, mask, [values], threads=threads)
            assert_same(bounds, one)
            assert_same(kept, values[mask])
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

    @pytest.mark.parametrize("dtype", ["u1", "i8", "f4", "f8"])
    def test_many_events(self, kernels, dtype):
        offsets = uneven_jagged()
        key = column(np.random.default_rng(1), dtype, int(offsets[-1]) + 3)[: offsets[-1]]
        event = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
        rank = reference.descending(key)[offsets[0] :]
        expected = offsets[0] + np.lexsort([rank, event])
        assert_same(kernels.order(offsets, key), expected)

    @pytest.mark.parametrize("n", [255, 256, 257, 511, 512, 513, 1000, 1025])
    def test_events_of_any_length(self, kernels, n):
        key = column(np.random.default_rng(n), "f4", n + 1)
        offsets = np.array([1, n + 1])
        assert kernels.order(offsets, key).tolist() == reference.order(offsets, key)

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_same_on_any_number_of_threads(self, large, dtype):
        offsets, make = large
        key = make(dtype)
        one = kernels.order(offsets, key, threads=1)
        for threads in (2, 3, 4):
            assert_same(kernels.order(offsets, key, threads=threads), one)

    @pytest.mark.parametrize("limit", [-1, 1.5])
    def test_bad_limit(self, limit):
        with pytest.raises(ValueError, match=f"limit must be an integer >= 0, got {limit}"):
            kernels.order(np.array([0, 30]), np.zeros(30), limit=limit)


class TestTraffic:
    """On a GPU: memory is read and written by whole sectors, but for borders."""

    @pytest.mark.parametrize("every", [1, 2])  # lanes that write stay in step, to be counted
    @pytest.mark.parametrize("dtype", ["u1", "u2", "f4", "f8"])
    def test_compact(self, emulation, dtype, every):
        xp, rng = devices.cupy(), np.random.default_rng(1)
        offsets = np.concatenate([[0], np.cumsum(rng.poisson(3, 3000))])
        values = xp.asarray(column(rng, dtype, int(offsets[-1])))
        offsets, mask = xp.asarray(offsets), xp.asarray(np.arange(len(values)) % every == 0)
        with counted(emulation) as rows:
            kernels.keep(offsets, mask, [values])
        found, ideal, accesses = sectors(rows, "compact_values", "global write")
        assert found <= ideal + accesses  # what is kept of 32 particles begins anywhere

    @pytest.mark.parametrize("dtype", ["u1", "u2", "f4", "f8"])
    def test_gather(self, emulation, dtype):
        xp, rng = devices.cupy(), np.random.default_rng(1)
        offsets = np.concatenate([[0], np.cumsum(rng.poisson(3, 3000))])
        values = xp.asarray(column(rng, dtype, int(offsets[-1])))
        offsets = xp.asarray(offsets)
        with counted(emulation) as rows:
            kernels.gather(offsets[:-1], offsets, values)
        found, ideal, _ = sectors(rows, "gather_values", "global write")
        assert found == ideal
