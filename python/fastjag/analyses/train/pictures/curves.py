"""How the losses of a tagger fell, and its scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastjag.reporting.plots import BLUE, GREY, RED, figure, line_style
from fastjag.reporting.points import band
from fastjag.reporting.titles import plain


def draw_losses(losses: Mapping[str, Any], best: int, per: str) -> Any:
    """Losses of training and validation by epoch or round, and which one was kept."""
    with figure(10, 7) as (fig, ax):
        for name, colour, dashes in (("training", BLUE, "--"), ("validation", RED, "-")):
            values = np.asarray(losses[name], np.float64)
            style = {"marker": "o", "ms": 5} if len(values) <= 40 else {}
            ax.plot(np.arange(1, len(values) + 1), values, dashes, color=colour, lw=2, label=name, **style)  # fmt: skip
        # Below the legend, whichever epoch it is.
        ax.axvline(best + 1, ymax=0.78, color=GREY, lw=1.2, ls=":", label=f"{per} that is kept")
        ax.set(xlabel=per.capitalize(), ylabel="Loss (cross-entropy)")
        ax.xaxis.get_major_locator().set_params(integer=True)
        low, high = ax.get_ylim()
        ax.set_ylim(low, high + 0.28 * (high - low))
        ax.legend(loc="upper right", fontsize=15)
    return fig


def draw_scores(histograms: Mapping[str, Mapping[str, Any]], edges: Any, signal: str) -> Any:
    """Scores of the test events of each class with their errors."""
    edges = np.asarray(edges, np.float64)
    with figure(10, 7.5) as (fig, ax):
        highest, lowest = 0.0, 1.0
        for i, (name, content) in enumerate(histograms.items()):
            share, error = np.asarray(content["share"]), np.asarray(content["error"])
            style = line_style(i)
            ax.stairs(share, edges, lw=1.8, label=f"{plain(name)}: {content['events']:,} events", **style)  # fmt: skip
            band(ax, edges, share, error, color=style["color"])
            highest = max(highest, float(share.max()))
            lowest = min(lowest, float(share[share > 0].min(initial=1)))
        ax.set(yscale="log", xlim=(edges[0], edges[-1]), ylim=(0.4 * lowest, 12 * highest))
        ax.set(xlabel=f"Score of {plain(signal)}", ylabel=f"Share of events / {edges[1] - edges[0]:.2g}")  # fmt: skip
        ax.legend(loc="upper left", fontsize=15, ncols=2, title="test events", title_fontsize=15)
    return fig
