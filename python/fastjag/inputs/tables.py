"""Tensors as one table, a row per event, for models that know no sets: XGBoost and the like."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastjag.core.arrays import Array
from fastjag.core.devices import to_host
from fastjag.inputs.groups import InputGroup
from fastjag.inputs.inputs import Inputs

# What XGBoost does not take in names of columns, and what stands for it.
_ALLOWED = str.maketrans({"[": "(", "]": ")", "<": "less than"})


def table_names(inputs: Inputs) -> list[str]:
    """Names of the columns of :func:`table_of`: "MET_pt", and "Jet0_pt", "Jet1_pt" of slots.

    XGBoost takes no [, ] and < in names: they are (, ) and "less than".

    Raises ValueError for a ragged group, of which no table is made.
    """
    return [name.translate(_ALLOWED) for group in inputs.groups for name in _names(group)]


def table_of(inputs: Inputs, tensors: Mapping[str, Any]) -> NDArray[np.float32]:
    """float32 (n_events, F): groups side by side in the order of the inputs, slot after slot.

    Slots without a particle are NaN, which XGBoost takes as missing.

    Examples
    --------
    >>> import numpy as np, fastjag as fj
    >>> from fastjag.inputs import Inputs
    >>> from fastjag.inputs.tables import table_names, table_of
    >>> inputs = Inputs.of([fj.features("MET_pt"), fj.particles("Jet", "pt", width=2)])
    >>> table_names(inputs)
    ['MET_pt', 'Jet0_pt', 'Jet1_pt']
    >>> given = {"features": np.ones((1, 1)), "Jet": np.full((1, 2, 1), 30.0), "Jet_mask": np.array([[True, False]])}
    >>> table_of(inputs, given)
    array([[ 1., 30., nan]], dtype=float32)
    """
    parts = list(_parts(inputs, tensors))
    table: NDArray[np.float32] = np.concatenate(parts, axis=1)
    return table


def _names(group: InputGroup) -> list[str]:
    names = [column.name for column in group.columns]
    if group.kind == "ragged":
        raise ValueError(
            f"group {group.name!r} is ragged, and a table has the same columns for all events: "
            "fj.particles gives it a width"
        )
    if group.kind == "features":
        return names
    return [f"{group.name}{slot}_{name}" for slot in range(group.width or 0) for name in names]


def _parts(inputs: Inputs, tensors: Mapping[str, Any]) -> Iterator[Array]:
    for group in inputs.groups:
        _names(group)
        values = to_host(tensors[group.name]).astype(np.float32, copy=False)
        if group.kind == "particles":
            if group.layout == "NFK":
                values = values.transpose(0, 2, 1)
            if group.mask:
                mask = to_host(tensors[f"{group.name}_mask"])
                values = np.where(mask[..., None], values, np.float32(np.nan))
            values = values.reshape(len(values), values.shape[1] * values.shape[2])
        yield values
