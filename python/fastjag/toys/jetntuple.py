"""Rows of a JetNtuple (one per jet, CERN open data record 12100) out of events in PFNano's columns.

The format's traps are kept as its producer makes them: PF lists hold every candidate of the event with
|delta_eta| <= 1 and |delta_phi| <= 1 of the jet, in collection order, angles relative to the jet; the
gen list of a jet without a gen jet is that of the jet before; integers are signed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastjag.core.arrays import Array, Offsets, offsets_of
from fastjag.jagged import Jagged
from fastjag.neighbours import in_cone, wrap_phi

Rows = dict[str, Any]

#: Half of the side of the window around a jet, in eta and phi.
WINDOW = 1.0


def jet_rows(events: Mapping[str, Any], seed: int | None = None) -> Rows:
    """One row per jet with pt > 30 GeV, |eta| < 2.5, of events whose two leading jets are such.

    Parameters
    ----------
    events
        "Jet", "PFCands" and "JetPFCands" as :class:`fastjag.Jagged`, and event columns, with the
        names of PFNano. What they do not have (fromPV, gen jets, pileup) the rows do not either.
    seed
        Makes a gen jet out of each jet's constituents; None: no gen branches.

    Returns
    -------
    dict
        Branch name to array of shape (n_jets,), "PF" and "genJetPF" to Jagged of n_jets lists.
    """
    jets, candidates = events["Jet"], events["PFCands"]
    chosen = _select(jets)
    kept = jets.keep(chosen)
    event = np.repeat(np.arange(len(kept)), kept.counts)
    rows: Rows = {}
    for name, stored in (("jetPt", "pt"), ("jetEta", "eta"), ("jetPhi", "phi"), ("jetMass", "mass"),
                         ("jetArea", "area"), ("jetQGl", "qgl")):  # fmt: skip
        if stored in kept:
            rows[name] = kept[stored].astype(np.float32)
    if "rawFactor" in kept:
        rows["jetRawPt"] = kept["pt"] * (1 - kept["rawFactor"])
        rows["jetRawMass"] = kept["mass"] * (1 - kept["rawFactor"])
    links = _owners(jets, candidates, events["JetPFCands"])
    numbers = np.full(jets.n_particles, -1)
    numbers[chosen] = np.arange(kept.n_particles)  # of each jet among those kept
    owner = np.where(links >= 0, numbers[links], -1)
    rows["PF"] = _window(kept, candidates, owner)
    rows |= _shapes(kept, candidates, owner)
    rows |= _flavours(kept)
    rows |= _event_columns(events, event)
    rows |= _topology(jets, kept, event)
    if seed is not None:
        rows |= _gen(kept, candidates, owner, np.random.default_rng([seed, 1]))
    return rows


def _select(jets: Jagged) -> Array:
    good = (jets["pt"] > 30) & (np.abs(jets["eta"]) < 2.5)
    fine = jets.with_columns(good=good).pad(2, "good").values.all(axis=1) & (jets.counts >= 2)
    return np.asarray(good & np.repeat(fine, jets.counts))


def _owners(jets: Jagged, candidates: Jagged, links: Jagged) -> Array:
    """The jet of each candidate by its place in the flat columns, -1 for those of none."""
    owner = np.full(candidates.n_particles, -1)
    at = np.repeat(candidates.offsets[:-1], links.counts) + links["pFCandsIdx"]
    owner[at] = np.repeat(jets.offsets[:-1], links.counts) + links["jetIdx"]
    return owner


def _window(jets: Jagged, candidates: Jagged, owner: Array) -> Jagged:
    near = in_cone(jets, candidates, 1.0001 * WINDOW * np.sqrt(2))
    jet, at = np.repeat(np.arange(len(near)), near.counts), near["index"]
    delta_eta = candidates["eta"][at] - jets["eta"][jet]
    delta_phi = wrap_phi(candidates["phi"][at] - jets["phi"][jet])
    columns = {
        "pT": candidates["pt"][at], "dR": near["delta_r"], "dTheta": np.arctan2(delta_phi, delta_eta),
        "dPhi": delta_phi, "dEta": delta_eta, "mass": candidates["mass"][at],
        "id": candidates["pdgId"][at].astype(np.int32),
        "fromAK4Jet": (owner[at] == jet).astype(np.int32),
    }  # fmt: skip
    if "fromPV" in candidates:
        columns["fromPV"] = candidates["fromPV"][at].astype(np.int32)
    inside = (np.abs(delta_eta) <= WINDOW) & (np.abs(delta_phi) <= WINDOW)
    floats = {k: v.astype(np.float32) if v.dtype.kind == "f" else v for k, v in columns.items()}
    return Jagged(near.offsets, floats).keep(inside)


def _shapes(jets: Jagged, candidates: Jagged, owner: Array) -> Rows:
    """Girth, pTD, axis2 and multiplicities, from the constituents of each jet."""
    at = np.flatnonzero(owner >= 0)
    jet, n = owner[at], jets.n_particles

    def total(values: Any) -> Array:
        return np.bincount(jet, values, n)

    pt, mass = candidates["pt"][at].astype(float), candidates["mass"][at].astype(float)
    delta_phi = wrap_phi(candidates["phi"][at].astype(float) - jets["phi"][jet])
    delta_eta = candidates["eta"][at].astype(float) - jets["eta"][jet]
    y = np.arcsinh(pt * np.sinh(candidates["eta"][at].astype(float)) / np.hypot(pt, mass))
    jet_y = np.arcsinh(
        jets["pt"] * np.sinh(jets["eta"].astype(float)) / np.hypot(jets["pt"], jets["mass"])
    )
    ids = np.abs(candidates["pdgId"][at])
    charged = np.isin(ids, (211, 11, 13))
    with np.errstate(all="ignore"):
        weight = pt**2 / total(pt**2)[jet]
        mean = [total(weight * x)[jet] for x in (delta_eta, delta_phi)]
        a, b, c = (
            total(weight * (x - mx) * (z - mz))
            for x, mx, z, mz in (
                (delta_eta, mean[0], delta_eta, mean[0]), (delta_eta, mean[0], delta_phi, mean[1]),
                (delta_phi, mean[1], delta_phi, mean[1]),
            )
        )  # fmt: skip
        smaller = (a + c - np.sqrt((a - c) ** 2 + 4 * b * b)) / 2
        rows = {
            "jetGirth": total(np.hypot(y - jet_y[jet], delta_phi) * pt) / jets["pt"],
            "QG_ptD": np.sqrt(total(pt**2)) / total(pt),
            "QG_axis2": np.sqrt(np.maximum(smaller, 0)),
        }
    counts = {"jetMult": None, "jetChargedMult": charged, "jetNeutralMult": ~charged,
              "jetChargedHadronMult": ids == 211, "jetNeutralHadronMult": ids == 130,
              "QG_mult": charged | (pt > 1)}  # fmt: skip
    return {k: v.astype(np.float32) for k, v in rows.items()} | {
        k: np.bincount(jet, v, n).astype(np.int32) for k, v in counts.items()
    }


def _flavours(jets: Jagged) -> Rows:
    n = jets.n_particles
    parton = jets["partonFlavour"] if "partonFlavour" in jets else np.zeros(n, np.int32)
    hadron = jets["hadronFlavour"] if "hadronFlavour" in jets else np.zeros(n, np.int32)
    light, gluon = np.isin(np.abs(parton), (1, 2, 3)), parton == 21
    other = ~light & ~gluon  # undefined flavour as well
    integers = {"partonFlav": parton, "hadronFlav": hadron, "physFlav": parton,
                "jetLooseID": np.ones(n), "jetTightID": np.ones(n)}  # fmt: skip
    for kind in ("Phys", "Parton"):
        integers |= {f"is{kind}UDS": light, f"is{kind}G": gluon, f"is{kind}Other": other}
    return {name: values.astype(np.int32) for name, values in integers.items()}


#: Event columns of PFNano to branches.
_EVENT = {
    "genWeight": "eventWeight", "pthat": "pthat", "fixedGridRhoFastjetAll": "rhoAll",
    "fixedGridRhoFastjetCentral": "rhoCentral",
    "fixedGridRhoFastjetCentralNeutral": "rhoCentralNeutral",
    "fixedGridRhoFastjetCentralChargedPileUp": "rhoCentralChargedPileUp",
    "Pileup_nTrueInt": "Pileup_nTrueInt", "Pileup_nPU": "Pileup_nPU", "run": "run", "luminosityBlock": "lumi",
    "PV_npvsGood": "PV_npvsGood", "event": "event", "originEvent": "originEvent",
}  # fmt: skip


def _event_columns(events: Mapping[str, Any], event: Array) -> Rows:
    rows = {}
    for stored, name in _EVENT.items():
        if stored in events:
            values = np.asarray(events[stored])[event]
            if name in ("event", "originEvent"):
                rows[name] = values.astype(np.uint64)
            else:
                rows[name] = values.astype(np.int32 if values.dtype.kind in "iu" else np.float32)
    return rows


def _topology(jets: Jagged, kept: Jagged, event: Array) -> Rows:
    """Dijet quantities from all jets of the event, as its producer has them."""
    three = jets.pad(3, ["pt", "eta", "phi"], by="pt").values.astype(float)
    pt, eta, phi = three[..., 0], three[..., 1], three[..., 2]
    with np.errstate(all="ignore"):
        alpha = np.where(jets.counts < 3, 0, pt[:, 2] / ((pt[:, 0] + pt[:, 1]) / 2))
    rank = np.arange(kept.n_particles) - np.repeat(kept.offsets[:-1], kept.counts)
    rows: Rows = {
        "dPhiJetsLO": np.abs(wrap_phi(phi[:, 0] - phi[:, 1]))[event].astype(np.float32),
        "dEtaJetsLO": np.abs(eta[:, 0] - eta[:, 1])[event].astype(np.float32),
        "alpha": alpha[event].astype(np.float32),
        "eventJetMult": jets.counts[event].astype(np.int32),
        "jetPtOrder": rank.astype(np.int32),
    }
    return rows


def _gen(jets: Jagged, candidates: Jagged, owner: Array, rng: np.random.Generator) -> Rows:
    """Gen jets for 95 % of the jets; lists of the others are the previous ones, as in the files."""
    at = np.flatnonzero(owner >= 0)
    at = at[np.argsort(owner[at], kind="stable")]
    jet, n = owner[at], jets.n_particles
    matched = rng.random(n) < 0.95
    matched[:1] = True
    source = np.maximum.accumulate(np.where(matched, np.arange(n), 0))
    smear = rng.normal(1, 0.08, len(at)).clip(0.5, 1.5)
    offset: Offsets = offsets_of(np.bincount(jet, minlength=n))
    delta_eta = candidates["eta"][at] - jets["eta"][jet]
    delta_phi = wrap_phi(candidates["phi"][at] - jets["phi"][jet])
    columns = {
        "pT": candidates["pt"][at] * smear, "dR": np.hypot(delta_eta, delta_phi),
        "dTheta": np.arctan2(delta_phi, delta_eta), "mass": candidates["mass"][at],
    }  # fmt: skip
    lists = Jagged(
        offset,
        {k: v.astype(np.float32) for k, v in columns.items()}
        | {"id": candidates["pdgId"][at].astype(np.int32)},
    ).sort("pT")
    response = rng.normal(1, 0.08, n).clip(0.7, 1.3)
    rows: Rows = {"jetGenMatch": matched.astype(np.int32), "genJetPF": lists[source]}
    for name, values in (("Pt", jets["pt"] / response), ("Eta", jets["eta"]), ("Phi", jets["phi"]),
                         ("Mass", jets["mass"] / response)):  # fmt: skip
        rows[f"genJet{name}"] = np.where(matched, values, 0).astype(np.float32)
    return rows
