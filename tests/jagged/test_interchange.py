"""Jagged from and to awkward, Arrow and torch: values, zero copy, and what is refused."""

import logging

import awkward as ak
import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from strategies import FLOATS, assert_same, jagged_arrays

import fastjag as fj

PT = np.array([41.5, 18.2, 33.0, 1.0, 3.0, 2.0])
CHARGE = np.array([1, -1, 1, 1, -1, 1], np.int32)
EVENTS = [[41.5, 18.2], [], [33.0], [1.0, 3.0, 2.0]]


def lists(content, offsets, index=ak.index.Index64):
    return ak.contents.ListOffsetArray(index(np.asarray(offsets)), content)


def records(**columns):
    contents = [ak.contents.NumpyArray(values) for values in columns.values()]
    return ak.contents.RecordArray(contents, list(columns))


def muons(index=ak.index.Index64):
    return ak.Array(lists(records(pt=PT, charge=CHARGE), [0, 2, 2, 3, 6], index))


def nested(jagged, name="pt"):
    return [x.tolist() for x in np.split(jagged[name], jagged.offsets[1:-1])] if len(jagged) else []


class TestFromAwkward:
    @pytest.mark.parametrize("index", [ak.index.Index32, ak.index.IndexU32, ak.index.Index64])
    def test_list_offsets_without_a_copy(self, index):
        jagged = fj.Jagged.from_awkward(muons(index))
        assert nested(jagged) == EVENTS
        assert np.shares_memory(jagged["pt"], PT)
        assert np.shares_memory(jagged["charge"], CHARGE)
        assert jagged["charge"].dtype == np.int32

    @pytest.mark.parametrize("key", [slice(1, None), slice(2, 4), slice(1, 2), slice(4, 4)])
    def test_slices_without_a_copy(self, key):
        jagged = fj.Jagged.from_awkward(muons()[key])
        assert nested(jagged) == EVENTS[key]
        assert np.shares_memory(jagged["pt"], PT) == bool(jagged.n_particles)

    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            (lambda a: a[[True, False, True, True]], [EVENTS[0], *EVENTS[2:]]),
            (lambda a: a[[3, 0, 0]], [EVENTS[3], EVENTS[0], EVENTS[0]]),
            (lambda a: a[::-1], EVENTS[::-1]),
            (lambda a: a[::2], EVENTS[::2]),
            (lambda a: a[a.pt > 2.5], [[41.5, 18.2], [], [33.0], [3.0]]),
            (lambda a: a[ak.argsort(a.pt, ascending=True)],
             [[18.2, 41.5], [], [33.0], [1.0, 2.0, 3.0]]),
            (lambda a: a[:, :1], [[41.5], [], [33.0], [1.0]]),
            (lambda a: a[:, ::-1], [x[::-1] for x in EVENTS]),
            (lambda a: ak.concatenate([a, a[1:]]), EVENTS + EVENTS[1:]),
            (lambda a: ak.zip({"pt": a.pt, "charge": a.charge}), EVENTS),
            (lambda a: ak.Array({"pt": a.pt, "charge": a.charge}), EVENTS),
            (lambda a: ak.Array({"pt": a[1:].pt, "charge": ak.Array(a.charge.to_list()[1:])}),
             EVENTS[1:]),
            (lambda a: a[:0], []),
            (lambda a: ak.mask(a, np.ones(4, bool)), EVENTS),
            (lambda a: ak.with_field(a, ak.mask(a.pt, a.pt > 0), "pt"), EVENTS),
            (lambda a: ak.Array([*a.to_list(), None])[:4], EVENTS),
            (lambda a: ak.to_packed(a), EVENTS),
        ],
    )  # fmt: skip
    def test_layouts(self, change, expected):
        array = change(muons())
        jagged = fj.Jagged.from_awkward(array)
        assert nested(jagged) == expected
        charges = dict(zip(PT, CHARGE, strict=True))
        assert jagged["charge"].tolist() == [charges[pt] for pt in jagged["pt"]]

    def test_event_mask_leaves_a_list_array(self):
        array = muons()[[True, False, False, True]]
        assert isinstance(array.layout, ak.contents.ListArray)
        starts, stops = ak.index.Index64([3, 0]), ak.index.Index64([6, 2])
        array = ak.Array(ak.contents.ListArray(starts, stops, records(pt=PT)))
        assert nested(fj.Jagged.from_awkward(array)) == [EVENTS[3], EVENTS[0]]

    def test_regular_lists(self):
        regular = ak.contents.RegularArray(records(pt=PT), 2)
        assert nested(fj.Jagged.from_awkward(ak.Array(regular))) == PT.reshape(3, 2).tolist()
        assert (
            nested(fj.Jagged.from_awkward(ak.Array(regular)[1:])) == PT.reshape(3, 2).tolist()[1:]
        )
        empty = ak.contents.RegularArray(records(pt=PT[:0]), 0, zeros_length=3)
        assert fj.Jagged.from_awkward(ak.Array(empty)).counts.tolist() == [0, 0, 0]

    def test_empty_arrays(self):
        jagged = fj.Jagged.from_awkward(ak.zip({"pt": ak.Array([[], []])}))
        assert jagged.counts.tolist() == [0, 0]
        assert jagged["pt"].dtype == np.float64

    def test_virtual_arrays_load_what_is_asked(self):
        loaded = []

        def load(name, array):
            return lambda: loaded.append(name) or array

        form = ak.forms.RecordForm(
            [
                ak.forms.NumpyForm(d, form_key=n)
                for n, d in (("pt", "float64"), ("charge", "int32"))
            ],
            ["pt", "charge"],
        )
        lazy = ak.from_buffers(
            ak.forms.ListOffsetForm("i64", form, form_key="list"),
            4,
            {
                "list-offsets": load("offsets", np.array([0, 2, 2, 3, 6])),
                "pt-data": load("pt", PT),
                "charge-data": load("charge", CHARGE),
            },
        )
        assert not loaded
        jagged = fj.Jagged.from_awkward(lazy, ["pt"])
        assert sorted(loaded) == ["offsets", "pt"]
        assert nested(jagged) == EVENTS
        assert np.shares_memory(jagged["pt"], PT)

    def test_chosen_columns(self):
        assert fj.Jagged.from_awkward(muons(), ["charge"]).columns == ("charge",)
        assert fj.Jagged.from_awkward(muons(), "charge").columns == ("charge",)
        assert fj.Jagged.from_awkward(muons(), ("charge", "pt")).columns == ("charge", "pt")
        with pytest.raises(KeyError, match="no field 'Pt': did you mean 'pt'"):
            fj.Jagged.from_awkward(muons(), ["Pt"])

    def test_a_bad_column_not_asked_for_is_no_matter(self):
        array = ak.with_field(muons(), ak.Array([[["x"]] * len(e) for e in EVENTS]), "tracks")
        assert nested(fj.Jagged.from_awkward(array, ["pt"])) == EVENTS

    @pytest.mark.parametrize(
        ("array", "error", "message"),
        [
            (ak.Array([[1.0]]), TypeError, "array of records, got 1 . var . float64; name its col"),
            (ak.Array([1.0]), TypeError, "expected an awkward array of records, got 1 . float64"),
            (ak.Array([]), TypeError, "expected an awkward array of records, got 0 . unknown"),
            (ak.Array([{"pt": 1.0}]), TypeError, "pt is not jagged: its type is float64"),
            (ak.Array([[{"pt": ["a"]}]]), TypeError, "'pt' has type string; accepted are numbers"),
            (ak.Array([[{"pt": [None]}]]), TypeError, "pt has 1 missing values"),
            (ak.Array([[[{"pt": 1.0}]]]), TypeError, "expected lists of records"),
            (ak.Array([[{"pt": "a"}]]), TypeError, "'pt' has type string; accepted are numbers"),
            (ak.Array([[{"pt": {"x": 1}}]]), TypeError, "'pt' has type {x: int64}; accepted are"),
            (ak.Array([[{"pt": 1j}]]), TypeError, "column 'pt' has dtype complex128"),
            (
                ak.Array([[{"pt": 1.0}, {"pt": None}]]),
                TypeError,
                "pt has 1 missing values .*fill_no",
            ),
            (
                ak.Array([[{"pt": 1.0}, None, None]]),
                TypeError,
                "the particles has 2 missing values",
            ),
            (ak.Array([[{"pt": 1.0}], None]), TypeError, "the array has 1 missing values"),
            (
                ak.Array({"a": [[1], []], "b": [[], [1]]}),
                ValueError,
                "'a' and 'b' have different l",
            ),
        ],
    )
    def test_refused(self, array, error, message):
        with pytest.raises(error, match=message):
            fj.Jagged.from_awkward(array)


