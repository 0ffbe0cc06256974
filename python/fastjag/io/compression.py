"""Compressed blocks of ROOT files, which never inflate beyond the size that they declare.

A block is a header of 9 bytes (algorithm, method, compressed and decompressed size) and its content;
what is longer than 16 MB is several blocks. A few kilobytes can decompress to gigabytes, so that no
decompressor here gets more room than the header says.
Format: https://root.cern/doc/v636/RZip_8cxx_source.html.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

#: Decompresses one block into a buffer, and returns how many bytes that gave.
Into = Callable[[memoryview, memoryview], int]

_BLOCK = 9  # bytes of header of a compressed block


def unpack(data: memoryview, out: memoryview) -> None:
    """Decompress all blocks of ``data``; they must fill ``out``."""
    at = done = 0
    while done < len(out):
        head = data[at : at + _BLOCK].tobytes()
        kind = head[:2]
        size, unpacked = int.from_bytes(head[3:6], "little"), int.from_bytes(head[6:9], "little")
        block, target = data[at + _BLOCK : at + _BLOCK + size], out[done : done + unpacked]
        if len(head) < _BLOCK or len(block) != size or len(target) != unpacked or not unpacked:
            raise ValueError("a compressed block is cut off")
        if kind not in _CODECS:
            known = ", ".join(name for name, _ in _CODECS.values())
            raise ValueError(f"a block is compressed by {kind!r}, which is none of {known}")
        _fill(*_CODECS[kind], block, target)
        at, done = at + _BLOCK + size, done + unpacked


def _fill(name: str, decompress: Into, block: memoryview, out: memoryview) -> None:
    """Decompress one block, which must fill ``out`` and has no room beyond."""
    try:
        n = decompress(block, out)
    except Exception as error:  # the libraries have a class of error each
        raise ValueError(
            f"a block ({name}) does not decompress to its {len(out)} bytes: {error}"
        ) from error
    if n != len(out):
        raise ValueError(f"a block ({name}) of {len(out)} bytes decompresses to {n}")


def _lz4(block: memoryview, out: memoryview) -> int:
    import xxhash

    if xxhash.xxh64_intdigest(block[8:]) != int.from_bytes(block[:8], "big"):
        raise ValueError("its checksum is wrong")
    return _lz4_content(block[8:], out)


def _lz4_content(content: memoryview, out: memoryview) -> int:
    import cramjam

    return int(cramjam.lz4.decompress_block_into(content, out))


def _zlib(block: memoryview, out: memoryview) -> int:
    import cramjam

    return int(cramjam.zlib.decompress_into(block, out))


def _zstd(block: memoryview, out: memoryview) -> int:
    import cramjam

    return int(cramjam.zstd.decompress_into(block, out))


def _lzma(block: memoryview, out: memoryview) -> int:
    import lzma

    stream = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_LZMA_MEMORY)
    content = stream.decompress(block, max_length=len(out) + 1)  # one more shows that there is more
    if not stream.eof:
        raise ValueError("it does not end there")
    out[: len(content)] = content
    return len(content)


_LZMA_MEMORY = 256 << 20  # the dictionary of level 9 is 64 MiB, which blocks of 16 MB never fill

_CODECS: dict[bytes, tuple[str, Into]] = {
    b"L4": ("LZ4", _lz4), b"ZL": ("zlib", _zlib), b"ZS": ("zstd", _zstd), b"XZ": ("LZMA", _lzma),
}  # fmt: skip


# ---- uproot's own decompression ----------------------------------------------------------------


@dataclass(frozen=True)
class _Bounded:
    """A decompressor with the interface of those in ``uproot.compression``."""

    name: str
    _2byte: bytes
    into: Into

    def decompress(self, data: Any, uncompressed_bytes: int) -> memoryview:
        out = np.empty(uncompressed_bytes, np.uint8).data
        _fill(self.name, self.into, memoryview(data), out)
        return out


def bound_uproot() -> None:
    """Give uproot these decompressors, too: it reads metadata, RNTuples and remote files itself.

    Its own have no bound, and leave the end of a buffer undefined where blocks do not fill it.
    """
    from uproot import compression

    for kind, (name, into) in _CODECS.items():
        # It has checked the checksum of an LZ4 block, and cut it off.
        own = _Bounded(name, kind, _lz4_content if into is _lz4 else into)
        setattr(compression, f"_decompress_{name.upper()}", own)
    compression.decompress.hook_after_block = _check_size


def _check_size(
    *,
    cursor: Any,
    start: Any,
    compressed_bytes: int,
    uncompressed_bytes: int,
    filled: int,
    **_: Any,
) -> None:
    last = cursor.displacement(start) >= compressed_bytes
    if last and filled != uncompressed_bytes:
        raise ValueError(f"{uncompressed_bytes} bytes decompress to {filled}")
