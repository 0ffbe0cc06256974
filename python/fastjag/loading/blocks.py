"""Memory of batches and laps, which is used again when nobody looks into it any more."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from fastjag.core.arrays import Array

_ALIGNED = 64  # bytes at which tensors begin, so that rows lie in few lines of the cache
_PAGE = 2 << 20  # of the system, where it is large
_PIECE = 16 << 20  # bytes of which arrays of a lap are cut
_SMALL = 4096  # bytes up to which an array has memory of its own


class _Lent:
    """Memory that goes back when no array looks into it: arrays of it keep this object."""

    def __init__(self, memory: Array, back: deque[Array]) -> None:
        self.__array_interface__ = memory.__array_interface__
        self._memory, self._back = memory, back

    def __del__(self) -> None:
        self._back.append(self._memory)


class _Memory:
    """Pieces of one size, in bytes. ``keep`` of those that came back stay for the next one (None: all).

    Memory that is fresh from the system costs time.
    """

    def __init__(self, n_bytes: int, keep: int | None) -> None:
        self.n_bytes = n_bytes
        self.free: deque[Array] = deque(maxlen=keep)

    def lend(self) -> Array:
        try:
            memory = self.free.pop()
        except IndexError:
            memory = _aligned(self.n_bytes)
        lent: Any = _Lent(memory, self.free)
        return np.asarray(lent)


class Blocks:
    """Blocks of ``n_rows`` rows of tensors that are alike, one piece of memory each."""

    def __init__(self, like: Mapping[str, Array], n_rows: int, keep: int) -> None:
        self.n_rows = n_rows
        self.like = {name: (values.dtype, values.shape[1:]) for name, values in like.items()}
        self._places: list[tuple[str, int, int]] = []
        at = 0
        for name, (dtype, shape) in self.like.items():
            size = n_rows * dtype.itemsize * int(np.prod(shape, dtype=np.int64))
            self._places.append((name, at, at + size))
            at += _whole(size)
        self._memory = _Memory(at, keep)

    def new(self) -> dict[str, Array]:
        """Tensors (n_rows, ...) of a block, whose numbers are yet to be written."""
        whole = self._memory.lend()
        return {
            name: whole[start:stop]
            .view(self.like[name][0])
            .reshape(self.n_rows, *self.like[name][1])
            for name, start, stop in self._places
        }


class Slices:
    """Arrays of any size, cut one after the other from pieces of memory: for what is let go together."""

    def __init__(self) -> None:
        self._memory = _Memory(_PIECE, None)
        self._lock = threading.Lock()
        self._piece: Array = np.empty(0, np.uint8)  # what is left of the last one

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        """As ``numpy.empty``; in any thread."""
        of = np.dtype(dtype)
        size = of.itemsize * int(np.prod(shape, dtype=np.int64))
        if of.hasobject or not _SMALL < size <= _PIECE // 2:
            return np.empty(shape, of)
        with self._lock:
            if len(self._piece) < size:
                self._piece = self._memory.lend()
            own, self._piece = self._piece[:size], self._piece[_whole(size) :]
        return own.view(of).reshape(shape)


def _whole(size: int) -> int:
    return -(-size // _ALIGNED) * _ALIGNED


def _aligned(n_bytes: int) -> Array:
    """Where there are large pages, all of it can have them."""
    step = _PAGE if n_bytes >= 2 * _PAGE else _ALIGNED
    memory: Array = np.empty(n_bytes + step, np.uint8)
    skip = -memory.__array_interface__["data"][0] % step
    return memory[skip : skip + n_bytes]
