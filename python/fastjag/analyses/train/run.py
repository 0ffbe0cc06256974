"""The stages of a tagger, in their order, and what the result of each depends on."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from fastjag.analyses.common.runs import HERE, Workers
from fastjag.analyses.common.servers import recorded
from fastjag.analyses.common.stages import InputFiles, Look, Stages
from fastjag.analyses.train.config import TaggerConfig
from fastjag.analyses.train.report import report
from fastjag.analyses.train.results import TaggerResults
from fastjag.analyses.train.score import score
from fastjag.analyses.train.split import split
from fastjag.analyses.train.train import train
from fastjag.reporting.labels import labelled

STAGES = ("split", "train", "score", "report")


def run(
    config: TaggerConfig,
    out: str | os.PathLike[str],
    stages: Iterable[str] = STAGES,
    *,
    workers: Workers = HERE,
    progress: bool | None = None,
    told: Callable[[str], None] | None = None,
) -> TaggerResults:
    """Run these stages and those before them that have no result yet for this configuration.

    ``workers`` compute the scores of the test events; ``told`` hears of every stage.
    """
    results = TaggerResults(config, Path(out), workers)
    steps = {
        "split": partial(split, results, progress=progress),
        "train": partial(train, results, progress=progress),
        "score": partial(score, results, progress=progress),
        "report": partial(report, results),
    }
    with config.servers.asked(), labelled(config.label):
        Stages(results.out, steps, partial(settings_of, config)).run(stages, told)
    return results


def settings_of(config: TaggerConfig, stage: str) -> dict[str, Any]:
    """All that a stage and those before it depend on."""
    settings = recorded(config)
    del settings["label"]
    of_report = {"name", "signal"}
    if stage == "split":
        settings = {k: settings[k] for k in ("datasets", "validation", "test", "blocks", "seed")}
    elif stage != "report":
        settings = {k: v for k, v in settings.items() if k not in of_report}
    if stage != "split" and config.inputs.weaver is not None:
        settings["inputs"]["weaver"] = InputFiles.read(config.inputs.weaver)
    for dataset in settings["datasets"]:
        dataset["files"] = InputFiles.read(dataset["files"])
    return settings | (Look.settings(config.label) if stage == "report" else {})
