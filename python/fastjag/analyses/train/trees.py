"""Boosted trees of a configuration: trained on quantised batches, kept as XGBoost's own JSON."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from fastjag.analyses.train.results import TaggerResults
from fastjag.loading import Loader
from fastjag.models.boosted_trees import train_booster
from fastjag.reporting.output import new_file


def grown(
    results: TaggerResults, directory: Path, training: Loader, validation: Loader
) -> dict[str, Any]:
    """Train, write ``tagger.json``, and say what came of it."""
    config, how = results.config, results.config.trees
    train = training.xgboost(max_bin=how.max_bin)
    valid = validation.xgboost(max_bin=how.max_bin, ref=train)
    losses: dict[str, dict[str, list[float]]] = {}
    booster = train_booster(
        train, how.rounds, len(config.class_names), seed=config.seed, threads=config.threads,
        evals=[(train, "training"), (valid, "validation")], evals_result=losses,
        early_stopping_rounds=how.early_stopping_rounds, max_depth=how.max_depth,
        learning_rate=how.learning_rate, subsample=how.subsample, max_bin=how.max_bin,
        device=config.device,
    )  # fmt: skip
    best = int(booster.best_iteration)
    with new_file(directory / "tagger.json") as partial:
        # The ending of the name says to XGBoost what it writes.
        content = booster[: best + 1].save_raw("json")
        with open(partial, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    return {
        "losses": {name: values["mlogloss"] for name, values in losses.items()},
        "best": best, "per": "round",
    }  # fmt: skip
