"""Impact parameters of tracks."""

from __future__ import annotations

from typing import Any

from fastjag.analyses.jets.pictures.stairs import log_limits, stairs
from fastjag.analyses.jets.results import TrackSpectrum
from fastjag.reporting.plots import BLUE, GREY, RED, VIOLET, figure

_COLOURS = {"in jets": "k", "elsewhere": GREY, "in light jets": BLUE, "in c jets": VIOLET,
           "in b jets": RED}  # fmt: skip


def draw_tracks(result: TrackSpectrum) -> Any:
    """|d_xy| of tracks in jets and elsewhere, and by flavour of the jet, per cm."""
    shown = {n: h for n, h in result.histograms.items() if result.counts[f"tracks {n}"]}
    with figure(11, 7.5) as (fig, ax):
        for name, h in shown.items():
            n = result.counts[f"tracks {name}"]
            stairs(ax, h, _COLOURS[name], f"{name}: {n:,}", density=True, unit=False)
        log_limits(ax, list(shown.values()), density=True, unit=False)
        axis = next(iter(shown.values())).axes[0]
        weighted = "Tracks" if result.weight == "none" else f"Tracks, weighted by {result.weight},"
        ax.set(xscale="log", xlim=(axis.edges[0], axis.edges[-1]), xlabel=r"$|d_{xy}|$ [cm]",
               ylabel=f"{weighted} per cm")  # fmt: skip
        radius = result.selection.radius
        ax.legend(loc="upper right", title=rf"$\Delta R < {radius:g}$ of a jet, or elsewhere",
                  title_fontsize=15)  # fmt: skip
        ax.set_title(f"{result.counts['events']:,} events", loc="left", fontsize=15)
    return fig
