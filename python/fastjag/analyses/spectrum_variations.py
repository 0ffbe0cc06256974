"""Variations of the dimuon spectrum: the same muons and pairs as ``spectrum`` selects, for all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastjag.analyses.common.variations import VariationSettings, add_variations
from fastjag.dimuons import Dimuons, dimuon
from fastjag.jagged import Jagged
from fastjag.reporting.report import Report
from fastjag.variations import Variations

SIGNS = ("opposite", "same")


def varied(
    batch: Any, select: Callable[[Jagged], NDArray[np.bool_]], axis: Any,
    variations: Sequence[VariationSettings], threads: int | None,
) -> dict[str, Any]:  # fmt: skip
    """Mass of opposite- and same-sign pairs, with an axis of variations.

    ``select`` says which muons of all events of the batch are selected, (n_muons,).
    """
    v = Variations()

    @v.step
    def pairs(Muon: Jagged) -> Dimuons:
        return dimuon(Muon.keep(select(Muon)), "any", fields=("mass", "charge"), threads=threads)

    @v.step
    def opposite(pairs: Dimuons) -> Dimuons:
        found: Dimuons = pairs[pairs["charge"] == 0]
        return found

    @v.step
    def same(pairs: Dimuons) -> Dimuons:
        found: Dimuons = pairs[pairs["charge"] != 0]
        return found

    add_variations(v, variations)
    filled = v.histograms(batch, {sign: {"mass": axis} for sign in SIGNS}, threads=threads)
    return {sign: filled[sign]["mass"] for sign in SIGNS}


def section(
    histograms: dict[str, Any], windows: dict[str, tuple[float, float]], report: Report
) -> None:
    """The yields of each variation, relative to nominal, in the range and near the resonances."""
    report.heading("Variations")
    report.text(
        "Opposite-sign pairs of each variation over those of nominal; windows end at edges of bins."
    )
    report.table(*table(histograms, windows))


def table(
    histograms: dict[str, Any], windows: dict[str, tuple[float, float]]
) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    h = histograms["opposite"]
    edges = h.axes[1].edges
    parts = {"all": slice(None)} | {
        name: slice(*np.searchsorted(edges, window)) for name, window in windows.items()
    }
    nominal = {name: h["nominal", :].values()[part].sum() for name, part in parts.items()}
    rows = []
    for name in list(h.axes[0])[1:]:
        values = h[name, :].values()
        ratios = [
            f"{values[p].sum() / nominal[k]:.4f}" if nominal[k] else "" for k, p in parts.items()
        ]
        rows.append((name, *ratios))
    return ("variation", *parts), rows
