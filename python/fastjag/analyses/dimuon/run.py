"""The stages of a search, what each reads, and running them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from fastjag.analyses.common.runs import HERE, Workers
from fastjag.analyses.common.servers import recorded
from fastjag.analyses.common.stages import InputFiles, Look, Stages
from fastjag.analyses.dimuon.check import check
from fastjag.analyses.dimuon.classify import classify
from fastjag.analyses.dimuon.config import DimuonConfig
from fastjag.analyses.dimuon.flow import flow
from fastjag.analyses.dimuon.prepare import prepare
from fastjag.analyses.dimuon.report import report
from fastjag.analyses.dimuon.results import DimuonResults
from fastjag.analyses.dimuon.samples import samples
from fastjag.analyses.dimuon.scan import scan
from fastjag.analyses.dimuon.significance import significance
from fastjag.analyses.dimuon.variations import variations
from fastjag.models.training_device import training_device
from fastjag.reporting.labels import labelled

#: In their order; each is the function of that name in the module of that name.
STAGES = (
    "prepare",
    "variations",
    "scan",
    "flow",
    "samples",
    "check",
    "classify",
    "significance",
    "report",
)
_FUNCTIONS = (prepare, variations, scan, flow, samples, check, classify, significance, report)
READS = {
    "prepare": [],
    "variations": ["prepare"],
    "scan": ["prepare"],
    "flow": ["prepare"],
    "samples": ["prepare", "flow"],
    "check": ["prepare", "flow", "samples"],
    "classify": ["prepare", "flow", "samples"],
    "significance": ["prepare", "flow", "samples", "check", "classify"],
    "report": list(STAGES[:-1]),
}

_VERSION = 2  # what 0.1.0 left is made again: no noise on integers, no standardisation, no checks


def run(
    config: DimuonConfig, out: str | os.PathLike[str], stages: Iterable[str] = STAGES, *,
    progress: bool | None = None, threads: int | None = None, device: str = "cpu",
    workers: Workers = HERE, told: Callable[[str], None] | None = None,
) -> DimuonResults:  # fmt: skip
    """Run these stages and those before them that have no result yet for this configuration.

    ``workers`` read the files.
    A result belongs to the settings and inputs it was made from, by a hash in its ``stage.json``:
    what is there is used, what is not is made. ``workers`` read the
    files; ``told`` hears what happens.
    """
    training_device(device, "torch", "xgboost")  # errors before anything runs
    config.flow_settings(), config.tree_settings()
    results = DimuonResults(config, Path(out), progress, threads, device, workers)
    todo = {stage.__name__: partial(stage, results) for stage in _FUNCTIONS}
    with config.servers.asked(), labelled(config.label):
        Stages(results.out, todo, partial(_depends_on, config), READS).run(stages, told)
    return results


def _depends_on(config: DimuonConfig, stage: str) -> dict[str, Any]:
    """All of the configuration that a stage and those before it depend on."""
    settings = recorded(config)
    window, asked = settings.pop("window"), settings.pop("significance")
    own: dict[str, dict[str, Any]] = {
        "prepare": {
            k: settings[k] for k in ("lower", "upper", "muon_id", "require_jet", "hardest_jet")
        },
        "variations": {"variations": settings["variations"], "in_window": window, "fitted": asked["degree"]},
        "scan": {k: settings[k] for k in ("scan", "seed")},
        "flow": {k: settings[k] for k in ("features", "seed", "train_on", "flow")}
        | {"window": {k: v for k, v in window.items() if k != "sr_edges"}, "version": _VERSION},
        "samples": {"sr_edges": window["sr_edges"], "degree": asked["degree"],
                    "peaks": asked["peaks"]},
        "classify": {"classifier": settings["classifier"]},
        "significance": {"significance": asked},
        "report": {"name": settings["name"], **Look.settings(config.label)},
    }  # fmt: skip
    golden = config.golden_json
    depends: dict[str, Any] = {
        "files": InputFiles.read(config.files),
        "golden_json": golden and InputFiles.read(golden),
    }
    for name in (*READS[stage], stage):
        depends |= own.get(name, {})
    return depends
