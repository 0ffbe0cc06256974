"""Jets of generated particles, and what is inside large ones."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastjag.jagged import Jagged
from fastjag.neighbours import in_cone, nearest

Floats = NDArray[np.float64]


def cluster(constituents: Jagged, radius: float, min_pt: float) -> Jagged:
    """Anti-kt jets of columns px, py, pz, E by descending pt, with pt, eta, phi, E and mass."""
    import fastjet

    definition = fastjet.JetDefinition(fastjet.antikt_algorithm, radius)
    sequence = fastjet.ClusterSequence(_momenta(constituents), definition)
    return kinematics(Jagged.from_awkward(sequence.inclusive_jets(min_pt=min_pt))).sort("pt")


def substructure(jets: Jagged, constituents: Jagged) -> tuple[Floats, Floats]:
    """D2 = e3 / e2^3 of energy correlations, and tau3 / tau2 with exclusive-kt axes; -1 if undefined."""
    n = jets.n_particles
    d2, tau32 = np.full(n, -1.0), np.full(n, -1.0)
    cone = in_cone(jets, constituents, 1.0)
    names = ("pt", "eta", "phi", "px", "py", "pz", "E")
    inside = Jagged(cone.offsets, {c: constituents[c][cone["index"]] for c in names})
    usable = np.flatnonzero(inside.counts >= 3)
    if not len(usable):
        return d2, tau32
    inside = inside[usable]
    z, eta, phi = np.moveaxis(inside.pad(60, ["pt", "eta", "phi"], by="pt").values, 2, 0)
    z = z / z.sum(axis=1, keepdims=True)
    d_phi = np.abs(phi[:, :, None] - phi[:, None, :])
    d_phi = np.minimum(d_phi, 2 * np.pi - d_phi)
    distance = np.hypot(eta[:, :, None] - eta[:, None, :], d_phi)
    pairs = distance * np.sqrt(z[:, :, None] * z[:, None, :])
    e2 = np.einsum("ni,nij,nj->n", z, distance, z) / 2
    e3 = np.einsum("nij,nji->n", pairs @ pairs, pairs) / 6
    d2[usable] = np.where(e2 > 0, e3 / np.maximum(e2, 1e-12) ** 3, -1)

    import fastjet

    definition = fastjet.JetDefinition(fastjet.kt_algorithm, 1.0)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "dcut and exclusive jets")  # said of kt, too
        sequence = fastjet.ClusterSequence(_momenta(inside), definition)
        exclusive = [Jagged.from_awkward(sequence.exclusive_jets(n_jets=k)) for k in (2, 3)]
    tau = []
    for axes in map(kinematics, exclusive):
        weighted = inside["pt"] * nearest(inside, axes)[1]
        tau.append(inside.with_columns(t=weighted).aggregate("t", ["sum"])["sum"])
    tau32[usable] = np.where(tau[0] > 0, tau[1] / np.maximum(tau[0], 1e-12), -1)
    return d2, tau32


def _momenta(particles: Jagged) -> Any:
    return particles[["px", "py", "pz", "E"]].to_awkward(with_name="Momentum4D")


def kinematics(p: Jagged) -> Jagged:
    pt = np.hypot(p["px"], p["py"])
    mass2 = p["E"] ** 2 - pt**2 - p["pz"] ** 2
    return p.with_columns(
        pt=pt, eta=np.arcsinh(p["pz"] / np.maximum(pt, 1e-9)), phi=np.arctan2(p["py"], p["px"]),
        m=np.sqrt(np.maximum(mass2, 0)),
    )  # fmt: skip
