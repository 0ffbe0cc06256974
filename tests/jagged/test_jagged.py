"""Jagged: construction, validation, picking events and particles."""

import copy
import pickle
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from on_device import moved
from strategies import DTYPES, assert_same, hostile_layouts, jagged_arrays

import fastjag as fj
from fastjag.kernels import reference


def nested(jagged, name):
    """A column as one array per event."""
    jagged = jagged.to("cpu")
    return [jagged[name][s] for _, s in reference.slices(jagged.offsets)]


def assert_events(jagged, name, expected):
    found = nested(jagged, name)
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert_same(a, b)


def muons():
    return fj.Jagged(
        [0, 2, 2, 3, 6],
        {"pt": [41.5, 18.2, 33.0, 1.0, 3.0, 2.0], "charge": np.array([1, -1, 1, 1, -1, 1])},
    )


class TestConstruction:
    @given(jagged_arrays(n_columns=2))
    def test_any_valid_offsets(self, device, parts):
        offsets, (a, b) = parts
        jagged = fj.Jagged(moved(offsets, device), {"a": moved(a, device), "b": moved(b, device)})
        assert jagged.device == device
        assert len(jagged) == len(offsets) - 1
        assert_same(jagged.counts, np.diff(offsets))
        assert_same(jagged.offsets, offsets - offsets[0])
        assert jagged.n_particles == offsets[-1] - offsets[0] == len(jagged["a"])
        for name, values in (("a", a), ("b", b)):
            assert_events(jagged, name, [values[s] for _, s in reference.slices(offsets)])

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_good_columns_are_not_copied(self, dtype):
        offsets, values = np.array([1, 3, 3]), np.ones(5, dtype)
        jagged = fj.Jagged(offsets, {"x": values})
        assert np.shares_memory(jagged["x"], values)
        assert len(jagged["x"]) == 2
        assert np.shares_memory(fj.Jagged(offsets - 1, {"x": values}).offsets, offsets) is False

    def test_offsets_are_safe_from_the_caller(self):
        """Kernels trust validated offsets: whoever could change them could crash the process."""
        offsets = np.array([0, 2, 5])
        jagged = fj.Jagged(offsets, {"x": np.ones(5)})
        offsets[1] = 10**11
        np.testing.assert_array_equal(jagged.aggregate("x", ["sum"])["sum"], [2, 3])
        with pytest.raises(ValueError, match="read-only"):
            jagged.offsets[1] = 10**11

    def test_bools_of_other_bytes(self, device):
        """Bits seen as bool are neither 0 nor 1 in memory; kernels count on that."""
        flags = np.array([4, 0, 4, 0, 2, 0], np.uint8).view(bool)
        flags = moved(flags.view(np.uint8), device).view(bool)
        jagged = fj.Jagged([0, 4, 6], {"x": np.arange(6.0)}).to(device).with_columns(flag=flags)
        assert jagged.keep(flags)["x"].tolist() == [0, 2, 4]
        assert jagged.aggregate("flag", ["sum"])["sum"].tolist() == [2, 1]

    def test_columns_must_be_named(self):
        with pytest.raises(TypeError, match="columns must be a dict of arrays, got list"):
            fj.Jagged([0, 1], [1.0])

    def test_jagged_column(self):
        ak = pytest.importorskip("awkward")
        with pytest.raises(ValueError, match=r"'x' must be flat.*from_awkward"):
            fj.Jagged([0, 2, 3], {"x": ak.Array([[1, 2], [3]])})

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_hostile_memory(self, dtype, device):
        values = np.arange(6).astype(dtype)
        for name, hostile in hostile_layouts(values).items():
            jagged = fj.Jagged([0, 2, 6], {"x": hostile}).to(device)
            assert_same(jagged["x"], values)
            assert jagged["x"].flags.c_contiguous, name
            if device == "cpu":
                assert jagged["x"].flags.aligned, name
                kernel_ready = hostile.flags.c_contiguous and hostile.flags.aligned
                kernel_ready &= hostile.dtype.isnative
                assert np.shares_memory(jagged["x"], hostile) == kernel_ready, name
            # and a kernel reads what we read
            assert_same(jagged.pad(4, "x").values[:, 0], values[[0, 2]])
            assert_same(jagged[::-1]["x"], np.r_[values[2:], values[:2]])

    @pytest.mark.parametrize("dtype", ["i1", "u1", "i4", "u4", "i8", "u8", ">i4"])
    def test_offsets_of_any_integer_type(self, dtype):
        for name, hostile in hostile_layouts(np.array([1, 2, 4], dtype)).items():
            jagged = fj.Jagged(hostile, {"x": np.arange(5.0)})
            assert jagged.offsets.dtype == np.int64, name
            assert [x.tolist() for x in nested(jagged, "x")] == [[1], [2, 3]], name

    def test_from_counts(self, device):
        x = moved(np.array([1.0, 2.0, 3.0]), device)
        for dtype in ("i8", "u8", "i1"):
            counts = moved(np.array([2, 0, 1], dtype), device)
            jagged = fj.Jagged.from_counts(counts, {"x": x})
            assert jagged.offsets.tolist() == [0, 2, 2, 3]

    def test_counts_of_one_byte_do_not_wrap(self, device):
        counts = moved(np.full(3, 200, np.uint8), device)
        jagged = fj.Jagged.from_counts(counts, {"x": moved(np.arange(600), device)})
        assert jagged.offsets.tolist() == [0, 200, 400, 600]

    def test_repr(self, device):
        where = " on cuda" if device == "cuda" else ""
        assert repr(muons().to(device)).splitlines() == [
            f"<Jagged{where}: 4 events, 6 particles: pt float64, charge int64>",
            "  event 0: pt [41.5, 18.2]  charge [1, -1]",
            "  event 1: pt []  charge []",
            "  event 2: pt [33]  charge [1]",
            "  ...",
        ]
        long = fj.Jagged([0, 5], {"ok": np.ones(5, bool)}).to(device)
        assert repr(long).splitlines()[1] == "  event 0: ok [1, 1, 1, 1, ...]"

    @pytest.mark.parametrize(
        "duplicate", [copy.copy, copy.deepcopy, lambda j: pickle.loads(pickle.dumps(j))]
    )
    def test_copies_and_pickles(self, device, duplicate):
        muons_there = muons().to(device)
        one, two = muons_there[1:], duplicate(muons_there[1:])
        assert two.device == device
        assert two.columns == one.columns
        assert_same(two.offsets, one.offsets)
        assert_same(two["pt"], one["pt"])
        assert two.sort("pt")["pt"].tolist() == [33, 3, 2, 1]


