"""Pictures of fitted diphoton masses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastjag.analyses.diphoton.mass_fit import MassFit
from fastjag.reporting.plots import BLUE, RED, ratio_figure
from fastjag.reporting.points import band, mark_outside, points
from fastjag.reporting.report import with_error
from fastjag.reporting.titles import axis_title

CAPTIONS = {
    "spectrum": "Above: the spectrum with the fit of a peak, whose shape is that of simulated "
    "Higgs bosons, on a polynomial. Below: without the polynomial.",
    "peak": "Simulated Higgs bosons of all classes, by expected events, with the shape fitted. "
    "Below: distance to the fit in standard deviations; arrows: beyond the axes.",
}


def _results(fit: MassFit, significance: float | None = None) -> list[str]:
    """Lines of text: what was fitted, and how good that is."""
    said = []
    for name, symbol, unit in (
        ("events", r"$N_{\mathrm{peak}}$", ""), ("mean", r"$\mu$", " GeV"), ("sigma", r"$\sigma$", " GeV"),
    ):  # fmt: skip
        value, error = fit.values[name], fit.errors[name]
        shown = with_error(value, error).replace("±", r"$\pm$") if error else f"{value:.3f}"
        said.append(f"{symbol} = {shown}{unit}" + ("" if error else " (fixed)"))
    said.append(rf"$\chi^2$ / ndf = {fit.chi2:.0f} / {fit.ndf}")
    said += [] if fit.valid else ["! not valid"]
    return said + ([f"Z = {significance:.2f}"] if significance is not None else [])


def _draw(ax: Any, fit: MassFit, label: str, scale: float = 1.0) -> Any:
    """Points with errors, of Poisson where nothing is weighted; the ends of the errors."""
    counted = np.array_equal(fit.counts, fit.variances)
    return points(ax, fit.edges, fit.counts, scale=scale, label=label,
                  variances=None if counted else fit.variances)  # fmt: skip


def _say(ax: Any, lines: Sequence[str], x: float = 0.03) -> None:
    ax.text(x, 0.96, "\n".join(lines), transform=ax.transAxes, va="top", fontsize=15)


def spectrum(fit: MassFit, label: str = "events") -> Any:
    """Counts with errors, the fit, and what is left without the background."""
    edges, width = fit.edges, fit.edges[1] - fit.edges[0]
    with ratio_figure(10, 9.5, 0.33) as (fig, (top, below)):
        ends = _draw(top, fit, label)
        top.stairs(fit.background + fit.signal, edges, color=RED, lw=1.8, label="peak + polynomial")
        top.stairs(fit.background, edges, color=BLUE, lw=1.8, ls="--", label="polynomial")
        top.set_ylabel(f"Events / {width:.3g} GeV")
        top.set_ylim(0, 1.45 * float(ends.max()))
        top.legend(fontsize=15)
        _say(top, _results(fit, fit.significance), 0.3)
        middle, error = (edges[1:] + edges[:-1]) / 2, np.sqrt(fit.variances)
        below.errorbar(middle, fit.counts - fit.background, error, fmt="ko", ms=5, lw=1.4)
        below.stairs(fit.signal, edges, color=RED, lw=1.8)
        below.axhline(0, color=BLUE, ls="--")
        below.set(xlabel=axis_title("m_yy"), ylabel="Events - polynomial")
        below.set_xlim(edges[0], edges[-1])
    return fig


def peak(fit: MassFit) -> Any:
    """A peak without background on a logarithmic axis, and the pulls of its bins."""
    edges, width = fit.edges, fit.edges[1] - fit.edges[0]
    expected, middle = fit.background + fit.signal, (fit.edges[1:] + fit.edges[:-1]) / 2
    with ratio_figure(10, 9) as (fig, (top, below)):
        highest = float(fit.counts.max())
        top.set(yscale="log", ylim=(highest * 1e-4, highest * 30), xlim=(edges[0], edges[-1]))
        _draw(top, fit, "simulated Higgs bosons")
        top.stairs(expected, edges, color=RED, lw=1.8, label="fit")
        top.set_ylabel(f"Expected events / {width:.3g} GeV")
        there = fit.counts != 0
        mark_outside(top, middle[there], fit.counts[there])
        top.legend(fontsize=15)
        _say(top, _results(fit))
        filled = fit.variances > 0
        scale = np.divide(
            fit.variances, fit.counts, where=fit.counts != 0, out=np.ones(len(expected))
        )
        variances = np.maximum(np.abs(expected * scale), 1e-12)[filled]  # as in the fit's chi2
        pulls = (fit.counts - expected)[filled] / np.sqrt(variances)
        band(below, edges, np.zeros(len(expected)), np.full(len(expected), 2.0), color="0.5")
        below.axhline(0, color=RED, lw=1.5)
        below.errorbar(middle[filled], pulls, 1, fmt="ko", ms=5, lw=1.4)
        below.set(xlabel=axis_title("m_yy"), ylabel="Pull", ylim=(-6, 6))
        mark_outside(below, middle[filled], pulls)
    return fig
