"""Branches that hold fewer entries than their tree, and errors that name the branch at fault."""

import re
import struct
from contextlib import closing

import numpy as np
import pytest
import uproot

import fastjag as fj
from fastjag.io import branch_columns, write_events
from fastjag.io.baskets import Stored
from fastjag.io.branch_columns import BranchColumns
from fastjag.io.files import ReadError
from fastjag.io.sources import open_source
from fastjag.selection import Step, survivors

N = 12_345  # seen nowhere else in the file


def write(path):
    numbers = np.arange(N, dtype=np.int32)
    muons = fj.Jagged(np.arange(N + 1), {"pt": numbers / 2, "eta": -numbers})
    events = {"x": numbers, "short": 2 * numbers, "Muon": muons, "z": 3 * numbers}
    return write_events(path, [events], compression="none")


def patched(path, branch=None, n=12_000, which=(0, 1, 2)):
    """Other numbers of entries in the metadata: of a branch (fEntryNumber, fEntries and the end of
    its basket), or of the tree."""
    data = bytearray(path.read_bytes())
    places = [m.start() for m in re.finditer(re.escape(struct.pack(">q", N)), data)]
    if branch is None:
        chosen = places[:1]
    else:
        name = bytes([len(branch)]) + branch.encode()
        after = [place for place in places if place > data.index(name)]
        chosen = [after[i] for i in which]
    for place in chosen:
        data[place : place + 8] = struct.pack(">q", n)
    path.write_bytes(data)
    return path


def everything(path, **options):
    batches = fj.iterate(path, step=5000, **options)
    found = list(batches)
    columns = {name: np.concatenate([b[name] for b in found]) for name in found[0].flat}
    for column in found[0].Muon.columns if "Muon" in found[0].collections else ():
        columns[f"Muon_{column}"] = np.concatenate([b.Muon[column] for b in found])
    return columns, {b.branch: b.reason for b in batches.left_out}


def test_the_file_itself(tmp_path):
    found, left = everything(write(tmp_path / "a.root"))
    assert left == {}
    assert set(found) == {"x", "short", "nMuon", "z", "Muon_pt", "Muon_eta"}


@pytest.mark.parametrize("branch", ["short", "Muon_eta", "nMuon"])
class TestShort:
    def test_left_out_with_the_reason(self, tmp_path, branch):
        whole, _ = everything(write(tmp_path / "whole.root"))
        found, left = everything(patched(write(tmp_path / "a.root"), branch))
        assert left == {branch: "it has 12000 of the tree's 12345 entries"}
        assert set(found) == set(whole) - {branch}
        for name, values in found.items():
            np.testing.assert_array_equal(values, whole[name], name)
        _, left = everything(tmp_path / "a.root", columns=["x", "*"])
        assert list(left) == [branch]

    def test_an_error_by_its_name(self, tmp_path, branch):
        path = patched(write(tmp_path / "a.root"), branch)
        message = rf"a\.root:Events: branch '{branch}' cannot be read: it has 12000 of .* 12345"
        with pytest.raises(ReadError, match=message):
            list(fj.iterate(path, ["x", branch]))
        with pytest.raises(ReadError, match=message):
            list(survivors(path, [Step("all", ["x"], lambda b: b["x"] >= 0)], [branch]))
        batches = fj.iterate(path, branch, on_error="skip")
        assert list(batches) == []
        assert batches.skipped[0].events == N

    def test_survivors(self, tmp_path, branch):
        path = patched(write(tmp_path / "a.root"), branch)
        chosen = survivors(path, [Step("some", ["x"], lambda b: b["x"] % 7 == 0)], ["Muon_*"])
        pt = np.concatenate([batch.Muon["pt"] for batch in chosen])
        np.testing.assert_array_equal(pt, np.arange(0, N, 7) / 2)


def test_baskets_that_do_not_add_up(tmp_path):
    """The count says one thing and the baskets another."""
    _, left = everything(patched(write(tmp_path / "a.root"), "short", which=(1,)))
    assert list(left) == ["short"]
    assert "don't add up to expected number of entries (12000)" in left["short"]


