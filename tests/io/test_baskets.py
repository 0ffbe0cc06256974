"""baskets: what uproot reads from a tree, read without it."""

from unittest import mock

import awkward as ak
import numpy as np
import pytest
import uproot

import fastjag as fj
from fastjag.io import reader
from fastjag.io.files import ReadError
from fastjag.jagged import Jagged

COMPRESSIONS = {
    "none": None,
    "lz4": uproot.LZ4(1),
    "zlib": uproot.ZLIB(1),
    "zstd": uproot.ZSTD(1),
    "lzma": uproot.LZMA(1),
}


def chunk(rng, n):
    counts = rng.integers(0, 5, n)
    m = int(counts.sum())
    columns = {
        "pt": rng.integers(0, 99, m).astype(np.float32),
        "wide": rng.integers(0, 9, m).astype(np.float64),
        "charge": rng.integers(-1, 2, m).astype(np.int16),
        "good": rng.integers(0, 2, m).astype(bool),
    }
    return {
        "Muon": Jagged.from_counts(counts, columns).to_awkward(),
        "event": rng.integers(0, 2**63, n).astype(np.uint64),
        "flag": rng.integers(0, 2, n).astype(bool),
    }


def write(path, compression, sizes):
    rng = np.random.default_rng(3)
    with uproot.recreate(path, compression=COMPRESSIONS[compression]) as file:
        chunks = [chunk(rng, n) for n in sizes]
        tree = file.mktree(
            "Events",
            {
                name: a.dtype if isinstance(a, np.ndarray) else a.type.content
                for name, a in chunks[0].items()
            },
            counter_name=lambda counted: f"n{counted}",
            field_name=lambda outer, inner: f"{outer}_{inner}" if inner else outer,
        )
        for rows in chunks:
            tree.extend(rows)
    return path


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize(("step", "threads"), [(7, 1), (100, 2), (333, 1), (10**6, 2)])
def test_what_uproot_reads(tmp_path, compression, step, threads):
    path = write(tmp_path / "a.root", compression, [100, 1, 233, 50, 616])
    fj.set_num_threads(threads)
    try:
        with mock.patch.object(reader, "BranchColumns", wraps=reader.BranchColumns) as columns:
            batches = list(fj.iterate(path, step=step))
        columns.assert_called_once()
    finally:
        fj.set_num_threads(None)
    with uproot.open(path) as file:
        expected = file["Events"].arrays(library="np")
    assert [len(b) for b in batches] == [min(step, 1000 - i) for i in range(0, 1000, step)]
    counts = np.concatenate([b.Muon.counts for b in batches])
    np.testing.assert_array_equal(counts, expected["nMuon"])
    for name in ("event", "flag"):
        found = np.concatenate([b[name] for b in batches])
        np.testing.assert_array_equal(found, expected[name])
        assert found.dtype == expected[name].dtype
    for name in ("pt", "wide", "charge", "good"):
        found = np.concatenate([b.Muon[name] for b in batches])
        wanted = np.concatenate(list(expected[f"Muon_{name}"]))
        np.testing.assert_array_equal(found, wanted)
        assert found.dtype == wanted.dtype.newbyteorder("=")


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_baskets_of_several_blocks(tmp_path, compression):
    """A block holds at most 16 MB."""
    x = np.arange(2_500_000) // 7
    with uproot.recreate(tmp_path / "a.root", compression=COMPRESSIONS[compression]) as file:
        file.mktree("Events", {"x": "i8"}).extend({"x": x})
    (batch,) = fj.iterate(tmp_path / "a.root", step=len(x))
    np.testing.assert_array_equal(batch["x"], x)


def test_lengths_that_do_not_add_up(tmp_path):
    """A damaged counter is seen, in whichever batch it lies."""
    path = write(tmp_path / "a.root", "none", [100, 100])
    with uproot.open(path) as file:
        branch = file["Events"]["nMuon"]
        keys = [branch.basket(i).member("fKeylen") for i in (0, 1)]
        seeks = branch.member("fBasketSeek").tolist()
    data = path.read_bytes()
    for seek, key, first in zip(seeks, keys, (0, 100), strict=False):
        damaged = bytearray(data)
        damaged[seek + key + 3] += 1  # the lowest byte of the first count
        path.write_bytes(damaged)
        for step in (1000, 30):
            with pytest.raises(ReadError, match=r"entries from \d+ .*values"):
                list(fj.iterate(path, step=step))
        assert len(list(fj.iterate(path, step=30, on_error="skip"))) >= first // 30


@pytest.mark.parametrize(
    ("file", "least"),
    [("uproot-HZZ", 51), ("coffea_pfnano", 1800), ("atlas_PHYSLITE_mc_40ev", 250)],
)
def test_real_files(real_data, file, least):
    """Every branch that can be read this way, baskets of other entries than their counter's too."""
    opened = reader.Reader(str(real_data / f"{file}.root"), None, None)
    with opened.file:
        names = opened.branches(None)
        found = [opened.stored_branch(opened.branch(name)) for name in names]
        pairs = zip(names, found, strict=True)
        branches = {n: b for n, b in pairs if b is not None and not b.header}
        assert len(branches) >= least
        step = opened.n_entries // 3 + 1
        ranges = range(0, opened.n_entries, step)
        with opened._columns(list(branches.values()), 2) as columns:
            parts = [columns.read(i, min(i + step, opened.n_entries)) for i in ranges]
        edges = np.random.default_rng(5).integers(0, opened.n_entries + 1, (6, 2))
        ranges = [tuple(sorted(pair)) for pair in edges.tolist()]
        with opened._columns(list(branches.values()), 7) as columns:
            some = [columns.read(*pair) for pair in ranges]
        for i, (name, *pieces) in enumerate(zip(branches, *parts, strict=True)):
            values = np.concatenate([values for _, values in pieces])
            expected = opened.branch(name).stored.array(library="ak")
            flat = ak.to_numpy(expected if expected.ndim == 1 else ak.flatten(expected))
            assert values.tobytes() == flat.tobytes(), name
            if expected.ndim > 1:
                counts = np.concatenate([np.diff(offsets) for offsets, _ in pieces])
                np.testing.assert_array_equal(counts, ak.num(expected), name)
            for (start, stop), read in zip(ranges, some, strict=True):
                part = expected[start:stop]
                part = ak.to_numpy(part if part.ndim == 1 else ak.flatten(part))
                assert read[i][1].tobytes() == part.tobytes(), name