class TestToAwkward:
    @given(jagged_arrays(n_columns=2))
    def test_there_and_back(self, parts):
        offsets, (a, b) = parts
        jagged = fj.Jagged(offsets, {"a": a, "b": b})
        array = jagged.to_awkward()
        assert ak.num(array).to_list() == jagged.counts.tolist()
        back = fj.Jagged.from_awkward(array)
        assert_same(back.offsets, jagged.offsets)
        for name in "ab":
            assert_same(back[name], jagged[name])
            assert np.shares_memory(back[name], jagged[name]) == bool(jagged.n_particles)

    def test_vector_behaviours(self):
        columns = {"pt": PT, "eta": PT / 20, "phi": PT / 10, "mass": PT * 0 + fj.MUON_MASS}
        p4 = fj.Jagged([0, 2, 2, 3, 6], columns).to_awkward("Momentum4D")
        np.testing.assert_allclose(ak.flatten(p4.px), PT * np.cos(PT / 10))
        pair = p4[ak.num(p4) > 1][:, 0] + p4[ak.num(p4) > 1][:, 1]
        found = fj.dimuon(p4, "any", pairs="all", fields=["event", "first", "mass", "delta_r"])
        first = found.first == np.array([0, 3, 3, 4])
        assert first.all()
        np.testing.assert_allclose(found.mass[:2], pair.mass, rtol=1e-9)

    @given(jagged_arrays(dtypes=["f8"], n_columns=3, huge=40))
    def test_dimuon_on_awkward_equals_vector(self, parts):
        offsets, columns = parts
        # vector squares: keep to what momenta look like.
        tame = [np.clip(np.nan_to_num(c), -3, 3) for c in columns]
        columns = {"pt": np.abs(tame[0]) + 1, "eta": tame[1], "phi": tame[2]}
        particles = fj.Jagged(offsets, columns)
        array = particles.with_columns(mass=np.full(particles.n_particles, fj.MUON_MASS))
        first, second = ak.unzip(ak.combinations(array.to_awkward("Momentum4D"), 2))
        found = fj.dimuon(particles.to_awkward(), "any", pairs="all", fields=["mass"]).mass
        expected = ak.to_numpy(ak.flatten((first + second).mass))
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def arrow(kind=pa.large_list):
    struct = pa.struct([("pt", pa.float64()), ("ok", pa.bool_())])
    rows = [[{"pt": x, "ok": x > 2} for x in event] for event in EVENTS]
    return pa.array(rows, kind(struct))


