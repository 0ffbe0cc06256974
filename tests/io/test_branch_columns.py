"""branch_columns: any range of entries, in any order, with any number of threads."""

from contextlib import closing
from itertools import pairwise
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import uproot
from hypothesis import given, settings
from hypothesis import strategies as st

from fastjag import Jagged, equal
from fastjag.io.baskets import Buffers, Stored
from fastjag.io.branch_columns import BranchColumns
from fastjag.io.branches import stored_baskets
from fastjag.io.sources import open_source
from fastjag.io.writer import write_trees

VECTORS = Path(__file__).parents[1] / "data" / "odd_types.root"


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    """(path, branches, number of entries): small baskets, an empty one among them."""
    path = tmp_path_factory.mktemp("ranges") / "a.root"
    rng = np.random.default_rng(7)
    with uproot.recreate(path, compression=uproot.ZSTD(1)) as file:
        tree = None
        for n in (5, 1, 0, 12, 3, 30, 1):
            counts = rng.integers(0, 4, n)
            content = {"pt": rng.random(int(counts.sum())), "q": rng.integers(0, 9, counts.sum())}
            rows = {
                "Muon": Jagged.from_counts(counts, content).to_awkward(),
                "x": rng.integers(0, 99, n), "m": rng.random((n, 3)).astype(np.float32),
            }  # fmt: skip
            if tree is None:
                kinds = {"Muon": rows["Muon"].type.content, "x": "i8", "m": ("f4", (3,))}
                tree = file.mktree("t", kinds, counter_name="n{}".format,
                                   field_name=lambda outer, inner: f"{outer}_{inner}")  # fmt: skip
            tree.extend(rows)
    made = []
    for name, names in ((path, ["nMuon", "Muon_pt", "x", "m", "Muon_q"]), (VECTORS, None)):
        with uproot.open(name) as file:
            tree = file[file.keys()[0]]
            branches = [tree[n] for n in names] if names else tree.branches
            found = [b for b in map(stored_baskets, branches) if b is not None]
            made.append((str(name), found, tree.num_entries))
    assert any(b.header and not b.nested for b in made[1][1])
    assert any(b.nested for b in made[1][1])
    return made


def read_all(path, branches, ranges, threads):
    with (
        closing(open_source(path)) as source,
        closing(BranchColumns(source, branches, threads, ranges[0][0])) as columns,
    ):
        return [columns.read(*some) for some in ranges]


def check(tree, ranges, threads):
    path, branches, n = tree
    (whole,) = read_all(path, branches, [(0, n)], 1)
    for (start, stop), parts in zip(ranges, read_all(path, branches, ranges, threads), strict=True):
        for branch, (offsets, values), (every, content) in zip(branches, parts, whole, strict=True):
            low, high = (start, stop) if every is None else every[[start, stop]]
            assert (offsets is None) == (every is None), branch.name
            if offsets is not None:
                np.testing.assert_array_equal(offsets, every[start : stop + 1] - every[start])
            assert branch.nested == isinstance(values, Jagged)
            if branch.nested:
                assert equal(values, content[low:high]), branch.name
                values = values["value"]
            else:
                np.testing.assert_array_equal(values, content[low:high], branch.name)
            assert values.dtype == branch.native


@settings(max_examples=60)
@given(data=st.data(), threads=st.sampled_from([1, 2, 7]), which=st.integers(0, 1))
def test_ranges_in_any_order(trees, data, threads, which):
    """They equal slices of a read of everything, whatever was read before."""
    n = trees[which][2]
    entry = st.integers(0, n)
    ranges = data.draw(st.lists(st.tuples(entry, entry).map(sorted).map(tuple), min_size=1))
    check(trees[which], ranges, threads)


@settings(max_examples=30)
@given(data=st.data(), threads=st.sampled_from([1, 2, 7]), which=st.integers(0, 1))
def test_ranges_that_follow_one_another(trees, data, threads, which):
    n = trees[which][2]
    cuts = sorted(data.draw(st.lists(st.integers(0, n), min_size=2)))
    check(trees[which], list(pairwise(cuts)), threads)


