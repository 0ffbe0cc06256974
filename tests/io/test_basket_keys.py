"""baskets: what a key may say, byte by byte, and what is done with the values."""

import struct
from itertools import pairwise

import numpy as np
import pytest

from fastjag.io import iterate, reader, tasks, write_events
from fastjag.io.baskets import Baskets, Stored, list_bounds
from fastjag.io.branch_columns import BranchColumns
from fastjag.io.files import ReadError
from fastjag.io.reader import Reader
from fastjag.io.sources import open_source

HEAD = struct.calcsize(">ihiIhh")  # 18


def basket(body=b"\0\0\0\1\0\0\0\2", *, key=40, n_bytes=None, n_object=None, stop=None):
    """A basket that is not compressed; its key may say something else than it is."""
    size = key + len(body)
    head = struct.pack(
        ">ihiIhh", size if n_bytes is None else n_bytes, 4,
        len(body) if n_object is None else n_object, 0, key, 1,
    )  # fmt: skip
    data = bytearray(max(key, HEAD))
    data[:HEAD] = head
    if key >= HEAD + 5:
        data[key - 5 : key - 1] = struct.pack(">i", key + (len(body) if stop is None else stop))
    return bytes(data[:key]) + body


def stored(data, *, entries=2, seeks=(0,), size=None, dtype=">i4", **more):
    return Stored("x", np.dtype(dtype), list(seeks), [len(data) if size is None else size],
                  [0, entries], more.pop("counter", None), **more)  # fmt: skip


@pytest.fixture
def opened(tmp_path):
    """Writes bytes to a file and opens it."""
    files = []

    def write(data):
        (tmp_path / "x").write_bytes(data)
        files.append(open_source(str(tmp_path / "x")))
        return files[-1]

    yield write
    for file in files:
        file.close()


def read(opened, data, **more):
    content, stop, n_key = Baskets(opened(data)).read(stored(data, **more), 0)
    return content.tobytes(), stop, n_key


class TestKeys:
    def test_what_it_says(self, opened):
        assert read(opened, basket()) == (b"\0\0\0\1\0\0\0\2", 8, 40)
        assert read(opened, basket(stop=4)) == (b"\0\0\0\1\0\0\0\2", 4, 40)
        assert read(opened, basket(stop=0))[1] == 0
        assert read(opened, basket(b"", key=40)) == (b"", 0, 40)

    def test_the_shortest_key(self, opened):
        """It has room for the end of the values, and a byte after it."""
        assert read(opened, basket(key=HEAD + 6))[1:] == (8, HEAD + 6)
        for key in (HEAD + 5, HEAD + 4, HEAD + 3):
            # What lies where the end of the values would be read from is what it has to be.
            data = bytearray(basket(key=key))
            data[16:18] = b"\0\0"
            data[key - 5 : key - 1] = struct.pack(">i", key + 8)
            with pytest.raises(ValueError, match="no basket of x at byte 0"):
                read(opened, bytes(data))
        for key in (HEAD, 17, 1, 0, -1):
            data = bytearray(basket())
            data[14:16] = struct.pack(">h", key)
            with pytest.raises(ValueError, match="no basket of x at byte 0"):
                read(opened, bytes(data))

    @pytest.mark.parametrize(
        "wrong",
        [{"n_bytes": 47}, {"n_bytes": 49}, {"n_bytes": -48}, {"n_object": -1}, {"n_object": -8}],
    )
    def test_one_number_is_wrong(self, opened, wrong):
        with pytest.raises(ValueError, match="no basket of x at byte 0"):
            read(opened, basket(**wrong))

    def test_a_key_beyond_the_basket(self, opened):
        data = bytearray(basket(b""))
        data[14:16] = struct.pack(">h", 41)
        with pytest.raises(ValueError, match="no basket of x at byte 0"):
            read(opened, bytes(data))

    @pytest.mark.parametrize("stop", [-1, -40, 9, 1 << 20])
    def test_values_that_end_elsewhere(self, opened, stop):
        with pytest.raises(ValueError, match=rf"a basket of x has {stop} bytes of values"):
            read(opened, basket(stop=stop))

    def test_the_end_of_the_file(self, opened):
        data = basket()
        with pytest.raises(ValueError, match="the file ends within a basket of x"):
            read(opened, data, size=len(data) + 1)
        with pytest.raises(ValueError, match="the file ends within a basket of x"):
            read(opened, data, seeks=[1])
        with pytest.raises(ValueError, match="the file ends within a basket of x"):
            read(opened, data[: HEAD - 1])
        with pytest.raises(ValueError, match="no basket of x at byte 0"):
            read(opened, data[:HEAD])

    def test_compressed_content_that_is_none(self, opened):
        """A size that differs from the content's says that it is compressed."""
        with pytest.raises(ValueError, match="basket 0 of x: a compressed block is cut off"):
            read(opened, basket(n_object=9))

    def test_a_larger_basket_after_a_smaller_one(self, opened):
        """Buffers grow, and are used again."""
        first, second = basket(b"\0\0\0\1"), basket(bytes(range(200)))
        branch = Stored("x", np.dtype(">i4"), [0, len(first)], [len(first), len(second)],
                        [0, 1, 51], None)  # fmt: skip
        read = Baskets(opened(first + second))
        assert [read.read(branch, i)[0].tobytes() for i in (0, 1, 0)] == [
            b"\0\0\0\1", bytes(range(200)), b"\0\0\0\1",
        ]  # fmt: skip

    def test_buffers_grow_by_a_quarter(self):
        small = tasks.at_least(memoryview(b""), 100)
        assert len(small) == 125
        assert tasks.at_least(small, 125) is small
        assert len(tasks.at_least(small, 126)) == 157


