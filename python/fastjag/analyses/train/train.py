"""Stage: inputs are fitted, a network or trees learn from the files, and are exported."""

from __future__ import annotations

import time
from typing import Any

from fastjag.analyses.common.versions import versions
from fastjag.analyses.train.config import TaggerConfig, inputs_of
from fastjag.analyses.train.results import TaggerResults
from fastjag.core.checks import needs
from fastjag.loading import Loader, loader
from fastjag.models.training_device import training_device
from fastjag.reporting.output import results_directory, write_json


def train(results: TaggerResults, *, progress: bool | None = None) -> None:
    """``tagger.onnx`` and ``network.pt``, or XGBoost's ``tagger.json``; ``inputs.json`` and ``training.json``."""
    config = results.config
    learn = _trees if config.model == "XGBoost" else _network
    _check_libraries(config)
    start = time.perf_counter()
    training, validation = _loaders(results)
    with results_directory(results.folder("train")) as directory:
        training.inputs.save(directory / "inputs.json")  # type: ignore[attr-defined]
        record = learn(results, directory, training, validation, progress)
        write_json(directory / "training.json", {
            **record, "seconds": time.perf_counter() - start,
            "loader": training.describe(), "versions": versions("torch", "onnx", "xgboost"),
        })  # fmt: skip


def _check_libraries(config: TaggerConfig) -> None:
    """What is missing is said before hours of training."""
    if config.model == "XGBoost":
        needs("xgboost", "train")
        training_device(config.device, "xgboost")
        return
    for library in ("torch", "onnx", "onnxscript", "onnxruntime"):
        needs(library, "train")
    training_device(config.device, "torch")


def _loaders(results: TaggerResults) -> tuple[Loader, Loader]:
    config = results.config
    options: dict[str, Any] = {"batch_size": config.network.batch_size, "memory": config.memory}
    inputs = inputs_of(config)
    whole = results.ranges("training")
    inputs.check_datasets(whole.datasets)
    fitted = inputs.fit(whole, events=config.inputs.sample, seed=config.seed)
    training = loader(whole, fitted, seed=config.seed, **options)
    validation = loader(results.ranges("validation"), fitted, shuffle=None, **options)
    return training, validation


def _network(
    results: TaggerResults, directory: Any, training: Loader, validation: Loader,
    progress: bool | None,
) -> dict[str, Any]:  # fmt: skip
    from fastjag.analyses.train.networks import learned

    return learned(results, directory, training, validation, progress)


def _trees(
    results: TaggerResults, directory: Any, training: Loader, validation: Loader,
    progress: bool | None,
) -> dict[str, Any]:  # fmt: skip
    from fastjag.analyses.train.trees import grown

    return grown(results, directory, training, validation)
