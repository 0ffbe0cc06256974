"""The configuration of an analysis: one TOML file, checked before anything runs."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Any

from fastjag.analyses.common.config import read
from fastjag.analyses.common.servers import Servers
from fastjag.analyses.common.variations import VariationSettings, check_names
from fastjag.analyses.common.workers import WorkersSection
from fastjag.analyses.diphoton.mass_fit import SIGNALS
from fastjag.analyses.diphoton.models import MODELS
from fastjag.analyses.diphoton.samples import read_samples
from fastjag.analyses.diphoton.selections import PRESETS, selection_of
from fastjag.core.checks import near_misses
from fastjag.core.settings import File, Name, setting, settings
from fastjag.reporting.labels import Label

_POLICIES = ("abs", "resample", "clip", "drop", "error")


@settings
class SelectionSettings:
    """Which events."""

    preset: str = setting(f"Cuts by name: {', '.join(PRESETS)}.", default="slides")
    luminosity: float | None = setting(
        "Integrated luminosity [fb-1]; none is that of the release.", default=None, above=0,
        must="be a number above 0 [fb-1]",
    )  # fmt: skip
    cuts: dict[str, Any] = setting("Cuts that differ from the preset's.", default_factory=dict)


@settings
class SampleSettings:
    """What simulated samples are worth."""

    table: File | None = setting(
        "TOML with cross_section [pb], sum_of_weights, k_factor and filter_efficiency by DSID or "
        "class, such as [345041] or [VBF]: they come before what files say.",
        default=None, must="be the name of a file",
    )  # fmt: skip
    correct: bool = setting(
        "The cross-section of ttH with the branching ratio once, where the release has it twice.",
        default=True,
    )


@settings
class FeatureSettings:
    """What models of tables see."""

    names: tuple[str, ...] | None = setting(
        "Features and patterns, such as n_b_*; none are about a hundred.", default=None,
        must="be a list of names",
    )  # fmt: skip


@settings
class ModelSettings:
    """What is compared, and how."""

    names: tuple[str, ...] = setting(
        "Models to compare.", default=MODELS, must="be a list of names"
    )
    folds: int = setting("Folds of the cross-validation.", default=5, least=2)
    fast: bool = setting("A third of the trees and epochs.", default=False)
    negative: str = setting(
        "What becomes of negative weights in training.", default="abs", one_of=_POLICIES,
        must=f"be one of {', '.join(_POLICIES)}",
    )  # fmt: skip
    window: tuple[float, float] = setting(
        "Masses [GeV] in which categories are counted against the continuum, where there are backgrounds.",
        default=(121.0, 129.0), least=0, must="be a pair of masses, the lower one first",
    )  # fmt: skip
    most_events: int | None = setting(
        "Events of each class that are learned from; none are all.", default=None, least=10
    )


@settings
class MassFitSettings:
    """The fit of the mass spectrum."""

    signal: str = setting("Shape of the peak.", default="gaussian", one_of=SIGNALS)
    degree: int = setting("Degree of the polynomial below it.", default=3, least=0)


@settings
class DiphotonConfig:
    """What to read and select, what to learn from, and which models to compare."""

    name: Name = setting("Title of the report.", default="diphoton")
    label: Label = setting("What stands above pictures.", default=Label())
    servers: Servers = setting("How files on servers are read.", default=Servers())
    workers: WorkersSection = setting(
        "Who works through the files; options of the command are stronger.",
        default=WorkersSection(),
    )
    seed: int = setting("Seed of all that is random.", default=1, least=0)
    classes: dict[str, tuple[File, ...]] = setting(
        "What the models tell apart, in this order, and their files: two classes or more, such as "
        '`{ ggF = "a.root", VBF = ["b.root", "c_*.root"] }`.'
    )
    background: dict[str, tuple[File, ...]] = setting(
        "Classes of the mass spectrum only, and their files; those of `data` are collisions, which "
        "count once each.",
        default_factory=dict,
    )
    selection: SelectionSettings = setting("Which events.", default=SelectionSettings())
    samples: SampleSettings = setting("What samples are worth.", default=SampleSettings())
    features: FeatureSettings = setting("What models of tables see.", default=FeatureSettings())
    models: ModelSettings = setting("What is compared.", default=ModelSettings())
    fit: MassFitSettings = setting("The fit of the mass spectrum.", default=MassFitSettings())
    variations: tuple[VariationSettings, ...] = setting(
        "Other photons and weights, for which the masses of simulated events are made as well.",
        default=(), empty=True,
    )  # fmt: skip

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> DiphotonConfig:
        """From a TOML file; paths in it are relative to it. ValueError names file and key."""
        return read(cls, path)

    def check(self) -> None:
        if len(self.classes) < 2:
            raise ValueError("classes must name at least two classes and their files")
        if not self.models.window[0] < self.models.window[1]:
            raise ValueError(f"models.window must be an interval, got {list(self.models.window)}")
        for name in self.background:
            if name in self.classes:
                raise ValueError(f"{name!r} is both a class and a background")
        check_names(self.variations)
        for v in self.variations:
            if not (v.column or "Photon_").startswith("Photon_"):
                raise ValueError(
                    f"variations: {v.name}: column must be one of photons, such as Photon_pt, got {v.column!r}"
                )
        selection_of(self.selection.preset, self.selection.cuts)  # an error names what is wrong
        for name in self.models.names:
            if name not in MODELS:
                raise ValueError(f"models.names: no model {name!r}: {near_misses(name, MODELS)}")
        if table := self.samples.table:
            try:
                samples = read_samples(table)
            except OSError as error:
                raise ValueError(f"samples.table: {error}") from None
            for name in samples:
                if not name.isdecimal() and name not in self.files:
                    near = near_misses(name, list(self.files))
                    raise ValueError(f"{table}: [{name}] is no class: {near}")

    @property
    def files(self) -> dict[str, tuple[str, ...]]:
        """Of all classes, and the backgrounds after them."""
        return {**self.classes, **self.background}

    def recorded(self) -> dict[str, Any]:
        """All settings side by side, as results keep them; of the fit those that are not default."""
        selection, samples, models = self.selection, self.samples, self.models
        fit = {k: v for k, v in asdict(self.fit).items() if v != getattr(MassFitSettings, k)}
        return {
            "name": self.name, "classes": self.classes, "background": self.background,
            "selection": selection.preset, "cuts": selection.cuts,
            "luminosity": selection.luminosity, "samples": samples.table,
            "correct": samples.correct, "features": self.features.names, "models": models.names,
            "folds": models.folds, "fast": models.fast, "negative": models.negative,
            "window": models.window,
            "most_events": models.most_events, "fit": fit, "seed": self.seed,
        }  # fmt: skip
