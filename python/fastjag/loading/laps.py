"""Laps whose batches are made while they are read: each event goes to its place in one of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from fastjag import kernels
from fastjag.core.arrays import Array
from fastjag.loading.blocks import Blocks
from fastjag.loading.pools import SMALL, ModelInputs, Pool, Rows, is_dense, n_rows

#: Bytes of a block of batches, about.
BLOCK = 16 << 20
_KEPT = 8  # padded batches whose memory is used again


class Keeping:
    """How the laps of an epoch are kept, which the first events say: as tensors or, where these are wide
    or ragged, as rows.

    Laps have up to ``n_batches`` of up to ``size`` events.
    """

    def __init__(self, inputs: ModelInputs, size: int, n_batches: int) -> None:
        self.inputs, self.size, self._n_batches = inputs, size, max(1, n_batches)
        self.padded: bool | None = None
        self.per_block = 1  #: batches of a block
        self._lock = threading.Lock()
        self._own = threading.local()

    def look(self, rows: Rows, n: int) -> None:
        """Decide by the first n events."""
        tensors = self.inputs.tensors(rows)
        with self._lock:
            if self.padded is not None:
                return
            dense = self.inputs.dense_bytes <= SMALL and is_dense(tensors, n)
            if dense:
                lap = self._n_batches * self.size * sum(v.nbytes for v in tensors.values()) // n
                self.per_block = -(-self._n_batches // max(1, round(lap / BLOCK)))
                in_use = 3 * -(-self._n_batches // self.per_block)
                self.blocks = Blocks(tensors, self.size * self.per_block, in_use)
            self.padded = dense

    def tensors(self, rows: Rows, n: int) -> dict[str, Array]:
        """Tensors of n events, in memory that this thread uses again."""
        kept: dict[str, Array] = getattr(self._own, "tensors", {})
        fits = bool(kept) and n <= self._own.n
        out = {name: values[:n] for name, values in kept.items()} if fits else None
        tensors = self.inputs.tensors(rows, out=out)
        if out is None:
            self._own.tensors, self._own.n = tensors, n
        for name, (dtype, _) in self.blocks.like.items():
            if tensors[name].dtype != dtype:
                raise TypeError(
                    f"{name!r} is {tensors[name].dtype} in these events and {dtype} in others: branches of "
                    "one name have different types, which an expression such as 1.0 * x makes alike"
                )
        return tensors


class Padding:
    """Batches of rows padded, in memory that is used again, where all their tensors are dense."""

    def __init__(self, inputs: ModelInputs) -> None:
        self._inputs = inputs
        self._blocks: Blocks | None = None

    def tensors(self, rows: Rows, n: int) -> dict[str, Array]:
        """Tensors of n events."""
        out, blocks = None, self._blocks
        if blocks is not None and n <= blocks.n_rows:
            out = {name: values[:n] for name, values in blocks.new().items()}
        tensors = self._inputs.tensors(rows, out=out)
        if blocks is None and n and is_dense(tensors, n):
            self._blocks = Blocks(tensors, n, _KEPT)
        return tensors


class LapPool(Pool):
    """The events of one lap after the other; ``begin`` is the begin of the next."""

    def __init__(self, keeping: Keeping) -> None:
        super().__init__(keeping.inputs)
        self._keeping = keeping

    def begin(self, places: Callable[[], NDArray[np.int64]], cuts: NDArray[np.int64]) -> None:
        """``places()`` says where each event goes, in batches as large as the largest; ``cuts`` are those of events."""
        self._places_of, self._cuts = places, cuts.tolist()
        self._blocks: list[Mapping[str, Array] | None] = []
        self._tensors: dict[str, Array] = {}

    def put(self, place: int, rows: Rows, of: str) -> None:
        n = n_rows(rows, of)
        if not n:
            return
        keeping = self._keeping
        if keeping.padded is None:
            keeping.look(rows, n)
        if not keeping.padded:
            super().put(place, rows, of)
            return
        with self._lock:
            if not self._blocks:
                self._places = self._places_of()
                n_blocks = -(-(len(self._cuts) - 1) // keeping.per_block)
                self._blocks = [keeping.blocks.new() for _ in range(n_blocks)]
        tensors = keeping.tensors(rows, n)
        names = list(keeping.blocks.like)
        kernels.deal_rows(
            [np.ascontiguousarray(tensors[name]) for name in names],
            self._places[place : place + n],
            [[block[name] for block in self._blocks if block is not None] for name in names],
        )
        with self._lock:
            self._runs[place] = n

    def finish(self) -> int:
        """All are put; returns how many."""
        if not self._keeping.padded:
            return super().finish()
        self.padded = True
        runs = sorted(self._runs.items())
        n = sum(self._runs.values())
        self._runs.clear()
        if n < self._cuts[-1]:  # some could not be read: what there is, in the order of places
            there = [self._places[place : place + size] for place, size in runs]
            at = np.concatenate([*there, self._places[:0]])
            self._tensors = {
                name: np.concatenate([block[name] for block in self._blocks if block])[at]
                for name in (self._keeping.blocks.like if self._blocks else ())
            }
            self._blocks = []
        return n

    @property
    def dealt(self) -> bool:
        """Whether the batches are made, and need not be taken."""
        return bool(self._blocks)

    def batch(self, number: int) -> Rows:
        """A batch of the lap. Those of the blocks before it are not there any more."""
        at, row = divmod(number, self._keeping.per_block)
        self._blocks[:at] = [None] * at
        block = self._blocks[at]
        assert block is not None, number
        start = row * self._keeping.size
        stop = start + self._cuts[number + 1] - self._cuts[number]
        return {name: values[start:stop] for name, values in block.items()}

    def take(self, events: NDArray[np.int64]) -> Rows:
        if not self._keeping.padded:
            return super().take(events)
        return {name: values.take(events, 0) for name, values in self._tensors.items()}

    def drop(self) -> None:
        """Nobody needs this lap any more; batches of it stay as they are."""
        self._blocks, self._tensors = [], {}
