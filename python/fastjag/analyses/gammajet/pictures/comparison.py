"""Distributions of data and simulation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastjag.reporting.plots import RED, figure
from fastjag.reporting.points import band, mark_overflow, points, ratio
from fastjag.reporting.titles import axis_title

_FALLING = ("photon_pt", "jet_pt")  # spectra over decades
_WIDEST = 0.5  # the ratio from 0.5 to 1.5, or nearer to 1 where that shows all
_SURE = 1e-10  # smaller p-values are all the same


def _title(name: str) -> str:
    return axis_title(name).replace("Jet", "Leading jet")


def distributions(compared: Mapping[str, Mapping[str, Any]]) -> Any:
    """Six columns (:func:`fastjag.analyses.gammajet.comparison.compare`), with their ratios below."""
    with figure(19, 14) as (fig, first):
        first.remove()
        grid = fig.add_gridspec(4, 3, height_ratios=[2.6, 1, 2.6, 1])
        for i, (name, content) in enumerate(compared.items()):
            top = fig.add_subplot(grid[2 * (i // 3), i % 3])
            below = fig.add_subplot(grid[2 * (i // 3) + 1, i % 3], sharex=top)
            _draw(top, content, falling=name in _FALLING)
            unit = _title(name).partition("[")[2].partition("]")[0]
            width = content["edges"][1] - content["edges"][0]
            top.set_ylabel(f"Share of events / {width:.2g} {unit}".rstrip(), fontsize=17)
            _draw_ratio(below, content)
            below.set_xlabel(_title(name))
            data = content["data"]
            mark_overflow(top, 100 * data["below"], 100 * data["above"], " %", height=0.76)
            fig.align_ylabels([top, below])
    return fig


def _draw(ax: Any, content: Mapping[str, Any], *, falling: bool) -> None:
    edges, data, simulation = (content[k] for k in ("edges", "data", "simulation"))
    width, p = np.diff(edges), content["test"].p
    if falling:
        ax.set_yscale("log")
    share, error = simulation["density"] * width, simulation["error"] * width
    ax.stairs(share, edges, color=RED, lw=1.8, label="simulation")
    band(ax, edges, share, error, color=RED)
    ends = points(ax, edges, data["density"] * width, variances=(data["error"] * width) ** 2,
                  label="data")  # fmt: skip
    highest = max(float(ends.max()), float((share + error).max()))
    if falling:
        lowest = min(x[x > 0].min() for x in (share, data["density"] * width) if (x > 0).any())
        ax.set_ylim(0.3 * lowest, 30 * highest)
    else:
        ax.set_ylim(0, 1.5 * highest)
    ax.set_xlim(edges[0], edges[-1])
    said = f"KS p = {p:.2g}" if p > _SURE else "KS p < $10^{-10}$"
    ax.legend(fontsize=14, loc="upper right", title=said, title_fontsize=14, ncols=2)
    ax.tick_params(labelbottom=False)


def _draw_ratio(ax: Any, content: Mapping[str, Any]) -> None:
    """Data over simulation with the errors of the data; those of simulation are the band."""
    data, simulation = content["data"], content["simulation"]
    with np.errstate(divide="ignore", invalid="ignore"):
        values, error, spread = (
            np.where(simulation["density"] > 0, x / simulation["density"], np.nan)
            for x in (data["density"], data["error"], simulation["error"])
        )
    known = np.isfinite(values)
    band(ax, content["edges"], np.ones(len(values)), np.where(known, spread, 0), color=RED)
    reach = float((np.abs(values[known] - 1) + error[known]).max(initial=0.05))
    reach = min(_WIDEST, 1.1 * reach)
    ratio(ax, content["edges"], values, error, limits=(1 - reach, 1 + reach),
          title="Data / sim.")  # fmt: skip
