"""Every branch is read under its own name, into one place, whatever the step and the others."""

from collections import Counter

import awkward as ak
import numpy as np
import pytest
import uproot
from plain_uproot import FILES, TREES, assert_plain, plainly

import fastjag as fj
from fastjag.io import ReadError
from fastjag.io.reader import Reader
from fastjag.jagged.joining import join
from fastjag.selection import Step, survivors


def columns_of(batches):
    """Place to (offsets or None, values), from all batches together."""
    parts = {}
    for batch in batches:
        for name, values in batch.flat.items():
            parts.setdefault(name, []).append((None, values))
        for name, jagged in batch.collections.items():
            for column in jagged.columns:
                assert len(jagged) == len(batch)
                own = parts.setdefault((name, column), [])
                own.append((jagged.counts, jagged[column]))
    return {
        place: (
            None if pieces[0][0] is None else np.concatenate([c for c, _ in pieces]),
            join([v for _, v in pieces], str(place)),
        )
        for place, pieces in parts.items()
    }


@pytest.mark.parametrize("file", FILES)
def test_every_column_of_every_file(real_data, file):
    """Against uproot, bit by bit; what is not read is listed."""
    path = str(real_data.parent / f"{file}.root")
    with uproot.open(path) as opened:
        trees = [k.split(";")[0] for k, c in opened.classnames().items() if c in TREES]
    for tree in dict.fromkeys(trees):
        reader = Reader(path, tree, None)
        with reader.file:
            fits = {n: b for n, b in reader.stored.items() if not isinstance(b.kind, TypeError)}
            if not fits:
                with pytest.raises(ReadError, match="no branch of numbers"):
                    list(fj.iterate([(path, tree)]))
                continue
            expected = plainly(fits, reader)
            scales = {n: reader.schema.scale(n) for n in fits}
            n = reader.n_entries
            places = {n: reader.place(n) if b.is_list else n for n, b in fits.items()}
        assert len(set(places.values())) == len(places)
        wide = len(fits) > 300  # opening one of these takes seconds, and 1000 entries are all
        for step in (31,) if wide else (1, 7, 1000, "100 MB"):
            batches = fj.iterate([(path, tree)], step=step)
            stop = min(n, 200) if step in (1, 7) else n
            found = []
            for batch in batches:
                if batch.source.start >= stop:
                    break
                found.append(batch)
            batches.close()
            read = sum(map(len, found))
            assert stop <= read < stop + 7
            found = columns_of(found)
            assert set(found) == set(places.values())
            for name, (counts, values) in expected.items():
                got_counts, got = found[places[name]]
                if counts is not None:
                    np.testing.assert_array_equal(got_counts, counts[:read])
                    values = values[: counts[:read].sum()]
                assert_plain(got, values[: len(got)], scales[name], name)
                assert len(got) == (read if counts is None else counts[:read].sum())
            known = {reader.stored[n].path for n in fits} | {b.branch for b in batches.left_out}
            assert known == set(reader.names.by_path)
            assert all(b.file == path and b.reason for b in batches.left_out)


