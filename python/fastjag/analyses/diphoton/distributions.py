"""Distributions of selected events by class, as normalised histograms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastjag.analyses.diphoton.column_statistics import Floats
from fastjag.analyses.diphoton.events import PARTICLES, Events

#: Edges, and shares of events by class: None of a class with hardly any, whose shape means nothing.
Shapes = tuple[Floats, dict[str, Floats | None]]

_FEWEST = 10


def distributions(events: Events) -> dict[str, dict[str, Shapes]]:
    """Name of a picture to its panels; what the events do not have is left out."""
    flat, particles = events.flat, events.particles
    pictures: dict[str, dict[str, Shapes]] = {}
    if {"met_et", "met_phi"} <= set(flat):
        pictures["met"] = {
            "met_et": shapes(events, flat["met_et"], np.linspace(0, 150, 31)),
            "met_phi": shapes(events, flat["met_phi"], np.linspace(-np.pi, np.pi, 21)),
        }
    if "MV2c10" in particles.get("jet", ()):
        jets, edges = particles["jet"], np.linspace(-1, 1, 26)
        event = np.repeat(np.arange(len(jets)), jets.counts)
        largest = jets.aggregate("MV2c10", ["max"])["max"]
        pictures["btag"] = {
            "jets": shapes(events, jets["MV2c10"], edges, event),
            "largest": shapes(events, largest, edges),
        }
    kinds = [kind for kind in PARTICLES if kind in particles and particles[kind].n_particles]
    of_kind: dict[str, Callable[[Events, str], Shapes]] = {
        "max_pt": _largest_pt, "multiplicities": _multiplicity,
    }  # fmt: skip
    for name, shapes_of in of_kind.items():
        pictures[name] = {kind: shapes_of(events, kind) for kind in kinds}
    if "m_yy" in flat:
        pictures["mass"] = {"m_yy": shapes(events, flat["m_yy"], np.linspace(105, 160, 56))}
    return pictures


def shapes(events: Events, values: Any, edges: Any, of: Any = None) -> Shapes:
    """Normalised histogram of each class; what is beyond the last edge is in the last bin.

    ``of`` says which event a value belongs to; default: one value per event. NaN is left out.
    """
    label = np.asarray(events.flat["label"])
    weight = np.asarray(events.flat.get("weight", np.ones(len(events))), np.float64)
    which = np.arange(len(events)) if of is None else of
    values = np.asarray(values, np.float64)
    there = np.isfinite(values)
    clipped = np.clip(values, edges[0], np.nextafter(edges[-1], edges[0]))
    shares: dict[str, Floats | None] = {}
    for i, name in enumerate(events.classes):
        mine = there & (label[which] == i)
        counts = np.histogram(clipped[mine], edges, weights=weight[which[mine]])[0]
        area = counts.sum()
        enough = area > 0 and np.count_nonzero(mine) >= _FEWEST
        shares[name] = counts / area if enough else None
    return edges, shares


def _largest_pt(events: Events, kind: str) -> Shapes:
    pt = events.particles[kind].aggregate("pt", ["max"])["max"]
    top = float(np.nanquantile(pt, 0.98))
    return shapes(events, pt, np.linspace(0, 20 * np.ceil(top / 20), 26))


def _multiplicity(events: Events, kind: str) -> Shapes:
    counts = events.particles[kind].counts
    top = max(2, int(np.quantile(counts, 0.998)))
    return shapes(events, counts, np.arange(top + 2) - 0.5)
