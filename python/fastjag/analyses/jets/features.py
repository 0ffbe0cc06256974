"""What networks need of jets: features of their particles, padded tensors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from fastjag.analyses.jets.observables import substructure
from fastjag.analyses.jets.reading import JetBatch
from fastjag.core.arrays import Array
from fastjag.core.checks import near_misses
from fastjag.core.devices import namespace
from fastjag.jagged import Jagged, Padded

#: Features of every candidate.
FEATURES = ("delta_eta", "delta_phi", "log_pt", "log_e", "log_pt_rel", "log_e_rel", "delta_r", "charge",
            "is_charged_hadron", "is_neutral_hadron", "is_photon", "is_electron", "is_muon")  # fmt: skip
#: And of those with a track, where the file has impact parameters.
IMPACT_FEATURES = ("tanh_d0", "d0_error", "tanh_dz", "dz_error")

_KINDS = {"is_charged_hadron": 211, "is_neutral_hadron": 130, "is_photon": 22, "is_electron": 11,
          "is_muon": 13}  # fmt: skip


def particle_features(batch: JetBatch) -> Jagged:
    """The constituents with their features as float32 columns, and their pt [GeV].

    Columns are `FEATURES`, and `IMPACT_FEATURES` where there are impact parameters: delta_eta and
    delta_phi (candidate minus jet), logarithms of pt and E [GeV] and of their shares of the jet's,
    delta_r, charge, one flag per kind of candidate, tanh of d0 and dz [cm] and their errors, 0 for
    candidates without a track (H. Qu, C. Li, S. Qian, arXiv:2202.03772, table 2).
    """
    c = batch.constituents
    jet = c.broadcast(namespace(c.offsets).arange(len(c)))
    eta = c["delta_eta"] + batch.jets["eta"][jet]
    pt, mass = c["pt"], c["mass"]
    energy = np.sqrt(np.square(pt * np.cosh(eta)) + np.square(mass))
    jets = batch.jets
    jet_energy = np.hypot(jets["pt"].astype(np.float64) * np.cosh(jets["eta"]), jets["mass"])
    with np.errstate(divide="ignore"):
        log_pt, log_e = np.log(pt), np.log(energy)
        jet_log_pt, jet_log_e = (np.log(x).astype(np.float32) for x in (jets["pt"], jet_energy))
    columns: dict[str, Array] = {
        "pt": pt, "delta_eta": c["delta_eta"], "delta_phi": c["delta_phi"], "log_pt": log_pt,
        "log_e": log_e, "log_pt_rel": log_pt - jet_log_pt[jet], "log_e_rel": log_e - jet_log_e[jet],
        "delta_r": np.hypot(c["delta_eta"], c["delta_phi"]), "charge": c["charge"],
    }  # fmt: skip
    ids = np.abs(c["pdg_id"])
    columns |= {name: ids == kind for name, kind in _KINDS.items()}
    if "d0" in c:
        columns |= {"tanh_d0": np.tanh(c["d0"]), "d0_error": c["d0_error"],
                    "tanh_dz": np.tanh(c["dz"]), "dz_error": c["dz_error"]}  # fmt: skip
    return Jagged(c.offsets, {k: v.astype(np.float32, copy=False) for k, v in columns.items()})


def tensor(batch: JetBatch, slots: int = 100, features: Iterable[str] | None = None) -> Padded:
    """(n_jets, slots, F) float32 and mask: each jet's constituents of highest pt, zeros after.

    ``features`` default to all that :func:`particle_features` has for the file.
    """
    particles = particle_features(batch)
    names = [n for n in particles.columns if n != "pt"] if features is None else list(features)
    for name in names:
        if name not in particles:
            raise ValueError(f"no feature {name!r}: {near_misses(name, particles.columns)}")
    return particles.pad(slots, names, by="pt")


def padded_columns(batch: JetBatch, slots: Mapping[str, int]) -> dict[str, Any]:
    """Columns in the form of record 12102: one array per feature, zero-padded by descending pt.

    ``pfcand_*`` (n_jets, slots) of all constituents, ``track_*`` of the charged ones, ``sv_*`` of
    the secondary vertices where the file has them, each with ``slots`` of its own; ``n_pfcands``,
    ``n_tracks`` and ``n_sv`` count before the cut-off; ``fj_*`` are columns of the jets.
    """
    particles = particle_features(batch)
    tracks = particles.keep(batch.constituents["charge"] != 0)
    lists = {"pfcand": particles, "track": tracks}
    if batch.vertices is not None:
        lists["sv"] = batch.vertices
    columns: dict[str, Any] = {}
    for name, values in (batch.jets | substructure(batch)).items():
        columns[name if name in ("run", "lumi", "event", "origin") else f"fj_{name}"] = values
    for name, collection in lists.items():
        columns["n_sv" if name == "sv" else f"n_{name}s"] = collection.counts.astype(np.int32)
        names = list(collection.columns)
        values = collection.pad(slots[name], names, by="pt").values
        xp = namespace(values)
        columns |= {
            f"{name}_{n}": xp.ascontiguousarray(values[..., i]) for i, n in enumerate(names)
        }
    return columns
