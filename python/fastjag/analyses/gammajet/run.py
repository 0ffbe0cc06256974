"""``fastjag gammajet run``: samples of data and simulation to responses, pictures and a report."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastjag.analyses.common.stages import Stages, input_digests
from fastjag.analyses.common.tables import write_parquet
from fastjag.analyses.gammajet.config import GammaJetConfig
from fastjag.analyses.gammajet.response import core, extrapolate, profile
from fastjag.analyses.gammajet.selection import columns_of, select
from fastjag.analyses.gammajet.stitching import continuity, stitched
from fastjag.core.arrays import Array
from fastjag.core.checks import needs
from fastjag.io import iterate
from fastjag.reporting.output import results_directory, write_json

STAGES = ("select", "response", "report")
ESTIMATORS = ("balance", "mpf")
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class GammaJet:
    """A measurement, and the directory in which every stage has one of its own."""

    config: GammaJetConfig
    out: Path
    progress: bool | None = None

    def run(
        self, stages: Iterable[str] = STAGES, *, told: Callable[[str], None] | None = None
    ) -> None:
        """Run these stages and those before them that have no result for this configuration."""
        steps = {"select": _select, "response": _response, "report": _report}
        bound = {name: partial(step, self) for name, step in steps.items()}
        Stages(self.out, bound, self._settings).run(stages, told)

    def folder(self, stage: str) -> Path:
        return self.out / stage

    def _settings(self, stage: str) -> dict[str, Any]:
        settings = asdict(self.config)
        if stage == "select":
            settings = {k: settings[k] for k in ("samples", "selection")}
        for given in settings["samples"]:
            given["files"] = input_digests(given["files"])
        return settings

    def rows(self, *, data: bool) -> dict[str, Array]:
        """Selected events of data or simulation, stitched; ``weight`` in events at the luminosity.

        Rows of simulation have ``sample``, an index into the configuration's samples, too.
        """
        import pyarrow.parquet as pq

        totals = json.loads((self.folder("select") / "totals.json").read_text())
        parts: list[dict[str, Array]] = []
        for i, sample in enumerate(self.config.samples):
            if (sample.kind == "data") != data:
                continue
            content = pq.read_table(self.folder("select") / f"{sample.name}.parquet")
            columns = {c: content[c].to_numpy() for c in content.column_names}
            columns = {c: v[stitched(sample.kind, columns["delta_r"])] for c, v in columns.items()}
            norm = 1.0
            if not data:
                sum_w = sample.sum_of_weights or totals[sample.name]["sum_of_weights"]
                assert sample.cross_section is not None  # all simulation has one
                norm = self.config.luminosity * sample.cross_section * sample.k_factor / sum_w
            columns["weight"] = columns["gen_weight"] * norm
            columns["sample"] = np.full(len(columns["weight"]), i)
            parts.append(columns)
        return {c: np.concatenate([p[c] for p in parts]) for c in parts[0]} if parts else {}


def _select(job: GammaJet) -> None:
    needs("pyarrow", "arrow")
    needed, optional = columns_of(job.config.selection)
    totals: dict[str, Any] = {}
    with results_directory(job.folder("select")) as directory:
        for sample in job.config.samples:
            cutflow: dict[str, int] = {}
            parts, sum_w = [], 0.0
            batches = iterate(list(sample.files), needed, optional=optional, progress=job.progress)
            for batch in batches:
                if sample.kind != "data":
                    if "genWeight" not in batch.flat:
                        raise ValueError(
                            f"{batch.source}: {sample.name} is {sample.kind}, but the file has no "
                            f"genWeight"
                        )
                    sum_w += float(batch["genWeight"].sum(dtype=np.float64))
                parts.append(select(batch, job.config.selection, cutflow))
            if not cutflow:
                raise ValueError(f"{sample.name}: the files hold no events")
            if (
                sample.kind in ("gjets", "qcd")
                and all(np.isnan(p["delta_r"]).all() for p in parts if len(p["delta_r"]))
                and any(len(p["delta_r"]) for p in parts)
            ):
                raise ValueError(
                    f"{sample.name}: {sample.kind} samples are stitched by GenPart and LHEPart, "
                    f"which give no photon and parton here"
                )
            if sample.kind != "data" and sum_w == 0:
                raise ValueError(f"{sample.name}: the generator weights add up to 0")
            rows = {c: np.concatenate([p[c] for p in parts]) for c in parts[0]}
            write_parquet(directory / f"{sample.name}.parquet", rows)
            totals[sample.name] = {"cutflow": cutflow, "sum_of_weights": sum_w}
        write_json(directory / "totals.json", totals)


def measure(rows: Mapping[str, Array], config: GammaJetConfig) -> list[dict[str, Any]]:
    """Responses of events in bins of the photon's pt, per range in eta: plain data.

    For balance and MPF: mean and error for alpha below ``max_alpha``, the Gaussian core, and the
    line extrapolated to alpha = 0, with the mean alpha and pt of the bin. Only events with
    |R - 1| < ``max_deviation`` count; how many were left out is stated.
    """
    result = []
    edges = np.asarray(config.pt_edges, np.float64)
    for low, high in config.eta_ranges:
        eta = np.abs(rows["jet_eta"])
        inside = (eta >= low) & (eta < high)
        for estimator in ESTIMATORS:
            near = np.abs(rows[estimator] - 1) < config.max_deviation
            part = {c: v[inside & near] for c, v in rows.items()}
            few = part["alpha"] < config.max_alpha
            pt, r, w = part["photon_pt"], part[estimator], part["weight"]
            means = profile(pt[few], r[few], w[few], edges=edges)
            alphas = profile(pt[few], part["alpha"][few], w[few], edges=edges)
            bins = []
            which = np.searchsorted(edges, pt, side="right") - 1
            for i in range(len(edges) - 1):
                here = which == i
                line = extrapolate(part["alpha"][here], r[here], w[here], edges=config.alpha_edges)
                middle = core(r[here & few], w[here & few])
                bins.append(
                    {"low": edges[i], "high": edges[i + 1], "pt": means.x[i],
                     "mean": means.mean[i], "error": means.error[i], "alpha": alphas.mean[i],
                     "entries": int(means.entries[i]), "core": middle._asdict(),
                     "line": line._asdict()}
                )  # fmt: skip
            result.append(
                {"eta": [low, high], "estimator": estimator, "bins": bins,
                 "left_out": int((inside & ~near).sum())}
            )  # fmt: skip
    return result


def _response(job: GammaJet) -> None:
    found: dict[str, Any] = {}
    for name, data in (("data", True), ("simulation", False)):
        rows = job.rows(data=data)
        if rows and not len(rows["weight"]):
            totals = json.loads((job.folder("select") / "totals.json").read_text())
            raise ValueError(f"no event of {name} passes the selection: {totals}")
        if rows:
            found[name] = measure(rows, job.config)
    simulated = job.rows(data=False)
    kinds = {s.kind for s in job.config.samples}
    if {"gjets", "qcd"} <= kinds and simulated:
        found["continuity"] = continuity(simulated["delta_r"], simulated["weight"])._asdict()
    with results_directory(job.folder("response")) as directory:
        write_json(directory / "response.json", found)


def _report(job: GammaJet) -> None:
    from fastjag.analyses.gammajet.pages import write_report

    write_report(job)