@pytest.mark.parametrize("threads", [1, 2])
def test_each_basket_is_read_once(trees, threads):
    path, branches, n = trees[0]
    plain = [b for b in branches if b.name != "nMuon"]
    with (
        closing(open_source(path)) as source,
        closing(BranchColumns(source, plain, threads)) as columns,
        mock.patch.object(source, "read", wraps=source.read) as read,
    ):
        for start in range(0, n, 4):
            columns.read(start, min(n, start + 4))
    seeks = [call.args[0] for call in read.call_args_list]
    counter = next(b.counter for b in plain if b.counter)
    assert len(seeks) == len(set(seeks)) == sum(len(b.seeks) for b in [*plain, counter])


class Made(list):
    """Arrays that were asked for, full of a number that no branch has."""

    def __call__(self, shape, dtype):
        self.append(np.full(shape, 77, dtype))
        return self[-1]


@pytest.mark.parametrize("threads", [1, 2])
def test_where_columns_stay(trees, threads):
    """In memory that the reader was given; what is behind a range, in other memory."""
    path, branches, n = trees[0]
    columns, rests = Made(), Made()
    with (
        closing(open_source(path)) as source,
        closing(
            BranchColumns(source, branches, threads, 0, n, buffers=Buffers(columns, rests))
        ) as read,
    ):
        found = [read.read(start, min(n, start + 4)) for start in range(0, n, 4)]
    assert len(columns) == len(branches) * len(found)
    for step in found:
        for branch, (_, values) in zip(branches, step, strict=True):
            assert any(values is array for array in columns), branch.name
            assert not (values == 77).any()
    assert rests
    assert not any((array == 77).any() for array in rests)


def test_earlier_baskets_are_not_read(trees):
    path, branches, n = trees[0]
    with (
        closing(open_source(path)) as source,
        mock.patch.object(source, "read", wraps=source.read) as read,
        mock.patch.object(source, "expect") as expect,
        closing(BranchColumns(source, branches, 1, n - 1)) as columns,
    ):
        columns.read(n - 1, n)
    last = {b.seeks[-1] for b in branches}
    assert {call.args[0] for call in read.call_args_list} == last
    (pieces,) = expect.call_args.args
    assert {seek for seek, _ in pieces} == last


def test_what_will_be_read_is_told_in_order(trees):
    """Of all branches together, by the entry at which it is needed."""
    path, branches, _ = trees[0]
    first = {seek: entry for b in branches for seek, entry in zip(b.seeks, b.entries, strict=False)}
    with (
        closing(open_source(path)) as source,
        mock.patch.object(source, "expect") as expect,
        closing(BranchColumns(source, branches, 1)) as columns,
    ):
        columns.read(0, 9)
        columns.read(9, 11)
        expect.assert_called_once()
        entries = [first[seek] for seek, _ in expect.call_args.args[0]]
        assert entries == sorted(entries)
        assert set(first) == {seek for seek, _ in expect.call_args.args[0]}
        columns.read(40, 41)
        assert expect.call_count == 2
        assert min(first[seek] for seek, _ in expect.call_args.args[0]) == 21
        with closing(BranchColumns(source, branches, 1, 7, 21)):
            assert {first[seek] for seek, _ in expect.call_args.args[0]} == {6, 18}


