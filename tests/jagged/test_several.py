"""fj.concatenate and fj.equal: parts of anything are the whole."""

import copyreg

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from on_device import moved
from strategies import assert_same, jagged_arrays

import fastjag as fj
from fastjag.io.batches import Source


def cut(n, seed):
    """Borders of parts, some of them empty."""
    rng = np.random.default_rng(seed)
    inner = np.sort(rng.integers(0, n + 1, rng.integers(0, 5)))
    return list(zip([0, *inner], [*inner, n], strict=True))


def some(dtype="f8", n=3):
    return fj.Jagged([0, 2, n], {"x": np.arange(n).astype(dtype), "y": np.zeros(n)})


class TestConcatenate:
    @given(jagged_arrays(n_columns=2), st.integers(0, 999))
    def test_parts_are_the_whole(self, device, parts, seed):
        offsets, (a, b) = parts
        whole = fj.Jagged(offsets, {"a": a, "b": b}).to(device)
        joined = fj.concatenate([whole[i:j] for i, j in cut(len(whole), seed)])
        assert joined.device == device
        assert fj.equal(joined, whole)
        assert_same(joined["a"], whole["a"])
        assert_same(joined.offsets, whole.offsets)

    @given(jagged_arrays(dtypes=["f8"], n_columns=3, huge=40), st.integers(0, 999))
    def test_pairs_of_parts_are_pairs_of_the_whole(self, device, parts, seed):
        """Indices of events and particles count on."""
        offsets, columns = parts
        pt, eta, phi = (np.clip(np.nan_to_num(c), -3, 3) for c in columns)
        muons = fj.Jagged(offsets, {"pt": np.abs(pt), "eta": eta, "phi": phi,
                                    "charge": np.sign(pt).astype("i4")}).to(device)  # fmt: skip
        for options in ({"pairs": "all"}, {"charge": "any"}, {"fields": ["first", "mass"]}):
            whole = fj.dimuon(muons, **options)
            pieces = [fj.dimuon(muons[i:j], **options) for i, j in cut(len(muons), seed)]
            assert fj.equal(fj.concatenate(pieces), whole)
            assert fj.concatenate(pieces).n_particles == muons.n_particles

    def test_chosen_pairs(self):
        """A mask takes nothing from the particles that indices count."""
        muons = fj.Jagged(
            [0, 2, 4], {"pt": [5.0, 4, 3, 2], "eta": np.arange(4.0), "phi": np.zeros(4)}
        )
        fields = ["event", "first", "mass"]
        parts = [fj.dimuon(muons[i : i + 1], "any", fields=fields) for i in (0, 1)]
        joined = fj.concatenate([parts[0][[False]], parts[1]])
        assert joined.event.tolist() == [1]
        assert joined.first.tolist() == [2]
        assert joined.offsets.tolist() == [0, 0, 1]

    def test_pairs_of_an_earlier_version(self):
        old = copyreg.__newobj__(fj.Dimuons)
        state = {"offsets": np.array([0, 1]), "_fields": {"event": np.array([0])}}
        old.__setstate__((None, state))
        joined = fj.concatenate([old, old])
        assert joined.event.tolist() == [0, 1]
        assert joined.n_particles is None
        state["_fields"] = {"first": np.array([0])}
        old = copyreg.__newobj__(fj.Dimuons)
        old.__setstate__((None, state))
        with pytest.raises(ValueError, match=r"part 0 comes from an earlier version .* 'first'"):
            fj.concatenate([old, old])

    @pytest.mark.parametrize(
        ("dtypes", "expected"),
        [(["i4", "i8"], "i8"), (["f4", "f8"], "f8"), (["u1", "i1"], "i2"), (["?", "?"], "?")],
    )
    def test_dtypes(self, dtypes, expected):
        joined = fj.concatenate([some(dtype) for dtype in dtypes])
        assert joined["x"].dtype == np.dtype(expected)
        assert joined["x"].tolist() == [x for d in dtypes for x in some(d)["x"].tolist()]

    @pytest.mark.parametrize("dtypes", [["i4", "f8"], ["?", "u1"], ["u8", "i8"], ["f4", "i1"]])
    def test_dtypes_that_would_change_values(self, dtypes):
        with pytest.raises(
            TypeError, match=r"column 'x' is .* in part 0 and .* in part 1: .*astype"
        ):
            fj.concatenate([some(dtype) for dtype in dtypes])

    def test_order_of_columns(self):
        joined = fj.concatenate([some(), some()[["y", "x"]]])
        assert joined.columns == ("x", "y")
        assert joined["x"].tolist() == [0, 1, 2, 0, 1, 2]

    def test_anything_that_gives_parts(self):
        assert len(fj.concatenate(some() for _ in range(3))) == 6
        assert len(fj.concatenate((some().to_awkward(), some()))) == 4

    @pytest.mark.parametrize(
        ("parts", "error", "message"),
        [
            ([], ValueError, "at least one part, got none"),
            (some(), TypeError, "takes a list of what it joins, got one Jagged"),
            ("ab", TypeError, "takes a list of what it joins, got one str"),
            (None, TypeError, "takes a list of what it joins, got NoneType"),
            ({"a": some()}, TypeError, "takes a list of what it joins, got one dict"),
            ([some(), None], TypeError, "got Jagged and NoneType"),
            ([1], TypeError, "got int; numpy.concatenate"),
            ([some(), some()[["x"]]], KeyError, "part 1 has no column 'y', which part 0 has"),
            ([some()[["x"]], some()], KeyError, "part 1 has the column 'y', which part 0 has not"),
        ],
    )
    def test_refused(self, parts, error, message):
        with pytest.raises(error, match=message):
            fj.concatenate(parts)

    def test_devices(self, gpu):
        with pytest.raises(ValueError, match="must be on one device"):
            fj.concatenate([some(), some().to("cuda")])


