"""Settings of jets: which of them, their tracks, the tensors made of them, and taggers."""

from __future__ import annotations

from fastjag.analyses.common.variations import VariationSettings, check_names
from fastjag.core.settings import setting, settings

MODELS = ("XGBoost", "DeepSets")
#: Signal and background of each target.
TARGETS = {"quark": ("quark", "gluon"), "b": ("b", "other")}


@settings
class JetSelection:
    """Which jets are read, and what of them."""

    jets: str = setting("AK4, or AK8 of PFNano.", default="AK4", one_of=("AK4", "AK8"))
    min_pt: float = setting("Jet pt above this [GeV].", default=0.0, least=0)
    max_abs_eta: float = setting(
        "Jet |eta| below this.", default=float("inf"), above=0, finite=False
    )
    gen: bool = setting("Gen particles as well (JetNtuple of simulation).", default=False)


@settings
class TrackSelection:
    """Which collections, which jets and which tracks."""

    jets: str = setting("Collection of the jets.", default="Jet")
    tracks: str = setting("Collection of the tracks.", default="PFCands")
    dxy: str = setting("Their column of d_xy [cm].", default="d0")
    weight: str | None = setting(
        "Event branch of weights. Default: genWeight, if there.", default=None, none=False
    )
    radius: float = setting("Tracks with delta_r below this.", default=0.5, above=0)
    min_jet_pt: float = setting("Jet pt above this [GeV].", default=0.0, least=0)
    min_track_pt: float = setting("Track pt above this [GeV].", default=0.0, least=0)


@settings
class TensorsConfig:
    """Padded tensors; slots per jet as in CERN open data record 12102 (HiggsToBB)."""

    format: str = setting("hdf5, parquet or npz.", default="hdf5")
    candidates: int = setting("Slots for constituents.", default=100, least=1)
    tracks: int = setting("Slots for charged constituents.", default=60, least=1)
    vertices: int = setting("Slots for secondary vertices.", default=5, least=1)
    images: bool = setting("33 x 33 images as well.", default=False)


@settings
class TrainConfig:
    """Taggers, and on what they are trained and tested."""

    target: str = setting("quark (against gluon) or b.", default="quark", one_of=tuple(TARGETS))
    models: tuple[str, ...] = setting("XGBoost or DeepSets.", default=MODELS, one_of=MODELS)
    max_jets: int | None = setting("Use the first so many.", default=None, least=1)
    test: float = setting("Share of the events for tests.", default=0.25, above=0, below=1)
    epochs: int = setting("Epochs of DeepSets.", default=10, least=1)
    rounds: int = setting("Rounds of XGBoost.", default=300, least=1)
    slots: int = setting("Leading candidates that DeepSets sees.", default=40, least=1)
    seed: int = setting("Seed of everything random.", default=0, least=0)


@settings
class JetsConfig:
    """What the stages of :mod:`fastjag.analyses.jets.run` do."""

    selection: JetSelection = setting("Jets of shapes and tensors.", default=JetSelection())
    tracks: TrackSelection = setting("Tracks in jets.", default=TrackSelection())
    tensors: TensorsConfig = setting("Padded tensors.", default=TensorsConfig())
    train: TrainConfig = setting("Taggers.", default=TrainConfig())
    variations: tuple[VariationSettings, ...] = setting(
        "Other scales and weights of jets, for which spectra and shapes are made as well.",
        default=(), empty=True,
    )  # fmt: skip

    def check(self) -> None:
        check_names(self.variations)
