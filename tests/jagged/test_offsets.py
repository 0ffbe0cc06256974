"""Offsets are what kernels trust: nobody can write those of a Jagged, however it was made."""

import copy
import copyreg
import pickle
from concurrent.futures import ThreadPoolExecutor

import awkward as ak
import numba
import numpy as np
import pyarrow as pa
import pytest
from on_device import moved

import fastjag as fj

OFFSETS, X = [0, 2, 2, 3], np.array([1.0, 2.0, 3.0])


def made():
    return fj.Jagged(OFFSETS, {"x": X})


def from_parts(offsets, columns):
    """What pickles of version 0.1.0 do."""
    jagged = copyreg.__newobj__(fj.Jagged)
    jagged.__setstate__((None, {"_offsets": offsets, "_columns": columns}))
    return jagged


def read(folder):
    import uproot

    with uproot.recreate(folder / "x.root") as file:
        file.mktree("Events", {"A": ak.zip({"x": ak.unflatten(X, np.diff(OFFSETS))})})
    (batch,) = fj.iterate(folder / "x.root")
    return batch.A


WAYS = {
    "constructor": lambda _: made(),
    "counts": lambda _: fj.Jagged.from_counts(np.diff(OFFSETS), {"x": X}),
    "offsets not from 0": lambda _: fj.Jagged([1, 3, 3, 4], {"x": np.r_[0, X]}),
    "pickle": lambda _: pickle.loads(pickle.dumps(made())),
    "pickle protocol 5": lambda _: pickle.loads(pickle.dumps(made(), 5)),
    "pickle of 0.1.0": lambda _: from_parts(np.array(OFFSETS), {"x": X}),
    "copy": lambda _: copy.copy(made()),
    "deepcopy": lambda _: copy.deepcopy(made()),
    "slice": lambda _: made()[1:],
    "indices": lambda _: made()[[2, 0]],
    "columns": lambda _: made()[["x"]],
    "keep": lambda _: made().keep(X > 1),
    "sort": lambda _: made().sort("x"),
    "with_columns": lambda _: made().with_columns(y=X),
    "cones": lambda _: fj.in_cone(*[made().with_columns(eta=X, phi=X)] * 2, 0.5),
    "awkward": lambda _: fj.Jagged.from_awkward(made().to_awkward()),
    "awkward lists of columns": lambda _: fj.Jagged.from_awkward(
        ak.Array({"x": ak.unflatten(X, np.diff(OFFSETS))})
    ),
    "arrow": lambda _: fj.Jagged.from_arrow(made().to_arrow()),
    "file": read,
}