def test_branches_that_go_on(tmp_path):
    """As in a tree that was saved while it was being filled: the tree's entries count."""
    found, left = everything(patched(write(tmp_path / "a.root")))
    assert left == {}
    for name, factor in {"x": 1, "short": 2, "z": 3, "Muon_pt": 0.5, "Muon_eta": -1}.items():
        np.testing.assert_array_equal(found[name], factor * np.arange(12_000), name)


class TestAtFault:
    def test_the_branch_of_a_basket(self, tmp_path):
        events = {name: np.arange(4000) // 7 for name in ("a", "b", "c")}
        write_events(tmp_path / "a.root", [events], compression="zlib")
        with uproot.open(tmp_path / "a.root") as file:
            seek = int(file["Events"]["b"].member("fBasketSeek")[0])
        data = bytearray((tmp_path / "a.root").read_bytes())
        data[seek + 200] ^= 1
        (tmp_path / "a.root").write_bytes(data)
        with pytest.raises(ReadError, match=r"\(branches a, b, c\): .* basket 0 of b: a block"):
            list(fj.iterate(tmp_path / "a.root"))
        with pytest.raises(ReadError, match=r"basket 0 of b: a block"):
            list(survivors(tmp_path / "a.root", [Step("b", ["b"], lambda batch: batch["b"] > 3)]))

    def test_what_uproot_cannot_read(self, tmp_path, monkeypatch):
        """Its errors do not say of which branch: each is tried alone."""
        write(tmp_path / "a.root")
        from fastjag.io import branches

        real = branches.awkward_column

        def fails(array, name):
            if name == "short":
                raise UnboundLocalError("cannot access local variable 'low'")
            return real(array, name)

        monkeypatch.setattr(branches, "awkward_column", fails)
        monkeypatch.setattr(branches, "stored_baskets", lambda *_: None)  # all is uproot's
        message = r"a\.root:Events: entries from 0 cannot be read \(branches short\): .*'low'"
        with pytest.raises(ReadError, match=message):
            list(fj.iterate(tmp_path / "a.root"))
        step = Step("all", ["x", "short", "z"], lambda batch: batch["x"] >= 0)
        with pytest.raises(ReadError, match=message):
            list(survivors(tmp_path / "a.root", [step]))

    def test_counters_of_one_name(self, tmp_path):
        """Of two parents, as nJet of e1 and of e2."""
        counts = [np.array([1, 0, 2]), np.array([0, 3, 1])]
        stored = []
        with uproot.recreate(tmp_path / "a.root") as file:
            for i, n in enumerate(counts):
                values = fj.Jagged.from_counts(n, {"pt": np.arange(int(n.sum())) + 10 * i})
                file.mktree(f"t{i}", {"Jet": values.to_awkward().type.content},
                            counter_name=lambda name: f"n{name}")  # fmt: skip
                file[f"t{i}"].extend({"Jet": values.to_awkward()})
        with uproot.open(tmp_path / "a.root") as file:
            for i in (0, 1):
                own = []
                for name, counter in (("nJet", None), ("Jet_pt", 0)):
                    branch = file[f"t{i}"][name]
                    content = getattr(branch.interpretation, "content", branch.interpretation)
                    places = (
                        branch.member(m)[:1].tolist() for m in ("fBasketSeek", "fBasketBytes")
                    )
                    counter = own[0] if counter == 0 else None
                    own.append(Stored(name, content.from_dtype, *places, [0, 3], counter))
                stored.append(own[1])
        with (
            closing(open_source(str(tmp_path / "a.root"))) as source,
            closing(BranchColumns(source, stored, 1)) as columns,
        ):
            found = columns.read(0, 3)
        for i, n in enumerate(counts):
            np.testing.assert_array_equal(np.diff(found[i][0]), n)
            np.testing.assert_array_equal(found[i][1], np.arange(n.sum()) + 10 * i)
        assert branch_columns._key(stored[0].counter) != branch_columns._key(stored[1].counter)
