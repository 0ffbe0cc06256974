"""nvCOMP's functions that the reader calls, over the emulated GPU: the host decompresses.

Signatures are those of nvidia-nvcomp-cu13 6.0.
"""

import zlib
from types import SimpleNamespace
from typing import ClassVar

import cramjam
import numpy as np

from fastjag.core.devices import on_gpu, to_gpu, to_host


class BitstreamKind:
    RAW = "raw"


class Arrays(list):
    """Parts of one buffer."""

    def __init__(self, buffer, offsets, sizes):
        super().__init__(
            SimpleNamespace(offset=o, size=s) for o, s in zip(offsets, sizes, strict=True)
        )
        self.buffer = buffer


def as_arrays(buffer, offsets, sizes, cuda_stream=0):
    assert on_gpu(buffer)
    assert all(offset % 16 == 0 for offset in offsets)
    return Arrays(buffer, offsets, sizes)


class Codec:
    used: ClassVar[list] = []  #: algorithm and number of blocks of each call

    def __init__(self, *, algorithm, bitstream_kind, cuda_stream, device_id):
        assert bitstream_kind == BitstreamKind.RAW
        self.algorithm = algorithm

    def decode(self, sources, data_type="", out=None):
        Codec.used.append((self.algorithm, len(sources)))
        done = []
        for source, to in zip(sources, out, strict=True):
            packed = to_host(sources.buffer[source.offset : source.offset + source.size]).tobytes()
            values = _DECODERS[self.algorithm](packed, to.size)
            if len(values) > to.size:
                raise ValueError("the buffer is too small")
            if len(values):
                values_on_gpu = to_gpu(np.frombuffer(values, np.uint8))
                out.buffer[to.offset : to.offset + len(values)] = values_on_gpu
            done.append(SimpleNamespace(size=len(values)))
        return done


def _deflate(packed, size):
    return zlib.decompressobj(-15).decompress(packed)


def _zstd(packed, size):
    return bytes(cramjam.zstd.decompress(packed))


def _lz4(packed, size):
    return bytes(cramjam.lz4.decompress_block(packed, output_len=size))


_DECODERS = {"Zstd": _zstd, "LZ4": _lz4, "Deflate": _deflate}
