"""The picture of the scan of the whole spectrum."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastjag.analyses.dimuon.pictures.masses import MASS
from fastjag.reporting.plots import BLUE, RED, VIOLET, ratio_figure
from fastjag.reporting.points import points

_TICKS = (0.5, 1, 2, 5, 10, 20, 50, 100, 200)  # GeV
_STEPS = (0, 1, 2, 3, 5, 10, 20, 50, 100)  # of Z


def local_significance(scan: Mapping[str, Any]) -> Any:
    """The spectrum with its background, and the local significance at every mass."""
    edges, counts = np.array(scan["edges"]), np.array(scan["counts"])
    expected = np.array(scan["expected"], float)
    with ratio_figure(12, 10, share=0.4) as (fig, (top, bottom)):
        top.set(xscale="log", yscale="log", xlim=(edges[0], edges[-1]))
        ends = points(
            top, edges, counts, ms=2.5, lw=0.9, label="opposite-sign pairs, before the cuts"
        )
        fitted = np.where(expected > 0, expected, np.nan)
        top.stairs(fitted, edges, color=RED, lw=1.8, baseline=None,
                   label="background: fits without peaks")  # fmt: skip
        _excesses(bottom, scan)
        for peak in scan["peaks"]:
            for ax in (top, bottom):
                ax.axvspan(peak["low"], peak["high"], color="0.92", lw=0, zorder=-1)
            inside = (edges[1:] > peak["low"]) & (edges[:-1] < peak["high"])
            top.text(peak["mass"], 1.3 * ends[inside].max(), peak_label(peak), ha="center",
                     va="bottom", fontsize=13)  # fmt: skip
        top.set(ylabel="Pairs / bin", ylim=(0.4, 12 * max(1.0, float(ends.max()))))
        if bottom.get_legend_handles_labels()[0]:
            top.fill_between([], [], color=VIOLET, label="no usable background (below)")
        top.legend(loc="lower left", fontsize=14)
        shown = [t for t in _TICKS if edges[0] <= t <= edges[-1]]
        bottom.set_xticks(shown, [f"{t:g}" for t in shown])
        bottom.set_xlabel(MASS)
        bottom.minorticks_off()
    return fig


def _excesses(ax: Any, scan: Mapping[str, Any]) -> None:
    mass = np.array(scan["mass"], float)
    # What could not be fitted has no significance.
    Z = np.array([np.nan if z is None else z for z in scan["Z"]], float)
    usable = np.isfinite(Z) & np.array(scan.get("usable", True))
    step = np.sqrt(mass[1:] / mass[:-1]) if len(mass) > 1 else np.array([1.01])
    borders = np.append(mass / np.append(step[:1], step)[: len(mass)], mass[-1] * step[-1])
    ax.stairs(np.where(usable, Z, 0), borders, fill=True, color=BLUE)
    if not usable.all():
        ax.fill_between(
            mass, 0, 0.04, where=~usable, step="mid", color=VIOLET, lw=0,
            transform=ax.get_xaxis_transform(), label="no usable background",
        )  # fmt: skip
    largest = max([4.0, *Z[usable], *(p["Z"] for p in scan["peaks"] if p["Z"] is not None)])
    ax.set_yscale("symlog", linthresh=4)
    ax.set(ylabel="Local Z", ylim=(0, 1.5 * largest))
    shown = [z for z in _STEPS if z < 1.5 * largest]
    ax.set_yticks(shown, [str(z) for z in shown])
    for z in (3, 5):
        ax.axhline(z, color="0.7", lw=1, zorder=0)


def peak_label(peak: Mapping[str, Any]) -> str:
    """What a peak is, with its global significance."""
    names = [_symbol(name) for name in peak["names"]]
    if len(names) > 1 and names[0].startswith(r"$\Upsilon$"):
        names = [r"$\Upsilon$(" + ", ".join(n[len(r"$\Upsilon$(") : -1] for n in names) + ")"]
    what = ", ".join(names) if names else f"{peak['mass']:.3g} GeV, unknown"
    Z = peak.get("Z_global")
    return what if Z is None else f"{what}\nglobal Z = {Z:.1f}"


def _symbol(name: str) -> str:
    """J/psi and Upsilon(1S) in letters of physics."""
    return re.sub(r"\b(psi|Upsilon|phi|omega|rho|eta)\b", r"$\\\1$", name)
