"""Trees side by side, each against itself read alone."""

import awkward as ak
import numpy as np
import pytest
import uproot

import fastjag as fj
from fastjag.io import ReadError
from fastjag.io.ranges import Range

N = 120


def write(path, tree, branches, sizes=(50, 70)):
    """A TTree in two clusters; lists come as (counts, values)."""
    rows = {n: ak.unflatten(v[1], v[0]) if isinstance(v, tuple) else v for n, v in branches.items()}
    kinds = {n: "var * float64" if isinstance(v, tuple) else v.dtype for n, v in branches.items()}
    with uproot.recreate(path) as file:
        made, start = file.mktree(tree, kinds), 0
        for size in sizes:
            made.extend({name: values[start : start + size] for name, values in rows.items()})
            start += size
    return path


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(1)
    counts = rng.poisson(2, N)
    n = counts.sum()
    event = np.arange(N) + 1000
    main = {"event": event, "MET_pt": rng.random(N), "Jet_pt": (counts, rng.random(n))}
    friend = {
        "event": event, "weight": rng.random(N), "Jet_score": (counts, rng.random(n)),
        "Tau_pt": (counts[::-1].copy(), rng.random(n)),
    }  # fmt: skip
    write(tmp_path / "a.root", "Events", main)
    write(tmp_path / "friend.root", "Scores", friend, sizes=(7, 113))
    return tmp_path, main, friend


@pytest.mark.parametrize("step", [1, 7, 64, 1000, "1 kB"])
def test_side_by_side(files, step):
    folder, main, friend = files
    friends = f"{folder / 'friend.root'}:Scores"
    batches = list(fj.iterate(folder / "a.root", friends=friends, step=step))
    assert [b.source.start for b in batches][1:] == [b.source.stop for b in batches][:-1]
    assert all(b.source.file == str(folder / "a.root") for b in batches)
    whole = fj.concatenate(batches)
    assert len(whole) == N
    assert set(whole.flat) >= {"event", "MET_pt", "weight"}
    for name, values in {**main, **friend}.items():
        if isinstance(values, tuple):
            collection, column = name.split("_")
            np.testing.assert_array_equal(whole[collection].counts, values[0])
            np.testing.assert_array_equal(whole[collection][column], values[1])
        else:
            np.testing.assert_array_equal(whole[name], values)
    assert set(whole.Jet.columns) == {"pt", "score"}
    assert whole.branch("Jet", "score") == "Jet_score"
    assert whole["Jet_score"].columns == ("score",)


def test_columns_by_name_pattern_and_optional(files):
    folder, main, friend = files
    options = {"friends": [[(str(folder / "friend.root"), "Scores")]], "step": 1000}
    (batch,) = fj.iterate(folder / "a.root", ["weight", "Jet_*"], **options)
    assert set(batch.flat) == {"weight"} | {n for n in batch.flat if n.startswith("nJet")}
    assert set(batch.Jet.columns) == {"pt", "score"}
    np.testing.assert_array_equal(batch["weight"], friend["weight"])
    (batch,) = fj.iterate(folder / "a.root", "weight", optional=["MET_pt", "nothing"], **options)
    assert set(batch.flat) == {"weight", "MET_pt"}
    np.testing.assert_array_equal(batch["MET_pt"], main["MET_pt"])
    with pytest.raises(
        ReadError, match=r"a.root:Events: no branch 'weights'.*nor has a friend: .*Scores"
    ):
        list(fj.iterate(folder / "a.root", "weights", **options))


def test_several_files_and_friends(files):
    folder, main, _ = files
    write(
        folder / "b.root",
        "Events",
        {n: v if isinstance(v, tuple) else v + 1 for n, v in main.items()},
    )
    for name in ("wa", "wb"):
        write(folder / f"{name}.root", "W", {"sf": np.arange(N) * (2.0 if name == "wb" else 1.0)})
    more = [{"event": v} for v in (main["event"], main["event"] + 1)]
    for i, branches in enumerate(more):
        write(folder / f"e{i}.root", "E", branches)
    paths = [folder / "a.root", folder / "b.root"]
    batches = fj.iterate(paths, friends=[str(folder / "w?.root"), str(folder / "e?.root")], step=1000)  # fmt: skip
    first, second = batches
    np.testing.assert_array_equal(first["sf"], np.arange(N))
    np.testing.assert_array_equal(second["sf"], np.arange(N) * 2.0)
    np.testing.assert_array_equal(second["event"], main["event"] + 1)


