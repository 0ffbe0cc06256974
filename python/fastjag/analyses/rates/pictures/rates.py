"""Rates against pileup, and along runs."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastjag.analyses.rates.rates import SECTION_SECONDS
from fastjag.analyses.rates.results import RatesResult
from fastjag.reporting.plots import PALETTE, figure
from fastjag.reporting.titles import plain

_POINTS = 80  # of a run in the picture of rates along it
_DRAWN = 6  # runs, and triggers


def against_pileup(result: RatesResult) -> Any:
    """Unprescaled rates with the line, its error, and the proportional line (dashed)."""
    with figure(10, 7) as (fig, ax):
        at = result.target.pileup
        highest = max([r.pileup or 0 for r in result.rates] + [at or 0])
        grid = np.linspace(0, 1.08 * highest, 100)
        for i, (trigger, fits) in enumerate(list(result.fits.items())[:_DRAWN]):
            colour = PALETTE[i % 7]
            mine = [r for r in result.rates if r.trigger == trigger]
            values = [r.scaled(bunches=result.target.bunches) for r in mine]
            errors = [np.nan if e is None else e for _, e in values]
            mu = [r.pileup or np.nan for r in mine]
            ax.errorbar(mu, [v for v, _ in values], errors, fmt="o", color=colour,
                        label=plain(trigger))  # fmt: skip
            ax.plot(grid, fits["proportional"].slope * grid, color=colour, ls="--", lw=1.2)
            fit = fits.get("line", fits["proportional"])
            line = np.array([fit.predict(x)[0] for x in grid])
            ax.plot(grid, line, color=colour, lw=1.6)
            band = [fit.predict(x)[1] for x in grid]
            if None not in band:
                width = np.array(band, np.float64)
                ax.fill_between(grid, line - width, line + width, color=colour, alpha=0.25, lw=0)
            if at is not None:
                ax.plot(at, fit.predict(at)[0], "*", color=colour, ms=16, mec="k")
        ax.set(xlabel="Pileup", ylabel="Unprescaled rate [Hz]", xlim=(0, grid[-1]))
        ax.set_ylim(0, 1.2 * ax.get_ylim()[1])
        title = None if at is None else f"stars: line at pileup {at:g}"
        ax.legend(loc="upper left", fontsize=14, title=title, title_fontsize=14)
    return fig


def along_runs(result: RatesResult) -> Any:
    """Rates as recorded along the runs, of groups of sections; a panel per trigger."""
    counts = result.counts
    assert counts is not None
    triggers = list(counts.fired)[:_DRAWN]
    runs = list(dict.fromkeys(r.run for r in result.rates))[:_DRAWN]
    longest = max(int(np.count_nonzero(counts.run == run)) for run in runs)
    group = -(-longest // _POINTS)
    height = 3.4 * len(triggers) + 1.6
    with figure(11, height, len(triggers), squeeze=False) as (fig, panels):
        for panel, trigger in zip(panels.flat, triggers, strict=True):
            for colour, run in zip(PALETTE, runs, strict=False):
                rows = np.flatnonzero(counts.run == run)
                starts = np.arange(0, len(rows), group)
                sizes = np.diff(np.append(starts, len(rows)))
                section, n = (np.add.reduceat(column[rows], starts)
                              for column in (counts.section, counts.fired[trigger]))  # fmt: skip
                seconds = sizes * SECTION_SECONDS
                panel.errorbar(section / sizes, n / seconds, np.sqrt(n) / seconds, fmt=".",
                               color=colour, label=f"run {run}", lw=1)  # fmt: skip
            panel.set_ylabel(f"{plain(trigger)}\n[Hz]", fontsize=14)
            panel.set_ylim(0, 1.1 * panel.get_ylim()[1])
        panels[0, 0].legend(fontsize=12, ncols=3, loc="lower left")
        panels[-1, 0].set_xlabel("Luminosity section")
    return fig
