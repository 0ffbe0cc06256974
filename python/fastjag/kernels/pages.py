"""pages: the values of pages of an RNTuple column, or of baskets, whose bytes are decompressed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fastjag.core.arrays import Array
from fastjag.core.checks import one_of
from fastjag.core.devices import to_gpu
from fastjag.kernels.gpu import CPU, device_of

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
#: Those that a GPU undoes: it leaves ends of lists to the CPU, and knows numbers in big endian.
_ON_GPU = {
    **{name: of for name, of in _ENCODINGS.items() if "index" not in name},
    "swapped": (None, (8, 16, 32, 64)),
}
_SWAPPED = len(_ENCODINGS)

_ROW = 4096  # numbers that a block of threads undoes at a time


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
    n: int | None = None,
    first: int = 0,
    threads: int | None = None,
) -> None:
    """Undo the encoding of one page, or of a part of it: ``len(out)`` numbers go to ``out``.

    Parameters
    ----------
    data
        The bytes, decompressed: little endian, at least ``page_bytes(n, bits)``.
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
    n, first
        How many numbers the page has, by default those that ``out`` has room for, and which one goes to
        the begin of ``out``. Differences ("split_index") are undone as a whole.

    Raises ValueError for an unknown encoding, bits that it cannot have, data that are too short, and numbers
    that the page does not have, TypeError for an ``out`` of another dtype.
    """
    _check(_ENCODINGS, encoding, bits, out)
    content, n = np.frombuffer(data, np.uint8), len(out) if n is None else n
    if len(content) < page_bytes(n, bits):
        raise ValueError(
            f"a page of {n} numbers of {bits} bits has {page_bytes(n, bits)} bytes, got {len(content)}"
        )
    if not 0 <= first <= n - len(out) or (encoding == "split_index" and len(out) < n):
        raise ValueError(f"of a page of {n} numbers, {len(out)} from {first} on cannot be undone")
    where = CPU.where(threads)
    CPU.kernels.pages(content, _NUMBERS[encoding], bits, low, high, base, n, first, out, where)


def page_rows(
    data: Array,
    rows: Array,
    encoding: str,
    bits: int,
    out: Array,
    *,
    low: float = 0.0,
    high: float = 0.0,
) -> None:
    """Undo the encoding of parts of many pages on a GPU; the results go to places in ``out``.

    ``data`` are the decompressed bytes of all pages on the GPU, uint8. ``rows`` are int64 (n, 5) on the
    host: the first byte of a page (a multiple of 8), how many numbers the page has, which one is wanted
    first, how many are, and the place of the first in ``out``. Other arguments are those of :func:`pages`;
    encodings are those without ends of lists, and "swapped" (big endian). Raises ValueError for rows that
    reach beyond data, page or ``out``.
    """
    _check(_ON_GPU, encoding, bits, out)
    offset, n, first, count, to = np.asarray(rows, np.int64).reshape(-1, 5).T
    ends = offset + (n * bits + 7) // 8
    if (np.minimum.reduce([offset, n, first, count, to]) < 0).any() or (offset % 8).any():
        raise ValueError("rows have negative numbers, or pages that begin at no multiple of 8")
    if (ends > len(data)).any() or (first + count > n).any() or (to + count > out.size).any():
        raise ValueError("rows reach beyond the data, their pages or the results")
    parts = -(-count // _ROW)
    each = np.repeat(np.arange(len(count)), parts)
    done = (np.arange(len(each)) - np.repeat(np.cumsum(parts) - parts, parts)) * _ROW
    table = np.stack([offset[each], n[each], first[each] + done,
                      np.minimum(_ROW, count[each] - done), to[each] + done], axis=1)  # fmt: skip
    device = device_of(data=data, out=out)
    number = _SWAPPED if encoding == "swapped" else _NUMBERS[encoding]
    device.kernels.page_rows(
        data,
        to_gpu(table).reshape(-1),
        number,
        bits,
        low,
        high,
        out.reshape(-1),
        device.where(None),
    )


def adler32(data: Array, runs: Array) -> Array:
    """The checksums of zlib (RFC 1950) of runs of bytes on a GPU, uint32 (n,) there.

    ``runs`` are int64 (n, 2) on the host: first byte and length, below 2^24.
    """
    device = device_of(data=data)
    out = device.empty(len(runs), np.uint32)
    device.kernels.adler32(data, to_gpu(runs.reshape(-1)), out, device.where(None))
    return out


def _check(
    known: Mapping[str, tuple[str | None, tuple[int, ...]]], encoding: str, bits: int, out: Array
) -> None:
    one_of("encoding", encoding, tuple(known))
    dtype, widths = known[encoding]
    if bits not in widths:
        raise ValueError(f"numbers of encoding {encoding!r} cannot have {bits} bits")
    wide = encoding == "quantised" and out.dtype == np.float64
    if (out.dtype != dtype and not wide) if dtype else 8 * out.itemsize != bits:
        raise TypeError(
            f"out must be of dtype {dtype or f'that has {bits} bits'} for encoding {encoding!r}, "
            f"got {out.dtype}"
        )
