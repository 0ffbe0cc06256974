"""The response against the photon's pt and against alpha."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fastjag.analyses.gammajet.profiles import Line, Profile
from fastjag.reporting.plots import BLUE, RED, figure

_LABEL = {"balance": "Balance", "mpf": "MPF"}
_STYLE = {"data": {"fmt": "ko"}, "simulation": {"fmt": "s", "color": RED, "mfc": "white"}}
_COLOUR = {"balance": BLUE, "mpf": RED}


def alpha_dependence(lines: Sequence[tuple[str, str, Profile, Line]]) -> Any:
    """Means in bins of alpha and the lines through them, of (sample, estimator)."""
    with figure(10, 7) as (fig, ax):
        for name, estimator, means, line in lines:
            colour = _COLOUR[estimator]
            ax.errorbar(means.x, means.mean, means.error, fmt="o" if name == "data" else "s",
                        color=colour, mfc=colour if name == "data" else "white",
                        label=f"{_LABEL[estimator]}, {name}: "
                              f"{line.intercept:.4f} $\\pm$ {line.error:.4f}")  # fmt: skip
            x = np.array([0, np.nanmax(means.x)])
            ax.plot(x, line.intercept + line.slope * x, color=colour,
                    ls="-" if name == "data" else "--", lw=1.4)  # fmt: skip
        ax.set(xlabel=r"$\alpha$", ylabel="Mean response")
        ax.set_xlim(left=0)
        low, high = ax.get_ylim()
        ax.set_ylim(low, high + 0.3 * (high - low))
        ax.legend(fontsize=14, loc="upper right", title=r"response at $\alpha=0$",
                  title_fontsize=14)  # fmt: skip
    return fig


def _points(measured: Mapping[str, Any], name: str, estimator: str, eta: list[float]) -> Any:
    """The bins of one profile that have a mean."""
    (part,) = (p for p in measured[name] if p["estimator"] == estimator and p["eta"] == eta)
    return [b for b in part["bins"] if b["mean"] is not None and b["error"] is not None]


def closure(measured: Mapping[str, Any], eta: list[float]) -> Any:
    """Means and limits of both estimators against the photon's pt, data over simulation below."""
    names = [n for n in ("data", "simulation") if n in measured]
    with figure(15, 8) as (fig, first):
        first.remove()
        grid = fig.add_gridspec(2, 2, height_ratios=[3, 1.3])
        for i, estimator in enumerate(("balance", "mpf")):
            top = fig.add_subplot(grid[0, i])
            below = fig.add_subplot(grid[1, i], sharex=top)
            points = {n: {b["low"]: b for b in _points(measured, n, estimator, eta)} for n in names}
            for name in names:
                bins = list(points[name].values())
                x = np.array([b["pt"] for b in bins])
                top.errorbar(x, [b["mean"] for b in bins], [b["error"] for b in bins],
                             xerr=[x - [b["low"] for b in bins], [b["high"] for b in bins] - x],
                             label=name, ms=6, lw=1.4, **_STYLE[name])  # fmt: skip
                lines = [b for b in bins if b["line"]["intercept"] is not None]
                for k, b in enumerate(lines):
                    a, e = b["line"]["intercept"], b["line"]["error"]
                    top.fill_between(
                        [b["low"], b["high"]], a - e, a + e, alpha=0.25, lw=0,
                        color="k" if name == "data" else RED,
                        label=rf"{name}, $\alpha\to 0$" if k == 0 else None,
                    )  # fmt: skip
            top.axhline(1, color="0.6", lw=1, ls=":")
            if not any(points.values()):  # an axis of nothing cannot be logarithmic
                (bins,) = (p["bins"] for p in measured[names[0]]
                           if p["estimator"] == estimator and p["eta"] == eta)  # fmt: skip
                top.set_xlim(bins[0]["low"], bins[-1]["high"])
            top.set(xscale="log", ylabel=f"{_LABEL[estimator]} response")
            top.tick_params(which="both", labelbottom=False)
            low, high = top.get_ylim()
            top.set_ylim(low, high + 0.45 * (high - low))
            top.legend(fontsize=12, ncols=2, loc="upper right", columnspacing=1.2)
            if len(names) == 2:
                both = [(points["data"][k], points["simulation"][k])
                        for k in points["data"] if k in points["simulation"]]  # fmt: skip
                ratio = [d["mean"] / s["mean"] for d, s in both]
                error = [r * np.hypot(d["error"] / d["mean"], s["error"] / s["mean"])
                         for r, (d, s) in zip(ratio, both, strict=True)]  # fmt: skip
                below.errorbar([d["pt"] for d, _ in both], ratio, error, fmt="ko", ms=6, lw=1.4)
            below.axhline(1, color="0.6", lw=1, ls=":")
            below.set(xlabel=r"Photon $p_T$ [GeV]", ylabel="Data / sim.")
    return fig
