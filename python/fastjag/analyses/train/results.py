"""What the stages left: the only thing that later stages, the report and the terminal see of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fastjag.analyses.common.results import StageResults
from fastjag.analyses.common.runs import HERE, Workers
from fastjag.analyses.common.tables import read_parquet
from fastjag.analyses.train.config import TaggerConfig
from fastjag.core.arrays import Array
from fastjag.datasets import ranges
from fastjag.inputs import Inputs
from fastjag.inputs.reweighting import Reweighting
from fastjag.inputs.values import EventNames
from fastjag.io import Batch
from fastjag.io.batches import Source
from fastjag.io.ranges import Ranges

#: Parts of the events.
PARTS = ("training", "validation", "test")


@dataclass(frozen=True)
class ScoredEvents:
    """Scores of events that the model has not seen."""

    scores: Array  #: (n, n_classes), float64
    target: Array  #: (n,) number of the class
    weight: Array  #: (n,) signed physics weights
    cells: Array | None = None  #: (n,) bins of the weights of training, where it has histograms


@dataclass(frozen=True)
class TaggerResults(StageResults):
    """A configuration, and the directory in which every stage has one of its own."""

    config: TaggerConfig
    workers: Workers = HERE  #: who scores events

    def ranges(self, part: str) -> Ranges:
        """Events of "training", "validation" or "test"."""
        return ranges(str(self.folder("split") / f"{part}.json"))

    def events(self) -> dict[str, dict[str, int]]:
        """How many events of each data set each part has, before the selection."""
        return self.json("split", "events")

    @property
    def model(self) -> Path:
        """The exported tagger: ONNX, or XGBoost's JSON."""
        ending = "json" if self.config.model == "XGBoost" else "onnx"
        return self.folder("train") / f"tagger.{ending}"

    def inputs(self) -> Inputs:
        """What the model sees, fitted."""
        return Inputs.load(self.folder("train") / "inputs.json")

    def training(self) -> dict[str, Any]:
        """Losses by epoch or round, the best one, and what all of it depends on."""
        return self.json("train", "training")

    def test(self) -> ScoredEvents:
        """Scores, classes and weights of the test events."""
        columns = read_parquet(self.folder("score") / "scores.parquet")
        names, seen = self.config.class_names, self.inputs()
        scores = np.stack([columns[f"score_{name}"] for name in names], axis=1).astype(np.float64)
        assert seen.target is not None
        assert seen.weight is not None
        if seen.target.kind == "classes":
            true = np.stack([columns[text] != 0 for text in seen.target.names], axis=1)
            several = true.sum(axis=1) != 1
            if several.any():
                raise ValueError(
                    f"{columns['file'][several.argmax()]}: entry {columns['entry'][several.argmax()]} is of "
                    f"{int(true[several.argmax()].sum())} classes, one is needed"
                )
            target = true.argmax(axis=1)
        else:
            code = {d.name: names.index(d.of_class or d.name) for d in self.config.datasets}
            found, which = np.unique(columns["dataset"].astype(str), return_inverse=True)
            target = np.array([code[name] for name in found.tolist()])[which]
        weight = seen.weight.expression
        signed = np.ones(len(target)) if weight is None else columns[weight].astype(np.float64)
        return ScoredEvents(scores, target, signed, _cells(seen.weight.reweight, columns, target))

    def summary(self) -> dict[str, Any]:
        """``results.json``: the sentence, areas, curves, calibration and settings."""
        return self.json("report", "results")


def _cells(
    histograms: Reweighting | None, columns: dict[str, Array], target: Array
) -> Array | None:
    """Bins of events, of columns that bear the names of the expressions."""
    if histograms is None:
        return None
    named = replace(
        histograms, variables={f"`{text}`": edges for text, edges in histograms.variables.items()},
        classes=tuple(f"`{text}`" for text in histograms.classes),
    )  # fmt: skip
    wanted = {text: columns[text] for text in (*histograms.variables, *histograms.classes)}
    events = Batch({}, wanted, Source("scores.parquet", "", 0, len(target)))
    return named.cells(EventNames(events), None if histograms.classes else target)
