"""ROC curves and scores of taggers."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastjag.analyses.jets.results import Tagging
from fastjag.reporting.plots import BLUE, RED, figure, line_style
from fastjag.reporting.points import band, efficiency_errors
from fastjag.reporting.report import with_error

_BINS = 25  # of a score


def draw_roc(result: Tagging) -> Any:
    """Mistag rate against efficiency, with the statistical error of the rate as a band."""
    with figure(10, 8) as (fig, ax):
        lowest = 1.0
        for i, (name, tagger) in enumerate(result.models.items()):
            x, y = tagger["efficiency"], tagger["mistag"]
            below, above = np.asarray(tagger["mistag_error"])
            good = y > 0
            lowest = min(lowest, float(y[good].min(initial=1)))
            style = line_style(i)
            said = f"{name}: AUC {with_error(tagger['auc'], tagger['auc_error'])}"
            ax.plot(x[good], y[good], lw=2, label=said, **style)
            # Where no other jet passes there is an upper limit alone.
            ax.fill_between(x, np.where(good, y - below, 1e-9), y + above, color=style["color"],
                            alpha=0.2, lw=0)  # fmt: skip
        grid = np.linspace(1e-3, 1, 200)
        ax.plot(grid, grid, color="0.5", ls=(0, (1, 3)), label="no separation")
        signal, background = result.classes
        ax.set(yscale="log", xlim=(0, 1), ylim=(max(1e-4, lowest * 0.3), 1.2))
        ax.set(xlabel=f"Efficiency of {signal} jets", ylabel=f"Mistag rate of {background} jets")
        ax.legend(loc="lower right", fontsize=15)
    return fig


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
