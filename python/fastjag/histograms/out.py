"""The caller's histogram, if it can take a fill."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastjag.histograms.axes import same_bins


def check_out(out: Any, axes: Sequence[Any], storages: Sequence[Any]) -> Any:
    """``out``, if it can take this fill."""
    # By their bins: names and labels of the axes are the histogram's own.
    same = len(out.axes) == len(axes) and all(map(same_bins, out.axes, axes))
    if not same or out.storage_type not in storages:
        raise ValueError(
            f"out has axes {tuple(out.axes)} and storage {out.storage_type.__name__}; this fill "
            f"needs {tuple(axes)} and {' or '.join(s.__name__ for s in storages)}"
        )
    metadata = vars(out).get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        raise ValueError(
            "out.metadata must be a dict or None, where NaN can be counted, "
            f"got {type(metadata).__name__}"
        )
    return out
