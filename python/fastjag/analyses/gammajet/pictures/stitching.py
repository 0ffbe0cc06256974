"""The spectrum of delta_r at which simulated samples meet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastjag.analyses.gammajet.stitching import DELTA_R
from fastjag.core.arrays import Array
from fastjag.reporting.plots import figure
from fastjag.reporting.titles import plain


def border(spectra: Mapping[str, Array], edges: Array) -> Any:
    """Events of each sample, (n_bins,), stacked in the order of the samples."""
    with figure(10, 7) as (fig, ax):
        stack = np.zeros(len(edges) - 1)
        for name, counts in spectra.items():
            ax.stairs(stack + counts, edges, baseline=stack, fill=True, label=plain(name))
            stack = stack + counts
        ax.axvline(DELTA_R, color="k", ls=":")
        ax.set(xlabel=r"$\Delta R$(photon, nearest parton)",
               ylabel=f"Events / {edges[1] - edges[0]:g}")  # fmt: skip
        ax.set_ylim(0, 1.3 * stack.max())
        ax.legend()
    return fig
