"""Stage: files of all samples to tables of the events that pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastjag.analyses.common import runs
from fastjag.analyses.gammajet.config import GammaJetSample, PhotonJetSelection
from fastjag.analyses.gammajet.results import GammaJetResults
from fastjag.analyses.gammajet.selection import columns_of, select_events, shower_weights
from fastjag.batch.parts import Tables, join, parts_folder, write_parts
from fastjag.core.checks import needs
from fastjag.core.devices import to_host
from fastjag.io import Batch
from fastjag.reporting.output import results_directory, write_json


def select(results: GammaJetResults, *, progress: bool | None = None) -> None:
    """A Parquet file for each sample, and ``totals.json`` with cutflows and sums of weights."""
    needs("pyarrow", "arrow")
    config = results.config
    selection, totals = config.selection, {}
    needed, optional = columns_of(selection)
    with results_directory(results.folder("select")) as directory:
        with parts_folder(results.workers.keep, directory) as folder:
            # One sample after the other, so that errors are those of the first that has any.
            for sample in results.config.samples:
                read = runs.read(
                    _Select(sample.name, sample.kind, selection, folder, config.photon_scale,
                            config.parton_shower), list(sample.files), needed,
                    results.workers, optional=optional, progress=progress,
                )  # fmt: skip
                if read.value is None:
                    raise ValueError(f"{sample.name}: the files hold no events")
                found: _Selected = read.value
                _check(sample, found)
                for table, parts in found.tables.items():
                    own = "" if table == _ROWS else f".{table.replace(' ', '-')}"
                    join(directory / f"{sample.name}{own}.parquet", parts)
                totals[sample.name] = {
                    "cutflow": found.cutflow, "sum_of_weights": found.sum_of_weights,
                    "varied_sums": found.varied_sums,
                }  # fmt: skip
        write_json(directory / "totals.json", totals)


_ROWS = "rows"


@dataclass
class _Selected(Tables):
    """Of some events of a sample; merged, of all."""

    cutflow: dict[str, int]
    sum_of_weights: float
    stitched: int  #: events with a photon and a parton
    varied_sums: dict[str, float]  #: of weights with other scales of the shower


@dataclass(frozen=True)
class _Select:
    """What workers do with a batch of events of a sample."""

    sample: str
    kind: str
    selection: PhotonJetSelection
    folder: str  #: for rows
    photon_scale: float = 0.0
    parton_shower: bool = False

    def __call__(self, batch: Batch) -> _Selected:
        sum_w = 0.0
        if self.kind != "data":
            if "genWeight" not in batch.flat:
                raise ValueError(
                    f"{batch.source}: {self.sample} is {self.kind}, but the file has no genWeight"
                )
            sum_w = float(batch["genWeight"].sum(dtype=np.float64))
        cutflow: dict[str, int] = {}
        shower, varied_sums = {}, {}
        simulated = self.kind != "data"
        if simulated and self.parton_shower:
            shower = shower_weights(batch)
            weight = batch["genWeight"].astype(np.float64)
            varied_sums = {name: float((weight * w).sum()) for name, w in shower.items()}
        rows = select_events(batch, self.selection, cutflow, extra=shower)
        tables = {_ROWS: rows}
        if simulated and self.photon_scale > 0:
            for side, sign in (("up", 1), ("down", -1)):
                tables[f"photon scale {side}"] = select_events(
                    batch, self.selection, {}, photon_factor=1 + sign * self.photon_scale
                )
        stitched = int(np.count_nonzero(~np.isnan(rows["delta_r"])))
        on_host: Mapping[str, Any] = {
            name: {column: to_host(values) for column, values in table.items()}
            for name, table in tables.items()
        }
        return _Selected(write_parts(self.folder, on_host), cutflow, sum_w, stitched, varied_sums)


def _check(sample: GammaJetSample, found: _Selected) -> None:
    if sample.kind in ("gjets", "qcd") and found.rows(_ROWS) and not found.stitched:
        raise ValueError(
            f"{sample.name}: {sample.kind} samples are stitched by GenPart and LHEPart, which give "
            f"no photon and parton here"
        )
    if sample.kind != "data" and found.sum_of_weights == 0:
        raise ValueError(f"{sample.name}: the generator weights add up to 0")
