"""nested_lists against what was written: lists of lists as ROOT stores them."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastjag import kernels
from fastjag.kernels.nested import HEADER

DTYPES = st.sampled_from(["?", "i1", "u1", "i2", "u2", "i4", "u4", "f4", "i8", "u8", "f8"])
EVENTS = st.lists(st.lists(st.integers(0, 5), max_size=4), max_size=6)  # lengths of lists
SEED = st.integers(0, 2**32 - 1)


def written(events, dtype, gap=0):
    """(content of a basket, begins and ends of the lists of entries)."""
    data, starts, stops = bytearray(gap), [], []
    for lists in events:
        body = struct.pack(">I", len(lists)) + b"".join(
            struct.pack(">I", len(values)) + values.astype(np.dtype(dtype).newbyteorder(">")).tobytes()
            for values in lists
        )  # fmt: skip
        data += struct.pack(">IH", 0x40000000 | (len(body) + 2), 9) + body
        starts.append(len(data) - len(body) + 4)
        stops.append(len(data))
    return np.frombuffer(bytes(data), np.uint8), np.array(starts, int), np.array(stops, int)


def filled(lengths, dtype, seed):
    rng = np.random.default_rng(seed)
    size = np.dtype(dtype).itemsize

    def values(n):
        random = rng.integers(0, 256, n * size, np.uint8)
        return random.astype(bool) if dtype == "?" else random.view(dtype)

    return [[values(n) for n in event] for event in lengths]


@given(lengths=EVENTS, dtype=DTYPES, seed=SEED, gap=st.integers(0, 3))
def test_what_was_written(lengths, dtype, seed, gap):
    events = filled(lengths, dtype, seed)
    data, starts, stops = written(events, dtype, gap)
    counts, found, values = kernels.nested_lists(data, starts, stops, np.dtype(dtype))
    assert counts.tolist() == [len(event) for event in events]
    assert found.tolist() == [n for event in lengths for n in event]
    expected = np.concatenate([np.empty(0, dtype), *(v for event in events for v in event)])
    assert values.dtype == np.dtype(dtype)
    assert values.tobytes() == expected.tobytes()


@given(lengths=EVENTS.filter(any), dtype=DTYPES, seed=SEED, change=st.data())
def test_changed_lengths_are_errors_or_lists_of_the_same_bytes(lengths, dtype, seed, change):
    """A changed header is always seen; other lengths have to add up to the bytes of their entry."""
    data, starts, stops = written(filled(lengths, dtype, seed), dtype)
    damaged = data.copy()
    at = change.draw(st.integers(0, len(data) - 1))
    damaged[at] ^= change.draw(st.integers(1, 255))
    try:
        counts, found, values = kernels.nested_lists(damaged, starts, stops, np.dtype(dtype))
    except ValueError as error:
        entry = int(np.searchsorted(stops, at, side="right"))
        assert str(error).startswith(f"entry {entry} has lists of lists that do not fit")  # noqa: PT017
        return
    entry = int(np.searchsorted(stops, at, side="right"))
    assert not starts[entry] - HEADER <= at < starts[entry] - HEADER + 4
    owners = np.repeat(np.arange(len(counts)), counts)
    sizes = 4 * counts + np.bincount(owners, found, len(counts)) * np.dtype(dtype).itemsize
    assert (sizes == stops - starts).all()
    assert len(values) == found.sum()


@pytest.mark.parametrize(
    ("starts", "stops"),
    [([9], [13]), ([-3], [14]), ([HEADER], [15]), ([HEADER], [9]), ([HEADER], [2**40])],
)
def test_bounds_that_are_none(starts, stops):
    """Nothing is read outside of the data."""
    data, *_ = written([[np.zeros(0, "f4")]], "f4")
    assert len(data) == 14
    with pytest.raises(ValueError, match="entry 0 has"):
        kernels.nested_lists(data, np.array(starts), np.array(stops), np.dtype("f4"))


def test_members_apart_are_refused():
    """ROOT has another way to write lists of objects, which a bit of the version says."""
    data, starts, stops = written([[np.zeros(1, "f4")]], "f4")
    changed = data.copy()
    changed[4] |= 0x40
    with pytest.raises(ValueError, match="entry 0 has"):
        kernels.nested_lists(changed, starts, stops, np.dtype("f4"))
    assert kernels.nested_lists(data, starts, stops, np.dtype("f4"))[0].tolist() == [1]
