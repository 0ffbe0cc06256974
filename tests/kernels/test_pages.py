"""pages against the reference, to the last bit, and against values that were encoded."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from page_samples import KINDS, encode
from strategies import assert_same, column

from fastjag import kernels
from fastjag.kernels import reference

KIND = pytest.mark.parametrize(
    ("encoding", "dtype", "bits"), KINDS, ids=[f"{e}-{d}-{b}" for e, d, b in KINDS]
)
# Around the blocks of 16 and 32 numbers that vector code takes at a time.
SIZES = st.sampled_from([0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 34, 63, 64, 65, 100])


def undone(data, encoding, bits, room, dtype, **options):
    """By the kernel, into the middle of a larger array."""
    guarded = np.zeros(room + 2, dtype)
    kernels.pages(np.frombuffer(data, np.uint8), encoding, bits, guarded[1 : room + 1], **options)
    assert not guarded[[0, -1]].any()
    return guarded[1 : room + 1]


@KIND
class TestAgainstReference:
    @settings(max_examples=30)
    @given(data=st.data())
    def test_any_bytes(self, encoding, dtype, bits, data):
        """Every sequence of bytes means something; more than the page needs do not matter."""
        n, more = data.draw(SIZES), data.draw(st.integers(0, 9))
        rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
        content = rng.bytes(kernels.page_bytes(n, bits) + more)
        options = {}
        if encoding == "quantised":
            options = {"low": data.draw(st.floats(-9, 9)), "high": data.draw(st.floats(10, 1e6))}
        elif "index" in encoding:
            options = {"base": data.draw(st.integers(0, 2**40))}
        if bits == 64 and "index" in encoding:  # sums beyond 64 bits have no meaning
            content = b"".join(
                plane if k < 6 or k == 8 else bytes(len(plane))
                for k, plane in enumerate(_planes(content, n, encoding))
            )
        found = undone(content, encoding, bits, n, dtype, **options)
        assert_same(found, reference.pages(content, encoding, bits, n, dtype, **options))

    def test_what_was_encoded(self, encoding, dtype, bits):
        rng = np.random.default_rng(bits)
        for n in (0, 1, 31, 33, 1000):
            values = column(rng, dtype.str[1:] if dtype != bool else "u1", n)
            low, high = (-3.25, 5.5) if encoding == "quantised" else (0.0, 0.0)
            if "index" in encoding:
                values = np.cumsum(rng.choice([0, 1, 2, 255, 256, 70_000], n))
            elif encoding == "bit":
                values = rng.random(n) < 0.5
            elif "half" in encoding:
                values = values.astype("f2").astype("f4")
            elif encoding == "truncated":
                values = (values.view("u4") >> (32 - bits) << (32 - bits)).view("f4")
            elif encoding == "quantised":
                steps = rng.integers(0, 2**bits, n).astype("f8")
                values = (steps * ((high - low) / (2**bits - 1)) + low).astype(dtype)
                if bits > 24 and dtype == "f4":  # several steps are the same float32
                    values = values[:0]
            content = encode(values, encoding, bits, low, high)
            found = undone(content, encoding, bits, len(values), dtype, low=low, high=high)
            assert_same(found, np.asarray(values, dtype))

    @settings(max_examples=30)
    @given(data=st.data())
    def test_a_part_is_what_the_whole_has_there(self, encoding, dtype, bits, data):
        n = data.draw(SIZES)
        first = 0 if encoding == "split_index" else data.draw(st.integers(0, n))
        last = n if encoding == "split_index" else data.draw(st.integers(first, n))
        threads = data.draw(st.sampled_from([1, 3]))
        content = np.random.default_rng(n).bytes(kernels.page_bytes(n, bits))
        options = {"low": -1.0, "high": 2.0, "base": 7, "threads": threads}
        whole = undone(content, encoding, bits, n, dtype, **options)
        part = undone(content, encoding, bits, last - first, dtype, n=n, first=first, **options)
        assert_same(part, whole[first:last])

    def test_same_on_any_number_of_threads(self, encoding, dtype, bits):
        n = 400_003
        content = np.random.default_rng(1).bytes(kernels.page_bytes(n, bits))
        results = [np.empty(n, dtype) for _ in range(3)]
        for threads, out in zip((1, 2, 3), results, strict=True):
            kernels.pages(content, encoding, bits, out, threads=threads, low=-1.0, high=2.0)
        for out in results[1:]:
            np.testing.assert_array_equal(out.view("u1"), results[0].view("u1"))


def _planes(content, n, encoding):
    """The bytes of all numbers in pieces, of which the seventh and eighth are the highest."""
    if encoding.startswith("split"):
        cuts = [content[k * n : (k + 1) * n] for k in range(8)]
        return [*cuts, content[8 * n :]]
    numbers = np.frombuffer(content[: 8 * n], np.uint64) & np.uint64(2**48 - 1)
    return [numbers.tobytes(), *[b""] * 7, content[8 * n :]]


class TestIndices:
    @pytest.mark.parametrize("bits", [32, 64])
    @pytest.mark.parametrize("n", [1, 2, 33, 5000])
    def test_long_first_list(self, n, bits):
        """A page in the middle of a cluster begins with a large number, short lists follow."""
        ends = 70_000 + np.cumsum(np.random.default_rng(n).integers(0, 9, n))
        content = encode(ends, "split_index", bits)
        found = undone(content, "split_index", bits, n, np.dtype("i8"), base=10**11)
        assert_same(found, ends + 10**11)

    @pytest.mark.parametrize("place", [1, 2, 31, 32, 33, 34, 99])
    @pytest.mark.parametrize("bits", [32, 64])
    def test_one_long_list(self, place, bits):
        lengths = np.ones(100, np.int64)
        lengths[place] = 256
        content = encode(np.cumsum(lengths), "split_index", bits)
        found = undone(content, "split_index", bits, 100, np.dtype("i8"))
        assert_same(found, np.cumsum(lengths))


def test_special_halves():
    halves = np.arange(2**16, dtype=np.uint16)
    expected = halves.view("f2").astype("f4").view("u4")
    for encoding in ("half", "split_half"):
        content = encode(halves.view("f2"), encoding, 16)
        found = undone(content, encoding, 16, len(halves), np.dtype("f4"))
        np.testing.assert_array_equal(found.view("u4"), expected)


class TestArguments:
    @pytest.mark.parametrize(("n", "first", "room"), [(8, 5, 4), (8, -1, 4), (3, 0, 4), (8, 9, 0)])
    def test_numbers_that_the_page_does_not_have(self, n, first, room):
        with pytest.raises(ValueError, match=f"of a page of {n} numbers, {room} from {first} on"):
            kernels.pages(bytes(64), "split", 32, np.empty(room, "f4"), n=n, first=first)

    @pytest.mark.parametrize(("first", "room"), [(0, 3), (1, 3)])
    def test_a_part_of_differences(self, first, room):
        with pytest.raises(ValueError, match="cannot be undone"):
            kernels.pages(bytes(64), "split_index", 64, np.empty(room, "i8"), n=4, first=first)

    def test_a_page_that_is_too_short_for_its_numbers(self):
        with pytest.raises(ValueError, match="a page of 5 numbers of 32 bits has 20 bytes, got 16"):
            kernels.pages(bytes(16), "split", 32, np.empty(1, "f4"), n=5, first=0)

    def test_unknown_encoding(self):
        with pytest.raises(ValueError, match=r"encoding must be 'plain' or .*, got 'huffman'"):
            kernels.pages(b"", "huffman", 8, np.empty(0, "u1"))

    @pytest.mark.parametrize(("encoding", "bits"), [("plain", 12), ("split", 8), ("bit", 8),
                                                    ("truncated", 33), ("quantised", 0)])  # fmt: skip
    def test_bits(self, encoding, bits):
        with pytest.raises(ValueError, match=f"encoding '{encoding}' cannot have {bits} bits"):
            kernels.pages(bytes(64), encoding, bits, np.empty(1, "f4"))

    def test_dtype(self):
        with pytest.raises(TypeError, match=r"out must be of dtype int64 .*, got int32"):
            kernels.pages(bytes(64), "index", 32, np.empty(1, "i4"))
        with pytest.raises(TypeError, match=r"that has 16 bits for encoding 'split', got float32"):
            kernels.pages(bytes(64), "split", 16, np.empty(1, "f4"))

    def test_too_short(self):
        with pytest.raises(ValueError, match="a page of 9 numbers of 12 bits has 14 bytes, got 13"):
            kernels.pages(bytes(13), "truncated", 12, np.empty(9, "f4"))
