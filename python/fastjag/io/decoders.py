"""Which library decompresses which blocks: chosen once, the first time that it is needed.

- zlib, and the "old" blocks of ROOT before version 3, which are DEFLATE without a head: libdeflate, and
  zlib-rs in cramjam where there is none
- LZMA: the newest liblzma; versions from 5.6 on take 0.5 to 0.9 of the time of earlier ones
- zstd, LZ4: cramjam, which has those of Facebook and of LZ4's author

The extra ``codecs`` brings libdeflate (``deflate``) and liblzma 5.8 (``lzma-mt``).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from fastjag.io import libraries

#: Decompresses one block into a buffer, and returns how many bytes that gave.
Into = Callable[[memoryview, memoryview], int]

#: The first liblzma whose decoder is written for today's processors.
_FAST_LZMA = (5, 6)

_LZMA_MEMORY = 256 << 20  # the dictionary of level 9 is 64 MiB, which blocks of 16 MB never fill


class Decoder(NamedTuple):
    """What decompresses the blocks of one kind."""

    codec: str
    library: str  #: with its version
    into: Into
    lacks: str = ""  #: what would make it faster
    bare: Into | None = None  #: without a look at the block's checksum, where that can be


@cache
def zlib() -> Decoder:
    for library in libraries.libdeflates():
        return Decoder("zlib", f"libdeflate {library.owner}", library.zlib)
    return Decoder("zlib", _cramjam("zlib-rs"), _cramjam_zlib, "libdeflate")


@cache
def old() -> Decoder:
    """Of blocks that begin with CS: DEFLATE."""
    for library in libraries.libdeflates():
        return Decoder("old", f"libdeflate {library.owner}", library.deflate)
    return Decoder("old", _cramjam("zlib-rs"), _cramjam_deflate, "libdeflate")


@cache
def lzma() -> Decoder:
    known = [(_numbers(library.version), library) for library in libraries.liblzmas(_LZMA_MEMORY)]
    if not known:
        return Decoder("LZMA", "lzma of Python, version unknown", _python_lzma)
    # Python's own comes first, and is taken where none is newer.
    version, library = max(known, key=lambda one: one[0][:2])
    name = f"liblzma {library.version} {library.owner}"
    return Decoder(
        "LZMA", name, library.xz, "" if version >= _FAST_LZMA else "liblzma 5.6 or later"
    )


@cache
def zstd() -> Decoder:
    return Decoder("zstd", _cramjam("zstd"), _cramjam_zstd)


@cache
def lz4() -> Decoder:
    return Decoder("LZ4", _cramjam("lz4"), _cramjam_lz4, bare=_bare_lz4)


def all_decoders() -> list[Decoder]:
    """In the order in which they are told; the old one is zlib's."""
    return [zlib(), lzma(), zstd(), lz4()]


def _numbers(version: str) -> tuple[int, ...]:
    """Of 5.8.1 or 5.3.5beta."""
    parts = version.split(".")
    return tuple(int("".join(c for c in part if c.isdigit()) or 0) for part in parts[:3])


def _cramjam(library: str) -> str:
    import cramjam

    return f"{library} in cramjam {cramjam.__version__}"


def _cramjam_zlib(block: memoryview, out: memoryview) -> int:
    import cramjam

    return int(cramjam.zlib.decompress_into(block, out))


def _cramjam_deflate(block: memoryview, out: memoryview) -> int:
    import cramjam

    return int(cramjam.deflate.decompress_into(block, out))


def _cramjam_zstd(block: memoryview, out: memoryview) -> int:
    import cramjam

    return int(cramjam.zstd.decompress_into(block, out))


def _cramjam_lz4(block: memoryview, out: memoryview) -> int:
    import xxhash

    if xxhash.xxh64_intdigest(block[8:]) != int.from_bytes(block[:8], "big"):
        raise ValueError("its checksum is wrong")
    return _bare_lz4(block, out)


def _bare_lz4(block: memoryview, out: memoryview) -> int:
    import cramjam

    return int(cramjam.lz4.decompress_block_into(block[8:], out))


def _python_lzma(block: memoryview, out: memoryview) -> int:
    import lzma

    stream = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_LZMA_MEMORY)
    content = stream.decompress(block, max_length=len(out) + 1)  # one more shows that there is more
    if not stream.eof:
        raise ValueError("it does not end there")
    out[: len(content)] = content
    return len(content)
