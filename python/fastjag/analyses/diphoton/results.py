"""What the stages left: the only thing that pictures, report and importances see of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastjag.analyses.common.runs import HERE, Workers
from fastjag.analyses.common.tables import read_parquet
from fastjag.analyses.diphoton.column_statistics import Floats
from fastjag.analyses.diphoton.config import DiphotonConfig
from fastjag.analyses.diphoton.events import Events


@dataclass(frozen=True)
class DiphotonResults:
    """A configuration, and the directory in which every stage has one of its own."""

    config: DiphotonConfig
    out: Path
    workers: Workers = HERE  #: who reads files

    def folder(self, stage: str) -> Path:
        return self.out / stage

    def selected(self) -> Events:
        """All selected events, those of backgrounds included."""
        return Events.read(self.folder("select") / "events.parquet")

    def selection(self) -> dict[str, Any]:
        """Cutflows by class, what was read and skipped, and the files."""
        return _read_json(self.folder("select") / "selection.json")

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
        return _read_json(self.folder("train") / "comparison.json")

    def warnings(self) -> list[str]:
        """What the report begins with."""
        said: list[str] = _read_json(self.folder("report") / "results.json").get("warnings", [])
        return said


def _read_json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content
