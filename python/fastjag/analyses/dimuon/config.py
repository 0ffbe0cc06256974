"""The configuration of a dimuon search: one TOML or YAML file, checked before anything runs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from fastjag.analyses.common.config import read
from fastjag.analyses.common.servers import Servers
from fastjag.analyses.common.variations import VariationSettings, check_names
from fastjag.analyses.common.workers import WorkersSection
from fastjag.analyses.dimuon.observables import HARDEST_JET, OBSERVABLES, is_column
from fastjag.core.checks import at_least, near_misses, one_of
from fastjag.core.settings import File, Name, keys_of, known, make, setting, settings
from fastjag.reporting.labels import Label
from fastjag.statistics import Window

if TYPE_CHECKING:
    from fastjag.models.flow_training import FlowSettings
    from fastjag.models.fold_scores import TreeSettings

Preset = TypeVar("Preset", "FlowSettings", "TreeSettings")

#: As ``muon_id``: no identification is asked for (files may have none).
ANY = "any"
_NOTHING = ("", "none", "null", "no", "off", "false")  # what may be meant by it, and is no branch
_MUON_ID = f"name a truth value of muons, such as 'tightId', or be {ANY!r} for no identification"

#: Grids of sideband rates of the publication.
COARSE = (1.0, 0.25, 0.1, 0.05, 0.01, 0.005, 0.001)
FINE = tuple(float(x) for x in np.logspace(0, -3, 25))


def _check_different(name: str, values: tuple[int, ...]) -> None:
    if len(set(values)) < len(values):
        raise ValueError(f"{name} must be a list of different integers, got {[*values]!r}")


@settings
class DimuonInput:
    """What to read, and which events to keep."""

    files: tuple[File, ...] = setting(
        "ROOT files, patterns, or the published pickles `all_mu_*` and `all_jet_*`; at least one.",
        default=(), empty=True,
    )  # fmt: skip
    muon_id: str = setting(
        "Truth value of the muons that form pairs: `tightId` is `Muon_tightId`, `any` asks for none.",
        default="tightId", must=_MUON_ID,
    )  # fmt: skip
    require_jet: bool = setting("Only events with a jet.", default=False)
    hardest_jet: str = setting(
        "Which jet `hardest_jet_*` is: that of largest pt, or the first as stored, as published.",
        default="pt", one_of=HARDEST_JET,
    )  # fmt: skip
    golden_json: File | None = setting(
        "File of certified luminosity sections.", default=None, none=False
    )

    def check(self) -> None:
        if self.muon_id.strip().lower() in _NOTHING:
            raise ValueError(f"muon_id must {_MUON_ID}, got {self.muon_id!r}")


@settings
class DimuonCuts:
    """Cuts on pairs: columns of the tables and their bounds."""

    lower: dict[str, float] = setting("Column >= value.", default_factory=dict, finite=False)
    upper: dict[str, float] = setting("Column <= value.", default_factory=dict, finite=False)


@settings
class DimuonKeywords:
    """The names of a search, its cuts, its window and its features, as published."""

    name: Name | None = setting(
        "Title of the report; by default the particle.", default=None, none=False
    )
    particle: Name | None = setting("One of window_definitions; the first.", default=None)
    dataset_id: Any = setting("Of the publication; not read.", default=None)
    features: Any = setting(
        "One of feature_sets, or a list of columns; by default the only set.", default=None
    )
    analysis_cuts: DimuonCuts = setting("Cuts on pairs, all of them.", default=DimuonCuts())


@settings
class DimuonWindow:
    """Bounds of sidebands and signal region."""

    SB_left: float = setting("Lower end of the left sideband [GeV].")
    SR_left: float = setting("Lower end of the signal region [GeV].")
    SR_right: float = setting("Upper end of the signal region [GeV].")
    SB_right: float = setting("Upper end of the right sideband [GeV].")


@settings
class ScanSettings:
    """The scan of the whole spectrum: see :func:`fastjag.statistics.mass_scan`."""

    low: float = setting("Lower end of the spectrum [GeV].", default=2.0)
    high: float = setting("Upper end of the spectrum [GeV].", default=120.0)
    resolution: float = setting("Width of a bin as a share of the mass.", default=0.015)
    sr_bins: int = setting("Bins of a window.", default=4)
    sb_bins: int = setting("Bins of each of its sidebands.", default=12)
    degree: int = setting("Highest degree of the background's polynomial.", default=8)
    toys: int = setting("Background-only spectra for the look-elsewhere effect.", default=300)


@settings
class FlowSection:
    """Flows that learn the sidebands."""

    preset: str = setting(
        "`spline`, `paper` (as published) or `fast` (for trying things out).",
        default="spline", must="be the name of a preset",
    )  # fmt: skip
    seeds: tuple[int, ...] | None = setting(
        "A flow for each; by default one, with the seed of the configuration.",
        default=None, least=0, must="be a list of integers",
    )  # fmt: skip
    settings: dict[str, Any] = setting(
        "Changes of the preset, such as `epochs`; see `FlowSettings`.", default_factory=dict
    )

    def check(self) -> None:
        _check_different("seeds", self.seeds or ())


@settings
class ClassifierSection:
    """Classifiers of data against samples."""

    preset: str = setting(
        "`paper` (as published) or `fast`.", default="paper", must="be the name of a preset"
    )
    settings: dict[str, Any] = setting(
        "Changes of the preset, such as `members`; see `TreeSettings`.", default_factory=dict
    )
    latent: bool = setting("Learn in the latent space of the flows (LaCATHODE).", default=False)
    pseudo_experiments: int = setting("Bootstraps of the data, for bands.", default=0, least=0)
    null_experiments: int = setting("Data sets that the flows make, for nulls.", default=0, least=0)
    experiment_members: int | None = setting(
        "Members of ensembles in both; by default as many as for data.", default=None, least=1
    )


@settings
class SignificanceSettings:
    """Fits of what passes cuts."""

    degree: int = setting("Degree of the background's polynomial.", default=5, least=0)
    degrees: tuple[int, ...] = setting(
        "Degrees of the variations.", default=(3, 5, 7), least=0, must="be a list of integers"
    )
    edges: tuple[int, ...] = setting(
        "Numbers of bin edges in the signal region of the variations.", default=(8, 12, 16), least=2
    )
    rates: tuple[float, ...] | None = setting(
        "Shares of the sidebands that pass a cut; by default 25 between 1 and 0.001.",
        default=None, above=0, most=1,
    )  # fmt: skip
    toys: int = setting("Background-only toys of each curve; 0: none.", default=200, least=0)
    peaks: bool = setting("Look for peaks in the background.", default=False)
    limits: bool = setting("Intervals, limits, the test of the background.", default=True)
    signal_errors: dict[str, float] = setting(
        "Relative errors of the signal by name, log-normal.", default_factory=dict, above=0
    )
    luminosity: float | None = setting("In 1/pb, for cross-sections.", default=None, above=0)
    efficiency: float = setting("Of the signal, for cross-sections.", default=1.0, above=0, most=1)

    def check(self) -> None:
        _check_different("degrees", self.degrees)
        _check_different("edges", self.edges)

    @property
    def all_rates(self) -> list[float]:
        """Those of the curves and those of the table, the loosest cut first."""
        return sorted({*(self.rates or FINE), *COARSE}, reverse=True)


@settings
class SignificanceSection(SignificanceSettings):
    """Fits of what passes cuts, and the bins that are fitted."""

    sr_edges: int = setting("Number of bin edges in the signal region, 2 or more.", default=12)


@settings
class DimuonPaths:
    """Folders of the published configuration."""

    working_dir: Any = setting("Of the publication; not read.", default=None)
    data_storage_dir: Any = setting("Of the publication; not read.", default=None)


@settings
class DimuonFile:
    """The file: sections of the published analysis' ``workflow.yaml``, and seven more."""

    seed: int = setting("Of everything that is random.", default=1, least=0)
    train_on: Literal["OS", "SS"] = setting(
        "Charge class that flows and classifiers learn from: opposite or same sign.", default="OS"
    )
    file_paths: DimuonPaths = setting("Of the publication; not read.", default=DimuonPaths())
    input: DimuonInput = setting("What to read, and which events to keep.", default=DimuonInput())
    analysis_keywords: DimuonKeywords = setting(
        "Names of this search, and its cuts.", default=DimuonKeywords()
    )
    window_definitions: dict[str, DimuonWindow] = setting(
        "Windows in mass by the name of the particle; at least one.", default_factory=dict
    )
    feature_sets: dict[str, Any] = setting(
        "Lists of columns by name: what flows and classifiers learn.", default_factory=dict
    )
    label: Label = setting("What stands above pictures.", default=Label())
    servers: Servers = setting("How files on servers are read.", default=Servers())
    workers: WorkersSection = setting(
        "Who works through the files; options of the command are stronger.",
        default=WorkersSection(),
    )
    scan: ScanSettings = setting("Scan of the whole spectrum.", default=ScanSettings())
    flow: FlowSection = setting("Flows that learn the sidebands.", default=FlowSection())
    classifier: ClassifierSection = setting(
        "Classifiers of data against samples.", default=ClassifierSection()
    )
    significance: SignificanceSection = setting(
        "Fits of what passes cuts.", default=SignificanceSection()
    )
    variations: tuple[VariationSettings, ...] = setting(
        "Other scales and weights, for which the spectrum before cuts on scores is made as well.",
        default=(), empty=True,
    )  # fmt: skip


