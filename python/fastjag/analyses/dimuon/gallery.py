"""Every picture that a search can show of itself: its caption, and the numbers that it shows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fastjag.analyses.dimuon.observables import OBSERVABLES
from fastjag.analyses.dimuon.pairs import between
from fastjag.analyses.dimuon.pictures import curves, features, inference, masses, scan
from fastjag.analyses.dimuon.preprocess import Floats
from fastjag.analyses.dimuon.results import DimuonResults
from fastjag.analyses.dimuon.verdicts import picture_title
from fastjag.reporting.plots import RED, save
from fastjag.reporting.progress import progress_bar

#: The sideband rates of which spectra are shown.
RATES = (1.0, 0.1, 0.01, 0.001)

CAPTIONS = {
    "significance": "Background-only p-value against the share of the sidebands that passes a cut on "
    "the classifier, on each feature, and on a random number; dashed: likelihood reweighting. Without "
    "an excess p is 0.5.",
    "masses": "Masses of what passes the classifier at four sideband rates, with the fits to the "
    "sidebands and their errors; ticks: Upsilon(1S, 2S, 3S). Errors are 68 % Poisson intervals; bins "
    "without a pair have no point.",
    "null": "Null runs: significances in data sets that the flows made, in which there is no signal.",
    "variations": "The classifier's curve for other degrees of the background and other bins.",
    "background_bias": "Spurious signals: what the table's background, and the profiled choice of several, find "
    "in smooth spectra of other families without a signal.",
    "impacts": "Pulls of the signal's uncertainties, and what each does to the signal of the best cut.",
    "scan": "Every excess in the whole spectrum: opposite-sign pairs before the cuts of the search, "
    "background from fits with the peaks (grey) left out, local significance (0 without an excess).",
    "triggers": "Masses of the pairs of each trigger before the cuts, opposite-sign, with the fit to "
    "the sidebands.",
    "isolation": "Masses with and without the cuts on isolation.",
    "observables": "Observables of the pairs that pass all cuts, normalised. Numbers with an arrow: pairs "
    "beyond the axis.",
    "signal_region": "Observables of the pairs that pass all cuts, in the signal region.",
    "bands": "Preprocessed features in the three bands: what the flow has to interpolate.",
    "flow": "Training of the flows. Triangles: losses above the panel.",
    "background": "The background fit, from which the expected number of pairs in the signal region "
    "and the masses of the samples follow.",
    "corner": "Sidebands: samples and data in all features and the mass, and in pairs of them.",
    "sidebands": "Sidebands: features of samples and data. Triangles: ratios beyond the panel; band: "
    "statistical error of the samples.",
    "samples": "Signal region: features of samples and data; a signal is a difference between them.",
    "classifier": "Training of the classifiers, the first one of each fold.",
    "after_cuts": "Features in the signal region for what passes the classifier at four rates.",
}


def draw(results: DimuonResults, directory: Path) -> list[str]:
    """Draw everything that this run can show; the names of the pictures."""
    figures: dict[str, Callable[[DimuonResults], Any]] = {
        "significance": lambda r: curves.significances(r.significance),
        "masses": _masses,
        "null": lambda r: curves.null_runs(r.significance["null"]),
        "variations": lambda r: curves.variations(r.significance),
        "background_bias": _background_bias,
        "impacts": _impacts,
        "scan": lambda r: scan.local_significance(r.scan),
        "triggers": _triggers,
        "isolation": _isolation,
        "observables": lambda r: _observables(r, False),
        "signal_region": lambda r: _observables(r, True),
        "bands": _bands,
        "flow": lambda r: curves.flow_losses(r.json("flow", "training")["flows"]),
        "background": _background,
        "corner": _corner,
        "sidebands": lambda r: _samples(r, True),
        "samples": lambda r: _samples(r, False),
        "classifier": _classifier,
        "after_cuts": _after_cuts,
    }
    drawn, checks = [], results.checks()
    with progress_bar("pictures", len(figures), results.progress) as advance:
        for name, figure in figures.items():
            fig = figure(results)
            if fig is not None:
                if title := picture_title(name, checks):
                    fig.suptitle(title, color=RED, fontsize=15, fontweight="bold")
                save(fig, directory / f"{name}.png", directory / f"{name}.pdf")
                drawn.append(name)
            advance(1)
    return drawn


def _masses(results: DimuonResults) -> Any:
    spectra = {}
    for c in sorted(results.classes):
        mass, curve = (
            results.preprocessed[c][0].mass,
            results.significance[c]["curves"]["classifier"],
        )
        Z = dict(zip(curve["cuts"], curve["Z"], strict=True))
        spectra[c] = [
            ({**fit, "Z": Z.get(fit["cut"])}, mass[chosen])
            for fit, chosen in results.passing(c, RATES)
        ]
    return masses.after_cuts(spectra, results.config.window)


def _background_bias(results: DimuonResults) -> Any | None:
    records = {c: results.significance[c]["inference"] for c in results.classes}
    return inference.spurious_signals({c: r["background"] for c, r in records.items() if r})


def _impacts(results: DimuonResults) -> Any | None:
    record = results.significance[results.config.train_on]["inference"]
    return record and inference.impacts(record["signals"]["best cut"]["impacts"])


def _triggers(results: DimuonResults) -> Any | None:
    table = results.prepared(
        "all_pairs",
        lambda c: (
            c in ("dimu_mass", "charge") or (c.startswith("HLT_") and " " not in c)
        ),  # no cuts
    )
    opposite = table.pop("charge") == 0
    mass = table.pop("dimu_mass")[opposite].astype(np.float64)
    fired = {name: values[opposite] for name, values in table.items()}
    degree = results.config.significance.degree
    return masses.trigger_masses(mass, fired, results.config.window, degree)


def _isolation(results: DimuonResults) -> Any:
    spectra: dict[str, tuple[Floats, Floats | None]] = {}
    for c in sorted(results.classes):
        after, before = (
            results.prepared(table, "dimu_mass".__eq__) for table in (c, f"{c}_before_isolation")
        )
        spectra[c] = (after["dimu_mass"], before.get("dimu_mass"))
    return masses.isolation(spectra, results.config.window)


def _observables(results: DimuonResults, signal_region: bool) -> Any | None:
    w = results.config.window
    names = [n for n in OBSERVABLES if n != "dimu_mass"]
    low, high = w.sb_left, w.sb_right
    if signal_region:
        low, high = w.sr_left, w.sr_right
        names = [
            n
            for n in names
            if not n.endswith(("phi", "jetiso")) and n[:2] != "n_" and "jet" not in n
        ]
    tables = {}
    for c in sorted(results.classes):
        table = results.prepared(c, {"dimu_mass", *names}.__contains__)
        inside = between(table["dimu_mass"], low, high)
        tables[c] = {n: table[n][inside] for n in names if n in table}
    common = [n for n in names if all(n in table for table in tables.values())]
    return features.observables(tables, common, density=not signal_region)


def _bands(results: DimuonResults) -> Any:
    (pairs, values), w = results.trained, results.config.window
    return features.bands(values, pairs.mass, results.config.features, w.sr_left, w.sr_right)


def _background(results: DimuonResults) -> Any:
    mass, n_flows = results.trained[0].mass, len(results.config.flow_seeds)
    return masses.background_fit(mass, results.background(), results.samples["mass"], n_flows)


def _corner(results: DimuonResults) -> Any:
    (pairs, values), drawn = results.trained, results.samples
    scale = results.preprocessing.scale_mass
    return features.corner(
        [*results.config.features, "dimu_mass"],
        np.column_stack([drawn["sideband"], scale(drawn["sideband_mass"])]),
        np.column_stack([values[pairs.sideband], scale(pairs.mass[pairs.sideband])]),
    )


def _samples(results: DimuonResults, sideband: bool) -> Any:
    pairs, values = results.trained
    drawn = results.samples["sideband" if sideband else "signal_region"]
    chosen = pairs.sideband if sideband else ~pairs.sideband
    tests = results.json("check", "closure").get("both sidebands", {}) if sideband else {}
    p_values = {name: test[1] for name, test in tests.get("ks", {}).items()}
    return features.samples_and_data(results.config.features, drawn, values[chosen], p_values)


def _classifier(results: DimuonResults) -> Any:
    training = results.json("classify", "training")
    return curves.classifier_losses(
        training["losses"], training["best_rounds"], training["settings"]["folds"]
    )


def _after_cuts(results: DimuonResults) -> Any:
    config, pairs = results.config, results.trained[0]
    inside, names = ~pairs.sideband, config.features
    passing = {f"{masses.percent(fit['rate'])} of sidebands": chosen[inside]
               for fit, chosen in results.passing(config.train_on, RATES)}  # fmt: skip
    before = results.prepared(
        f"{config.train_on}_before_isolation", {"dimu_mass", *names}.__contains__
    )
    if before:
        chosen = between(before["dimu_mass"], config.window.sr_left, config.window.sr_right)
        before = {n: before[n][chosen].astype(np.float64) for n in names}
    return features.after_cuts(
        {n: pairs.features[n][inside] for n in names}, passing, before or None,
        results.preprocessing.inverse(results.samples["signal_region"]),
        1 / len(config.flow_seeds),
    )  # fmt: skip
