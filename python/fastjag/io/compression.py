"""Compressed blocks of ROOT files, which never inflate beyond the size that they declare.

A block is a header of 9 bytes (algorithm, method, compressed and decompressed size) and its content;
what is longer than 16 MB is several blocks. A few kilobytes can decompress to gigabytes, so that no
decompressor here gets more room than the header says. ``decoders`` chooses them.
Format: https://root.cern/doc/v636/RZip_8cxx_source.html.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

import numpy as np

from fastjag.io import decoders
from fastjag.io.decoders import Decoder

_BLOCK = 9  # bytes of header of a compressed block


def unpack(data: memoryview, out: memoryview, checked: bool = False) -> None:
    """Decompress all blocks of ``data``; they must fill ``out``.

    ``checked``: a checksum of ``data`` was compared, so that those of blocks need not be.
    """
    done = 0
    for kind, block, size in blocks(data, len(out)):
        _fill(_decoder(kind), block, out[done : done + size], checked)
        done += size


def blocks(data: memoryview, size: int) -> Iterator[tuple[bytes, memoryview, int]]:
    """(algorithm, content, decompressed size) of those that make up ``size`` bytes."""
    at = done = 0
    while done < size:
        head = data[at : at + _BLOCK].tobytes()
        packed, unpacked = int.from_bytes(head[3:6], "little"), int.from_bytes(head[6:9], "little")
        block = data[at + _BLOCK : at + _BLOCK + packed]
        if len(head) < _BLOCK or len(block) != packed or not 0 < unpacked <= size - done:
            raise ValueError("a compressed block is cut off")
        yield head[:2], block, unpacked
        at, done = at + _BLOCK + packed, done + unpacked


def _decoder(kind: bytes) -> Decoder:
    if kind not in _DECODERS:
        known = ", ".join(_DECODERS[kind]().codec for kind in _DECODERS)
        raise ValueError(f"a block is compressed by {kind!r}, which is none of {known}")
    return _DECODERS[kind]()


def _fill(decoder: Decoder, block: memoryview, out: memoryview, checked: bool) -> None:
    """Decompress one block, which must fill ``out`` and has no room beyond."""
    try:
        n = ((checked and decoder.bare) or decoder.into)(block, out)
    except Exception as error:  # the libraries have a class of error each
        raise ValueError(
            f"a block ({decoder.codec}) does not decompress to its {len(out)} bytes: {error}"
        ) from error
    if n != len(out):
        raise ValueError(f"a block ({decoder.codec}) of {len(out)} bytes decompresses to {n}")


_DECODERS: dict[bytes, Callable[[], Decoder]] = {
    b"L4": decoders.lz4, b"ZL": decoders.zlib, b"ZS": decoders.zstd, b"XZ": decoders.lzma,
    b"CS": decoders.old,
}  # fmt: skip


def bound_uproot() -> None:
    """Let uproot decompress by ``unpack``, too: it reads metadata, RNTuples and remote files itself.

    Its own decompressors have no bound, and leave the end of a buffer undefined where blocks do not
    fill it.
    """
    from uproot import compression

    if compression.decompress is not _for_uproot:
        compression.decompress = wraps(compression.decompress)(_for_uproot)


def _for_uproot(
    chunk: Any,
    cursor: Any,
    context: Any,
    compressed_bytes: int,
    uncompressed_bytes: int,
    block_info: list[tuple[str, int, int]] | None = None,
) -> Any:
    """``uproot.compression.decompress``."""
    data = memoryview(cursor.bytes(chunk, compressed_bytes, context))
    out = np.empty(uncompressed_bytes, np.uint8)
    unpack(data, out.data)
    if block_info is not None:
        for kind, block, size in blocks(data, uncompressed_bytes):
            block_info.append((_decoder(kind).codec.upper(), len(block), size))
    return type(chunk).wrap(chunk.source, out)
