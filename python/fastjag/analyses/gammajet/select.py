"""Stage: files of all samples to tables of the events that pass."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastjag.analyses.common.tables import write_parquet
from fastjag.analyses.gammajet.config import GammaJetSample, PhotonJetSelection
from fastjag.analyses.gammajet.results import GammaJetResults
from fastjag.analyses.gammajet.selection import columns_of, select_events
from fastjag.core.arrays import Array
from fastjag.core.checks import needs
from fastjag.io import iterate
from fastjag.reporting.output import results_directory, write_json


def select(results: GammaJetResults, *, progress: bool | None = None) -> None:
    """A Parquet file for each sample, and ``totals.json`` with cutflows and sums of weights."""
    needs("pyarrow", "arrow")
    totals = {}
    with results_directory(results.folder("select")) as directory:
        for sample in results.config.samples:
            rows, totals[sample.name] = _read(sample, results.config.selection, progress)
            write_parquet(directory / f"{sample.name}.parquet", rows)
        write_json(directory / "totals.json", totals)


def _read(
    sample: GammaJetSample, selection: PhotonJetSelection, progress: bool | None
) -> tuple[dict[str, Array], dict[str, Any]]:
    """Rows of the events of a sample that pass, and what its files hold."""
    needed, optional = columns_of(selection)
    cutflow: dict[str, int] = {}
    parts, sum_w = [], 0.0
    for batch in iterate(list(sample.files), needed, optional=optional, progress=progress):
        if sample.kind != "data":
            if "genWeight" not in batch.flat:
                raise ValueError(
                    f"{batch.source}: {sample.name} is {sample.kind}, but the file has no genWeight"
                )
            sum_w += float(batch["genWeight"].sum(dtype=np.float64))
        parts.append(select_events(batch, selection, cutflow))
    if not cutflow:
        raise ValueError(f"{sample.name}: the files hold no events")
    rows = {c: np.concatenate([p[c] for p in parts]) for c in parts[0]}
    if sample.kind in ("gjets", "qcd") and len(rows["delta_r"]) and np.isnan(rows["delta_r"]).all():
        raise ValueError(
            f"{sample.name}: {sample.kind} samples are stitched by GenPart and LHEPart, which give "
            f"no photon and parton here"
        )
    if sample.kind != "data" and sum_w == 0:
        raise ValueError(f"{sample.name}: the generator weights add up to 0")
    return rows, {"cutflow": cutflow, "sum_of_weights": sum_w}
