"""What the stages of a search left, read back: all that later stages, pictures and report see."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastjag.analyses.common.results import StageResults
from fastjag.analyses.common.runs import HERE, Workers
from fastjag.analyses.common.tables import parquet_columns, read_parquet
from fastjag.analyses.dimuon.config import DimuonConfig
from fastjag.analyses.dimuon.pairs import WindowPairs, between
from fastjag.analyses.dimuon.preprocess import Floats, Preprocessing
from fastjag.analyses.dimuon.verdicts import verdict, verdicts
from fastjag.core.arrays import Array
from fastjag.statistics import BackgroundFit, CrystalBall

if TYPE_CHECKING:
    from fastjag.models.flow import ConditionalFlow


@dataclass(frozen=True)
class DimuonResults(StageResults):
    """A configuration, the directory in which every stage has a folder, and how stages run."""

    config: DimuonConfig
    progress: bool | None = None
    threads: int | None = None
    device: str = "cpu"
    workers: Workers = HERE  #: who reads files

    # ---- prepare ------------------------------------------------------------------------------------

    def path_of_pairs(self, charge_class: str) -> Path:
        return self.folder("prepare") / f"{charge_class}.parquet"

    def pairs(self, charge_class: str) -> WindowPairs:
        return WindowPairs.read(self.path_of_pairs(charge_class), self.config)

    def prepared(self, table: str, wanted: Callable[[str], bool]) -> dict[str, Array]:
        """The columns that are wanted of a table of ``prepare``; none where it does not exist."""
        path = self.folder("prepare") / f"{table}.parquet"
        return read_parquet(path, filter(wanted, parquet_columns(path))) if path.exists() else {}

    @property
    def files(self) -> list[str]:
        """What was read, without what was left out."""
        return list(self.json("prepare", "cutflow")["files"])

    @cached_property
    def variations(self) -> dict[str, Any]:
        """What was found for other scales and weights; nothing where none were asked for."""
        there = (self.folder("variations") / "variations.json").exists()
        return self.json("variations", "variations") if there else {}

    # ---- scan, flow, samples, check -----------------------------------------------------------------

    @cached_property
    def scan(self) -> dict[str, Any]:
        return self.json("scan", "scan")

    @property
    def other_class(self) -> str:
        """The charge class that nothing is learned from."""
        return "SS" if self.config.train_on == "OS" else "OS"

    @property
    def classes(self) -> tuple[str, ...]:
        """The one that is learned from, and the other one unless it has too few pairs."""
        left_out = self.left_out()
        return tuple(c for c in (self.config.train_on, self.other_class) if c not in left_out)

    def left_out(self) -> dict[str, str]:
        """The charge class that cannot be searched, and why."""
        return dict(self.json("flow", "training")["left_out"])

    @cached_property
    def preprocessing(self) -> Preprocessing:
        return Preprocessing.from_dict(self.json("flow", "preprocessing"))

    @cached_property
    def preprocessed(self) -> dict[str, tuple[WindowPairs, Floats]]:
        """Of each class the pairs that have numbers in every feature, and these numbers."""
        return {c: self._preprocess(self.pairs(c)) for c in self.classes}

    @property
    def trained(self) -> tuple[WindowPairs, Floats]:
        """Those of the class that is learned from."""
        return self.preprocessed[self.config.train_on]

    def _preprocess(self, pairs: WindowPairs) -> tuple[WindowPairs, Floats]:
        rows = self.preprocessing.transform(pairs.features, pairs.mass)
        return pairs[rows.kept], rows.values

    def flows(self) -> list[ConditionalFlow]:
        from fastjag.models.flow import ConditionalFlow  # needs torch

        return [
            ConditionalFlow.load(self.folder("flow") / f"seed{seed}.pt", device=self.device)
            for seed in self.config.flow_seeds
        ]

    @cached_property
    def samples(self) -> dict[str, Floats]:
        """Arrays of :class:`fastjag.analyses.dimuon.samples.Samples` by name."""
        with np.load(self.folder("samples") / "samples.npz") as content:
            return {name: content[name] for name in content.files}

    def background(self) -> BackgroundFit:
        content = self.json("samples", "background")
        peaks = tuple(CrystalBall(**peak) for peak in content["peaks"])
        return BackgroundFit(
            self.config.window, np.array(content["coefficients"]), np.array(content["covariance"]),
            content["chi2"], content["dof"], peaks,
        )  # fmt: skip

    def checks(self) -> dict[str, dict[str, Any]]:
        """What :func:`verdicts` says of the stages before: closure, background fit, control."""
        closure, fit = self.json("check", "closure"), self.json("samples", "background")
        return verdicts(closure, fit, self.left_out().get(self.other_class), self.other_class)

    # ---- classify -----------------------------------------------------------------------------------

    def scores(self, charge_class: str) -> Floats:
        """Of every pair of :attr:`preprocessed`."""
        return np.asarray(self._scored(charge_class, ["score"])["score"], np.float64)

    def bootstraps(self, charge_class: str) -> Iterator[tuple[NDArray[np.int64], Floats]]:
        """Rows of :attr:`preprocessed` and their scores, for each pseudo-experiment."""
        if self.config.classifier.pseudo_experiments and charge_class in self.classes:
            for part in _split_experiments(self._scored(f"bootstrap_{charge_class}")):
                yield part["event"], part["score"]

    def null_runs(self) -> Iterator[tuple[WindowPairs, Floats, Floats]]:
        """Pairs, preprocessed features and scores of data sets that the flows made."""
        if self.config.classifier.null_experiments:
            for part in _split_experiments(self._scored("null")):
                mass, window = part["dimu_mass"], self.config.window
                features = {f: part[f] for f in self.config.features}
                sideband = ~between(mass, window.sr_left, window.sr_right)
                rows = self.preprocessing.transform(features, mass)
                pairs = WindowPairs(mass, features, sideband)[rows.kept]
                yield pairs, rows.values, part["score"][rows.kept]

    def _scored(self, table: str, columns: list[str] | None = None) -> dict[str, Array]:
        return read_parquet(self.folder("classify") / f"{table}.parquet", columns)

    # ---- significance -------------------------------------------------------------------------------

    @cached_property
    def significance(self) -> dict[str, Any]:
        return self.json("significance", "significance")

    @property
    def elsewhere(self) -> dict[str, Any] | None:
        """What :func:`fastjag.analyses.dimuon.elsewhere.look_elsewhere` left, if it was called."""
        there = (self.folder("elsewhere") / "elsewhere.json").exists()
        return self.json("elsewhere", "elsewhere") if there else None

    @property
    def verdict(self) -> str:
        """What was found, and how sure that is, in one sentence."""
        return verdict(self.significance["checks"], self.significance["table"], self.config.window)

    def passing(
        self, charge_class: str, rates: tuple[float, ...]
    ) -> list[tuple[dict[str, Any], NDArray[np.bool_]]]:
        """The spectra at these sideband rates, and which pairs are in each."""
        scores = self.scores(charge_class)
        spectra = self.significance[charge_class]["spectra"]
        by_cut = {s["cut"]: s for s in spectra if s["wanted"] in rates}  # rates may coincide
        return [(s, scores >= s["cut"]) for s in by_cut.values()]


def _split_experiments(table: Mapping[str, Array]) -> Iterator[dict[str, Array]]:
    """Tables of each experiment; they follow one another."""
    starts = np.flatnonzero(np.diff(table["experiment"], prepend=-1))
    for first, last in zip(starts, [*starts[1:], None], strict=True):
        yield {column: values[first:last] for column, values in table.items()}
