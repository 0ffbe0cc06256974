"""Spectra, shapes and mean images of jets, by flavour."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastjag.analyses.jets.pictures.stairs import log_limits, stairs
from fastjag.reporting.plots import BLUE, ORANGE, RED, VIOLET, figure

COLOURS = {"all": "k", "quark": BLUE, "gluon": ORANGE, "c": VIOLET, "b": RED}
_SPECTRA = ("pt", "constituent_pt", "dijet_mass")


def draw_shapes(histograms: dict[str, dict[str, Any]]) -> Any:
    """A panel per observable: spectra weighted per GeV, shapes normalised, by flavour."""
    rows = (len(histograms) + 1) // 2
    with figure(15, 5.2 * rows) as (fig, ax):
        ax.remove()
        panels = fig.subplots(rows, 2, squeeze=False).ravel()
        for panel in panels[len(histograms) :]:
            panel.remove()
        for panel, (name, by_flavour) in zip(panels, histograms.items(), strict=False):
            _draw_shape(panel, name, by_flavour)
    return fig


def _draw_shape(ax: Any, name: str, by_flavour: dict[str, Any]) -> None:
    spectrum = name in _SPECTRA
    shown = {f: h for f, h in by_flavour.items() if h.values().sum() and (spectrum or f != "all")}
    shown = shown or by_flavour
    for flavour, h in shown.items():
        stairs(ax, h, COLOURS[flavour], flavour, density=spectrum, unit=not spectrum)
    axis = next(iter(shown.values())).axes[0]
    edges = axis.edges
    ax.set(xlim=(edges[0], edges[-1]), xlabel=axis.label)
    ax.set_ylabel("Sum of weights per GeV" if spectrum else "Share of jets")
    if spectrum:
        ax.set_xscale("log")
        log_limits(ax, list(shown.values()), density=True, unit=False)
    else:
        tops = [h.values().max() / max(h.values().sum(), 1e-300) for h in shown.values()]
        ax.set_ylim(0, 1.4 * max(*tops, 1e-6))
    if len(shown) > 1:
        ax.legend(loc="upper right")


def draw_images(images: dict[str, Any], half_width: float) -> Any:
    """Mean images side by side on one logarithmic scale."""
    shown = {k: v for k, v in images.items() if k != "all"} or images
    top = max(float(v.max()) for v in shown.values())
    with figure(4.6 * len(shown) + 1.5, 5.2) as (fig, ax):
        ax.remove()
        axes = fig.subplots(1, len(shown), squeeze=False, sharey=True)[0]
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
