"""Rows of events, as :meth:`Inputs.rows` gives them: joined, and picked from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fastjag.core.devices import namespace
from fastjag.jagged import Jagged, concatenate, interchange


def join(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Rows of several batches as those of one, in their order."""
    listed = list(parts)
    return {
        name: concatenate([part[name] for part in listed])
        if isinstance(values, Jagged)
        else namespace(values).concatenate([part[name] for part in listed])
        for name, values in listed[0].items()
    }


def pick(rows: Mapping[str, Any], events: Any) -> dict[str, Any]:
    """Rows of some of the events, by a slice or indices."""
    return {name: values[events] for name, values in rows.items()}


def nested(tensors: Mapping[str, Any], name: str) -> Any:
    """The ragged group ``name`` of tensors as a ``torch.nested`` tensor, (n_events, any, F).

    Of the memory that values and offsets have, as NumPy, CuPy or torch has them.

    Examples
    --------
    >>> import numpy as np
    >>> from fastjag.inputs import nested
    >>> jets = {"Jet": np.ones((3, 2), "f4"), "Jet_offsets": np.array([0, 2, 3])}
    >>> [tuple(one.shape) for one in nested(jets, "Jet").unbind()]
    [(2, 2), (1, 2)]
    """
    return interchange.to_nested(tensors[name], tensors[f"{name}_offsets"])
