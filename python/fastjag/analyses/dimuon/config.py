"""The configuration of a dimuon search: one TOML or YAML file, checked before anything runs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastjag.analyses.common.settings import beside, known, read_toml, table
from fastjag.analyses.dimuon.observables import HARDEST_JET, OBSERVABLES, is_column
from fastjag.analyses.dimuon.scan import ScanSettings, scan_settings
from fastjag.analyses.dimuon.sections import SECTIONS, completed
from fastjag.core.checks import near_misses, one_of
from fastjag.statistics import Window

#: As ``muon_id``: no identification is asked for (files may have none).
ANY = "any"
_NOTHING = ("", "none", "null", "no", "off", "false")  # what may be meant by it, and is no branch


@dataclass(frozen=True)
class Config:
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

    @staticmethod
    def read(path: str | os.PathLike[str]) -> Config:
        """From a ``.toml``, ``.yaml`` or ``.yml`` file; paths in it are relative to it.

        Raises ValueError naming the file, the key that is wrong and what is accepted.
        """
        source, content = Path(path), read_toml(path, (".toml", ".yaml", ".yml"))
        try:
            return _checked(content, source.parent)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{source}: {error}") from None


_SECTIONS = {
    "input": {"files", "golden_json", "muon_id", "require_jet", "hardest_jet"},
    "analysis_keywords": {"name", "particle", "dataset_id", "analysis_cuts", "features"},
    "window_definitions": None,  # names of the user
    "feature_sets": None,
    "scan": None,  # its own check
    **{name: {*defaults} for name, defaults in SECTIONS.items()},
    "significance": {"sr_edges", *SECTIONS["significance"]},
    "file_paths": {"working_dir", "data_storage_dir"},
    "seed": None,
    "train_on": None,
}
_BOUNDS = ("SB_left", "SR_left", "SR_right", "SB_right")


def _checked(content: Mapping[str, Any], folder: Path) -> Config:
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
    return Config(
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
        scan=scan_settings(section["scan"]),
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
