"""What is inside jets: girth, pTD, widths, multiplicities, and images."""

from __future__ import annotations

import numpy as np

from fastjag.analyses.jets.reading import JetBatch
from fastjag.core.arrays import Array
from fastjag.core.devices import namespace

IMAGE_PIXELS = 33
IMAGE_HALF_WIDTH = 0.4


def substructure(batch: JetBatch) -> dict[str, Array]:
    """Shapes of jets from their constituents, arrays of shape (n_jets,), float64; jets without
    constituents have NaN.

    girth
        sum of pt_i delta_R_i / pt_jet with delta_R in rapidity and phi.
    pt_d
        sqrt(sum pt²) / sum pt.
    axis2
        Smaller of the two widths of the pt²-weighted distribution in (eta, phi)
        (CMS-PAS-JME-13-002).
    multiplicity, charged_multiplicity, neutral_multiplicity
        Numbers of constituents.
    """
    c, jets = batch.constituents, batch.jets
    jet = c.broadcast(namespace(c.offsets).arange(len(c)))
    n = len(c)

    def total(values: Array) -> Array:
        return np.bincount(jet, values.astype(np.float64), n)

    pt, mass, delta_eta, delta_phi = (
        c[name].astype(np.float64) for name in ("pt", "mass", "delta_eta", "delta_phi")
    )
    eta = delta_eta + jets["eta"].astype(np.float64)[jet]
    jet_y = rapidity(*(jets[name].astype(np.float64) for name in ("pt", "eta", "mass")))
    delta_y = rapidity(pt, eta, mass) - jet_y[jet]
    charged = c["charge"] != 0
    with np.errstate(invalid="ignore", divide="ignore"):
        sum_pt, sum_pt2 = total(pt), total(pt * pt)
        mean_eta, mean_phi = (total(pt * pt * x) / sum_pt2 for x in (delta_eta, delta_phi))
        u, v = delta_eta - mean_eta[jet], delta_phi - mean_phi[jet]
        uu, vv, uv = (total(pt * pt * x) / sum_pt2 for x in (u * u, v * v, u * v))
        smaller = (uu + vv - np.hypot(uu - vv, 2 * uv)) / 2
        girth = total(pt * np.hypot(delta_y, delta_phi)) / jets["pt"]
        result = {
            "girth": np.where(c.counts > 0, girth, np.nan),
            "pt_d": np.sqrt(sum_pt2) / sum_pt,
            "axis2": np.sqrt(np.maximum(smaller, 0)),
        }
    return result | {
        "multiplicity": c.counts.astype(np.float64),
        "charged_multiplicity": total(charged),
        "neutral_multiplicity": total(~charged),
    }


def rapidity(pt: Array, eta: Array, mass: Array) -> Array:
    """Rapidity of particles of such pt, pseudorapidity and mass [GeV]."""
    return np.arcsinh(pt * np.sinh(eta) / np.hypot(pt, mass))


def images(batch: JetBatch) -> Array:
    """(n_jets, 33, 33) float32: pt of the constituents per pixel as a share of the jet's.

    First axis delta_eta, second delta_phi, from -0.4 to 0.4 around the jet; what is outside is
    left out.
    """
    c = batch.constituents
    jet = c.broadcast(namespace(c.offsets).arange(len(c)))
    scale = IMAGE_PIXELS / (2 * IMAGE_HALF_WIDTH)
    row, column = (
        np.floor((c[name].astype(np.float64) + IMAGE_HALF_WIDTH) * scale).astype(np.int64)
        for name in ("delta_eta", "delta_phi")
    )
    inside = (row >= 0) & (row < IMAGE_PIXELS) & (column >= 0) & (column < IMAGE_PIXELS)
    pixel = (jet * IMAGE_PIXELS + row) * IMAGE_PIXELS + column
    share = c["pt"].astype(np.float64) / batch.jets["pt"].astype(np.float64)[jet]
    size = len(c) * IMAGE_PIXELS**2
    filled = np.bincount(pixel[inside], share[inside], size)
    return filled.reshape(len(c), IMAGE_PIXELS, IMAGE_PIXELS).astype(np.float32)
