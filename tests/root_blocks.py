"""Compressed blocks as they stand in ROOT files."""

import lzma
import zlib

import cramjam
import xxhash

CODES = {"lz4": b"L4", "zlib": b"ZL", "zstd": b"ZS", "lzma": b"XZ", "old": b"CS"}


def squeezed(codec, content):
    """A block's content: what ROOT writes after the header."""
    if codec == "lz4":
        packed = bytes(cramjam.lz4.compress_block(content, store_size=False))
        return xxhash.xxh64_digest(packed) + packed
    if codec == "zlib":
        return zlib.compress(content, 6)
    if codec == "old":  # of ROOT before version 3: no head, no checksum
        return zlib.compress(content, 6, wbits=-15)
    if codec == "zstd":
        return bytes(cramjam.zstd.compress(content))
    return lzma.compress(content, preset=0)


def block(codec, content, declared=None, packed=None, code=None):
    packed = squeezed(codec, content) if packed is None else packed
    declared = len(content) if declared is None else declared
    head = (code or CODES[codec]) + b"\x08"
    return head + len(packed).to_bytes(3, "little") + declared.to_bytes(3, "little") + packed
