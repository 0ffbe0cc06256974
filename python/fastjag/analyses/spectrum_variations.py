"""Variations of the dimuon spectrum: the same muons and pairs as ``spectrum`` selects, for all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastjag.analyses.common import varied as common
from fastjag.analyses.common.variations import VariationSettings
from fastjag.dimuons import Dimuons, dimuon
from fastjag.jagged import Jagged
from fastjag.reporting.report import Report
from fastjag.variations import Variations

SIGNS = ("opposite", "same")


def varied(
    batch: Any, select: Callable[[Jagged], NDArray[np.bool_]], axis: Any,
    variations: Sequence[VariationSettings], threads: int | None,
) -> common.Varied:  # fmt: skip
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

    return common.fill(v, variations, batch, {sign: {"mass": axis} for sign in SIGNS}, threads)


def section(found: common.Varied, windows: dict[str, tuple[float, float]], report: Report) -> None:
    """The yields of each variation, relative to nominal, in the range and near the resonances."""
    h = found.histograms["opposite"]
    edges = h.axes[1].edges
    parts = {"all": slice(None)} | {
        name: slice(*np.searchsorted(edges, window)) for name, window in windows.items()
    }
    report.heading("Variations")
    report.text(
        "Opposite-sign pairs of each variation over those of nominal; windows end at edges of bins."
    )
    names = list(h.axes[0])
    values = [h[name, :].values() for name in names]
    report.table(("variation", *parts), common.ratios(names, values, parts))
    common.outside_section(report, found.outside)
