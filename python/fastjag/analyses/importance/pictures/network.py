"""Taylor coefficients of a network, at the end and during its training."""

from __future__ import annotations

from typing import Any

from fastjag.analyses.importance.results import Importances
from fastjag.reporting.plots import BLUE, ORANGE, figure, line_style
from fastjag.reporting.titles import axis_title

_TERMS = 20  # Taylor coefficients shown
_LINES = 8  # features followed during training


def taylor(result: Importances) -> Any:
    """The largest Taylor coefficients of both orders, with their statistical errors."""
    terms = sorted(result.taylor, key=lambda key: -result.taylor[key])[:_TERMS]
    with figure(11, 2.2 + 0.38 * len(terms)) as (fig, ax):
        for order, label, colour in ((1, "first order", BLUE), (2, "second order", ORANGE)):
            at = [i for i, key in enumerate(terms) if len(key) == order]
            ax.barh(at, [result.taylor[terms[i]] for i in at], color=colour, label=label, height=0.7,
                    xerr=[result.taylor_errors.get(terms[i], 0.0) for i in at],
                    error_kw={"lw": 1.4, "capsize": 3})  # fmt: skip
        ax.set_yticks(range(len(terms)), [_term(result, key) for key in terms], fontsize=14)
        ax.tick_params(axis="y", which="both", length=0)
        ax.set_ylim(len(terms) - 0.4, -0.6)
        ax.set_xlabel(r"$\langle|t|\rangle$ per standard deviation", fontsize=16)
        ax.legend(loc="lower right")
    return fig


def _term(result: Importances, key: tuple[int, ...]) -> str:
    return r" $\times$ ".join(axis_title(result.names[i], unit=False) for i in key)


def training(result: Importances) -> Any:
    """First-order coefficients after every epoch of the network's training."""
    curves = result.training["taylor"]
    steps = result.training["steps"]
    largest = sorted(curves, key=lambda name: -curves[name][-1])[:_LINES]
    with figure(11, 6.5) as (fig, ax):
        for i, name in enumerate(largest):
            ax.plot(steps, curves[name], label=axis_title(name, unit=False), marker="o", ms=4,
                    **line_style(i))  # fmt: skip
        ax.set(xlabel="Epoch", ylabel=r"$\langle|t_i|\rangle$ per standard deviation")
        ax.set_ylim(0, 1.05 * max(max(curves[name]) for name in largest))
        ax.xaxis.get_major_locator().set_params(integer=True)
        title = (
            "" if len(largest) == len(curves) else f"the largest {len(largest)} of {len(curves)}"
        )
        fig.legend(loc="outside right upper", fontsize=14, title=title or None, title_fontsize=13)
    return fig
