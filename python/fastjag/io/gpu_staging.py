"""Baskets and pages of a step, in one piece of memory that goes to the GPU at once.

nvCOMP decompresses there what it knows, all blocks of one kind in one call; the rest comes as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastjag import kernels
from fastjag.core.devices import cupy, empty, to_gpu, to_host
from fastjag.io.compression import unpack
from fastjag.io.gpu_blocks import Block, Content

_ALIGNED = 16  # bytes: what nvCOMP asks for, and kernels


class Staged:
    """All contents of a step, in one piece of memory, on their way to the GPU.

    ``places`` is where each will begin in what :meth:`decoded` gives.
    """

    def __init__(self, contents: Sequence[Content]) -> None:
        self._packed = [content for content in contents if content.block is not None]
        self._plain = [content for content in contents if content.block is None]
        known, self.n_unpacked = _laid([content.size for content in self._packed], 0)
        plain, end = _laid([content.size for content in self._plain], self.n_unpacked)
        self.size = end
        self.places = {id(c): at for c, at in zip(self._packed, known, strict=True)}
        self.places |= {id(c): at for c, at in zip(self._plain, plain, strict=True)}
        self._starts, self._n_packed = _laid([len(_block(c).packed) for c in self._packed], 0)
        staging = np.zeros(self._n_packed + end - self.n_unpacked, np.uint8)
        for content, at in zip(self._packed, self._starts, strict=True):
            staging[at : at + len(_block(content).packed)] = np.frombuffer(
                _block(content).packed, np.uint8
            )
        behind = self._n_packed - self.n_unpacked
        for content, at in zip(self._plain, plain, strict=True):
            staging[at + behind : at + behind + content.size] = np.frombuffer(
                content.body, np.uint8
            )
        self._staging: Any = staging

    def moved(self) -> Staged:
        """With its bytes on the GPU, or on the way to it."""
        self._staging = to_gpu(self._staging)
        return self

    def decoded(self) -> Any:
        """Bytes of all contents on the GPU, uint8.

        A ValueError names what is damaged.
        """
        out = empty(self.size, np.uint8)
        out[self.n_unpacked :] = self._staging[self._n_packed :]
        for algorithm in dict.fromkeys(_block(content).algorithm for content in self._packed):
            some = [
                (content, start)
                for content, start in zip(self._packed, self._starts, strict=True)
                if _block(content).algorithm == algorithm
            ]
            contents = [content for content, _ in some]
            try:
                _decode(
                    algorithm, self._staging, [start for _, start in some],
                    [len(_block(c).packed) for c in contents], out,
                    [self.places[id(c)] for c in contents], [c.size for c in contents],
                )  # fmt: skip
                self._check(contents, out)
            except Exception as error:
                _find_damage(contents)
                raise RuntimeError(
                    f"nvCOMP cannot decompress what the CPU can ({algorithm}): {error}"
                ) from error
        return out

    def _check(self, contents: Sequence[Content], out: Any) -> None:
        """The checksums of zlib, which nvCOMP leaves out."""
        checked = [c for c in contents if _block(c).adler is not None]
        if not checked:
            return
        runs = np.array([[self.places[id(c)], c.size] for c in checked], np.int64)
        for content, found in zip(checked, to_host(kernels.adler32(out, runs)), strict=True):
            if int(found) != _block(content).adler:
                raise ValueError(f"{content.what}: the checksum of its block is wrong")


def _block(content: Content) -> Block:
    assert content.block is not None
    return content.block


def _laid(sizes: Sequence[int], start: int) -> tuple[list[int], int]:
    """Where pieces of these sizes begin, and where the last one ends, aligned."""
    room = -(-np.asarray(sizes, np.int64) // _ALIGNED) * _ALIGNED
    ends = start + np.cumsum(room)
    return (ends - room).tolist(), int(ends[-1]) if len(ends) else start


def _find_damage(contents: Sequence[Content]) -> None:
    """ValueError of the first that the CPU cannot decompress either, as it says it."""
    for content in contents:
        try:
            unpack(content.body, memoryview(bytearray(content.size)))
        except ValueError as error:
            raise ValueError(f"{content.what}: {error}") from None


def _decode(
    algorithm: str, packed: Any, starts: Sequence[int], lengths: Sequence[int], out: Any,
    places: Sequence[int], sizes: Sequence[int],
) -> None:  # fmt: skip
    """Decompress parts of ``packed`` into parts of ``out``, on CuPy's current stream."""
    from nvidia import nvcomp

    stream = int(cupy().cuda.get_current_stream().ptr)
    codec = nvcomp.Codec(
        algorithm=algorithm, bitstream_kind=nvcomp.BitstreamKind.RAW, cuda_stream=stream,
        device_id=cupy().cuda.Device().id,
    )  # fmt: skip
    source = nvcomp.as_arrays(packed, list(starts), list(lengths), stream)
    done = codec.decode(source, out=nvcomp.as_arrays(out, list(places), list(sizes), stream))
    for i, size in enumerate(sizes):
        if done[i].size != size:
            raise ValueError(f"a block of {size} bytes decompresses to {done[i].size}")
