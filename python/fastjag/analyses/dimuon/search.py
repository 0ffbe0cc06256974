"""The whole search: stages that are skipped where their result is there already, and resume."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fastjag.analyses.dimuon import prepare as preparing
from fastjag.analyses.dimuon.bumps import FINE, Curve, cut_curve, discriminant_of, reweighted
from fastjag.analyses.dimuon.check import closure
from fastjag.analyses.dimuon.config import Config
from fastjag.analyses.dimuon.preprocess import Floats, Preprocessing
from fastjag.analyses.dimuon.samples import Events, Samples, draw_samples
from fastjag.analyses.stages import Stages, file_digest, input_digests
from fastjag.arrays import one_of
from fastjag.models import flow as flows
from fastjag.models import trees
from fastjag.output import results_directory, write_json
from fastjag.statistics import Significance

STAGES = ("prepare", "flow", "samples", "check", "classify", "significance", "report")


@dataclass(frozen=True)
class Search:
    """A configuration, and the directory in which every stage has one of its own."""

    config: Config
    out: Path
    progress: bool | None = None
    threads: int | None = None
    device: str = "cpu"

    def run(
        self, stages: Iterable[str] = STAGES, *, told: Callable[[str], None] | None = None
    ) -> None:
        """Run these stages and those before them that have no result yet for this configuration.

        A result belongs to the settings and inputs it was made from, by a hash in its
        ``stage.json``: what is there is used, what is not is made. ``told`` hears what happens.
        """
        steps = {stage: partial(step, self) for stage, step in _RUN.items()}
        Stages(self.out, steps, self._settings).run(stages, told)

    def folder(self, stage: str) -> Path:
        return self.out / stage

    def _settings(self, stage: str) -> dict[str, Any]:
        """All that a stage and those before it depend on."""
        settings = asdict(self.config)
        for later, own in (("flow", "flow"), ("classify", "classifier"),
                           ("significance", "significance")):  # fmt: skip
            if STAGES.index(stage) < STAGES.index(later):
                settings.pop(own)
        if STAGES.index(stage) < STAGES.index("flow"):
            settings = {k: settings[k] for k in ("lower", "upper", "muon_id", "require_jet")}
        golden = self.config.golden_json
        settings["golden_json"] = golden and file_digest(golden)
        settings["files"] = input_digests(self.config.files)
        return settings

    # ---- what stages give to one another --------------------------------------------------------

    def events(self, charge_class: str) -> Events:
        return Events.read(self.folder("prepare") / f"{charge_class}.parquet", self.config)

    def preprocessing(self) -> Preprocessing:
        return Preprocessing.from_dict(
            json.loads((self.folder("flow") / "preprocessing.json").read_text())
        )

    def preprocessed(self, charge_class: str) -> tuple[Events, Floats]:
        """Events that have numbers in every feature, and these numbers."""
        events = self.events(charge_class)
        rows = self.preprocessing().transform(events.features, events.mass)
        return events[rows.kept], rows.values

    def flow_seeds(self) -> list[int]:
        seeds = self.config.flow.get("seeds", [self.config.seed])
        if not isinstance(seeds, list) or not seeds or not all(isinstance(s, int) for s in seeds):
            raise ValueError(f"flow.seeds must be a list of integers, got {seeds!r}")
        return seeds

    def trained_flows(self) -> list[flows.ConditionalFlow]:
        return [
            flows.ConditionalFlow.load(self.folder("flow") / f"seed{s}.pt", device=self.device)
            for s in self.flow_seeds()
        ]

    def samples(self) -> dict[str, Floats]:
        with np.load(self.folder("samples") / "samples.npz") as content:
            return {name: content[name] for name in content.files}

    def scores(self, charge_class: str) -> Floats:
        import pyarrow.parquet as pq

        table = pq.read_table(self.folder("classify") / f"{charge_class}.parquet")
        return np.asarray(table["score"].to_numpy(), np.float64)

    @property
    def degree(self) -> int:
        return int(self.config.significance.get("degree", 5))


# ---- stages -------------------------------------------------------------------------------------


def _prepare(search: Search) -> None:
    preparing.prepare(
        search.config, search.folder("prepare"), progress=search.progress, threads=search.threads
    )


def _flow(search: Search) -> None:
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


def _samples(search: Search) -> None:
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


def _check(search: Search) -> None:
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


def _classify(search: Search) -> None:
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


def _significance(search: Search) -> None:
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


def _report(search: Search) -> None:
    from fastjag.analyses.dimuon.pages import write_report

    write_report(search)


_RUN: dict[str, Callable[[Search], None]] = {
    "prepare": _prepare, "flow": _flow, "samples": _samples, "check": _check,
    "classify": _classify, "significance": _significance, "report": _report,
}  # fmt: skip


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


def stage_names(chosen: Sequence[str]) -> list[str]:
    """All stages, or those given."""
    return [one_of("stage", stage, STAGES) for stage in chosen] or list(STAGES)
