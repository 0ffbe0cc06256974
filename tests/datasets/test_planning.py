"""fj.ranges: pieces of about one size that begin where clusters do, of whatever users call a dataset."""

import json
import os
import re
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from dataclasses import replace
from unittest import mock

import awkward as ak
import numpy as np
import pytest
import uproot
from hypothesis import given
from hypothesis import strategies as st
from servers import http_server

import fastjag as fj
from fastjag.datasets import planning
from fastjag.io import facts
from fastjag.io.facts import Facts, Wanted
from fastjag.io.files import ReadError


def write(path, sizes, kind="ttree", seed=0, tree="Events"):
    rng = np.random.default_rng(seed)
    parts = [{"x": rng.normal(size=n), "n": rng.integers(0, 9, n).astype("i4")} for n in sizes]
    with uproot.recreate(path) as file:
        if kind == "rntuple":
            made = file.mkrntuple(tree, ak.Array(parts[0]).layout.form)
        else:
            made = file.mktree(tree, {k: v.dtype for k, v in parts[0].items()})
        for part in parts:
            made.extend(ak.Array(part) if kind == "rntuple" else part)
    return str(path)


def uuid_of(path):
    with uproot.open(path) as file:
        return str(file.file.uuid)


@pytest.fixture(params=["ttree", "rntuple"])
def kind(request):
    return request.param


# ---- pieces ------------------------------------------------------------------------------------


@given(
    st.lists(st.integers(1, 50), max_size=30), st.integers(1, 400), st.booleans(),
    st.integers(1, 9),
)  # fmt: skip
def test_pieces_are_runs_of_clusters(sizes, size, in_bytes, width):
    edges = np.concatenate([[0], np.cumsum(sizes, dtype=int)]).tolist()
    n = edges[-1]
    pieces = Wanted(size, in_bytes).cut(Facts("u", "t", n, n * width, tuple(edges), 1))
    assert [start for start, _ in pieces] == [0, *(stop for _, stop in pieces)][: len(pieces)]
    assert sum(stop - start for start, stop in pieces) == n
    assert {start for start, _ in pieces} <= set(edges)
    assert all(start < stop for start, stop in pieces)
    wanted = max(size / (width if in_bytes else 1), 1)
    assert all(stop - start <= 3 * wanted + max(sizes) for start, stop in pieces)
    if pieces:
        assert len(pieces) <= max(1, round(n / wanted))


def test_equal_clusters_are_cut_into_equal_pieces():
    ten = Facts("u", "t", 1000, 8000, tuple(range(0, 1001, 10)), 1)
    assert Wanted(100, False).cut(ten) == [(i, i + 100) for i in range(0, 1000, 100)]
    assert Wanted(4000, True).cut(ten) == [(0, 500), (500, 1000)]
    assert Wanted(1, False).cut(ten) == [(i, i + 10) for i in range(0, 1000, 10)]
    assert Wanted(1, False).cut(replace(ten, clusters=(0, 1000))) == [(0, 1000)]
    assert Wanted(8000, True).cut(replace(ten, clusters=None)) == [(0, 1000)]


def test_baskets_without_a_common_begin():
    """As in old trees: the branch with the most baskets tells where to begin."""
    assert facts._common([[0, 10, 20, 30], [0, 20, 30]], 30) == [20]
    assert facts._common([[0, 7, 14, 30], [0, 12, 30], [0, 30]], 30) == [0, 7, 14, 30]
    assert facts._common([[0, 7, 14, 30], [0, 7, 9]], 30) == [7, 14]  # one that is not all there
    assert facts._common([], 30) == []


def test_clusters_of_files(tmp_path, kind):
    path = write(tmp_path / "a.root", [20, 1, 30, 49], kind)
    pieces = fj.ranges(path, 20)
    assert [(r.start, r.stop) for r in pieces] == [(0, 20), (20, 51), (51, 100)]
    assert {(r.dataset, r.file, r.tree, r.uuid) for r in pieces} == {
        ("files", path, "Events", uuid_of(path))
    }
    assert [(r.start, r.stop) for r in fj.ranges(path)] == [(0, 100)]
    assert len(fj.ranges(path, "0.4 kB")) == 3  # of 1200 bytes
    assert sum(len(b) for b in fj.iterate(ranges=pieces)) == 100


def test_the_head_of_a_tree_says_what_all_of_it_does(real_data, tmp_path):
    paths = [*map(str, sorted(real_data.glob("*.root"))), write(tmp_path / "a.root", [5, 6])]
    n = 0
    for path in paths:
        with uproot.open(path) as file:
            for key, kind in file.classnames().items():
                if kind != "TTree":
                    continue
                n += 1
                tree = file[key]
                sizes = tree.num_entries, tree.member("fTotBytes")
                expected = sizes if sizes[1] or not sizes[0] else None  # not every writer says it
                assert facts._head(file.key(key)) == expected, key
    assert n > 10


