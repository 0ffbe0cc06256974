"""What two results are together, and that the order of merging is fixed."""

import functools
from collections import Counter
from dataclasses import dataclass

import hist
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastjag as fj
from fastjag import batch
from fastjag.batch.merging import MergeTree, merged


@dataclass
class Sums:
    events: int
    weights: np.ndarray


class TestMerge:
    @pytest.mark.parametrize(
        ("a", "b", "both"),
        [
            (1, 2, 3),
            (1.5, 2.0, 3.5),
            (None, 4, 4),
            ({"x": 1}, {"y": 2}, {"x": 1, "y": 2}),
            (Counter(a=1), Counter(a=2, b=1), Counter(a=3, b=1)),
            (["a.root"], ["b.root"], ["a.root", "b.root"]),
            ({1, 2}, {2, 3}, {1, 2, 3}),
            ((1, [2]), (3, [4]), (4, [2, 4])),
            ({"x": {"y": 1}}, {"x": {"y": 2}}, {"x": {"y": 3}}),
            ("name", "name", "name"),
        ],
    )
    def test_values(self, a, b, both):
        assert batch.merge(a, b) == both
        assert type(batch.merge(a, b)) is type(both)

    def test_histograms_keep_nan(self):
        a = fj.histogram([1.0, np.nan], (4, 0, 4))
        b = fj.histogram([2.0, np.nan, np.nan], (4, 0, 4))
        both = batch.merge(a, b)
        assert both.values().tolist() == [0, 1, 1, 0]
        assert both.metadata["nan"] == 3
        assert a.sum() == b.sum() == 1  # neither is changed

    def test_growing_categories(self):
        a, b = (
            hist.Hist(hist.axis.StrCategory([], growth=True, name="dataset"), hist.axis.Regular(2, 0, 2))
            for _ in range(2)
        )  # fmt: skip
        a.fill("x", [0.5])
        b.fill("y", [1.5])
        assert list(batch.merge(a, b).axes[0]) == ["x", "y"]

    def test_arrays_are_sums_of_one_shape(self):
        a = {"mass": np.arange(3)}
        assert batch.merge(a, a)["mass"].tolist() == [0, 2, 4]
        with pytest.raises(
            TypeError, match=r"results\['mass'\] are arrays of shape \(3,\) and \(2,\)"
        ):
            batch.merge(a, {"mass": np.arange(2)})

    def test_narrow_counts_do_not_overflow(self):
        most = np.array([200, 1], np.uint8)
        assert batch.merge(most, most).tolist() == [400, 2]
        assert batch.merge(np.int32(2**31 - 1), np.int32(1)) == 2**31
        with pytest.raises(TypeError, match="arrays of bool and bool"):
            batch.merge(np.array([True]), np.array([True]))

    @given(
        st.lists(st.tuples(st.integers(-(2**63), 2**64 - 1), st.booleans()), min_size=2, max_size=9)
    )
    def test_integers_are_exact(self, numbers):
        """Of any mixture of types; NumPy makes float64 of int64 and uint64, and wraps what is too large."""

        def made(number, as_array):
            kind = np.uint64 if number >= 2**63 else np.int64
            return np.array([number], kind) if as_array else kind(number)

        total = numbers[0][0]
        merged = made(total, True)
        for number, as_array in numbers[1:]:
            total += number
            one = np.array([number], made(number, as_array).dtype)
            if not -(2**63) <= total < 2**64:
                with pytest.raises(OverflowError, match=r"results\['n'\] add up .* beyond 64 bits"):
                    batch.merge({"n": merged}, {"n": one})
                return
            if as_array:
                merged = batch.merge(merged, one)
            else:
                merged = np.array([batch.merge(merged[0], made(number, False))])
            assert merged.dtype.kind in "iu"
            assert int(merged[0]) == total

    def test_floats_are_summed_as_float64(self):
        many = [np.float32(2**24), *[np.float32(1)] * 10]
        for values in (many, [np.array([x]) for x in many]):
            total = functools.reduce(batch.merge, values)
            assert total == 2**24 + 10
            assert total.dtype == np.float64
        assert batch.merge(np.float32(2**24), 1) == 2**24 + 1
        assert batch.merge(np.complex64(2**24), np.complex64(1)) == 2**24 + 1

    def test_jagged_are_joined(self):
        muons = fj.Jagged([0, 2], {"pt": [1.0, 2.0]})
        assert batch.merge(muons, muons).counts.tolist() == [2, 2]

    def test_dataclasses(self):
        both = batch.merge(Sums(1, np.ones(2)), Sums(2, np.ones(2)))
        assert (both.events, both.weights.tolist()) == (3, [2, 2])

    @pytest.mark.parametrize(
        ("a", "b"),
        [
            (1, "a"), ("a", "b"), (True, False), (1, [1]), (object(), object()), ((1, 2), (1, 2, 3)),
            (np.array([True]), np.array([False])), (np.array(["a"]), np.array(["b"])),
            (np.ma.array([1, 2], mask=[0, 1]), np.ma.array([3, 4], mask=[0, 0])),
        ],
    )  # fmt: skip
    def test_what_cannot_be_added(self, a, b):
        with pytest.raises(TypeError, match=r"results\[0\]"):
            batch.merge((a,), (b,))


class TestTree:
    @given(st.integers(0, 60), st.randoms())
    def test_one_value_whatever_the_order(self, n, random):
        rng = np.random.default_rng(n)
        values = list(rng.normal(size=n) * 10.0 ** rng.integers(-9, 9, n))
        order = list(range(n))
        random.shuffle(order)
        tree = MergeTree(n, lambda a, b: a + b)
        for i in order:
            tree.add(0, i, values[i])
        assert tree.value == merged(values, lambda a, b: a + b)

    @given(st.integers(1, 70), st.integers(0, 4), st.randoms())
    def test_subtrees_give_the_same(self, n, level, random):
        """Merged on workers: the first of each group of 2**level, whatever is single and whatever is not."""
        values = [f"{i} " for i in range(n)]
        together = merged(values, lambda a, b: f"({a}{b})")
        tree = MergeTree(n, lambda a, b: f"({a}{b})")
        groups = list(range(0, n, 1 << level))
        random.shuffle(groups)
        for first in groups:
            group = values[first : first + (1 << level)]
            if random.random() < 0.5 and len(group) > 1:
                tree.add(level, first >> level, merged(group, lambda a, b: f"({a}{b})"))
            else:
                for i, value in enumerate(group):
                    tree.add(0, first + i, value)
        assert tree.value == together

    @given(st.sets(st.integers(0, 30)), st.integers(0, 31))
    def test_what_has_no_result_is_left_out(self, lost, n):
        values = [None if i in lost else [i] for i in range(n)]
        left = [i for i in range(n) if i not in lost]
        assert merged(values, batch.merge) == (left or None)

    def test_memory_is_a_logarithm(self):
        tree, most = MergeTree(1000, lambda a, b: a + b), 0
        for i in range(1000):
            tree.add(0, i, 1)
            most = max(most, len(tree._waiting))
        assert tree.value == 1000
        assert most <= 11
