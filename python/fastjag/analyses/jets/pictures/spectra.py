"""Spectra of tracks; spectra, shapes and mean images of jets, by flavour."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastjag.analyses.jets.results import TrackSpectrum
from fastjag.reporting.plots import BLUE, GREY, ORANGE, RED, VIOLET, figure

COLOURS = {"all": "k", "quark": BLUE, "gluon": ORANGE, "c": VIOLET, "b": RED}
_TRACKS = {"in jets": "k", "elsewhere": GREY, "in light jets": BLUE, "in c jets": VIOLET,
           "in b jets": RED}  # fmt: skip
_SPECTRA = ("pt", "constituent_pt", "dijet_mass")


def _stairs(ax: Any, h: Any, colour: str, label: str, *, spectrum: bool) -> None:
    """A histogram with its statistical error as a band: a spectrum per unit of x, others normalised."""
    edges = h.axes[0].edges
    scale = 1 / np.diff(edges) if spectrum else 1 / (h.values().sum() or 1.0)
    values, errors = scale * h.values(), scale * np.sqrt(h.variances())
    ax.stairs(values, edges, color=colour, lw=1.6, label=label)
    low, high = (np.append(values + s * errors, 0) for s in (-1, 1))
    ax.fill_between(edges, np.maximum(low, 0), high, step="post", color=colour, alpha=0.2, lw=0)


def _log_limits(ax: Any, histograms: list[Any]) -> None:
    """From below the lowest value worth showing to above the highest."""
    values = np.concatenate([h.values() / np.diff(h.axes[0].edges) for h in histograms])
    values = values[values > 0]
    if len(values):
        top = values.max()
        ax.set(yscale="log", ylim=(max(values.min() * 0.5, top * 1e-9), top * 30))


def draw_tracks(result: TrackSpectrum) -> Any:
    """|d_xy| of tracks in jets and elsewhere, and by flavour of the jet, per cm."""
    shown = {n: h for n, h in result.histograms.items() if result.counts[f"tracks {n}"]}
    with figure(11, 7.5) as (fig, ax):
        for name, h in shown.items():
            n = result.counts[f"tracks {name}"]
            _stairs(ax, h, _TRACKS[name], f"{name}: {n:,}", spectrum=True)
        _log_limits(ax, list(shown.values()))
        axis = next(iter(shown.values())).axes[0]
        weighted = "Tracks" if result.weight == "none" else f"Tracks, weighted by {result.weight},"
        ax.set(xscale="log", xlim=(axis.edges[0], axis.edges[-1]), xlabel=r"$|d_{xy}|$ [cm]",
               ylabel=f"{weighted} per cm")  # fmt: skip
        radius = result.selection.radius
        ax.legend(loc="upper right", title=rf"$\Delta R < {radius:g}$ of a jet, or elsewhere",
                  title_fontsize=15)  # fmt: skip
        ax.set_title(f"{result.counts['events']:,} events", loc="left", fontsize=15)
    return fig


def draw_shapes(histograms: dict[str, dict[str, Any]]) -> Any:
    """A panel per observable: spectra weighted per GeV, shapes normalised, by flavour."""
    rows = (len(histograms) + 1) // 2
    with figure(15, 5.2 * rows, rows, 2, squeeze=False) as (fig, panels):
        for panel in panels.flat[len(histograms) :]:
            panel.remove()
        for panel, (name, by_flavour) in zip(panels.flat, histograms.items(), strict=False):
            _draw_shape(panel, name, by_flavour)
    return fig


def _draw_shape(ax: Any, name: str, by_flavour: dict[str, Any]) -> None:
    spectrum = name in _SPECTRA
    shown = {f: h for f, h in by_flavour.items() if h.values().sum() and (spectrum or f != "all")}
    shown = shown or by_flavour
    for flavour, h in shown.items():
        _stairs(ax, h, COLOURS[flavour], flavour, spectrum=spectrum)
    axis = next(iter(shown.values())).axes[0]
    edges = axis.edges
    ax.set(xlim=(edges[0], edges[-1]), xlabel=axis.label)
    ax.set_ylabel("Sum of weights per GeV" if spectrum else "Share of jets")
    if spectrum:
        ax.set_xscale("log")
        _log_limits(ax, list(shown.values()))
    else:
        tops = [h.values().max() / max(h.values().sum(), 1e-300) for h in shown.values()]
        ax.set_ylim(0, 1.4 * max(*tops, 1e-6))
    if len(shown) > 1:
        ax.legend(loc="upper right")


def draw_images(images: dict[str, Any], half_width: float) -> Any:
    """Mean images side by side on one logarithmic scale."""
    shown = {k: v for k, v in images.items() if k != "all"} or images
    top = max(float(v.max()) for v in shown.values())
    n = len(shown)
    with figure(4.6 * n + 1.5, 5.2, 1, n, squeeze=False, sharey=True) as (fig, (axes,)):
        extent = (-half_width, half_width, -half_width, half_width)
        for ax, (name, image) in zip(axes, shown.items(), strict=True):
            drawn = ax.imshow(
                np.maximum(image, top * 1e-5), norm="log", vmin=top * 1e-5, vmax=top, extent=extent,
                origin="lower", cmap="viridis",
            )  # fmt: skip
            ax.set_title(name, fontsize=16)
            ax.set_xlabel(r"$\Delta\phi$")
        axes[0].set_ylabel(r"$\Delta\eta$")
        fig.colorbar(drawn, ax=list(axes), label=r"share of jet $p_T$", shrink=0.9)
    return fig