def test_small_files_are_opened_for_their_head_only(tmp_path):
    paths = [write(tmp_path / "a.root", [5]), write(tmp_path / "b.root", [0])]
    with mock.patch.object(facts, "open_tree", wraps=facts.open_tree) as all_of_it:
        first = fj.ranges(paths, cache=tmp_path)
        assert [(r.start, r.stop) for r in first] == [(0, 5)]
        all_of_it.assert_not_called()
        assert fj.ranges(paths, 1, cache=tmp_path) == first  # one basket
        all_of_it.assert_called_once()
        assert fj.ranges(paths, 1, cache=tmp_path) == first
        all_of_it.assert_called_once()


def test_real_files_have_clusters(real_data):
    for name in ("nanoAOD_2015_CMS_Open_Data_ttbar.root", "agc_open-data-example.root"):
        path = str(real_data / name)
        pieces = fj.ranges(path, "100 kB")
        with uproot.open(path) as file:
            tree = file["Events"]
            n, size, common = tree.num_entries, tree.uncompressed_bytes, tree.common_entry_offsets()
        assert pieces.n_events == n
        assert {r.start for r in pieces} <= set(common)
        assert len(pieces) == min(len(common) - 1, len(pieces)) <= max(1, round(size / 1e5))


def test_trees_without_events_have_no_range(tmp_path):
    empty, full = write(tmp_path / "a.root", [0]), write(tmp_path / "b.root", [3])
    pieces = fj.ranges([empty, full])
    assert [r.file for r in pieces] == [full]
    assert [f.n_entries for f in pieces.files] == [0, 3]
    assert pieces.to_fileset()["files"]["files"][empty]["steps"] == [[0, 0]]
    assert fj.ranges(pieces.to_fileset()) == pieces
    assert fj.ranges([empty]).n_events == 0


# ---- what users give -----------------------------------------------------------------------------


def spec(path, n, steps=None, **more):
    about = {"object_path": "Events", "num_entries": n, "uuid": uuid_of(path)}
    return about | ({} if steps is None else {"steps": steps}) | more


def test_filesets_come_back_as_they_were(tmp_path):
    a, b = write(tmp_path / "a.root", [5, 5]), write(tmp_path / "b.root", [7], seed=1)
    given = {
        "ZZ": {"files": {a: spec(a, 10, [[0, 5], [5, 10]])}, "metadata": {"xs": 1.2}},
        "data": {"files": {b: spec(b, 7, [[0, 7]]), a: spec(a, 10, [[5, 10]])}, "metadata": {}},
    }
    with mock.patch.object(planning, "look") as look:
        pieces = fj.ranges(given)
    look.assert_not_called()
    assert pieces.to_fileset() == given
    assert pieces.metadata == {"ZZ": {"xs": 1.2}, "data": {}}
    assert pieces.datasets == ["ZZ", "data"]
    pieces.write(tmp_path / "fileset.json")
    assert json.loads((tmp_path / "fileset.json").read_text()) == given
    assert fj.ranges(tmp_path / "fileset.json") == pieces
    assert [len(batch) for batch in fj.iterate(ranges=pieces)] == [5, 5, 7, 5]


@pytest.mark.parametrize("form", ["tree", "none", "list", "list in files", "one", "dict", "edges"])
def test_forms_of_filesets(tmp_path, form):
    path = write(tmp_path / "a.root", [5, 5])
    content = {
        "tree": {"files": {path: "Events"}, "metadata": None},
        "none": {path: None},
        "list": [path],
        "list in files": {"files": [f"{path}:Events"]},
        "one": {"files": str(tmp_path / "*.root")},
        "dict": {"files": {path: {"object_path": "Events"}}, "form": "...", "metadata": {}},
        "edges": {"files": {path: spec(path, 10, [0, 5, 10])}},
    }[form]
    pieces = fj.ranges({"d": content}, 5)
    assert [(r.dataset, r.start, r.stop) for r in pieces] == [("d", 0, 5), ("d", 5, 10)]
    assert pieces[0] == fj.Range("d", path, "Events", 0, 5, uuid_of(path))


