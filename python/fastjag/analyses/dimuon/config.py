"""The configuration of a dimuon search: one TOML or YAML file, checked before anything runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from fastjag.analyses.common.settings import beside, known, read_toml, table
from fastjag.analyses.dimuon.observables import HARDEST_JET, OBSERVABLES, is_column
from fastjag.core.checks import at_least, near_misses, one_of
from fastjag.statistics import Window

if TYPE_CHECKING:
    from fastjag.models.flow_training import FlowSettings
    from fastjag.models.fold_scores import TreeSettings

Preset = TypeVar("Preset", "FlowSettings", "TreeSettings")

#: As ``muon_id``: no identification is asked for (files may have none).
ANY = "any"
_NOTHING = ("", "none", "null", "no", "off", "false")  # what may be meant by it, and is no branch


#: Grids of sideband rates of the publication.
COARSE = (1.0, 0.25, 0.1, 0.05, 0.01, 0.005, 0.001)
FINE = tuple(float(x) for x in np.logspace(0, -3, 25))

FLOW: dict[str, Any] = {
    "preset": "spline",
    "seeds": None,  # one flow each; by default one, with the seed of the configuration
    "settings": {},
}
CLASSIFIER: dict[str, Any] = {
    "preset": "paper",
    "settings": {},
    "latent": False,  # LaCATHODE
    "pseudo_experiments": 0,  # bootstraps of the data, for bands
    "null_experiments": 0,  # data made by the flows, for calibration
    "experiment_members": None,  # trees' ensembles in them; by default as many as for data
}
SIGNIFICANCE: dict[str, Any] = {
    "degree": 5,
    "degrees": [3, 5, 7],
    "edges": [8, 12, 16],
    "rates": list(FINE),
    "toys": 200,  # background-only toys of each curve; 0: none
    "peaks": False,  # look for peaks in the background (fit_peaks)
}

SECTIONS = {"flow": FLOW, "classifier": CLASSIFIER, "significance": SIGNIFICANCE}


@dataclass(frozen=True)
class ScanSettings:
    """Range [GeV], bins and toys: see :func:`fastjag.statistics.mass_scan`."""

    low: float = 2.0
    high: float = 120.0
    resolution: float = 0.015
    sr_bins: int = 4
    sb_bins: int = 12
    degree: int = 8
    toys: int = 300

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise ValueError(f"scan.{name} must be a number, got {value!r}")  # noqa: TRY004


@dataclass(frozen=True)
class DimuonConfig:
    """What to read, which events to keep, what to learn from, and where to look.

    The keys of the file are those of the published analysis' ``workflow.yaml``
    (``analysis_keywords``, ``window_definitions``, ``feature_sets``), and five sections more.
    """

    name: str
    files: tuple[str, ...]
    window: Window
    features: tuple[str, ...]
    lower: dict[str, float] = field(default_factory=dict)  #: column >= value
    upper: dict[str, float] = field(default_factory=dict)  #: column <= value
    muon_id: str = "tightId"  #: "any" asks for none
    require_jet: bool = False
    hardest_jet: str = "pt"  #: or "first": the first one as stored, as published
    golden_json: str | None = None
    seed: int = 1
    train_on: str = "OS"  #: the charge class that flows and classifiers learn from
    scan: ScanSettings = field(default_factory=ScanSettings)
    flow: dict[str, Any] = field(default_factory=dict)
    classifier: dict[str, Any] = field(default_factory=dict)
    significance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _identification(self.muon_id)
        one_of("train_on", self.train_on, ("OS", "SS"))
        one_of("input.hardest_jet", self.hardest_jet, HARDEST_JET)
        for section, defaults in SECTIONS.items():
            given = completed(getattr(self, section), defaults, section)
            if section == "flow" and given["seeds"] is None:
                given["seeds"] = [self.seed]
            object.__setattr__(self, section, given)

    def flow_settings(self) -> FlowSettings:
        """The preset of flows with the changes of this configuration."""
        from fastjag.models.flow_training import FlowSettings

        return _changed_preset(self.flow, "flow", FlowSettings)

    def tree_settings(self) -> TreeSettings:
        """The same of the classifiers."""
        from fastjag.models.fold_scores import TreeSettings

        return _changed_preset(self.classifier, "classifier", TreeSettings)

    @staticmethod
    def read(path: str | os.PathLike[str]) -> DimuonConfig:
        """From a ``.toml``, ``.yaml`` or ``.yml`` file; paths in it are relative to it.

        Raises ValueError naming the file, the key that is wrong and what is accepted.
        """
        source, content = Path(path), read_toml(path, (".toml", ".yaml", ".yml"))
        try:
            return _checked(content, source.parent)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{source}: {error}") from None


_SECTIONS: dict[str, set[str] | None] = {
    "input": {"files", "golden_json", "muon_id", "require_jet", "hardest_jet"},
    "analysis_keywords": {"name", "particle", "dataset_id", "analysis_cuts", "features"},
    "window_definitions": None,  # names of the user
    "feature_sets": None,
    "scan": {field.name for field in fields(ScanSettings)},
    **{name: {*defaults} for name, defaults in SECTIONS.items()},
    "significance": {"sr_edges", *SECTIONS["significance"]},
    "file_paths": {"working_dir", "data_storage_dir"},
    "seed": None,
    "train_on": None,
}
_BOUNDS = ("SB_left", "SR_left", "SR_right", "SB_right")


def _checked(content: Mapping[str, Any], folder: Path) -> DimuonConfig:
    known(content, _SECTIONS, "key")
    section = {
        name: table(content.get(name, {}), name)
        for name in _SECTIONS
        if name not in ("seed", "train_on")
    }
    for name, keys in _SECTIONS.items():
        if keys is not None:
            known(section[name], keys, f"key in {name}")
    keywords, given = section["analysis_keywords"], section["input"]
    particle = keywords.get("particle", next(iter(section["window_definitions"]), None))
    if particle is None:
        raise ValueError(
            "window_definitions must define a window, such as [window_definitions.upsilon]"
        )
    if particle not in section["window_definitions"]:
        raise ValueError(
            f"no window for particle {particle!r}: {near_misses(str(particle), section['window_definitions'])}"
        )
    bounds = table(section["window_definitions"][particle], f"window_definitions.{particle}")
    known(bounds, _BOUNDS, f"key in window_definitions.{particle}")
    missing = [b for b in _BOUNDS if b not in bounds]
    if missing:
        raise ValueError(f"window_definitions.{particle} lacks {', '.join(missing)}")
    edges = section["significance"].get("sr_edges", 12)
    sb_left, sr_left, sr_right, sb_right = (_number(bounds[b], f"{particle}.{b}") for b in _BOUNDS)
    window = Window(sb_left, sr_left, sr_right, sb_right, sr_edges=edges)
    cuts = table(keywords.get("analysis_cuts", {}), "analysis_cuts")
    known(cuts, ("lower", "upper"), "key in analysis_cuts")
    bound: dict[str, dict[str, float]] = {}
    for side in ("lower", "upper"):
        values = table(cuts.get(side) or {}, f"analysis_cuts.{side}")
        for column in values:
            _column(column, f"analysis_cuts.{side}")
        bound[side] = {c: _number(v, f"analysis_cuts.{side}.{c}") for c, v in values.items()}
    files = given.get("files", [])
    if isinstance(files, str):
        files = [files]
    if not files:
        raise ValueError("input.files must name at least one file")
    golden = given.get("golden_json")
    require_jet = given.get("require_jet", False)
    if not isinstance(require_jet, bool):
        raise ValueError(f"input.require_jet must be true or false, got {require_jet!r}")  # noqa: TRY004
    seed = content.get("seed", 1)
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed must be an integer >= 0, got {seed!r}")
    return DimuonConfig(
        name=str(keywords.get("name", particle)),
        files=tuple(beside(folder, str(f)) for f in files),
        window=window,
        features=_features(keywords.get("features"), section["feature_sets"]),
        lower=bound["lower"],
        upper=bound["upper"],
        muon_id=_identification(given.get("muon_id", "tightId")),
        require_jet=require_jet,
        hardest_jet=given.get("hardest_jet", "pt"),
        golden_json=None if golden is None else beside(folder, str(golden)),
        seed=seed,
        train_on=content.get("train_on", "OS"),
        scan=ScanSettings(**section["scan"]),
        flow=dict(section["flow"]),
        classifier=dict(section["classifier"]),
        significance={k: v for k, v in section["significance"].items() if k != "sr_edges"},
    )


def _identification(name: Any) -> str:
    if not isinstance(name, str) or name.strip().lower() in _NOTHING:
        raise ValueError(
            f"input.muon_id must name a truth value of muons, such as 'tightId', or be {ANY!r} for no "
            f"identification, got {name!r}"
        )
    return name


def _features(chosen: Any, sets: Mapping[str, Any]) -> tuple[str, ...]:
    """A list of columns, or the name of a set; by default the only set."""
    if chosen is None:
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
    features = [f for f in chosen if f != "dimu_mass"]
    for feature in features:
        _column(feature, "features")
    if len(set(features)) < len(features) or not features:
        raise ValueError(f"features must be different columns besides dimu_mass, got {chosen!r}")
    return tuple(features)


def _column(name: str, where: str) -> None:
    if not is_column(name):
        raise ValueError(f"{where}: no column {name!r}: {near_misses(name, OBSERVABLES)}")


def _number(value: Any, name: str) -> float:
    if isinstance(value, str) or not isinstance(value, (bool, int, float)):
        raise ValueError(f"{name} must be a number, got {value!r}")  # noqa: TRY004
    return float(value)


def completed(
    given: Mapping[str, Any], defaults: Mapping[str, Any], section: str
) -> dict[str, Any]:
    """A section with its defaults; ValueError naming the key that is wrong and what is accepted."""
    known(given, defaults, f"key in {section}")
    result = {**defaults, **given}
    for key, value in given.items():
        if value is not None or defaults[key] is not None:
            _CHECKS[key](f"{section}.{key}", value)
    return result


def _number_from(least: int) -> Callable[[str, Any], None]:
    return lambda name, value: (at_least(name, value, least), None)[1]


def _list(name: str, values: Any, check: Callable[[str, Any], None], what: str) -> None:
    if not isinstance(values, (list, tuple)) or not values:
        raise ValueError(f"{name} must be a list of {what}, got {values!r}")
    for value in values:
        check(name, value)


def _integers(least: int) -> Callable[[str, Any], None]:
    what = "integers" if least < 1 else f"integers >= {least}"

    def check(name: str, value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"{name} must be a list of {what}, got {value!r} in it")

    def different(name: str, values: Any) -> None:
        _list(name, values, check, what)
        if len(set(values)) < len(values):
            raise ValueError(f"{name} must be a list of different {what}, got {values!r}")

    return different


def _rate(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 1:
        raise ValueError(
            f"{name} must be a list of numbers above 0 and up to 1, got {value!r} in it"
        )


def _of_type(kind: type, what: str) -> Callable[[str, Any], None]:
    def check(name: str, value: Any) -> None:
        if not isinstance(value, kind):
            raise ValueError(f"{name} must be {what}, got {value!r}")  # noqa: TRY004

    return check


_CHECKS: dict[str, Callable[[str, Any], None]] = {
    "preset": _of_type(str, "the name of a preset"),
    "settings": _of_type(Mapping, "a table of keys and values"),
    "seeds": _integers(0),
    "latent": _of_type(bool, "true or false"),
    "peaks": _of_type(bool, "true or false"),
    "pseudo_experiments": _number_from(0),
    "null_experiments": _number_from(0),
    "experiment_members": _number_from(1),
    "degree": _number_from(0),
    "degrees": _integers(0),
    "edges": _integers(2),
    "rates": lambda name, values: _list(name, values, _rate, "numbers above 0 and up to 1"),
    "toys": _number_from(0),
}


def _changed_preset(given: Mapping[str, Any], section: str, kind: type[Preset]) -> Preset:
    """A preset of flows or trees with the changes that the configuration makes."""
    known(given["settings"], [field.name for field in fields(kind)], f"key in {section}.settings")
    changes = {k: tuple(v) if isinstance(v, list) else v for k, v in given["settings"].items()}
    try:
        return kind.preset(given["preset"], **changes)
    except ValueError as error:
        raise ValueError(f"{section}: {error}") from None
