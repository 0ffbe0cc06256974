"""Distributions of data and simulation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastjag.reporting.plots import RED, figure

_LABELS = {
    "photon_pt": r"Photon $p_T$ [GeV]", "photon_eta": r"Photon $\eta$",
    "jet_pt": r"Leading jet $p_T$ [GeV]", "jet_eta": r"Leading jet $\eta$",
    "alpha": r"$\alpha$", "mpf": "MPF response",
}  # fmt: skip


def distributions(compared: Mapping[str, Mapping[str, Any]]) -> Any:
    """Six columns (:func:`fastjag.analyses.gammajet.comparison.compare`), with their ratios below."""
    with figure(18, 12) as (fig, first):
        first.remove()
        grid = fig.add_gridspec(4, 3, height_ratios=[3, 1, 3, 1])
        for i, (name, content) in enumerate(compared.items()):
            top = fig.add_subplot(grid[2 * (i // 3), i % 3])
            below = fig.add_subplot(grid[2 * (i // 3) + 1, i % 3], sharex=top)
            edges, data, simulation = (content[k] for k in ("edges", "data", "simulation"))
            middle = (edges[1:] + edges[:-1]) / 2
            top.stairs(simulation["density"], edges, color=RED, lw=1.6, label="simulation")
            top.errorbar(middle, data["density"], data["error"], fmt="ko", ms=4, label="data")
            top.set_ylim(0, 1.4 * max(c["density"].max() for c in (data, simulation)))
            top.legend(fontsize=13, loc="upper right", title=f"KS p = {content['test'].p:.2g}",
                       title_fontsize=13)  # fmt: skip
            top.tick_params(labelbottom=False)
            top.set_ylabel("Density")
            with np.errstate(divide="ignore", invalid="ignore"):
                ratio = data["density"] / simulation["density"]
                spread = ratio * np.hypot(*(c["error"] / c["density"] for c in (data, simulation)))
            below.errorbar(middle, ratio, spread, fmt="ko", ms=4)
            below.axhline(1, color="0.6", ls=":")
            below.set_ylim(0.5, 1.5)
            below.set_xlabel(_LABELS[name])
            below.set_ylabel("Ratio")
    return fig
