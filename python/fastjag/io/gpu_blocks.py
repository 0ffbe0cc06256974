"""Blocks of ROOT files that a GPU decompresses, by nvCOMP.

The CPU takes the bytes of baskets and pages as they are packed, and checks what checksums it can. What
nvCOMP does not know (LZMA, blocks of before ROOT 3, content of several blocks) it decompresses itself.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import NamedTuple

from fastjag.io.compression import blocks, unpack

#: By what blocks begin with: the name in nvCOMP, and the bytes around what it takes. LZ4 has a
#: checksum before it; zlib (RFC 1950) a head before and a checksum behind.
_ALGORITHMS = {b"ZS": ("Zstd", 0, 0), b"L4": ("LZ4", 8, 0), b"ZL": ("Deflate", 2, 4)}


class Block(NamedTuple):
    """What nvCOMP takes."""

    algorithm: str
    packed: memoryview
    size: int  #: decompressed
    adler: int | None  #: checksum of zlib, of what comes out


class Content(NamedTuple):
    """What is in a basket or a page."""

    what: str  #: in words
    body: memoryview  #: all of it as in the file, or decompressed where there is no block
    block: Block | None
    size: int


@cache
def has_nvcomp() -> bool:
    """Whether nvCOMP is installed (``nvidia-nvcomp-cu13``)."""
    try:
        return find_spec("nvidia.nvcomp") is not None
    except ModuleNotFoundError:
        return False


def content_of(what: str, body: memoryview, size: int) -> Content:
    """Of bytes of a file, which hold ``size`` of content; they are copied.

    ValueError where a block is damaged, as far as the CPU sees it without decompressing.
    """
    body = memoryview(bytearray(body))
    if len(body) == size:
        return Content(what, body, None, size)
    found = list(blocks(body, size))
    kind, packed, _ = found[0]
    if len(found) > 1 or kind not in _ALGORITHMS:
        out = memoryview(bytearray(size))
        unpack(body, out)
        return Content(what, out, None, size)
    algorithm, before, after = _ALGORITHMS[kind]
    if len(packed) <= before + after:
        raise ValueError("a compressed block is cut off")
    if kind == b"L4":
        import xxhash

        if xxhash.xxh64_intdigest(packed[8:]) != int.from_bytes(packed[:8], "big"):
            raise ValueError(f"a block (LZ4) of {size} bytes: its checksum is wrong")
    adler = int.from_bytes(packed[-4:], "big") if kind == b"ZL" else None
    if kind == b"ZL" and (packed[0] & 15 != 8 or packed[1] & 32):
        raise ValueError("a block (zlib) has no head of zlib")
    core = packed[before : len(packed) - after]
    return Content(what, body, Block(algorithm, core, size, adler), size)
