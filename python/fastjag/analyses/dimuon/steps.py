"""What every stage of a search does: read what is there, compute, leave its results."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastjag.analyses.common.tables import write_parquet
from fastjag.analyses.dimuon import prepare as preparing
from fastjag.analyses.dimuon import scan as scanning
from fastjag.analyses.dimuon.check import closure
from fastjag.analyses.dimuon.experiments import (
    Classifier,
    Experiment,
    Sample,
    bootstrap,
    digest,
    null_run,
    null_seed,
    remembered,
)
from fastjag.analyses.dimuon.findings import Scored, Wanted, bands, findings
from fastjag.analyses.dimuon.preprocess import Preprocessing
from fastjag.analyses.dimuon.samples import (
    Samples,
    background_record,
    check_bands,
    check_null,
    draw_null,
    draw_samples,
)
from fastjag.core.checks import needs
from fastjag.models import flow as flows
from fastjag.reporting.output import new_file, results_directory, write_json

if TYPE_CHECKING:
    from fastjag.analyses.dimuon.search import Search


def prepare(search: Search) -> None:
    preparing.prepare(
        search.config, search.folder("prepare"), progress=search.progress, threads=search.threads
    )


def scan(search: Search) -> None:
    masses = scanning.pair_masses(search.folder("prepare"), "OS")
    found = scanning.scan_spectrum(masses, search.config.scan, search.config.seed)
    with results_directory(search.folder("scan")) as directory:
        write_json(directory / "scan.json", found)


def flow(search: Search) -> None:
    folder = search.folder("flow")
    settings = search.flow_settings()
    opposite = search.events("OS")
    fitted = Preprocessing.fit(
        opposite.features, opposite.mass, opposite.sideband, search.config.seed
    )
    train_on, window = search.config.train_on, search.config.window
    dropped, left_out = {}, {}
    for c in (search.other_class, train_on):  # all that can be wrong is found before the training
        try:
            events = search.events(c)
            rows = fitted.transform(events.features, events.mass)
            check_bands(events[rows.kept], window, f"{c} pairs", trained=c == train_on)
        except ValueError as error:
            if c == train_on:
                raise
            # Nothing is learned from this one: a search without it has no control.
            left_out[c] = str(error).removeprefix(f"{search.table(c)}: ")
        else:
            dropped[c] = rows.dropped
    beside = events.sideband[rows.kept]
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "training.pt"  # outside of the results: an interrupted one goes on
    trained = flows.fit_flows(
        settings, search.flow_seeds(), rows.values[beside], rows.mass[beside],
        device=search.device, checkpoint=checkpoint, progress=search.progress,
    )  # fmt: skip
    with results_directory(folder) as directory:
        for seed, flow in zip(search.flow_seeds(), trained, strict=True):
            flow.save(directory / f"seed{seed}.pt")
        write_json(directory / "preprocessing.json", fitted.to_dict())
        records = [flow.record for flow in trained]
        write_json(
            directory / "training.json",
            {"flows": records, "dropped": dropped, "left_out": left_out},
        )
    checkpoint.unlink(missing_ok=True)


def samples(search: Search) -> None:
    config = search.config
    events, _ = search.preprocessed(config.train_on)
    drawn: Samples = draw_samples(
        search.trained_flows(), search.preprocessing(), events, config.window,
        degree=search.degree, seed=config.seed, peaks=config.significance["peaks"],
    )  # fmt: skip
    with results_directory(search.folder("samples")) as directory:
        arrays: dict[str, Any] = {k: v for k, v in vars(drawn).items() if isinstance(v, np.ndarray)}
        with new_file(directory / "samples.npz") as partial:
            np.savez_compressed(partial, **arrays)
        write_json(directory / "background.json", background_record(drawn.background, drawn.peaks))


def check(search: Search) -> None:
    events, values = search.preprocessed(search.config.train_on)
    fitted, drawn = search.preprocessing(), search.samples()
    result = {}
    low, high = search.config.window.sr_left, search.config.window.sr_right
    for name, sampled, real in (
        ("both sidebands", drawn["sideband_mass"] > 0, events.sideband),
        ("left sideband", drawn["sideband_mass"] < low, events.mass < low),
        ("right sideband", drawn["sideband_mass"] >= high, events.mass >= high),
    ):
        if min(sampled.sum(), real.sum()) < 20:
            continue  # too few to tell anything
        found = closure(
            search.config.features,
            drawn["sideband"][sampled],
            fitted.scale_mass(drawn["sideband_mass"][sampled]),
            values[real],
            fitted.scale_mass(events.mass[real]),
            seed=search.config.seed,
            threads=search.threads,
        )
        result[name] = {**asdict(found), "passes": found.passes, "verdict": found.verdict}
    with results_directory(search.folder("check")) as directory:
        write_json(directory / "closure.json", result)


def classify(search: Search) -> None:
    config, asked = search.config, search.config.classifier
    if asked["null_experiments"]:
        check_null(search.background())  # before anything is trained
    folder, drawn = search.folder("classify"), search.samples()
    classes = {c: search.preprocessed(c) for c in search.classes}
    samples = [Sample(values, events.mass) for events, values in classes.values()]
    data = samples[0]
    other = samples[1] if len(samples) > 1 else Sample(data.values[:0], data.mass[:0])
    inside = ~classes[config.train_on][0].sideband
    draws = {name: Sample(drawn[key], drawn["mass"]) for name, key in
             (("background", "signal_region"), ("validation", "validation"), ("roc", "roc"))}  # fmt: skip
    trained, fitted = search.trained_flows(), search.preprocessing()
    classifier = Classifier(
        draws.pop("background"), trained, fitted, search.tree_settings(), asked["latent"],
        search.device, search.threads,
    )  # fmt: skip
    found = classifier.score(
        data, inside, {"other": other, **draws}, seed=config.seed, progress=search.progress
    )
    small = replace(classifier, settings=search.tree_settings(asked["experiment_members"]))
    made_from = digest(*data, *other, *small.background, small.settings, small.latent, config.seed)
    bootstraps = remembered(
        folder, "bootstrap", asked["pseudo_experiments"], made_from,
        lambda k: bootstrap(small, data, other, inside, k, config.seed), search.progress,
    )  # fmt: skip

    def null(k: int) -> Experiment:
        mass, values = draw_null(
            trained, fitted, search.background(), seed=null_seed(k, config.seed)
        )
        return null_run(small, Sample(values, mass), ~search.beside(mass), k, config.seed)

    nulls = remembered(folder, "null", asked["null_experiments"], made_from, null, search.progress)
    with results_directory(folder) as directory:
        for c, scores in zip(classes, (found.data, found.others["other"]), strict=False):
            events = classes[c][0]
            columns: dict[str, Any] = {"dimu_mass": events.mass, **events.features, "score": scores}
            if c == config.train_on:
                columns["fold"] = found.folds
            write_parquet(directory / f"{c}.parquet", columns)
        for name, sample in {"background": classifier.background, **draws}.items():
            scores = found.background if name == "background" else found.others[name]
            features = fitted.inverse(sample.values)
            write_parquet(
                directory / f"{name}.parquet",
                {"dimu_mass": sample.mass, **features, "score": scores},
            )
        if bootstraps:
            _write_experiments(
                directory / f"bootstrap_{config.train_on}.parquet", bootstraps,
                lambda e: {"event": e.rows, "score": e.scores, "fold": e.folds},
            )  # fmt: skip
            if len(classes) > 1:
                _write_experiments(
                    directory / f"bootstrap_{search.other_class}.parquet", bootstraps,
                    lambda e: {"event": e.other_rows, "score": e.other_scores},
                )  # fmt: skip
        if nulls:
            _write_experiments(
                directory / "null.parquet", nulls,
                lambda e: {"dimu_mass": e.data.mass, **fitted.inverse(e.data.values),
                           "score": e.scores, "fold": e.folds},
            )  # fmt: skip
        write_json(
            directory / "training.json",
            {"settings": asdict(classifier.settings), "seed": config.seed,
             "train_on": config.train_on, "latent": classifier.latent, "device": search.device,
             "experiments": {"settings": asdict(small.settings), "bootstrap": len(bootstraps),
                             "null": len(nulls)},
             "best_rounds": found.best_rounds, "losses": found.losses},
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


def _one_blas_thread() -> AbstractContextManager[Any]:
    """Fits of many spectra are many small products: two threads take 2.5 times the CPU time."""
    needs("threadpoolctl", "dimuon")
    from threadpoolctl import threadpool_limits

    limited: AbstractContextManager[Any] = threadpool_limits(1, "blas")
    return limited


def significance(search: Search) -> None:
    config, asked = search.config, search.config.significance
    wanted = Wanted(
        config.window, search.degree, asked["degrees"], asked["edges"], asked["rates"],
        asked["toys"], config.seed, search.progress,
    )  # fmt: skip
    classes, spread = {}, {}
    plain = search.preprocessing().without_noise  # cuts on features are on what was measured
    for c in search.classes:
        events, values = search.preprocessed(c)
        values = plain(values)
        classes[c] = Scored.of(events, config.features, values, search.scores(c), config.seed)
        again = [
            Scored.of(events[rows], config.features, values[rows], scores, None)
            for rows, scores in search.bootstraps(c)
        ]
        with _one_blas_thread():
            spread[c] = bands(again, wanted, f"{c} pseudo-experiments")
    with _one_blas_thread():
        result = findings(classes, config.train_on, wanted, search.checks())
    for c, band in spread.items():
        result[c]["bands"] = band
    null = [
        Scored.of(events, config.features, plain(values), scores, None)
        for events, values, scores in search.null_runs()
    ]
    with results_directory(search.folder("significance")) as directory:
        write_json(
            directory / "significance.json",
            {"degree": search.degree, "window": asdict(config.window),
             "train_on": config.train_on, **result,
             "null": bands(null, wanted, "null runs"),
             "seeds": {"search": config.seed, "flows": search.flow_seeds()},
             "versions": versions(), "config": asdict(config)},
        )  # fmt: skip


def versions() -> dict[str, str]:
    """Of what the numbers were made with."""
    names = ("fastjag", "numpy", "scipy", "torch", "zuko", "xgboost")
    return {
        "python": platform.python_version(),
        **{name: str(import_module(name).__version__) for name in names},
    }


def report(search: Search) -> None:
    from fastjag.analyses.dimuon.pages import write_report

    write_report(search)
