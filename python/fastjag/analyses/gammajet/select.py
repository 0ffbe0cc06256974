"""Stage: files of all samples to tables of the events that pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastjag.analyses.common import runs
from fastjag.analyses.gammajet.config import GammaJetSample, PhotonJetSelection
from fastjag.analyses.gammajet.results import GammaJetResults
from fastjag.analyses.gammajet.selection import columns_of, select_events
from fastjag.batch.parts import Tables, join, parts_folder, write_parts
from fastjag.core.checks import needs
from fastjag.io import Batch
from fastjag.reporting.output import results_directory, write_json


def select(results: GammaJetResults, *, progress: bool | None = None) -> None:
    """A Parquet file for each sample, and ``totals.json`` with cutflows and sums of weights."""
    needs("pyarrow", "arrow")
    selection, totals = results.config.selection, {}
    needed, optional = columns_of(selection)
    with results_directory(results.folder("select")) as directory:
        with parts_folder(results.workers.keep, directory) as folder:
            # One sample after the other, so that errors are those of the first that has any.
            for sample in results.config.samples:
                read = runs.read(
                    _Select(sample.name, sample.kind, selection, folder), list(sample.files), needed,
                    results.workers, optional=optional, progress=progress,
                )  # fmt: skip
                if read.value is None:
                    raise ValueError(f"{sample.name}: the files hold no events")
                found: _Selected = read.value
                _check(sample, found)
                join(directory / f"{sample.name}.parquet", found.tables[_ROWS])
                totals[sample.name] = {
                    "cutflow": found.cutflow, "sum_of_weights": found.sum_of_weights
                }  # fmt: skip
        write_json(directory / "totals.json", totals)


_ROWS = "rows"


@dataclass
class _Selected(Tables):
    """Of some events of a sample; merged, of all."""

    cutflow: dict[str, int]
    sum_of_weights: float
    stitched: int  #: events with a photon and a parton


@dataclass(frozen=True)
class _Select:
    """What workers do with a batch of events of a sample."""

    sample: str
    kind: str
    selection: PhotonJetSelection
    folder: str  #: for rows

    def __call__(self, batch: Batch) -> _Selected:
        sum_w = 0.0
        if self.kind != "data":
            if "genWeight" not in batch.flat:
                raise ValueError(
                    f"{batch.source}: {self.sample} is {self.kind}, but the file has no genWeight"
                )
            sum_w = float(batch["genWeight"].sum(dtype=np.float64))
        cutflow: dict[str, int] = {}
        rows: Mapping[str, Any] = select_events(batch, self.selection, cutflow)
        stitched = int(np.count_nonzero(~np.isnan(rows["delta_r"])))
        return _Selected(write_parts(self.folder, {_ROWS: rows}), cutflow, sum_w, stitched)


def _check(sample: GammaJetSample, found: _Selected) -> None:
    if sample.kind in ("gjets", "qcd") and found.rows(_ROWS) and not found.stitched:
        raise ValueError(
            f"{sample.name}: {sample.kind} samples are stitched by GenPart and LHEPart, which give "
            f"no photon and parton here"
        )
    if sample.kind != "data" and found.sum_of_weights == 0:
        raise ValueError(f"{sample.name}: the generator weights add up to 0")
