"""How file formats name things: tree, branches and units, translated to NanoAOD names and GeV."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase


@dataclass(frozen=True)
class Schema:
    """Names and units of a file format.

    ``prefixes`` maps the beginning of stored branch names to the collection's NanoAOD prefix,
    ``names`` whole branch names; both apply to the last part of a branch path. RNTuples, whose
    names have no dots, write them as colons: ``Aux:pt`` is ``Aux.pt``.

    One rule for the units of a file: *every* branch, in a collection that the schema names, in one
    that it does not, or in none, whose field matches ``energies`` is multiplied by ``to_gev``. The
    field is the new name without its collection, and ``energies`` are shell patterns. What matches
    none stays as stored, lengths (mm in ATLAS files) and powers of energies (q/p, covariances)
    among them.

    ``one_length`` names the collections whose std::vector branches have equal lengths in every
    event by the definition of the format, so that nobody has to look.
    """

    name: str
    tree: str
    prefixes: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)
    energies: tuple[str, ...] = ()
    to_gev: float = 1.0
    one_length: tuple[str, ...] = ()

    def public(self, branch: str) -> str:
        """The NanoAOD-like name of a stored branch."""
        last = branch.split("/")[-1]
        if any("." in stored for stored in self.prefixes):
            last = last.replace(":", ".")
        if last in self.names:
            return self.names[last]
        for stored, prefix in self.prefixes.items():
            if last.startswith(stored):
                rest = last[len(stored) :]
                return prefix + self.fields.get(rest, rest)
        return last

    def split(self, public: str) -> tuple[str, str]:
        """The collection of a jagged branch, and the column's name in it, "" where it has none.

        Containers that the schema does not name keep theirs: ``Jet.PT``, ``TruthTausAuxDyn.eta``.
        """
        start = public.rfind("/") + 1  # parents of split objects are part of the collection
        while public[start : start + 1] == "_":
            start += 1
        known = public.startswith(tuple(self.prefixes.values()))
        for separator in "_" if known else ".:_":
            at = public.find(separator, start)
            if at > start:
                return public[:at], public[at + 1 :]
        return public, ""

    def scale(self, public: str) -> float:
        """The factor that brings a branch to GeV, 1 where it is no energy."""
        if not self.energies:
            return 1.0
        rest = self.split(public)[1] or public
        return self.to_gev if any(fnmatchcase(rest, p) for p in self.energies) else 1.0


#: CMS NanoAOD, whose names the other schemas translate to: GeV already.
NANOAOD = Schema("NanoAOD", "Events")

#: ATLAS Open Data 2020 ("13 TeV education" release): MeV.
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
    one_length=("Photon", "Lepton", "Jet", "FatJet", "Tau"),
)

#: ATLAS Open Data 2025: GeV already. What is the same quantity has the name of the 2020 release;
#: others (photon_ptcone20, photon_topoetcone40, lep_ptvarcone30, jet_btag_quantile, ...) keep theirs.
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
    one_length=ATLAS_MINI.one_length,
)

#: CMS JetNtuple (record 12100): one row per jet, names kept as stored.
JETNTUPLE = Schema("JetNtuple", "AK4jets/jetTree", fields={"pT": "pt"}, prefixes={"PF_": "PF_"})

#: ATLAS DAOD_PHYSLITE: std::vector branches, MeV.
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
    energies=(
        "pt", "pt1", "pt2", "px", "py", "pz", "e", "energy", "m", "mass", "mpx", "mpy", "sumet",
        "pt_*", "e_dressed", "m_vis*", "m_invis*", "m_dressed", "m_combined",
        "ptFinalCalib", "mFinalCalib", "ptTauEnergyScale", "mTauEnergyScale",
        "InnerDetectorPt", "MuonSpectrometerPt", "EnergyLoss",
        "JetConstitScaleMomentum_pt", "JetConstitScaleMomentum_m",
        *(f"{cone}[0-9]*" for cone in ("ptcone", "ptvarcone", "etcone", "topoetcone", "neflowisol")),
        "cale", "calp[xyz]", "calsumpt", "trke", "e_sampl", "EnergyPerSampling",
        "SumPtTrkPt*", "SumPtChargedPFOPt*",
        "calE", "rawE", "jettrke", "jettrkp[xyz]", "jettrksumpt", "trkp[xyz]", "trksumpt",
        "GenFilt*", "Density", "*EventShape_rho",
    ),
    to_gev=1e-3,
    one_length=("Photon", "Electron", "Muon", "Jet", "FatJet", "Tau", "Track", "GenMuon"),
)  # fmt: skip

SCHEMAS = (NANOAOD, ATLAS_MINI, ATLAS_ANALYSIS, JETNTUPLE, PHYSLITE)
