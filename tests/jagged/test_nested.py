"""Columns of lists, and of several numbers per particle: what every method does with them."""

import copy
import pickle
from itertools import chain

import awkward as ak
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from on_device import moved
from strategies import DTYPES, assert_same, column, offsets_and_length

import fastjag as fj
from fastjag.core.devices import to_host

#: The reference is slow: it goes through the particles one by one.
FEW = settings(max_examples=25)


@st.composite
def nested_jagged(draw):
    """A Jagged with numbers, three numbers, and lists of two columns for each particle."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    offsets, length = draw(offsets_and_length(huge=60))
    most = draw(st.sampled_from([0, 1, 3, 9]))
    start = draw(st.sampled_from([0, 2]))
    inner = start + np.cumsum([0, *rng.integers(0, most + 1, length)])
    n = int(inner[-1]) + draw(st.sampled_from([0, 3]))
    a, b, c, d = (draw(st.sampled_from(DTYPES)) for _ in range(4))
    parts = fj.Jagged(inner, {"x": column(rng, a, n), "y": column(rng, b, n)})
    columns = {
        "k": column(rng, c, length),
        "v": column(rng, d, 3 * length).reshape(length, 3),
        "parts": parts,
        "hits": parts[["x"]].with_columns(value=parts.x)[["value"]],
    }
    return fj.Jagged(offsets, columns)


def lists(values):
    """A column of a Jagged as Python's lists, one per particle."""
    values = values.to("cpu")
    pairs = zip(values.offsets[:-1], values.offsets[1:], strict=True)
    return [{n: to_host(values[n])[a:b] for n in values.columns} for a, b in pairs]


def events(jagged):
    """Particles of each event as dicts of what they have: the slow reference for selections."""
    jagged = jagged.to("cpu")
    found = [
        {"k": jagged["k"][i], "v": jagged["v"][i], "parts": parts, "hits": hits}
        for i, (parts, hits) in enumerate(zip(lists(jagged["parts"]), lists(jagged["hits"]), strict=True))
    ]  # fmt: skip
    pairs = zip(jagged.offsets[:-1], jagged.offsets[1:], strict=True)
    return [found[a:b] for a, b in pairs]


def assert_events(jagged, expected):
    found = events(jagged)
    assert [len(event) for event in found] == [len(event) for event in expected]
    for a, b in zip(chain(*found), chain(*expected), strict=True):
        assert_same(a["k"], b["k"])
        assert_same(a["v"], b["v"])
        for name in ("parts", "hits"):
            assert a[name].keys() == b[name].keys()
            for key in a[name]:
                assert_same(a[name][key], b[name][key])


class TestSelections:
    @FEW
    @given(nested_jagged(), st.data())
    def test_of_particles(self, device, jets, data):
        there, expected = jets.to(device), events(jets)
        assert there.device == there["parts"].device == device
        assert_events(there, expected)
        rng = np.random.default_rng(data.draw(st.integers(0, 99)))
        mask = rng.random(jets.n_particles) < data.draw(st.sampled_from([0.0, 0.4, 1.0]))
        numbered = iter(mask)
        kept = [[particle for particle in event if next(numbered)] for event in expected]
        assert_events(there.keep(moved(mask, device)), kept)

    @FEW
    @given(nested_jagged(), st.data())
    def test_of_events(self, device, jets, data):
        there, expected = jets.to(device), events(jets)
        n = len(jets)
        start, stop = data.draw(st.integers(0, n)), data.draw(st.integers(0, n))
        assert_events(there[start:stop], expected[start:stop])
        assert_events(there[::-1], expected[::-1])
        if n:
            indices = data.draw(st.lists(st.integers(-n, n - 1), max_size=5))
            assert_events(there[indices], [expected[i] for i in indices])

    @FEW
    @given(nested_jagged())
    def test_sort(self, device, jets):
        def key(particle):
            value = particle["k"].item()
            return (np.isnan(value), 0 if np.isnan(value) else -value)

        there = jets.to(device).sort("k")
        assert_events(there, [sorted(event, key=key) for event in events(jets)])

    @FEW
    @given(nested_jagged())
    def test_joined_equal_and_pickled(self, device, jets):
        there = jets.to(device)
        joined = fj.concatenate([there, there[:0], there])
        assert_events(joined, events(jets) * 2)
        assert fj.equal(joined[: len(jets)], there)
        for other in (copy.deepcopy(there), pickle.loads(pickle.dumps(there))):
            assert fj.equal(other, there)
            assert other.device == device
        if there["parts"].n_particles:
            longer = there["parts"].with_columns(x=np.zeros(1, "f8")[0] + there["parts"].x)
            assert fj.equal(there.with_columns(parts=longer), there) == fj.equal(
                longer, there.parts
            )

    def test_one_event_has_the_lists_of_its_particles(self):
        event = made()[1]
        assert len(event) == 2
        assert event.parts.counts.tolist() == [1, 3]
        assert event.parts[1]["pt"].tolist() == [6, 5, 4]
        assert [len(one) for one in event.parts] == [1, 3]
        assert fj.equal(event, made()[1])
        assert not fj.equal(event, made()[0])


