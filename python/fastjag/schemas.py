"""How file formats name things: tree, branches and units, translated to NanoAOD names and GeV."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase


@dataclass(frozen=True)
class Schema:
    """Names of a file format.

    ``prefixes`` maps the beginning of stored branch names to the collection's NanoAOD prefix,
    ``names`` whole branch names; both apply to the last part of a branch path. Fields of
    collections and flat branches that match ``energies`` (shell patterns on the new name without
    its collection) are multiplied by ``to_gev``.
    """

    name: str
    tree: str
    prefixes: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)
    energies: tuple[str, ...] = ()
    to_gev: float = 1.0

    def public(self, branch: str) -> str:
        """The NanoAOD-like name of a stored branch."""
        last = branch.split("/")[-1]
        if last in self.names:
            return self.names[last]
        for stored, prefix in self.prefixes.items():
            if last.startswith(stored):
                rest = last[len(stored) :]
                return prefix + self.fields.get(rest, rest)
        return last

    def scale(self, public: str) -> float:
        """The factor that brings a branch to GeV, 1 where it is no energy."""
        rest = public.split("_", 1)[-1]
        return self.to_gev if any(fnmatchcase(rest, p) for p in self.energies) else 1.0


NANOAOD = Schema("NanoAOD", "Events")

# ATLAS Open Data 2020 ("13 TeV education" release): MeV.
ATLAS_MINI = Schema(
    "ATLAS mini",
    "mini",
    prefixes={
        "photon_": "Photon_",
        "lep_": "Lepton_",
        "jet_": "Jet_",
        "largeRjet_": "FatJet_",
        "tau_": "Tau_",
        "truth_": "Truth_",
    },
    names={"met_et": "MET_pt", "met_phi": "MET_phi", "runNumber": "run", "eventNumber": "event"},
    fields={"E": "energy", "m": "mass"},
    energies=("pt", "energy", "mass", "ptcone*", "etcone*", "pt_syst", "et_syst"),
    to_gev=1e-3,
)

# ATLAS Open Data 2025: GeV already.
ATLAS_ANALYSIS = Schema(
    "ATLAS analysis",
    "analysis",
    prefixes={**ATLAS_MINI.prefixes, "largeRJet_": "FatJet_"},
    names={"met": "MET_pt", "met_phi": "MET_phi", "runNumber": "run", "eventNumber": "event"},
    fields={"e": "energy", "m": "mass"},
)

# CMS JetNtuple (record 12100): one row per jet, names kept as stored.
JETNTUPLE = Schema("JetNtuple", "AK4jets/jetTree", fields={"pT": "pt"}, prefixes={"PF_": "PF_"})

# ATLAS DAOD_PHYSLITE: std::vector branches, MeV.
PHYSLITE = Schema(
    "PHYSLITE",
    "CollectionTree",
    prefixes={
        "AnalysisPhotonsAuxDyn.": "Photon_",
        "AnalysisElectronsAuxDyn.": "Electron_",
        "AnalysisMuonsAuxDyn.": "Muon_",
        "AnalysisJetsAuxDyn.": "Jet_",
        "AnalysisLargeRJetsAuxDyn.": "FatJet_",
        "AnalysisTauJetsAuxDyn.": "Tau_",
        "InDetTrackParticlesAuxDyn.": "Track_",
        "TruthMuonsAuxDyn.": "GenMuon_",
    },
    names={
        "EventInfoAux.runNumber": "run",
        "EventInfoAux.eventNumber": "event",
        "EventInfoAuxDyn.runNumber": "run",
        "EventInfoAuxDyn.eventNumber": "event",
    },
    fields={"m": "mass", "e": "energy"},
    energies=("pt", "mass", "energy", "ptcone*", "ptvarcone*", "topoetcone*", "neflowisol*"),
    to_gev=1e-3,
)

SCHEMAS = (NANOAOD, ATLAS_MINI, ATLAS_ANALYSIS, JETNTUPLE, PHYSLITE)
