"""Stage: scores of the test events, by what was exported."""

from __future__ import annotations

from fastjag.analyses.train.results import TaggerResults
from fastjag.inputs import Inputs
from fastjag.prediction import predict
from fastjag.reporting.output import results_directory


def score(results: TaggerResults, *, progress: bool | None = None) -> None:
    """``scores.parquet``: of each test event the scores, class and weight."""
    config = results.config
    wanted = [*config.classes.values()]
    if config.inputs.weight is not None:
        wanted.append(config.inputs.weight)
    inputs = Inputs.of(results.inputs(), observers=tuple(dict.fromkeys(wanted)))
    with results_directory(results.folder("score")) as directory:
        predict(
            results.model, results.ranges("test"), inputs, directory / "scores.parquet",
            classes=config.class_names, executor=results.workers.executor,
            keep=results.workers.keep, progress=progress,
        )  # fmt: skip
