"""Pictures of selected events: distributions by class."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from fastjag.analyses.diphoton.distributions import Shape, Shapes
from fastjag.reporting.plots import figure, line_style
from fastjag.reporting.points import band
from fastjag.reporting.titles import axis_title, plain

_COUNTED = {"photon": "Photons", "lep": "Leptons", "jet": "Jets", "tau": "Taus",
            "largeRjet": "Large-R jets"}  # fmt: skip
_ALL = "Every class has unit area; bands are statistical errors; grey: all events beyond the axis."

CAPTIONS = {
    "met": f"Missing transverse momentum and its direction. {_ALL}",
    "btag": f"b-tag score: of all jets, and the largest of each event. {_ALL}",
    "max_pt": f"Largest pt of each kind of particles, of events that have one. {_ALL} Classes of "
    "at least ten events.",
    "multiplicities": f"Numbers of particles of each kind. {_ALL}",
    "mass": f"The diphoton mass by class. {_ALL}",
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
    """A line per class, with a bin in grey for what is left or right of the axis."""
    edges, found = shapes
    known = [shape for shape in found.values() if shape is not None]
    width = float(np.diff(edges).mean())
    below, above = (any(getattr(s, side)[0] for s in known) for side in ("below", "above"))
    ends = (edges[0] - 1.5 * width * below, edges[-1] + 1.5 * width * above)
    highest = 0.0
    for i, (name, shape) in enumerate(found.items()):
        style = line_style(i)
        if shape is None:
            panel.plot([], [], label=plain(name), lw=1.6, **style)
            continue
        shares, errors, at = _with_ends(shape, edges, ends)
        panel.stairs(shares, at, label=plain(name), lw=1.6, **style)
        band(panel, at, shares, errors, color=style["color"], alpha=0.15)
        highest = max(highest, float((shares + errors).max()))
    for end, edge, side, text in (
        (ends[0], edges[0], below, "beyond"), (ends[1], edges[-1], above, "beyond"),
    ):  # fmt: skip
        if side:
            panel.axvspan(min(end, edge), max(end, edge), color="0.88", lw=0, zorder=0)
            panel.text((end + edge) / 2, 0.97, text, rotation=90, ha="center", va="top",
                       fontsize=12, color="0.35", transform=panel.get_xaxis_transform())  # fmt: skip
    panel.set_xlim(*ends)
    panel.set_ylim(0, 1.15 * highest or 1)


def _with_ends(shape: Shape, edges: Any, ends: tuple[float, float]) -> tuple[Any, Any, Any]:
    """Shares, errors and edges with a bin for what is beyond the axis where ``ends`` has one."""
    first, last = bool(ends[0] < edges[0]), bool(ends[1] > edges[-1])
    parts = [(*shape.below, ends[0])] * first, [(*shape.above, ends[1])] * last
    shares, errors = (
        np.concatenate([[p[k] for p in parts[0]], own, [p[k] for p in parts[1]]])
        for k, own in enumerate((shape.shares, shape.errors))
    )
    return shares, errors, np.concatenate([ends[:1] * first, edges, ends[1:] * last])


def _met(panels: Mapping[str, Shapes]) -> Any:
    with figure(14, 6, columns=2) as (fig, (left, right)):
        _draw(left, panels["met_et"])
        left.set(xlabel=axis_title("met_et"), ylabel=_share(panels["met_et"], "GeV"))
        left.legend(fontsize=14, loc="upper center", bbox_to_anchor=(0.55, 1))
        _draw(right, panels["met_phi"])
        right.set(xlabel=axis_title("met_phi"), ylabel=_share(panels["met_phi"], "rad"))
    return fig


def _share(shapes: Shapes, unit: str = "") -> str:
    """What is drawn per bin."""
    return f"Share of events / {shapes[0][1] - shapes[0][0]:.3g} {unit}".rstrip()


def _btag(panels: Mapping[str, Shapes]) -> Any:
    with figure(14, 6, columns=2) as (fig, (left, right)):
        _draw(left, panels["jets"])
        left.set(xlabel="b-tag score of jets",
                 ylabel=_share(panels["jets"]).replace("events", "jets"))  # fmt: skip
        _draw(right, panels["largest"])
        right.set(xlabel="Largest b-tag score of an event", ylabel=_share(panels["largest"]))
        right.legend(fontsize=14, loc="upper center")
    return fig


def _by_kind(shapes: Mapping[str, Shapes], label: Callable[[Any, str, Shapes], None]) -> Any:
    """A panel for each kind of particles, and one for the legend."""
    columns = min(3, len(shapes) + 1)
    rows = -(-(len(shapes) + 1) // columns)
    with figure(5.5 * columns, 4.6 * rows, rows, columns) as (fig, axes):
        panels = axes.ravel()
        for panel, (kind, drawn) in zip(panels, shapes.items(), strict=False):
            _draw(panel, drawn)
            label(panel, kind, drawn)
        for panel in panels[len(shapes) :]:
            panel.set_axis_off()
        handles, names = panels[0].get_legend_handles_labels()
        panels[len(shapes)].legend(handles, names, loc="center", fontsize=17)
    return fig


def _label_largest_pt(panel: Any, kind: str, shapes: Shapes) -> None:
    panel.set(xlabel=axis_title(f"{kind}_pt_max"), ylabel=_share(shapes, "GeV"))


def _label_multiplicity(panel: Any, kind: str, shapes: Shapes) -> None:
    top = len(shapes[0]) - 2
    panel.set(xlabel=_COUNTED[kind], ylabel="Share of events")
    panel.tick_params(axis="x", which="minor", length=0)
    panel.set_xticks(np.arange(0, top + 1, max(1, top // 6)))


def _mass(panels: Mapping[str, Shapes]) -> Any:
    with figure(10, 7) as (fig, ax):
        _draw(ax, panels["m_yy"])
        ax.set(xlabel=axis_title("m_yy"), ylabel=_share(panels["m_yy"], "GeV"))
        ax.legend(fontsize=15)
    return fig
