"""Shapes of events: how the momenta of all photons, leptons, taus and jets are spread."""

from __future__ import annotations

from math import factorial

import numpy as np

from fastjag.analyses.diphoton.column_statistics import Floats, total
from fastjag.analyses.diphoton.events import merge
from fastjag.analyses.diphoton.observables import View, add_momenta
from fastjag.jagged import Jagged

SHAPES = {
    "n_objects": "photons, leptons, taus and jets together",
    "m_all": "mass of all of them [GeV]",
    "centrality": "sum of pt / sum of E",
    "sphericity": "3/2 (l2 + l3) of the momentum tensor's eigenvalues l1 >= l2 >= l3, sum 1",
    "aplanarity": "3/2 l3",
    "transverse_sphericity": "2 l2 / (l1 + l2) of the tensor of transverse momenta",
    "fox_wolfram_0": "H0, sum of |p_i| |p_j| P0(cos of angle i, j) over (sum of E)²",
    "fox_wolfram_1": "H1, the same with the Legendre polynomial P1",
    "fox_wolfram_2": "H2, the same with P2",
    "fox_wolfram_3": "H3, the same with P3",
    "fox_wolfram_4": "H4, the same with P4",
    "thrust": "largest sum of |p_i · n| / sum of |p_i|, searched from four axes n: a lower bound",
}
_MOMENTUM = ("px", "py", "pz")
_STEPS = 4  # of the search for the thrust axis, which mostly ends after two


def shape_observables(view: View) -> dict[str, Floats]:
    kinds = [view.kind(n) for n in ("photon", "lep", "tau", "jet") if n in view.events.particles]
    objects = merge(kinds, (*_MOMENTUM, "E", "pt")).sort("pt")
    p = np.stack([objects[c] for c in _MOMENTUM])
    length = np.sqrt((p**2).sum(axis=0))
    energy, momentum = total(objects, objects["E"]), total(objects, length)
    empty = objects.counts == 0
    parts = {c: total(objects, objects[c]) for c in (*_MOMENTUM, "E")}
    tensor = np.empty((len(objects), 3, 3))
    for i in range(3):
        for j in range(i + 1):
            tensor[:, i, j] = tensor[:, j, i] = total(objects, p[i] * p[j])
    eigen = np.linalg.eigvalsh(tensor)[:, ::-1]
    eigen = np.maximum(eigen, 0) / np.maximum(eigen.sum(axis=1, keepdims=True), 1e-300)
    flat = np.linalg.eigvalsh(tensor[:, :2, :2])
    shapes = {
        "m_all": add_momenta(parts)["m"],
        "centrality": total(objects, np.hypot(p[0], p[1])) / energy,
        "sphericity": 1.5 * (eigen[:, 1] + eigen[:, 2]),
        "aplanarity": 1.5 * eigen[:, 2],
        "transverse_sphericity": 2 * np.maximum(flat[:, 0], 0) / flat.sum(axis=1),
        **_fox_wolfram(objects, p, length, energy),
        "thrust": _thrust(objects, p) / momentum,
    }
    return {
        "n_objects": objects.counts.astype(np.float64),
        **{name: np.where(empty, np.nan, values) for name, values in shapes.items()},
    }


def _fox_wolfram(objects: Jagged, p: Floats, length: Floats, energy: Floats) -> dict[str, Floats]:
    """By moments of directions instead of pairs: sums over n particles, not n²."""
    n = p / np.maximum(length, 1e-300)

    def squared(power: int) -> Floats:
        """Sum over pairs of |p_i| |p_j| cos^power: the squares of all moments of that degree."""
        result = np.zeros(len(objects))
        for a in range(power + 1):
            for b in range(power + 1 - a):
                c = power - a - b
                times = factorial(power) / (factorial(a) * factorial(b) * factorial(c))
                moment = total(objects, length * n[0] ** a * n[1] ** b * n[2] ** c)
                result += times * moment**2
        return result

    c0, c1, c2, c3, c4 = (squared(power) for power in range(5))
    moments = (
        c0, c1, (3 * c2 - c0) / 2, (5 * c3 - 3 * c1) / 2, (35 * c4 - 30 * c2 + 3 * c0) / 8,
    )  # fmt: skip
    return {f"fox_wolfram_{i}": m / energy**2 for i, m in enumerate(moments)}


def _thrust(objects: Jagged, p: Floats) -> Floats:
    """The sum of |p · n| for the best axis found.

    An axis is improved by summing all momenta, turned to its side (Brandt and Dahmen, Z. Phys. C 1
    (1979) 61); from the four ways to add or subtract the three objects of highest pt.
    """
    counts = objects.counts
    first = np.nan_to_num(
        objects.pad(3, list(_MOMENTUM), fill=0, dtype=np.float64).values
    )  # (n, 3, 3)
    best = np.zeros(len(objects))
    for signs in ((1, 1, 1), (1, 1, -1), (1, -1, 1), (1, -1, -1)):
        axis = np.einsum("k,nkc->nc", np.array(signs, np.float64), first)
        for _ in range(_STEPS):
            side = np.einsum("cn,nc->n", p, np.repeat(axis, counts, axis=0))
            side = np.where(side < 0, -1.0, 1.0)
            axis = np.stack([total(objects, side * p[i]) for i in range(3)], axis=1)
        best = np.maximum(best, np.sqrt((axis**2).sum(axis=1)))
    return best
