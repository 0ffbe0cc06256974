"""The picture of a fitted peak: points, fit and pulls, from plain numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastjag.reporting.plots import BLUE, RED, ratio_figure


def peak_picture(
    edges: Any,
    counts: Any,
    errors: Any,
    curves: tuple[Any, Any, Any],
    pulls: Any,
    *,
    text: Sequence[str] = (),
    warnings: Sequence[str] = (),
    label: str = "mass [GeV]",
    entries: str = "Entries",
) -> Any:
    """Bins with errors (2, n_bins) below and above; curves are (x, all, background) per unit of x."""
    middle, width = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
    equal = np.allclose(width, width[0], rtol=1e-6)
    bin_width = float(width[0]) if equal else 1.0
    to_bins = bin_width / width  # per GeV where bins differ
    x, total, below = curves
    unit = label.partition("[")[2].partition("]")[0] or "unit"
    with ratio_figure() as (fig, (top, bottom)):
        across = None if equal else width / 2
        points = {"xerr": across, "fmt": "ko", "ms": 5, "lw": 1.4}
        top.errorbar(middle, counts * to_bins, errors * to_bins, label="data", **points)
        top.plot(x, total * bin_width, color=RED, lw=2, label="fit")
        top.plot(x, below * bin_width, color=BLUE, lw=2, ls="--", label="background")
        top.set_ylabel(f"{entries} / {bin_width:.3g} {unit}" if equal else f"{entries} / {unit}")
        highest = max(float(((counts + errors[1]) * to_bins).max()), float(total.max() * bin_width))
        top.set_ylim(0, 1.45 * highest)  # room for legend and numbers above the data
        top.legend(loc="upper right")
        lines = "\n".join([*text, *(w for w in warnings if w.startswith("!"))])
        top.text(0.03, 0.96, lines, transform=top.transAxes, va="top", fontsize=15)
        most = max(3.5, 1.1 * (1 + float(np.abs(pulls).max())))
        bottom.axhspan(-2, 2, color="0.92", lw=0)
        bottom.axhline(0, color=RED, lw=1.5)
        bottom.errorbar(middle, pulls, np.ones(len(pulls)), **points)
        bottom.set(xlabel=label, ylabel="Pull", ylim=(-most, most), xlim=(edges[0], edges[-1]))
    return fig
