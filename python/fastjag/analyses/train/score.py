"""Stage: scores of the test events, by what was exported."""

from __future__ import annotations

from fastjag.analyses.train.results import TaggerResults
from fastjag.inputs import Inputs
from fastjag.prediction import predict
from fastjag.reporting.output import results_directory


def score(results: TaggerResults, *, progress: bool | None = None) -> None:
    """``scores.parquet``: of each test event the scores, class and weight."""
    seen = results.inputs()
    with results_directory(results.folder("score")) as directory:
        predict(
            results.model, results.ranges("test"), Inputs.of(seen, observers=columns_of(seen)),
            directory / "scores.parquet", classes=results.config.class_names,
            executor=results.workers.executor, keep=results.workers.keep, progress=progress,
        )  # fmt: skip


def columns_of(inputs: Inputs) -> tuple[str, ...]:
    """Expressions that say class and weights of an event, where the data set does not, and observers."""
    wanted = [*inputs.observers]
    if inputs.target is not None and inputs.target.kind == "classes":
        wanted += inputs.target.names
    if (weight := inputs.weight) is not None:
        wanted += [] if weight.expression is None else [weight.expression]
        wanted += (
            []
            if weight.reweight is None
            else [*weight.reweight.variables, *weight.reweight.classes]
        )
    return tuple(dict.fromkeys(wanted))
