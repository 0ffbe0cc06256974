"""The columns of the dimuon search: their names, what they need, how they are computed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastjag.core.arrays import Array
from fastjag.core.checks import one_of
from fastjag.core.devices import namespace
from fastjag.dimuons import dimuon
from fastjag.jagged import Jagged

#: Column of each of the two muons to the muon branch that it is: ``mu0_pt`` is ``Muon_pt``.
MUON = {
    "pt": "pt",
    "eta": "eta",
    "phi": "phi",
    "ip3d": "ip3d",
    "iso04": "pfRelIso04_all",
    "jetiso": "jetRelIso",
}
PAIR = {
    "dimu_mass": "mass",
    "dimu_pt": "pt",
    "dimu_eta": "eta",
    "dimu_phi": "phi",
    "mumu_deltaR": "delta_r",
    "mumu_deltapT": "delta_pt",
}
JET = {"btag": "btagDeepB", "pt": "pt", "eta": "eta", "phi": "phi", "mass": "mass"}
#: Which jet ``hardest_jet_*`` is: that of largest pt, or the first as stored.
HARDEST_JET = ("pt", "first")
COUNTS = ("n_muons", "n_jets")
#: Names of all columns but triggers, which are all that begin with ``HLT_``.
OBSERVABLES = (
    *PAIR,
    *(f"mu{i}_{name}" for name in MUON for i in (0, 1)),
    *COUNTS,
    *(f"hardest_jet_{name}" for name in JET),
    "dimujet_deltaR",
)

#: The triggers of 2016 that the published tables hold.
TRIGGERS = tuple(
    f"HLT_{name}"
    for name in (
        "DoubleMu0", "DoubleMu18NoFiltersNoVtx", "DoubleMu23NoFiltersNoVtxDisplaced",
        "DoubleMu28NoFiltersNoVtxDisplaced", "DoubleMu33NoFiltersNoVtx", "DoubleMu38NoFiltersNoVtx",
        "DoubleMu8_Mass8_PFHT250", "DoubleMu8_Mass8_PFHT300", "L2DoubleMu23_NoVertex",
        "L2DoubleMu28_NoVertex_2Cha_Angle2p5_Mass10", "L2DoubleMu38_NoVertex_2Cha_Angle2p5_Mass10",
        "Mu10_CentralPFJet30_BTagCSV_p13", "Mu17_Mu8_DZ", "Mu17_Mu8_SameSign_DZ",
        "Mu17_Mu8_SameSign", "Mu17_Mu8", "Mu17_TkMu8_DZ", "Mu17_TrkIsoVVL_Mu8_TrkIsoVVL_DZ",
        "Mu17_TrkIsoVVL_Mu8_TrkIsoVVL", "Mu17_TrkIsoVVL_TkMu8_TrkIsoVVL_DZ",
        "Mu17_TrkIsoVVL_TkMu8_TrkIsoVVL", "Mu17_TrkIsoVVL", "Mu17", "Mu20_Mu10_DZ",
        "Mu20_Mu10_SameSign_DZ", "Mu20_Mu10_SameSign", "Mu20_Mu10", "Mu27_TkMu8", "Mu30_TkMu11",
        "Mu3_PFJet40", "Mu40_TkMu11", "Mu8_TrkIsoVVL", "Mu8", "TkMu17_TrkIsoVVL_TkMu8_TrkIsoVVL_DZ",
        "TkMu17_TrkIsoVVL_TkMu8_TrkIsoVVL", "TripleMu_12_10_5", "TripleMu_5_3_3_DZ_Mass3p8",
        "TripleMu_5_3_3", "TrkMu15_DoubleTrkMu5NoFiltersNoVtx", "TrkMu17_DoubleTrkMu8NoFiltersNoVtx",
    )
)  # fmt: skip

MUON_BRANCHES = tuple(f"Muon_{name}" for name in ("pt", "eta", "phi", "charge"))
#: Taken where a file has them; columns made of them are NaN where not.
OPTIONAL_BRANCHES = (
    *(f"Muon_{branch}" for branch in ("ip3d", "pfRelIso04_all", "jetRelIso")),
    *(f"Jet_{branch}" for branch in JET.values()),
)


def is_column(name: object) -> bool:
    """Whether the tables of the search have, or may have, this column."""
    return isinstance(name, str) and (name in OBSERVABLES or name.startswith("HLT_"))


def branches_of(column: str) -> tuple[str, ...]:
    """Branches without which a column is 0 or NaN throughout."""
    if column == "dimujet_deltaR":
        return ("Jet_eta", "Jet_phi")
    if column == "n_jets":
        return ("Jet_pt",)
    if column.startswith("hardest_jet_"):
        return (f"Jet_{JET[column.removeprefix('hardest_jet_')]}",)
    if column[:4] in ("mu0_", "mu1_"):
        return (f"Muon_{MUON[column[4:]]}",)
    return ()


def pair_columns(
    muons: Jagged, jets: Jagged | None, mask: Array, *, hardest_jet: str = "pt",
    threads: int | None = None,
) -> tuple[Array, dict[str, Array]]:  # fmt: skip
    """Charge of, and every observable but triggers of, the leading pair of each event that has one.

    ``mask`` marks the muons that may form pairs. Returns the pairs' total charge, and the columns,
    ``event`` (index into ``muons``) among them; all have one entry per pair. Pairs whose mass is
    no number or whose pt is 0 are left out. ``hardest_jet`` is "pt", the jet of largest pt (columns
    are NaN without it), or "first", the first one as stored, which the published analysis took.
    """
    pairs = dimuon(
        muons, "any", mask=mask, fields=("event", "first", "second", "charge", *PAIR.values()),
        threads=threads,
    )  # fmt: skip
    good = np.isfinite(pairs.mass) & (pairs.pt > 0)
    xp, event = namespace(good), pairs.event[good]
    legs = [pairs.first[good], pairs.second[good]]
    columns: dict[str, Array] = {"event": event}
    columns |= {name: pairs[field][good] for name, field in PAIR.items()}
    for name, branch in MUON.items():
        for i, leg in enumerate(legs):
            columns[f"mu{i}_{name}"] = (
                muons[branch][leg] if branch in muons else xp.full(len(leg), np.nan, np.float32)
            )
    passing = muons.with_columns(passing=mask)
    columns["n_muons"] = passing.aggregate("passing", ["sum"])["sum"][event].astype(np.int32)
    columns |= _jet_columns(jets, event, columns, one_of("hardest_jet", hardest_jet, HARDEST_JET))
    return pairs.charge[good], columns


def _jet_columns(
    jets: Jagged | None, event: Array, columns: Mapping[str, Array], hardest: str
) -> dict[str, Array]:
    xp = namespace(event)
    n_jets = xp.zeros(len(event), np.int64) if jets is None else jets.counts[event]
    has_jet = n_jets > 0
    result: dict[str, Any] = {"n_jets": n_jets.astype(np.int32)}
    leading = None if jets is None or (hardest == "pt" and "pt" not in jets) else jets[event]
    if leading is not None and hardest == "pt":
        leading = leading.sort("pt")
    for name, branch in JET.items():
        values = xp.full(len(event), np.nan, np.float32)
        if leading is not None and branch in leading:
            values[has_jet] = leading[branch][leading.offsets[:-1][has_jet]]
        result[f"hardest_jet_{name}"] = values
    turns = columns["dimu_phi"].astype(np.float64) - result["hardest_jet_phi"]
    delta_phi = np.remainder(turns + np.pi, 2 * np.pi) - np.pi
    delta_eta = columns["dimu_eta"].astype(np.float64) - result["hardest_jet_eta"]
    result["dimujet_deltaR"] = np.hypot(delta_eta, delta_phi).astype(np.float32)
    return result
