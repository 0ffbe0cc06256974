"""page_columns: any ranges of any columns, in any order, are what was written; damage is an error."""

import json
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from page_samples import KINDS, MemoryBytes, column_of
from strategies import column

import fastjag as fj
from fastjag.io.baskets import Buffers
from fastjag.io.errors import ReadError
from fastjag.io.page_columns import PageColumns
from fastjag.io.pages import Coding, Paged, PageReader

DATA = Path(__file__).parents[1] / "data"


def values_of(rng, encoding, dtype, bits, n):
    """Numbers that the encoding keeps exactly."""
    if encoding == "bit":
        return rng.random(n) < 0.5
    if "half" in encoding:
        return rng.normal(size=n).astype("f2").astype("f4")
    if encoding == "truncated":
        return (column(rng, "f4", n).view("u4") >> (32 - bits) << (32 - bits)).view("f4")
    if encoding == "quantised":
        steps = rng.integers(0, 2 ** min(bits, 20), n).astype("f8")
        return (steps * (8.75 / (2**bits - 1)) - 3.25).astype(dtype)
    return column(rng, dtype.str[1:], n)


def plain(below):
    """For ``column_of``: pages of 40, checked, not compressed."""
    return 0 if below == 2 else below - 1


@st.composite
def tuples(draw):
    """(file, branches, what they hold: arrays, or a list of arrays per entry)."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    sizes = draw(st.lists(st.sampled_from([0, 1, 2, 30, 90]), max_size=4))
    entries = [0, *np.cumsum(sizes, dtype=int).tolist()]
    file, n = MemoryBytes(), entries[-1]
    branches, expected = [], []

    def number(m, cuts, shape=(), missing=0):
        encoding, dtype, bits = draw(st.sampled_from([k for k in KINDS if "index" not in k[0]]))
        low, high = (-3.25, 5.5) if encoding == "quantised" else (0.0, 0.0)
        each = int(np.prod(shape))
        values = values_of(rng, encoding, dtype, bits, m * each)
        values[: missing * each] = 0
        coding = Coding(encoding, bits, dtype.str, low, high)
        cuts = [cut * each for cut in cuts]
        return column_of(file, values, cuts, coding, rng.integers, missing=missing * each), values

    def index(counts, cuts, missing=0):
        ends = np.cumsum(counts)
        bases = tuple(int(ends[cut - 1]) if cut else 0 for cut in cuts)
        bits = draw(st.sampled_from([32, 64]))
        coding = Coding(draw(st.sampled_from(["index", "split_index"])), bits, "i8")
        return column_of(file, ends, cuts, coding, rng.integers, bases, missing), bases

    for _ in range(draw(st.integers(1, 4))):
        missing = draw(st.sampled_from([0, 0, n // 2]))
        if draw(st.booleans()):
            shape = draw(st.sampled_from([(), (), (3,), (2, 2)]))
            values, flat = number(n, entries, shape, missing)
            branches.append(Paged((), values, shape, values.dtype, entries))
            expected.append(flat.reshape(n, *shape))
            continue
        counts = rng.choice([0, 0, 1, 3, 300], n, p=[0.3, 0.2, 0.2, 0.29, 0.01])
        counts[:missing] = 0
        ends, bases = index(counts, entries, missing)
        values, flat = number(int(counts.sum()), bases)
        branches.append(Paged((ends,), values, (), values.dtype, entries))
        expected.append(np.split(flat, np.cumsum(counts)[:-1]) if n else [])
        if draw(st.booleans()):
            branches.append(branches[-1].counts)
            expected.append(counts)
    return file, branches, expected


@st.composite
def ranges(draw, n):
    cuts = sorted({0, n, *draw(st.lists(st.integers(0, n), max_size=6))})
    steps = list(pairwise(cuts)) or [(0, 0)]
    order = draw(st.sampled_from(["ascending", "any", "twice", "overlapping"]))
    if order == "overlapping":
        two = st.tuples(st.integers(0, n), st.integers(0, n))
        return [tuple(sorted(pair)) for pair in draw(st.lists(two, min_size=1, max_size=6))]
    return (
        steps if order == "ascending" else draw(st.permutations(steps * (1 + (order == "twice"))))
    )


class TestRanges:
    @settings(max_examples=150)
    @given(sample=tuples(), data=st.data())
    def test_what_was_written(self, sample, data):
        file, branches, expected = sample
        n = branches[0].entries[-1]
        threads = data.draw(st.sampled_from([1, 2, 7]))
        steps = data.draw(ranges(n))
        start = steps[0][0]
        with closing(PageColumns(file, branches, threads, start)) as columns:
            for low, high in steps:
                for (offsets, values), wanted in zip(
                    columns.read(low, high), expected, strict=True
                ):
                    if offsets is None:
                        np.testing.assert_array_equal(values, wanted[low:high])
                        continue
                    lists = wanted[low:high]
                    assert offsets.tolist() == np.cumsum([0, *map(len, lists)]).tolist()
                    np.testing.assert_array_equal(values, np.concatenate([values[:0], *lists]))

    @pytest.mark.parametrize("encoding", ["index", "split_index"])
    def test_a_page_that_was_kept_lies_within_a_later_range(self, encoding):
        file, ends = MemoryBytes(), np.cumsum(np.full(100, 3))
        lists = column_of(file, ends, [0, 100], Coding(encoding, 64, "i8"), plain, (0, 300))
        x = column_of(file, np.arange(300, dtype="f4"), [0, 300], Coding("split", 32, "f4"), plain)
        branch = Paged((lists,), x, (), x.dtype, [0, 100])
        with closing(PageColumns(file, [branch], 1)) as columns:
            columns.read(0, 10)
            ((offsets, values),) = columns.read(0, 100)
        assert offsets.tolist() == [0, *ends]
        assert values.tolist() == list(range(300))

    def test_where_columns_stay(self):
        """In memory that the reader was given."""
        made = []

        def empty(shape, dtype):
            made.append(np.empty(shape, dtype))
            return made[-1]

        file = MemoryBytes()
        x = column_of(file, np.arange(300, dtype="f4"), [0, 300], Coding("split", 32, "f4"), plain)
        branch = Paged((), x, (), x.dtype, [0, 300])
        with closing(PageColumns(file, [branch], 1, buffers=Buffers(empty))) as columns:
            for start in (0, 100):
                ((_, values),) = columns.read(start, start + 100)
                assert np.shares_memory(values, made[-1])
                assert values.tolist() == list(range(start, start + 100))

    def test_memory_of_kept_pages_is_used_again(self):
        file, coding = MemoryBytes(), Coding("plain", 32, "f4")
        x = column_of(file, np.arange(2000, dtype="f4"), [0, 2000], coding, plain)
        reader = PageReader(file)
        kept = []
        for piece in x.pieces:
            data = reader.unpacked_of(x, piece)
            assert all(data.obj is not one.obj for one in kept)
            reader.let_go(data)
            kept.append(data)
        assert len(kept) == 50
        for data, piece in zip(kept, x.pieces, strict=True):
            assert np.frombuffer(data, "f4").tolist() == list(range(piece.first, piece.stop))
        known = {id(data.obj) for data in kept}
        for data in kept:
            reader.take_back(data)
        again = []
        for piece in x.pieces[:20]:
            data = reader.unpacked_of(x, piece)
            reader.let_go(data)
            again.append(data)
        assert sum(id(data.obj) in known for data in again) == 8
        for data, piece in zip(again, x.pieces[:20], strict=True):
            assert np.frombuffer(data, "f4").tolist() == list(range(piece.first, piece.stop))

    @given(sample=tuples(), step=st.sampled_from([1, 7, 31]))
    @settings(max_examples=30)
    def test_steps_read_each_page_once(self, sample, step):
        """As the source was told to expect."""
        file, branches, _ = sample
        n = branches[0].entries[-1]
        with closing(PageColumns(file, branches, 1)) as columns:
            expected = [seek for seek, _ in file.expected]
            for start in range(0, n, step):
                columns.read(start, min(start + step, n))
        assert sorted(file.seeks) == sorted(expected)

    def test_columns_with_the_same_pages_are_read_once(self):
        """ROOT writes one page for equal ones; values are nobody else's, all the same."""
        file = MemoryBytes()
        coding = Coding("plain", 32, "f4")
        x = column_of(file, np.arange(50, dtype="f4"), [0, 50], coding, lambda _: 1)
        branch = Paged((), x, (), x.dtype, [0, 50])
        with closing(PageColumns(file, [branch, branch], 1)) as columns:
            (_, one), (_, other) = columns.read(0, 50)
        assert len(file.seeks) == len(set(file.seeks)) == len(x.pieces)
        one[:] = -1
        assert other.tolist() == list(range(50))

    @pytest.mark.parametrize("step", [7, 40])
    def test_clusters_of_other_representations(self, step):
        """The dtype is the one that holds all of them."""
        file, values = MemoryBytes(), np.arange(40) / 2
        one = column_of(file, values[:20], [0, 20], Coding("split", 64, "f8"), plain)
        other = column_of(file, values[20:], [0, 20], Coding("half", 16, "f4"), plain)
        moved = [p._replace(first=p.first + 20, cluster=1) for p in other.pieces]
        x = type(one)("x", one.dtype, [*one.pieces, *moved], [0, 20, 40])
        with closing(PageColumns(file, [Paged((), x, (), x.dtype, [0, 20, 40])], 1)) as columns:
            found = [columns.read(i, min(i + step, 40))[0][1] for i in range(0, 40, step)]
        assert np.concatenate(found).tolist() == values.tolist()
        assert {part.dtype for part in found} == {np.dtype("f8")}

    def test_expects_what_lies_ahead(self):
        file = MemoryBytes()
        coding = Coding("plain", 32, "f4")
        x = column_of(file, np.arange(90, dtype="f4"), [0, 30, 60, 90], coding, plain)
        with closing(PageColumns(file, [Paged((), x, (), x.dtype, [0, 30, 60, 90])], 1, 35, 60)):
            assert file.expected == [(x.pieces[1].page.seek, 120 + 8)]


