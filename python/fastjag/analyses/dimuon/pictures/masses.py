"""Pictures of mass spectra: triggers, scan, isolation, background fit, what passes cuts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastjag.analyses.dimuon.preprocess import Floats
from fastjag.reporting.plots import BLUE, PALETTE, RED, VIOLET, figure, panels
from fastjag.statistics import (
    BackgroundFit,
    Window,
    fit_background,
    fit_warning,
    sideband_chi2,
    significance,
)

CLASSES = {"OS": ("opposite sign", BLUE), "SS": ("same sign", RED)}
MASS = r"$m_{\mu\mu}$ [GeV]"


def whole_edges(window: Window) -> Floats:
    """Bin edges of sidebands and signal region together."""
    return np.concatenate([window.left, window.signal[1:], window.right[1:]])


def signal_lines(ax: Any, window: Window) -> None:
    for border in (window.sr_left, window.sr_right):
        ax.axvline(border, color="0.4", ls=":", lw=1.2)


def trigger_masses(
    mass: Floats, fired: Mapping[str, NDArray[np.bool_]], window: Window, degree: int
) -> Any | None:
    """Masses of the pairs of each trigger with its fit, for up to 12 with the most pairs.

    ``mass`` (n_pairs,) and ``fired`` are those before the cuts. None where no trigger has 100.
    """
    inside = (mass >= window.sb_left) & (mass < window.sb_right)
    numbers = {name: int((inside & bits).sum()) for name, bits in fired.items()}
    chosen = sorted((n for n in numbers if numbers[n] >= 100), key=lambda n: -numbers[n])[:12]
    if not chosen:
        return None
    edges = whole_edges(window)
    with panels(len(chosen), 4, sharex=True) as (fig, axes):
        for ax, name in zip(axes, chosen, strict=True):
            masses = mass[inside & fired[name]]
            counts = np.histogram(masses, edges)[0]
            ax.stairs(counts, edges, color="k", lw=1.2)
            left, signal, right, _ = window.count(masses)
            grid = np.linspace(edges[0], edges[-1], 200)
            fit = fit_background(left, right, window=window, degree=degree)
            excess = significance(left, signal, right, window=window, degree=degree)
            ax.plot(grid, fit(grid), color=RED, lw=1.5)
            signal_lines(ax, window)
            ax.set_ylim(0, 1.6 * max(1, counts.max()))
            text = f"{_break_lines(name.removeprefix('HLT_'))}\n{numbers[name]:,} pairs, Z = {excess.Z:.2f}"
            chi2 = sideband_chi2(left, right, excess.coefficients, window=window)
            text += ("\n" + fit_warning(*chi2)).rstrip()
            ax.text(0.97, 0.96, text, transform=ax.transAxes, ha="right", va="top", fontsize=9)
        for ax in axes[-4:]:
            ax.set_xlabel(MASS)
        for ax in axes[::4]:
            ax.set_ylabel("Pairs per bin")
    return fig


def _break_lines(name: str, width: int = 34) -> str:
    """A long name in lines, broken at underscores."""
    lines = [""]
    for part in name.split("_"):
        if len(lines[-1]) + len(part) > width:
            lines.append("")
        lines[-1] += part + "_"
    return "\n".join(lines).rstrip("_")


def local_significance(scan: Mapping[str, Any]) -> Any:
    """The spectrum with its background, and the local significance at every mass."""
    edges, counts = np.array(scan["edges"]), np.array(scan["counts"])
    expected = np.array(scan["expected"])
    with panels(2, 1, (12, 4.6), font=16, sharex=True) as (fig, (top, bottom)):
        top.stairs(counts, edges, color="k", lw=1.2, label="opposite-sign pairs, before the cuts")
        top.stairs(expected, edges, color=RED, lw=1.6, label="background: fits without peaks")
        top.set(xscale="log", yscale="log", ylabel="Pairs per bin", xlim=(edges[0], edges[-1]))
        filled = counts[counts > 0]
        highest = filled.max() if len(filled) else 1
        top.set_ylim(0.5, highest * 20)
        # What could not be fitted has no significance.
        Z = np.array([np.nan if z is None else z for z in scan["Z"]])
        usable = np.isfinite(Z) & np.array(scan.get("usable", True))
        bottom.plot(scan["mass"], np.where(usable, Z, np.nan), color=BLUE, lw=1.5,
                    drawstyle="steps-mid")  # fmt: skip
        if not usable.all():
            bottom.fill_between(
                scan["mass"], 0, 0.04, where=~usable, step="mid", color=VIOLET, lw=0,
                transform=bottom.get_xaxis_transform(), label="no usable background",
            )  # fmt: skip
            bottom.legend(loc="upper left", fontsize=12)
        largest = max([5, *(p["Z"] for p in scan["peaks"] if p["Z"] is not None)])
        bottom.set(xlabel=MASS, ylabel="Local Z")
        bottom.set_yscale("symlog", linthresh=4)
        bottom.set_ylim(0, 2.5 * largest)
        steps = [z for z in (0, 1, 2, 3, 5, 10, 20, 50, 100) if z < 2.5 * largest]
        bottom.set_yticks(steps, [str(z) for z in steps])
        for z in (3, 5):
            bottom.axhline(z, color="0.7", lw=1, zorder=0)
        for peak in scan["peaks"]:
            for ax in (top, bottom):
                ax.axvspan(peak["low"], peak["high"], color="0.9", zorder=-1)
            inside = (edges[1:] > peak["low"]) & (edges[:-1] < peak["high"])
            top.text(
                peak["mass"], 1.6 * counts[inside].max(), peak_label(peak), ha="center",
                va="bottom", fontsize=12,
            )  # fmt: skip
        top.legend(loc="lower left", fontsize=13)
        ticks = [t for t in (0.5, 1, 2, 5, 10, 20, 50, 100, 200) if edges[0] <= t <= edges[-1]]
        bottom.set_xticks(ticks, [f"{t:g}" for t in ticks])
        bottom.minorticks_off()
    return fig


def peak_label(peak: Mapping[str, Any]) -> str:
    names = peak["names"]
    if len(names) > 1 and names[0].startswith("Upsilon"):
        return "Upsilon(" + ",".join(n[8:-1] for n in names) + ")"
    return ", ".join(names) if names else f"{peak['mass']:.3g} GeV ?"


def isolation(masses: Mapping[str, tuple[Floats, Floats | None]], window: Window) -> Any:
    """Masses of each charge class before and after the cuts on isolation, 89 bins."""
    edges = np.linspace(window.sb_left, window.sb_right, 90)
    with figure(11, 7.5) as (fig, ax):
        for name, (after, before) in masses.items():
            label, colour = CLASSES[name]
            if before is not None:
                ax.stairs(np.histogram(before, edges)[0], edges, color=colour, lw=1.6, ls="--",
                          label=f"{label}, before the cut on isolation")  # fmt: skip
            ax.stairs(np.histogram(after, edges)[0], edges, color=colour, lw=1.8,
                      label=f"{label}, all cuts")  # fmt: skip
        signal_lines(ax, window)
        ax.set(yscale="log", xlabel=MASS, ylabel="Pairs per bin", xlim=(edges[0], edges[-1]))
        low, high = ax.get_ylim()
        ax.set_ylim(max(low, 0.5), high * (high / max(low, 0.5)) ** 0.35)
        ax.legend(fontsize=13)
    return fig


def background_fit(mass: Floats, fit: BackgroundFit, sampled: Floats, n_flows: int) -> Any:
    """Sideband counts, the fit with its error, samples in the signal region, data there."""
    w = fit.window
    left, _, right, _ = w.count(mass)
    counts = np.concatenate([left, right])
    grid = np.linspace(w.left[0], w.right[-1], 400)
    expected, error = fit(grid), fit.error(grid)
    inside = np.histogram(mass, w.signal)[0]
    with figure(11, 7.5) as (fig, ax):
        ax.plot(grid, expected, color=RED, lw=2,
                label=rf"fit: $\chi^2$ / dof = {fit.chi2:.1f} / {fit.dof} "
                      f"{fit_warning(fit.chi2, fit.dof)}")  # fmt: skip
        ax.fill_between(grid, expected - error, expected + error, color=RED, alpha=0.3, lw=0)
        ax.errorbar(w.centers, counts, np.sqrt(counts), fmt="k.", label="data in the sidebands")
        middle = (w.signal[1:] + w.signal[:-1]) / 2
        ax.errorbar(middle, inside, np.sqrt(inside), fmt="o", mfc="w", color="0.5", ms=6,
                    label="data in the signal region, not fitted")  # fmt: skip
        drawn = np.histogram(sampled, w.signal)[0] / n_flows
        ax.stairs(drawn, w.signal, color=BLUE, lw=2,
                  label=f"masses drawn, {len(sampled) // n_flows:,} for each flow")  # fmt: skip
        signal_lines(ax, w)
        ax.set(xlabel=MASS, ylabel="Pairs per bin", xlim=(w.left[0], w.right[-1]))
        ax.set_ylim(0, 1.45 * max(counts.max(), inside.max(), 1))
        ax.legend(fontsize=14)
    return fig


def after_cuts(
    samples: Mapping[str, Sequence[tuple[Mapping[str, Any], Floats]]], window: Window
) -> Any:
    """For each charge class the masses that pass cuts, with the fits and their errors.

    ``samples[name]`` holds (spectrum, masses), spectra as in ``significance.json``.
    """
    edges = whole_edges(window)
    with panels(len(samples), 2, (8.5, 7.5), font=16, sharey=True) as (fig, axes):
        for ax, (name, spectra) in zip(axes, samples.items(), strict=True):
            for colour, (fit, masses) in zip(PALETTE, spectra, strict=False):
                curve, error = np.array(fit["background"]), np.array(fit["error"], float)
                low, high = (np.maximum(curve + sign * error, 1e-3) for sign in (-1, 1))
                ax.fill_between(fit["mass"], low, high, color=colour, alpha=0.25, lw=0)
                curve = np.where(curve > 1e-3, curve, np.nan)
                ax.plot(fit["mass"], curve, color=colour, ls="--", lw=1.2)
                counts = np.histogram(masses, edges)[0]
                ax.stairs(np.maximum(counts, 1e-3), edges, color=colour, lw=1.7,
                          label=f"{100 * fit['rate']:.3g} % of the sidebands: {len(masses):,} pairs")  # fmt: skip
            signal_lines(ax, window)
            for line in (9.460, 10.023, 10.355):
                if window.sb_left < line < window.sb_right:
                    ax.plot([line, line], [0.012, 0.03], color="k", lw=1.5)
            ax.set(yscale="log", xlabel=MASS, xlim=(edges[0], edges[-1]))
            ax.set_title(CLASSES[name][0], loc="left", fontsize=15)
            ax.legend(fontsize=12.5, loc="upper right")
        axes[0].set_ylabel("Pairs per bin")
        highest = max(np.histogram(m, edges)[0].max() for s in samples.values() for _, m in s)
        axes[0].set_ylim(0.01, max(1.0, highest) * 60)
    return fig
