"""Branches that say yes or no: trigger bits, identifications, filters."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastjag.core.arrays import Array
from fastjag.io.batches import Batch
from fastjag.io.files import ReadError


def as_flags(values: Array, name: str, where: object) -> NDArray[np.bool_]:
    """A column of trigger bits or identifications as booleans, shape (n,), where they are.

    Integers are accepted where all of them are 0 or 1, as some formats store bits so. Anything else
    is a number, of which "not 0" would be an accidental cut: ReadError names the branch (``name``)
    and ``where`` it is, the source of a batch.
    """
    if values.dtype == np.bool_:
        return values
    if values.dtype.kind not in "iu":
        raise ReadError(f"{where}: {name} is no bit: {values.dtype}")
    wrong = (values < 0) | (values > 1)
    if wrong.any():
        low, high = int(values.min()), int(values.max())
        raise ReadError(
            f"{where}: {name} is no bit: {values.dtype} "
            + (f"up to {high}" if low >= 0 else f"from {low} to {high}")
        )
    flags: NDArray[np.bool_] = values != 0
    return flags


def event_flags(batch: Batch, name: str) -> NDArray[np.bool_]:
    """A bit per event, such as a trigger; ReadError where the branch holds numbers or lists."""
    if name not in batch.flat:
        lists = [f"{c}_{column}" for c, j in batch.collections.items() for column in j.columns]
        if name in lists or name in batch.collections:
            raise ReadError(f"{batch.source}: {name} is no bit: it has a list per event")
    return as_flags(batch.event_branch(name), name, batch.source)