#: Sections that may be given as tables, in Python too.
_SECTIONS = {"label": Label, "servers": Servers, "workers": WorkersSection, "scan": ScanSettings, "flow": FlowSection, "classifier": ClassifierSection,
             "significance": SignificanceSettings}  # fmt: skip


#: Keys that stand in the file as they do here.
_AS_GIVEN = ("seed", "train_on", "label", "servers", "workers", "scan", "flow", "classifier",
             "variations")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class DimuonConfig:
    """What to read, which events to keep, what to learn from, and where to look."""

    name: str
    files: tuple[str, ...] = ()
    window: Window
    features: tuple[str, ...]
    lower: dict[str, float] = field(default_factory=dict)  #: column >= value
    upper: dict[str, float] = field(default_factory=dict)  #: column <= value
    muon_id: str = "tightId"
    require_jet: bool = False
    hardest_jet: str = "pt"
    golden_json: str | None = None
    seed: int = 1
    train_on: Literal["OS", "SS"] = "OS"
    label: Label = field(default_factory=Label)
    servers: Servers = field(default_factory=Servers)
    workers: WorkersSection = field(default_factory=WorkersSection)
    scan: ScanSettings = field(default_factory=ScanSettings)
    flow: FlowSection = field(default_factory=FlowSection)
    classifier: ClassifierSection = field(default_factory=ClassifierSection)
    significance: SignificanceSettings = field(default_factory=SignificanceSettings)
    variations: tuple[VariationSettings, ...] = ()

    def __post_init__(self) -> None:
        DimuonInput(**{name: getattr(self, name) for name in keys_of(DimuonInput)})  # checks them
        one_of("train_on", self.train_on, ("OS", "SS"))
        at_least("seed", self.seed, 0)
        check_names(self.variations)
        for name, kind in _SECTIONS.items():
            if isinstance(given := getattr(self, name), Mapping):
                object.__setattr__(self, name, make(kind, given, where=name))
        # Defaults that depend on others, and one that is too long to be shown.
        fits = replace(self.significance, rates=self.significance.rates or FINE)
        object.__setattr__(self, "significance", fits)
        object.__setattr__(self, "flow", replace(self.flow, seeds=self.flow_seeds))

    @staticmethod
    def read(path: str | os.PathLike[str]) -> DimuonConfig:
        """From a ``.toml``, ``.yaml`` or ``.yml`` file; paths in it are relative to it.

        Raises ValueError naming the file, the key that is wrong and what is accepted.
        """
        return read(DimuonConfig, path, (".toml", ".yaml", ".yml"))

    @classmethod
    def from_content(
        cls, content: Mapping[str, Any], folder: str | os.PathLike[str]
    ) -> DimuonConfig:
        """From what such a file holds."""
        keywords, windows = (
            make(dict[str, Any], content.get(name, {}), where=name)
            for name in ("analysis_keywords", "window_definitions")
        )
        given = make(
            dict[str, dict[str, Any] | None],
            keywords.get("analysis_cuts", {}),
            where="analysis_cuts",
        )
        # YAML has null where nothing is cut, and the bound of a trigger may be a truth value.
        numbers = {
            side: {c: float(x) if isinstance(x, bool) else x for c, x in (bounds or {}).items()}
            for side, bounds in given.items()
        }
        cuts = make(DimuonCuts, numbers, where="analysis_cuts")
        made = make(DimuonKeywords, keywords | {"analysis_cuts": cuts}, where="analysis_keywords")
        particle = made.particle or next(iter(windows), "")
        # Of several windows only the one that is asked for has to be right.
        defined = {name: bounds for name, bounds in windows.items() if name == particle}
        replaced = {"analysis_keywords": made, "window_definitions": defined}
        file = make(DimuonFile, {**content, **replaced}, folder)
        if not defined:
            raise ValueError(
                f"no window for particle {particle!r}: {near_misses(particle, windows)}"
                if windows or particle else
                "window_definitions must define a window, such as [window_definitions.upsilon]"
            )  # fmt: skip
        for side, bounds in vars(cuts).items():
            _check_columns(bounds, f"analysis_cuts.{side}")
        if not file.input.files:
            raise ValueError("input.files must name at least one file")
        fits, w = dict(vars(file.significance)), file.window_definitions[particle]
        window = Window(w.SB_left, w.SR_left, w.SR_right, w.SB_right, fits.pop("sr_edges"))
        return cls(
            **vars(file.input),
            **vars(cuts),
            name=made.name or particle,
            window=window,
            features=_features(made.features, file.feature_sets),
            significance=SignificanceSettings(**fits),
            **{k: getattr(file, k) for k in _AS_GIVEN},
        )

    @property
    def flow_seeds(self) -> tuple[int, ...]:
        return self.flow.seeds or (self.seed,)

    def flow_settings(self) -> FlowSettings:
        """The preset of flows with the changes of this configuration."""
        from fastjag.models.flow_training import FlowSettings

        return _changed_preset(FlowSettings, self.flow, "flow")

    def tree_settings(self) -> TreeSettings:
        """The same of the classifiers."""
        from fastjag.models.fold_scores import TreeSettings

        return _changed_preset(TreeSettings, self.classifier, "classifier")


