"""page_rows, many pages at once on a GPU, against the kernel of the CPU that takes one; adler32 against zlib."""

import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from page_samples import KINDS
from strategies import assert_same

from fastjag import kernels
from fastjag.core.devices import to_gpu, to_host, zeros

ON_GPU = [kind for kind in KINDS if "index" not in kind[0]]
SWAPPED = [
    ("swapped", np.dtype(d), 8 * np.dtype(d).itemsize) for d in ("u1", "i2", "f4", "f8", "i8")
]
KIND = pytest.mark.parametrize(
    ("encoding", "dtype", "bits"), [*ON_GPU, *SWAPPED],
    ids=[f"{e}-{d}-{b}" for e, d, b in [*ON_GPU, *SWAPPED]],
)  # fmt: skip


@pytest.fixture(autouse=True)
def _on_gpu(emulation):
    """The emulated device, for every test."""


def one_page(content, encoding, bits, n, dtype, **options):
    if encoding == "swapped":
        return np.frombuffer(content, dtype.newbyteorder(">"), n).astype(dtype)
    out = np.zeros(n, dtype)
    kernels.pages(content, encoding, bits, out, **options)
    return out


@KIND
@settings(max_examples=8)
@given(data=st.data())
def test_any_pages(encoding, dtype, bits, data):
    """Parts of pages of any length and content, put anywhere; what is between stays."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    sizes = data.draw(st.lists(st.sampled_from([0, 1, 7, 8, 33, 4096, 4097, 9000]), max_size=4))
    options = {"low": -1.5, "high": 3.0} if encoding == "quantised" else {}
    content, rows, at, place = b"", [], 0, 0
    expected = np.zeros(sum(sizes) + len(sizes) + 1, dtype)
    for n in sizes:
        page = rng.bytes(kernels.page_bytes(n, bits))
        at = -(-len(content) // 8) * 8
        content = content.ljust(at, b"\xff") + page
        first = data.draw(st.integers(0, n))
        count = data.draw(st.integers(0, n - first))
        rows.append([at, n, first, count, place])
        values = one_page(page, encoding, bits, n, dtype, **options)
        expected[place : place + count] = values[first : first + count]
        place += count + 1
    out = zeros(len(expected), dtype)
    buffer = to_gpu(np.frombuffer(content.ljust(1, b"\0"), np.uint8))
    kernels.page_rows(buffer, np.array(rows, np.int64), encoding, bits, out, **options)
    assert_same(to_host(out), expected)


@pytest.mark.parametrize(
    ("row", "what"),
    [([4, 2, 0, 2, 0], "multiple of 8"), ([0, 5, 0, 2, 0], "beyond"), ([0, 2, 1, 2, 0], "beyond"),
     ([0, 2, 0, 2, 2], "beyond"), ([0, 2, -1, 2, 0], "negative")],
)  # fmt: skip
def test_rows_that_reach_beyond(row, what):
    data, out = zeros(16, np.uint8), zeros(3, np.float32)
    with pytest.raises(ValueError, match=what):
        kernels.page_rows(data, np.array([row]), "plain", 32, out)
    with pytest.raises(ValueError, match="encoding must be"):
        kernels.page_rows(data, np.array([[0, 2, 0, 2, 0]]), "index", 32, out)


@settings(max_examples=20)
@given(st.lists(st.binary(max_size=300), max_size=5), st.integers(0, 2))
def test_adler32(parts, worst):
    parts = [*parts, b"\xff" * 70_000 * worst]
    ends = np.cumsum([len(part) for part in parts])
    runs = np.stack([ends - [len(part) for part in parts], [len(part) for part in parts]], axis=1)
    buffer = to_gpu(np.frombuffer(b"".join(parts).ljust(1, b"x"), np.uint8))
    assert to_host(kernels.adler32(buffer, runs)).tolist() == [zlib.adler32(part) for part in parts]


def test_adler32_of_more_runs_than_blocks():
    data = np.random.default_rng(1).integers(0, 256, 40 * 600).astype("u1")
    runs = np.stack([np.arange(40) * 600, np.arange(40) * 15], axis=1)
    expected = [zlib.adler32(data[begin : begin + n].tobytes()) for begin, n in runs]
    assert to_host(kernels.adler32(to_gpu(data), runs)).tolist() == expected


def test_adler32_of_the_longest_block():
    part = b"\xff" * (2**24 - 1)
    found = kernels.adler32(to_gpu(np.frombuffer(part, np.uint8)), np.array([[0, len(part)]]))
    assert to_host(found).tolist() == [zlib.adler32(part)]
