"""TTrees with lists: what is written is read again, as std::vector and as counted arrays."""

import warnings

import numpy as np
import pytest

import fastjag as fj
from fastjag.io.pyroot import has_root
from fastjag.io.writer import write_tree, write_trees

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    KINDS = [False, True] if has_root() else [False]


def events(n=300):
    rng = np.random.default_rng(4)
    counts = rng.integers(0, 4, n)
    counts[[0, -1]] = 0
    m = counts.sum()
    photons = {
        "pt": rng.random(m).astype("f4"),
        "tight": rng.random(m) > 0.5,
        "kind": rng.integers(-9, 9, m).astype("i4"),
        "exact": rng.random(m),
    }
    flat = {"met": rng.random(n), "fired": rng.random(n) > 0.5, "run": np.arange(n, dtype="i4")}
    return {"photon": fj.Jagged.from_counts(counts, photons)}, flat


@pytest.mark.parametrize("vectors", KINDS)
def test_read_again(tmp_path, vectors):
    import uproot

    collections, flat = events()
    assert write_tree(tmp_path / "a.root", "stuff", collections, flat, vectors=vectors) is vectors
    with uproot.open(tmp_path / "a.root") as file:
        assert file["stuff/photon_tight"].typename == ("std::vector<bool>" if vectors else "bool[]")
        assert file["stuff/photon_tight"].interpretation.header_bytes == (10 if vectors else 0)
    (batch,) = fj.iterate(tmp_path / "a.root")
    photons = collections["photon"]
    assert np.array_equal(batch.photon.offsets, photons.offsets)
    for name in photons.columns:
        assert np.array_equal(batch.photon[name], photons[name])
        assert batch.photon[name].dtype == photons[name].dtype
    for name, values in flat.items():
        assert np.array_equal(batch[name], values)
    assert np.array_equal(batch["photon_n"], photons.counts)
    assert [p.name for p in tmp_path.iterdir()] == ["a.root"]


def test_no_events(tmp_path):
    collections, flat = events()
    nothing = {n: j[:0] for n, j in collections.items()}, {n: v[:0] for n, v in flat.items()}
    for vectors in KINDS:
        write_tree(tmp_path / "a.root", "stuff", *nothing, vectors=vectors)
        assert sum(len(b) for b in fj.iterate(tmp_path / "a.root:stuff")) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"run": np.arange(3, dtype="i4")}, "branch 'run' has 3 entries"),
        ({"run": np.zeros(300, "i2")}, "branch 'run': dtype int16"),
    ],
)
def test_what_does_not_fit(tmp_path, change, message):
    collections, flat = events()
    with pytest.raises((ValueError, TypeError), match=message):
        write_tree(tmp_path / "a.root", "stuff", collections, flat | change)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there(tmp_path):
    for vectors in KINDS:
        with pytest.raises(OSError):
            write_tree(tmp_path / "no" / "a.root", "stuff", *events(), vectors=vectors)


def test_trees_of_several_chunks_some_of_them_empty(tmp_path):
    import uproot

    collections, flat = events()
    chunk = {"hit": collections["photon"], **flat}
    empty = {name: values[:0] for name, values in chunk.items()}
    chunks, sections, written = [empty, chunk, empty, chunk], {"run": np.arange(3)}, []
    path = write_trees(
        tmp_path / "a.root", {"x/Events": chunks, "Runs": [sections]},
        compression="lz4", level=4, counter="{}_size".format, strings={"note": "toys"},
        advance=written.append,
    )  # fmt: skip
    assert written == [300, 300, 3]
    with uproot.open(path) as file:
        assert str(file["note"]) == "toys"
        assert (file.file.compression.name, file.file.compression.level) == ("LZ4", 4)
        assert file["Runs/run"].array().tolist() == [0, 1, 2]
        tree = file["x/Events"]
        assert tree.keys() == [
            "hit_size", "hit_pt", "hit_tight", "hit_kind", "hit_exact", "met", "fired", "run",
        ]  # fmt: skip
        assert {branch.num_baskets for branch in tree.branches} == {2}
    (batch,) = fj.iterate(f"{path}:x/Events")
    for name in ("pt", "tight", "kind", "exact"):
        assert np.array_equal(batch.hit[name], np.tile(collections["photon"][name], 2))
    assert np.array_equal(batch["met"], np.tile(flat["met"], 2))


@pytest.mark.parametrize("rntuple", [False, True])
def test_only_empty_chunks_make_a_tree_and_no_chunk_makes_none(tmp_path, rntuple):
    collections, flat = events()
    empty = {"hit": collections["photon"][:0], "met": flat["met"][:0]}
    write_trees(tmp_path / "a.root", {"Events": [empty]}, rntuple=rntuple)
    batches = fj.iterate(tmp_path / "a.root")
    assert [len(batch) for batch in batches] == []
    with pytest.raises(ValueError, match=r"b\.root: no events to write"):
        write_trees(tmp_path / "b.root", {"Events": []}, rntuple=rntuple)
    assert [path.name for path in tmp_path.iterdir()] == ["a.root"]