class TestNames:
    @pytest.mark.parametrize("others", [[], ["V_f"], ["e1/x"], ["e2/x", "p1/x"]])
    def test_namesakes(self, cases, others):
        path = cases / "faults" / "split_objects_s1_nodot.root"
        with uproot.open(path) as file:
            objects = dict(file["Events"].iteritems(recursive=True))
            plain = {name: objects[name].array(library="np") for name in ["x", *others]}
        (batch,) = fj.iterate(path, ["x", *others])
        assert batch["x"][:3].tolist() == [0, 1000, 2000]
        for name in ["x", *others]:
            if name != "V_f":
                np.testing.assert_array_equal(batch[name], plain[name])
        (batch,) = fj.iterate(path, [*others, "x"])
        assert batch["x"][:3].tolist() == [0, 1000, 2000]

    def test_ambiguous_names_list_the_paths(self, cases):
        path = cases / "faults" / "split_objects_s1_nodot.root"
        with pytest.raises(ReadError, match=r"Events: .*'run' is ambiguous: 'e1/run', 'e2/run'"):
            list(fj.iterate(path, "run"))
        with pytest.raises(ReadError, match="'p1' holds several branches: 'p1/x', 'p1/y', 'p1/n'"):
            list(fj.iterate(path, "p1"))
        (batch,) = fj.iterate(path, "p?/*")
        assert set(batch.flat) == {"p1/x", "p1/y", "p1/n", "p2/x", "p2/y", "p2/n"}

    def test_short_and_whole_names(self, cases):
        path = cases / "faults" / "split_objects_s99_dot.root"
        (batch,) = fj.iterate(path, ["e1.x", "e1./e1.run", "e1.first.arr[3]"])
        assert set(batch.flat) == {"e1.x", "e1./e1.run", "e1.first.arr[3]"}
        assert batch["e1.first.arr[3]"].shape == (400, 3)
        assert batch["e1.x"][2] != batch["e1./e1.run"][2]

    @pytest.mark.parametrize("file", ["split_objects_s1_nodot", "split_objects_s99_dot"])
    def test_paths_without_what_split_branches_repeat(self, cases, file):
        """With a trailing dot or without, the object's member is e1/x."""
        path = cases / "faults" / f"{file}.root"
        (batch,) = fj.iterate(path, ["e1/x", "e2/run", "x"])
        with uproot.open(path) as stored:
            for name, branch in (("e1/x", "e1.x"), ("e2/run", "e2.run")):
                tree = stored["Events"]
                expected = tree[branch if "s99" in file else name].array(library="np")
                np.testing.assert_array_equal(batch[name], expected)
        assert batch["x"][:3].tolist() == [0, 1000, 2000]

    def test_names_with_pattern_characters(self, cases):
        path = cases / "faults" / "names_jag.root"
        for name in ("q[0]", "star_*", "quest_?", "Mu.pt", "Mu_pt", "Mu", "Mu_Mu", "_x", "é_x"):
            (batch,) = fj.iterate(path, name)
            (jagged,) = batch.collections.values()
            (column,) = jagged.columns
            (collection,) = batch.collections
            assert batch.branch(collection, column) == name
            with uproot.open(path) as file:
                plain = dict(file["Events"].iteritems())[name].array()
            np.testing.assert_array_equal(jagged[column], ak.flatten(plain))

    def test_collections_with_names_of_attributes(self, cases):
        (batch,) = fj.iterate(cases / "faults" / "names_jag.root")
        for name in ("flat", "source", "collections", "nbytes", "_x"):
            assert batch[name] is batch.collections[name]
        assert batch._x is batch.collections["_x"]
        assert batch.nbytes > 0
        mu = {column: batch.branch("Mu", column) for column in batch.Mu.columns}
        assert mu == {"Mu": "Mu", "pt": "Mu.pt", "Mu_pt": "Mu_pt", "Mu_Mu": "Mu_Mu"}

    def test_leaves(self, cases):
        path = cases / "faults" / "leaflist.root"
        (batch,) = fj.iterate(path, ["w.p", "q*", "x"])
        assert set(batch.flat) == {"w.p", "q.a", "q.b", "q.c", "x"}
        with pytest.raises(ReadError, match=r"'w' holds several branches: 'w.p', 'w.e'"):
            list(fj.iterate(path, "w"))


