"""Pictures of selected events: distributions by class."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from fastjag.reporting.plots import PALETTE, figure
from fastjag.reporting.titles import plain

#: Edges and shares by class, None where too few are there for a shape.
Shapes = tuple[Any, Mapping[str, Any]]

_KINDS = {
    "photon": "Photon",
    "lep": "Lepton",
    "jet": "Jet",
    "tau": "Tau",
    "largeRjet": "Large-R jet",
}

CAPTIONS = {
    "met": "Missing transverse momentum and its direction; every class has unit area.",
    "btag": "b-tag score: of all jets, and the largest of each event.",
    "max_pt": "Largest pt of each kind of particles, of events that have one; classes with at least ten.",
    "multiplicities": "Numbers of particles of each kind.",
    "mass": "The diphoton mass by class; every class has unit area.",
}


def event_pictures(distributions: Mapping[str, Mapping[str, Shapes]]) -> Iterator[tuple[str, Any]]:
    """(name, figure) of each of the ``distributions``, as the module of that name gives them."""
    draw: dict[str, Callable[[Mapping[str, Shapes]], Any]] = {
        "met": _met, "btag": _btag, "max_pt": partial(_by_kind, label=_label_largest_pt),
        "multiplicities": partial(_by_kind, label=_label_multiplicity), "mass": _mass,
    }  # fmt: skip
    for name, panels in distributions.items():
        yield name, draw[name](panels)


def _draw(panel: Any, shapes: Shapes) -> None:
    edges, shares = shapes
    for i, (name, share) in enumerate(shares.items()):
        again, place = divmod(i, len(PALETTE))
        style = {"color": PALETTE[place], "lw": 1.6, "ls": "--" if again else "-"}
        if share is None:
            panel.plot([], [], label=plain(name), **style)
        else:
            panel.stairs(share, edges, label=plain(name), **style)
    panel.set_xlim(edges[0], edges[-1])
    panel.set_ylim(0, None)


def _met(panels: Mapping[str, Shapes]) -> Any:
    with figure(14, 6, columns=2) as (fig, (left, right)):
        _draw(left, panels["met_et"])
        left.set(xlabel="Missing transverse momentum [GeV]", ylabel="Share of events")
        left.legend(fontsize=13)
        _draw(right, panels["met_phi"])
        right.set(xlabel=r"$\phi$ of missing transverse momentum")
        right.set_ylim(0, 1.6 * right.get_ylim()[1])
    return fig


def _btag(panels: Mapping[str, Shapes]) -> Any:
    with figure(14, 6, columns=2) as (fig, (left, right)):
        _draw(left, panels["jets"])
        left.set(xlabel="b-tag score of jets", ylabel="Share")
        _draw(right, panels["largest"])
        right.set(xlabel="Largest b-tag score of an event")
        right.legend(fontsize=13, loc="upper center")
    return fig


def _by_kind(shapes: Mapping[str, Shapes], label: Callable[[Any, str, Any], None]) -> Any:
    """A panel for each kind of particles, and one for the legend."""
    columns = min(3, len(shapes) + 1)
    rows = -(-(len(shapes) + 1) // columns)
    with figure(5.5 * columns, 4.6 * rows, rows, columns) as (fig, axes):
        panels = axes.ravel()
        for panel, (kind, drawn) in zip(panels, shapes.items(), strict=False):
            _draw(panel, drawn)
            label(panel, _KINDS[kind], drawn[0])
        for panel in panels[len(shapes) :]:
            panel.set_axis_off()
        handles, names = panels[0].get_legend_handles_labels()
        panels[len(shapes)].legend(handles, names, loc="center", fontsize=17)
    return fig


def _label_largest_pt(panel: Any, kind: str, edges: Any) -> None:
    panel.set(xlabel=f"{kind}: largest $p_T$ [GeV]", ylabel="Share")


def _label_multiplicity(panel: Any, kind: str, edges: Any) -> None:
    top = len(edges) - 2
    panel.set(xlabel=f"{kind}s", ylabel="Share of events")
    panel.set_xticks(np.arange(0, top + 1, max(1, top // 6)))


def _mass(panels: Mapping[str, Shapes]) -> Any:
    with figure(9, 6.5) as (fig, ax):
        _draw(ax, panels["m_yy"])
        ax.set(xlabel=r"$m_{\gamma\gamma}$ [GeV]", ylabel="Share of events")
        ax.legend(fontsize=14)
    return fig
