"""The stages of a photon+jet measurement, in their order, and what the result of each depends on."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from fastjag.analyses.common.runs import HERE, Workers
from fastjag.analyses.common.servers import recorded
from fastjag.analyses.common.stages import InputFiles, Look, Stages
from fastjag.analyses.gammajet.config import GammaJetConfig
from fastjag.analyses.gammajet.report import report
from fastjag.analyses.gammajet.response import response
from fastjag.analyses.gammajet.results import GammaJetResults
from fastjag.analyses.gammajet.select import select
from fastjag.reporting.labels import labelled

#: Keys that the first stage depends on.
_SELECT = ("samples", "selection", "photon_scale", "parton_shower")
STAGES = ("select", "response", "report")


def run(
    config: GammaJetConfig,
    out: str | os.PathLike[str],
    stages: Iterable[str] = STAGES,
    *,
    workers: Workers = HERE,
    progress: bool | None = None,
    told: Callable[[str], None] | None = None,
) -> GammaJetResults:
    """Run these stages and those before them that have no result yet for this configuration.

    ``workers`` read the files; ``told`` hears of every stage.
    """
    results = GammaJetResults(config, Path(out), workers)
    steps = {
        "select": partial(select, results, progress=progress),
        "response": partial(response, results),
        "report": partial(report, results),
    }
    with config.servers.asked(), labelled(config.label):
        Stages(results.out, steps, partial(settings_of, config)).run(stages, told)
    return results


def settings_of(config: GammaJetConfig, stage: str) -> dict[str, Any]:
    """All that a stage and those before it depend on."""
    settings = recorded(config)
    del settings["label"], settings["workers"]
    if stage == "select":
        settings = {k: settings[k] for k in _SELECT}
    for sample in settings["samples"]:
        sample["files"] = InputFiles.read(sample["files"])
    return settings | (Look.settings(config.label) if stage == "report" else {})
