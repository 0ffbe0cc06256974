"""A file of ROOT with what NanoAOD has not: its values are known from the formulas that filled it.

``data/odd_types.root`` has 200 events i, with n = i % 5 values j in most branches.
"""

from contextlib import closing
from pathlib import Path
from unittest import mock

import awkward as ak
import numpy as np
import pytest
import uproot

import fastjag as fj
from fastjag.io import ReadError, baskets, tasks
from fastjag.io.reader import Reader
from fastjag.io.sources import open_source
from fastjag.schemas import Schema
from fastjag.selection import Step, survivors
from fastjag.selection.bubbling import Alive
from fastjag.selection.columns import EntryColumns

PATH = Path(__file__).parents[1] / "data" / "odd_types.root"
N = 200
I = np.repeat(np.arange(N), np.arange(N) % 5)
J = np.concatenate([np.arange(i % 5) for i in range(N)])

LISTS = {
    "li": (I + J, np.int32, 0),
    "se": (I + J, np.float32, 0),
    "vb": (J % 2, np.bool_, 0),
    "vc": (J + 60, np.int8, 0),
    "vd": (I + 0.5 * J, np.float64, 0),
    "a": (I + J, np.float32, 0),
    "f": (J * 3.25, np.float32, 1e-3),
    "fr": (J * 3.25, np.float32, 100 / 2**14),
    "d": (J * 7.75, np.float64, 0),
    "dr": (J * 7.75, np.float64, 100 / 2**12),
}


@pytest.mark.parametrize("step", [7, 1000])
@pytest.mark.parametrize("name", LISTS)
def test_lists(name, step):
    """Double32_t and Float16_t with ranges too, of which uproot reads other numbers."""
    expected, dtype, error = LISTS[name]
    batches = list(fj.iterate(PATH, name, step=step))
    found = np.concatenate([b[name][name] for b in batches])
    assert found.dtype == dtype
    assert np.abs(found.astype(float) - expected).max() <= error
    np.testing.assert_array_equal(
        np.concatenate([b[name].counts for b in batches]), np.arange(N) % 5
    )


def test_arrays_of_fixed_size():
    (batch,) = fj.iterate(PATH, ["ar", "d3"])
    assert batch["ar"].tolist() == [[i, 1, 2] for i in range(N)]
    assert batch["d3"].dtype == np.float64
    np.testing.assert_allclose(batch["d3"], np.tile([-1.5, -0.5, 0.5], (N, 1)), atol=1e-5)
    for step in (1, 64):
        parts = list(fj.iterate(PATH, "ar", step=step))
        np.testing.assert_array_equal(np.concatenate([b["ar"] for b in parts]), batch["ar"])
    cut = Step("odd", ["n"], lambda events: events["n"] % 2 == 1)
    (odd,) = survivors(PATH, [cut], ["ar", "d3"])
    np.testing.assert_array_equal(odd["ar"], batch["ar"][np.arange(N) % 5 % 2 == 1])


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_lists_of_lists_arrays_in_lists_and_text(step):
    """One list of one number for each of n; three numbers; always the same text."""
    batches = list(fj.iterate(PATH, ["vv", "xn3", "st"], step=step))
    vv = fj.concatenate([batch.vv for batch in batches])
    assert vv.counts.tolist() == [i % 5 for i in range(N)]
    assert vv["vv"].counts.tolist() == [1] * len(I)
    assert vv["vv"].value.dtype == np.float32
    assert vv["vv"].value.tolist() == I.tolist()
    xn3 = fj.concatenate([batch.xn3 for batch in batches])
    assert xn3["xn3"].tolist() == (I[:, None] + J[:, None] + np.arange(3)).tolist()
    whole = fj.concatenate(batches)
    assert whole["st"].tolist() == ["text"] * N
    assert len({id(text) for text in batches[0]["st"]}) == 1
    assert batches[0].nbytes > 0
    assert fj.equal(whole[:7], fj.concatenate([whole[:3], whole[3:7]]))


def test_survivors_have_them():
    cut = Step("odd", ["n"], lambda events: events["n"] % 2 == 1)
    chosen = survivors(PATH, [cut], ["vv", "xn3", "st"], optional=["nothing"], batch_size=64)
    (whole,) = fj.iterate(PATH, ["vv", "xn3", "st"])
    expected = whole[np.arange(N) % 5 % 2 == 1]
    found = fj.concatenate(list(chosen))
    assert chosen.left_out == []
    for name in ("vv", "xn3"):
        assert fj.equal(found[name], expected[name])
    assert found["st"].tolist() == expected["st"].tolist()
    later = Step(
        "n", ["vv"], lambda events: events["vv"].counts == 3
    )  # cut down after they are read
    found = fj.concatenate(list(survivors(PATH, [later, cut], ["vv", "xn3", "st"])))
    assert fj.equal(found.vv, whole[np.arange(N) % 5 == 3].vv)


