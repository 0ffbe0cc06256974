"""Lists of many events in the pieces in which they were read: to put them together would copy all of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fastjag import kernels
from fastjag.core.arrays import Array, offsets_of
from fastjag.jagged import Jagged
from fastjag.jagged.joining import join_offsets
from fastjag.jagged.shapes import is_flat


class Lists:
    """The events of several Jagged, one after the other, of which some are taken."""

    def __init__(self, parts: Sequence[Jagged]) -> None:
        self._offsets = join_offsets([part._offsets for part in parts])
        self._bounds = offsets_of(np.array([part.n_particles for part in parts]))
        self._columns: dict[str, list[Array]] = {
            name: [part._columns[name] for part in parts] for name in parts[0].columns
        }

    @staticmethod
    def can_have(parts: Sequence[Jagged]) -> bool:
        """Whether all have columns of the same names and types, with a number for each particle."""
        kinds = [
            [(name, c.dtype) if is_flat(c) else None for name, c in part._columns.items()]
            for part in parts
        ]
        return None not in kinds[0] and all(kind == kinds[0] for kind in kinds)

    def take(self, events: NDArray[np.int64]) -> Jagged:
        starts = self._offsets[events]
        offsets = offsets_of(self._offsets[1:][events] - starts)
        taken = kernels.take_lists(self._bounds, starts, offsets, [*self._columns.values()])
        return Jagged._of(offsets, dict(zip(self._columns, taken, strict=True)))

    @property
    def nbytes(self) -> int:
        arrays = [piece for pieces in self._columns.values() for piece in pieces]
        return self._offsets.nbytes + sum(array.nbytes for array in arrays)
