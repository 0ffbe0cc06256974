"""What others can read of a search: likelihoods for pyhf, HS3 and combine, tables for HEPData."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastjag.analyses.dimuon.inference import model_of
from fastjag.analyses.dimuon.results import DimuonResults
from fastjag.reporting.hepdata import HepColumn, HepTable, write_hepdata
from fastjag.reporting.output import results_directory, write_json
from fastjag.statistics import to_hs3, to_pyhf, write_datacard


def write_shared(results: DimuonResults) -> None:
    """Folders ``likelihoods`` and ``hepdata`` beside those of the stages.

    A likelihood of every charge class and selection, without those whose background is no sum that is
    positive; a table of every published curve.
    """
    record, config = results.significance, results.config
    model = model_of(config.window, config.significance)
    with results_directory(results.folder("likelihoods")) as directory:
        for c in results.classes:
            for selection, signal in record[c]["inference"]["signals"].items():
                name = f"{c}_{selection}".replace(" ", "_")
                try:
                    pyhf, hs3 = (
                        share(model, signal["counts"], name=name) for share in (to_pyhf, to_hs3)
                    )
                except ValueError as error:  # a polynomial below zero
                    write_json(directory / f"{name}_not_shared.json", {"reason": str(error)})
                    continue
                write_json(directory / f"{name}.json", pyhf)
                write_json(directory / f"{name}_hs3.json", hs3)
                write_datacard(directory / f"{name}.txt", model, signal["counts"], name=name)
    energy = config.label.energy
    write_hepdata(
        results.folder("hepdata"), _tables(results), comment=f"Dimuon search: {config.name}",
        energy=None if energy is None else 1000 * energy,
    )  # fmt: skip


def _tables(results: DimuonResults) -> list[HepTable]:
    record, scan, tables = results.significance, results.scan, []
    for c in results.classes:
        own = record[c]
        for name, curve in own["curves"].items():
            tables.append(HepTable(
                f"Significance, {c}, {name}", f"Local significance behind cuts on {name}, {c} pairs.",
                [HepColumn("Share of the sidebands", curve["rates"])],
                [HepColumn("Z", curve["Z"]), HepColumn("p", curve["p"]),
                 HepColumn("S", curve["S"]), HepColumn("B", curve["B"])],
            ))  # fmt: skip
        for fit in own["spectra"]:
            w = results.config.window
            edges = np.concatenate([w.left, w.right])
            counts = [*fit["left"], fit["signal"], *fit["right"]]
            tables.append(HepTable(
                f"Mass, {c}, {fit['wanted']:g}",
                f"{c} pairs that pass the classifier at {fit['wanted']:g} of the sidebands; the bin "
                "of the signal region is one.",
                [HepColumn("Mass", np.stack([edges[:-1], edges[1:]], axis=1), "GeV")],
                [HepColumn("Pairs", counts)],
            ))  # fmt: skip
            tables.append(HepTable(
                f"Background, {c}, {fit['wanted']:g}", f"Fit to the sidebands of {c} pairs, pairs per bin.",
                [HepColumn("Mass", fit["mass"], "GeV")],
                [HepColumn("Background", fit["background"], errors={"fit": fit["error"]})],
            ))  # fmt: skip
        signals = own["inference"]["signals"]
        tables.append(HepTable(
            f"Signals, {c}", f"Signals of {c} pairs, and upper limits at 95 % by CLs.",
            [HepColumn("Share of the sidebands", [s["rate"] for s in signals.values()])],
            [_with_interval("S", signals, "S", "interval68"), _limit("Observed limit", signals),
             _expected("Expected limit", signals)],
        ))  # fmt: skip
    edges = np.array(scan["edges"])
    tables.append(HepTable(
        "Spectrum", "Opposite-sign pairs before the cuts, and their background.",
        [HepColumn("Mass", np.stack([edges[:-1], edges[1:]], axis=1), "GeV")],
        [HepColumn("Pairs", scan["counts"]), HepColumn("Background", scan["expected"])],
    ))  # fmt: skip
    tables.append(HepTable(
        "Scan", "Local significance at every mass; 0 where a window says nothing.",
        [HepColumn("Mass", scan["mass"], "GeV")],
        [HepColumn("Z", scan["Z"]), HepColumn("S", scan["S"], errors={"total": scan["error"]}),
         HepColumn("B", scan["B"])],
    ))  # fmt: skip
    return tables


def _with_interval(name: str, signals: dict[str, Any], value: str, ends: str) -> HepColumn:
    S = np.array([s[value] for s in signals.values()], float)
    low, high = np.array([s[ends] for s in signals.values()], float).T
    return HepColumn(name, S, errors={"68 %": [S - low, high - S]})


def _limit(name: str, signals: dict[str, Any]) -> HepColumn:
    return HepColumn(name, [s["observed"] for s in signals.values()])


def _expected(name: str, signals: dict[str, Any]) -> HepColumn:
    bands = np.array([s["expected"] for s in signals.values()], float)
    median = bands[:, 2]
    errors = {f"{k} s.d.": [median - bands[:, 2 - k], bands[:, 2 + k] - median] for k in (1, 2)}
    return HepColumn(name, median, errors=errors)