def made():
    parts = fj.Jagged([0, 2, 3, 6], {"pt": [9.0, 8, 7, 6, 5, 4], "charge": [1, -1, 1, 1, -1, -1]})
    hits = fj.Jagged([0, 0, 3, 3], {"value": np.arange(3)})
    vertex = np.arange(9.0).reshape(3, 3)
    return fj.Jagged([0, 1, 3], {"pt": [17.0, 7, 15], "parts": parts, "hits": hits, "v": vertex})


class TestLevels:
    @FEW
    @given(nested_jagged())
    def test_flatten(self, device, jets):
        flat = jets.to(device).flatten("parts")
        expected = [
            {n: np.concatenate([p["parts"][n] for p in event]) if event else [] for n in ("x", "y")}
            for event in events(jets)
        ]
        found = lists(flat)
        assert [len(e["x"]) for e in found] == [len(e["x"]) for e in expected]
        for a, b in zip(found, expected, strict=True):
            for name in ("x", "y"):
                assert a[name].tolist() == pytest.approx(list(b[name]), abs=0, nan_ok=True)

    def test_of_a_particle_for_each_of_its_list(self, device):
        jets = made().to(device)
        flat = jets.flatten("parts").with_columns(jet_pt=jets.parts.broadcast(jets.pt))
        assert flat.counts.tolist() == [2, 4]
        assert flat.jet_pt.tolist() == [17, 17, 7, 15, 15, 15]
        assert jets.broadcast(jets.v[:2]).tolist() == [[0, 1, 2], [3, 4, 5], [3, 4, 5]]

    def test_numbers_of_lists_are_columns(self, device):
        jets = made().to(device)
        n = jets.parts.aggregate("pt", ["sum", "count"])
        jets = jets.with_columns(sum_pt=n["sum"], n=n["count"])
        assert jets.aggregate("sum_pt", ["max"])["max"].tolist() == [17, 15]
        assert jets.keep(jets.n > 1).parts.counts.tolist() == [2, 3]
        central = jets.with_columns(parts=jets.parts.keep(jets.parts.charge > 0))
        assert central.parts.counts.tolist() == [1, 1, 1]

    @FEW
    @given(nested_jagged(), st.integers(1, 4), st.integers(1, 4), st.sampled_from(["NKF", "NFK"]),
           st.booleans(), st.booleans())  # fmt: skip
    def test_pad(self, device, jets, first, second, layout, by, again):
        there = jets.to(device)
        names = ("k", "x") if by else None
        options = {"layout": layout, "by": names, "fill": -1, "dtype": np.float64}
        padded = there.pad((first, second), "parts", **options)
        if again:  # into the same memory, which a shorter batch takes a part of
            padded = there[: len(there) // 2].pad((first, second), "parts", out=padded, **options)
            jets = jets[: len(jets) // 2]
        order = {"k": jets.sort("k") if by else jets}
        values = np.full((len(jets), first, second, 2), -1.0)
        mask = np.zeros((len(jets), first, second), bool)
        for i, event in enumerate(events(order["k"])):
            for j, particle in enumerate(event[:first]):
                one = fj.Jagged([0, len(particle["parts"]["x"])], particle["parts"])
                one = one.sort("x") if by else one
                for k in range(min(second, one.n_particles)):
                    values[i, j, k] = float(one["x"][k]), float(one["y"][k])
                    mask[i, j, k] = True
        values = values if layout == "NKF" else values.swapaxes(2, 3)
        assert_same(padded.values, values)
        assert_same(padded.mask, mask)
        assert_same(there.pad((first, second), "hits").mask,
                    np.asarray(to_host(there.pad((first, second), "parts").mask)))  # fmt: skip

    def test_wrap_pads_one_level(self):
        jets = made()
        with pytest.raises(
            ValueError, match=r'mode "wrap" pads one level, but width has 2: \(2, 3\)'
        ):
            jets.pad((2, 3), "hits", mode="wrap")
        found = jets.pad(2, "v", mode="wrap", layout="NFK")
        assert found.values.tolist()[0] == [[0, 0], [1, 1], [2, 2]]
        assert found.values.tolist()[1] == [[3, 6], [4, 7], [5, 8]]

    @FEW
    @given(nested_jagged(), st.integers(1, 4))
    def test_pad_of_several_numbers(self, device, jets, width):
        there = jets.to(device)
        padded = there.pad(width, "v")
        values = np.zeros((len(jets), width, 3), jets["v"].dtype)
        for i, event in enumerate(events(jets)):
            for j, particle in enumerate(event[:width]):
                values[i, j] = particle["v"]
        assert_same(padded.values, values)
        assert_same(padded.mask, there.pad(width, "k").mask.get() if device != "cpu" else
                    there.pad(width, "k").mask)  # fmt: skip
        assert_same(there.pad(width, "v", layout="NFK").values, values.swapaxes(1, 2))
        again = there.pad(width, "v", out=padded, layout="NKF")
        assert np.asarray(to_host(again.values)).shape == values.shape

    def test_three_levels(self, device):
        deep = fj.Jagged([0, 1, 2], {"jets": made()}).to(device)
        sums = deep["jets"].flatten("parts").aggregate("pt", ["sum"])["sum"]
        assert sums.tolist() == [17, 22]
        lone = fj.Jagged([0, 1, 2], {"j": fj.Jagged([0, 1, 3], {"value": made().hits})}).to(device)
        padded = lone.pad((1, 2, 3), "j", fill=-1)
        assert padded.values.tolist() == [[[[-1, -1, -1], [-1, -1, -1]]], [[[0, 1, 2], [-1] * 3]]]
        assert int(padded.mask.sum()) == 3


class TestOtherLibraries:
    @FEW
    @given(nested_jagged())
    def test_awkward_and_back(self, jets):
        array = jets.to_awkward()
        listed = [[{n: v.tolist() for n, v in particle.items() if n in "kv"} for particle in event]
                  for event in events(jets)]  # fmt: skip
        np.testing.assert_equal(array[["k", "v"]].to_list(), listed)
        np.testing.assert_equal(
            array.hits.to_list(),
            [[p["hits"]["value"].tolist() for p in event] for event in events(jets)],
        )
        np.testing.assert_equal(
            array.parts.x.to_list(), [[p["parts"]["x"].tolist() for p in e] for e in events(jets)]
        )
        assert fj.equal(fj.Jagged.from_awkward(array), jets)
        assert fj.equal(jets, array)
        kept = fj.Jagged.from_awkward(array[::-1])  # a ListArray of lists
        assert fj.equal(kept, jets[::-1])

    @FEW
    @given(nested_jagged())
    def test_arrow_and_back(self, jets):
        array = jets.to_arrow()
        np.testing.assert_equal(array.to_pylist(), jets.to_awkward().to_list())
        assert fj.equal(fj.Jagged.from_arrow(array), jets)
        assert fj.equal(fj.Jagged.from_arrow(array[1:]), jets[1:])

    def test_pandas(self):
        frame = made().to_pandas()
        assert frame.pt.tolist() == [17, 7, 15]
        assert frame.hits[1, 0] == [0, 1, 2]
        assert frame.v[1, 1] == [6, 7, 8]
        assert frame.parts[0, 0] == [{"pt": 9, "charge": 1}, {"pt": 8, "charge": -1}]

    def test_torch(self):
        pytest.importorskip("torch")
        tensor = made().to_torch("v")
        assert [event.tolist() for event in tensor] == [[[0, 1, 2]], [[3, 4, 5], [6, 7, 8]]]
        values, mask = made().pad((2, 3), "hits").to_torch()
        assert values.tolist()[1] == [[0, 1, 2], [0, 0, 0]]
        assert mask.sum() == 3
        with pytest.raises(TypeError, match=r"'hits' holds lists .* but a tensor takes one number"):
            made().to_torch("hits")
        with pytest.raises(TypeError, match=r"'v' holds float64 \(3,\) .* but a tensor takes one"):
            made().to_torch(["pt", "v"])

    def test_numba(self):
        numba = pytest.importorskip("numba")

        @numba.njit
        def total(jets):
            return jets.pt.sum()

        assert total(made()[["pt"]]) == 39
        assert total(made().flatten("parts")) == 39
        with pytest.raises(numba.TypingError, match=r"but 'parts' holds lists of .*: pick columns"):
            total(made())

    def test_refused(self):
        with pytest.raises(TypeError, match=r"parts has type struct|'parts' has type"):
            fj.Jagged.from_awkward(ak.Array([[{"parts": {"x": 1}}]]))
        with pytest.raises(TypeError, match=r"'x' has 1 nulls|has 1 null particles"):
            fj.Jagged.from_arrow(pa.array([[{"parts": [{"x": 1}, None]}]]))


class TestRefused:
    @pytest.mark.parametrize(
        ("use", "message"),
        [
            (lambda j: j.sort("parts"),
             r"'parts' holds lists of {pt, charge} for each particle, but sort takes one"),
            (lambda j: j.sort("v"), r"'v' holds float64 \(3,\) for each particle, but sort .*\[:, 0\]"),
            (lambda j: j.pad(3), r"'parts' holds lists .* pad\(3, ...\) takes one number: name columns"),
            (lambda j: j.pad(3, "hits"), r"'hits' holds lists of int64 .* pad\(\(3, 20\), NAME\)"),
            (lambda j: j.pad(3, ["pt", "v"]), r"column 'v' holds float64 \(3,\)"),
            (lambda j: j.pad(3, "pt", by="hits"), "column 'hits' holds lists of int64"),
            (lambda j: j.pad((3, 2), "pt"), r"column 'pt' is float64, and no lists: its width is one"),
            (lambda j: j.pad((3, 2)), r"width \(3, 2\) has several levels, and takes the name of one"),
            (lambda j: j.pad((3, 2), ["hits"]), "takes the name of one column of lists, got"),
            (lambda j: j.aggregate("parts", ["sum"]),
             r"but aggregate takes one number: \['parts'\].aggregate\(...\) has one number for each"),
            (lambda j: j.aggregate("v", ["sum"]), r"but aggregate takes one number: \['v'\]\[:, 0\]"),
            (lambda j: j.flatten("pt"), "column 'pt' has no lists to join: it is float64, and flat"),
            (lambda j: j.with_columns(x=j[0]), "column 'x' is one event; accepted are arrays and"),
            (lambda j: fj.concatenate([j, j.with_columns(hits=j.pt)]),
             "column 'hits' is lists of int64 in part 0 and float64 in part 1"),
            (lambda j: fj.dimuon(j.with_columns(eta=j.pt, phi=j.hits, charge=j.pt), "any"), "phi: a Jagged is no array"),
            (lambda j: j.broadcast(j), "values: a Jagged is no array"),
        ],
    )  # fmt: skip
    def test_by_name(self, use, message):
        with pytest.raises(TypeError, match=message):
            use(made())

    def test_by_name_or_size(self):
        with pytest.raises(ValueError, match="columns must have equal lengths, got 'x' 1, 'y' 2"):
            fj.Jagged([0, 1], {"x": [1], "y": fj.Jagged([0, 1, 2], {"value": [1, 2]})})
        with pytest.raises(ValueError, match="'hits' has 1 entries, but there are 3 particles"):
            made().with_columns(hits=made().hits[:1])
        with pytest.raises(ValueError, match="width must be an integer >= 1, got 0"):
            made().pad((3, 0), "hits")
        with pytest.raises(ValueError, match="by names 2 levels, but width has 1"):
            made().pad(3, "pt", by=("pt", "pt"))
        with pytest.raises(ValueError, match=r"must have one column, got \['pt', 'charge'\]"):
            fj.histogram(made()[["parts"]], {"parts": (5, 0, 1)})
        assert fj.histogram(made()[["hits"]], {"hits": (3, 0, 3)}).values().tolist() == [1, 1, 1]
        with pytest.raises(KeyError, match="no column 'eta'"):
            made().pad((3, 2), "parts", by=("pt", "eta"))
        out = made().pad((3, 2), "hits")
        with pytest.raises(ValueError, match="out must have shape"):
            made().pad((3, 3), "hits", out=out)

    def test_on_one_device(self, device):
        if device == "cpu":
            pytest.skip("there is one device")
        with pytest.raises(ValueError, match=r"must be on one device, got .*'hits' on GPU"):
            made().with_columns(hits=made().to(device).hits)


PARTS = "[pt 7; charge 1], [pt 6, 5, 4; charge 1, -1, -1]"


def test_shown():
    headline, *rows = repr(made()).splitlines()
    assert headline == (
        "<Jagged: 2 events, 3 particles: pt float64, parts lists of {pt, charge}, "
        "hits lists of int64, v float64 (3,)>"
    )
    assert rows == [
        "  event 0: pt [17]  parts [[pt 9, 8; charge 1, -1]]  hits [[]]  v [[0, 1, 2]]",
        f"  event 1: pt [7, 15]  parts [{PARTS}]  hits [[0, 1, 2], []]  v [[3, 4, 5], [6, 7, 8]]",
    ]
    assert PARTS in made()._repr_html_()
    assert repr(made()[1]).startswith(
        "<Event of 2 particles: pt [7, 15]  parts [[pt 7; charge 1], "
    )
    many = fj.Jagged([0, 9], {"h": fj.Jagged(np.arange(10), {"value": np.arange(9)})})
    assert repr(many).endswith("h [[0], [1], [2], [3], ...]")
