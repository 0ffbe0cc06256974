"""The spectrum of delta_r at which simulated samples meet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import cycle
from typing import Any

import numpy as np

from fastjag.analyses.gammajet.stitching import DELTA_R
from fastjag.core.arrays import Array
from fastjag.reporting.plots import PALETTE, figure
from fastjag.reporting.points import mark_overflow
from fastjag.reporting.titles import axis_title, plain


def border(
    spectra: Mapping[str, tuple[Array, Array]], edges: Array, beyond: Mapping[str, float]
) -> Any:
    """Events of each sample, (n_bins,), and their variances, stacked in the order of the samples.

    ``beyond`` is what each sample has right of the edges.
    """
    with figure(10, 7.5) as (fig, ax):
        stack, variances = np.zeros((2, len(edges) - 1))
        for (name, (sums, squares)), colour in zip(spectra.items(), _colours(), strict=False):
            ax.stairs(stack + sums, edges, baseline=stack, fill=True, color=colour, alpha=0.8,
                      label=plain(name))  # fmt: skip
            stack, variances = stack + sums, variances + squares
        error = np.sqrt(variances)
        low, high = (np.append(x, x[-1]) for x in (stack - error, stack + error))
        ax.fill_between(edges, low, high, step="post", facecolor="none", edgecolor="0.3", lw=0,
                        hatch="////", label="statistical error")  # fmt: skip
        ax.axvline(DELTA_R, ymax=0.72, color="k", ls=":", lw=2)
        ax.text(DELTA_R, 0.7, f" samples meet at {DELTA_R:g}", transform=ax.get_xaxis_transform(),
                fontsize=14)  # fmt: skip
        ax.set(xlabel=axis_title("delta_r"), ylabel=f"Events / {edges[1] - edges[0]:g}")
        ax.set(xlim=(edges[0], edges[-1]), ylim=(0, 1.45 * float((stack + error).max())))
        total = stack.sum() + sum(beyond.values())
        mark_overflow(ax, 0, 100 * sum(beyond.values()) / total if total else 0, " %", height=0.08)
        ax.legend(loc="upper left")
    return fig


def _colours() -> Iterator[str]:
    return cycle(PALETTE[:5])
