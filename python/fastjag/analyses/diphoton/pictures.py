"""Pictures of selected diphoton events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from fastjag.analyses.diphoton.events import Events
from fastjag.analyses.diphoton.massfit import MassFit
from fastjag.reporting.plots import BLUE, PALETTE, RED, figure, plain

# Petroff's colours (arXiv:2107.02270), which those who see few colours can tell apart.
_FEWEST = 10
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
    "spectrum": "Above: the spectrum with the fit of a peak, whose shape is that of simulated "
    "Higgs bosons, on a polynomial. Below: without the polynomial.",
    "peak": "Simulated Higgs bosons of all classes, by expected events, with the shape fitted.",
}


def pictures(events: Events) -> Iterator[tuple[str, Any]]:
    """(name, figure); figures of what the events do not have are left out."""
    if {"met_et", "met_phi"} <= set(events.flat):
        yield "met", _met(events)
    if "MV2c10" in events.particles.get("jet", ()):
        yield "btag", _btag(events)
    kinds = [k for k in _KINDS if k in events.particles and events.particles[k].n_particles]
    yield "max_pt", _panels(events, kinds, _max_pt)
    yield "multiplicities", _panels(events, kinds, _multiplicity)
    if "m_yy" in events.flat:
        yield "mass", _mass(events)


def shapes(panel: Any, events: Events, values: Any, edges: Any, of: Any = None) -> None:
    """Normalised histogram of each class; what is beyond the last edge is in the last bin.

    ``of`` says which event a value belongs to; default: one value per event. NaN is left out, and
    so are classes with hardly any value, whose shape means nothing.
    """
    label = np.asarray(events.flat["label"])
    weight = np.asarray(events.flat.get("weight", np.ones(len(events))), np.float64)
    which = np.arange(len(events)) if of is None else of
    values = np.asarray(values, np.float64)
    there = np.isfinite(values)
    clipped = np.clip(values, edges[0], np.nextafter(edges[-1], edges[0]))
    for i, name in enumerate(events.classes):
        mine = there & (label[which] == i)
        counts = np.histogram(clipped[mine], edges, weights=weight[which[mine]])[0]
        area = counts.sum()
        style = {"color": PALETTE[i % len(PALETTE)], "lw": 1.6, "ls": "-" if i < 8 else "--"}
        if area > 0 and np.count_nonzero(mine) >= _FEWEST:
            panel.stairs(counts / area, edges, label=plain(name), **style)
        else:
            panel.plot([], [], label=plain(name), **style)
    panel.set_xlim(edges[0], edges[-1])
    panel.set_ylim(0, None)


def _met(events: Events) -> Any:
    with figure(14, 6) as (fig, ax):
        ax.remove()
        left, right = fig.subplots(1, 2)
        shapes(left, events, events.flat["met_et"], np.linspace(0, 150, 31))
        left.set(xlabel="Missing transverse momentum [GeV]", ylabel="Share of events")
        left.legend(fontsize=13)
        shapes(right, events, events.flat["met_phi"], np.linspace(-np.pi, np.pi, 21))
        right.set(xlabel=r"$\phi$ of missing transverse momentum")
        right.set_ylim(0, 1.6 * right.get_ylim()[1])
    return fig


def _btag(events: Events) -> Any:
    jets = events.particles["jet"]
    event = np.repeat(np.arange(len(jets)), jets.counts)
    edges = np.linspace(-1, 1, 26)
    with figure(14, 6) as (fig, ax):
        ax.remove()
        left, right = fig.subplots(1, 2)
        shapes(left, events, jets["MV2c10"], edges, event)
        left.set(xlabel="b-tag score of jets", ylabel="Share")
        shapes(right, events, jets.aggregate("MV2c10", ["max"])["max"], edges)
        right.set(xlabel="Largest b-tag score of an event")
        right.legend(fontsize=13, loc="upper center")
    return fig


def _panels(events: Events, kinds: list[str], draw: Any) -> Any:
    columns = min(3, len(kinds) + 1)
    rows = -(-(len(kinds) + 1) // columns)  # one more, for the legend
    with figure(5.5 * columns, 4.6 * rows) as (fig, ax):
        ax.remove()
        panels = fig.subplots(rows, columns, squeeze=False).ravel()
        for panel, kind in zip(panels, kinds, strict=False):
            draw(panel, events, kind)
        handles, _ = panels[0].get_legend_handles_labels()
        for panel in panels[len(kinds) :]:
            panel.set_axis_off()
        panels[len(kinds)].legend(
            handles, [plain(c) for c in events.classes], loc="center", fontsize=17
        )
    return fig


def _max_pt(panel: Any, events: Events, kind: str) -> None:
    pt = events.particles[kind].aggregate("pt", ["max"])["max"]
    top = float(np.nanquantile(pt, 0.98))
    shapes(panel, events, pt, np.linspace(0, 20 * np.ceil(top / 20), 26))
    panel.set(xlabel=f"{_KINDS[kind]}: largest $p_T$ [GeV]", ylabel="Share")


def _multiplicity(panel: Any, events: Events, kind: str) -> None:
    counts = events.particles[kind].counts
    top = max(2, int(np.quantile(counts, 0.998)))
    shapes(panel, events, counts, np.arange(top + 2) - 0.5)
    panel.set(xlabel=f"{_KINDS[kind]}s", ylabel="Share of events")
    panel.set_xticks(np.arange(0, top + 1, max(1, top // 6)))


def _mass(events: Events) -> Any:
    with figure(9, 6.5) as (fig, ax):
        shapes(ax, events, events.flat["m_yy"], np.linspace(105, 160, 56))
        ax.set(xlabel=r"$m_{\gamma\gamma}$ [GeV]", ylabel="Share of events")
        ax.legend(fontsize=14)
    return fig


def spectrum(fit: MassFit, label: str) -> Any:
    """Counts with errors, the fit, and what is left without the background."""
    middle, width = (fit.edges[1:] + fit.edges[:-1]) / 2, fit.edges[1] - fit.edges[0]
    error = np.sqrt(fit.variances)
    with figure(10, 9) as (fig, ax):
        ax.remove()
        top, below = fig.subplots(2, 1, sharex=True, height_ratios=(2.2, 1))
        top.errorbar(middle, fit.counts, error, fmt="ko", ms=5, label=label)
        total = fit.background + fit.signal
        top.stairs(total, fit.edges, color=RED, lw=1.8, label="fit")
        top.stairs(fit.background, fit.edges, color=BLUE, lw=1.8, ls="--", label="polynomial")
        top.set_ylabel(f"Events / {width:.3g} GeV")
        top.set_ylim(0, 1.25 * float((fit.counts + error).max()))
        top.legend(fontsize=14)
        below.errorbar(middle, fit.counts - fit.background, error, fmt="ko", ms=5)
        below.stairs(fit.signal, fit.edges, color=RED, lw=1.8)
        below.axhline(0, color=BLUE, ls="--")
        below.set(xlabel=r"$m_{\gamma\gamma}$ [GeV]", ylabel="Without it")
        below.set_xlim(fit.edges[0], fit.edges[-1])
    return fig


def peak(fit: MassFit) -> Any:
    """A peak without background on a logarithmic axis."""
    middle = (fit.edges[1:] + fit.edges[:-1]) / 2
    error = np.sqrt(fit.variances)
    with figure(9, 6.5) as (fig, ax):
        ax.errorbar(middle, fit.counts, error, fmt="ko", ms=5, label="simulated Higgs bosons")
        ax.stairs(fit.background + fit.signal, fit.edges, color=RED, lw=1.8, label="fit")
        top = float(fit.counts.max())
        ax.set(yscale="log", ylim=(top * 1e-4, top * 5), xlim=(fit.edges[0], fit.edges[-1]))
        ax.set(xlabel=r"$m_{\gamma\gamma}$ [GeV]")
        ax.set_ylabel(f"Expected events / {fit.edges[1] - fit.edges[0]:.3g} GeV")
        ax.legend(fontsize=14)
    return fig
