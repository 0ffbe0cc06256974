"""What the stages left: the only thing that pictures, report and importances see of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastjag.analyses.common.results import StageResults
from fastjag.analyses.common.runs import HERE, Workers
from fastjag.analyses.common.tables import read_parquet
from fastjag.analyses.diphoton.column_statistics import Floats
from fastjag.analyses.diphoton.config import DiphotonConfig
from fastjag.analyses.diphoton.events import Events


@dataclass(frozen=True)
class DiphotonResults(StageResults):
    """A configuration, and the directory in which every stage has one of its own."""

    config: DiphotonConfig
    workers: Workers = HERE  #: who reads files

    def selected(self) -> Events:
        """All selected events, those of backgrounds included."""
        return Events.read(self.folder("select") / "events.parquet")

    def selection(self) -> dict[str, Any]:
        """Cutflows by class, what was read and skipped, and the files."""
        return self.json("select", "selection")

    def variations(self) -> dict[str, Any]:
        """Masses for other photons and weights, by class; nothing where none were asked for."""
        there = (self.folder("variations") / "variations.json").exists()
        return self.json("variations", "variations") if there else {}

    def learned(self) -> Events:
        """The events of the classes that models tell apart, with the columns they look at."""
        return Events.read(self.folder("features") / "events.parquet")

    def features(self) -> dict[str, Floats]:
        """Name to what models of tables see of the learned events, (n_events,)."""
        return read_parquet(self.folder("features") / "features.parquet")

    def continuum(self) -> tuple[Events, dict[str, Floats]] | None:
        """Events of the continuum and what models of tables see of them; None without backgrounds."""
        path = self.folder("features") / "continuum.parquet"
        if not path.exists():
            return None
        table = read_parquet(self.folder("features") / "continuum-features.parquet")
        return Events.read(path), table

    def comparison(self) -> dict[str, Any]:
        """Figures of all models (:func:`fastjag.analyses.diphoton.train.compare`)."""
        return self.json("train", "comparison")

    def warnings(self) -> list[str]:
        """What the report begins with."""
        said: list[str] = self.json("report", "results").get("warnings", [])
        return said
