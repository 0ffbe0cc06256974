"""Tensors of an event in one piece of memory: what is picked together lies together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastjag.core.arrays import Array


@dataclass(frozen=True)
class TensorField:
    """Where a tensor of an event is in its record."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int

    @property
    def n_bytes(self) -> int:
        return int(np.dtype(self.dtype).itemsize * np.prod(self.shape, dtype=np.int64))

    @property
    def step(self) -> int:
        """Bytes that are copied at once."""
        return next(n for n in (8, 4, 2, 1) if self.start % n == 0 and self.n_bytes % n == 0)


def fields_of(tensors: Mapping[str, Array]) -> tuple[list[TensorField], int]:
    """Fields for tensors of some events, the wide ones first, and bytes of a record."""
    found: list[TensorField] = []
    at = 0
    for name, values in sorted(tensors.items(), key=lambda item: -item[1].dtype.itemsize):
        field = TensorField(name, values.dtype.str, values.shape[1:], at)
        found.append(field)
        at += -(-field.n_bytes // 4) * 4
    return found, -(-at // 8) * 8


def pack(records: Array, fields: Sequence[TensorField], tensors: Mapping[str, Array]) -> None:
    """Write the tensors of some events into their records, uint8 (n, size)."""
    for field in fields:
        values = np.ascontiguousarray(tensors[field.name]).reshape(len(records), -1)
        _part(records, field)[...] = values.view(f"u{field.step}")


def _part(records: Array, field: TensorField) -> Any:
    start, stop = field.start // field.step, (field.start + field.n_bytes) // field.step
    return records.view(f"u{field.step}")[:, start:stop]
