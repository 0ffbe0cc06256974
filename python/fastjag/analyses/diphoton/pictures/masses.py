"""Pictures of fitted diphoton masses: per bin of ``edges`` [GeV], events and what is expected."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastjag.reporting.plots import BLUE, RED, figure

CAPTIONS = {
    "spectrum": "Above: the spectrum with the fit of a peak, whose shape is that of simulated "
    "Higgs bosons, on a polynomial. Below: without the polynomial.",
    "peak": "Simulated Higgs bosons of all classes, by expected events, with the shape fitted.",
}


def spectrum(edges: Any, counts: Any, variances: Any, background: Any, signal: Any) -> Any:
    """Counts with errors, the fit, and what is left without the background."""
    middle, width = (edges[1:] + edges[:-1]) / 2, edges[1] - edges[0]
    error = np.sqrt(variances)
    with figure(10, 9, rows=2, sharex=True, height_ratios=(2.2, 1)) as (fig, (top, below)):
        top.errorbar(middle, counts, error, fmt="ko", ms=5, label="events")
        top.stairs(background + signal, edges, color=RED, lw=1.8, label="fit")
        top.stairs(background, edges, color=BLUE, lw=1.8, ls="--", label="polynomial")
        top.set_ylabel(f"Events / {width:.3g} GeV")
        top.set_ylim(0, 1.25 * float((counts + error).max()))
        top.legend(fontsize=14)
        below.errorbar(middle, counts - background, error, fmt="ko", ms=5)
        below.stairs(signal, edges, color=RED, lw=1.8)
        below.axhline(0, color=BLUE, ls="--")
        below.set(xlabel=r"$m_{\gamma\gamma}$ [GeV]", ylabel="Without it")
        below.set_xlim(edges[0], edges[-1])
    return fig


def peak(edges: Any, counts: Any, variances: Any, background: Any, signal: Any) -> Any:
    """A peak without background on a logarithmic axis."""
    middle, width = (edges[1:] + edges[:-1]) / 2, edges[1] - edges[0]
    with figure(9, 6.5) as (fig, ax):
        ax.errorbar(
            middle, counts, np.sqrt(variances), fmt="ko", ms=5, label="simulated Higgs bosons"
        )
        ax.stairs(background + signal, edges, color=RED, lw=1.8, label="fit")
        top = float(counts.max())
        ax.set(yscale="log", ylim=(top * 1e-4, top * 5), xlim=(edges[0], edges[-1]))
        ax.set(xlabel=r"$m_{\gamma\gamma}$ [GeV]", ylabel=f"Expected events / {width:.3g} GeV")
        ax.legend(fontsize=14)
    return fig