@pytest.mark.parametrize("threads", [1, 3])
def test_damage_of_one_basket(trees, threads, tmp_path):
    """It is named, and what lies elsewhere can still be read."""
    path, branches, n = trees[0]
    x = next(b for b in branches if b.name == "x")
    data = bytearray(Path(path).read_bytes())
    data[x.seeks[3]] ^= 1
    (tmp_path / "a.root").write_bytes(data)
    with (
        closing(open_source(str(tmp_path / "a.root"))) as source,
        closing(BranchColumns(source, branches, threads)) as columns,
    ):
        for _ in range(2):
            with pytest.raises(ValueError, match=f"no basket of x at byte {x.seeks[3]}"):
                columns.read(0, n)
            assert columns.tasks.running == 0
            parts = columns.read(21, n)
    for found, wanted in zip(parts, read_all(path, branches, [(21, n)], 1)[0], strict=True):
        np.testing.assert_array_equal(found[1], wanted[1])


def test_entries_in_no_order():
    stored = Stored("x", np.dtype(">i4"), [0, 9], [9, 9], [0, 5, 3], None)
    with pytest.raises(ValueError, match="the baskets of x are not in the order of its entries"):
        BranchColumns(mock.Mock(), [stored], 1)


class TestLocalFiles:
    def test_short_reads(self, tmp_path, monkeypatch):
        """The system may give less than it was asked for."""
        import os

        (tmp_path / "x").write_bytes(bytes(range(200)))
        real = os.preadv
        monkeypatch.setattr(os, "preadv", lambda file, into, seek: real(file, [into[0][:7]], seek))
        into = bytearray(50)
        with closing(open_source(str(tmp_path / "x"))) as source:
            source.read(100, memoryview(into))
            assert bytes(into) == bytes(range(100, 150))
            with pytest.raises(EOFError, match=r"x ends at byte 200"):
                source.read(151, memoryview(into))

    def test_no_file(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            open_source(str(tmp_path / "none"))


class InMemory:
    """Bytes of a file that is none."""

    path = "memory"

    def __init__(self, data):
        self.data = data

    def read(self, seek, into):
        part = self.data[seek : seek + len(into)]
        if len(part) < len(into):
            raise EOFError
        into[:] = part

    def expect(self, pieces):
        pass


@pytest.fixture(scope="module")
def damageable(tmp_path_factory):
    """By codec: bytes of a file, branches, and what is in them."""
    counts = np.arange(400) % 5
    muons = Jagged.from_counts(counts, {"pt": np.arange(int(counts.sum())) // 3})
    made = {}
    for codec in ("zlib", "lzma", "lz4", "zstd"):
        path = tmp_path_factory.mktemp(codec) / "a.root"
        chunks = [{"Muon": muons, "x": np.arange(400) // 7}] * 2
        write_trees(path, {"t": chunks}, compression=codec)
        with uproot.open(path) as file:
            branches = [stored_baskets(file["t"][name]) for name in ("Muon_pt", "x")]
        (whole,) = read_all(str(path), branches, [(0, 800)], 1)
        made[codec] = path.read_bytes(), branches, [values.tobytes() for _, values in whole]
    return made


#: Which branch, which basket, which byte of it, which bit: sizes of baskets differ from file to file.
FLIP = st.tuples(
    st.integers(0, 2), st.integers(0, 1), st.integers(0, 2**16), st.integers(0, 7)
)  # fmt: skip


@settings(max_examples=60)
@given(flips=st.lists(FLIP, min_size=1, max_size=3), cut=st.none() | st.floats(0, 1))
@pytest.mark.parametrize("codec", ["zlib", "lzma", "lz4", "zstd"])
def test_flipped_bits(damageable, codec, flips, cut):
    """In keys and contents: an error, or the right values where there is a checksum."""
    content, branches, expected = damageable[codec]
    damaged = bytearray(content)
    for which, basket, at, bit in flips:
        branch = [*branches, branches[0].counter][which]
        damaged[branch.seeks[basket] + at % branch.sizes[basket]] ^= 1 << bit
    if cut is not None:
        damaged = damaged[: int(cut * len(damaged))]
    with closing(BranchColumns(InMemory(damaged), branches, 2)) as columns:
        try:
            found = columns.read(0, 800)
        except ValueError:
            return
    if codec != "zstd":
        assert [values.tobytes() for _, values in found] == expected
