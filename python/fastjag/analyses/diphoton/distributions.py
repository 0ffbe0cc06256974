"""Distributions of selected events by class, as normalised histograms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastjag.analyses.diphoton.column_statistics import Floats
from fastjag.analyses.diphoton.events import PARTICLES, Events

_FEWEST = 10
_COUNTED = 12  # particles that all have a bin


@dataclass(frozen=True)
class Shape:
    """A class's normalised histogram, with the statistical errors of its shares."""

    shares: Floats  #: (n_bins,) of all events, those beside the axis included
    errors: Floats  #: (n_bins,)
    below: tuple[float, float]  #: share left of the axis, and its error
    above: tuple[float, float]  #: right of the axis


#: Edges, and the shape of each class: None of a class with hardly any events, whose shape means nothing.
Shapes = tuple[Floats, dict[str, Shape | None]]


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
        pictures["mass"] = {"m_yy": shapes(events, flat["m_yy"], np.linspace(115, 135, 41))}
    return pictures


def shapes(events: Events, values: Any, edges: Any, of: Any = None) -> Shapes:
    """Normalised histogram of each class, with what is beside the axis by itself.

    ``of`` says which event a value belongs to; default: one value per event. NaN is left out.
    """
    label = np.asarray(events.flat["label"])
    weight = np.asarray(events.flat.get("weight", np.ones(len(events))), np.float64)
    which = np.arange(len(events)) if of is None else of
    values = np.asarray(values, np.float64)
    there = ~np.isnan(values)
    room = 1e-5 * (edges[-1] - edges[0])  # angles in single precision go beyond pi
    bins = np.concatenate([[-np.inf, edges[0] - room], edges[1:-1], [edges[-1] + room, np.inf]])
    found: dict[str, Shape | None] = {}
    for i, name in enumerate(events.classes):
        mine = there & (label[which] == i)
        w = weight[which[mine]]
        place, n = np.searchsorted(bins[1:-1], values[mine], side="right"), len(bins) - 1
        sums, squares = (np.bincount(place, w**k, n) for k in (1, 2))
        area = sums.sum()
        if area <= 0 or np.count_nonzero(mine) < _FEWEST:
            found[name] = None
            continue
        shares = sums / area
        # Of a share, not of a sum: that of all events has none.
        errors = np.sqrt(squares * (1 - 2 * shares) + shares**2 * squares.sum()) / area
        below, above = ((float(shares[k]), float(errors[k])) for k in (0, -1))
        found[name] = Shape(shares[1:-1], errors[1:-1], below, above)
    return edges, found


def _largest_pt(events: Events, kind: str) -> Shapes:
    pt = events.particles[kind].aggregate("pt", ["max"])["max"]
    top = float(np.nanquantile(pt, 0.98))
    return shapes(events, pt, np.linspace(0, 20 * np.ceil(top / 20), 26))


def _multiplicity(events: Events, kind: str) -> Shapes:
    counts = events.particles[kind].counts
    most = int(counts.max(initial=0))
    top = max(2, most if most <= _COUNTED else int(np.quantile(counts, 0.998)))
    return shapes(events, counts, np.arange(top + 2) - 0.5)
