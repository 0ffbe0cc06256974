"""Batches on their way to the GPU: columns that wait for it beside those that the CPU has read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fastjag.io.batches import Batch, Place, Source
from fastjag.io.gpu_columns import Packed
from fastjag.io.gpu_staging import Staged
from fastjag.jagged import Jagged
from fastjag.jagged.shapes import scaled


def waiting(reader: Any, arrays: Mapping[str, Any], source: Source) -> Waiting:
    """What a reader has read of a step, as a batch on its way."""
    packed = {name: values for name, (_, values) in arrays.items() if isinstance(values, Packed)}
    lists = {name: offsets for name, (offsets, _) in arrays.items() if offsets is not None}
    # Empty columns stand for those that wait: lengths are checked as they always are.
    known = {
        name: (lists[name], np.empty(int(lists[name][-1]), bool)) if name in packed else parts
        for name, parts in arrays.items()
        if name in lists or name not in packed
    }
    batch = reader.batch(known, source)
    columns = {}
    order: dict[str | None, list[str]] = {
        name: list(jagged._columns) for name, jagged in batch.collections.items()
    }
    order[None] = [name for name in arrays if name not in lists]
    for name, values in packed.items():
        place = reader.place(name) if name in lists else None
        if place is not None:
            del batch.collections[place[0]]._columns[place[1]]
        columns[name] = place, reader.schema.scale(reader.branch(name).name), values
    return Waiting(batch, columns, order)


class Waiting:
    """A batch whose columns are on their way to the GPU."""

    def __init__(
        self, batch: Batch, columns: Mapping[str, tuple[Place | None, float, Packed]],
        order: Mapping[str | None, Sequence[str]],
    ) -> None:  # fmt: skip
        self.batch, self._columns = batch, columns
        self._order = order  #: of the columns of each collection, and of event branches
        contents = {
            id(part.content): part.content
            for *_, packed in columns.values()
            for part in packed.parts
        }
        self._staged = Staged(list(contents.values()))

    @property
    def source(self) -> Source:
        return self.batch.source

    @source.setter
    def source(self, source: Source) -> None:
        self.batch.source = source

    def __len__(self) -> int:
        return len(self.batch)

    def moved(self) -> Waiting:
        """All bytes on the GPU, or on the way to it."""
        self.batch = self.batch.to("cuda")
        self._staged.moved()
        return self

    def decoded(self) -> Batch:
        """The batch, on the GPU."""
        data = self._staged.decoded()
        found: dict[str | None, dict[str, Any]] = {
            name: dict(jagged._columns) for name, jagged in self.batch.collections.items()
        }
        found[None] = dict(self.batch.flat)
        for name, (place, scale, packed) in self._columns.items():
            values = packed.unpacked(data, self._staged.places)
            if scale != 1.0:
                values = scaled(values, scale)
            collection, column = place or (None, name)
            found[collection][column] = values
        made = {c: {name: found[c][name] for name in names} for c, names in self._order.items()}
        flat = made.pop(None)
        collections = {
            name: Jagged._of(jagged._offsets, made[name])
            for name, jagged in self.batch.collections.items()
        }
        return Batch(collections, flat, self.batch.source, self.batch._names)