def test_text_is_no_weight_and_no_optional_branch_is_left_out():
    (batch,) = (batches := fj.iterate(PATH, ["n", "st"], optional=["vv", "ar", "nothing", "n"]))
    assert set(batch.flat) == {"n", "ar", "st"}
    assert batches.left_out == []
    with pytest.raises(KeyError, match="'st' is text, where one number per event is needed"):
        batch.event_branch("st")


def test_text_and_lists_in_other_libraries():
    (batch,) = fj.iterate(PATH, ["vv", "xn3", "st", "n"])
    array = batch.to_awkward()
    assert array.st.to_list() == ["text"] * N
    assert array.vv.vv[2].to_list() == [[2.0], [2.0]]
    table = batch.to_arrow()
    assert str(table["st"].type).startswith("dictionary<values=string")
    assert table["vv"][2].as_py() == [[2.0], [2.0]]
    assert table["xn3"][1].as_py() == [[1.0, 2.0, 3.0]]
    frame = batch.to_pandas()
    assert frame["st"].dtype == "category"
    assert frame["vv"][2] == [[2.0], [2.0]]
    assert "<td>text</td><td>text, text, text, text, ...</td>" in batch._repr_html_()
    assert "lists of float32" in repr(batch.vv)


@pytest.mark.parametrize("step", [1, 7, 1000])
@pytest.mark.parametrize("columns", [None, ["A_z", "A_x"], "A_*", ["A_y", "A_z"], ["A_z"]])
def test_vectors_are_grouped_by_all_events(step, columns):
    """A_x and A_y have equal lengths; A_z differs from them in the last events alone."""
    batches = list(fj.iterate(PATH, columns, step=step))
    asked = {"A_x", "A_y", "A_z"} if columns in (None, "A_*") else set(columns)
    for batch in batches:
        found = {
            batch.branch(c, f): (c, f) for c, j in batch.collections.items() for f in j.columns
        }
        places = {"A_x": ("A", "x"), "A_y": ("A", "y"), "A_z": ("A_z", "A_z")}
        assert {n: p for n, p in found.items() if n[0] == "A"} == {n: places[n] for n in asked}
    k = (np.arange(N) + 1) % 4
    for name, (collection, column) in places.items():
        if name in asked:
            counts = np.concatenate([b.collections[collection].counts for b in batches])
            np.testing.assert_array_equal(counts, k + (name == "A_z") * (np.arange(N) >= 198))
            i = np.repeat(np.arange(N), counts)
            j = np.concatenate([np.arange(c) for c in counts])
            expected = {"A_x": i + j, "A_y": -i - j, "A_z": 2 * i + j}[name]
            values = np.concatenate([b.collections[collection][column] for b in batches])
            np.testing.assert_array_equal(values, expected)


def test_survivors_group_as_iterate_does():
    cut = Step("few", ["A_x"], lambda events: events.A.counts < 3)
    (batch,) = survivors(PATH, [cut], ["A_*"])
    (whole,) = fj.iterate(PATH, "A_*")
    kept = whole.A.counts < 3
    assert set(batch.collections) == {"A", "A_z"}
    for name in batch.collections:
        expected = whole.collections[name][kept]
        np.testing.assert_array_equal(batch[name].counts, expected.counts)
        for column in expected.columns:
            np.testing.assert_array_equal(batch[name][column], expected[column])


def test_formats_that_promise_equal_lengths(tmp_path):
    """Lists without a counter are taken at the format's word, and checked; others are compared."""
    with uproot.recreate(tmp_path / "a.root") as file:
        data = {"lep_pt": [[1.0], [2.0]], "lep_eta": [[1.0], [2.0]], "lep_x": [[1.0], [2.0, 3.0]]}
        file.mktree("mini", dict.fromkeys(data, "var * float64"))
        file["mini"].extend({name: ak.Array(values) for name, values in data.items()})
    (batch,) = fj.iterate(tmp_path / "a.root")
    assert batch.Lepton.columns == ("pt", "eta")
    assert batch.Lepton_x["Lepton_x"].tolist() == [1, 2, 3]
    trusting = Schema("of tests", "Events", one_length=("A",), prefixes={"A_": "A_"})
    with pytest.raises(ReadError, match=r"'A_x' and 'A_z' have different lengths in event 198, .*"):
        list(fj.iterate(PATH, "A_*", schema=trusting))
    (batch,) = fj.iterate(PATH, ["A_x", "A_y"], schema=trusting)
    assert batch.A.columns == ("x", "y")


