"""All methods side by side, and which features are correlated."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastjag.analyses.importance.results import Importances
from fastjag.reporting.plots import BLUE, ORANGE, figure
from fastjag.reporting.report import fixed
from fastjag.reporting.titles import axis_title

_BARS = 20  # features with bars
_NUMBERED = 14  # features of which correlations stand as numbers, too
_MODELS = {"permutation": "model", "tree permutation": "boosted trees"}


def _labels(result: Importances, order: list[int]) -> list[str]:
    letters = result.cluster_names()
    return [_name(result, i) + (f"  [{letters[i]}]" if letters[i] else "") for i in order]


def _name(result: Importances, i: int) -> str:
    return axis_title(result.names[i], unit=False)


def comparison(result: Importances) -> Any:
    """Normalised scores of all methods; clusters of correlated features as letters."""
    order, scores = result.order(), result.normalised()
    values = np.array([scores[name] for name in scores]).T[order]
    n, m = values.shape
    with figure(5.5 + 0.95 * m, 3.2 + 0.5 * n) as (fig, ax):
        image = ax.imshow(values, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        for i in range(n):
            for j in range(m):
                ax.text(j, i, f"{values[i, j]:.2f}", ha="center", va="center", fontsize=12,
                        color="w" if values[i, j] > 0.6 else "k")  # fmt: skip
        _named_ticks(ax, list(scores), _labels(result, order))
        fig.colorbar(image, ax=ax, label="Importance / largest of the method", pad=0.02)
        if any(result.cluster_names()):
            ax.set_title("[A], [B], ...: correlated features", loc="left", fontsize=14)
    return fig


def permutations(result: Importances) -> Any:
    """Falls of the area under the ROC curve where a feature is shuffled, over the repeats."""
    order = result.order()[:_BARS]
    shown = [(name, colour) for name, colour in
             (("permutation", BLUE), ("tree permutation", ORANGE)) if name in result.scores]  # fmt: skip
    height = 0.75 / len(shown)
    with figure(11, 2.2 + 0.5 * len(order)) as (fig, ax):
        for k, (name, colour) in enumerate(shown):
            at = np.arange(len(order)) + (k + 0.5) * height - 0.375
            ax.barh(at, result.scores[name][order], height, color=colour,
                    xerr=result.errors[name][order], error_kw={"lw": 1.4, "capsize": 3},
                    label=_MODELS[name])  # fmt: skip
        ax.axvline(0, color="0.4", lw=1)
        ax.set_yticks(range(len(order)), _labels(result, order), fontsize=14)
        ax.tick_params(axis="y", which="both", length=0)
        ax.set_ylim(len(order) - 0.4, -0.6)
        ax.set_xlabel("Fall of the area under the ROC curve", fontsize=16)
        ax.legend(loc="lower right")
    return fig


def correlations(result: Importances) -> Any:
    """Spearman correlations, cluster by cluster, each with a frame."""
    order = sorted(range(len(result.names)), key=lambda i: (result.clusters[i], i))
    r = result.correlations[np.ix_(order, order)]
    n = len(order)
    with figure(4.5 + 0.55 * n, 3.5 + 0.55 * n) as (fig, ax):
        image = ax.imshow(r, cmap="RdBu_r", vmin=-1, vmax=1)
        _named_ticks(ax, [_name(result, i) for i in order], _labels(result, order))
        for (i, j), value in np.ndenumerate(r) if n <= _NUMBERED else ():
            ax.text(j, i, fixed(value, 2), ha="center", va="center", fontsize=11,
                    color="w" if abs(value) > 0.6 else "k")  # fmt: skip
        clusters = [result.clusters[i] for i in order]
        for c in dict.fromkeys(clusters):
            first, size = clusters.index(c) - 0.5, clusters.count(c)
            if size > 1:
                last = first + size
                ax.plot([first, last, last, first, first], [first, first, last, last, first],
                        color="k", lw=2.5)  # fmt: skip
        ax.set(xlim=(-0.5, n - 0.5), ylim=(n - 0.5, -0.5))
        fig.colorbar(image, ax=ax, label="Spearman correlation", pad=0.02, shrink=0.8)
    return fig


def _named_ticks(ax: Any, columns: list[str], rows: list[str]) -> None:
    ax.set_xticks(range(len(columns)), columns, rotation=40, ha="right",
                  rotation_mode="anchor", fontsize=13)  # fmt: skip
    ax.set_yticks(range(len(rows)), rows, fontsize=13)
    ax.minorticks_off()
    ax.tick_params(which="both", length=0)