X = {"x": np.zeros(4)}


@pytest.mark.parametrize(
    ("offsets", "columns", "error", "message"),
    [
        ([-1, 2], X, ValueError, "offsets must start at 0 or above, got -1"),
        ([0, 3, 2, 4], X, ValueError, "must not decrease: event 1 would run from 3 to 2"),
        ([0, 2, 5], X, ValueError, "offsets end at 5, but the columns have 4 particles"),
        (np.empty(0, int), X, ValueError, r"offsets must have n_events \+ 1 entries, got none"),
        ([0.0, 4.0], X, TypeError, "offsets must be integers, got dtype float64"),
        (np.array([0, 2**63], "u8"), X, ValueError, "offsets must fit into int64, got 9223372036"),
        ([[0, 4]], X, ValueError, r"offsets must have one dimension, got shape \(1, 2\)"),
        ([0, 1], {}, ValueError, "columns must hold at least one column"),
        ([0, 1], {"a": [1], "b": [1, 2]}, ValueError, "equal lengths, got 'a' 1, 'b' 2"),
        (
            [0, 1],
            {"x": np.ones((1, 0))},
            ValueError,
            r"'x' has no numbers in its entries: .* \(1, 0\)",
        ),
        ([0, 1], {"x": 5}, ValueError, r"column 'x' must have one dimension, got shape \(\)"),
        ([0, 1], {"x": [None]}, TypeError, "column 'x' has dtype object; accepted are bool, int"),
        ([0, 1], {"x": ["a"]}, TypeError, "column 'x' has dtype <U1; accepted are"),
        ([0, 1], {"x": [1j]}, TypeError, "column 'x' has dtype complex128; accepted are"),
        ([0, 1], {"x": np.zeros(1, "f2")}, TypeError, r"dtype float16; convert it with .astype"),
        ([0, 1], {"x": np.zeros(1, "M8[s]")}, TypeError, "column 'x' has dtype datetime64"),
        ([0, 1], {"x": np.zeros(1, "g")}, TypeError, "column 'x' has dtype float128"),
        ([0, 1], {"x": np.ma.masked_array([1])}, TypeError, r"column 'x' is a NumPy masked array"),
    ],
)
def test_validation(offsets, columns, error, message):
    with pytest.raises(error, match=message):
        fj.Jagged(offsets, columns)


