"""report: every picture of a search, its histograms and numbers, and a page that holds them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastjag.analyses.common.servers import recorded
from fastjag.analyses.dimuon import variations
from fastjag.analyses.dimuon.gallery import CAPTIONS, RATES, draw
from fastjag.analyses.dimuon.inference_report import everything_tried, inference_section
from fastjag.analyses.dimuon.pictures.features import bins_for
from fastjag.analyses.dimuon.pictures.masses import whole_edges
from fastjag.analyses.dimuon.preprocess import Floats
from fastjag.analyses.dimuon.results import DimuonResults
from fastjag.analyses.dimuon.shared import write_shared
from fastjag.analyses.dimuon.verdicts import mark, picture_title, summary
from fastjag.core.checks import needs
from fastjag.io import write_histograms
from fastjag.reporting.output import results_directory, write_json
from fastjag.reporting.report import Report, fixed, with_error
from fastjag.statistics import log_p, p_text

_DIGITS = (("S", 0), ("B", 0), ("Z", 1), ("Z_profiled", 1), ("Z_global", 1))  # of peaks in the scan


def report(results: DimuonResults) -> None:
    """Pictures (PNG and PDF), ``results.json``, ``histograms.root`` and ``report.html``."""
    needs("matplotlib", "plots")
    if results.config.significance.limits:
        write_shared(results)
    with results_directory(results.folder("report")) as directory:
        drawn = draw(results, directory)
        write_histograms(directory / "histograms.root", _histograms(results))
        numbers = _numbers(results)
        write_json(directory / "results.json", numbers)
        _write_page(results, numbers, directory, drawn)


# ---- numbers ------------------------------------------------------------------------------------


def _histograms(results: DimuonResults) -> dict[str, Any]:
    """What the pictures show, for ROOT: masses of what passes each cut, the scan, the features."""
    import hist

    def fill(edges: Floats, values: Floats, label: str, weight: float = 1.0) -> Any:
        axis = hist.axis.Variable(edges, name="x", label=label)
        return hist.Hist(axis, storage=hist.storage.Weight()).fill(values, weight=weight)

    def warn(picture: str) -> str:
        wrong = picture_title(picture, checks)
        return wrong and f" ({wrong})"

    config, checks, histograms = results.config, results.checks(), {}
    edges = whole_edges(config.window)
    for c in sorted(results.classes):
        mass = results.preprocessed[c][0].mass
        for fit, chosen in results.passing(c, RATES):
            name = f"mass_{c}_rate_{fit['wanted']:g}".replace(".", "p").replace("-", "m")
            histograms[name] = fill(edges, mass[chosen], f"mass [GeV]{warn('masses')}")
        before = results.prepared(f"{c}_before_isolation", "dimu_mass".__eq__)
        if before:
            histograms[f"mass_{c}_before_isolation"] = fill(
                edges, before["dimu_mass"], "mass [GeV]"
            )
    for name in ("counts", "expected"):
        h = hist.Hist(hist.axis.Variable(results.scan["edges"], name="x", label="mass [GeV]"))
        h.view()[...] = results.scan[name]
        histograms[f"scan_{name}"] = h
    pairs, _ = results.trained
    drawn = results.preprocessing.inverse(results.samples["signal_region"])
    for name in config.features:
        edges, _ = bins_for(name, pairs.features[name])
        inside = pairs.features[name][~pairs.sideband]
        histograms[f"signal_region_{name}_data"] = fill(edges, inside, name)
        histograms[f"signal_region_{name}_flows"] = fill(
            edges, drawn[name], name + warn("samples"), 1 / len(config.flow_seeds)
        )
    return histograms


def _numbers(results: DimuonResults) -> dict[str, Any]:
    """Every number of the run with its configuration, seeds and versions."""
    training = results.json("flow", "training")
    classifier = results.json("classify", "training")
    return {
        "name": results.config.name,
        "verdict": results.verdict,
        **results.significance,
        "config": recorded(results.config),
        "seeds": {**results.significance["seeds"], "scan": results.scan["seed"]},
        "elsewhere": results.elsewhere,
        "systematics": results.variations,
        "cutflow": results.json("prepare", "cutflow"),
        "scan": results.scan,
        "flow": {"dropped": training["dropped"],
                 "dequantised": results.preprocessing.discrete,
                 "noise_seed": results.preprocessing.seed,
                 "settings": asdict(results.config.flow_settings()),
                 "best_epochs": [r["best_epoch"] for r in training["flows"]],
                 "validation_events": [r["validation_events"] for r in training["flows"]],
                 "validation_infinite": [
                     r["validation_infinite"][r["best_epoch"]] for r in training["flows"]
                 ]},
        "background": results.json("samples", "background"),
        "closure": results.json("check", "closure"),
        "classifier": {k: v for k, v in classifier.items() if k != "losses"},
        "events": {c: f"classify/{c}.parquet" for c in sorted(results.classes)},
    }  # fmt: skip


# ---- page ---------------------------------------------------------------------------------------


def _write_page(
    results: DimuonResults, numbers: dict[str, Any], directory: Path, drawn: list[str]
) -> None:
    config, w = results.config, results.config.window
    page = Report(f"Dimuon search: {config.name}", numbers["verdict"])
    for sentence in summary(numbers["checks"], numbers["table"]):
        (page.warning if sentence.startswith("!") else page.text)(sentence)
    _infinite(page, numbers["flow"])
    page.left_out(numbers["cutflow"]["skipped"])
    page.text(
        f"Features {', '.join(config.features)}. Signal region {w.sr_left:g} to {w.sr_right:g} "
        f"GeV between sidebands from {w.sb_left:g} and to {w.sb_right:g} GeV."
    )

    def pictures(*names: str) -> None:
        for name in names:
            if name in drawn:
                wrong = picture_title(name, numbers["checks"])
                page.figure(directory / f"{name}.png", (wrong and f"{wrong}. ") + CAPTIONS[name])

    page.heading("Significances")
    _significances(page, numbers)
    if numbers["elsewhere"] is not None:
        page.text(everything_tried(numbers["elsewhere"]))
    pictures("significance", "masses", "after_cuts", "variations", "null")
    if config.significance.limits:
        page.heading("Signals, limits and the background")
        inference_section(page, numbers, list(results.classes), pictures)
    if results.variations:
        variations.section(page, results.variations, config)
    page.heading("Scan of the whole spectrum")
    _scan_section(page, results.scan)
    pictures("scan")
    page.heading("Do the samples describe the sidebands?")
    page.text(numbers["checks"]["closure"]["says"])
    closure = numbers["closure"]
    page.text(
        "A classifier tries to tell samples from data in the sidebands, out of fold; an area under "
        "its ROC curve (AUC) of 0.5 means that it cannot."
    )
    page.table(
        ("part", "AUC", "AUC with mass", "pairs", "verdict"),
        [(part, *(with_error(c[auc], c["auc_error"]) for auc in ("auc", "auc_with_mass")),
          c["n_data"], c["verdict"])
         for part, c in closure.items()],
    )  # fmt: skip
    page.table(
        ("part", "feature", "KS statistic", "p-value"),
        [
            (part, f, f"{distance:.4f}", f"{p:.2g}")
            for part, c in closure.items()
            for f, (distance, p) in c["ks"].items()
        ],
    )
    pictures("sidebands", "corner")
    page.heading("Samples in the signal region")
    pictures("background", "samples")
    page.heading("Trainings")
    if numbers["flow"]["dequantised"]:
        page.text(
            f"Discrete features, {', '.join(numbers['flow']['dequantised'])}, have uniform noise as wide "
            f"as their steps in data and samples alike (seed {numbers['flow']['noise_seed']}), so that "
            "classifiers cannot tell samples by numbers between the values; cuts on them, tables and "
            "histograms are without it."
        )
    pictures("bands", "flow", "classifier")
    page.heading("Data")
    cutflow = numbers["cutflow"]
    page.table(("step", "events or pairs"), list(cutflow["cutflow"].items()))
    if cutflow["absent_branches"]:
        page.text(f"Absent from some files: {', '.join(cutflow['absent_branches'])}.")
    if cutflow["skipped"]:
        page.table(
            ("file left out", "reason"), [(s["file"], s["reason"]) for s in cutflow["skipped"]]
        )
    _dropped_table(page, numbers["flow"]["dropped"])
    pictures("isolation", "triggers", "observables", "signal_region")
    page.heading("Files and settings")
    page.files(results.files)
    page.settings({k: v for k, v in numbers["config"].items() if k != "files"})
    page.settings({f"seed of {k}": v for k, v in numbers["seeds"].items()} | numbers["versions"])
    page.write(
        directory / "report.html",
        "Every number is in results.json, histograms in histograms.root, scores of all events in "
        + " and ".join(numbers["events"].values()) + ".",
    )  # fmt: skip


def _significances(page: Report, numbers: dict[str, Any]) -> None:
    """The published table for this run."""
    toys = any(row["toys"] for row in numbers["table"])
    page.text(
        "Z and p are local and asymptotic; Z profiled has the choice of background profiled. "
        + ("p of toys, from background-only spectra, has its 68 % interval; global Z counts that the "
           "best of all cuts of a curve was taken. " if toys else "")
        + "Rates are shares of the sidebands."
    )  # fmt: skip
    profiled = any(row.get("Z_profiled") is not None for row in numbers["table"])
    columns = [
        "pairs",
        "cut on",
        "selection",
        "rate",
        "S",
        "B",
        "Z",
        *["Z profiled"] * profiled,
        "p",
    ]
    columns += ["p of toys", "global Z"] if toys else []
    wrong = any(mark(row) for row in numbers["table"])
    columns += ["checks"] if wrong else []
    rows = []
    for row in numbers["table"]:
        rate = "" if row["rate"] is None else f"{row['rate']:.3g}"
        cells = [row["pairs"] + (" (alternate)" if row["alternate"] else ""), row["discriminant"],
                 row["selection"] + (" (few events)" if row["few_events"] else ""), rate, fixed(row["S"], 1), fixed(row["B"], 1),
                 fixed(row["Z"], 2) + (" !" if mark(row) else "")
                 + ("" if row["converged"] else " (not converged)"),
                 *["" if row.get("Z_profiled") is None else fixed(row["Z_profiled"], 2)] * profiled,
                 p_text(float(log_p(row["Z"])))]  # fmt: skip
        if toys:
            cells += [_toy_p(row), "" if row["Z_global"] is None else fixed(row["Z_global"], 2)]
        cells += [mark(row).removeprefix("! ")] if wrong else []
        rows.append(cells)
    page.table(columns, rows)
    if any(row["few_events"] for row in numbers["table"]):
        page.text(
            "(few events): fewer sideband bins are filled than the polynomial has coefficients; such "
            "a cut is not taken as the best."
        )
    odd = sum(row["agrees"] is False for row in numbers["table"])
    if odd:
        page.warning("! Toys and the asymptotic p-value disagree: trust the toys.")


def _infinite(page: Report, flow: dict[str, Any]) -> None:
    if any(flow["validation_infinite"]):
        said = ", ".join(
            f"{n} of {of}"
            for n, of in zip(flow["validation_infinite"], flow["validation_events"], strict=True)
        )
        page.warning(
            f"! Events of the flows' validation data with ln p = -inf, which their loss leaves out: "
            f"{said}. Look for outliers in the features."
        )


def _dropped_table(page: Report, dropped: dict[str, dict[str, int]]) -> None:
    rows = [(c, column, n) for c, columns in dropped.items() for column, n in columns.items()]
    if rows:
        page.text(
            "Pairs in the window that are left out because a column is no number, or outside of the "
            "range of the opposite-sign pairs; one pair may count in several columns."
        )
        page.table(("pairs", "column", "left out"), rows)


def _toy_p(row: dict[str, Any]) -> str:
    if row["toy_p"] is None:
        return ""
    said = f"{row['toy_p']:.2g} ({row['toy_p_low']:.2g} to {row['toy_p_high']:.2g})"
    return said + ("" if row["agrees"] else " !")


def _rounded(value: float | None, digits: int) -> str | None:
    return None if value is None else fixed(value, digits)


def _scan_section(page: Report, scan: dict[str, Any]) -> None:
    page.text(scan["model"])
    page.text(
        "Profiled: local Z with the choice of background as a nuisance parameter, over polynomials of all "
        "orders in ln(mass) and in the mass; 0 where no sidebands allow it. Global Z goes by the other one."
    )
    unknown = [p for p in scan["peaks"] if not p["names"]]
    page.table(
        ("mass [GeV]", "what it is", "S", "B", "local Z", "profiled", "global Z"),
        [(f"{p['mass']:.4g}", ", ".join(p["names"]) or "not a known resonance",
          *(_rounded(p[name], digits) for name, digits in _DIGITS)) for p in scan["peaks"]],
    )  # fmt: skip
    said = "Nothing has 3 sigma globally" if not scan["peaks"] else (
        "All that has 3 sigma globally is a known resonance" if not unknown else
        f"{len(unknown)} of {len(scan['peaks'])} peaks are at no known resonance: a signal, or a "
        "threshold of triggers or cuts that a polynomial does not follow"
    )  # fmt: skip
    rest = scan["elsewhere"]
    if rest is not None:
        said += (
            f". Elsewhere the largest excess is {rest['Z']:.2f} sigma locally at "
            f"{rest['mass']:.4g} GeV; background alone shows as much or more anywhere with a "
            f"probability of {rest['p_global']:.2g}"
        )
    page.text(said + ".")
