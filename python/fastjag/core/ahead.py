"""Copies to the GPU while it works: on a stream of their own, from pinned memory."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import Any, TypeVar

import numpy as np

from fastjag.core import devices
from fastjag.core.arrays import Array

T = TypeVar("T")
M = TypeVar("M")

_ALIGNED = 256  # bytes


def copied_ahead(
    given: Iterable[T], move: Callable[[T], M], then: Callable[[M], Any] = lambda moved: moved
) -> Generator[Any]:
    """``then(move(one))`` of each, the next one on its way while the caller works with one.

    ``move`` copies NumPy arrays by :func:`fastjag.core.devices.to_gpu`, and does nothing else on the GPU;
    ``then`` works with the copies, on the caller's stream. What is given out
    is complete for all that the caller's current stream does from then on. Two are on the GPU at a
    time, if the caller lets go of each before it asks for the next.
    """
    copier = _Copier()
    ahead: list[tuple[M, Any]] = []
    try:
        for one in given:
            ahead.append(copier.start(move, one))
            del one  # its values are in pinned memory
            if len(ahead) > 1:
                yield then(copier.finish(*ahead.pop(0)))
        while ahead:
            yield then(copier.finish(*ahead.pop(0)))
    finally:
        copier.end()


class _Copier:
    """A stream, and two pieces of pinned memory that take turns."""

    def __init__(self) -> None:
        self._stream = devices.cupy().cuda.Stream(non_blocking=True)
        self._buffers = [_Pinned(), _Pinned()]

    def start(self, move: Callable[[T], M], one: T) -> tuple[M, Any]:
        """What will be there, and the event of its being there."""
        self._buffers.reverse()
        self._buffers[0].reuse()
        with devices.copying(self._copy):
            moved = move(one)
        copied = self._buffers[0].busy = self._stream.record()
        return moved, copied

    def _copy(self, array: Array) -> Any:
        new = devices.empty(array.shape, array.dtype)
        if array.size:
            pinned = self._buffers[0].filled(array)
            # The memory may be what the current stream's work, launched until now, used last.
            self._stream.wait_event(devices.cupy().cuda.get_current_stream().record())
            new.set(pinned, stream=self._stream)
        return new

    def finish(self, moved: M, copied: Any) -> M:
        devices.cupy().cuda.get_current_stream().wait_event(copied)
        return moved

    def end(self) -> None:
        """Nothing is copied any more into arrays that nobody has, or out of memory that is given back."""
        self._stream.synchronize()


class _Pinned:
    """Pinned memory of the arrays of one batch."""

    def __init__(self) -> None:
        self._memory: list[Array] = []
        self._used = 0
        self.busy: Any = None  #: event after the last copy out of it

    def reuse(self) -> None:
        """Wait for the copies out of it."""
        if self.busy is not None:
            self.busy.synchronize()
        if len(self._memory) > 1:  # the next batch is about as large: one piece for all of it
            total = sum(len(memory) for memory in self._memory)
            self._memory.clear()
            self._memory.append(_pinned(total))
        self._used = 0

    def filled(self, array: Array) -> Array:
        """Pinned memory with the values of an array."""
        if not self._memory or self._used + array.nbytes > len(self._memory[-1]):
            self._memory.append(_pinned(array.nbytes))
            self._used = 0
        part = self._memory[-1][self._used : self._used + array.nbytes]
        self._used += -(-array.nbytes // _ALIGNED) * _ALIGNED
        values = part.view(array.dtype).reshape(array.shape)
        np.copyto(values, array)
        return values


def _pinned(nbytes: int) -> Array:
    nbytes = -(-nbytes // _ALIGNED) * _ALIGNED
    memory = devices.cupy().cuda.alloc_pinned_memory(nbytes)
    return np.frombuffer(memory, np.uint8, nbytes)