@pytest.mark.parametrize(
    ("offsets", "values", "error", "message"),
    [
        ([-1, 2], np.zeros(4), ValueError, "offsets must start at 0 or above, got -1"),
        ([0, 3, 2, 4], np.zeros(4), ValueError, "event 1 would run from 3 to 2"),
        ([0, 2, 5], np.zeros(4), ValueError, "offsets end at 5, but the columns have 4 particles"),
        ([], np.zeros(4), TypeError, "offsets must be integers, got dtype float64"),
        (np.empty(0, int), np.zeros(4), ValueError, r"offsets must have n_events \+ 1 entries"),
        (np.array([0, 2**63], "u8"), np.zeros(4), ValueError, "int64, got 9223372036854775808"),
        ([0, 1], np.zeros((1, 0)), ValueError, r"'x' has no numbers in its entries: .* \(1, 0\)"),
        ([0, 1], np.zeros(1, "c8"), TypeError, "column 'x' has dtype complex64; accepted are"),
        ([0, 1], np.zeros(1, "f2"), TypeError, r"dtype float16; convert it with .astype"),
    ],
)
def test_validation_is_the_same_on_every_device(device, offsets, values, error, message):
    with pytest.raises(error, match=message):
        fj.Jagged(moved(np.asarray(offsets), device), {"x": moved(values, device)})


@pytest.mark.parametrize(
    ("counts", "error", "message"),
    [
        ([1, 1], ValueError, "counts add up to 2 particles, but the columns have 4"),
        ([5, -1], ValueError, "offsets must not decrease: event 1 would run from 5 to 4"),
        ([1.0, 3.0], TypeError, "counts must be integers, got dtype float64"),
        ([3, 3], ValueError, "offsets end at 6, but the columns have 4 particles"),
    ],
)
def test_validation_of_counts(counts, error, message):
    with pytest.raises(error, match=message):
        fj.Jagged.from_counts(counts, X)


class TestEvents:
    @given(jagged_arrays(), st.slices(20))
    def test_slices(self, device, parts, key):
        offsets, (values,) = parts
        events = [values[s] for _, s in reference.slices(offsets)]
        assert_events(fj.Jagged(offsets, {"x": values}).to(device)[key], "x", events[key])

    @given(jagged_arrays(), st.data())
    def test_indices_and_masks(self, device, parts, data):
        offsets, (values,) = parts
        jagged, n = fj.Jagged(offsets, {"x": values}).to(device), len(offsets) - 1
        events = [values[s] for _, s in reference.slices(offsets)]
        index = data.draw(st.lists(st.integers(-n, n - 1), max_size=9) if n else st.just([]))
        picked = [events[i] for i in index]
        assert_events(jagged[index], "x", picked)
        assert_events(jagged[moved(np.array(index, np.int8), device)], "x", picked)
        mask = data.draw(st.lists(st.booleans(), min_size=n, max_size=n))
        if (
            n == jagged.n_particles > 0
        ):  # they could be the particles' (tests/jagged/test_offsets.py)
            return
        assert_events(jagged[moved(np.array(mask, bool), device)], "x",
                      [e for e, m in zip(events, mask, strict=True) if m])  # fmt: skip

    def test_a_slice_is_a_view(self, device):
        jagged = muons().to(device)
        part = jagged[1:4]
        assert np.shares_memory(part["pt"], jagged["pt"])
        assert part.offsets.tolist() == [0, 0, 1, 4]
        assert part[1:]["pt"].tolist() == [33, 1, 3, 2]
        assert len(jagged[4:2]) == len(jagged[9:]) == len(jagged[[]]) == 0

    @pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u4", "i8", "u8"])
    def test_indices_narrower_than_the_number_of_events(self, device, dtype):
        many = fj.Jagged(np.arange(301), {"x": np.arange(300)}).to(device)
        assert many[moved(np.array([7, 100], dtype), device)]["x"].tolist() == [7, 100]
        if dtype[0] == "i":
            assert many[moved(np.array([-1], dtype), device)]["x"].tolist() == [299]

    def test_columns(self):
        jagged = muons()
        assert jagged.columns == ("pt", "charge")
        assert "pt" in jagged
        assert "eta" not in jagged
        assert jagged[["charge"]].columns == ("charge",)
        with pytest.raises(KeyError, match="no column 'Pt': did you mean 'pt'"):
            jagged["Pt"]
        with pytest.raises(KeyError, match="no column 'eta': accepted are 'pt', 'charge'"):
            jagged[["pt", "eta"]]

    @pytest.mark.parametrize(
        ("key", "error", "message"),
        [
            (4, IndexError, "event 4 is out of range for 4 events"),
            (np.int8(-5), IndexError, "event -5 is out of range for 4 events"),
            ([4], IndexError, "event 4 is out of range for 4 events"),
            ([0, -5], IndexError, "event -5 is out of range for 4 events"),
            (np.array([2**64 - 1], "u8"), IndexError, "event 18446744073709551615 is out of range"),
            ([True], ValueError, "the event mask has 1 entries, but there are 4 events"),
            (np.empty(0, bool), ValueError, "the event mask has 0 entries, but there are 4 events"),
            ([0.5], TypeError, "events are picked by slice, mask or integers, got float64"),
            (None, ValueError, "the event index must have one dimension"),
            ([[0]], ValueError, r"the event index must have one dimension, got shape \(1, 1\)"),
            (
                ("pt", "charge"),
                TypeError,
                r"takes one index, got 2: .* muons\[\[\"pt\", \"eta\"\]\]",
            ),
            ((slice(None), 0), TypeError, r"takes one index, got 2: .*leading-2"),
            (True, ValueError, "the event index must have one dimension"),
        ],
    )
    def test_bad_keys(self, device, key, error, message):
        key = moved(key, device) if isinstance(key, np.ndarray) else key
        with pytest.raises(error, match=message):
            muons().to(device)[key]


