"""Pictures of features: charge classes, bands, what passes cuts, samples against data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fastjag.analyses.dimuon.pictures.masses import CLASSES
from fastjag.analyses.dimuon.preprocess import Floats
from fastjag.reporting.plots import (
    BLUE,
    ORANGE,
    PALETTE,
    RED,
    VIOLET,
    legend_below,
    legend_beside,
    panels,
)
from fastjag.reporting.points import mark_overflow, points, poisson_errors, ratio
from fastjag.reporting.titles import axis_title

_CUTS = (BLUE, ORANGE, RED, VIOLET)  # on grey
_LIMITS = (0.0, 2.0)  # of data over flows


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


def _edges(values: Floats, left_out: float) -> Floats:
    """Of 30 bins for all but so large a share of the values on either side."""
    low, high = np.quantile(values, [left_out, 1 - left_out])
    return np.linspace(low, high, 31)


def _count_outside(ax: Any, values: Floats, edges: Floats) -> None:
    mark_overflow(ax, int((values < edges[0]).sum()), int((values > edges[-1]).sum()))


def observables(
    tables: Mapping[str, Mapping[str, Floats]], names: Sequence[str], *, density: bool
) -> Any | None:
    """Every observable of each charge class: densities, or pairs per bin with errors.

    Those without a finite value are left out; None where that leaves none. The numbers in the
    corners are pairs of all classes beyond the axes.
    """

    def finite(name: str) -> list[Floats]:
        values = (np.asarray(t[name], np.float64) for t in tables.values())
        return [v[np.isfinite(v)] for v in values]

    shown = [n for n in names if sum(map(len, finite(n))) > 1]
    if not shown:
        return None
    row = 4 if len(shown) % 4 == 0 or len(shown) < 5 else 5
    with panels(len(shown), row, (4.6, 3.7), font=13) as (fig, axes):
        for ax, name in zip(axes, shown, strict=True):
            samples = finite(name)
            together = np.concatenate(samples)
            edges, logarithmic = bins_for(name, together, 25)
            ax.set(xlabel=axis_title(name), xlim=(edges[0], edges[-1]))
            if logarithmic:
                ax.set_xscale("log")
            top = 0.0
            for charge_class, values in zip(tables, samples, strict=True):
                text, colour = CLASSES[charge_class]
                counts = np.histogram(values, edges)[0]
                scale = 1 / (max(1, len(values)) * np.diff(edges)) if density else 1.0
                ax.stairs(counts * scale, edges, color=colour, lw=1.2)
                ends = points(
                    ax, edges, counts, scale=scale, color=colour, ms=2.5, lw=1, label=text
                )
                top = max(top, float(ends.max()))
            ax.set_ylim(0, 1.2 * top)
            _count_outside(ax, together, edges)
        for ax in axes[::row]:
            ax.set_ylabel("Density" if density else "Pairs / bin")
        legend_below(fig, axes[0], size=17)
    return fig


def _preprocessed(name: str) -> str:
    return f"{axis_title(name, unit=False)} (preprocessed)"


def bands(values: Floats, mass: Floats, names: Sequence[str], low: float, high: float) -> Any:
    """Preprocessed features in the sidebands and the signal region, normalised."""
    parts = {"left sideband": mass < low, "signal region": (mass >= low) & (mass < high),
             "right sideband": mass >= high}  # fmt: skip
    with panels(len(names), 3, (5.4, 4.6), font=14) as (fig, axes):
        for i, (ax, name) in enumerate(zip(axes, names, strict=True)):
            edges = _edges(values[:, i], 0.001)
            top = 0.0
            for colour, marker, (text, chosen) in zip(PALETTE, "osv", parts.items(), strict=False):
                counts = np.histogram(values[chosen, i], edges)[0]
                scale = 1 / (max(1, chosen.sum()) * np.diff(edges))
                ax.stairs(counts * scale, edges, color=colour, lw=1.2)
                ends = points(ax, edges, counts, scale=scale, color=colour, fmt=marker, ms=4, lw=1,
                              label=text)  # fmt: skip
                top = max(top, float(ends.max()))
            ax.set(xlabel=_preprocessed(name), xlim=(edges[0], edges[-1]), ylim=(0, 1.15 * top))
            _count_outside(ax, values[:, i], edges)
        for ax in axes[::3]:
            ax.set_ylabel("Density")
        legend_beside(fig, axes[0], size=15)
    return fig


def after_cuts(
    features: Mapping[str, Floats], passing: Mapping[str, Any],
    before: Mapping[str, Floats] | None, background: Mapping[str, Floats], scale: float,
) -> Any:  # fmt: skip
    """Features in the signal region for what passes each cut (name to mask), without and with it.

    ``before`` are those before the cut on isolation, ``background`` the flows' samples times
    ``scale``.
    """
    with panels(len(features), 3, (5.6, 5.0), font=14) as (fig, axes):
        for ax, (name, values) in zip(axes, features.items(), strict=True):
            edges, logarithmic = bins_for(name, values, 25)
            ax.set(xlabel=axis_title(name), yscale="log", xlim=(edges[0], edges[-1]))
            if logarithmic:
                ax.set_xscale("log")
            ax.stairs(np.histogram(background[name], edges)[0] * scale, edges, color="0.85", fill=True,
                      label="flows, no cut")  # fmt: skip
            top = 1.0
            if before is not None:
                counts = np.histogram(before[name], edges)[0]
                ax.stairs(counts, edges, color="k", ls="--", lw=1.3, label="before isolation")
                top = float(counts.max())
            for colour, marker, (text, chosen) in zip(_CUTS, "osvD", passing.items(), strict=False):
                counts = np.histogram(values[chosen], edges)[0]
                ax.stairs(np.where(counts > 0, counts, np.nan), edges, color=colour, lw=1,
                          baseline=None)  # fmt: skip
                ends = points(ax, edges, counts, zeros=False, color=colour, fmt=marker, ms=4, lw=1, label=text)  # fmt: skip
                top = max(top, float(ends.max()))
            ax.set_ylim(0.3, 3 * top)
            _count_outside(ax, values, edges)
        for ax in axes[::3]:
            ax.set_ylabel("Pairs / bin")
        legend_beside(fig, axes[0], size=15)
    return fig


def samples_and_data(
    names: Sequence[str], samples: Floats, data: Floats, p_values: Mapping[str, float] | None = None
) -> Any:
    """Preprocessed features of samples and data above their ratio, for up to three in a row."""
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    heights = (2.2, 1) * rows
    with panels(
        2 * rows * columns, columns, (5.4, 3.0), font=14, height_ratios=heights
    ) as (fig, axes):  # fmt: skip
        for i in range(rows * columns):
            at = 2 * columns * (i // columns) + i % columns
            top, bottom = axes[at], axes[at + columns]
            if i >= len(names):
                top.remove(), bottom.remove()
                continue
            _samples_and_data(top, bottom, samples[:, i], data[:, i])
            bottom.set_xlabel(_preprocessed(names[i]))
            if p_values and names[i] in p_values:
                top.text(0.97, 0.84, f"KS: p = {p_values[names[i]]:.2g}", transform=top.transAxes,
                         va="top", ha="right", fontsize=13)  # fmt: skip
            if i % columns == 0:
                top.set_ylabel("Pairs / bin")
                bottom.set_ylabel("Data / flows")
        legend_beside(fig, axes[0], size=15)
    return fig


def _samples_and_data(top: Any, bottom: Any, samples: Floats, data: Floats) -> None:
    edges = _edges(np.concatenate([samples, data]), 0.002)
    scale = len(data) / len(samples)
    drawn = np.histogram(samples, edges)[0]
    expected, spread = drawn * scale, np.sqrt(drawn) * scale
    counts = np.histogram(data, edges)[0]
    for ax in (top, bottom):
        ax.set_xlim(edges[0], edges[-1])
    top.tick_params(labelbottom=False)
    top.stairs(expected, edges, color=BLUE, fill=True, alpha=0.4, label="flows")
    ends = points(top, edges, counts, ms=4, lw=1.2, label="data")
    top.set_ylim(0, 1.2 * max(float(ends.max()), float(expected.max())))
    _count_outside(top, data, edges)
    with np.errstate(divide="ignore", invalid="ignore"):
        known = np.where(expected > 0, expected, np.nan)
        share = np.nan_to_num(spread / known)
        bottom.fill_between(
            edges, np.append(1 - share, 1), np.append(1 + share, 1), step="post", color=BLUE,
            alpha=0.3, lw=0,
        )  # fmt: skip
        ratio(bottom, edges, counts / known, poisson_errors(counts) / known, limits=_LIMITS, title="",
              ms=4, lw=1.2)  # fmt: skip


def corner(names: Sequence[str], samples: Floats, data: Floats) -> Any:
    """Every feature and pair of features: samples (filled, blue) and data (black).

    Contours hold 39 %, 86 % and 99 % of each, one to three standard deviations of two dimensions.
    """
    n = len(names)
    ranges = [np.quantile(np.concatenate([samples[:, i], data[:, i]]), [0.003, 0.997])
              for i in range(n)]  # fmt: skip
    scale = len(data) / len(samples)
    with panels(n * n, n, (3.6, 3.2), font=13, sharex="col") as (fig, axes):
        for row in range(n):
            for column in range(n):
                ax = axes[row * n + column]
                if column > row:
                    ax.remove()
                    continue
                ax.set_xlim(ranges[column])
                if column == row:
                    edges = np.linspace(ranges[row][0], ranges[row][1], 31)
                    expected = np.histogram(samples[:, row], edges)[0] * scale
                    counts = np.histogram(data[:, row], edges)[0]
                    ax.stairs(expected, edges, color=BLUE, fill=True, alpha=0.4, label="flows")
                    ends = points(ax, edges, counts, ms=3, lw=1, label="data")
                    ax.set_ylim(0, 1.15 * max(float(ends.max()), float(expected.max())))
                    ax.set_yticks([])
                else:
                    _contours(ax, samples[:, [column, row]], ranges[column], ranges[row], fill=True)
                    _contours(ax, data[:, [column, row]], ranges[column], ranges[row], fill=False)
                    ax.set_ylim(ranges[row])
                if row == n - 1:
                    ax.set_xlabel(axis_title(names[column], unit=False))
                if column == 0 and row > 0:
                    ax.set_ylabel(axis_title(names[row], unit=False))
                elif column != row:
                    ax.set_yticklabels([])
        handles, said = axes[0].get_legend_handles_labels()
        # Where no panels are.
        fig.legend(handles, said, loc="upper right", fontsize=20, title_fontsize=16,
                   title="preprocessed; contours\nhold 39, 86 and 99 %")  # fmt: skip
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
