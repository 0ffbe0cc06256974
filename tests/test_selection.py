"""Golden JSON: the mask equals looking every event up by hand; malformed files are named."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastjag.selection import LumiMask

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
