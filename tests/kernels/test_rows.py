"""take_rows, take_lists, deal_rows and permutation against the reference, to the last bit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastjag import kernels
from fastjag.kernels import reference
from fastjag.kernels.gpu import CPU

# Around the pieces that rows are copied in, and the rows by which memory is asked for.
BYTES = st.sampled_from([1, 2, 3, 4, 5, 7, 8, 12, 16, 20, 31, 32, 63, 64, 65, 127, 128, 191, 300])
ROWS = st.sampled_from([0, 1, 2, 11, 12, 13, 14, 40])
SEED = st.integers(0, 2**32 - 1)


@given(seed=SEED, n=ROWS, n_records=st.integers(1, 30), sizes=st.lists(BYTES, max_size=4), gap=ROWS)
def test_take_rows(seed, n, n_records, sizes, gap):
    """Records may be asked for several times, and need not be taken whole."""
    rng = np.random.default_rng(seed)
    ends = np.cumsum([gap, *sizes])
    records = rng.integers(0, 256, (n_records, ends[-1] + gap), np.uint8)
    rows = rng.integers(0, n_records, n)
    guarded = [np.full((n + 2, size), 7, np.uint8) for size in sizes]
    kernels.take_rows(records, rows, ends[:-1].tolist(), [out[1 : n + 1] for out in guarded])
    for out, start, stop in zip(guarded, ends[:-1], ends[1:], strict=True):
        found = [row.tobytes() for row in out[1 : n + 1]]
        assert found == reference.take_rows(records, rows, start, stop)
        assert (out[[0, -1]] == 7).all()


@given(
    seed=SEED, n=ROWS, sizes=st.lists(st.integers(0, 40), max_size=5), first=st.integers(0, 3),
    types=st.lists(st.sampled_from(["u1", "i2", "f4", "f8"]), max_size=4),
)  # fmt: skip
def test_take_lists(seed, n, sizes, first, types):
    """Lists may be empty, asked for several times, and as long as the piece that they are in."""
    rng = np.random.default_rng(seed)
    bounds = first + np.cumsum([0, *sizes])
    pieces = rng.integers(0, len(sizes), n) if sizes else np.empty(0, int)
    low = [int(rng.integers(0, sizes[p] + 1)) for p in pieces]
    counts = [int(rng.integers(0, sizes[p] - at + 1)) for p, at in zip(pieces, low, strict=True)]
    starts = (bounds[:-1][pieces] + low).astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int64)
    columns = [[rng.integers(0, 256, size).astype(dtype) for size in sizes] for dtype in types]
    if not sizes:
        columns = []
    found = kernels.take_lists(bounds, starts, offsets, columns)
    assert len(found) == len(columns)
    for values, own in zip(found, columns, strict=True):
        assert values.dtype == own[0].dtype
        assert values.tolist() == reference.take_lists(starts - first, offsets, own)


def at(place, shape):
    """An array of sevens, that begins so many bytes behind a line of the cache."""
    memory = np.empty(int(np.prod(shape)) + 128, np.uint8)
    start = (place - memory.__array_interface__["data"][0]) % 64
    values = memory[start : start + int(np.prod(shape))].reshape(shape)
    values[...] = 7
    return values


@given(
    seed=SEED, n=ROWS, spare=ROWS, size=st.integers(1, 30), kinds=st.lists(BYTES, max_size=4),
    place=st.sampled_from([0, 0, 16, 1]),
)  # fmt: skip
def test_deal_rows(seed, n, spare, size, kinds, place):
    """Each row is at its place in the blocks, and nothing else is touched."""
    rng = np.random.default_rng(seed)
    places = rng.permutation(n + spare)[:n]
    n_blocks = -(-(n + spare) // size)
    tensors = [rng.integers(0, 256, (n, width), np.uint8) for width in kinds]
    blocks = [[at(place, (size, w)) for _ in range(n_blocks)] for w in kinds]
    kernels.deal_rows(tensors, places, blocks)
    for values, own in zip(tensors, blocks, strict=True):
        expected = np.full((n_blocks * size, values.shape[1]), 7, np.uint8)
        expected[places] = values
        np.testing.assert_array_equal(np.concatenate([*own, expected[:0]]), expected)


def test_threads_do_the_same():
    rng = np.random.default_rng(1)
    n = 250_000
    order = rng.permutation(n)
    values = rng.random((n, 3))
    blocks = [np.empty((70_000, 3)) for _ in range(4)]
    kernels.deal_rows([values], order, [blocks], threads=2)
    back = np.empty((n, 3))
    records = np.concatenate(blocks).view(np.uint8)
    kernels.take_rows(records, order, [0], [back], threads=2)
    np.testing.assert_array_equal(back, values)
    offsets = np.arange(0, 3 * n + 1, 3)
    lists = kernels.take_lists(
        np.array([0, 3 * n]), 3 * order, offsets, [[values.reshape(-1)]], threads=2
    )
    np.testing.assert_array_equal(lists[0].reshape(n, 3), values[order])


@given(seed=SEED, n=st.integers(0, 200))
def test_permutation(seed, n):
    words = np.random.default_rng(seed).integers(0, 2**64, n, np.uint64)
    words[: n // 3] = 2**64 - 1  # the largest word picks the last
    found = kernels.permutation(words)
    assert found.tolist() == reference.permutation(words)
    assert sorted(found.tolist()) == list(range(n))
    assert kernels.permutation(words, inverse=True)[found].tolist() == list(range(n))


def test_all_orders_are_as_likely():
    rng = np.random.default_rng(2)
    found = [
        tuple(kernels.permutation(rng.integers(0, 2**64, 4, np.uint64))) for _ in range(24_000)
    ]
    _, counts = np.unique(found, axis=0, return_counts=True)
    assert len(counts) == 24
    assert ((counts - 1000) ** 2 / 1000).sum() < 49.7  # chi2 of 23: p = 0.001


@pytest.mark.parametrize("row", [-1, 3, 2**40])
def test_rows_that_there_are_not(row):
    rows, values = np.array([0, row]), np.zeros((2, 4), np.uint8)
    with pytest.raises(IndexError, match=f"row {row} is none of 3"):
        kernels.take_rows(np.zeros((3, 4), np.uint8), rows, [0], [values])
    with pytest.raises(IndexError, match=f"row {row} is none of 3"):
        kernels.deal_rows([values], rows, [[np.zeros((3, 4), np.uint8)]])


@pytest.mark.parametrize(
    ("start", "size"), [(-1, 1), (0, 4), (2, 2), (5, 1), (4, 2), (2**40, 1), (0, 2**40)]
)
def test_lists_that_are_in_no_piece(start, size):
    pieces = [np.zeros(3, np.uint8), np.zeros(2, np.uint8)]
    bounds, starts = np.array([0, 3, 5]), np.array([0, start])
    outs = [np.zeros(2, np.uint8)]
    with pytest.raises(IndexError, match="list 1 is in no piece"):
        CPU.kernels.take_lists(bounds, starts, np.array([0, 1, 1 + size]), [pieces], outs, 1)
    with pytest.raises(IndexError, match="list 1 is in no piece"):  # they go back
        CPU.kernels.take_lists(bounds, starts, np.array([0, 2, 0]), [pieces], outs, 1)


def test_pieces_of_another_size():
    bounds, one = np.array([0, 3]), np.array([0])
    offsets = np.array([0, 2])
    for column, error, text in (
        ([np.zeros(2)], ValueError, "number of values"),
        ([np.zeros((3, 1))], ValueError, "number of values"),
        ([np.zeros(3), np.zeros(0)], ValueError, "a piece is missing"),
        ([np.zeros(6)[::2]], TypeError, "contiguous"),
    ):
        with pytest.raises(error, match=text):
            kernels.take_lists(bounds, one, offsets, [column])
    with pytest.raises(TypeError, match="another dtype"):
        kernels.take_lists(
            np.array([0, 3, 6]), one, offsets, [[np.zeros(3), np.zeros(3, np.float32)]]
        )
    for starts, ends in ((np.array([0, 1]), offsets), (one, np.array([1, 2]))):
        with pytest.raises(ValueError, match="as many starts as lists, from 0"):
            kernels.take_lists(bounds, starts, ends, [[np.zeros(3)]])
    with pytest.raises(ValueError, match="out has another number"):
        CPU.kernels.take_lists(bounds, one, offsets, [[np.zeros(3)]], [np.zeros(3)], 1)


def test_rows_of_another_size():
    values, places = np.zeros((2, 4), np.uint8), np.arange(2)
    with pytest.raises(ValueError, match="rows of another size"):
        kernels.deal_rows([values], places, [[np.zeros((3, 5), np.uint8)]])
    with pytest.raises(ValueError, match="number of rows"):
        kernels.deal_rows([values[:1]], places, [[np.zeros((3, 4), np.uint8)]])
    with pytest.raises(ValueError, match="not in the record"):
        kernels.take_rows(np.zeros((3, 4), np.uint8), places, [1], [values])
    with pytest.raises(TypeError, match="contiguous"):
        kernels.deal_rows([np.zeros((2, 8))[:, ::2]], places, [[np.zeros((3, 4))]])