def _changed_preset(
    kind: type[Preset], section: FlowSection | ClassifierSection, name: str
) -> Preset:
    """A preset of flows or trees with the changes that the configuration makes."""
    known(section.settings, kind.__dataclass_fields__, f"{name}.settings")
    changes = {k: tuple(v) if isinstance(v, list) else v for k, v in section.settings.items()}
    try:
        return kind.preset(section.preset, **changes)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _features(chosen: Any, sets: Mapping[str, Any]) -> tuple[str, ...]:
    """A list of columns, or the name of a set; by default the only set."""
    if chosen in (None, "none"):
        if len(sets) != 1:
            raise ValueError(
                "analysis_keywords.features must name one of feature_sets: " + near_misses("", sets)
            )
        chosen = next(iter(sets))
    if isinstance(chosen, str):
        if chosen not in sets:
            raise ValueError(f"no feature set {chosen!r}: {near_misses(chosen, sets)}")
        chosen = sets[chosen]
    if not isinstance(chosen, list) or not chosen:
        raise ValueError(f"features must be a list of columns, got {chosen!r}")
    # The published configuration names the mass as the last one: it is the flow's context.
    features = tuple(f for f in chosen if f != "dimu_mass")
    _check_columns(features, "features")
    if len(set(features)) < len(features) or not features:
        raise ValueError(f"features must be different columns besides dimu_mass, got {chosen!r}")
    return features


def _check_columns(names: Iterable[str], where: str) -> None:
    for name in names:
        if not is_column(name):
            raise ValueError(f"{where}: no column {name!r}: {near_misses(str(name), OBSERVABLES)}")
