"""All events as tensors, in memory or in a file: each event's are one record, in one place."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastjag import kernels
from fastjag.core.arrays import Array
from fastjag.loading.blocks import Blocks
from fastjag.loading.pools import ModelInputs, Rows, is_dense, n_rows
from fastjag.loading.records import TensorField, fields_of, pack

_BATCHES = 64  # whose memory is used again


class StoredEvents:
    """Records of events, of which batches are taken in any order."""

    padded = True

    def __init__(
        self, inputs: ModelInputs, records: NDArray[np.uint8], fields: Sequence[TensorField]
    ) -> None:
        self.inputs, self.records, self.fields = inputs, records, list(fields)
        self._blocks: Blocks | None = None

    def __len__(self) -> int:
        return len(self.records)

    def __reduce__(self) -> tuple[Any, ...]:
        return StoredEvents, (self.inputs, self.records, self.fields)

    def take(self, events: NDArray[np.int64]) -> Rows:
        """The tensors of these events."""
        n, blocks = len(events), self._blocks
        if blocks is None or blocks.n_rows < n:
            like = {f.name: np.empty((0, *f.shape), f.dtype) for f in self.fields}
            self._blocks = blocks = Blocks(like, n, _BATCHES)
        tensors = {name: values[:n] for name, values in blocks.new().items()}
        starts = [field.start for field in self.fields]
        kernels.take_rows(
            self.records, events, starts, [tensors[field.name] for field in self.fields]
        )
        return tensors


class StoredFile(StoredEvents):
    """Records in a file that is mapped into memory; a copy in another process maps it again."""

    def __init__(
        self, inputs: ModelInputs, path: Path, n: int, size: int, fields: Sequence[TensorField]
    ) -> None:
        self.path = path
        records: Any = np.empty((0, size), np.uint8)
        if n:
            records = np.memmap(path, np.uint8, "r", shape=(n, size))
        super().__init__(inputs, np.asarray(records), fields)

    def __reduce__(self) -> tuple[Any, ...]:
        n, size = self.records.shape
        return StoredFile, (self.inputs, self.path, n, size, self.fields)


class Storing:
    """Records that are being filled; threads ``put`` runs of events at places of their own."""

    def __init__(
        self, inputs: ModelInputs, capacity: int, path: Path | None, most: int | None
    ) -> None:
        self.inputs, self.capacity = inputs, capacity
        self._path, self._most = path, most
        self.fields: list[TensorField] = []
        self.records: Any = None
        self._runs: dict[int, int] = {}
        self._lock = threading.Lock()

    def put(self, place: int, rows: Rows, of: str) -> None:
        n = n_rows(rows, of)
        if not n:
            return
        tensors = self.inputs.tensors(rows)
        with self._lock:
            if self.records is None:
                self._begin(tensors, n)
            self._runs[place] = n
        pack(self.records[place : place + n], self.fields, tensors)

    def _begin(self, tensors: Mapping[str, Array], n: int) -> None:
        if not is_dense(tensors, n):
            raise ValueError("ragged groups have no place in a cache of padded tensors")
        self.fields, size = fields_of(tensors)
        total = self.capacity * size
        if self._path is not None:
            with open(self._path, "wb") as file:
                os.truncate(file.fileno(), total)
            self.records = np.memmap(self._path, np.uint8, "r+", shape=(self.capacity, size))
            return
        if self._most is not None and total > self._most:
            raise ValueError(
                f"all {self.capacity:,} events take {total:,} bytes, more than memory={self._most:,}: give "
                'more memory, a folder as cache=, or shuffle="buffer"'
            )
        self.records = np.empty((self.capacity, size), np.uint8)

    def finish(self) -> list[int]:
        """Close the gaps of what could not be read; the places where events were put, sorted."""
        end = 0
        for place in sorted(self._runs):
            n = self._runs[place]
            if place != end:
                self.records[end : end + n] = self.records[place : place + n]
            end += n
        self.n = end
        return sorted(self._runs)

    def count(self, start: int, stop: int) -> int:
        """How many events of these places there are."""
        return sum(n for place, n in self._runs.items() if start <= place < stop)
