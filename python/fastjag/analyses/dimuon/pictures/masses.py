"""Pictures of mass spectra: triggers, isolation, background fit, what passes cuts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastjag.analyses.dimuon.preprocess import Floats
from fastjag.reporting.plots import (
    BLUE,
    RED,
    figure,
    legend_below,
    legend_beside,
    panels,
    ratio_figure,
)
from fastjag.reporting.points import mark_outside, middles, points, poisson_errors
from fastjag.reporting.titles import axis_title, plain
from fastjag.statistics import (
    BackgroundFit,
    Window,
    fit_background,
    fit_warning,
    sideband_chi2,
    significance,
)

CLASSES = {"OS": ("opposite sign", BLUE), "SS": ("same sign", RED)}
MASS = axis_title("dimu_mass")
_UPSILON = {"1S": 9.460, "2S": 10.023, "3S": 10.355}  # GeV


def percent(rate: float) -> str:
    """A share to two digits: "10 %" for 0.0999."""
    return f"{float(f'{100 * rate:.2g}'):g} %"


def whole_edges(window: Window) -> Floats:
    """Bin edges of sidebands and signal region together."""
    return np.concatenate([window.left, window.signal[1:], window.right[1:]])


def signal_region(ax: Any, window: Window, label: str | None = "signal region") -> None:
    """Grey behind everything else."""
    ax.axvspan(window.sr_left, window.sr_right, color="0.92", lw=0, zorder=-1, label=label)


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
    columns = 2 if len(chosen) in (2, 4) else 3
    with panels(len(chosen), columns, (5.2, 4.2), font=13, sharex=True) as (fig, axes):
        for ax, name in zip(axes, chosen, strict=True):
            masses = mass[inside & fired[name]]
            signal_region(ax, window)
            ax.set_xlim(edges[0], edges[-1])
            top = points(ax, edges, np.histogram(masses, edges)[0], ms=2.5, lw=0.9, label="data")
            left, signal, right, _ = window.count(masses)
            grid = np.linspace(edges[0], edges[-1], 200)
            fit = fit_background(left, right, window=window, degree=degree)
            excess = significance(left, signal, right, window=window, degree=degree)
            ax.plot(grid, fit(grid), color=RED, lw=1.7, label="fit to the sidebands")
            ax.set_ylim(0, 1.35 * top.max())
            chi2 = sideband_chi2(left, right, excess.coefficients, window=window)
            said = f"{numbers[name]:,} pairs, local Z = {excess.Z:.1f}\n{fit_warning(*chi2)}"
            ax.set_title(_break_lines(plain(name)), loc="left", fontsize=11)
            ax.text(0.97, 0.95, said.rstrip(), transform=ax.transAxes, ha="right", va="top",
                    fontsize=12)  # fmt: skip
        for ax in axes[-columns:]:
            ax.set_xlabel(MASS)
        for ax in axes[::columns]:
            ax.set_ylabel("Pairs / bin")
        legend_beside(fig, axes[0])
    return fig


def _break_lines(name: str, width: int = 42) -> str:
    """A long name in lines, broken at underscores."""
    lines = [""]
    for part in name.split("_"):
        if len(lines[-1]) + len(part) > width:
            lines.append("")
        lines[-1] += part + "_"
    return "\n".join(lines).rstrip("_")


def isolation(masses: Mapping[str, tuple[Floats, Floats | None]], window: Window) -> Any:
    """Masses of each charge class before and after the cuts on isolation, 55 bins."""
    edges = np.linspace(window.sb_left, window.sb_right, 56)
    with figure(11, 7.5) as (fig, ax):
        signal_region(ax, window, None)
        ax.set(xlabel=MASS, ylabel=f"Pairs / {edges[1] - edges[0]:.2g} GeV",
               xlim=(edges[0], edges[-1]))  # fmt: skip
        highest = 1.0
        for name, (after, before) in masses.items():
            label, colour = CLASSES[name]
            for values, cuts, marker in (
                (before, "before isolation", "s"),
                (after, "all cuts", "o"),
            ):
                if values is not None:
                    style: dict[str, Any] = {
                        "color": colour,
                        "fmt": marker,
                        "mfc": "w" if marker == "s" else colour,
                    }
                    counts = np.histogram(values, edges)[0]
                    top = points(ax, edges, counts, label=f"{label}, {cuts}", **style)
                    highest = max(highest, float(top.max()))
        ax.set_ylim(0, 1.45 * highest)
        ax.legend(fontsize=14, ncols=2, loc="upper right")
    return fig


def background_fit(mass: Floats, fit: BackgroundFit, sampled: Floats, n_flows: int) -> Any:
    """Sideband counts, the fit with its error, samples in the signal region, data there; pulls below."""
    w = fit.window
    edges = whole_edges(w)
    counts = np.histogram(mass, edges)[0]
    middle, grid = middles(edges), np.linspace(edges[0], edges[-1], 400)
    in_signal = (middle > w.sr_left) & (middle < w.sr_right)
    expected, error = fit(grid), fit.error(grid)
    with ratio_figure(11, 9) as (fig, (ax, below)):
        for part in (ax, below):
            signal_region(part, w)
        ax.set_xlim(edges[0], edges[-1])
        ax.plot(grid, expected, color=RED, lw=2,
                label=rf"fit: $\chi^2$ / dof = {fit.chi2:.1f} / {fit.dof} "
                      f"{fit_warning(fit.chi2, fit.dof)}")  # fmt: skip
        ax.fill_between(grid, expected - error, expected + error, color=RED, alpha=0.3, lw=0)
        drawn = np.histogram(sampled, w.signal)[0] / n_flows
        ax.stairs(drawn, w.signal, color=BLUE, lw=2, baseline=None,
                  label=f"masses drawn, {len(sampled) // n_flows:,} for each flow")  # fmt: skip
        errors = poisson_errors(counts)
        pull = _pulls(counts, errors, fit(middle))
        highest = 1.0
        for chosen, style in (
            (~in_signal, {"label": "data in the sidebands"}),
            (in_signal, {"label": "data in the signal region, not fitted", "mfc": "w", "ms": 6}),
        ):
            drawn_at = {"color": "k", "fmt": "o", "ms": 4, "lw": 1.2, **style}
            ax.errorbar(middle[chosen], counts[chosen], errors[:, chosen], **drawn_at)
            below.errorbar(middle[chosen], pull[chosen], 1, **drawn_at)
            highest = max(highest, float((counts + errors[1])[chosen].max(initial=0)))
        ax.set(ylabel="Pairs / bin", ylim=(0, 1.35 * highest))
        ax.legend(fontsize=14)
        below.axhline(0, color=RED, lw=1.5)
        below.set(xlabel=MASS, ylabel="Pull", ylim=(-4.5, 4.5))
        mark_outside(below, middle, pull)
    return fig


def _pulls(counts: Any, errors: Any, expected: Any) -> Any:
    """(counts - expected) over the error on the side of what is expected."""
    difference = counts - expected
    error = np.where(difference > 0, errors[0], errors[1])
    return np.divide(difference, error, where=error > 0, out=np.zeros(len(difference)))


def after_cuts(
    samples: Mapping[str, Sequence[tuple[Mapping[str, Any], Floats]]], window: Window
) -> Any:
    """The masses that pass cuts, with the fits and their errors: a column per charge class.

    ``samples[name]`` holds (spectrum, masses), spectra as in ``significance.json`` with the ``Z`` of
    their cut.
    """
    edges = whole_edges(window)
    rows = max(map(len, samples.values()))
    n = len(samples)
    size = (8.0, 2.9) if n > 1 else (11.0, 2.9)
    with panels(rows * n, n, size, font=14, sharex=True) as (fig, axes):
        for column, (name, spectra) in enumerate(samples.items()):
            for row in range(rows):
                ax = axes[row * n + column]
                if row >= len(spectra):
                    ax.remove()  # rates that coincide
                    continue
                _spectrum(ax, *spectra[row], window, edges, CLASSES[name])
                if column == 0:
                    ax.set_ylabel("Pairs / bin")
            axes[column].set_title(CLASSES[name][0], loc="left", fontsize=15)
            _name_upsilons(axes[column], window)
            axes[(len(spectra) - 1) * n + column].set_xlabel(MASS)
        legend_below(fig, *axes[:n])
    return fig


def _spectrum(
    ax: Any, fit: Mapping[str, Any], masses: Floats, window: Window, edges: Floats,
    look: tuple[str, str],
) -> None:  # fmt: skip
    """Points, the fit with its error, and what they are, in one panel."""
    text, colour = look
    signal_region(ax, window)
    ax.set_xlim(edges[0], edges[-1])
    counts = np.histogram(masses, edges)[0]
    top = points(ax, edges, counts, zeros=False, ms=3.5, lw=1, label="data")
    curve, error = np.array(fit["background"]), np.array(fit["error"], float)
    ax.fill_between(fit["mass"], curve - error, curve + error, color=colour, alpha=0.3, lw=0)
    ax.plot(fit["mass"], curve, color=colour, lw=1.8, label=f"fit to the sidebands, {text}")
    ax.set_ylim(0, 1.3 * max(float(top.max()), float(curve.max())))
    said = f"{percent(fit['rate'])} of the sidebands: {len(masses):,} pairs"
    if fit.get("Z") is not None:
        said += f", local Z = {fit['Z']:.1f}"
    ax.text(0.98, 0.94, said, transform=ax.transAxes, ha="right", va="top", fontsize=13)


def _name_upsilons(ax: Any, window: Window) -> None:
    for name, mass in _UPSILON.items():
        if window.sb_left < mass < window.sb_right:
            ax.text(mass, 0.02, f"{name}", transform=ax.get_xaxis_transform(), ha="center",
                    va="bottom", fontsize=10)  # fmt: skip
            ax.plot([mass, mass], [0, 0.02], color="k", transform=ax.get_xaxis_transform())