class TestArrow:
    @pytest.mark.parametrize("kind", [pa.list_, pa.large_list])
    def test_lists_of_structs(self, kind):
        array = arrow(kind)
        jagged = fj.Jagged.from_arrow(array)
        assert nested(jagged) == EVENTS
        assert jagged["ok"].tolist() == (PT > 2).tolist()
        assert np.shares_memory(jagged["pt"], array.values.field("pt").to_numpy())
        for key in (slice(1, 3), slice(2, None), slice(4, 4)):
            assert nested(fj.Jagged.from_arrow(array[key])) == EVENTS[key]

    @pytest.mark.parametrize("kind", [pa.list_, pa.large_list])
    @pytest.mark.parametrize("n", [0, 1, 2])
    def test_chunks(self, kind, n):
        chunked = pa.chunked_array([arrow(kind)[1:]] * n, type=arrow(kind).type)
        jagged = fj.Jagged.from_arrow(chunked)
        assert nested(jagged) == EVENTS[1:] * n
        assert jagged.columns == ("pt", "ok")

    @given(jagged_arrays(n_columns=2))
    def test_there_and_back(self, parts):
        offsets, (a, b) = parts
        jagged = fj.Jagged(offsets, {"a": a, "b": b})
        array = jagged.to_arrow()
        assert array.null_count == array.values.null_count == 0
        back = fj.Jagged.from_arrow(array)
        assert_same(back.offsets, jagged.offsets)
        for name in "ab":
            assert_same(back[name], jagged[name])
            if jagged.n_particles and jagged[name].dtype != bool:
                assert np.shares_memory(back[name], jagged[name])

    @pytest.mark.parametrize(
        ("array", "message"),
        [
            (pa.array([[{"pt": 1.0}], None]), "the Arrow array has 1 null events"),
            (pa.array([[{"pt": 1.0}, None]]), "the Arrow array has 1 null particles"),
            (pa.array([[{"pt": 1.0}, {"pt": None}]]), "column 'pt' has 1 nulls; fill them first"),
            (pa.array([[{"pt": "a"}]]), "column 'pt' has type string; accepted are numbers"),
            (pa.array([[{"pt": ["a"]}]]), "column 'pt' has type string; accepted are numbers"),
            (pa.array([[{"pt": [None, 1.0]}]]), "column 'pt' has 1 nulls; fill them first"),
            (pa.array([[1.0]]), "expected an Arrow list<struct<...>> array, got list<"),
            (pa.array([1.0]), "expected an Arrow list<struct<...>> array, got double"),
            (pa.table({"x": [1]}), "expected an Arrow array, got Table; pick a column"),
        ],
    )
    def test_refused(self, array, message):
        with pytest.raises(TypeError, match=message):
            fj.Jagged.from_arrow(array)

    def test_nulls_that_were_sliced_away(self):
        array = pa.array([[{"pt": None}], [{"pt": 2.0}], None])
        assert nested(fj.Jagged.from_arrow(array[1:2])) == [[2.0]]


