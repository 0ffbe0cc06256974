"""A batch by names, some of its events, and in other libraries."""

import copy
import pickle

import awkward as ak
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import fastjag as fj
from fastjag import toys
from fastjag.io.batches import Source
from fastjag.selection.bubbling import Selected


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    columns = ["Muon_pt", "Muon_charge", "Jet_pt", "MET_pt", "event"]
    return toys.write(tmp_path_factory.mktemp("toys") / "a.root", 500, seed=2, columns=columns)


@pytest.fixture(scope="module")
def whole(path):
    (batch,) = fj.iterate(path)
    return batch


def small(**flat):
    muons = fj.Jagged([0, 2, 2, 3], {"pt": [41.5, 18.2, 33.0], "": [1, 2, 3]})
    return fj.Batch({"Muon": muons}, {"run": np.array([7, 8, 9]), **flat},
                    Source("a.root", "Events", 50, 53))  # fmt: skip


class TestNames:
    def test_fields(self, whole):
        assert whole.fields == (*whole.collections, *whole.flat)
        assert list(whole) == list(whole.fields)
        for name in whole:
            assert name in whole
            assert whole[name] is whole.collections.get(name, whole.flat.get(name))
        assert 3 not in whole
        assert "Muons" not in whole
        assert dict.fromkeys(whole).keys() == set(whole.fields)

    def test_branches(self, whole):
        pt = whole["Muon_pt"]
        assert isinstance(pt, fj.Jagged)
        assert pt.columns == ("pt",)
        assert fj.equal(pt, whole.Muon[["pt"]])
        assert np.shares_memory(pt["pt"], whole.Muon["pt"])
        assert fj.equal(whole.Muon_pt, pt)
        assert whole.MET_pt is whole["MET_pt"]
        assert "Muon_pt" in whole._ipython_key_completions_()
        assert {"Muon", "MET_pt", "fields"} <= set(dir(whole))

    def test_event_branches(self):
        batch = small(Muon=np.zeros(3))
        assert batch.event_branch("run").tolist() == [7, 8, 9]
        assert batch.event_branch("Muon").tolist() == [0, 0, 0]
        with pytest.raises(
            KeyError, match="'Muon_pt' is jagged, where one number per event is needed"
        ):
            batch.event_branch("Muon_pt")
        with pytest.raises(KeyError, match="no branch 'runs' was read: did you mean 'run'"):
            batch.event_branch("runs")

    def test_a_collection_and_a_branch_of_one_name(self):
        batch = small(Muon=np.zeros(3))
        assert batch.fields == ("Muon", "run")
        assert batch["Muon"].tolist() == [0, 0, 0]
        assert batch.Muon.n_particles == 3
        with pytest.raises(ValueError, match="'Muon' is an event branch and a collection"):
            batch.to_awkward()

    def test_names_of_attributes(self):
        batch = small(fields=np.array([1, 2, 3]), to_arrow=np.array([4, 5, 6]))
        assert batch["fields"].tolist() == [1, 2, 3]
        assert batch.fields == ("Muon", "run", "fields", "to_arrow")
        assert batch["to_arrow"].tolist() == [4, 5, 6]
        assert callable(batch.to_arrow)


class TestPickles:
    def test_there_and_back(self, whole):
        for batch in (whole, whole[::7]):
            for other in (
                copy.copy(batch),
                copy.deepcopy(batch),
                pickle.loads(pickle.dumps(batch)),
            ):
                assert fj.equal(other, batch)
                assert other.entries.tolist() == batch.entries.tolist()

    def test_of_earlier_versions(self):
        batch = small()
        state = {name: batch.__dict__[name] for name in ("collections", "flat", "source", "_names")}
        old = object.__new__(fj.Batch)
        old.__setstate__(dict(state))
        assert len(old) == 3
        assert old.entries.tolist() == [50, 51, 52]
        chosen = object.__new__(Selected)
        chosen.__setstate__({**state, "entries": np.array([3, 5, 9])})
        assert chosen.entries.tolist() == [3, 5, 9]
        assert len(chosen) == 3

    def test_without_anything(self):
        assert not hasattr(object.__new__(fj.Batch), "flat")
        assert not hasattr(object.__new__(fj.Batch), "Muon")