def batch(n=4, file="a.root", start=0, **flat):
    muons = fj.Jagged(np.arange(n + 1), {"pt": np.arange(float(n)) + start})
    return fj.Batch({"Muon": muons}, {"run": np.arange(start, start + n), "v": np.ones((n, 3)), **flat},
                    Source(file, "Events", start, start + n))  # fmt: skip


class TestBatches:
    def test_of_one_file(self):
        joined = fj.concatenate([batch(4), batch(3, start=4)])
        assert fj.equal(joined, batch(7))
        assert joined.source == Source("a.root", "Events", 0, 7)
        assert joined.entries.tolist() == list(range(7))
        apart = fj.concatenate([batch(2), batch(2, start=6)])
        assert apart.entries.tolist() == [0, 1, 6, 7]
        assert len(apart) == 4
        turned = fj.concatenate([batch(2, start=2), batch(2)])
        assert turned.entries.tolist() == [2, 3, 0, 1]

    def test_of_several_files(self):
        joined = fj.concatenate([batch(4), batch(3, "b.root")])
        assert joined.source == Source("a.root, b.root", "Events", 0, 7)
        assert joined.Muon.pt.tolist() == [0, 1, 2, 3, 0, 1, 2]
        assert joined["v"].shape == (7, 3)

    def test_chosen_events(self):
        whole = batch(6)
        parts = [whole[[0, 2]], whole[[False, True, False, True, False, False]], whole[4:]]
        joined = fj.concatenate(parts)
        assert joined["run"].tolist() == joined.entries.tolist() == [0, 2, 1, 3, 4, 5]

    def test_refused(self):
        with pytest.raises(KeyError, match="'met' is not in flat of part 0 and part 1 alike"):
            fj.concatenate([batch(), batch(met=np.zeros(4))])
        other = fj.Batch({}, {"Muon": np.zeros(4), "run": np.zeros(4, int), "v": np.ones((4, 3))},
                         Source("", "", 0, 4))  # fmt: skip
        with pytest.raises(KeyError, match="'Muon' is not in"):
            fj.concatenate([batch(), other])


class TestEqual:
    @given(jagged_arrays(n_columns=2), st.randoms())
    def test_one_value_is_enough(self, device, parts, random):
        offsets, (a, b) = parts
        jagged = fj.Jagged(offsets, {"a": a, "b": b})
        assert fj.equal(
            jagged, fj.Jagged(offsets.copy(), {"b": b.copy(), "a": a.copy()}).to(device)
        )
        if jagged.n_particles:
            other = jagged["a"].copy()
            i = random.randrange(len(other))
            other[i] = 1 if other[i] == 0 else 0
            assert not fj.equal(jagged, jagged.with_columns(a=other))

    def test_what_differs(self):
        jagged = some()
        for other in (
            some("f4"), jagged[["x"]], jagged[:1], fj.Jagged([0, 1, 3], {n: jagged[n] for n in "xy"}),
            jagged.with_columns(z=np.zeros(3)), jagged.pad(2), jagged["x"],
        ):  # fmt: skip
            assert not fj.equal(jagged, other)
            assert not fj.equal(other, jagged)

    def test_kinds(self, device):
        jagged = some().to(device)
        muons = fj.Jagged([0], {name: [] for name in ("pt", "eta", "phi", "charge")})
        for one in (jagged, jagged.pad(2), jagged[0], jagged["x"], batch(), fj.dimuon(muons)):
            assert fj.equal(one, one)
        assert not fj.equal(batch(), batch(run=np.zeros(4)))
        assert not fj.equal(batch(3), batch(4))
        assert fj.equal(np.array([np.nan]), moved(np.array([np.nan]), device))
        with pytest.raises(TypeError, match=r"equal compares .*, got list"):
            fj.equal([1], [1])


def test_two_arguments_are_no_list():
    muons = fj.Jagged([0, 1], {"pt": [1.0]})
    with pytest.raises(TypeError, match=r"fj.concatenate\(\[a, b\]\), got 2 arguments"):
        fj.concatenate(muons, muons)
