"""Writing histograms as ROOT's TH1D, TH2D and TH3D."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastjag.core.checks import needs
from fastjag.io.writer import new_root_file


def write_histograms(path: str | os.PathLike[str], histograms: Mapping[str, Any]) -> None:
    """Write histograms to a ROOT file as TH1D, TH2D or TH3D.

    Parameters
    ----------
    histograms
        Names to ``hist.Hist`` of one to three axes, with any storage of counts or ``Weight``.

    Contents, flow bins, sums of squared weights, axis labels and edges are kept; NaN has no place in
    a ROOT histogram. Axes with a transform become edges. Raises ValueError, before anything is
    written, for what ROOT cannot hold, and for counts that were scaled: their errors are
    lost (``h * 2`` of a ``Double`` storage); fill such a histogram with weights.
    """
    needs("uproot", "io")

    ready = {name: _as_root(name, h) for name, h in histograms.items()}
    with new_root_file(path) as file:
        for name, h in ready.items():
            file[name] = h


def _as_root(name: str, h: Any) -> Any:
    """A copy with ``Double`` or ``Weight`` storage and flow bins, which uproot writes as it is.

    ``name`` is for errors: ValueError where ROOT cannot hold the histogram, or its errors are lost.
    """
    import hist

    where = f"histogram {name!r}"
    if not name or any(c in name for c in ";\0") or any(not part for part in name.split("/")):
        raise ValueError(
            f"{where}: ROOT takes no such name: parts between slashes, none empty, no ;"
        )
    if not isinstance(h, hist.BaseHist):
        raise TypeError(f"{where} must be a hist.Hist, got {type(h).__name__}")
    if not 1 <= h.ndim <= 3:
        raise ValueError(f"{where} has {h.ndim} axes; ROOT has histograms of 1, 2 and 3")
    if str(h.kind).rpartition(".")[-1] != "COUNT":
        raise ValueError(
            f"{where} has storage {h.storage_type.__name__}; accepted are counts and Weight"
        )
    values, variances = h.values(flow=True), h.variances(flow=True)
    if variances is None:
        raise ValueError(
            f"{where} was added up or scaled without sums of squared weights, so that its "
            f"errors are lost: fill it with weights (storage Weight), or by fastjag.histogram"
        )
    weighted = h.storage_type is hist.storage.Weight
    storage = hist.storage.Weight() if weighted else hist.storage.Double()
    result = hist.Hist(*(_axis(axis, where) for axis in h.axes), storage=storage, name=h.name)
    # Every axis of the copy has both flow bins, as in ROOT.
    inner = tuple(
        slice(0 if a.traits.underflow else 1, None if a.traits.overflow else -1) for a in h.axes
    )
    view = result.view(flow=True)
    if weighted:
        view["value"][inner] = values
        view["variance"][inner] = variances
    else:
        view[inner] = values
    return result


def _axis(axis: Any, where: str) -> Any:
    import hist

    label = axis.label or ""
    if isinstance(axis, hist.axis.Regular) and axis.transform is None:
        return hist.axis.Regular(
            len(axis), axis.edges[0], axis.edges[-1], name=axis.name, label=label
        )
    if isinstance(axis, (hist.axis.IntCategory, hist.axis.StrCategory)):
        raise ValueError(f"{where} has a {type(axis).__name__} axis; ROOT's axes are of numbers")  # noqa: TRY004
    return hist.axis.Variable(np.asarray(axis.edges), name=axis.name, label=label)
