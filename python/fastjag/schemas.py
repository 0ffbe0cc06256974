"""How file formats name things: tree, branches and units, translated to NanoAOD names and GeV."""

from __future__ import annotations

import re
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

    def split(self, public: str) -> tuple[str, str]:
        """The collection of a jagged branch, and the column's name in it.

        Containers that the schema does not name keep theirs: ``Jet.PT``, ``TruthTausAuxDyn.eta``.
        """
        known = public.startswith(tuple(self.prefixes.values()))
        separator = "." if "." in public and not known else "_"
        collection, _, column = public.partition(separator)
        return collection, column

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

# ATLAS Open Data 2025: GeV already. What is the same quantity has the name of the 2020 release;
# others (photon_ptcone20, photon_topoetcone40, lep_ptvarcone30, jet_btag_quantile, ...) keep theirs.
ATLAS_ANALYSIS = Schema(
    "ATLAS analysis",
    "analysis",
    prefixes={
        **ATLAS_MINI.prefixes,
        "largeRJet_": "FatJet_",
        "ScaleFactor_": "scaleFactor_",
    },
    names={
        "met": "MET_pt",
        "met_phi": "MET_phi",
        "met_mpx": "MET_px",
        "met_mpy": "MET_py",
        "runNumber": "run",
        "eventNumber": "event",
        "xsec": "XSection",
        "sum_of_weights": "SumWeights",
        "ScaleFactor_FTAG": "scaleFactor_BTAG",
        "tau_isTight": "Tau_isTightID",
    },
    fields={
        "e": "energy",
        "m": "mass",
        "Eta": "eta",  # largeRJet_Eta, as it is spelled in the files
        "isTrigMatched": "trigMatched",
        "d0": "trackd0pvunbiased",
        "d0sig": "tracksigd0pvunbiased",
    },
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

_NUMBERS = {"unsigned", "signed", "long", "std::byte", "ROOT::RNTupleCardinality", *(
    f"{std}{kind}" for std in ("", "std::")
    for kind in ("bool", "char", "short", "int", "float", "double", "int64", "uint64",
                 *(f"{sign}int{bits}_t" for sign in ("", "u") for bits in (8, 16, 32, 64)))
)}  # fmt: skip


def is_numeric(kind: str) -> bool:
    """Whether a C++ type, as ROOT spells it, is a number or one list of numbers per event."""
    words = re.findall(r"[A-Za-z_][A-Za-z_0-9:]*", kind)
    lists = [w for w in words if w.split("::")[-1] in ("vector", "RVec")]
    return (
        bool(words)
        and "*" not in kind
        and len(lists) + kind.count("[]") <= 1
        and set(words) - set(lists) <= _NUMBERS
    )
