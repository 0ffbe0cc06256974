"""Events with one photon and a jet, from NanoAOD, with the balance of the two."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from fastjag.analyses.gammajet import jetid
from fastjag.analyses.gammajet.config import PUID_BITS, VETOES, PhotonJetSelection
from fastjag.analyses.gammajet.stitching import photon_parton_delta_r
from fastjag.core.arrays import Array
from fastjag.core.checks import near_misses
from fastjag.core.devices import namespace
from fastjag.io.batches import Batch
from fastjag.io.files import ReadError
from fastjag.jagged import Jagged
from fastjag.neighbours import delta_phi
from fastjag.selection import as_flags, event_flags

Floats = NDArray[np.float64]

#: Filters of events with wrong missing momentum; a file has those of its year.
MET_FILTERS = (
    "Flag_goodVertices", "Flag_globalSuperTightHalo2016Filter", "Flag_HBHENoiseFilter",
    "Flag_HBHENoiseIsoFilter", "Flag_EcalDeadCellTriggerPrimitiveFilter",
    "Flag_BadPFMuonFilter", "Flag_BadPFMuonDzFilter", "Flag_eeBadScFilter",
    "Flag_ecalBadCalibFilter",
)  # fmt: skip
COLUMNS = (
    "Photon_pt", "Photon_eta", "Photon_phi", "Photon_jetIdx",
    "Jet_pt", "Jet_eta", "Jet_phi",
    "Muon_pt", "Electron_pt", "Electron_cutBased",
)  # fmt: skip
OPTIONAL = (
    *MET_FILTERS, "Photon_cutBased", "Photon_cutBasedBitmap", "Muon_looseId", "genWeight",
    *jetid.COLUMNS, "Jet_puId", "PSWeight",
    "GenPart_pt", "GenPart_eta", "GenPart_phi", "GenPart_pdgId", "GenPart_status",
    "GenPart_statusFlags", "LHEPart_eta", "LHEPart_phi", "LHEPart_pdgId", "LHEPart_status",
)  # fmt: skip


def columns_of(selection: PhotonJetSelection) -> tuple[list[str], list[str]]:
    """Branches that every file must have, and those that some may lack."""
    needed = [*COLUMNS, f"{selection.met}_pt", f"{selection.met}_phi"]
    needed += [selection.trigger] if selection.trigger else []
    needed += [f"Photon_{selection.photon_veto}"] if selection.photon_veto in VETOES else []
    return needed, list(OPTIONAL)


def select_events(
    batch: Batch,
    selection: PhotonJetSelection,
    cutflow: dict[str, int],
    *,
    photon_factor: float = 1.0,
    extra: Mapping[str, Array] = {},
) -> dict[str, Array]:
    """One row per event that passes, and the numbers of events after each step in ``cutflow``.

    Columns: ``photon_pt/eta/phi``, ``jet_pt/eta/phi`` (leading jet), ``jet2_pt`` (0 if there is
    none), ``delta_phi``, ``balance``, ``mpf``, ``alpha``, ``delta_r`` (of the prompt generated
    photon to the nearest parton, NaN in data), ``gen_weight`` (1 in data). The response is

    * balance: pt(jet) / pt(photon),
    * MPF (missing projection fraction): 1 + MET . pt(photon) / pt(photon)^2, transverse vectors,
    * alpha: pt(second jet) / pt(photon).

    ``mpf_lead`` and ``mpf_others`` are the parts of MPF that the leading jet and all other jets above
    ``second_jet_pt`` have along the photon (:mod:`fastjag.analyses.gammajet.decomposition`). With
    ``photon_factor`` all photons have so much more pt, and the missing momentum what balances it.
    ``extra`` are columns of all events, of which rows get theirs.

    Of the jets, the photon's own one (``Photon_jetIdx``) is left out. Exactly one photon is tight,
    ``Photon_cutBased`` 3 or, in old files, bit 2 of ``Photon_cutBasedBitmap``, and passes the veto
    of electrons; a jet is tight by :func:`~fastjag.analyses.gammajet.jetid.tight_jets`; the second
    jet needs no identification. A lepton that vetoes is loose: ``Muon_looseId`` (all muons where the
    branch is absent), ``Electron_cutBased`` 2 or more.
    """
    for name in ("Photon", "Jet", "Muon", "Electron"):
        if name not in batch.collections:
            raise ReadError(f"{batch.source}: {name} branches are not jagged")
    xp = namespace(batch.Photon["pt"])
    keep = xp.ones(len(batch), bool)

    def cut(name: str, passing: NDArray[np.bool_] | None) -> None:
        if passing is not None:
            keep[:] &= passing
        cutflow[name] = cutflow.get(name, 0) + int(np.count_nonzero(keep))

    cut("events read", None)
    if selection.trigger is not None:
        cut(selection.trigger, event_flags(batch, selection.trigger))
    filters = [event_flags(batch, f) for f in MET_FILTERS if f in batch.flat]
    cut("MET filters", reduce(np.logical_and, filters) if filters else None)
    photons = batch.Photon
    if photon_factor != 1.0:
        photons = photons.with_columns(pt=photons["pt"] * photons["pt"].dtype.type(photon_factor))
    good = (
        _tight_photons(photons, batch, selection.photon_veto)
        & (photons["pt"] > selection.photon_pt)
        & (np.abs(photons["eta"]) < selection.photon_abs_eta)
    )
    tight = photons.keep(good)
    cut("exactly one tight photon", tight.counts == 1)
    cut("no loose lepton", _n_loose_leptons(batch, selection.lepton_pt) == 0)

    rows = np.flatnonzero(keep)
    photon = tight[rows]
    identified = batch.Jet.with_columns(tight=jetid.tight_jets(batch, selection.jet_id))
    jets = _without_own(identified[rows], photon["jetIdx"])
    leading = jets.keep(
        jets["tight"]
        & (jets["pt"] > selection.jet_pt)
        & (np.abs(jets["eta"]) < selection.jet_abs_eta)
    ).sort("pt")
    has_jet = leading.counts > 0
    keep[np.flatnonzero(keep)[~has_jet]] = False
    cut("a tight jet", None)

    rows = np.flatnonzero(has_jet)
    photon, jets, leading = photon[rows], jets[rows], leading[rows]
    first = leading.offsets[:-1]
    row = {
        **{f"photon_{c}": photon[c].astype(np.float64) for c in ("pt", "eta", "phi")},
        **{f"jet_{c}": leading[c][first].astype(np.float64) for c in ("pt", "eta", "phi")},
    }
    others = jets.keep(
        (jets["slot"] != jets.broadcast(leading["slot"][first]))
        & (jets["pt"] > selection.second_jet_pt)
    )
    others = others.keep(_pileup_free(others, selection.second_jet_puid, batch))
    second = others.aggregate("pt", ["max"])["max"]
    row["jet2_pt"] = np.where(others.counts > 0, second, 0.0).astype(np.float64)
    row["delta_phi"] = delta_phi(row["photon_phi"], row["jet_phi"])
    met = [batch[f"{selection.met}_{c}"][keep].astype(np.float64) for c in ("pt", "phi")]
    if photon_factor != 1.0:
        met = _without(met, row["photon_pt"] * (1 - 1 / photon_factor), row["photon_phi"])
    row["mpf_lead"] = -row["jet_pt"] * np.cos(row["jet_phi"] - row["photon_phi"]) / row["photon_pt"]
    along = others["pt"].astype(np.float64) * np.cos(
        others["phi"].astype(np.float64) - others.broadcast(row["photon_phi"])
    )
    row["mpf_others"] = (
        -np.bincount(others.broadcast(xp.arange(len(others))), along, len(others))
        / row["photon_pt"]
    )
    row |= responses(row["photon_pt"], row["photon_phi"], row["jet_pt"], row["jet2_pt"], *met)
    if "genWeight" in batch.flat:
        row["gen_weight"] = batch["genWeight"][keep].astype(np.float64)
    else:
        row["gen_weight"] = xp.ones(len(row["jet_pt"]))
    row |= {name: values[keep].astype(np.float64) for name, values in extra.items()}
    row["delta_r"] = xp.asarray(photon_parton_delta_r(batch, keep))
    apart = np.abs(row["delta_phi"]) > selection.min_delta_phi
    if selection.min_delta_phi > 0:
        keep[np.flatnonzero(keep)[~apart]] = False
        cut(f"delta_phi > {selection.min_delta_phi:g}", None)
        row = {name: values[apart] for name, values in row.items()}
    return row


def responses(
    photon_pt: Floats, photon_phi: Floats, jet_pt: Floats, jet2_pt: Floats,
    met_pt: Floats, met_phi: Floats,
) -> dict[str, Floats]:  # fmt: skip
    """Balance, MPF and alpha of events; all arguments of shape (n,), GeV and rad."""
    return {
        "balance": jet_pt / photon_pt,
        "mpf": 1 + met_pt * np.cos(met_phi - photon_phi) / photon_pt,
        "alpha": jet2_pt / photon_pt,
    }


#: Variations of the shower, in the order of ``PSWeight``: scales of alpha_s by 2 or 1/2.
SHOWER = ("ISR up", "FSR up", "ISR down", "FSR down")


def shower_weights(batch: Batch) -> dict[str, Floats]:
    """Weights of events, relative to nominal, for the scales of initial- and final-state radiation.

    Of ``PSWeight``, four in every event: ISR by 2, FSR by 2, ISR by 1/2, FSR by 1/2. Raises ReadError where
    the file has none, or another number.
    """
    if "PSWeight" not in batch.collections:
        raise ReadError(
            f"{batch.source}: no branch PSWeight with lists, which parton_shower = true needs"
        )
    weights: Jagged = batch.collections["PSWeight"]
    if not (weights.counts == 4).all():
        raise ReadError(
            f"{batch.source}: PSWeight must have 4 numbers in every event, for ISR and FSR"
        )
    values = weights[weights.columns[0]].astype(np.float64).reshape(len(weights), 4)
    return dict(zip(SHOWER, values.T, strict=True))


def _without(met: list[Floats], pt: Floats, phi: Floats) -> list[Floats]:
    """Missing momentum, pt and phi, after a particle got more momentum."""
    x = met[0] * np.cos(met[1]) - pt * np.cos(phi)
    y = met[0] * np.sin(met[1]) - pt * np.sin(phi)
    return [np.hypot(x, y), np.arctan2(y, x)]


#: Jets above this pt [GeV] are from the collision that counts: the identification was not trained there.
PUID_BELOW = 50.0


def _pileup_free(jets: Jagged, working_point: str, batch: Batch) -> NDArray[np.bool_]:
    """Jets that pass a working point of the pile-up identification, or are too hard for it."""
    if working_point == "none":
        every: NDArray[np.bool_] = namespace(jets["pt"]).ones(jets.n_particles, bool)
        return every
    if "puId" not in jets:
        raise ReadError(
            f"{batch.source}: no branch Jet_puId: PUPPI jets have none, set second_jet_puid = 'none'"
        )
    passes: NDArray[np.bool_] = (jets["puId"].astype(np.int64) & PUID_BITS[working_point]) > 0
    passes |= jets["pt"] >= PUID_BELOW
    return passes


def _tight_photons(photons: Jagged, batch: Batch, veto: str) -> NDArray[np.bool_]:
    passes: NDArray[np.bool_] = namespace(photons["pt"]).ones(photons.n_particles, bool)
    if veto in VETOES:
        passes = as_flags(photons[veto], f"Photon_{veto}", batch.source) == VETOES[veto]
    if "cutBased" in photons:
        passes &= photons["cutBased"] >= 3
        return passes
    if "cutBasedBitmap" in photons:
        passes &= (photons["cutBasedBitmap"].astype(np.int64) & 4) > 0
        return passes
    raise ReadError(
        f"{batch.source}: neither Photon_cutBased nor Photon_cutBasedBitmap among the branches: "
        f"{near_misses('cutBased', photons.columns)}"
    )


def _n_loose_leptons(batch: Batch, pt: float) -> NDArray[np.int64]:
    muons: Jagged = batch.Muon
    electrons: Jagged = batch.Electron
    loose = namespace(muons["pt"]).ones(muons.n_particles, bool)
    if "looseId" in muons:
        loose = as_flags(muons["looseId"], "Muon_looseId", batch.source)
    n_muons = muons.keep(loose & (muons["pt"] > pt)).counts
    return n_muons + electrons.keep((electrons["cutBased"] >= 2) & (electrons["pt"] > pt)).counts


def _without_own(jets: Jagged, own: Array) -> Jagged:
    """Jets with their place in the event as ``slot``, without the one that is the photon's."""
    slot = namespace(own).arange(jets.n_particles) - jets.broadcast(jets.offsets[:-1])
    return jets.with_columns(slot=slot).keep(slot != jets.broadcast(own))
