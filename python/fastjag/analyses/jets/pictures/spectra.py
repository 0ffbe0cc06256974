"""Spectra of tracks; spectra, shapes and mean images of jets, by flavour."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastjag.analyses.jets.results import TrackSpectrum
from fastjag.reporting.plots import BLUE, GREY, ORANGE, RED, VIOLET, figure
from fastjag.reporting.points import mark_overflow
from fastjag.reporting.titles import axis_title

COLOURS = {"all": "k", "quark": BLUE, "gluon": ORANGE, "c": VIOLET, "b": RED}
_LINES = {"all": "-", "quark": "-", "gluon": "--", "c": "-.", "b": "-"}
_TRACKS = {"in jets": "k", "elsewhere": GREY, "in light jets": BLUE, "in c jets": VIOLET,
           "in b jets": RED}  # fmt: skip
_LEAST = 3e-4  # of all jets: bins of fewer are not shown at the end of an axis
_SPECTRA = ("pt", "constituent_pt", "dijet_mass")


def _stairs(ax: Any, h: Any, label: str, *, spectrum: bool, **style: Any) -> float:
    """A histogram with its statistical error as a band: a spectrum per unit of x, others normalised.

    The upper end of the highest error.
    """
    edges = h.axes[0].edges
    scale = 1 / np.diff(edges) if spectrum else 1 / (h.values(flow=True).sum() or 1.0)
    values, errors = scale * h.values(), scale * np.sqrt(h.variances())
    ax.stairs(values, edges, lw=1.6, label=label, **style)
    low, high = (np.append(values + s * errors, 0) for s in (-1, 1))
    ax.fill_between(edges, np.maximum(low, 0), high, step="post", color=style["color"], alpha=0.2,
                    lw=0)  # fmt: skip
    return float(high.max())


def _log_limits(ax: Any, histograms: list[Any]) -> None:
    """From below the lowest value worth showing to above the highest."""
    values = np.concatenate([h.values() / np.diff(h.axes[0].edges) for h in histograms])
    values = values[values > 0]
    if len(values):
        top = values.max()
        ax.set(yscale="log", ylim=(max(values.min() * 0.5, top * 1e-9), top * 30))


def _mark_flow(ax: Any, h: Any, last: int | None = None, height: float = 0.08) -> None:
    """What lies beside the axis of a histogram, or beyond its bin ``last``, in percent of all."""
    flow = h.values(flow=True)
    percent = 100 * flow / (flow.sum() or 1.0)
    beyond = percent[-1] if last is None else percent[last + 2 :].sum()
    mark_overflow(ax, float(percent[0]), float(beyond), unit=" %", height=height)


def draw_tracks(result: TrackSpectrum) -> Any:
    """|d_xy| of tracks in jets and elsewhere, and by flavour of the jet, per cm."""
    shown = {n: h for n, h in result.histograms.items() if result.counts[f"tracks {n}"]}
    with figure(11, 7.5) as (fig, ax):
        for name, h in shown.items():
            n = result.counts[f"tracks {name}"]
            _stairs(ax, h, f"{name}: {n:,}", color=_TRACKS[name], spectrum=True)
        _log_limits(ax, list(shown.values()))
        axis = next(iter(shown.values())).axes[0]
        weighted = "Tracks" if result.weight == "none" else f"Tracks, weighted by {result.weight},"
        ax.set(xscale="log", xlim=(axis.edges[0], axis.edges[-1]), xlabel=axis_title("abs_d0"),
               ylabel=f"{weighted} per cm")  # fmt: skip
        _mark_flow(ax, sum(h for n, h in shown.items() if n in ("in jets", "elsewhere")))
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
    tops = [_stairs(ax, h, flavour, color=COLOURS[flavour], ls=_LINES[flavour], spectrum=spectrum)
            for flavour, h in shown.items()]  # fmt: skip
    edges = next(iter(shown.values())).axes[0].edges
    total = sum(h.values() for h in shown.values())
    filled = np.flatnonzero(total > (0 if spectrum else _LEAST * total.sum()))
    first, last = (filled[0], filled[-1]) if len(filled) else (0, len(edges) - 2)
    low = edges[first] if spectrum else edges[0]
    ax.set(xlim=(low, edges[last + 1]), xlabel=axis_title("jet_pt" if name == "pt" else name))
    ax.set_ylabel(
        "Sum of weights per GeV" if spectrum else f"Share of jets / {edges[1] - edges[0]:.3g}"
    )
    if spectrum:
        ax.set_xscale("log")
        _log_limits(ax, list(shown.values()))
    else:
        ax.set_ylim(0, 1.35 * max(*tops, 1e-6))
    _mark_flow(
        ax, by_flavour["all"] if "all" in by_flavour else sum(shown.values()), last, height=0.78
    )  # below the legend, above the data
    if len(shown) > 1:
        ax.legend(loc="upper right", fontsize=14, ncols=2)


def draw_images(images: dict[str, Any], half_width: float) -> Any:
    """Mean images side by side on one logarithmic scale; pixels without anything are white."""
    shown = {k: v for k, v in images.items() if k != "all"} or images
    top = max(float(v.max()) for v in shown.values())
    least = top * 1e-5
    n = len(shown)
    with figure(4.3 * n + 1.6, 5, 1, n, squeeze=False, sharey=True) as (fig, (axes,)):
        extent = (-half_width, half_width, -half_width, half_width)
        for ax, (name, image) in zip(axes, shown.items(), strict=True):
            drawn = ax.imshow(
                np.ma.masked_equal(image, 0), norm="log", vmin=least, vmax=top, extent=extent,
                origin="lower", cmap="viridis",
            )  # fmt: skip
            ax.set_title(f"{name} jets", fontsize=16)
            ax.set_xlabel(r"$\Delta\phi$")
        axes[0].set_ylabel(r"$\Delta\eta$")
        lower = any(float(v[v > 0].min(initial=top)) < least for v in shown.values())
        fig.colorbar(drawn, ax=list(axes), label=r"Mean share of jet $p_T$", pad=0.01, aspect=15,
                     extend="min" if lower else "neither")  # fmt: skip
    return fig
