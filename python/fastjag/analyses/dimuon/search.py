"""The whole search: stages that are skipped where their result is there already, and resume."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fastjag.analyses.dimuon import steps
from fastjag.analyses.dimuon.config import Config
from fastjag.analyses.dimuon.preprocess import Floats, Preprocessing
from fastjag.analyses.dimuon.samples import Events
from fastjag.analyses.stages import Stages, file_digest, input_digests
from fastjag.models.flow import ConditionalFlow

#: In their order; each is the function of :mod:`steps` of that name.
STAGES = ("prepare", "scan", "flow", "samples", "check", "classify", "significance", "report")
_READS = {  # what is not named here reads from all before it
    "scan": ["prepare"],
    "flow": ["prepare"],
    "samples": ["prepare", "flow"],
    "check": ["prepare", "flow", "samples"],
    "classify": ["prepare", "flow", "samples"],
    "significance": ["prepare", "flow", "samples", "classify"],
}


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
        todo = {stage: partial(getattr(steps, stage), self) for stage in STAGES}
        Stages(self.out, todo, self._settings, _READS).run(stages, told)

    def folder(self, stage: str) -> Path:
        return self.out / stage

    def _settings(self, stage: str) -> dict[str, Any]:
        """All that a stage and those before it depend on."""
        settings = asdict(self.config)
        for later, own in (("flow", "flow"), ("classify", "classifier"),
                           ("significance", "significance")):  # fmt: skip
            if STAGES.index(stage) < STAGES.index(later):
                settings.pop(own)
        own = settings.pop("scan")
        if stage in ("prepare", "scan"):
            settings = {k: settings[k] for k in ("lower", "upper", "muon_id", "require_jet")}
        if stage in ("scan", "report"):
            settings |= {"scan": own, "seed": self.config.seed}
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

    def trained_flows(self) -> list[ConditionalFlow]:
        return [
            ConditionalFlow.load(self.folder("flow") / f"seed{s}.pt", device=self.device)
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