class TestSomeEvents:
    def test_by_mask(self, whole):
        mask = whole["MET_pt"] > np.median(whole["MET_pt"])
        for chosen in (whole[mask], whole[mask.tolist()], whole[mask.nonzero()[0]]):
            assert len(chosen) == mask.sum() == len(chosen["event"]) == len(chosen.Muon)
            assert chosen.entries.tolist() == mask.nonzero()[0].tolist()
            assert chosen["event"].tolist() == whole["event"][mask].tolist()
            assert fj.equal(chosen.Muon, whole.Muon[mask.nonzero()[0]])
            assert chosen.source == whole.source

    def test_as_many_particles_as_events(self):
        """A mask of a batch is one of events, whatever a collection holds."""
        batch = small()
        assert batch.Muon.n_particles == len(batch)
        assert batch[[True, False, False]].Muon["pt"].tolist() == [41.5, 18.2]

    def test_slices(self, path, whole):
        for i, part in enumerate(fj.iterate(path, step=200)):
            own = whole[200 * i : 200 * i + 200]
            assert fj.equal(part, own)
            assert own.source == part.source
            assert own.entries.tolist() == part.entries.tolist()
            assert np.shares_memory(own["MET_pt"], whole["MET_pt"])
        assert len(whole[10:5]) == 0
        assert whole[::100].entries.tolist() == [0, 100, 200, 300, 400]
        again = whole[100:][::-1][5:8][[2, 0]]
        assert again.entries.tolist() == [492, 494]
        assert again["event"].tolist() == whole["event"][[492, 494]].tolist()
        assert small()[1:].entries.tolist() == [51, 52]

    def test_all_of_it_in_parts(self, path, whole):
        assert fj.equal(fj.concatenate(fj.iterate(path, step=70)), whole)

    @pytest.mark.parametrize(
        ("key", "error", "message"),
        [
            (0, TypeError, r"batch\[0:1\] is one event"),
            (["Muon"], TypeError, "takes one name"),
            ([True], ValueError, "the event mask has 1 entries, but there are 3 events"),
            ([3], IndexError, "event 3 is out of range for 3 events"),
            (1.5, ValueError, "the event index must have one dimension"),
            (None, ValueError, "the event index must have one dimension"),
            ("Muom_pt", KeyError, "did you mean 'Muon_pt'"),
        ],
    )
    def test_refused(self, key, error, message):
        with pytest.raises(error, match=message):
            small()[key]


class TestInOtherLibraries:
    def test_awkward(self, whole):
        events = whole.to_awkward()
        assert len(events) == len(whole)
        assert events.fields == list(whole)
        assert events.Muon.pt[7].to_list() == whole.Muon[7].pt.tolist()
        assert np.shares_memory(ak.flatten(events.Muon.pt).to_numpy(), whole.Muon["pt"])
        assert ak.num(ak.Array(whole).Jet).to_list() == whole.Jet.counts.tolist()
        assert small(v=np.ones((3, 2))).to_awkward().v.to_list() == [[1.0, 1.0]] * 3
        empty = whole[:0]
        assert len(empty.to_awkward()) == len(empty.to_pandas()) == empty.to_arrow().num_rows == 0

    def test_arrow(self):
        table = small(v=np.arange(6).reshape(3, 2)).to_arrow()
        assert table.column_names == ["Muon_pt", "Muon_", "run", "v"]
        assert table["Muon_pt"].to_pylist() == [[41.5, 18.2], [], [33.0]]
        assert table["v"].to_pylist() == [[0, 1], [2, 3], [4, 5]]

    def test_tables_of_other_libraries(self, whole):
        assert pa.table(whole).equals(whole.to_arrow())
        frame = pl.DataFrame(whole)
        assert frame["MET_pt"].to_list() == whole["MET_pt"].tolist()
        assert frame["Muon_pt"][7].to_list() == whole.Muon[7].pt.tolist()

    def test_pandas(self, whole):
        frame = small(v=np.arange(6).reshape(3, 2)).to_pandas()
        assert set(frame) == {"Muon_pt", "Muon_", "run", "v"}
        assert frame["run"].dtype == np.int64
        assert list(frame["Muon_pt"].iloc[0]) == [41.5, 18.2]
        assert isinstance(frame["Muon_pt"].dtype, pd.ArrowDtype)
        assert len(whole.to_pandas()) == 500
        before = whole["MET_pt"].copy()
        changed = whole.to_pandas()
        changed.loc[:, "MET_pt"] = np.float32(0)
        np.testing.assert_array_equal(whole["MET_pt"], before)


class TestLooks:
    def test_short(self, whole):
        assert repr(whole).startswith("<Batch of 500 events: Muon (")
        many = {f"HLT_{i}": np.zeros(3, bool) for i in range(600)}
        groups = {
            f"C{i}": fj.Jagged([0, 0, 0, 0], {f"x{j}": [] for j in range(300)}) for i in range(99)
        }
        batch = fj.Batch(groups, {**many, "<b>": np.zeros(3)}, Source("a", "b", 0, 3))
        assert len(repr(batch)) < 3000
        assert "and 91 more collections" in repr(batch)
        assert len(batch._repr_html_()) < 8000
        assert "670 more" in batch._repr_html_()
        assert (
            "<b>" not in fj.Batch({}, {"<b>": np.zeros(3)}, Source("<b>", "", 0, 3))._repr_html_()
        )

    def test_html(self):
        html = small()._repr_html_()
        assert "<td>Muon</td><td>3 particles</td>" in html
        assert "<td>7, 8, 9</td>" in html
