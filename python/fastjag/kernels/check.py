"""check: facts of the offsets and bools that users give, for which a GPU is asked once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastjag.core import arrays
from fastjag.core.arrays import Array, Facts, Offsets
from fastjag.kernels.gpu import device_of


class Glance:
    """A look at offsets, and at columns of bools besides."""

    def __init__(self, bools: Sequence[Array] = ()) -> None:
        self._bools = bools
        self.no_bools: list[bool] = []  #: afterwards: whether columns have other bytes than 0 and 1

    def facts_of(self, offsets: Offsets) -> Facts:
        """The first and the last one, and the first event that ends before it begins, or None.

        On the CPU bools are known to be some, and ``no_bools`` stays empty.
        """
        device = device_of(offsets=offsets)
        if device.is_cpu:
            return arrays.facts_of(offsets)
        n = len(offsets) - 1
        found, where = device.zeros(3 + len(self._bools), np.int64), device.where(None)
        device.kernels.check_offsets(offsets, found, where)
        for i, column in enumerate(self._bools, 3):
            device.kernels.check_bools(column.view(np.uint8), found[i : i + 1], where)
        first, last, falls, *above = found.tolist()
        self.no_bools = [bool(x) for x in above]
        return first, last, n - falls if falls else None
