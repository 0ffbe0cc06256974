"""Settings of jets: which of them, their tracks, the tensors made of them, and taggers."""

from __future__ import annotations

from dataclasses import dataclass

from fastjag.core.checks import at_least, one_of, real

COLLECTIONS = ("AK4", "AK8")
MODELS = ("XGBoost", "DeepSets")
#: Signal and background of each target.
TARGETS = {"quark": ("quark", "gluon"), "b": ("b", "other")}


@dataclass(frozen=True)
class JetSelection:
    """Which jets are read, and what of them."""

    jets: str = "AK4"  #: or AK8 (PFNano)
    min_pt: float = 0.0  #: GeV
    max_abs_eta: float = float("inf")
    gen: bool = False  #: gen particles as well (JetNtuple of simulation)

    def __post_init__(self) -> None:
        one_of("jets", self.jets, COLLECTIONS)
        real("min_pt", self.min_pt, least=0)
        real("max_abs_eta", self.max_abs_eta, above=0, finite=False)


@dataclass(frozen=True)
class TrackSelection:
    """Which collections, which jets and which tracks."""

    jets: str = "Jet"
    tracks: str = "PFCands"
    dxy: str = "d0"  #: column of the tracks [cm]
    weight: str | None = None  #: event branch; default: genWeight where there is one
    radius: float = 0.5
    min_jet_pt: float = 0.0  #: GeV
    min_track_pt: float = 0.0  #: GeV

    def __post_init__(self) -> None:
        real("radius", self.radius, above=0)
        real("min_jet_pt", self.min_jet_pt, least=0)
        real("min_track_pt", self.min_track_pt, least=0)


@dataclass(frozen=True)
class TensorsConfig:
    """Padded tensors; slots per jet as in CERN open data record 12102 (HiggsToBB)."""

    format: str = "hdf5"  #: or parquet, npz
    candidates: int = 100  #: slots for constituents
    tracks: int = 60  #: slots for charged constituents
    vertices: int = 5  #: slots for secondary vertices
    images: bool = False  #: 33 x 33 pixels as well


@dataclass(frozen=True)
class TrainConfig:
    """Taggers, and on what they are trained and tested."""

    target: str = "quark"  #: against gluon; or b
    models: tuple[str, ...] = MODELS
    max_jets: int | None = None  #: the first so many
    test: float = 0.25  #: share of the events that are held out
    epochs: int = 10  #: of DeepSets
    rounds: int = 300  #: of XGBoost
    slots: int = 40  #: leading candidates that DeepSets sees
    seed: int = 0

    def __post_init__(self) -> None:
        one_of("target", self.target, tuple(TARGETS))
        for name in self.models:
            one_of("models", name, MODELS)
        at_least("epochs", self.epochs, 1)
        at_least("rounds", self.rounds, 1)


@dataclass(frozen=True)
class JetsConfig:
    """What the stages of :mod:`fastjag.analyses.jets.run` do."""

    selection: JetSelection = JetSelection()
    tracks: TrackSelection = TrackSelection()
    tensors: TensorsConfig = TensorsConfig()
    train: TrainConfig = TrainConfig()
    step: int | str = "50 MB"
    skip_errors: bool = False  #: leave out unreadable files
