"""The configuration of a study: one TOML file, checked before anything runs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastjag.analyses.common.settings import known, read_toml
from fastjag.analyses.common.settings import table as settings_table
from fastjag.analyses.diphoton.mass_fit import SIGNALS
from fastjag.analyses.diphoton.models import MODELS
from fastjag.analyses.diphoton.samples import read_samples
from fastjag.analyses.diphoton.selections import selection_of
from fastjag.core.checks import near_misses, one_of


@dataclass(frozen=True)
class DiphotonConfig:
    """What to read and select, what to learn from, and which models to compare."""

    name: str
    classes: dict[str, tuple[str, ...]]  #: what models tell apart, in this order, to files
    background: dict[str, tuple[str, ...]] = field(default_factory=dict)  #: of the spectrum only
    selection: str = "slides"
    cuts: dict[str, Any] = field(default_factory=dict)  #: changes of the selection
    luminosity: float | None = None  #: fb-1; None: that of the release
    samples: str | None = None  #: a table of samples (:func:`samples.read_samples`), before files
    correct: bool = True  #: the cross-section of ttH with the branching ratio once
    features: tuple[str, ...] | None = None  #: names and patterns; None: the default ones
    models: tuple[str, ...] = MODELS
    folds: int = 5
    fast: bool = False
    negative: str = "abs"
    most_events: int | None = None  #: of each class, for training; None: all
    fit: dict[str, Any] = field(default_factory=dict)
    seed: int = 1

    @staticmethod
    def read(path: str | os.PathLike[str]) -> DiphotonConfig:
        """From a ``.toml`` file; paths in it are relative to it.

        Raises ValueError naming the file, the key that is wrong and what is accepted.
        """
        source, content = Path(path), read_toml(path)
        try:
            return _checked(content, source.parent)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{source}: {error}") from None

    @property
    def files(self) -> dict[str, tuple[str, ...]]:
        """Of all classes, and the backgrounds after them."""
        return {**self.classes, **self.background}


_SECTIONS: dict[str, Iterable[str] | None] = {
    "classes": None,  # names of the user
    "background": None,
    "selection": ("preset", "luminosity", "cuts"),
    "samples": ("table", "correct"),
    "features": ("names",),
    "models": ("names", "folds", "fast", "negative", "most_events"),
    "fit": ("signal", "degree"),
}
_POLICIES = ("abs", "clip", "drop", "error")


def _checked(content: Mapping[str, Any], folder: Path) -> DiphotonConfig:
    known(content, [*_SECTIONS, "name", "seed"], "key")
    section = {name: settings_table(content.get(name, {}), name) for name in _SECTIONS}
    for name, keys in _SECTIONS.items():
        if keys is not None:
            known(section[name], keys, f"key in {name}")
    classes = {n: _files(f, f"classes.{n}", folder) for n, f in section["classes"].items()}
    if len(classes) < 2:
        raise ValueError("classes must name at least two classes and their files")
    background = {n: _files(f, f"background.{n}", folder) for n, f in section["background"].items()}
    for name in background:
        if name in classes:
            raise ValueError(f"{name!r} is both a class and a background")
    selection = section["selection"]
    cuts = dict(settings_table(selection.get("cuts", {}), "selection.cuts"))
    preset = str(selection.get("preset", "slides"))
    selection_of(preset, cuts)  # an error names what is wrong
    fit = section["fit"]
    one_of("fit.signal", fit.get("signal", "gaussian"), SIGNALS)
    _integer(fit.get("degree", 3), "fit.degree", 0)
    models = section["models"]
    names = tuple(_strings(models.get("names", list(MODELS)), "models.names"))
    for name in names:
        if name not in MODELS:
            raise ValueError(f"models.names: no model {name!r}: {near_misses(name, MODELS)}")
    features = section["features"].get("names")
    negative = models.get("negative", "abs")
    if negative not in _POLICIES:
        raise ValueError(f"models.negative must be one of {', '.join(_POLICIES)}, got {negative!r}")
    luminosity = selection.get("luminosity")
    if luminosity is not None and not (_is_number(luminosity) and luminosity > 0):
        raise ValueError(
            f"selection.luminosity must be a number above 0 [fb-1], got {luminosity!r}"
        )
    fast = models.get("fast", False)
    if not isinstance(fast, bool):
        raise ValueError(f"models.fast must be true or false, got {fast!r}")  # noqa: TRY004
    most = models.get("most_events")
    samples = section["samples"]
    correct = samples.get("correct", True)
    if not isinstance(correct, bool):
        raise ValueError(f"samples.correct must be true or false, got {correct!r}")  # noqa: TRY004
    table = samples.get("table")
    if table is not None:
        if not isinstance(table, str):
            raise ValueError(f"samples.table must be the name of a file, got {table!r}")
        table = str(folder / table)
        _known_samples(table, [*classes, *background])
    return DiphotonConfig(
        name=str(content.get("name", "diphoton")),
        classes=classes,
        background=background,
        selection=preset,
        cuts=cuts,
        luminosity=None if luminosity is None else float(luminosity),
        samples=table,
        correct=correct,
        features=None if features is None else tuple(_strings(features, "features.names")),
        models=names,
        folds=_integer(models.get("folds", 5), "models.folds", 2),
        fast=fast,
        negative=negative,
        most_events=None if most is None else _integer(most, "models.most_events", 10),
        fit=dict(fit),
        seed=_integer(content.get("seed", 1), "seed", 0),
    )


def _known_samples(path: str, classes: list[str]) -> None:
    """ValueError for a table that cannot be read, or that names neither DSIDs nor classes."""
    try:
        table = read_samples(path)
    except OSError as error:
        raise ValueError(f"samples.table: {error}") from None
    for name in table:
        if not name.isdecimal() and name not in classes:
            raise ValueError(f"{path}: [{name}] is no class: {near_misses(name, classes)}")


def _strings(value: Any, name: str) -> list[str]:
    if not isinstance(value, list) or not value or not all(isinstance(v, str) for v in value):
        raise ValueError(f"{name} must be a list of names, got {value!r}")
    return value


def _files(value: Any, name: str, folder: Path) -> tuple[str, ...]:
    given = _strings([value] if isinstance(value, str) else value, name)
    return tuple(f if "://" in f or os.path.isabs(f) else str(folder / f) for f in given)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _integer(value: Any, name: str, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} must be an integer >= {least}, got {value!r}")
    return value
