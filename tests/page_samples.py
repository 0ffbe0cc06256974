"""Pages of RNTuple columns, written as ROOT writes them: what ``kernels.pages`` undoes."""

import numpy as np

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
    "quantised": [("f4", bits) for bits in (1, 2, 7, 8, 12, 20, 31, 32)],
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
