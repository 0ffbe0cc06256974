"""Pictures of features: charge classes, bands, what passes cuts, samples against data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fastjag.analyses.dimuon.pictures.masses import CLASSES
from fastjag.analyses.dimuon.preprocess import Floats
from fastjag.reporting.plots import BLUE, PALETTE, panels
from fastjag.reporting.titles import plain

UNITS = {"pt": "GeV", "mass": "GeV", "deltapT": "GeV", "ip3d": "cm", "phi": "rad", "deltaR": ""}


def label(name: str) -> str:
    unit = next((u for end, u in UNITS.items() if name.endswith(end)), "")
    return f"{plain(name)} [{unit}]" if unit else plain(name)


def bins_for(name: str, values: Floats, n: int = 40) -> tuple[Floats, bool]:
    """Edges that hold nearly all values, and whether they are logarithmic (impact parameters)."""
    whole = values[np.isfinite(values)]
    if name.startswith("n_"):
        return np.arange(-0.5, max(2, np.quantile(whole, 0.999)) + 1.5), False
    low, high = np.quantile(whole, [0.002, 0.998])
    positive = whole[whole > 0]
    if name.endswith("ip3d") and len(positive) > 0.9 * len(whole):
        low, high = np.quantile(positive, [0.002, 0.998])
        return np.geomspace(low, high if high > low else 10 * low, n + 1), True
    return np.linspace(low, high if high > low else low + 1, n + 1), False


def observables(
    tables: Mapping[str, Mapping[str, Floats]], names: Sequence[str], *, density: bool
) -> Any | None:
    """Every observable of each charge class: densities, or pairs per bin with errors.

    Those without a finite value are left out; None where that leaves none.
    """

    def finite(name: str) -> list[Floats]:
        values = (np.asarray(t[name], np.float64) for t in tables.values())
        return [v[np.isfinite(v)] for v in values]

    shown = [n for n in names if sum(map(len, finite(n))) > 1]
    if not shown:
        return None
    row = 4 if len(shown) % 4 == 0 else 5
    with panels(len(shown), row, (3.9, 3.3)) as (fig, axes):
        for ax, name in zip(axes, shown, strict=True):
            samples = finite(name)
            edges, logarithmic = bins_for(name, np.concatenate(samples), 30)
            top = 0.0
            for charge_class, values in zip(tables, samples, strict=True):
                text, colour = CLASSES[charge_class]
                counts = np.histogram(values, edges)[0].astype(float)
                error = np.sqrt(counts)
                scale = np.ones(len(counts))
                if density:
                    scale = 1 / (max(1, len(values)) * np.diff(edges))
                ax.stairs(counts * scale, edges, color=colour, lw=1.5, label=text)
                middle = (
                    np.sqrt(edges[1:] * edges[:-1]) if logarithmic else (edges[1:] + edges[:-1]) / 2
                )
                ax.errorbar(middle, counts * scale, error * scale, fmt="none", ecolor=colour, lw=1)
                top = max(top, float((counts * scale).max()))
            ax.set(xlabel=label(name), xlim=(edges[0], edges[-1]))
            if logarithmic:
                ax.set_xscale("log")
            ax.set_ylim(0, 1.35 * top)
        for ax in axes[::row]:
            ax.set_ylabel("Density" if density else "Pairs per bin")
        axes[0].legend(loc="upper right")
    return fig


def bands(values: Floats, mass: Floats, names: Sequence[str], low: float, high: float) -> Any:
    """Preprocessed features in the sidebands and the signal region, normalised."""
    parts = {"left sideband": mass < low, "signal region": (mass >= low) & (mass < high),
             "right sideband": mass >= high}  # fmt: skip
    with panels(len(names), 3, (5.2, 4.6), font=14) as (fig, axes):
        for i, (ax, name) in enumerate(zip(axes, names, strict=True)):
            low, high = np.quantile(values[:, i], [0.001, 0.999])
            edges = np.linspace(low, high, 36)
            top = 0.0
            for colour, (text, chosen) in zip(PALETTE, parts.items(), strict=False):
                density = np.histogram(values[chosen, i], edges)[0] / max(1, chosen.sum())
                density = density / np.diff(edges)
                top = max(top, density.max())
                ax.stairs(density, edges, color=colour, lw=1.7, label=text)
            ax.set(xlabel=f"{plain(name)}, preprocessed", ylim=(0, 1.5 * top))
        axes[0].set_ylabel("Density")
        axes[0].legend(loc="upper right")
    return fig


def after_cuts(
    features: Mapping[str, Floats], passing: Mapping[str, Any],
    before: Mapping[str, Floats] | None, background: Mapping[str, Floats], scale: float,
) -> Any:  # fmt: skip
    """Features in the signal region for what passes each cut (name to mask), without and with it.

    ``before`` are those before the cut on isolation, ``background`` the flows' samples times
    ``scale``.
    """
    with panels(len(features), 3, (5.6, 5.2), font=14) as (fig, axes):
        for ax, (name, values) in zip(axes, features.items(), strict=True):
            edges, logarithmic = bins_for(name, values)
            if before is not None:
                ax.stairs(np.histogram(before[name], edges)[0], edges, color="k", ls="--", lw=1.3,
                          label="before isolation")  # fmt: skip
            ax.stairs(np.histogram(background[name], edges)[0] * scale, edges, color="0.8", fill=True,
                      label="flows, no cut")  # fmt: skip
            for colour, (text, chosen) in zip(PALETTE, passing.items(), strict=False):
                ax.stairs(
                    np.histogram(values[chosen], edges)[0], edges, color=colour, lw=1.8, label=text
                )
            ax.set(xlabel=label(name), yscale="log", xlim=(edges[0], edges[-1]))
            if logarithmic:
                ax.set_xscale("log")
            top = ax.get_ylim()[1]
            ax.set_ylim(0.5, top * (2 * top) ** 0.55)
        axes[0].set_ylabel("Pairs per bin")
        axes[0].legend(loc="upper right", ncols=2, fontsize=10.5)
    return fig


def samples_and_data(
    names: Sequence[str], samples: Floats, data: Floats, p_values: Mapping[str, float] | None = None
) -> Any:
    """Preprocessed features of samples and data: densities above their ratio."""
    n = len(names)
    with panels(2 * n, n, (5.0, 3.3), font=14, sharex="col", height_ratios=(2.2, 1)) as (fig, axes):
        for i, name in enumerate(names):
            top, bottom = axes[i], axes[n + i]
            both = np.concatenate([samples[:, i], data[:, i]])
            low, high = np.quantile(both, [0.002, 0.998])
            edges = np.linspace(low, high, 31)
            expected = np.histogram(samples[:, i], edges)[0] * (len(data) / len(samples))
            counts = np.histogram(data[:, i], edges)[0]
            middle = (edges[1:] + edges[:-1]) / 2
            top.stairs(expected, edges, color=BLUE, fill=True, alpha=0.45, label="flows")
            top.errorbar(middle, counts, np.sqrt(counts), fmt="k.", label="data")
            top.set_ylim(0, 1.45 * max(counts.max(), expected.max(), 1))
            if p_values and name in p_values:
                top.text(0.04, 0.94, f"KS: p = {p_values[name]:.3f}", transform=top.transAxes,
                         va="top", fontsize=11)  # fmt: skip
            filled = expected > 0
            bottom.errorbar(middle[filled], counts[filled] / expected[filled],
                            np.sqrt(counts[filled]) / expected[filled], fmt="k.")  # fmt: skip
            bottom.axhline(1, color=BLUE)
            bottom.set(
                ylim=(0.4, 1.6), xlabel=f"{plain(name)}, preprocessed", xlim=(edges[0], edges[-1])
            )
        axes[0].set_ylabel("Pairs per bin")
        axes[n].set_ylabel("data / flows")
        axes[0].legend(loc="upper right")
    return fig


def corner(names: Sequence[str], samples: Floats, data: Floats) -> Any:
    """Every feature and pair of features: samples (filled, blue) and data (black).

    Contours hold 39 %, 86 % and 99 % of each, one to three standard deviations of two dimensions.
    """
    n = len(names)
    ranges = [np.quantile(np.concatenate([samples[:, i], data[:, i]]), [0.003, 0.997])
              for i in range(n)]  # fmt: skip
    with panels(n * n, n, (3.4, 3.1), sharex="col") as (fig, axes):
        for row in range(n):
            for column in range(n):
                ax = axes[row * n + column]
                if column > row:
                    ax.remove()
                    continue
                ax.set_xlim(ranges[column])
                if column == row:
                    edges = np.linspace(ranges[row][0], ranges[row][1], 31)
                    expected = np.histogram(samples[:, row], edges)[0] / len(samples)
                    counts = np.histogram(data[:, row], edges)[0] / len(data)
                    ax.stairs(expected, edges, color=BLUE, fill=True, alpha=0.45, label="flows")
                    ax.stairs(counts, edges, color="k", lw=1.4, label="data")
                    ax.set_ylim(0, 1.4 * max(expected.max(), counts.max()))
                    ax.set_yticks([])
                    if row == 0:
                        ax.legend(loc="upper right")
                else:
                    _contours(ax, samples[:, [column, row]], ranges[column], ranges[row], fill=True)
                    _contours(ax, data[:, [column, row]], ranges[column], ranges[row], fill=False)
                    ax.set_ylim(ranges[row])
                if row == n - 1:
                    ax.set_xlabel(plain(names[column]))
                if column == 0 and row > 0:
                    ax.set_ylabel(plain(names[row]))
                elif column != row:
                    ax.set_yticklabels([])
    return fig


def _contours(ax: Any, points: Floats, x: Floats, y: Floats, *, fill: bool) -> None:
    counts, xs, ys = np.histogram2d(points[:, 0], points[:, 1], bins=28, range=[x, y])
    smooth = _smooth(_smooth(counts).T).T
    descending = np.sort(smooth.ravel())[::-1]
    total = np.cumsum(descending) / descending.sum()
    levels = [float(descending[np.searchsorted(total, q)]) for q in (0.989, 0.865, 0.393)]
    levels = sorted(set(levels))
    if len(levels) < 2:
        return
    middle = ((xs[1:] + xs[:-1]) / 2, (ys[1:] + ys[:-1]) / 2)
    if fill:
        shades = ("#d3e6f7", "#9fc8ec", BLUE)[: len(levels)]
        ax.contourf(*middle, smooth.T, [*levels, descending[0] * 1.001], colors=shades)
    else:
        ax.contour(*middle, smooth.T, levels, colors="k", linewidths=1)


def _smooth(counts: Floats) -> Floats:
    """Binomial smoothing along the first axis: contours of few events are ragged otherwise."""
    for _ in range(2):
        padded = np.pad(counts, ((1, 1), (0, 0)), mode="edge")
        counts = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    return counts