def test_vectors_with_damaged_tables():
    """Each condition on the table of offsets of a basket."""
    stored = baskets.Stored("x", np.dtype(">f4"), [0], [0], [0, 2], None, header=10)
    body = np.zeros(28, np.uint8).tobytes()  # 10 + 4 and 10 + 4 bytes

    def bounds(*table, values=body):
        data = memoryview(values + np.array(table, ">i4").tobytes())
        starts, stops = baskets.list_bounds(stored, 0, data, len(values), 80)
        return starts.tolist(), stops.tolist()

    assert bounds(3, 80, 94, 0) == ([10, 24], [14, 28])
    for table in ((3, 80), (4, 80, 94, 0), (2, 80, 94, 0)):
        with pytest.raises(
            ValueError, match="entries 0 to 2, has a table of offsets that does not"
        ):
            bounds(*table)
    for table in ((3, 60, 94, 0), (3, 80, 200, 0), (3, 80, 85, 0), (3, 80, 95, 0)):
        with pytest.raises(ValueError, match="basket 0 of x, entries 0 to 2, has offsets beyond"):
            bounds(*table)


def test_threads_are_for_several():
    with mock.patch.object(tasks, "ThreadPoolExecutor") as pool:
        for threads, n in ((1, 0), (2, 1)):
            tasks.Tasks(threads, list, "x").close()
            assert pool.call_count == n


class TestKeys:
    """A basket is refused by each number of its key alone."""

    @staticmethod
    def read(tmp_path, n_bytes=94, n_object=16, n_key=78, last=94, size=94):
        key = bytearray(78)
        baskets._KEY.pack_into(key, 0, n_bytes, 1004, n_object, 0, n_key, 1)
        key[-5:-1] = int(last).to_bytes(4, "big", signed=True)
        (tmp_path / "x").write_bytes(bytes(key) + np.arange(2.0).astype(">f8").tobytes())
        stored = baskets.Stored("x", np.dtype(">f8"), [0], [size], [0, 2], None)
        with closing(open_source(str(tmp_path / "x"))) as source:
            body, stop, key_length = baskets.Baskets(source).read(stored, 0)
        return np.frombuffer(body[:stop], ">f8").tolist(), key_length

    def test_right(self, tmp_path):
        assert self.read(tmp_path) == ([0, 1], 78)
        assert self.read(tmp_path, last=86) == ([0], 78)
        assert self.read(tmp_path, last=78) == ([], 78)

    @pytest.mark.parametrize(
        "wrong",
        [{"n_bytes": 93}, {"n_bytes": 95}, {"n_object": -1}, {"n_key": 0}, {"n_key": -78},
         {"n_key": baskets._KEY.size + 5}, {"n_key": 95}],
    )  # fmt: skip
    def test_wrong(self, tmp_path, wrong):
        with pytest.raises(ValueError, match="no basket of x at byte 0"):
            self.read(tmp_path, **wrong)

    @pytest.mark.parametrize("last", [77, 95, 0, -1])
    def test_wrong_ends(self, tmp_path, last):
        with pytest.raises(ValueError, match=r"a basket of x has -?\d+ bytes of values"):
            self.read(tmp_path, last=last)

    @pytest.mark.parametrize("size", [95, 1000])
    def test_beyond_the_file(self, tmp_path, size):
        with pytest.raises(ValueError, match="the file ends within a basket of x"):
            self.read(tmp_path, n_bytes=size, size=size)


def test_errors_of_trees_are_told_once(monkeypatch):
    with pytest.raises(ReadError) as raised:
        Reader(str(PATH), "Event", None)
    assert str(raised.value) == f"{PATH}: no tree 'Event': did you mean 'Events'?"
    for error in (KeyboardInterrupt, SystemExit):
        with monkeypatch.context() as patch:
            patch.setattr("fastjag.io.trees.find_tree", mock.Mock(side_effect=error))
            with pytest.raises(error):
                Reader(str(PATH), None, None)
    with monkeypatch.context() as patch:
        patch.setattr("fastjag.io.trees.find_tree", mock.Mock(side_effect=IndexError("odd")))
        with pytest.raises(ReadError, match=r"odd_types.root: no readable tree: IndexError: odd"):
            Reader(str(PATH), None, None)


def test_columns_of_a_collection_share_their_offsets():
    """Which of several equal arrays is kept: comparing them again and again takes time."""
    reader = Reader(str(PATH), None, None)
    with reader.file:
        names = ["A_x", "A_y", "n"]
        columns = EntryColumns(reader, names)
        alive = Alive(reader, columns, 0, N)
        alive.cut(Step("some", ["n"], lambda events: events["n"] > 1), ["n"])
        alive.of(names)
        columns.close()
        assert alive.loaded["A_x"][1][0] is alive.loaded["A_y"][1][0]
        assert alive.loaded["n"][1][0] is None
