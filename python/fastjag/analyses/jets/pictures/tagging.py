"""Scores of taggers."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastjag.analyses.jets.results import Tagging
from fastjag.reporting.plots import BLUE, RED, figure
from fastjag.reporting.points import band, efficiency_errors

_BINS = 25  # of a score


def draw_scores(result: Tagging) -> Any:
    """Scores of the test jets of both classes with their errors, a panel per tagger."""
    signal, background = result.classes
    with figure(7 * len(result.models), 6.2, 1, len(result.models), sharey=True, squeeze=False) as (
        fig, (axes,),
    ):  # fmt: skip
        lowest, highest = 1.0, 0.0
        for ax, (name, tagger) in zip(axes, result.models.items(), strict=True):
            for label, colour, dashes, which in (
                (signal, RED, "-", 1), (background, BLUE, "--", 0),
            ):  # fmt: skip
                values = tagger["scores"][result.labels == which]
                counts, edges = np.histogram(values, _BINS, (0, 1))
                share, errors = counts / len(values), efficiency_errors(counts, len(values))
                lowest, highest = min(lowest, 1 / len(values)), max(highest, float(share.max()))
                ax.stairs(share, edges, color=colour, ls=dashes, lw=1.8,
                          label=f"{label}: {len(values):,}")  # fmt: skip
                band(ax, edges, share, np.where(counts > 0, errors, 0), color=colour)
            ax.set(xlim=(0, 1), xlabel=f"Score of {name}")
            ax.legend(loc="upper center", ncols=2, title="test jets", title_fontsize=15)
        axes[0].set(
            yscale="log", ylim=(0.4 * lowest, 15 * highest), ylabel=f"Share of jets / {1 / _BINS:g}"
        )
    return fig
