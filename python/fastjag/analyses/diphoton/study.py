"""The whole study: stages that are skipped where their result is there already, and resume."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fastjag.analyses.common.stages import Stages, file_digest, input_digests
from fastjag.analyses.common.tables import write_parquet
from fastjag.analyses.common.workers import worker_pool
from fastjag.analyses.diphoton.columnstats import Floats
from fastjag.analyses.diphoton.comparison import compare
from fastjag.analyses.diphoton.config import Config
from fastjag.analyses.diphoton.events import Events
from fastjag.analyses.diphoton.features import aggregates
from fastjag.analyses.diphoton.samples import read_samples
from fastjag.analyses.diphoton.selections import selection_of
from fastjag.analyses.diphoton.skim import skim
from fastjag.core.checks import at_least, needs
from fastjag.io.files import find_files
from fastjag.models.training_device import training_device
from fastjag.reporting.output import results_directory, write_json

STAGES = ("select", "features", "train", "report")


@dataclass(frozen=True)
class Study:
    """A configuration, and the directory in which every stage has one of its own.

    Files are selected in so many ``processes`` at once. Their start needs what multiprocessing needs
    of scripts: for more than one, guard yours with ``if __name__ == "__main__":``.
    """

    config: Config
    out: Path
    progress: bool | None = None
    threads: int | None = None
    device: str = "cpu"
    processes: int = 1

    def run(
        self, stages: Iterable[str] = STAGES, *, told: Callable[[str], None] | None = None
    ) -> None:
        """Run these stages and those before them that have no result yet for this configuration."""
        training_device(self.device, "torch", "xgboost")  # an error before anything runs
        steps = {stage: partial(step, self) for stage, step in _RUN.items()}
        Stages(self.out, steps, self._settings).run(stages, told)

    def folder(self, stage: str) -> Path:
        return self.out / stage

    def _settings(self, stage: str) -> dict[str, Any]:
        """All that a stage and those before it depend on."""
        settings = asdict(self.config)
        settings["files"] = {name: input_digests(f) for name, f in self.config.files.items()}
        settings["samples"] = self.config.samples and file_digest(self.config.samples)
        for later, own in (
            ("features", ("features", "most_events", "seed")),
            ("train", ("models", "folds", "fast", "negative")),
            ("report", ("name", "fit")),
        ):
            if STAGES.index(stage) < STAGES.index(later):
                for key in own:
                    settings.pop(key)
        return {**settings, "device": self.device} if stage in ("train", "report") else settings

    # ---- what stages give to one another --------------------------------------------------------

    def selected(self) -> Events:
        """All selected events, those of backgrounds included."""
        return Events.read(self.folder("select") / "events.parquet")

    def learned(self) -> Events:
        """The events of the classes that models tell apart, with the columns they look at."""
        return Events.read(self.folder("features") / "events.parquet")

    def features(self) -> dict[str, Floats]:
        import pyarrow.parquet as pq

        table = pq.read_table(self.folder("features") / "features.parquet")
        return {name: table[name].to_numpy() for name in table.column_names}


# ---- stages -------------------------------------------------------------------------------------


def _select(study: Study) -> None:
    """Files to selected events; what each file gave stays, so that an interrupted call goes on."""
    config = study.config
    overrides = read_samples(config.samples) if config.samples else {}
    with _processes(study) as executor:
        found = skim(
            config.files, study.folder("select") / "files",
            selection_of(config.selection, config.cuts), luminosity=config.luminosity,
            correct=config.correct, overrides=overrides, executor=executor,
            progress=study.progress,
        )  # fmt: skip
    with results_directory(study.folder("select")) as directory:
        found.events().write(directory / "events.parquet")
        write_json(directory / "selection.json", found.summary())


def _processes(study: Study) -> AbstractContextManager[Executor | None]:
    """As many as there are files for; None where that is one."""
    files = sum(len(find_files(f)) for f in study.config.files.values())
    workers = min(files, at_least("processes", study.processes, 1))
    if workers < 2:
        return nullcontext()
    return worker_pool(workers)


def _features(study: Study) -> None:
    needs("pyarrow", "arrow")
    config = study.config
    events = of_classes(study.selected(), tuple(config.classes))
    if config.most_events is not None:
        events = thinned(events, config.most_events, config.seed)
    table = aggregates(events, config.features)
    with results_directory(study.folder("features")) as directory:
        events.write(directory / "events.parquet")
        write_parquet(directory / "features.parquet", table)


def _train(study: Study) -> None:
    config, events = study.config, study.learned()
    found = compare(
        events, study.features(), models=config.models, folds=config.folds, fast=config.fast,
        negative=config.negative, seed=config.seed, device=study.device, threads=study.threads,
        progress=study.progress,
    )  # fmt: skip
    columns: dict[str, Any] = {n: events.flat[n] for n in ("label", "weight", "m_yy")}
    columns["fold"] = found.folds
    for model, probability in found.probabilities.items():
        for i, name in enumerate(events.classes):
            columns[f"{model}: {name}"] = probability[:, i]
    with results_directory(study.folder("train")) as directory:
        write_json(directory / "comparison.json", found.numbers)
        write_parquet(directory / "probabilities.parquet", columns)


def _report(study: Study) -> None:
    from fastjag.analyses.diphoton.pages import write_report

    write_report(study)


def of_classes(events: Events, classes: tuple[str, ...]) -> Events:
    """The events of some classes, labelled by their order."""
    places = np.array([classes.index(c) if c in classes else -1 for c in events.classes], np.int64)
    label = places[events.flat["label"]]
    chosen = Events(events.particles, {**events.flat, "label": np.maximum(label, 0)}, classes)
    return chosen[label >= 0]


def thinned(events: Events, most: int, seed: int) -> Events:
    """At most so many events of each class, at random; weights scaled so that yields stay."""
    rng = np.random.default_rng(seed)
    label, weight = events.flat["label"], np.asarray(events.flat["weight"], np.float64).copy()
    kept = []
    for i in range(len(events.classes)):
        mine = np.flatnonzero(label == i)
        some = np.sort(rng.permutation(mine)[:most])
        if len(some) < len(mine) and weight[some].sum() != 0:
            weight[some] *= weight[mine].sum() / weight[some].sum()
        kept.append(some)
    index = np.concatenate(kept)
    return Events(events.particles, {**events.flat, "weight": weight}, events.classes)[index]


def comparison(study: Study) -> dict[str, Any]:
    """The numbers of the stage ``train``."""
    found: dict[str, Any] = json.loads((study.folder("train") / "comparison.json").read_text())
    return found


_RUN: dict[str, Callable[[Study], None]] = {
    "select": _select, "features": _features, "train": _train, "report": _report,
}  # fmt: skip
