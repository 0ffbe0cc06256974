"""variations: the mass spectrum of pairs for other muons and other weights, and its excess."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastjag.analyses.common import varied
from fastjag.analyses.dimuon import prepare, skims
from fastjag.analyses.dimuon.config import DimuonConfig
from fastjag.analyses.dimuon.observables import OPTIONAL_BRANCHES
from fastjag.analyses.dimuon.results import DimuonResults
from fastjag.core.arrays import Array
from fastjag.io import Batch
from fastjag.io.ranges import Range
from fastjag.jagged import Jagged
from fastjag.reporting.output import results_directory, write_json
from fastjag.reporting.report import Report
from fastjag.selection import LumiMask
from fastjag.statistics import Window, significance
from fastjag.variations import Variations

Rows = dict[str, Array]


def variations(
    results: DimuonResults, *, step: int | str = "100 MB", on_error: str = "raise"
) -> None:
    """Read the files once more, if the configuration has variations, and write ``variations.json``.

    For nominal and every variation: pairs of both charge classes that pass all cuts, in the bins of the
    window, and the excess of their fit. Flows and classifiers are not trained again.
    """
    config = results.config
    record: dict[str, Any] = {}
    if config.variations:
        triggers, branches = (
            prepare.triggers_of(config),
            [b for v in config.variations for b in v.branches],
        )
        needed = [*prepare.columns_of(config), *branches]
        inputs = prepare.SearchFiles(
            config, list(dict.fromkeys(needed)), [*OPTIONAL_BRANCHES, *triggers], on_error
        )
        fill = _Fill(
            config, prepare.certified_of(config), tuple(triggers), results.threads, tuple(needed)
        )
        with prepare.naming_any(config):
            found: varied.Varied = inputs.read(fill, results.workers, step, results.progress)
        record = found.record()
        for h in record["histograms"].values():
            h["excess"] = excesses(h["values"], h["variances"], config)
    with results_directory(results.folder("variations")) as directory:
        write_json(directory / "variations.json", record)


def edges_of(window: Window) -> Array:
    """Of the sidebands' bins, with the signal region as one bin between them."""
    return np.concatenate([window.left, window.right])


def excesses(values: Array, variances: Array, config: DimuonConfig) -> dict[str, Any]:
    """S and Z of every variation (variations,); NaN where a sum of weights is negative or nothing is there."""
    window, inner = config.window, slice(1, -1)
    n = len(window.left) - 1
    S, Z = np.full(len(values), np.nan), np.full(len(values), np.nan)
    for i, (sums, squares) in enumerate(zip(values, variances, strict=True)):
        parts = [(x[inner][:n], x[inner][n], x[inner][n + 1 :]) for x in (sums, squares)]
        if (sums[inner] < 0).any() or not parts[0][0].sum() + parts[0][2].sum() > 0:
            continue
        weighted = None if np.array_equal(sums, squares) else parts[1]
        found = significance(
            *parts[0], window=window, degree=config.significance.degree, variances=weighted
        )
        S[i], Z[i] = found.S, found.Z
    return {"S": S, "Z": Z}


@dataclass(frozen=True)
class _Fill:
    """What workers do with a batch of events."""

    config: DimuonConfig
    certified: LumiMask | None
    triggers: tuple[str, ...]
    threads: int | None
    columns: tuple[str, ...]  #: that pickles must have

    def __call__(self, given: Batch | Range) -> varied.Varied:
        import hist

        if isinstance(given, Range):
            optional = (*OPTIONAL_BRANCHES, *self.triggers)
            given = skims.read_pair(given.file, given.tree, self.columns, optional)
        batch, v = given, Variations()

        def classes(Muon: Jagged, Jet: Jagged | None) -> dict[str, Rows]:
            collections = {**batch.collections, "Muon": Muon} | (
                {} if Jet is None else {"Jet": Jet}
            )
            own = Batch(collections, batch.flat, batch.source, entries=batch.entries)
            rows, events = prepare.pair_tables(
                own, self.config, self.certified, self.triggers, {}, self.threads
            )
            tables = dict(rows)
            return {c: {"dimu_mass": tables[c]["dimu_mass"], "event": events[c]} for c in events}

        def of_both(Muon: Jagged, Jet: Jagged) -> dict[str, Rows]:
            return classes(Muon, Jet)

        def of_muons(Muon: Jagged) -> dict[str, Rows]:
            return classes(Muon, None)

        selected: Any = of_both if "Jet" in batch.collections else of_muons
        selected.__name__ = "selected"
        v.step(selected)

        @v.step
        def OS(selected: Mapping[str, Rows]) -> Rows:
            return selected["OS"]

        @v.step
        def SS(selected: Mapping[str, Rows]) -> Rows:
            return selected["SS"]

        axis = hist.axis.Variable(edges_of(self.config.window), name="mass")
        plan = {c: {"dimu_mass": axis} for c in prepare.CLASSES}
        return varied.fill(v, self.config.variations, batch, plan, self.threads)


def section(page: Report, record: Mapping[str, Any], config: DimuonConfig) -> None:
    """The pairs of each variation, relative to nominal, and the excess of each charge class."""
    n = len(config.window.left) - 1
    parts = {"left sideband": slice(1, n + 1), "signal region": slice(n + 1, n + 2),
             "right sideband": slice(n + 2, -1)}  # fmt: skip
    page.heading("Systematic variations")
    page.text(
        "Pairs that pass all cuts, of each variation over those of nominal, and the excess in the fit of all of "
        "them. Flows and classifiers are those of nominal: no cut on their scores is made here."
    )
    for c, h in record["histograms"].items():
        rows = varied.ratios(record["names"], h["values"], parts)
        fits = [("nominal", *[""] * len(parts)), *rows]
        page.table(
            (f"{c} pairs", *parts, "S", "Z"),
            [(*row, "-" if S is None else f"{S:.1f}", "-" if Z is None else f"{Z:.2f}")
             for row, S, Z in zip(fits, h["excess"]["S"], h["excess"]["Z"], strict=True)],
        )  # fmt: skip
    varied.outside_section(page, record["outside"])
