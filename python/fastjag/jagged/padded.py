"""What events are as a dense tensor."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastjag.core.arrays import Array
from fastjag.core.display import ROWS, html_table, numbers
from fastjag.jagged import interchange


class Padded(NamedTuple):
    """A dense tensor and, per event and slot, whether a particle stands there.

    Of events padded with ``mode="wrap"``, slots that repeat particles are false in the mask.

    Examples
    --------
    >>> import fastjag as fj
    >>> muons = fj.Jagged([0, 2, 2, 3], {"pt": [41.5, 18.2, 33.0]})
    >>> muons.pad(2, "pt")
    <Padded: values (3, 2) float64, mask (3, 2), 3 of 6 slots filled>
    """

    values: Array
    mask: NDArray[np.bool_]

    def to_torch(self) -> Padded:
        """The same values and mask as torch tensors, without a copy: ``x, mask = padded.to_torch()``.

        On the CPU or the GPU where they are. Read-only arrays are copied, as torch has none.
        """
        return Padded(interchange.tensor(self.values), interchange.tensor(self.mask))

    def __repr__(self) -> str:
        values, mask = self
        kind = str(values.dtype).removeprefix("torch.")
        slots = 1
        for n in mask.shape:
            slots *= int(n)
        return (
            f"<Padded: values {tuple(values.shape)} {kind}, mask {tuple(mask.shape)}, "
            f"{int(mask.sum())} of {slots} slots filled>"
        )

    def _repr_html_(self) -> str:
        rows: list[list[Any]] = []
        for event in range(min(ROWS, len(self.mask))):
            mask = self.mask[event]
            rows.append([event, int(mask.sum()), numbers(self.values[event].reshape(-1))])
        return html_table(repr(self), ["event", "filled", "first values"], rows)
