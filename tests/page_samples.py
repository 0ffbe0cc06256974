"""Pages of RNTuple columns, written as ROOT writes them: what ``kernels.pages`` undoes."""

import itertools

import cramjam
import numpy as np
import xxhash

from fastjag.io.pages import Column, Page, Piece

# Encoding: dtypes of values, and the bits of a number in the page where they are not those of the dtype.
ENCODINGS = {
    "plain": ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"],
    "split": ["u2", "u4", "u8", "f4", "f8"],
    "zigzag": ["i2", "i4", "i8"],
    "index": [("i8", 32), ("i8", 64)],
    "split_index": [("i8", 32), ("i8", 64)],
    "bit": [("?", 1)],
    "half": [("f4", 16)],
    "split_half": [("f4", 16)],
    "truncated": [("f4", bits) for bits in (10, 12, 17, 24, 31, 32)],
    "quantised": [
        ("f4", 1),
        ("f4", 7),
        ("f4", 8),
        ("f4", 12),
        ("f4", 31),
        ("f8", 2),
        ("f8", 20),
        ("f8", 32),
    ],
}
#: (encoding, dtype of the values, bits of each in the page)
KINDS = [
    (name, np.dtype(given if isinstance(given, str) else given[0]),
     8 * np.dtype(given).itemsize if isinstance(given, str) else given[1])
    for name, kinds in ENCODINGS.items()
    for given in kinds
]  # fmt: skip


def encode(values, encoding, bits, low=0.0, high=0.0):
    """The bytes of a page with these values, as exactly as it can hold them."""
    values = np.asarray(values)
    if encoding == "bit":
        return np.packbits(values, bitorder="little").tobytes()
    if encoding == "truncated":
        return _packed(values.view("u4") >> np.uint32(32 - bits), bits)
    if encoding == "quantised":
        steps = (values.astype("f8") - low) / (high - low) * (2**bits - 1)
        return _packed(np.rint(steps).astype("u8"), bits)
    if "half" in encoding:
        values = values.astype("f2")
    if "index" in encoding:
        values = values.astype(f"i{bits // 8}")
    if encoding == "split_index":
        values = np.diff(values, prepend=values.dtype.type(0))
    if encoding == "zigzag":
        values = (values << 1) ^ (values >> (bits - 1))
    data = values.view("u1").reshape(len(values), bits // 8)
    return (data.T if encoding.startswith(("split", "zigzag")) else data).tobytes()


def _packed(numbers, bits):
    """Of as many bits each, the lowest first."""
    each = numbers.astype("<u8")[:, None] >> np.arange(bits, dtype="u8") & np.uint64(1)
    return np.packbits(each.astype("u1"), bitorder="little").tobytes()


class MemoryBytes:
    """A file in memory, and which bytes were read of it."""

    path = "memory"

    def __init__(self):
        self.content, self.seeks, self.expected = bytearray(b"\xff" * 7), [], []

    def add(self, data):
        """Where the data begin."""
        self.content += data
        return len(self.content) - len(data)

    def read(self, seek, into):
        self.seeks.append(seek)
        found = self.content[seek : seek + len(into)]
        if len(found) < len(into):
            raise EOFError
        into[:] = found

    def expect(self, pieces):
        self.expected = list(pieces)

    def close(self):
        pass


def page_of(file, data, n, checked, compressed):
    """A page in the file as ROOT writes it; only what becomes shorter is compressed."""
    if compressed:
        content = bytes(cramjam.zstd.compress(data, 1))
        sizes = len(content).to_bytes(3, "little") + len(data).to_bytes(3, "little")
        packed = b"ZS\x01" + sizes + content
        data = packed if len(packed) < len(data) else data
    sum_ = xxhash.xxh3_64_intdigest(data).to_bytes(8, "little") if checked else b""
    return Page(n, file.add(data + sum_), len(data), checked)


def column_of(file, values, cuts, coding, draw, bases=None, missing=0, name="x"):
    """A column with these values, of which ``cuts`` are the first ones of clusters, in pages.

    ``draw`` gives numbers below its argument: lengths of pages, and whether they are compressed. The first
    ``missing`` values have no pages.
    """
    pieces = []
    for cluster, (first, stop) in enumerate(itertools.pairwise(cuts)):
        before = min(stop, max(first, missing))
        if before > first:
            pieces.append(Piece(first, before - first, cluster, coding, None))
        while before < stop:
            n = min(stop - before, 1 + draw(40))
            own = values[before : before + n] - (0 if bases is None else bases[cluster])
            data = encode(own, coding.encoding, coding.bits, coding.low, coding.high)
            page = page_of(file, data, n, draw(4) > 0, draw(2) > 0)
            pieces.append(Piece(before, n, cluster, coding, page))
            before += n
    return Column(name, np.dtype(coding.dtype), pieces, list(cuts), bases)
