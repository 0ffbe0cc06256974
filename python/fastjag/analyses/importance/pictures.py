"""Pictures of importances."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastjag.analyses.importance.compare import Importances
from fastjag.reporting.plots import PALETTE, figure, plain

_TERMS = 20  # Taylor coefficients shown
_LINES = 8  # features followed during training


def cluster_names(result: Importances) -> list[str]:
    """A letter for each feature that shares its cluster with others, "" for those alone."""
    shared = [c for c in dict.fromkeys(result.clusters) if result.clusters.count(c) > 1]
    letters = {c: chr(ord("A") + i) if i < 26 else str(i) for i, c in enumerate(shared)}
    return [letters.get(c, "") for c in result.clusters]


def _labels(result: Importances, order: list[int]) -> list[str]:
    letters = cluster_names(result)
    return [plain(result.names[i]) + (f"  [{letters[i]}]" if letters[i] else "") for i in order]


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
        if any(cluster_names(result)):
            ax.set_title("[A], [B], ...: correlated features", loc="left", fontsize=14)
    return fig


def correlations(result: Importances) -> Any:
    """Spearman correlations, cluster by cluster, each with a frame."""
    order = sorted(range(len(result.names)), key=lambda i: (result.clusters[i], i))
    r = result.correlations[np.ix_(order, order)]
    n = len(order)
    with figure(4.5 + 0.55 * n, 3.5 + 0.55 * n) as (fig, ax):
        image = ax.imshow(r, cmap="RdBu_r", vmin=-1, vmax=1)
        _named_ticks(ax, [plain(result.names[i]) for i in order], _labels(result, order))
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


def taylor(result: Importances) -> Any:
    """The largest Taylor coefficients of both orders."""
    terms = sorted(result.taylor, key=lambda key: -result.taylor[key])[:_TERMS]
    colour = {1: PALETTE[0], 2: PALETTE[1]}
    with figure(11, 2.2 + 0.38 * len(terms)) as (fig, ax):
        for order, label in ((1, "first order"), (2, "second order")):
            at = [i for i, key in enumerate(terms) if len(key) == order]
            ax.barh(at, [result.taylor[terms[i]] for i in at], color=colour[order], label=label)
        ax.set_yticks(range(len(terms)), [plain(result.term(key)) for key in terms], fontsize=14)
        ax.tick_params(axis="y", which="both", length=0)
        ax.invert_yaxis()
        ax.set_xlabel(r"$\langle|t|\rangle$ per standard deviation", fontsize=16)
        ax.legend(loc="lower right")
    return fig


def training(result: Importances) -> Any:
    """First-order coefficients after every epoch of the network's training."""
    curves = result.training["taylor"]
    steps = result.training["steps"]
    largest = sorted(curves, key=lambda name: -curves[name][-1])[:_LINES]
    with figure(10, 6.5) as (fig, ax):
        for i, name in enumerate(largest):
            ax.plot(steps, curves[name], label=plain(name), color=PALETTE[i % 7], marker="o", ms=4,
                    ls=("-", "--")[i // 7])  # fmt: skip
        ax.set(xlabel="Epoch", ylabel=r"$\langle|t_i|\rangle$ per standard deviation")
        ax.set_ylim(0, 1.05 * max(max(curves[name]) for name in largest))
        fig.legend(loc="outside right upper", fontsize=13)
    return fig


def _named_ticks(ax: Any, columns: list[str], rows: list[str]) -> None:
    ax.set_xticks(range(len(columns)), columns, rotation=40, ha="right",
                  rotation_mode="anchor", fontsize=13)  # fmt: skip
    ax.set_yticks(range(len(rows)), rows, fontsize=13)
    ax.minorticks_off()
    ax.tick_params(which="both", length=0)
