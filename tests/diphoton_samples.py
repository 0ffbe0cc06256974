"""Events of five production modes, roughly: what they differ in, nothing more."""

import numpy as np

from fastjag import Jagged
from fastjag.analyses.diphoton.events import Events

CLASSES = ("ggF", "VBF", "WH", "ZH", "ttH")
#: Expected events of each class, as unequal as they are.
YIELDS = np.array([90.0, 7.0, 2.0, 1.2, 0.8])

_JETS = np.array([0.8, 2.3, 1.2, 1.2, 5.0])
_JET_ETA = np.array([1.4, 2.8, 1.3, 1.3, 0.9])
_LEPTONS = np.array([0.02, 0.02, 0.5, 0.3, 0.6])
_MET = np.array([15.0, 18.0, 45.0, 50.0, 60.0])
_BTAG = np.array([0.1, 0.1, 0.12, 0.25, 0.6])
_PHOTON_PT = np.array([0.0, 25.0, 30.0, 30.0, 50.0])


def events(n, seed=1, shares=(0.4, 0.2, 0.15, 0.1, 0.15), negative=0.0):
    """``n`` events; a share ``negative`` of them has negative weights."""
    rng = np.random.default_rng(seed)
    label = rng.choice(len(CLASSES), n, p=shares)
    label[: len(CLASSES)] = np.arange(len(CLASSES))

    def particles(counts, base, eta, **more):
        owner = np.repeat(label, counts)
        m = len(owner)
        pt = 25 + rng.exponential(np.broadcast_to(base, len(CLASSES))[owner])
        etas = rng.normal(0, np.broadcast_to(eta, len(CLASSES))[owner])
        columns = {"pt": pt, "eta": etas, "phi": rng.uniform(-np.pi, np.pi, m)}
        columns["E"] = pt * np.cosh(etas)
        columns |= {name: make(owner) for name, make in more.items()}
        return Jagged.from_counts(counts, {k: v.astype("f4") for k, v in columns.items()})

    photons = np.full(n, 2)
    weight = rng.gamma(4.0, 0.25, n) * np.where(rng.random(n) < negative, -1, 1)
    weight *= (YIELDS / np.bincount(label, weight, len(CLASSES)))[label]
    return Events(
        {
            "photon": particles(photons, 30 + _PHOTON_PT, 1.0),
            "lep": particles(rng.poisson(_LEPTONS[label]), 30.0, 1.2),
            "jet": particles(
                rng.poisson(_JETS[label]), 35.0, _JET_ETA,
                MV2c10=lambda owner: np.clip(rng.normal(_BTAG[owner], 0.3), -1, 1),
            ),
        },
        {
            "met_et": rng.exponential(_MET[label]).astype("f4"),
            "met_phi": rng.uniform(-np.pi, np.pi, n).astype("f4"),
            "m_yy": rng.normal(125, 1.7, n).astype("f4"),
            "weight": weight,
            "label": label,
        },
        CLASSES,
    )  # fmt: skip


def table(sample):
    """Some aggregates, NaN where there is no jet or lepton."""
    jet, lep = sample.particles["jet"], sample.particles["lep"]
    found = {"n_jets": jet.counts, "n_leptons": lep.counts, "met": sample.flat["met_et"]}
    found["ht"] = jet.aggregate("pt", ["sum"])["sum"]
    found["jet_btag_max"] = jet.aggregate("MV2c10", ["max"])["max"]
    eta = jet.aggregate("eta", ["min", "max"])
    found["jet_eta_range"] = eta["max"] - eta["min"]
    found["lepton_pt_max"] = lep.aggregate("pt", ["max"])["max"]
    found["photon_pt_max"] = sample.particles["photon"].aggregate("pt", ["max"])["max"]
    return {name: np.asarray(values, np.float64) for name, values in found.items()}