def test_open_data_indexes(tmp_path):
    a, b = write(tmp_path / "a.root", [5]), write(tmp_path / "b.root", [6])
    index = tmp_path / "CMS_Run2012B_DoubleMuParked_file_index.json"
    entries = [
        {"checksum": "adler32:54ce5fbf", "size": os.path.getsize(p), "uri": p} for p in (a, b)
    ]
    index.write_text(json.dumps(entries))
    text = tmp_path / "Run2012C_file_index.txt"
    text.write_text(f"# files\n{a}\n\n{b}\n")
    pieces = fj.ranges([index, text, b])
    assert [(r.dataset, r.file, r.stop) for r in pieces] == [
        ("CMS_Run2012B_DoubleMuParked", a, 5), ("CMS_Run2012B_DoubleMuParked", b, 6),
        ("Run2012C", a, 5), ("Run2012C", b, 6), ("files", b, 6),
    ]  # fmt: skip
    entries[1]["size"] += 1
    index.write_text(json.dumps(entries))
    with pytest.raises(
        ReadError, match=rf"b\.root:Events: has {os.path.getsize(b)} bytes, the index says"
    ):
        fj.ranges(index)


def test_the_same_file_counts_once(tmp_path):
    path = write(tmp_path / "a.root", [5])
    os.symlink(path, tmp_path / "link.root")
    with pytest.warns(UserWarning, match="given more than once, counted once"):
        pieces = fj.ranges([path, str(tmp_path / "*.root")])
    assert pieces.n_events == 5
    with pytest.warns(UserWarning, match="counted once: .*link.root"):
        pieces = fj.ranges({"d": {path: "Events", str(tmp_path / "link.root"): "Events"}})
    assert [r.file for r in pieces] == [path]