class TestColumns:
    @pytest.fixture
    def make(self, opened):
        made = []

        def columns(data, branch, threads=1):
            made.append(BranchColumns(opened(data), [branch], threads))
            return made[-1]

        yield columns
        for one in made:
            one.close()

    def test_threads_only_where_there_are_several(self, make):
        data = basket()
        for threads, pool in ((1, False), (2, True)):
            columns = make(data, stored(data), threads)
            assert (columns.tasks.pool is not None) == pool
            ((offsets, values),) = columns.read(0, 2)
            assert offsets is None
            np.testing.assert_array_equal(values, [1, 2])

    @pytest.mark.parametrize("entries", [1, 3])
    def test_another_number_of_values(self, make, entries):
        data = basket()
        columns = make(data, stored(data, entries=entries))
        with pytest.raises(
            ValueError, match=rf"basket 0 of x has 2 values for entries 0 to {entries}"
        ):
            columns.read(0, entries)

    def test_a_part_of_a_value(self, make):
        data = basket(stop=7)
        columns = make(data, stored(data))
        with pytest.raises(ValueError, match="a basket of x has 7 bytes of values"):
            columns.read(0, 2)

    def test_baskets_that_are_missing(self, make):
        data = basket()
        columns = make(data, stored(data))
        with pytest.raises(ValueError, match="x has not as many values as its entries until 3"):
            columns.read(0, 3)

    def test_a_basket_is_read_when_it_is_needed(self, make):
        """What was read before damage is there."""
        good = basket()
        branch = Stored("x", np.dtype(">i4"), [0, len(good)], [len(good)] * 2, [0, 2, 4], None)
        columns = make(good + bytes(len(good)), branch)
        np.testing.assert_array_equal(columns.read(0, 2)[0][1], [1, 2])
        with pytest.raises(ValueError, match=f"no basket of x at byte {len(good)}"):
            columns.read(2, 4)

    def test_vectors(self, make):
        """Lists of std::vector: 10 bytes before each, and the table of where they begin."""
        body = bytes(10) + np.array([1, 2], ">i4").tobytes() + bytes(10)
        table = np.array([3, 40, 58, 0], ">i4").tobytes()
        data = basket(body + table, stop=len(body))
        branch = stored(data, header=10)
        columns = make(data, branch)
        ((offsets, values),) = columns.read(0, 2)
        np.testing.assert_array_equal(offsets, [0, 2, 2])
        np.testing.assert_array_equal(values, [1, 2])
        with pytest.raises(ValueError, match="x has not as many lists as its entries until 3"):
            columns.read(2, 3)
        columns = make(data, branch)
        for start, counts, content in ((0, [2], [1, 2]), (1, [0], [])):
            ((offsets, values),) = columns.read(start, start + 1)
            np.testing.assert_array_equal(np.diff(offsets), counts)
            np.testing.assert_array_equal(values, content)
        # A basket that nobody has asked for is not read.
        two = Stored("x", branch.dtype, [0, len(data)], [len(data)] * 2, [0, 2, 4], None, 10)
        columns = make(data + bytes(len(data)), two)
        np.testing.assert_array_equal(columns.read(0, 2)[0][1], [1, 2])

    @pytest.mark.parametrize("step", [1, 2, 3, 5])
    def test_vectors_of_vectors(self, make, step):
        """Two baskets, in steps that begin within one."""
        events = [[[1, 2], []], [], [[3]], [[4, 5, 6]], [[], []]]
        baskets, seeks = b"", [0]
        for some in (events[:3], events[3:]):
            body, begins = b"", []
            for lists in some:
                begins.append(40 + len(body))
                inner = b"".join(struct.pack(f">I{len(x)}i", len(x), *x) for x in lists)
                body += struct.pack(">IHI", 0x40000000 | (len(inner) + 6), 9, len(lists)) + inner
            table = struct.pack(f">{len(some) + 2}i", len(some) + 1, *begins, 0)
            baskets += basket(body + table, stop=len(body))
            seeks.append(len(baskets))
        branch = Stored(
            "x",
            np.dtype(">i4"),
            seeks[:-1],
            np.diff(seeks).tolist(),
            [0, 3, 5],
            None,
            10,
            nested=True,
        )
        columns = make(baskets, branch)
        found = []
        for start in range(0, 5, step):
            ((offsets, lists),) = columns.read(start, min(start + step, 5))
            inner = lists.to_awkward()["value"].tolist()
            found += [inner[a:b] for a, b in pairwise(offsets.tolist())]
        assert found == events
        offsets, lists = columns.read(2, 2)[0]
        assert (offsets.tolist(), len(lists), lists["value"].dtype) == ([0], 0, np.int32)
        damaged = baskets[:49] + b"\7" + baskets[50:]
        with pytest.raises(
            ValueError, match="basket 0 of x, entries 0 to 3: entry 0 has lists of lists"
        ):
            make(damaged, branch).read(0, 1)

    def test_dtypes(self):
        packed = np.dtype([("a", ">i4"), ("b", ">f8", (2,))])
        plain = Stored("x", packed, [], [], [0], None, leaf="b")
        assert (plain.native, plain.shape) == (np.dtype("f8"), (2,))
        assert Stored("x", packed, [], [], [0], None, leaf="a").native == np.dtype("i4")
        other = Stored("x", np.dtype(">u4"), [], [], [0], None, to=np.dtype("f8"))
        assert (other.native, other.shape) == (np.dtype("f8"), ())

    def lists(self, make, counts, values):
        """A branch of lists, and its counter."""
        first, second = (
            basket(np.asarray(content, ">i4").tobytes()) for content in (counts, values)
        )
        n = len(counts)
        counter = Stored("n", np.dtype(">i4"), [0], [len(first)], [0, n], None)
        branch = Stored("x", np.dtype(">i4"), [len(first)], [len(second)], [0, n], counter)
        return make(first + second, branch)

    def test_lists(self, make):
        columns = self.lists(make, [2, 0, 1, 3], [5, 6, 7, 8, 9, 10])
        for start, stop, offsets, values in [
            (0, 1, [0, 2], [5, 6]), (1, 3, [0, 0, 1], [7]), (3, 4, [0, 3], [8, 9, 10]),
        ]:  # fmt: skip
            ((found, content),) = columns.read(start, stop)
            np.testing.assert_array_equal(found, offsets)
            np.testing.assert_array_equal(content, values)

    @pytest.mark.parametrize("values", [[1, 2], [1, 2, 3, 4]])
    def test_counts_that_do_not_add_up(self, make, values):
        for ranges in ([(0, 2)], [(0, 1), (1, 2)]):
            columns = self.lists(make, [2, 1], values)
            with pytest.raises(ValueError, match=r"x has (not as many|\d) values"):
                [columns.read(start, stop) for start, stop in ranges]

    def test_a_negative_count(self, make):
        columns = self.lists(make, [2, -1, 1], [1, 2])
        with pytest.raises(ValueError, match="n counts -1 in one entry"):
            columns.read(0, 3)


