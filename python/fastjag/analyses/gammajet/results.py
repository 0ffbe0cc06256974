"""What the stages left: the only thing that later stages, the report and the terminal see of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastjag.analyses.common.results import StageResults
from fastjag.analyses.common.runs import HERE, Workers
from fastjag.analyses.common.tables import read_parquet
from fastjag.analyses.gammajet.config import GammaJetConfig
from fastjag.analyses.gammajet.selection import SHOWER
from fastjag.analyses.gammajet.stitching import stitched
from fastjag.core.arrays import Array

PHOTON_SCALE = "photon scale"


@dataclass(frozen=True)
class GammaJetResults(StageResults):
    """A configuration, and the directory in which every stage has one of its own."""

    config: GammaJetConfig
    workers: Workers = HERE  #: who reads files

    def totals(self) -> dict[str, Any]:
        """Cutflow and sum of weights of every sample."""
        return self.json("select", "totals")

    def rows(self, *, data: bool, variation: str | None = None) -> dict[str, Array]:
        """Selected events of data or simulation, stitched; ``weight`` in events at the luminosity.

        Rows of simulation have ``sample``, an index into the configuration's samples, too. Those of a
        ``variation`` are events selected with other photons, or weighted for another shower.
        """
        totals = self.totals()
        parts: list[dict[str, Array]] = []
        for i, sample in enumerate(self.config.samples):
            if (sample.kind == "data") != data:
                continue
            moved = variation is not None and variation.startswith(PHOTON_SCALE)
            own = f".{variation.replace(' ', '-')}" if moved and variation is not None else ""
            columns = read_parquet(self.folder("select") / f"{sample.name}{own}.parquet")
            columns = {c: v[stitched(sample.kind, columns["delta_r"])] for c, v in columns.items()}
            norm = 1.0
            if not data:
                assert sample.cross_section is not None  # all simulation has one
                sum_w = sample.sum_of_weights or totals[sample.name]["sum_of_weights"]
                norm = self.config.luminosity * sample.cross_section * sample.k_factor / sum_w
            columns["weight"] = columns["gen_weight"] * norm
            if variation is not None and not moved:
                # The same cross-section: what changes is the shape.
                whole = totals[sample.name]
                ratio = whole["sum_of_weights"] / whole["varied_sums"][variation]
                columns["weight"] = columns["weight"] * columns[variation] * ratio
            columns["sample"] = np.full(len(columns["weight"]), i)
            parts.append(columns)
        return {c: np.concatenate([p[c] for p in parts]) for c in parts[0]} if parts else {}

    def variations(self) -> list[str]:
        """Names of the variations of simulation that the configuration asks for."""
        moved = [f"{PHOTON_SCALE} {side}" for side in ("up", "down")]
        asked = moved if self.config.photon_scale > 0 else []
        return [*asked, *(SHOWER if self.config.parton_shower else ())]

    def responses(self) -> dict[str, Any]:
        """Of "data" and "simulation" (:func:`fastjag.analyses.gammajet.response.measure`)."""
        return self.json("response", "response")

    def summary(self) -> dict[str, Any]:
        """``results.json``: the responses, warnings, comparisons and settings."""
        return self.json("report", "results")
