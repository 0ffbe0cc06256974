"""classify: scores of data, of bootstrapped data, and of data that the flows made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from fastjag.analyses.common.tables import write_parquet
from fastjag.analyses.dimuon.classifier import CathodeClassifier, ClassifierInput
from fastjag.analyses.dimuon.pairs import between
from fastjag.analyses.dimuon.pseudo_experiments import (
    Experiment,
    bootstrap,
    digest,
    make_or_reuse,
    null_run,
    null_seed,
)
from fastjag.analyses.dimuon.results import DimuonResults
from fastjag.analyses.dimuon.samples import check_null, draw_null
from fastjag.reporting.output import results_directory, write_json


def classify(results: DimuonResults) -> None:
    """Train the classifiers on data against samples, and score everything out of fold."""
    config, asked = results.config, results.config.classifier
    if asked.null_experiments:
        check_null(results.background())  # before anything is trained
    folder, drawn, settings = results.folder("classify"), results.samples, config.tree_settings()
    classes = {c: results.preprocessed[c] for c in results.classes}
    data, *control = [ClassifierInput(values, pairs.mass) for pairs, values in classes.values()]
    other = control[0] if control else ClassifierInput(data.values[:0], data.mass[:0])
    inside = ~classes[config.train_on][0].sideband
    draws = {name: ClassifierInput(drawn[key], drawn["mass"]) for name, key in
             (("background", "signal_region"), ("validation", "validation"), ("roc", "roc"))}  # fmt: skip
    flows, preprocessing = results.flows(), results.preprocessing
    classifier = CathodeClassifier(
        draws.pop("background"), flows, preprocessing, settings, asked.latent, results.device,
        results.threads,
    )  # fmt: skip
    scored = classifier.score(
        data, inside, {"other": other, **draws}, seed=config.seed, progress=results.progress
    )
    members = asked.experiment_members or settings.members
    small = replace(classifier, settings=replace(settings, members=members))
    made_from = digest(*data, *other, *small.background, small.settings, small.latent, config.seed)
    bootstraps = make_or_reuse(
        folder, "bootstrap", asked.pseudo_experiments, made_from,
        lambda k: bootstrap(small, data, other, inside, k, config.seed), results.progress,
    )  # fmt: skip

    def null(k: int) -> Experiment:
        mass, values = draw_null(
            flows, preprocessing, results.background(), seed=null_seed(k, config.seed)
        )
        signal_region = between(mass, config.window.sr_left, config.window.sr_right)
        return null_run(small, ClassifierInput(values, mass), signal_region, k, config.seed)

    nulls = make_or_reuse(folder, "null", asked.null_experiments, made_from, null, results.progress)
    with results_directory(folder) as directory:
        for c, scores in zip(classes, (scored.data, scored.others["other"]), strict=False):
            pairs = classes[c][0]
            columns: dict[str, Any] = {"dimu_mass": pairs.mass, **pairs.features, "score": scores}
            if c == config.train_on:
                columns["fold"] = scored.folds
            write_parquet(directory / f"{c}.parquet", columns)
        scores_of = {"background": scored.background, **scored.others}
        for name, sample in {"background": classifier.background, **draws}.items():
            features = preprocessing.inverse(sample.values)
            write_parquet(
                directory / f"{name}.parquet",
                {"dimu_mass": sample.mass, **features, "score": scores_of[name]},
            )
        if bootstraps:
            _write_experiments(
                directory / f"bootstrap_{config.train_on}.parquet", bootstraps,
                lambda e: {"event": e.rows, "score": e.scores, "fold": e.folds},
            )  # fmt: skip
            if control:
                _write_experiments(
                    directory / f"bootstrap_{results.other_class}.parquet", bootstraps,
                    lambda e: {"event": e.other_rows, "score": e.other_scores},
                )  # fmt: skip
        if nulls:
            _write_experiments(
                directory / "null.parquet", nulls,
                lambda e: {"dimu_mass": e.data.mass, **preprocessing.inverse(e.data.values),
                           "score": e.scores, "fold": e.folds},
            )  # fmt: skip
        write_json(
            directory / "training.json",
            {"settings": asdict(settings), "seed": config.seed, "train_on": config.train_on,
             "latent": classifier.latent, "device": results.device,
             "experiments": {"settings": asdict(small.settings), "bootstrap": len(bootstraps),
                             "null": len(nulls)},
             "best_rounds": scored.best_rounds, "losses": scored.losses},
        )  # fmt: skip
    for kind in ("bootstrap", "null"):
        for path in folder.glob(f"{kind}*.npz*"):
            path.unlink()


def _write_experiments(
    path: Path, experiments: Sequence[Experiment],
    columns_of: Callable[[Experiment], Mapping[str, Any]],
) -> None:  # fmt: skip
    parts = []
    for experiment in experiments:
        columns = columns_of(experiment)
        number = np.full(len(columns["score"]), experiment.number, np.int32)
        parts.append({"experiment": number, **columns})
    write_parquet(path, {k: np.concatenate([part[k] for part in parts]) for k in parts[0]})