class TestListBounds:
    """The table of a std::vector's basket: where each list begins, the key included."""

    BRANCH = Stored("x", np.dtype(">f8"), [0], [0], [0, 2], None, header=10)

    def bounds(self, table, values=44, key=50):
        body = bytes(values) + np.asarray(table, ">i4").tobytes()
        return list_bounds(self.BRANCH, 0, memoryview(body), values, key)

    def test_lists_of_one_and_two(self):
        starts, stops = self.bounds([3, 50, 68, 0])
        np.testing.assert_array_equal(starts, [10, 28])
        np.testing.assert_array_equal(stops, [18, 44])

    @pytest.mark.parametrize("table", [[3, 50, 68], [2, 50, 68, 0], [4, 50, 68, 0], []])
    def test_a_table_that_does_not_fit(self, table):
        with pytest.raises(
            ValueError, match="basket 0 of x, entries 0 to 2, has a table of offsets"
        ):
            self.bounds(table)

    @pytest.mark.parametrize(
        ("first", "second", "values"),
        [(50, 59, 44), (50, 69, 44), (39, 68, 44), (50, 95, 44), (50, 68, 45), (50, 85, 44)],
    )
    def test_offsets_that_cannot_be(self, first, second, values):
        with pytest.raises(ValueError, match="has offsets beyond its values"):
            self.bounds([3, first, second, 0], values)

    @pytest.mark.parametrize(("first", "second"), [(39, 68), (50, 59)])
    def test_one_byte_too_early(self, first, second):
        """Of one-byte numbers, any length is a number of them."""
        branch = Stored("x", np.dtype("i1"), [0], [0], [0, 2], None, header=10)
        body = bytes(44) + np.asarray([3, first, second, 0], ">i4").tobytes()
        with pytest.raises(ValueError, match="has offsets beyond its values"):
            list_bounds(branch, 0, memoryview(body), 44, 50)

    def test_empty_lists_at_both_ends(self):
        starts, stops = self.bounds([3, 50, 60, 0], 20)
        np.testing.assert_array_equal(stops - starts, [0, 0])
        np.testing.assert_array_equal(starts, [10, 20])


class TestErrorsOfOpening:
    """What goes wrong there is told once, and what is no error passes."""

    def test_an_interrupt(self, tmp_path, monkeypatch):
        path = write_events(tmp_path / "a.root", [{"x": np.arange(3)}])

        def interrupted(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr(reader.trees, "find_tree", interrupted)
        with pytest.raises(KeyboardInterrupt):
            Reader(str(path), None, None)

    def test_own_errors_are_not_wrapped(self, tmp_path):
        path = write_events(tmp_path / "a.root", [{"x": np.arange(3)}])
        with pytest.raises(ReadError, match=rf"^{path}: no tree 'Other': ") as error:
            list(iterate(f"{path}:Other"))
        assert "no readable tree" not in str(error.value)
