"""ROC curves and scores of taggers."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastjag.analyses.jets.results import Tagging
from fastjag.reporting.plots import BLUE, RED, VIOLET, figure


def draw_roc(result: Tagging) -> Any:
    """Mistag rate against efficiency."""
    with figure(9, 8) as (fig, ax):
        for i, (name, tagger) in enumerate(result.models.items()):
            good = tagger["mistag"] > 0
            ax.plot(
                tagger["efficiency"][good], tagger["mistag"][good],
                color=(BLUE, RED, VIOLET)[i % 3], lw=2,
                label=f"{name}: AUC {tagger['auc']:.4f} $\\pm$ {tagger['auc_error']:.4f}",
            )  # fmt: skip
        grid = np.linspace(1e-3, 1, 200)
        ax.plot(grid, grid, color="0.6", ls=":", label="no separation")
        signal, background = result.classes
        lowest = min(float(f["mistag"][f["mistag"] > 0].min()) for f in result.models.values())
        ax.set(yscale="log", xlim=(0, 1), ylim=(max(1e-4, lowest * 0.5), 2))
        ax.set(xlabel=f"Efficiency of {signal} jets", ylabel=f"Mistag rate of {background} jets")
        ax.legend(loc="lower right", fontsize=14)
    return fig


def draw_scores(result: Tagging) -> Any:
    """Scores of the test jets of both classes, a panel per tagger."""
    signal, background = result.classes
    with figure(11, 6, 1, len(result.models), squeeze=False) as (fig, (axes,)):
        for ax, (name, tagger) in zip(axes, result.models.items(), strict=True):
            for label, colour, which in ((signal, RED, 1), (background, BLUE, 0)):
                values = tagger["scores"][result.labels == which]
                counts, edges = np.histogram(values, 40, (0, 1))
                ax.stairs(counts / max(1, len(values)), edges, color=colour, lw=1.6, label=label)
            ax.set(xlim=(0, 1), yscale="log", xlabel=f"{name} score", ylabel="Share of test jets")
            ax.set_ylim(top=10 * ax.get_ylim()[1])
            ax.legend(loc="upper center", ncols=2)
    return fig
