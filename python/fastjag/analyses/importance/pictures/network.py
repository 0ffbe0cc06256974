"""Taylor coefficients of a network, at the end and during its training."""

from __future__ import annotations

from typing import Any

from fastjag.analyses.importance.results import Importances
from fastjag.reporting.plots import PALETTE, figure
from fastjag.reporting.titles import plain

_TERMS = 20  # Taylor coefficients shown
_LINES = 8  # features followed during training


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
