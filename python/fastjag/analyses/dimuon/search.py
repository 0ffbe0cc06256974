"""The whole search: stages that are skipped where their result is there already, and resume."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastjag.analyses.common.stages import Stages, file_digest, input_digests
from fastjag.analyses.dimuon import steps
from fastjag.analyses.dimuon.config import Config
from fastjag.analyses.dimuon.preprocess import Floats, Preprocessing
from fastjag.analyses.dimuon.samples import Events, read_background
from fastjag.analyses.dimuon.verdicts import verdicts
from fastjag.core.checks import near_misses
from fastjag.models.flow import ConditionalFlow
from fastjag.models.flow_training import FlowSettings
from fastjag.models.fold_scores import TreeSettings
from fastjag.models.training_device import training_device
from fastjag.statistics import BackgroundFit

Preset = TypeVar("Preset")

#: In their order; each is the function of :mod:`steps` of that name.
STAGES = ("prepare", "scan", "flow", "samples", "check", "classify", "significance", "report")
_READS = {  # what is not named here reads from all before it
    "scan": ["prepare"],
    "flow": ["prepare"],
    "samples": ["prepare", "flow"],
    "check": ["prepare", "flow", "samples"],
    "classify": ["prepare", "flow", "samples"],
    "significance": ["prepare", "flow", "samples", "check", "classify"],
}

_RESULTS = 2  # what 0.1.0 left is made again: no noise on integers, no standardisation, no checks


@dataclass(frozen=True)
class Search:
    """A configuration, and the directory in which every stage has one of its own."""

    config: Config
    out: Path
    progress: bool | None = None
    threads: int | None = None
    device: str = "cpu"

    def run(
        self, stages: Iterable[str] = STAGES, *, told: Callable[[str], None] | None = None
    ) -> None:
        """Run these stages and those before them that have no result yet for this configuration.

        A result belongs to the settings and inputs it was made from, by a hash in its
        ``stage.json``: what is there is used, what is not is made. ``told`` hears what happens.
        """
        training_device(self.device, "torch", "xgboost")  # errors before anything runs
        self.flow_settings(), self.tree_settings()
        todo = {stage: partial(getattr(steps, stage), self) for stage in STAGES}
        Stages(self.out, todo, self._depends_on, _READS).run(stages, told)

    def folder(self, stage: str) -> Path:
        return self.out / stage

    def _depends_on(self, stage: str) -> dict[str, Any]:
        """All of the configuration that a stage and those before it depend on."""
        settings = asdict(self.config)
        window, asked = settings.pop("window"), settings.pop("significance")
        own: dict[str, dict[str, Any]] = {
            "prepare": {
                k: settings[k]
                for k in ("lower", "upper", "muon_id", "require_jet", "hardest_jet")
            },
            "scan": {k: settings[k] for k in ("scan", "seed")},
            "flow": {k: settings[k] for k in ("features", "seed", "train_on", "flow")}
            | {"window": {k: v for k, v in window.items() if k != "sr_edges"}, "version": _RESULTS},
            "samples": {"sr_edges": window["sr_edges"], "degree": asked["degree"],
                        "peaks": asked["peaks"]},
            "classify": {"classifier": settings["classifier"]},
            "significance": {"significance": asked},
            "report": {"name": settings["name"]},
        }  # fmt: skip
        found: dict[str, Any] = {"files": input_digests(self.config.files)}
        golden = self.config.golden_json
        found["golden_json"] = golden and file_digest(golden)
        for before in (*_READS.get(stage, STAGES[: STAGES.index(stage)]), stage):
            found |= own.get(before, {})
        return found

    # ---- what stages give to one another --------------------------------------------------------

    @property
    def other_class(self) -> str:
        """The charge class that nothing is learned from."""
        return "SS" if self.config.train_on == "OS" else "OS"

    @property
    def classes(self) -> tuple[str, ...]:
        """The one that is learned from, and the other one unless it has too few pairs."""
        left_out = self.left_out()
        return tuple(c for c in (self.config.train_on, self.other_class) if c not in left_out)

    def left_out(self) -> dict[str, str]:
        """The charge class that cannot be searched, and why."""
        return dict(json.loads((self.folder("flow") / "training.json").read_text())["left_out"])

    def checks(self) -> dict[str, dict[str, Any]]:
        """What :func:`verdicts` says of the stages before: closure, background fit, control."""
        closure = json.loads((self.folder("check") / "closure.json").read_text())
        fit = json.loads((self.folder("samples") / "background.json").read_text())
        return verdicts(closure, fit, self.left_out().get(self.other_class), self.other_class)

    def table(self, name: str) -> Path:
        """One of those that ``prepare`` wrote."""
        return self.folder("prepare") / f"{name}.parquet"

    def events(self, charge_class: str) -> Events:
        return Events.read(self.table(charge_class), self.config)

    def beside(self, mass: Floats) -> NDArray[np.bool_]:
        """Which masses are outside the signal region."""
        return (mass < self.config.window.sr_left) | (mass >= self.config.window.sr_right)

    def preprocessing(self) -> Preprocessing:
        return Preprocessing.from_dict(
            json.loads((self.folder("flow") / "preprocessing.json").read_text())
        )

    def preprocessed(self, charge_class: str) -> tuple[Events, Floats]:
        """Events that have numbers in every feature, and these numbers."""
        events = self.events(charge_class)
        rows = self.preprocessing().transform(events.features, events.mass)
        return events[rows.kept], rows.values

    def flow_seeds(self) -> list[int]:
        return list(self.config.flow["seeds"])

    def flow_settings(self) -> FlowSettings:
        return _changed(self.config.flow, "flow", FlowSettings, FlowSettings.preset)

    def tree_settings(self, members: int | None = None) -> TreeSettings:
        found = _changed(self.config.classifier, "classifier", TreeSettings, TreeSettings.preset)
        return found if members is None else replace(found, members=members)

    def trained_flows(self) -> list[ConditionalFlow]:
        return [
            ConditionalFlow.load(self.folder("flow") / f"seed{s}.pt", device=self.device)
            for s in self.flow_seeds()
        ]

    def samples(self) -> dict[str, Floats]:
        with np.load(self.folder("samples") / "samples.npz") as content:
            return {name: content[name] for name in content.files}

    def background(self) -> BackgroundFit:
        return read_background(self.folder("samples") / "background.json", self.config.window)

    def scores(self, charge_class: str) -> Floats:
        """Of every event of :meth:`preprocessed`."""
        return np.asarray(self._table(f"{charge_class}.parquet")["score"], np.float64)

    def bootstraps(self, charge_class: str) -> Iterator[tuple[NDArray[np.int64], Floats]]:
        """Rows of :meth:`preprocessed` and their scores, for each pseudo-experiment."""
        if self.config.classifier["pseudo_experiments"] and charge_class in self.classes:
            table = self._table(f"bootstrap_{charge_class}.parquet")
            for part in _experiments(table):
                yield part["event"], part["score"]

    def null_runs(self) -> Iterator[tuple[Events, Floats, Floats]]:
        """Events, preprocessed features and scores of data sets that the flows made."""
        if self.config.classifier["null_experiments"]:
            for part in _experiments(self._table("null.parquet")):
                mass = part["dimu_mass"]
                events = Events(mass, {f: part[f] for f in self.config.features}, self.beside(mass))
                rows = self.preprocessing().transform(events.features, mass)
                yield events[rows.kept], rows.values, part["score"][rows.kept]

    def _table(self, name: str) -> dict[str, Any]:
        import pyarrow.parquet as pq

        table = pq.read_table(self.folder("classify") / name)
        return {column: table[column].to_numpy() for column in table.column_names}

    @property
    def degree(self) -> int:
        return int(self.config.significance["degree"])


def _experiments(table: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Tables of each experiment; they follow one another."""
    starts = np.flatnonzero(np.diff(table["experiment"], prepend=-1))
    for first, last in zip(starts, [*starts[1:], None], strict=True):
        yield {column: values[first:last] for column, values in table.items()}


def _changed(
    given: Mapping[str, Any], section: str, kind: type, with_changes: Callable[..., Preset]
) -> Preset:
    """A preset of flows or trees with the changes that the configuration makes."""
    known = [field.name for field in fields(kind)]
    for key in given["settings"]:
        if key not in known:
            raise ValueError(
                f"unknown key in {section}.settings: {key!r}: {near_misses(key, known)}"
            )
    changes = {k: tuple(v) if isinstance(v, list) else v for k, v in given["settings"].items()}
    try:
        return with_changes(given["preset"], **changes)
    except ValueError as error:
        raise ValueError(f"{section}: {error}") from None
