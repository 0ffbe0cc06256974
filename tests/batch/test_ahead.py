"""Without an executor the next range is read while the function works on this one."""

import threading
import time

import numpy as np
import pytest

import fastjag as fj
from fastjag import batch, toys
from fastjag.io import reader
from fastjag.selection import Step


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    for i in range(6):
        toys.write(folder / f"{i}.root", 400 + i, seed=i, columns=["MET_pt", "event"])
    return folder


@pytest.fixture
def opened(monkeypatch):
    """Paths of files, in the order in which they are opened by readers."""
    paths = []
    usual = reader.Reader.__init__

    def spied(self, path, *args, **kwargs):
        paths.append(path)
        usual(self, path, *args, **kwargs)

    monkeypatch.setattr(reader.Reader, "__init__", spied)
    return paths


def test_the_next_file_is_open_before_this_one_is_done(folder, opened):
    pieces = fj.ranges(folder)
    there = []

    def function(events):
        end = time.monotonic() + 10
        number = pieces.files.index(next(f for f in pieces.files if f.path == events.source.file))
        while len(opened) < min(number + 2, 6) and time.monotonic() < end:
            time.sleep(0.001)
        there.append(len(opened))
        return len(events)

    assert batch.run(function, pieces, "MET_pt").value == pieces.n_events
    assert there == [2, 3, 4, 5, 6, 6]
    assert len(opened) == 6  # each once
    assert not [t for t in threading.enumerate() if t.name.startswith("fastjag-read")]


def entries(events):
    return [(events.source.file, int(e)) for e in range(events.source.start, events.source.stop)]


def every(pieces):
    return [(p.file, e) for p in pieces for e in range(p.start, p.stop)]


@pytest.mark.parametrize("step", [50, "100 MB"])
def test_no_event_is_lost_where_ranges_fail(folder, step, tmp_path):
    """A function that fails, memory that runs out, a file that is gone: what follows is read all the same."""
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    pieces = fj.ranges(tmp_path)
    (tmp_path / "4.root").unlink()
    tried = []

    def function(events):
        name = events.source.file[-6]
        tried.append(name)
        if name == "1" and events.source.start >= 50 * (step == 50):
            raise KeyError("x")
        if name == "2" and tried.count("2") == 1:
            raise MemoryError
        return entries(events)

    outcome = batch.run(function, pieces, "MET_pt", step=step, on_error="report", retries=1)
    assert {(f.range.file[-6], f.kind) for f in outcome.failed} == {("1", "error"), ("4", "read")}
    done = [piece for piece in pieces if piece.file[-6] not in "14"]
    assert outcome.value == every(done)


def test_what_is_kept_is_not_read(folder, tmp_path, opened):
    pieces = fj.ranges(folder)
    opened.clear()
    some = [pieces[1], pieces[4]]
    assert batch.run(entries, some, "MET_pt", keep=tmp_path).value == every(some)
    opened.clear()
    outcome = batch.run(entries, pieces, "MET_pt", keep=tmp_path)
    assert (outcome.kept, outcome.value) == (2, every(pieces))
    assert [path[-6] for path in opened] == ["0", "2", "3", "5"]
    opened.clear()
    assert batch.run(entries, pieces, "MET_pt", keep=tmp_path).kept == 6
    assert opened == []


def test_a_file_that_changes_after_it_was_read_ahead(folder, tmp_path):
    """Its result is kept for the state of before, and is made again."""
    paths = [tmp_path / name for name in ("a.root", "b.root")]
    for i, path in enumerate(paths):
        toys.write(path, 100, seed=i, columns=["MET_pt"])
    pieces, changed = fj.ranges(tmp_path), []

    def function(events):
        if not changed:
            time.sleep(0.2)  # b is read
            content = paths[1].read_bytes()
            with open(paths[1], "r+b") as file:
                file.write(content)  # in place: UUID and size stay, the time is another
            changed.append(1)
        return float(events["MET_pt"].sum())

    keep = tmp_path / "kept"
    first = batch.run(lambda e: function(e), pieces, "MET_pt", keep=keep)
    assert first.kept == 0
    states = [path.read_bytes().split(b"\n")[1] for path in keep.glob("*/*.result")]
    assert len(states) == 2
    now = f"{paths[1].stat().st_size}:{paths[1].stat().st_mtime_ns}".encode()
    assert not any(now in state for state in states)


def test_ranges_that_are_given_in_any_order(folder):
    pieces = [*fj.ranges(folder, size=150)]
    order = np.random.default_rng(1).permutation(len(pieces))
    mixed = [pieces[i] for i in order]
    assert batch.run(entries, mixed, "MET_pt", step=70).value == every(mixed)
    empty = [fj.Range(p.dataset, p.file, p.tree, p.stop, p.stop, p.uuid) for p in pieces[:2]]
    several = [empty[0], *pieces, empty[1]]
    assert batch.run(entries, several, "MET_pt").value == every(pieces)
    steps = (Step("met", ["MET_pt"], lambda b: b["MET_pt"] > 10),)
    count = batch.run(
        lambda alive: sum(len(b) for b in alive), pieces, batch.Selection(steps, ("event",))
    )
    assert count.value == sum(int((b["MET_pt"] > 10).sum()) for b in fj.iterate(folder, "MET_pt"))
