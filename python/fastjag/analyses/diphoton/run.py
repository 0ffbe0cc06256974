"""The stages of the analysis, in their order, and what the result of each depends on."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from fastjag.analyses.common.runs import HERE, Workers
from fastjag.analyses.common.stages import InputFiles, Look, Stages
from fastjag.analyses.diphoton.config import DiphotonConfig
from fastjag.analyses.diphoton.features import features
from fastjag.analyses.diphoton.report import report
from fastjag.analyses.diphoton.results import DiphotonResults
from fastjag.analyses.diphoton.select import select
from fastjag.analyses.diphoton.train import train
from fastjag.analyses.diphoton.variations import variations
from fastjag.models.training_device import training_device
from fastjag.reporting.labels import labelled

STAGES = ("select", "features", "train", "variations", "report")

#: The first stage that keys of the configuration matter to; all others matter to ``select``.
_FIRST_READ = {
    "features": ("features", "most_events", "seed"),
    "train": ("models", "folds", "fast", "negative", "window"),
    "report": ("name", "fit"),
}


def run(
    config: DiphotonConfig,
    out: str | os.PathLike[str],
    stages: Iterable[str] = STAGES,
    *,
    device: str = "cpu",
    threads: int | None = None,
    processes: int = 1,
    workers: Workers = HERE,
    progress: bool | None = None,
    told: Callable[[str], None] | None = None,
) -> DiphotonResults:
    """Run these stages and those before them that have no result yet for this configuration.

    Files are selected by ``workers``, or in so many ``processes`` at once. ``device`` is that of
    XGBoost and DeepSets; ``told`` hears of every stage.
    """
    training_device(device, "torch", "xgboost")  # an error before anything runs
    results = DiphotonResults(config, Path(out), workers)
    steps = {
        "select": partial(select, results, processes=processes, progress=progress),
        "features": partial(features, results),
        "train": partial(train, results, device=device, threads=threads, progress=progress),
        "variations": partial(variations, results, progress=progress),
        "report": partial(report, results),
    }
    with config.servers.asked(), labelled(config.label):
        Stages(results.out, steps, partial(settings_of, config, device=device)).run(stages, told)
    return results


def settings_of(config: DiphotonConfig, stage: str, device: str = "cpu") -> dict[str, Any]:
    """All that a stage and those before it depend on."""
    settings = config.recorded()
    settings["files"] = {name: InputFiles.read(f) for name, f in config.files.items()}
    settings["samples"] = config.samples.table and InputFiles.read(config.samples.table)
    for later, own in _FIRST_READ.items():
        if STAGES.index(stage) < STAGES.index(later) or stage == "variations":
            for key in own:
                settings.pop(key)
    if stage == "report":
        settings |= Look.settings(config.label)
    if stage in ("variations", "report") and config.variations:  # others do not depend on them
        settings["variations"] = [asdict(v) for v in config.variations]
    return {**settings, "device": device} if stage in ("train", "report") else settings
