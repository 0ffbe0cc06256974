"""Memory of batches, which is used again when nobody has a batch in it any more."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastjag.core.arrays import Array

_ALIGNED = 64  # bytes at which tensors begin, so that rows lie in few lines of the cache


class _Lent:
    """Memory that goes back when no array looks into it: arrays of it keep this object."""

    def __init__(self, memory: Array, back: deque[Array]) -> None:
        self.__array_interface__ = memory.__array_interface__
        self._memory, self._back = memory, back

    def __del__(self) -> None:
        self._back.append(self._memory)


class Blocks:
    """Blocks of ``n_rows`` rows of tensors that are alike, one piece of memory each.

    ``keep`` of those that came back stay for the next one: memory that is fresh from the system costs time.
    """

    def __init__(self, like: Mapping[str, Array], n_rows: int, keep: int) -> None:
        self.n_rows = n_rows
        self.like = {name: (values.dtype, values.shape[1:]) for name, values in like.items()}
        self._free: deque[Array] = deque(maxlen=keep)
        self._places: list[tuple[str, int, int]] = []
        self.n_bytes = 0
        for name, (dtype, shape) in self.like.items():
            size = n_rows * dtype.itemsize * int(np.prod(shape, dtype=np.int64))
            self._places.append((name, self.n_bytes, self.n_bytes + size))
            self.n_bytes += -(-size // _ALIGNED) * _ALIGNED

    def new(self) -> dict[str, Array]:
        """Tensors (n_rows, ...) of a block, whose numbers are yet to be written."""
        try:
            memory = self._free.pop()
        except IndexError:
            memory = _aligned(self.n_bytes)
        lent: Any = _Lent(memory, self._free)
        whole = np.asarray(lent)
        return {
            name: whole[start:stop]
            .view(self.like[name][0])
            .reshape(self.n_rows, *self.like[name][1])
            for name, start, stop in self._places
        }


def _aligned(n_bytes: int) -> Array:
    memory = np.empty(n_bytes + _ALIGNED, np.uint8)
    skip = -memory.__array_interface__["data"][0] % _ALIGNED
    return memory[skip : skip + n_bytes]