class TestDamage:
    @given(sample=tuples(), data=st.data())
    @settings(max_examples=60)
    def test_a_flipped_bit_of_a_checked_page(self, sample, data):
        file, branches, _ = sample
        pages = [
            (c.name, piece.page)
            for branch in branches
            for c in (*branch.levels, branch.values)
            for piece in (c.pieces if c else ())
            if piece.page and piece.page.checked
        ]
        if not pages:
            return
        name, page = data.draw(st.sampled_from(pages))
        bit = data.draw(st.integers(0, 8 * (page.size + 8) - 1))
        file.content[page.seek + bit // 8] ^= 1 << bit % 8
        n = branches[0].entries[-1]
        with closing(PageColumns(file, branches, 1)) as columns:
            where = f"the checksum of a page of {name!r} at byte {page.seek} is wrong"
            with pytest.raises(ValueError, match=where):
                columns.read(0, n)

    def lists(self, ends, cuts=(0, 4), bases=(0, 10)):
        file = MemoryBytes()
        coding = Coding("index", 64, "i8")
        index = column_of(file, np.array(ends), cuts, coding, plain, bases, name="Muon")
        pt = np.arange(bases[-1], dtype="f4")
        content = column_of(file, pt, bases, Coding("plain", 32, "f4"), plain)
        return PageColumns(file, [Paged((index,), content, (), content.dtype, cuts)], 1)

    @pytest.mark.parametrize(
        ("ends", "message"),
        [
            ([1, 3, 2, 10], "list 2 of 'Muon' ends before it begins"),
            ([-1, 3, 4, 10], "list 0 of 'Muon' ends before it begins"),
            ([1, 3, 4, 9], r"until 4 end at 9 in their cluster, which has 10 elements"),
            ([1, 3, 4, 11], r"until 4 end at 11 in their cluster, which has 10 elements"),
        ],
    )
    def test_ends_that_no_checksum_protects(self, ends, message):
        with closing(self.lists(ends)) as columns, pytest.raises(ValueError, match=message):
            columns.read(0, 4)

    def test_beyond_the_cluster_in_the_middle_of_it(self):
        with closing(self.lists([1, 11, 11, 10])) as columns:
            assert columns.read(0, 1)[0][0].tolist() == [0, 1]
            with pytest.raises(ValueError, match=r"end at 11 in their cluster, which has 10"):
                columns.read(1, 2)

    def test_into_the_cluster_before(self):
        ends = [1, 3, 4, 10, 8, 12, 13, 15]  # the fifth is -2 in its cluster
        with closing(self.lists(ends, (0, 4, 8), (0, 10, 15))) as columns:
            columns.read(0, 4)
            with pytest.raises(ValueError, match=r"list 4 of 'Muon' ends before it begins"):
                columns.read(4, 8)
            with pytest.raises(ValueError, match=r"Muon"):
                columns.read(5, 6)

    def test_sizes(self):
        file = MemoryBytes()
        coding = Coding("plain", 32, "f4")
        x = column_of(file, np.arange(9, dtype="f4"), [0, 9], coding, plain)
        page = x.pieces[0].page
        for size, message in ((40, "has 40 bytes, for 36 of values"), (20, "a compressed block")):
            other = x.pieces[0]._replace(page=page._replace(size=size, checked=False))
            branch = Paged((), type(x)("x", x.dtype, [other], [0, 9]), (), x.dtype, [0, 9])
            with (
                closing(PageColumns(file, [branch], 1)) as columns,
                pytest.raises(ValueError, match=rf"a page of 'x' at byte {page.seek}.*{message}"),
            ):
                columns.read(0, 9)
        del file.content[page.seek + 5 :]
        branch = Paged((), x, (), x.dtype, [0, 9])
        with (
            closing(PageColumns(file, [branch], 1)) as columns,
            pytest.raises(ValueError, match=r"the file ends within a page of 'x'"),
        ):
            columns.read(0, 9)


def plain_numbers(x):
    """JSON without its hexadecimal floats."""
    if isinstance(x, dict):
        return {name: plain_numbers(values) for name, values in x.items()}
    if isinstance(x, list):
        return [plain_numbers(value) for value in x]
    return float.fromhex(x) if isinstance(x, str) else x


class TestWrittenByRoot:
    """ROOT 6.40: every type of column, clusters of 15 events, pages of 128 bytes, fields added at 25.

    ``rntuple_encodings.json`` has what ROOT's own RNTupleReader gives, floats as hex.
    """

    path = DATA / "rntuple_encodings.root"

    @pytest.mark.parametrize("step", [1, 7, 40])
    def test_every_column(self, step):
        truth = plain_numbers(json.loads(self.path.with_suffix(".json").read_text()))
        batches = list(fj.iterate(self.path, list(truth), step=step))
        for name, wanted in truth.items():
            if name in batches[0].flat:
                found = np.concatenate([batch.flat[name] for batch in batches]).tolist()
            else:
                found = [
                    jagged[i : i + 1][column].tolist()
                    for batch in batches
                    for jagged in [batch[name]]
                    for column in jagged.columns
                    for i in range(len(batch))
                ]
            assert found == wanted, name

    def test_what_is_left_out(self):
        batches = fj.iterate(self.path)
        list(batches)
        left = {b.branch: b.reason for b in batches.left_out}
        assert left["var"] == "values of several types"

    def test_dtypes(self):
        (batch,) = fj.iterate(self.path)
        for name, dtype in (("si16", "i2"), ("u8", "u1"), ("b", "?"), ("h", "f4"), ("t12", "f4"),
                            ("q12", "f4"), ("dq20", "f8"), ("sd", "f8"), ("bits", "?")):  # fmt: skip
            assert batch.flat[name].dtype == np.dtype(dtype), name

    def test_a_flipped_bit_in_a_page_of_any_column(self, tmp_path):
        """The error names the field and the place."""
        from fastjag.io.reader import Reader

        reader = Reader(str(self.path), None, None)
        with reader.file:
            branches = [b for b in reader.stored.values() if isinstance(b.stored, Paged)]
        data, seen = self.path.read_bytes(), set()
        rng = np.random.default_rng(1)
        for branch in branches:
            for c in (*branch.stored.levels, branch.stored.values):
                for piece in c.pieces[:1] if c else ():
                    if piece.page is None or piece.page.seek in seen:
                        continue
                    seen.add(piece.page.seek)
                    damaged = bytearray(data)
                    at = piece.page.seek + int(rng.integers(piece.page.size + 8))
                    damaged[at] ^= 1 << int(rng.integers(8))
                    (tmp_path / "a.root").write_bytes(damaged)
                    message = f"page of '{c.name}' at byte {piece.page.seek} is wrong"
                    with pytest.raises(ReadError, match=message):
                        list(fj.iterate(tmp_path / "a.root", [branch.path]))
        assert len(seen) > 40
