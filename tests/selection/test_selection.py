"""Golden JSON: the mask equals looking every event up by hand; malformed files are named."""

import gzip
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastjag.io.files import ReadError
from fastjag.selection import LumiMask, as_flags

SECTIONS = st.lists(
    st.tuples(st.integers(0, 20), st.integers(0, 5)).map(lambda x: [x[0], x[0] + x[1]]), max_size=4
)


@given(
    st.dictionaries(st.integers(1, 5).map(str), SECTIONS),
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 27)), max_size=40),
)
def test_same_as_by_hand(golden, events):
    run, block = (np.array([e[i] for e in events], np.uint32) for i in (0, 1))
    expected = [
        any(first <= b <= last for first, last in golden.get(str(r), [])) for r, b in events
    ]
    assert LumiMask(golden)(run, block).tolist() == expected


def test_file(tmp_path):
    path = tmp_path / "golden.json"
    path.write_text(json.dumps({"283408": [[4, 2088], [2090, 2100]], "281613": [[1, 1]]}))
    good = LumiMask(path)
    assert good.runs == (281613, 283408)
    found = good(np.array([283408] * 4 + [281613]), np.array([3, 4, 2089, 2100, 1]))
    assert found.tolist() == [False, True, False, True, True]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1, 2]", "golden.json: must hold runs"),
        ("{", "golden.json: is not JSON"),
        ('{"a": []}', "golden.json: run 'a' is not a number"),
        ('{"1": [[5, 4]]}', r"golden.json: run 1 must have a list of \[first, last\]"),
        ('{"1": [5, 4]}', "run 1 must have a list"),
        ('{"1": [[5]]}', "run 1 must have a list"),
        ('{"1": 7}', "run 1 must have a list .* got 7"),
    ],
)
def test_malformed_files(tmp_path, content, message):
    path = tmp_path / "golden.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        LumiMask(path)


def test_wrong_columns():
    good = LumiMask({"1": [[1, 2]]})
    with pytest.raises(TypeError, match="run must be integers, got dtype float64"):
        good([1.0], [1])
    with pytest.raises(ValueError, match="luminosity_block has 2 entries, but there are 1 runs"):
        good([1], [1, 2])


RUNS = st.lists(st.tuples(st.integers(1, 3).map(str), SECTIONS), max_size=6)


@given(RUNS, st.integers(1, 3), st.integers(0, 27), st.integers(0, 5))
def test_runs_that_are_there_twice(tmp_path_factory, runs, run, first, more):
    """All lists of a run count, in text and compressed; sections are counted as looked up."""
    path = tmp_path_factory.mktemp("golden") / "golden.json"
    text = "{" + ", ".join(f'"{r}": {json.dumps(s)}' for r, s in runs) + "}"
    path.write_bytes(gzip.compress(text.encode()) if more % 2 else text.encode())
    good = LumiMask(path)
    blocks = np.arange(first, first + more + 1)
    expected = [
        any(low <= b <= high for r, s in runs if r == str(run) for low, high in s) for b in blocks
    ]
    assert good(np.full(len(blocks), run), blocks).tolist() == expected
    assert good.count(run, first, first + more) == sum(expected)
    assert good.runs == tuple(sorted({int(r) for r, _ in runs}))


def test_huge_ranges():
    good = LumiMask({2**31 - 1: [[1, 2**32 - 1]], "5": [[7, 2**32 - 1]], 6: [[0, 3]]})
    assert good.count(2**31 - 1, 1, 2**32 - 1) == 2**32 - 1
    assert good.count(5, 0, 2**32 - 1) == 2**32 - 7
    assert good.count(6, 0, 2**32 - 1) == 4
    assert good.count(4, 0, 2**32 - 1) == 0
    run = np.array([2**31 - 1, 2**32 - 1, 5, 5, 4, 6, -1], np.int64)
    block = np.array([2**32 - 1, 1, 2**32, 2**32 - 1, 2**32 + 8, 4, 2**32 + 1], np.int64)
    assert good(run, block).tolist() == [True, False, False, True, False, False, False]
    for first, last in ((5, 4), (-1, 4), (0, 2**32)):
        with pytest.raises(ValueError, match=f"sections {first}-{last} are no range"):
            good.count(5, first, last)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"1": [[true, 5]]}', "run 1 must have a list"),
        (b'{"1": [[1, 5.0]]}', "run 1 must have a list"),
        (b'{"1": [[-1, 5]]}', "run 1 must have a list"),
        (b'{"1": [[1, 4294967296]]}', "run 1 must have a list"),
        (b'{"1": {}}', "run 1 must have a list"),
        (b'{"1": [{}]}', "run 1 must have a list"),
        (b'{"2147483648": []}', "run '2147483648' is not a number"),
        (b'{"1": [], "1": 5}', "run 1 must have a list"),
        (b"[" * 200_000, "is not JSON"),
        (b'{"1": \xff}', "is not JSON: 'utf-8' codec"),
        (b"\x1f\x8b\x08\x00not gzip", "is not JSON: gzip cannot decompress it"),
        (gzip.compress(b'{"1": [[1, 5]]}', mtime=0)[:-9], "is not JSON: gzip cannot decompress it"),
    ],
)
def test_more_malformed_files(tmp_path, content, message):
    path = tmp_path / "golden.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"golden.json: {message}"):
        LumiMask(path)


def test_compressed_bombs(tmp_path, monkeypatch):
    monkeypatch.setattr("fastjag.selection.lumi._LARGEST", 2**20)
    path = tmp_path / "golden.json.gz"
    path.write_bytes(gzip.compress(b'{"1": [[1, 5]]}' + b" " * 2**20))
    with pytest.raises(ValueError, match=r"golden.json.gz: is not JSON: it is larger than 1 MiB"):
        LumiMask(path)


class TestFlags:
    @pytest.mark.parametrize("dtype", [bool, np.int8, np.uint8, np.int32, np.uint64])
    def test_bits(self, dtype):
        found = as_flags(np.array([0, 1, 1, 0], dtype), "a", "x.root")
        assert found.dtype == np.bool_
        assert found.tolist() == [False, True, True, False]
        assert as_flags(np.zeros(0, dtype), "a", "x.root").tolist() == []

    @pytest.mark.parametrize(
        ("values", "message"),
        [(np.array([0.0, 1.0]), "float64"), (np.array([0, 2], np.uint8), "uint8 up to 2"),
         (np.array([0, -1]), "int64 from -1 to 0"), (np.zeros(0, np.float32), "float32")],
    )  # fmt: skip
    def test_numbers(self, values, message):
        with pytest.raises(ReadError, match=f"x.root: Muon_pt is no bit: {message}"):
            as_flags(values, "Muon_pt", "x.root")