WRONG = {
    "steps beyond the end": ({"steps": [[0, 99]]}, r"a\.root:Events: has 10 entries, the fileset has a step of 0 to 99"),
    "another file": ({"uuid": "5" * 36, "steps": None}, r"a\.root:Events: is another file .* UUID is .*, that of the fileset 5555"),
    "other entries": ({"num_entries": 11, "steps": None}, r"a\.root:Events: has 10 entries, the fileset says 11"),
    "no steps": ({"steps": "all"}, r"a\.root: steps are pairs \[start, stop\] of entries, got 'all'"),
    "steps backwards": ({"steps": [[5, 2]]}, r"a\.root: steps are pairs"),
    "no number": ({"num_entries": "many"}, r"a\.root: num_entries must be a number of at least 0, got 'many'"),
    "another tree": ({"object_path": "Evens", "steps": None}, r"a\.root: no tree 'Evens'.*Events"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_filesets_that_are_wrong(tmp_path, case):
    change, message = WRONG[case]
    path = write(tmp_path / "a.root", [5, 5])
    with pytest.raises((ReadError, ValueError), match=message):
        fj.ranges({"d": {"files": {path: spec(path, 10, [[0, 5]]) | change}}})


@pytest.mark.parametrize(("content", "message"), [
    ('{"d": 5}', "dataset 'd' must have files"),
    ('{"d": {"files": {}, "metadata": 5}}', "metadata of 'd' must be an object, got 5"),
    ("5", "neither a fileset"),
    ("[5]", "a file is a path, or an object with its 'uri', got 5"),
    ("{", "cannot be read as a list of files"),
])  # fmt: skip
def test_texts_that_are_none(tmp_path, content, message):
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises((TypeError, ValueError), match=rf"x\.json.*{message}"):
        fj.ranges(path)


@pytest.mark.parametrize("size", [0, -1, 1.5, "fast", True])
def test_no_size(size):
    with pytest.raises(ValueError, match="size"):
        fj.ranges("a.root", size)


def test_files_that_are_not_there(tmp_path):
    good = write(tmp_path / "a.root", [5])
    with pytest.raises(FileNotFoundError, match=re.escape(str(tmp_path / "b.root"))):
        fj.ranges([good, str(tmp_path / "b.root")])
    with pytest.raises(FileNotFoundError, match="no files were given"):
        fj.ranges([])


def test_two_trees_of_a_file_are_no_fileset(tmp_path):
    path = write(tmp_path / "a.root", [5])
    with uproot.update(path) as file:
        file.mktree("More", {"x": "f8"}).extend({"x": np.zeros(3)})
    pieces = fj.ranges([(path, "Events"), (path, "More")])
    assert [(r.tree, r.stop) for r in pieces] == [("Events", 5), ("More", 3)]
    with pytest.raises(
        ValueError, match=r"a\.root: a fileset cannot have its trees 'Events' and 'More'"
    ):
        pieces.to_fileset()


# ---- who opens the files, and when -----------------------------------------------------------------


class OnlySubmit(Executor):
    """What an executor must have."""

    def __init__(self):
        self.n = 0

    def submit(self, function, /, *args, **kwargs):
        self.n += 1
        future = Future()
        future.set_result(function(*args, **kwargs))
        return future

    def map(self, *_, **__):
        raise AssertionError

    def shutdown(self, *_, **__):
        raise AssertionError


def test_executors(tmp_path):
    for i in range(5):
        write(tmp_path / f"{i}.root", [3, i])
    expected = fj.ranges(tmp_path, 2)
    assert expected.n_events == 25
    own = OnlySubmit()
    assert fj.ranges(tmp_path, 2, own) == expected
    assert own.n == 5
    with mock.patch.object(planning, "_TASKS", 2):
        assert fj.ranges(tmp_path, 2, own) == expected
    assert own.n == 7
    with ProcessPoolExecutor(1) as processes:
        assert fj.ranges(tmp_path, 2, processes) == expected


def test_files_are_known_from_before(tmp_path):
    folder = tmp_path / "cache"
    path = write(tmp_path / "a.root", [5, 5])
    first = fj.ranges(path, 5, cache=folder)
    with mock.patch.object(planning, "look") as look:
        assert fj.ranges(path, 5, cache=folder) == first
        assert [(r.start, r.stop) for r in fj.ranges(path, cache=folder)] == [(0, 10)]
    look.assert_not_called()
    write(tmp_path / "a.root", [6, 5], seed=2)
    again = fj.ranges(path, 5, cache=folder)
    assert [(r.start, r.stop) for r in again] == [(0, 6), (6, 11)]
    assert again == fj.ranges(path, 5)
    (folder / "fastjag-files.json").write_text("{")
    assert fj.ranges(path, 5, cache=folder) == again
    (tmp_path / "a.root").unlink()
    with pytest.raises(FileNotFoundError):
        fj.ranges(path, cache=folder)


def test_what_was_found_before_an_error_is_kept(tmp_path):
    good, bad = write(tmp_path / "a.root", [5]), str(tmp_path / "b.root")
    (tmp_path / "b.root").write_bytes(b"none")
    with pytest.raises(ReadError, match=r"b\.root: not a readable ROOT file"):
        fj.ranges([good, bad], cache=tmp_path)
    with mock.patch.object(planning, "look") as look:
        fj.ranges(good, cache=tmp_path)
    look.assert_not_called()


def test_files_on_servers(tmp_path):
    """Known by URL and UUID: the second time, nobody looks for their clusters."""
    path = write(tmp_path / "a.root", [5, 5])
    with http_server({"/a.root": (tmp_path / "a.root").read_bytes()}) as (server, _):
        url = f"{server}/a.root"
        pieces = fj.ranges(url, 5, cache=tmp_path / "known")
        local = fj.ranges(path, 5)
        assert [(r.start, r.stop, r.uuid) for r in pieces] == [
            (r.start, r.stop, r.uuid) for r in local
        ]
        with mock.patch.object(facts, "open_tree", side_effect=AssertionError):
            assert fj.ranges(url, 5, cache=tmp_path / "known") == pieces
        batches = list(fj.iterate(ranges=pieces[::-1]))
        assert [b.source.start for b in batches] == [5, 0]
        assert fj.equal(fj.concatenate(batches[::-1]), next(fj.iterate(path)))


@pytest.mark.parametrize("known", [False, True])
def test_files_that_cannot_be_opened_are_left_out(tmp_path, known):
    good = [write(tmp_path / name, [5, 5]) for name in ("a.root", "d.root")]
    (tmp_path / "b.root").write_bytes(b"none")
    damaged = bytearray((tmp_path / "a.root").read_bytes())
    damaged[200:] = bytes(len(damaged) - 200)
    (tmp_path / "c.root").write_bytes(damaged)
    cache = tmp_path / "known" if known else None
    for _ in range(2):
        pieces = fj.ranges(tmp_path / "*.root", 5, cache=cache, on_error="skip")
        assert pieces == fj.ranges(good, 5)
        assert [(s.file, s.events) for s in pieces.skipped] == [
            (str(tmp_path / name), None) for name in ("b.root", "c.root")
        ]
        batches = fj.iterate(tmp_path / "*.root", on_error="skip")
        assert sum(map(len, batches)) == 20
        assert batches.skipped == list(pieces.skipped)  # in the same words
    with pytest.raises(ReadError, match=r"b\.root: not a readable ROOT file"):
        fj.ranges(tmp_path / "*.root", 5, cache=cache)
    with pytest.raises(ValueError, match="on_error must be 'raise' or 'skip', got 'x'"):
        fj.ranges(good, on_error="x")