@pytest.mark.parametrize("step", [7, 1000])
def test_ranges_in_any_order(files, step):
    """Of two files in turns, each with its own friend, entries that begin within clusters."""
    folder, main, friend = files
    more = {"event": main["event"], "MET_pt": -main["MET_pt"], "Jet_pt": main["Jet_pt"]}
    write(folder / "b.root", "Events", more, sizes=(31, 89))
    scores = {"event": main["event"], "weight": -friend["weight"]}
    write(folder / "other.root", "Scores", scores, sizes=(119, 1))
    a, b = str(folder / "a.root"), str(folder / "b.root")
    pieces = [
        (b, 60, 100),
        (a, 0, 3),
        (b, 0, 9),
        (a, 118, 120),
        (a, 45, 55),
        (b, 100, 120),
        (a, 5, 5),
    ]
    friends = (
        f"{folder / 'other.root'}:Scores",
        f"{folder / 'friend.root'}:Scores",
    )  # of b, then of a
    ranges = [Range("", file, "Events", start, stop) for file, start, stop in pieces]
    found = list(fj.iterate(ranges=ranges, friends=[friends], step=step))
    for file, start, stop in pieces:
        own = [p for p in found if p.source.file == file and start <= p.source.start < stop]
        assert sum(map(len, own)) == stop - start
        sign = 1 if file == a else -1
        for batch in own:
            some = slice(batch.source.start, batch.source.stop)
            np.testing.assert_array_equal(batch["MET_pt"], sign * main["MET_pt"][some])
            np.testing.assert_array_equal(batch["weight"], sign * friend["weight"][some])
            np.testing.assert_array_equal(batch.Jet.counts, main["Jet_pt"][0][some])
            assert ("score" in batch.Jet) == (file == a)


def test_ranges_of_friends_that_differ(files):
    folder, main, _ = files
    write(folder / "short.root", "S", {"x": np.arange(119.0)}, sizes=(50, 69))
    ranges = Range("", str(folder / "a.root"), "Events", 0, 10)
    with pytest.raises(ReadError, match=r"a.root:Events has 120 entries and its friend .*:S 119"):
        list(fj.iterate(ranges=ranges, friends=folder / "short.root"))
    wrong = {"event": main["event"].copy()}
    wrong["event"][70] = 5
    write(folder / "wrong.root", "W", wrong)
    ranges = Range("", str(folder / "a.root"), "Events", 60, 80)
    with pytest.raises(ReadError, match="in entry 70 first"):
        list(fj.iterate(ranges=ranges, friends=folder / "wrong.root"))


class TestErrors:
    def test_another_number_of_entries(self, files):
        folder, *_ = files
        write(folder / "short.root", "S", {"x": np.arange(119.0)}, sizes=(50, 69))
        message = r"a.root:Events has 120 entries and its friend .*short.root:S 119: friends have the same"
        with pytest.raises(ReadError, match=message):
            list(fj.iterate(folder / "a.root", friends=folder / "short.root"))
        skipping = fj.iterate(folder / "a.root", friends=folder / "short.root", on_error="skip")
        assert list(skipping) == []
        assert "short.root" in skipping.skipped[0].reason

    @pytest.mark.parametrize("step", [7, 1000])
    def test_a_branch_that_differs(self, files, step):
        folder, main, friend = files
        wrong = {"event": main["event"].copy(), "weight": friend["weight"]}
        wrong["event"][[77, 99]] = 5
        write(folder / "wrong.root", "S", wrong)
        with pytest.raises(
            ReadError, match=r"'event' of .*a.root.* differ, in entry 77 first: friends"
        ):
            list(fj.iterate(folder / "a.root", friends=folder / "wrong.root", step=step))
        read = fj.iterate(folder / "a.root", ["event", "weight"], friends=folder / "wrong.root")
        np.testing.assert_array_equal(next(read)["event"], main["event"])

    @pytest.mark.parametrize("step", [7, 1000])
    def test_a_list_that_differs(self, files, step):
        folder, main, _ = files
        counts, values = main["Jet_pt"]
        changed = values.copy()
        event = int(np.flatnonzero(counts[60:])[0]) + 60
        changed[counts[:event].sum()] += 1
        write(folder / "wrong.root", "S", {"Jet_pt": (counts, changed)})
        with pytest.raises(ReadError, match=rf"'Jet_pt' of .* differ, in entry {event} first"):
            list(fj.iterate(folder / "a.root", friends=folder / "wrong.root", step=step))
        counts = counts.copy()
        counts[event] -= 1
        write(folder / "wrong.root", "S", {"Jet_x": (counts, values[:-1])})
        message = rf"has {counts[event] + 1} particles of Jet in entry {event}, and its friend"
        with pytest.raises(ReadError, match=message):
            list(fj.iterate(folder / "a.root", friends=folder / "wrong.root", step=step))

    def test_as_many_files(self, files):
        folder, *_ = files
        write(folder / "b.root", "W", {"sf": np.arange(120.0)})
        with pytest.raises(ValueError, match="there are 1 files and 2 of a friend"):
            fj.iterate(folder / "a.root", friends=[[folder / "b.root", folder / "friend.root"]])
        ranges = Range("", str(folder / "a.root"), "Events", 0, 10)
        with pytest.raises(ValueError, match="there are 1 files and 2 of a friend"):
            fj.iterate(ranges=ranges, friends=[[folder / "b.root", folder / "friend.root"]])
        with pytest.raises(FileNotFoundError):
            list(fj.iterate(folder / "a.root", friends=folder / "nothing.root"))
