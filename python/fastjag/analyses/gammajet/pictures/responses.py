"""The response against the photon's pt and against alpha."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fastjag.analyses.gammajet.profiles import Line, Profile
from fastjag.reporting.plots import BLUE, RED, figure
from fastjag.reporting.report import with_error
from fastjag.reporting.titles import axis_title

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
                              f"{with_error(line.intercept, line.error)}")  # fmt: skip
            x = np.array([0, np.nanmax(means.x)])
            ax.plot(x, line.intercept + line.slope * x, color=colour,
                    ls="-" if name == "data" else "--", lw=1.4)  # fmt: skip
        ax.set(xlabel=axis_title("alpha"), ylabel="Mean response")
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
    with figure(15, 9) as (fig, first):
        first.remove()
        grid = fig.add_gridspec(2, 2, height_ratios=[2.6, 1.3])
        for i, estimator in enumerate(("balance", "mpf")):
            top = fig.add_subplot(grid[0, i])
            below = fig.add_subplot(grid[1, i], sharex=top)
            points = {n: {b["low"]: b for b in _points(measured, n, estimator, eta)} for n in names}
            (bins,) = (p["bins"] for p in measured[names[0]]
                       if p["estimator"] == estimator and p["eta"] == eta)  # fmt: skip
            shown = [b for own in points.values() for b in own.values()] or bins
            top.set(xscale="log", ylabel=f"{_LABEL[estimator]} response",
                    xlim=(0.97 * min(b["low"] for b in shown), 1.03 * max(b["high"] for b in shown)))  # fmt: skip
            for part in measured.get("bands", ()):
                if part["eta"] == eta and part["estimator"] == estimator:
                    _draw_band(top, part["bins"])
            for name in names:
                _draw_response(top, list(points[name].values()), name)
            top.axhline(1, color="0.6", lw=1, ls=":")
            top.tick_params(which="both", labelbottom=False)
            low, high = top.get_ylim()
            top.set_ylim(low, high + 0.4 * (high - low))
            top.legend(fontsize=13, ncols=2, loc="upper right", columnspacing=1.2)
            if len(names) == 2:
                _draw_ratios(below, points)
            below.axhline(1, color="0.6", lw=1, ls=":")
            below.set(xlabel=axis_title("photon_pt"), ylabel="Data / sim.")
            _plain_numbers(below, [b["low"] for b in shown] + [b["high"] for b in shown])
            fig.align_ylabels([top, below])
    return fig


def _draw_band(ax: Any, bins: Sequence[Mapping[str, Any]]) -> None:
    """Shifts of the simulated mean by all variations."""
    known = [b for b in bins if b["band"] is not None]
    for k, b in enumerate(known):
        ax.fill_between(
            [b["low"], b["high"]], b["mean"] - b["band"], b["mean"] + b["band"], color=RED,
            alpha=0.15, hatch="//", lw=0, label="variations" if k == 0 else None,
        )  # fmt: skip


def _draw_response(ax: Any, bins: Sequence[Mapping[str, Any]], name: str) -> None:
    """Means as points, limits as boxes."""
    x, low, high = (np.array([b[k] for b in bins], np.float64) for k in ("pt", "low", "high"))
    ax.errorbar(x, [b["mean"] for b in bins], [b["error"] for b in bins], xerr=[x - low, high - x],
                label=name, ms=6, lw=1.4, **_STYLE[name])  # fmt: skip
    lines = [b for b in bins if b["line"]["intercept"] is not None]
    for k, b in enumerate(lines):
        a, e = b["line"]["intercept"], b["line"]["error"]
        ax.fill_between(
            [b["low"], b["high"]], a - e, a + e, alpha=0.25, lw=0,
            color="k" if name == "data" else RED,
            label=rf"{name}, $\alpha\to 0$" if k == 0 else None,
        )  # fmt: skip


def _draw_ratios(ax: Any, points: Mapping[str, Mapping[float, Any]]) -> None:
    """Data over simulation: of the means, and of the limits a little to the right."""
    both = [(points["data"][k], points["simulation"][k])
            for k in points["data"] if k in points["simulation"]]  # fmt: skip
    means = [(d["pt"], d["mean"], d["error"], s["mean"], s["error"]) for d, s in both]
    limits = [(d["pt"] ** 0.7 * d["high"] ** 0.3, d["line"]["intercept"], d["line"]["error"],
               s["line"]["intercept"], s["line"]["error"]) for d, s in both
              if None not in (d["line"]["intercept"], s["line"]["intercept"])]  # fmt: skip
    for rows, style, label in (
        (means, {"mfc": "k"}, "means"), (limits, {"mfc": "w"}, r"$\alpha\to 0$"),
    ):  # fmt: skip
        if rows:
            x, a, ea, b, eb = np.array(rows, np.float64).T
            ax.errorbar(x, a / b, a / b * np.hypot(ea / a, eb / b), fmt="o", color="k", ms=6, lw=1.4,
                        label=label, **style)  # fmt: skip
    if both:
        low, high = ax.get_ylim()
        ax.set_ylim(low, high + 0.35 * (high - low))
        ax.legend(fontsize=12, ncols=2, loc="upper right")


def _plain_numbers(ax: Any, borders: Sequence[float]) -> None:
    """Borders of bins as ticks, in numbers that are read as they are."""
    ticks = sorted(set(borders))
    kept = [ticks[0]]  # those that are far enough apart to be read
    for tick in ticks[1:]:
        if np.log(tick / kept[-1]) > 0.06 * np.log(ticks[-1] / ticks[0]):
            kept.append(tick)
    ax.set_xticks(kept, [f"{tick:g}" for tick in kept])
    ax.set_xticks([], minor=True)
