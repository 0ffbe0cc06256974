"""iterate(ranges=...): entries that begin anywhere, in any order, are those of the whole file."""

import pickle
import re
from functools import cache
from itertools import pairwise

import awkward as ak
import numpy as np
import pytest
import uproot
from hypothesis import given, settings
from hypothesis import strategies as st

import fastjag as fj
from fastjag.io.files import ReadError
from fastjag.io.ranges import Range, Ranges
from fastjag.jagged import Jagged

N = 97
SIZES = [30, 0, 1, 40, 26]  # of the baskets, clusters


def rows(rng, n):
    counts = rng.integers(0, 5, n) * rng.integers(0, 2, n)
    m = int(counts.sum())
    muons = Jagged.from_counts(counts, {"pt": rng.normal(size=m).astype("f4"),
                                        "charge": rng.integers(-1, 2, m).astype("i2")})  # fmt: skip
    return {"Muon": muons.to_awkward(), "event": rng.integers(0, 2**63, n).astype("u8"),
            "x": rng.normal(size=(n, 3))}  # fmt: skip


def write(path, kind):
    rng = np.random.default_rng(7)
    chunks = [rows(rng, n) for n in SIZES]
    with uproot.recreate(path) as file:
        if kind == "rntuple":
            form = ak.Array(chunks[0]).layout.form
            tree = file.mkrntuple("Events", form)
            for chunk in chunks:
                tree.extend(ak.Array(chunk))
        else:
            types = {name: a.dtype if a.ndim == 1 and name != "Muon" else a.type.content
                     for name, a in chunks[0].items() if name != "x"}  # fmt: skip
            types["x"] = np.dtype(("f8", (3,)))
            tree = file.mktree(
                "Events", types, counter_name=lambda counted: f"n{counted}",
                field_name=lambda outer, inner: f"{outer}_{inner}" if inner else outer,
            )  # fmt: skip
            for chunk in chunks:
                tree.extend(chunk)
    return path


@pytest.fixture(scope="module", params=["ttree", "rntuple"])
def file(request, tmp_path_factory):
    return str(write(tmp_path_factory.mktemp("ranges") / f"{request.param}.root", request.param))


@cache
def whole(path, tree=None):
    return fj.concatenate(list(fj.iterate(path if tree is None else f"{path}:{tree}")))


def joined(batches):
    """The events in the order of the file."""
    return fj.concatenate(sorted(batches, key=lambda batch: batch.source.start))


def assert_same(path, cuts, order, tree="Events", columns=None, **options):
    """The ranges between the cuts, read in this order, are all events."""
    edges = sorted({0, *cuts, len(whole(path))})
    ranges = [Range("d", path, tree, *some) for some in pairwise(edges)]
    order.shuffle(ranges)
    batches = list(fj.iterate(ranges=ranges, columns=columns, **options))
    assert sum(len(batch) for batch in batches) == len(whole(path))
    assert fj.equal(joined(batches), whole(path))


@given(
    cuts=st.sets(st.integers(0, N), max_size=9),
    order=st.randoms(use_true_random=False),
    step=st.sampled_from([1, 7, 10**6, "2 kB"]),
    prefetch=st.booleans(),
)
@settings(max_examples=12, deadline=None)
def test_any_ranges_in_any_order_are_the_whole(file, cuts, order, step, prefetch):
    assert_same(file, cuts, order, step=step, prefetch=prefetch)


@given(entries=st.tuples(st.integers(0, N), st.integers(0, N)).map(sorted))
@settings(max_examples=12, deadline=None)
def test_one_range(file, entries):
    start, stop = entries
    batches = list(fj.iterate(ranges=Range("d", file, "Events", start, stop)))
    if start == stop:
        assert batches == []
        return
    (batch,) = batches
    assert (batch.source.start, batch.source.stop) == (start, stop)
    assert fj.equal(batch, whole(file)[start:stop])
    assert batch.entries.tolist() == list(range(start, stop))


@pytest.mark.parametrize("name", [
    "uproot-HZZ.root", "uproot-Zmumu.root", "nanoAOD_2015_CMS_Open_Data_ttbar.root",
    "atlas_PHYSLITE_mc_40ev.root", "coffea_pfnano.root",
    "Run2012BC_DoubleMuParked_Muons_1000evts_rntuple.root", "lmassach_dimuon_test_data.root",
])  # fmt: skip
def test_real_files(real_data, name):
    path = str(real_data / name)
    everything = whole(path)
    tree = everything.source.tree
    n = len(everything)
    rng = np.random.default_rng(1)
    edges = np.unique([0, n, *rng.integers(0, n, 4)]).tolist()
    ranges = [Range("d", path, tree, *some) for some in pairwise(edges)]
    batches = list(fj.iterate(ranges=ranges[::-1]))
    assert fj.equal(joined(batches), everything)


