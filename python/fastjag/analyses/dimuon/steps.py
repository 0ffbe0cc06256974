"""What every stage of a search does: read what is there, compute, leave its results."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from fastjag.analyses.dimuon import prepare as preparing
from fastjag.analyses.dimuon import scan as scanning
from fastjag.analyses.dimuon.bumps import FINE, Curve, cut_curve, discriminant_of, reweighted
from fastjag.analyses.dimuon.check import closure
from fastjag.analyses.dimuon.preprocess import Preprocessing
from fastjag.analyses.dimuon.samples import Samples, draw_samples
from fastjag.models import flow as flows
from fastjag.models import trees
from fastjag.output import results_directory, write_json
from fastjag.statistics import Significance

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
    settings = _settings(search.config.flow, "flow", "spline", flows)
    events = search.events("OS")
    fitted = Preprocessing.fit(events.features, events.mass, events.sideband)
    rows = fitted.transform(events.features, events.mass)
    beside = events.sideband[rows.kept]
    folder.mkdir(parents=True, exist_ok=True)
    records = []
    trained = []
    for seed in search.flow_seeds():
        flow = flows.ConditionalFlow(settings, seed=seed, device=search.device)
        # Outside the directory of results: an interrupted training goes on from here.
        flow.fit(
            rows.values[beside], rows.mass[beside], checkpoint=folder / f"training{seed}.pt",
            progress=search.progress,
        )  # fmt: skip
        trained.append(flow)
        records.append(flow.record)
    with results_directory(folder) as directory:
        for seed, flow in zip(search.flow_seeds(), trained, strict=True):
            flow.save(directory / f"seed{seed}.pt")
        write_json(directory / "preprocessing.json", fitted.to_dict())
        write_json(directory / "training.json", {"flows": records, "dropped": rows.dropped})
    for seed in search.flow_seeds():
        (folder / f"training{seed}.pt").unlink(missing_ok=True)


def samples(search: Search) -> None:
    events, _ = search.preprocessed("OS")
    drawn: Samples = draw_samples(
        search.trained_flows(), search.preprocessing(), events, search.config.window,
        degree=search.degree, seed=search.config.seed,
    )  # fmt: skip
    with results_directory(search.folder("samples")) as directory:
        arrays: dict[str, Any] = {k: v for k, v in vars(drawn).items() if isinstance(v, np.ndarray)}
        np.savez_compressed(directory / "samples.npz", **arrays)
        fit = drawn.background
        write_json(
            directory / "background.json",
            {"coefficients": fit.coefficients, "covariance": fit.covariance, "chi2": fit.chi2,
             "dof": fit.dof, "expected": fit.expected, "degree": search.degree},
        )  # fmt: skip


def check(search: Search) -> None:
    events, values = search.preprocessed("OS")
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
        result[name] = {**asdict(found), "passes": found.passes}
    with results_directory(search.folder("check")) as directory:
        write_json(directory / "closure.json", result)


def classify(search: Search) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    settings = _settings(search.config.classifier, "classifier", "paper", trees)
    drawn = search.samples()
    events, values = search.preprocessed("OS")
    alternative, other_values = search.preprocessed("SS")
    found = trees.fold_scores(
        drawn["signal_region"], values, ~events.sideband,
        others={"SS": other_values, "validation": drawn["validation"]}, settings=settings,
        seed=search.config.seed, device=search.device, threads=search.threads,
        progress=search.progress,
    )  # fmt: skip
    with results_directory(search.folder("classify")) as directory:
        for name, sample, scores in (
            ("OS", events, found.data),
            ("SS", alternative, found.others["SS"]),
        ):
            columns: dict[str, Any] = {"dimu_mass": sample.mass, **sample.features, "score": scores}
            if name == "OS":
                columns["fold"] = found.folds
            pq.write_table(pa.table(columns), directory / f"{name}.parquet", compression="zstd")
        np.savez_compressed(
            directory / "samples.npz", background=found.background,
            validation=found.others["validation"],
        )  # fmt: skip
        write_json(
            directory / "training.json",
            {"settings": asdict(settings), "seed": search.config.seed,
             "best_rounds": found.best_rounds, "losses": found.losses},
        )  # fmt: skip


def significance(search: Search) -> None:
    config = search.config
    rates = config.significance.get("rates", FINE)
    degrees = config.significance.get("degrees", [3, 5, 7])
    edges = config.significance.get("edges", [8, 12, 16])
    result: dict[str, Any] = {}
    for charge_class in ("OS", "SS"):
        events, values = search.preprocessed(charge_class)
        scores = search.scores(charge_class)
        discriminants = {"classifier": scores}
        for i, feature in enumerate(config.features):
            discriminants[feature] = discriminant_of(feature, values[:, i])
        random = np.random.default_rng(config.seed).random(len(events))
        curves = {
            name: _shown_curve(
                cut_curve(events, x, config.window, degree=search.degree, rates=rates)
            )
            for name, x in {**discriminants, "random": random}.items()
        }
        variations = []
        for degree in degrees:
            for n in edges:
                window = type(config.window)(**{**asdict(config.window), "sr_edges": n})
                curve = cut_curve(events, scores, window, degree=degree, rates=rates)
                weighted = reweighted(events, scores, window, degree=degree)
                variations.append(
                    {"degree": degree, "sr_edges": n, **_shown_curve(curve),
                     "reweighted": None if weighted is None else float(weighted.Z)}
                )  # fmt: skip
        weighted = reweighted(events, scores, config.window, degree=search.degree)
        result[charge_class] = {
            "curves": curves,
            "reweighted": None if weighted is None else _shown(weighted),
            "variations": variations,
        }
    with results_directory(search.folder("significance")) as directory:
        write_json(
            directory / "significance.json",
            {"degree": search.degree, "window": asdict(config.window), **result},
        )


def report(search: Search) -> None:
    from fastjag.analyses.dimuon.pages import write_report

    write_report(search)


def _settings(given: dict[str, Any], section: str, preset: str, module: Any) -> Any:
    """A preset of flows or trees with the changes that the configuration makes."""
    changes = given.get("settings", {})
    if not isinstance(changes, dict):
        raise ValueError(f"{section}.settings must be a table, got {changes!r}")  # noqa: TRY004
    changes = {k: tuple(v) if isinstance(v, list) else v for k, v in changes.items()}
    try:
        return module.with_changes(str(given.get("preset", preset)), **changes)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{section}: {error}") from None


def _shown(result: Significance) -> dict[str, Any]:
    return {name: np.asarray(value).tolist() for name, value in result._asdict().items()}


def _shown_curve(curve: Curve) -> dict[str, Any]:
    return {"cuts": curve.cuts.tolist(), "rates": curve.rates.tolist(), **_shown(curve.result)}
