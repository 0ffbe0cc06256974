"""The picture of a fitted diphoton mass spectrum."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastjag.analyses.diphoton.massfit import MassFit
from fastjag.reporting.plots import BLUE, RED, figure


def mass_spectrum(fit: MassFit, title: str = "") -> Any:
    """Spectrum with the fit and its background; below, the spectrum without the background."""
    with figure(10, 9) as (fig, single):
        single.remove()
        top, bottom = fig.subplots(2, 1, sharex=True, height_ratios=[3, 1.3])
        centres = (fit.edges[1:] + fit.edges[:-1]) / 2
        error = np.sqrt(fit.variances)
        points = {"fmt": "ko", "ms": 5, "lw": 1.3}
        found, uncertain = fit.values["events"], fit.errors["events"]
        top.errorbar(centres, fit.counts, error, label="Events", **points)
        top.plot(
            centres, fit.background + fit.signal, color=RED, lw=2,
            label=f"Fit: {found:,.0f} ± {uncertain:,.0f} in the peak",
        )  # fmt: skip
        top.plot(
            centres, fit.background, color=BLUE, lw=2, ls="--",
            label=f"Polynomial of degree {fit.degree}",
        )  # fmt: skip
        width = fit.edges[1] - fit.edges[0]
        top.set_ylabel(f"Events / {width:.3g} GeV")
        top.set_ylim(0, 1.35 * float((fit.counts + error).max()))
        described = ", ".join(
            f"{name} {fit.values[name]:.2f} ± {fit.errors[name]:.2f} GeV"
            if fit.errors[name]
            else f"{name} {fit.values[name]:.2f} GeV (fixed)"
            for name in ("mean", "sigma")
        )
        shown = f"$\\chi^2$/ndf = {fit.chi2:.1f}/{fit.ndf}; {fit.significance:.1f}$\\sigma$"
        top.legend(loc="upper right", title=f"{described}\n{shown}", title_fontsize=14)
        bottom.errorbar(centres, fit.counts - fit.background, error, **points)
        bottom.plot(centres, fit.signal, color=RED, lw=2)
        bottom.axhline(0, color=BLUE, lw=1.5, ls="--")
        bottom.set(xlabel=r"$m_{\gamma\gamma}$ [GeV]", ylabel="Events - bkg.")
        bottom.set_xlim(fit.edges[0], fit.edges[-1])
        fig.align_ylabels()
        if title:
            top.set_title(title, loc="left", fontsize=15)
    return fig