def test_only_what_is_asked_for_is_read(tmp_path):
    """Damage outside of the range is not seen."""
    path = tmp_path / "a.root"
    write(path, "ttree")
    with uproot.open(path) as file:
        (seek, *_), (size, *_) = (
            file["Events/event"].member(name) for name in ("fBasketSeek", "fBasketBytes")
        )
    content = bytearray(path.read_bytes())
    content[seek : seek + size] = bytes(size)
    path.write_bytes(content)
    with pytest.raises(ReadError, match="event"):
        list(fj.iterate(path, ["event"]))
    (batch,) = fj.iterate(ranges=Range("d", str(path), "Events", 31, N), columns=["event"])
    assert len(batch) == N - 31


def test_files_and_trees_in_turn(tmp_path):
    """More files than stay open, in turns."""
    paths = [str(write(tmp_path / f"{i}.root", "ttree")) for i in range(10)]
    ranges = [Range("d", path, "Events", i, i + 7) for i in range(0, 21, 7) for path in paths]
    batches = fj.iterate(ranges=ranges, columns=["event"])
    read = list(batches)
    assert [(b.source.file, b.source.start) for b in read] == [(r.file, r.start) for r in ranges]
    assert batches.files == [(path, "Events") for path in paths]
    assert batches.n_events == 7 * len(ranges)


class TestErrors:
    def test_beyond_the_end(self, file):
        wanted = Range("d", file, "Events", 90, N + 1)
        with pytest.raises(ReadError, match=rf"{re.escape(file)}:Events: has 97 entries, the range is of 90 to 98"):  # fmt: skip
            list(fj.iterate(ranges=wanted))

    def test_another_file_of_that_name(self, tmp_path):
        path = str(write(tmp_path / "a.root", "ttree"))
        with uproot.open(path) as opened:
            planned = Range("d", path, "Events", 0, 9, str(opened.file.uuid))
        assert len(list(fj.iterate(ranges=planned))) == 1
        write(tmp_path / "a.root", "ttree")
        with pytest.raises(ReadError, match=rf"{re.escape(path)}: is another file than .* UUID is .* {planned.uuid}"):  # fmt: skip
            list(fj.iterate(ranges=planned))

    def test_skipped_ranges_are_listed(self, file, tmp_path):
        good = Range("d", file, "Events", 0, 5)
        gone = Range("d", str(tmp_path / "gone.root"), "Events", 3, 10)
        long = Range("d", file, "Events", 0, 1000)
        batches = fj.iterate(ranges=[gone, good, long, good], on_error="skip")
        assert [len(b) for b in batches] == [5, 5]
        assert [(s.file, s.events) for s in batches.skipped] == [(gone.file, 7), (file, 1000)]

    def test_a_branch_that_is_not_there(self, file):
        with pytest.raises(ReadError, match="no branch 'muon_pt'"):
            list(fj.iterate(ranges=Range("d", file, "Events", 0, 5), columns=["muon_pt"]))
        assert list(fj.iterate(ranges=[Range("d", file, "Events", 5, 5)])) == []

    @pytest.mark.parametrize(("given", "message"), [
        ({}, "give files or ranges"),
        ({"files": "a.root", "ranges": []}, "give files or ranges, not both"),
        ({"ranges": [("a.root", 0, 5)]}, "ranges must be fastjag.Range, got"),
    ])  # fmt: skip
    def test_nonsense(self, given, message):
        with pytest.raises(TypeError, match=message):
            fj.iterate(**given)

    @pytest.mark.parametrize(("given", "error", "message"), [
        (("d", "a.root", "Events", 5, 4), ValueError, "a.root: a range needs 0 <= start <= stop, got 5 to 4"),
        (("d", "a.root", "Events", -1, 4), ValueError, "got -1 to 4"),
        (("d", "a.root", "Events", 0.0, 4), TypeError, "entries are integers, got 0.0 to 4"),
        (("d", "a.root", "", 0, 4), TypeError, "tree of a range must be a text, got ''"),
        (("d", None, "Events", 0, 4), TypeError, "file of a range must be a text, got None"),
    ])  # fmt: skip
    def test_nonsense_in_a_range(self, given, error, message):
        with pytest.raises(error, match=message):
            Range(*given)


def test_ranges_are_a_sequence():
    all_ = Ranges([Range("d", "a.root", "t", i, i + 5) for i in range(0, 20, 5)])
    assert len(all_) == 4
    assert all_.n_events == 20
    assert all_[-1].start == 15
    assert isinstance(all_[1:3], Ranges)
    assert [r.start for r in all_[1:3]] == [5, 10]
    assert all_[1:3].files[0].n_entries == 20
    assert pickle.loads(pickle.dumps(all_)) == all_
    assert all_[0] == Range("d", "a.root", "t", np.int64(0), np.int64(5))
    assert repr(all_) == "<Ranges: 4 ranges of 20 events in 1 file, 1 dataset>"
    assert fj.iterate(ranges=Ranges([])).n_events == 0
    assert list(fj.iterate(ranges=Ranges([]))) == []


def test_batches_of_ranges_know_their_data_set(file):
    (batch,) = fj.iterate(ranges=Range("signal", str(file), "Events", 5, 9), columns=["x"])
    assert batch.source.dataset == "signal"