class TestGroups:
    @pytest.mark.parametrize("name", ["ax", "xa"])
    def test_a_prefix_that_is_a_name(self, cases, name):
        path = cases / "faults" / f"{name}.root"
        with uproot.open(path) as file:
            plain = file["Events"].arrays()
        for columns in (None, ["A", "A_x"], ["A_x", "A"], "A*"):
            (batch,) = fj.iterate(path, columns)
            assert batch.A["A"].tolist() == ak.flatten(plain["A"]).tolist()
            assert batch.A_x["A_x"].tolist() == ak.flatten(plain["A_x"]).tolist()

    @pytest.mark.parametrize("step", [1, 7, 1000])
    @pytest.mark.parametrize("columns", [None, ["A_y"], ["A_x", "A_y"]])
    def test_one_decision_for_the_whole_file(self, cases, step, columns):
        path = cases / "faults" / "uneven2.root"
        batches = list(fj.iterate(path, columns, step=step))
        assert len({tuple(b.collections) for b in batches}) == 1
        assert all(b.A_y.columns == ("A_y",) for b in batches)

    @pytest.mark.parametrize("last", [1, 2])
    @pytest.mark.parametrize("format", ["ttree", "rntuple"])
    def test_lengths_of_all_events_decide(self, tmp_path, last, format):
        """Equal sums do not make equal lengths."""
        n = 2500
        counts = np.ones(n, int)
        other = counts.copy()
        other[-1], other[-2] = last, 2 - last
        data = {
            name: ak.unflatten(np.arange(c.sum()), c)
            for name, c in {"A_x": counts, "A_y": other, "A_z": counts}.items()
        }
        with uproot.recreate(tmp_path / "a.root") as file:
            if format == "ttree":
                file.mktree("Events", dict.fromkeys(data, "var * int64"))
                file["Events"].extend(data)
            else:
                file.mkrntuple("Events", data)
        for columns in (None, ["A_x", "A_z"], ["A_z", "A_y", "A_x"]):
            for step in (100, 10_000):
                batch = next(fj.iterate(tmp_path / "a.root", columns, step=step))
                alone = last == 2
                assert {"x", "z"} <= set(batch.A.columns)
                assert ("A_y" in batch.collections) == (alone and columns != ["A_x", "A_z"])

    def test_survivors_agree(self, cases):
        faults = cases / "faults"
        for name in ("uneven2", "ax", "split_objects_s99_dot", "dims_lz4", "rn"):
            path = faults / f"{name}.root"
            (whole,) = fj.iterate(path)
            every = [*whole.flat, *(whole.branch(c, f) for c, j in whole.collections.items()
                                    for f in j.columns)]  # fmt: skip
            step = Step("all", [every[-1]], lambda batch: np.ones(len(batch), bool))
            batches = list(survivors(path, [step], every, batch_size=50))
            expected, found = columns_of([whole]), columns_of(batches)
            assert set(expected) == set(found)
            for place, (counts, values) in expected.items():
                np.testing.assert_array_equal(found[place][0], counts)
                assert fj.equal(found[place][1], values), place


def test_dtypes_do_not_depend_on_companions(cases):
    path = cases / "faults" / "dims_lz4.root"
    (whole,) = fj.iterate(path)
    for name in whole.flat:
        (alone,) = fj.iterate(path, name)
        assert alone[name].dtype == whole[name].dtype
    assert whole["d32"].dtype == np.float64
    assert whole["m"].shape == (3000, 2, 3)


def test_what_is_left_out_is_listed(cases, real_data):
    batches = fj.iterate(real_data / "uproot-Zmumu.root")
    list(batches)
    assert batches.left_out == []
    path = cases / "faults" / "split_objects_s1_nodot.root"
    batches = fj.iterate(path, "*", prefetch=False)
    assert batches.left_out == []
    next(batches)
    branches = ("e1/first", "e2/first", "e1/hits", "e2/hits")
    assert Counter(b.branch for b in batches.left_out) == dict.fromkeys(branches, 1)
    for name, reason in (("e1/first", "objects"), ("e2/hits", "lists of objects")):
        with pytest.raises(ReadError, match=rf"nodot.root:Events: branch '{name}' .*: {reason} \("):
            next(fj.iterate(path, name))
    with pytest.raises(ReadError, match=r"no branch of numbers matches \(e2/hits: lists of obj"):
        next(fj.iterate(path, "e2/hit*"))
