"""The configuration of a photon+jet measurement: samples, cuts and bins, checked before anything runs."""

from __future__ import annotations

import os
from itertools import pairwise

from fastjag.analyses.common.config import read
from fastjag.analyses.common.servers import Servers
from fastjag.analyses.common.workers import WorkersSection
from fastjag.analyses.gammajet import jetid
from fastjag.analyses.gammajet.stitching import KINDS
from fastjag.core.settings import File, Name, setting, settings
from fastjag.reporting.labels import Label

#: Edges in the photon's pt [GeV] of the photon+jet calibration of CMS.
PT_EDGES = (15, 20, 25, 30, 35, 40, 50, 60, 75, 90, 110, 130, 175, 230, 300, 400, 500, 600, 700,
            850, 1000, 1200, 1450, 1750, 2100, 2500, 3000)  # fmt: skip
ALPHA_EDGES = (0.0, 0.10, 0.15, 0.20, 0.30, 0.50, 1.00)

_RISING = "be two or more rising numbers"

#: Working points of the pile-up identification: which bit of ``Jet_puId`` each sets.
PUID_BITS = {"loose": 4, "medium": 2, "tight": 1}
PILEUP_IDS = ("none", *PUID_BITS)
#: Against electrons that look like photons: a column of photons, and what it is for good ones.
VETOES = {"electronVeto": True, "pixelSeed": False}


@settings
class GammaJetSample:
    """Files that belong together, and what they are worth."""

    name: Name = setting("Name of the sample, and of its file: letters, digits, - and _.")
    files: tuple[File, ...] = setting(
        "ROOT files or patterns, one or a list.", must="be a path or a list of them"
    )
    kind: str = setting(
        "What the events are: `gjets` and `qcd` are stitched, `other` simulation overlaps with none.",
        default="data", one_of=KINDS,
    )  # fmt: skip
    cross_section: float | None = setting(
        "Cross-section [pb], which simulation needs; 1 for data.", default=None, above=0
    )
    k_factor: float = setting("Factor of the cross-section.", default=1.0, above=0)
    sum_of_weights: float | None = setting(
        "Sum of the generator weights of all events, where the files are skims; by default that of "
        "`genWeight` over the files.",
        default=None,
    )

    def check(self) -> None:
        if not self.name.replace("-", "").replace("_", "").isalnum():
            raise ValueError(f"name names a file: letters, digits, - and _, got {self.name!r}")
        if self.cross_section is None:
            if self.kind != "data":
                raise ValueError(f"simulation ({self.name}) needs a cross_section in pb")
            object.__setattr__(self, "cross_section", 1.0)
        if self.sum_of_weights == 0:
            raise ValueError("sum_of_weights must not be 0")


@settings
class PhotonJetSelection:
    """Cuts on events with one photon and a jet; those of the HLT_Photon30EB study are the defaults."""

    photon_pt: float = setting("Photon pt above this [GeV].", default=30.0, least=0)
    photon_abs_eta: float = setting("Photon |eta| below this.", default=1.44, above=0, finite=False)
    jet_pt: float = setting("Pt of the leading jet above this [GeV].", default=40.0, least=0)
    jet_abs_eta: float = setting(
        "|eta| of the leading jet below this.", default=2.5, above=0, finite=False
    )
    lepton_pt: float = setting(
        "Events with a loose muon or electron of more pt are left out [GeV].", default=10.0, least=0
    )
    second_jet_pt: float = setting(
        "Softer jets do not count for alpha [GeV].", default=15.0, least=0
    )
    second_jet_puid: str = setting(
        "Pile-up identification of the second jet below 50 GeV, by `Jet_puId`; `none` for PUPPI jets, "
        "which have none and need none.",
        default="none", one_of=PILEUP_IDS,
    )  # fmt: skip
    min_delta_phi: float = setting(
        "Angle of photon and leading jet above this [rad]; 2.7 is usual for the response.",
        default=0.0, least=0,
    )  # fmt: skip
    photon_veto: str = setting(
        "Veto of electrons: `electronVeto` is conversion-safe, `pixelSeed` tighter, but photons "
        "that convert are lost.",
        default="electronVeto", one_of=(*VETOES, "none"),
    )  # fmt: skip
    jet_id: str = setting(
        "Recipe of the tight identification of jets.", default="auto", one_of=jetid.CHOICES
    )
    trigger: str | None = setting(
        "Branch of the trigger.", default=None, least=1, must="name a branch, or be 'none'"
    )
    met: str = setting(
        "Missing momentum, such as `PuppiMET` or `RawMET`: it has to contain the corrections that "
        "the jets have.",
        default="MET", least=1,
    )  # fmt: skip


@settings
class GammaJetConfig:
    """Samples and cuts of one measurement."""

    name: Name = setting("Title of the report.", default="photon+jet")
    label: Label = setting("What stands above pictures.", default=Label())
    servers: Servers = setting("How files on servers are read.", default=Servers())
    workers: WorkersSection = setting(
        "Who works through the files; options of the command are stronger.",
        default=WorkersSection(),
    )
    samples: tuple[GammaJetSample, ...] = setting("Files of data and simulation.")
    selection: PhotonJetSelection = setting("Cuts on events.", default=PhotonJetSelection())
    luminosity: float = setting(
        "Integrated luminosity of the data [1/pb], which simulation is scaled to.",
        default=1.0, above=0,
    )  # fmt: skip
    max_alpha: float = setting("Alpha of events in profiles below this.", default=0.4, above=0)
    max_deviation: float = setting(
        "Only responses with |R - 1| below this, as calibrations do.", default=0.7, above=0
    )
    pt_edges: tuple[float, ...] = setting(
        "Edges of bins in the photon's pt [GeV].", default=PT_EDGES, must=_RISING
    )
    alpha_edges: tuple[float, ...] = setting(
        "Edges of bins in alpha.", default=ALPHA_EDGES, must=_RISING
    )
    eta_ranges: tuple[tuple[float, float], ...] = setting(
        "Ranges in |eta| of the jet.", default=((0.0, 1.305), (0.0, 2.5)),
        must="be pairs [low, high]",
    )  # fmt: skip

    unclustered_response: float = setting(
        "Response of what is in no jet, relative to the truth, which the decomposition (HDM) assumes.",
        default=0.92, above=0,
    )  # fmt: skip
    photon_scale: float = setting(
        "Relative error of the photon's scale, for a band of the simulated response; 0: none.",
        default=0.0, least=0, below=0.5,
    )  # fmt: skip
    parton_shower: bool = setting(
        "Bands of the renormalisation scale of initial- and final-state radiation, by `PSWeight`.",
        default=False,
    )  # fmt: skip

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> GammaJetConfig:
        """From a TOML file; paths in it are relative to it. ValueError names file and key."""
        return read(cls, path)

    def check(self) -> None:
        for name in ("pt_edges", "alpha_edges"):
            edges = getattr(self, name)
            if len(edges) < 2 or any(a >= b for a, b in pairwise(edges)):
                raise ValueError(f"{name} must {_RISING}, got {list(edges)!r}")
        if any(low >= high for low, high in self.eta_ranges):
            ranges = [list(pair) for pair in self.eta_ranges]
            raise ValueError(f"eta_ranges must be pairs [low, high], got {ranges}")
        names = [sample.name for sample in self.samples]
        if len(set(names)) < len(names):
            raise ValueError(f"samples must have different names, got {', '.join(names)}")