class TestParticles:
    @given(jagged_arrays(n_columns=2), st.integers(0, 2**32 - 1))
    def test_keep(self, device, parts, seed):
        offsets, (a, b) = parts
        jagged = fj.Jagged(offsets, {"a": a, "b": b})
        mask = np.random.default_rng(seed).random(jagged.n_particles) < 0.5
        kept = jagged.to(device).keep(moved(mask, device))
        for name in "ab":
            expected = [x[mask[s]] for (_, s), x in zip(
                reference.slices(jagged.offsets), nested(jagged, name), strict=True)]  # fmt: skip
            assert_events(kept, name, expected)

    @given(jagged_arrays(n_columns=2))
    def test_sort(self, device, parts):
        offsets, (key, other) = parts
        jagged = fj.Jagged(offsets, {"key": key, "other": other}).to(device)
        order = reference.order(offsets, key)
        assert_same(jagged.sort("key")["key"], key[order])
        assert_same(jagged.sort("key")["other"], other[order])

    def test_keep_takes_hostile_masks(self):
        mask = np.array([True, False, True, True, False, True])
        for name, hostile in hostile_layouts(mask).items():
            assert muons().keep(hostile)["pt"].tolist() == [41.5, 33, 1, 2], name
        with pytest.raises(ValueError, match="mask has 1 entries, but there are 6 particles"):
            muons().keep([True])
        with pytest.raises(TypeError, match="mask must be boolean, got dtype int64"):
            muons().keep([1, 0, 1, 1, 0, 1])

    def test_with_columns(self):
        jagged = muons()
        new = jagged[1:].with_columns(eta=np.arange(4, dtype=">f4"), pt=[1, 2, 3, 4])
        assert new.columns == ("pt", "charge", "eta")
        assert new["eta"].dtype == np.dtype("f4")
        assert new["pt"].tolist() == [1, 2, 3, 4]
        assert jagged.columns == ("pt", "charge")
        with pytest.raises(ValueError, match="column 'x' has 1 entries, but there are 6 particles"):
            jagged.with_columns(x=[1])


def test_some_events_cost_what_they_are():
    """Not what all events are: training picks a few of millions, over and over."""
    jagged = fj.Jagged(np.arange(1_000_001), {"x": np.arange(1_000_000)})
    some = np.array([3, 999_999, 0, -1])
    jagged[some]
    tracemalloc.start()
    try:
        picked = jagged[some]
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert picked["x"].tolist() == [3, 999_999, 0, 999_999]
    assert most < 100_000
