"""Whether predicted probabilities are shares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastjag.reporting.plots import BLUE, GREY, ratio_figure
from fastjag.reporting.titles import plain


def draw_calibration(calibration: Mapping[str, Any], signal: str) -> Any:
    """Shares of the class in bins of the predicted probability; below, their pulls."""
    rows = calibration["bins"]
    x, y, below, above, pull = (
        np.array([row[k] for row in rows]) for k in ("predicted", "share", "below", "above", "pull")
    )
    with ratio_figure(10, 9.5) as (fig, (top, low)):
        top.plot([0, 1], [0, 1], color=GREY, ls="--", lw=1.4, label="predicted = observed")
        said = f"test events, $\\chi^2$ / bins = {calibration['chi2']:.1f} / {calibration['dof']}"
        top.errorbar(x, y, np.stack([below, above]), fmt="o", color=BLUE, ms=7, lw=1.8, label=said)
        reach = min(
            1.0, np.ceil(11.5 * max(*x, *(y + above))) / 10
        )  # where there is a number at the axis
        top.set(ylabel=f"Share that is {plain(signal)}", xlim=(0, reach), ylim=(0, 1.25 * reach))
        top.legend(loc="upper left", fontsize=15)
        low.axhline(0, color=GREY, ls="--", lw=1.4)
        low.plot(x, pull, "o", color=BLUE, ms=7)
        most = max(3.5, 1.2 * float(np.abs(pull).max(initial=0)))
        low.set(xlabel=f"Predicted probability of {plain(signal)}", ylabel="Pull", ylim=(-most, most))  # fmt: skip
    return fig
