"""pages: the values of one page of an RNTuple column, whose bytes are decompressed."""

from __future__ import annotations

import numpy as np

from fastjag.core.arrays import Array
from fastjag.core.checks import one_of
from fastjag.kernels.gpu import CPU

# In the order of the compiled module: dtype of the values (None: that of the page), bits of each.
_ENCODINGS: dict[str, tuple[str | None, tuple[int, ...]]] = {
    "plain": (None, (8, 16, 32, 64)),
    "split": (None, (16, 32, 64)),
    "zigzag": (None, (16, 32, 64)),
    "index": ("int64", (32, 64)),
    "split_index": ("int64", (32, 64)),
    "bit": ("bool", (1,)),
    "half": ("float32", (16,)),
    "split_half": ("float32", (16,)),
    "truncated": ("float32", tuple(range(1, 33))),
    "quantised": ("float32", tuple(range(1, 33))),
}
_NUMBERS = {name: i for i, name in enumerate(_ENCODINGS)}


def page_bytes(n: int, bits: int) -> int:
    """Of a page of ``n`` numbers, decompressed."""
    return (n * bits + 7) // 8


def pages(
    data: Array | memoryview,
    encoding: str,
    bits: int,
    out: Array,
    *,
    low: float = 0.0,
    high: float = 0.0,
    base: int = 0,
    threads: int | None = None,
) -> None:
    """Undo the encoding of one page: its first ``len(out)`` numbers go to ``out``.

    Parameters
    ----------
    data
        The bytes, decompressed: little endian, at least ``page_bytes(len(out), bits)``.
    encoding
        "plain"; "split" (bytes apart); "zigzag" (split, signs in the lowest bit); "index" and
        "split_index" (ends of lists, and their differences split); "bit"; "half" and "split_half"
        (float16); "truncated" and "quantised" (float32 of fewer bits).
    bits
        Of a number in the page.
    out
        Of the dtype in the page for the first three, int64 for ends of lists, bool for "bit", float32
        for the others; float64 for "quantised", too.
    low, high
        The range of "quantised" numbers.
    base
        Added to ends of lists, which begin at 0 in each cluster.

    Raises ValueError for an unknown encoding, bits that it cannot have, and data that are too short,
    TypeError for an ``out`` of another dtype.
    """
    one_of("encoding", encoding, tuple(_ENCODINGS))
    dtype, widths = _ENCODINGS[encoding]
    if bits not in widths:
        raise ValueError(f"numbers of encoding {encoding!r} cannot have {bits} bits")
    wide = encoding == "quantised" and out.dtype == np.float64
    if (out.dtype != dtype and not wide) if dtype else 8 * out.itemsize != bits:
        raise TypeError(
            f"out must be of dtype {dtype or f'that has {bits} bits'} for encoding {encoding!r}, "
            f"got {out.dtype}"
        )
    content = np.frombuffer(data, np.uint8)
    if len(content) < page_bytes(len(out), bits):
        raise ValueError(
            f"a page of {len(out)} numbers of {bits} bits has {page_bytes(len(out), bits)} bytes, "
            f"got {len(content)}"
        )
    where = CPU.where(threads)
    CPU.kernels.pages(content, _NUMBERS[encoding], bits, low, high, base, out, where)
