"""dimuon against awkward + vector and numba: the leading pair, opposite sign, and its observables."""

import awkward as ak
import numpy as np
import peers
import vector
from harness import Race, race, toy_muons

import fastjag as fj

vector.register_awkward()

FIELDS = ("mass", "pt", "eta", "phi", "delta_r")


def awkward_way(muons, sort=True):
    muons = muons[ak.num(muons) >= 2]
    if sort:
        muons = muons[ak.argsort(muons.pt, axis=1, ascending=False, stable=True)]
    first, second = muons[:, 0], muons[:, 1]
    opposite = first.charge * second.charge < 0
    first, second = first[opposite], second[opposite]
    pair = first + second
    values = (pair.mass, pair.pt, pair.eta, pair.phi, first.deltaR(second))
    return dict(zip(FIELDS, map(np.asarray, values), strict=True))


def vectors(muons, dtype):
    columns = {name: muons[name].astype(dtype) for name in ("pt", "eta", "phi")}
    columns["mass"] = np.full(muons.n_particles, fj.MUON_MASS, dtype)
    return muons.with_columns(**columns).to_awkward("Momentum4D")


def run() -> list[Race]:
    muons = toy_muons()
    array = vectors(muons, np.float32)
    ours, exact = fj.dimuon(muons, fields=FIELDS), awkward_way(vectors(muons, np.float64))
    for name in FIELDS:
        # vector's E^2 - p^2 cancels even in float64 where pt is TeV and the mass is small.
        np.testing.assert_allclose(ours[name], exact[name], rtol=2e-6, atol=1e-6, err_msg=name)
    flat = [muons[name] for name in ("pt", "eta", "phi", "charge")]
    loop = peers.numba and (lambda: peers.dimuon_numba(muons.offsets, *flat, fj.MUON_MASS))
    if loop:
        for name, values in zip(FIELDS, loop(), strict=True):
            np.testing.assert_allclose(ours[name], values, rtol=2e-6, atol=2e-4, err_msg=name)
    work, candidates = peers.present(
        "dimuon: leading pair, opposite sign, 5 observables",
        {
            "fastjag": lambda: fj.dimuon(muons, fields=FIELDS),
            "numba": loop,
            "awkward + vector": lambda: awkward_way(array),
            "awkward + vector, no sort": lambda: awkward_way(array, sort=False),
        },
    )
    # Checked above, in float64: the float32 masses cancel.
    return [race(work, candidates, lambda a, b: None)]
