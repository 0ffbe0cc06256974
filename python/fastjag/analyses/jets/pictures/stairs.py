"""Histograms as lines with their errors, and limits of a logarithmic axis."""

from __future__ import annotations

from typing import Any

import numpy as np


def stairs(ax: Any, h: Any, colour: str, label: str, *, density: bool, unit: bool) -> None:
    """A histogram with its statistical error as a band; per unit of x, normalised if asked for."""
    edges = h.axes[0].edges
    width = np.diff(edges) if density else 1.0
    scale = 1 / h.values().sum() if unit and h.values().sum() else 1.0
    values = scale * h.values() / width
    errors = scale * np.sqrt(h.variances()) / width
    ax.stairs(values, edges, color=colour, lw=1.6, label=label)
    low, high = (np.append(values + s * errors, 0) for s in (-1, 1))
    ax.fill_between(edges, np.maximum(low, 0), high, step="post", color=colour, alpha=0.2, lw=0)


def log_limits(ax: Any, histograms: list[Any], *, density: bool, unit: bool) -> None:
    """From below the lowest value worth showing to above the highest."""
    values = []
    for h in histograms:
        width = np.diff(h.axes[0].edges) if density else 1.0
        total = h.values().sum()
        values.append(h.values() / width / (total if unit and total else 1))
    filled = np.concatenate(values)
    filled = filled[filled > 0]
    if len(filled):
        top = filled.max()
        ax.set(yscale="log", ylim=(max(filled.min() * 0.5, top * 1e-9), top * 30))
