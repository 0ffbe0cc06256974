"""Photon+jet and multijet samples overlap: each gives the photons that it describes better."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastjag.core.devices import namespace
from fastjag.io.batches import Batch
from fastjag.io.files import ReadError
from fastjag.neighbours import nearest

Floats = NDArray[np.float64]

#: A direct photon is farther from every parton; the GJets_DR-0p4 samples were made so.
DELTA_R = 0.4
KINDS = ("data", "gjets", "qcd", "other")


def photon_parton_delta_r(batch: Batch, keep: NDArray[np.bool_] | None = None) -> Floats:
    """delta_r of the prompt generated photon to the nearest outgoing parton of each event.

    The photon is the hardest one with status 1 and bit 0 (isPrompt) of ``GenPart_statusFlags``;
    partons are the quarks up to b and gluons of ``LHEPart`` with status 1 (files without
    ``LHEPart_status`` hold outgoing ones only). inf without partons, NaN without a photon or
    generator records. ``keep`` chooses events.
    """
    n = len(batch) if keep is None else int(np.count_nonzero(keep))
    if "GenPart" not in batch.collections or "LHEPart" not in batch.collections:
        return np.full(n, np.nan)
    particles, partons = batch.GenPart, batch.LHEPart
    for name, collection, columns in (
        ("GenPart", particles, ("pt", "eta", "phi", "pdgId", "status", "statusFlags")),
        ("LHEPart", partons, ("eta", "phi", "pdgId")),
    ):
        missing = [f"{name}_{c}" for c in columns if c not in collection]
        if missing:
            raise ReadError(f"{batch.source}: no branch {', '.join(missing)}")
    if keep is not None:
        rows = np.flatnonzero(keep)
        particles, partons = particles[rows], partons[rows]
    prompt = (
        (particles["pdgId"] == 22)
        & (particles["status"] == 1)
        & ((particles["statusFlags"].astype(np.int64) & 1) > 0)
    )
    photons = particles.keep(prompt).sort("pt")
    flavour = np.abs(partons["pdgId"].astype(np.int64))
    outgoing = (flavour <= 5) | (flavour == 21)
    if "status" in partons:
        outgoing &= partons["status"] == 1
    _, delta_r = nearest(photons[["eta", "phi"]], partons.keep(outgoing)[["eta", "phi"]])
    has_photon = photons.counts > 0
    result: Floats = namespace(delta_r).full(n, np.nan)
    result[has_photon] = delta_r[photons.offsets[:-1][has_photon]]
    return result


def stitched(kind: str, delta_r: ArrayLike) -> NDArray[np.bool_]:
    """Which events of a sample to use, so that none is counted twice.

    "gjets" gives direct photons, delta_r > 0.4; "qcd" all others: photons from fragmentation and
    events without a prompt photon. All of "data" and "other".
    """
    x = np.asarray(delta_r, np.float64)
    if kind == "gjets":
        return np.asarray(x > DELTA_R)
    if kind == "qcd":
        return ~(x > DELTA_R)  # NaN, no prompt photon, stays
    if kind in KINDS:
        return np.ones(len(x), bool)
    raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")


class Continuity(NamedTuple):
    """The spectrum of delta_r on both sides of the border."""

    below: float  #: events per unit of delta_r at the border, from a line through the bins below
    above: float
    error: float  #: of their difference
    pull: float  #: (above - below) / error


def continuity(
    delta_r: ArrayLike, weights: ArrayLike, *, reach: float = 0.2, bins: int = 5
) -> Continuity:
    """Whether stitched samples meet without a step: lines through ``bins`` bins on each side."""
    x, w = np.asarray(delta_r, np.float64), np.asarray(weights, np.float64)
    values, variances = [], []
    for low, high in ((DELTA_R - reach, DELTA_R), (DELTA_R, DELTA_R + reach)):
        edges = np.linspace(low, high, bins + 1)
        sums = np.histogram(x, edges, weights=w)[0] / (reach / bins)
        # Empty bins know little, not everything: one event of mean weight is their error.
        least = np.mean(np.abs(w)) ** 2 if len(w) else 1.0
        variance = np.maximum(np.histogram(x, edges, weights=w**2)[0], least) / (reach / bins) ** 2
        line = np.column_stack([np.ones(bins), (edges[1:] + edges[:-1]) / 2 - DELTA_R])
        inverse = np.linalg.inv(line.T / variance @ line)
        values.append(float((inverse @ (line.T / variance @ sums))[0]))
        variances.append(float(inverse[0, 0]))
    error = float(np.sqrt(sum(variances)))
    return Continuity(values[0], values[1], error, (values[1] - values[0]) / error)