class TestTorch:
    @given(jagged_arrays(dtypes=[*FLOATS, "i4", "u1", "?"]))
    def test_one_column_shares_memory(self, parts):
        offsets, (values,) = parts
        jagged = fj.Jagged(offsets, {"x": values})
        tensor = jagged.to_torch("x")
        assert tensor.layout == torch.jagged
        assert_same(tensor.offsets().numpy(), jagged.offsets)
        assert_same(tensor.values().numpy(), jagged["x"])
        assert np.shares_memory(tensor.values().numpy(), jagged["x"]) == bool(jagged.n_particles)

    def test_several_columns(self):
        jagged = fj.Jagged([0, 2, 2, 3], {"pt": PT[:3], "charge": CHARGE[:3]})
        events = jagged.to_torch().unbind()
        assert [x.tolist() for x in events] == [[[41.5, 1], [18.2, -1]], [], [[33, 1]]]
        assert jagged[1:].to_torch(["charge"]).unbind()[1].tolist() == [[1]]

    def test_torch_says_nothing_about_its_own_code(self):
        """It does so once in a process, to whatever stderr was when it was imported."""
        from torch.fx import _symbolic_trace

        _symbolic_trace.is_fx_tracing_warning.cache_clear()
        log = logging.getLogger("torch.fx._symbolic_trace")
        handler, said = logging.Handler(), []
        handler.emit = said.append
        log.addHandler(handler)
        try:
            fj.Jagged([0, 6], {"x": PT}).to_torch("x")
            assert said == []
            _symbolic_trace.is_fx_tracing_warning.cache_clear()
            _symbolic_trace.is_fx_tracing_warning()
            assert len(said) == 1  # asked for by others it still does
        finally:
            log.removeHandler(handler)

    def test_read_only_columns_stay_unwritten(self):
        values = PT.copy()
        values.flags.writeable = False
        tensor = fj.Jagged([0, 6], {"x": values}).to_torch("x")
        tensor.values()[0] = 0
        assert values[0] == 41.5
