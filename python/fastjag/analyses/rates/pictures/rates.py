"""Rates against pileup and along runs, and shares of the events."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastjag.analyses.rates.rates import SECTION_SECONDS
from fastjag.analyses.rates.results import RatesResult, shares_of
from fastjag.reporting.plots import RED, figure, line_style, ratio_figure
from fastjag.reporting.points import poisson_errors
from fastjag.reporting.titles import plain

_POINTS = 160  # in a panel of the picture of rates along runs
_DRAWN = 6  # triggers
_MARKERS = "os^vDP"


def _of_all(shown: int, number: int, what: str) -> str:
    """Says that some are left out; "" where none is."""
    return "" if shown == number else f"the first {shown} of {number} {what}"


def against_pileup(result: RatesResult) -> Any:
    """Unprescaled rates with the line, its error, and the proportional line; below over the line."""
    with ratio_figure(10, 9.5) as (fig, (top, below)):
        at = result.target.pileup
        highest = max([r.pileup or 0 for r in result.rates] + [at or 0])
        grid = np.linspace(0, 1.08 * highest, 100)
        for i, (trigger, fits) in enumerate(list(result.fits.items())[:_DRAWN]):
            colour, marker = line_style(i)["color"], _MARKERS[i]
            mine = [r for r in result.rates if r.trigger == trigger]
            values, errors = (
                np.array([np.nan if v[k] is None else v[k] for v in
                          (r.scaled(bunches=result.target.bunches) for r in mine)], np.float64)
                for k in (0, 1)
            )  # fmt: skip
            mu = np.array([r.pileup or np.nan for r in mine])
            points = {"fmt": marker, "color": colour, "ms": 6, "lw": 1.4}
            top.errorbar(mu, values, errors, label=plain(trigger), **points)
            top.plot(grid, fits["proportional"].slope * grid, color=colour, ls="--", lw=1.2)
            fit = fits.get("line", fits["proportional"])
            line, band = (np.array([np.nan if p is None else p for p in ps], np.float64)
                          for ps in zip(*(fit.predict(x) for x in grid), strict=True))  # fmt: skip
            top.plot(grid, line, color=colour, lw=1.6)
            top.fill_between(grid, line - band, line + band, color=colour, alpha=0.25, lw=0)
            if at is not None:
                top.plot(at, fit.predict(at)[0], "*", color=colour, ms=16, mec="k")
            expected = np.array([fit.predict(x)[0] for x in mu])
            step = 0.004 * highest * (i - (min(len(result.fits), _DRAWN) - 1) / 2)
            below.errorbar(mu + step, values / expected, errors / np.abs(expected), **points)
        below.axhline(1, color="0.5", ls=":", lw=1)
        top.set(ylabel="Unprescaled rate [Hz]", xlim=(0, grid[-1]))
        top.set_ylim(0, 1.25 * top.get_ylim()[1])
        below.set(xlabel="Pileup", ylabel="Rate / line")
        reach = 1.15 * np.abs(np.array(below.get_ylim()) - 1).max()
        below.set_ylim(1 - reach, 1 + reach)
        left_out = _of_all(min(_DRAWN, len(result.fits)), len(result.fits), "triggers")
        said = [] if at is None else [f"stars: line at pileup {at:g}"]
        title = "; ".join([*said, *([left_out] if left_out else [])])
        top.legend(loc="upper left", fontsize=15, title=title or None, title_fontsize=15)
    return fig


def along_runs(result: RatesResult) -> Any:
    """Rates as recorded, of groups of sections, run after run; the mean of each run in red."""
    counts = result.counts
    assert counts is not None
    triggers = list(counts.fired)[:_DRAWN]
    runs = np.unique(counts.run)
    group = -(-len(counts.run) // _POINTS)
    with figure(13, 3.6 * len(triggers) + 1.6, len(triggers), squeeze=False, sharex=True) as (
        fig, panels,
    ):  # fmt: skip
        for panel, trigger in zip(panels[:, 0], triggers, strict=True):
            first = 0
            for run in runs.tolist():
                rows = np.flatnonzero(counts.run == run)
                starts = np.arange(0, len(rows), group)
                n = np.add.reduceat(counts.fired[trigger][rows], starts)
                seconds = np.diff(np.append(starts, len(rows))) * SECTION_SECONDS
                middle = first + starts + np.diff(np.append(starts, len(rows))) / 2
                panel.errorbar(
                    middle, n / seconds, poisson_errors(n) / seconds, fmt="ko", ms=3, lw=1
                )
                total = len(rows) * SECTION_SECONDS
                panel.plot([first, first + len(rows)], [n.sum() / total] * 2, color=RED, lw=1.8,
                           zorder=3)  # fmt: skip
                first += len(rows)
                panel.axvline(first, color="0.8", lw=1)
            low, high = panel.get_ylim()
            panel.set_ylim(max(0, low - 0.1 * (high - low)), high + 0.1 * (high - low))
            panel.set_ylabel("Rate [Hz]")
            panel.text(0.01, 0.95, plain(trigger), transform=panel.transAxes, va="top", fontsize=15,
                       bbox={"fc": "w", "ec": "none", "alpha": 0.8, "pad": 2})  # fmt: skip
        _name_runs(panels[0, 0], counts.run, runs)
        panels[-1, 0].set(xlim=(0, len(counts.run)), xlabel="Luminosity sections, run after run")
        if left_out := _of_all(len(triggers), len(counts.fired), "triggers"):
            fig.suptitle(left_out, fontsize=14)
    return fig


def _name_runs(ax: Any, run: Any, runs: Any) -> None:
    """Numbers of the runs above the axes, as far as there is room for them."""
    sizes = np.array([np.count_nonzero(run == r) for r in runs])
    middle = np.cumsum(sizes) - sizes / 2
    twin = ax.secondary_xaxis("top")
    wide = sizes > 0.05 * len(run)
    twin.set_xticks(middle[wide], [f"run {r}" for r in runs[wide].tolist()], fontsize=13)
    twin.tick_params(which="both", length=0)
    twin.minorticks_off()


def shares(result: RatesResult) -> Any:
    """Share of the events of each run that fired a trigger, with Clopper-Pearson errors.

    Below: over the share of all runs.
    """
    found = shares_of(result)
    runs = list(dict.fromkeys(row["run"] for row in found))
    triggers = list(dict.fromkeys(row["trigger"] for row in found))
    with ratio_figure(10, 9) as (fig, (top, below)):
        for i, trigger in enumerate(triggers[:_DRAWN]):
            mine = [row for row in found if row["trigger"] == trigger]
            x = np.array([runs.index(row["run"]) for row in mine], np.float64)
            x += 0.05 * (i - (min(len(triggers), _DRAWN) - 1) / 2)
            y = np.array([row["share"] for row in mine])
            errors = np.array([(row["error_below"], row["error_above"]) for row in mine]).T
            style = {"fmt": _MARKERS[i], "ms": 7, "lw": 1.6, "color": line_style(i)["color"]}
            top.errorbar(x, y, errors, label=plain(trigger), **style)
            mean = sum(row["fired"] for row in mine) / sum(row["events"] for row in mine)
            if mean:
                below.errorbar(x, y / mean, errors / mean, **style)
        below.axhline(1, color="0.5", ls=":", lw=1)
        below.set_xticks(range(len(runs)), [str(run) for run in runs],
                         rotation=0 if len(runs) <= 8 else 90)  # fmt: skip
        below.tick_params(axis="x", which="minor", length=0)
        top.tick_params(axis="x", which="both", length=0)
        top.set(ylabel="Share of the events", xlim=(-0.5, len(runs) - 0.5))
        below.set(xlabel="Run", ylabel="Share / all runs")
        low, high = top.get_ylim()
        top.set_ylim(max(0, low), high + 0.3 * (high - low))
        left_out = _of_all(min(_DRAWN, len(triggers)), len(triggers), "triggers")
        top.legend(
            loc="upper left", fontsize=15, title=left_out or None, title_fontsize=14, ncols=2
        )
    return fig
