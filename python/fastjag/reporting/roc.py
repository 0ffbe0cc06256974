"""ROC curves of taggers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastjag.reporting.plots import figure, line_style
from fastjag.reporting.report import with_error

_SMALLEST = 1e-4  # of the rates that are shown


def draw_roc(curves: Mapping[str, Mapping[str, Any]], efficiency_of: str, mistag_of: str) -> Any:
    """Mistag rate against efficiency of each curve, with the statistical error of the rate as a band.

    A curve has ``efficiency`` and ``mistag`` (n,), ``mistag_error`` (2, n) below and above, ``auc`` and
    ``auc_error``.
    """
    with figure(10, 8) as (fig, ax):
        lowest = 1.0
        for i, (name, curve) in enumerate(curves.items()):
            x, y = np.asarray(curve["efficiency"]), np.asarray(curve["mistag"])
            below, above = np.asarray(curve["mistag_error"])
            good = y > 0
            lowest = min(lowest, float(y[good].min(initial=1)))
            style = line_style(i)
            said = f"{name}: AUC {with_error(curve['auc'], curve['auc_error'])}"
            ax.plot(x[good], y[good], lw=2, label=said, **style)
            # Where nothing else passes there is an upper limit alone.
            ax.fill_between(x, np.where(good, y - below, 1e-9), y + above, color=style["color"],
                            alpha=0.2, lw=0)  # fmt: skip
        grid = np.linspace(1e-3, 1, 200)
        ax.plot(grid, grid, color="0.5", ls=(0, (1, 3)), label="no separation")
        ax.set(yscale="log", xlim=(0, 1), ylim=(max(_SMALLEST, lowest * 0.3), 1.3))
        ax.set(xlabel=f"Efficiency of {efficiency_of}", ylabel=f"Mistag rate of {mistag_of}")
        ax.legend(loc="lower right", fontsize=15)
    return fig