class TestNobodyWrites:
    @pytest.mark.parametrize("way", WAYS)
    def test_into_offsets(self, tmp_path, way):
        jagged = WAYS[way](tmp_path)
        expected = jagged.offsets.copy()
        array = jagged.offsets
        while isinstance(array, np.ndarray):  # itself, and all that it is a view of
            with pytest.raises(ValueError, match="read-only"):
                array[-1] = 10**15
            with pytest.raises(ValueError, match="cannot set WRITEABLE"):
                array.flags.writeable = True
            array = array.base
        with pytest.raises(TypeError, match="read-only"):
            memoryview(array)[-1] = 0
        assert jagged.offsets.tolist() == expected.tolist()

    @pytest.mark.filterwarnings("ignore:Setting the .* on a NumPy array:DeprecationWarning")
    def test_dtype_and_shape_of_what_is_inside(self):
        jagged = made()
        jagged.offsets.dtype = np.int32
        jagged["x"].dtype = np.complex64
        jagged["x"].shape = (1, 3)
        assert jagged.offsets.tolist() == OFFSETS
        assert jagged["x"].tolist() == X.tolist()

    @pytest.mark.parametrize("way", ["constructor", "awkward", "arrow", "buffer", "bytes"])
    def test_into_what_they_were_made_of(self, way):
        mine = np.array(OFFSETS)
        if way == "awkward":
            content = ak.contents.RecordArray([ak.contents.NumpyArray(X)], ["x"])
            layout = ak.contents.ListOffsetArray(ak.index.Index64(mine), content)
            jagged = fj.Jagged.from_awkward(ak.Array(layout))
        elif way == "arrow":
            particles = pa.StructArray.from_arrays([pa.array(X)], ["x"])
            jagged = fj.Jagged.from_arrow(
                pa.LargeListArray.from_arrays(pa.Array.from_buffers(
                    pa.int64(), 4, [None, pa.py_buffer(mine)]), particles)
            )  # fmt: skip
        else:
            given = {"buffer": memoryview, "bytes": lambda a: np.frombuffer(a.data, np.int64)}
            jagged = fj.Jagged(given.get(way, np.asarray)(mine), {"x": X})
        assert np.shares_memory(jagged["x"], X)
        mine[1] = 10**15
        assert jagged.offsets.tolist() == OFFSETS

    def test_into_those_of_awkward_arrow_and_torch(self):
        jagged = made()
        array = jagged.to_awkward()
        assert np.shares_memory(array.layout.content.content("x").data, X)
        array.layout.offsets.data[1] = 10**15
        for buffer in jagged.to_arrow().buffers():
            if buffer is not None:
                assert not np.shares_memory(np.frombuffer(buffer, "u1"), jagged.offsets)
        jagged.to_torch("x").offsets()[1] = 10**15
        assert jagged.offsets.tolist() == OFFSETS

    def test_in_compiled_functions(self):
        @numba.njit
        def write(muons):
            muons.offsets[1] = 5

        with pytest.raises(numba.TypingError, match=r"[Cc]annot modify readonly array"):
            write(made())

    def test_between_check_and_use(self):
        """Another thread writes into them all the while: what is kept is what was checked."""
        mine, running = np.array([0, 500, 1000]), True
        x = np.zeros(1000)

        def write():
            while running:
                mine[1] = 2**40
                mine[1] = 500

        with ThreadPoolExecutor(1) as pool:
            done = pool.submit(write)
            try:
                for _ in range(300):
                    try:
                        jagged = fj.Jagged(mine, {"x": x})
                    except ValueError:
                        continue
                    assert jagged.offsets.tolist() == [0, 500, 1000]
            finally:
                running = False
            done.result()


class TestCheckedAgain:
    @pytest.mark.parametrize(
        ("offsets", "columns", "message"),
        [
            ([0, 10**15], {"x": X}, "offsets end at 1000000000000000, but the columns have 3"),
            ([0, 2, 1], {"x": X}, "must not decrease"),
            ([-5, 2], {"x": X}, "must start at 0 or above"),
            ([0, 3], {"x": X, "y": X[:1]}, "columns must have equal lengths"),
            ([0, 3], {}, "at least one column"),
        ],
    )
    def test_parts_of_a_pickle(self, offsets, columns, message):
        with pytest.raises(ValueError, match=message):
            from_parts(np.array(offsets), columns)

    @pytest.mark.parametrize("state", [None, (), (None, {}), {"_offsets": [0]}, (None, None)])
    def test_other_states(self, state):
        with pytest.raises(ValueError, match=r"no pickle of a fastjag.Jagged"):
            copyreg.__newobj__(fj.Jagged).__setstate__(state)

    def test_bytes_changed_in_a_pickle(self):
        data = pickle.dumps(made())
        offsets = np.array(OFFSETS).tobytes()
        assert data.count(offsets) == 1
        hostile = data.replace(offsets, np.array([0, 2, 2, 10**15]).tobytes())
        with pytest.raises(ValueError, match="offsets end at 1000000000000000"):
            pickle.loads(hostile)


class TestMasks:
    """muons[mask] picks events; one of particles is what keep takes."""

    def test_of_particles(self, device):
        jagged = made().to(device)
        with pytest.raises(ValueError, match=r"3 events or of the 3 particles: \.keep\(mask\)"):
            _ = jagged[moved(X > 1, device)]
        assert jagged.keep(moved(X > 1, device)).counts.tolist() == [1, 0, 1]
        assert jagged[moved(X > 1, device).nonzero()[0]].counts.tolist() == [0, 1]
        more = fj.Jagged([0, 3], {"x": X}).to(device)
        with pytest.raises(ValueError, match=r"has 3 entries, .* 1 events: .* \.keep\(mask\)"):
            _ = more[moved(X > 1, device)]

    def test_as_a_list(self):
        with pytest.raises(ValueError, match="events or of the"):
            _ = made()[[True, False, True]]

    def test_of_nothing(self):
        empty = fj.Jagged([0], {"x": []})
        assert len(empty[np.zeros(0, bool)]) == 0
