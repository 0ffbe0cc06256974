"""Every picture that a search can show of itself, from what its stages left."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastjag.analyses.dimuon import curve_pictures as curves
from fastjag.analyses.dimuon import feature_pictures as features
from fastjag.analyses.dimuon import mass_pictures as masses
from fastjag.analyses.dimuon.observables import OBSERVABLES
from fastjag.analyses.dimuon.preprocess import Floats
from fastjag.analyses.dimuon.samples import Events
from fastjag.analyses.dimuon.verdicts import picture_title
from fastjag.reporting.plots import RED, save
from fastjag.reporting.progress import progress_bar

if TYPE_CHECKING:
    from fastjag.analyses.dimuon.search import Search

CLASSES = ("OS", "SS")
_RATES = (1.0, 0.1, 0.01, 0.001)

CAPTIONS = {
    "significance": "Background-only p-value against the share of the sidebands that passes a cut on "
    "the classifier, on each feature, and on a random number; dashed: likelihood reweighting.",
    "masses": "Masses of what passes the classifier at four sideband rates, with the fits to the "
    "sidebands and their errors; dotted lines: the signal region; ticks: Upsilon(1S, 2S, 3S).",
    "null": "Null runs: significances in data sets that the flows made, in which there is no signal.",
    "variations": "The classifier's curve for other degrees of the background and other bins.",
    "scan": "Every excess in the whole spectrum: opposite-sign pairs before the cuts of the search, "
    "background from fits with the peaks (grey) left out, local significance.",
    "triggers": "Masses of the pairs of each trigger before the cuts, opposite-sign, with the fit to "
    "the sidebands.",
    "isolation": "Masses with and without the cuts on isolation.",
    "observables": "Observables of the pairs that pass all cuts, normalised.",
    "signal_region": "Observables of the pairs that pass all cuts, in the signal region.",
    "bands": "Preprocessed features in the three bands: what the flow has to interpolate.",
    "flow": "Training of the flows.",
    "background": "The background fit, from which the expected number of pairs in the signal region "
    "and the masses of the samples follow.",
    "corner": "Sidebands: samples and data in all features and the mass, and in pairs of them.",
    "sidebands": "Sidebands: features of samples and data.",
    "samples": "Signal region: features of samples and data; a signal is a difference between them.",
    "classifier": "Training of the classifiers, the first one of each fold.",
    "after_cuts": "Features in the signal region for what passes the classifier at four rates.",
}


class Findings:
    """What the stages of a search left, read once."""

    def __init__(self, search: Search) -> None:
        self.search, self.config = search, search.config
        self.window = search.config.window
        self.trained = search.config.train_on
        self.classes = tuple(c for c in CLASSES if c in search.classes)

    def json(self, stage: str, name: str) -> Any:
        return json.loads((self.search.folder(stage) / f"{name}.json").read_text())

    @cached_property
    def significance(self) -> dict[str, Any]:
        return dict(self.json("significance", "significance"))

    @cached_property
    def scan(self) -> dict[str, Any]:
        return dict(self.json("scan", "scan"))

    @cached_property
    def samples(self) -> dict[str, Floats]:
        return self.search.samples()

    @cached_property
    def n_flows(self) -> int:
        return len(self.search.flow_seeds())

    @cached_property
    def preprocessed(self) -> dict[str, tuple[Events, Floats]]:
        return {c: self.search.preprocessed(c) for c in self.classes}

    @cached_property
    def checks(self) -> dict[str, dict[str, Any]]:
        return self.search.checks()

    def table(self, name: str, columns: list[str]) -> dict[str, Any] | None:
        """Columns of a table of ``prepare``; None where it does not exist."""
        import pyarrow.parquet as pq

        path = self.search.folder("prepare") / f"{name}.parquet"
        if not path.exists():
            return None
        known = pq.read_schema(path).names
        table = pq.read_table(path, columns=[c for c in columns if c in known])
        return {c: table[c].to_numpy() for c in table.column_names}

    def passing(self, charge_class: str) -> list[tuple[dict[str, Any], NDArray[np.bool_]]]:
        """The spectra at the sideband rates that are shown, and the events that are in each."""
        scores = self.search.scores(charge_class)
        spectra = self.significance[charge_class]["spectra"]
        shown = {s["cut"]: s for s in spectra if s["wanted"] in _RATES}  # rates may coincide
        return [(s, scores >= s["cut"]) for s in shown.values()]


def draw(found: Findings, directory: Path, progress: bool | None) -> list[str]:
    """Draw everything that this run can show; the names of the pictures."""
    drawn = []
    with progress_bar("pictures", len(CAPTIONS), progress) as advance:
        make: Callable[[], Any]
        for name, make in (
            ("significance", lambda: curves.significances(found.significance)),
            ("masses", lambda: _masses(found)),
            ("null", lambda: curves.null_runs(found.significance["null"])),
            ("variations", lambda: curves.variations(found.significance)),
            ("scan", lambda: masses.scanned(found.scan)),
            ("triggers", lambda: _triggers(found)),
            ("isolation", lambda: _isolation(found)),
            ("observables", lambda: _observables(found, False)),
            ("signal_region", lambda: _observables(found, True)),
            ("bands", lambda: _bands(found)),
            ("flow", lambda: curves.flow_losses(found.json("flow", "training")["flows"])),
            ("background", lambda: _background(found)),
            ("corner", lambda: _corner(found)),
            ("sidebands", lambda: _samples(found, True)),
            ("samples", lambda: _samples(found, False)),
            ("classifier", lambda: _classifier(found)),
            ("after_cuts", lambda: _after_cuts(found)),
        ):
            fig = make()
            if fig is not None:
                if title := picture_title(name, found.checks):
                    fig.suptitle(title, color=RED, fontsize=15, fontweight="bold")
                save(fig, directory / f"{name}.png", directory / f"{name}.pdf")
                drawn.append(name)
            advance(1)
    return drawn


def _masses(found: Findings) -> Any:
    spectra = {}
    for charge_class in found.classes:
        mass = found.preprocessed[charge_class][0].mass
        spectra[charge_class] = [(fit, mass[chosen]) for fit, chosen in found.passing(charge_class)]
    return masses.after_cuts(spectra, found.window)


def _triggers(found: Findings) -> Any | None:
    import pyarrow.parquet as pq

    path = found.search.folder("prepare") / "all_pairs.parquet"
    names = [c for c in pq.read_schema(path).names if c.startswith("HLT_") and ">=" not in c]
    pairs = found.table("all_pairs", ["dimu_mass", "charge", *names]) or {}
    opposite = pairs["charge"] == 0
    mass = pairs["dimu_mass"][opposite].astype(np.float64)
    fired = {n: pairs[n][opposite] for n in names}
    return masses.trigger_masses(mass, fired, found.window, found.search.degree)


def _isolation(found: Findings) -> Any:
    spectra: dict[str, tuple[Floats, Floats | None]] = {}
    for charge_class in found.classes:
        after = found.table(charge_class, ["dimu_mass"]) or {}
        before = found.table(f"{charge_class}_before_isolation", ["dimu_mass"])
        spectra[charge_class] = (
            after["dimu_mass"], None if before is None else before["dimu_mass"]
        )  # fmt: skip
    return masses.isolation(spectra, found.window)


def _observables(found: Findings, signal_region: bool) -> Any | None:
    names = [n for n in OBSERVABLES if n != "dimu_mass"]
    if signal_region:
        names = [
            n
            for n in names
            if not n.endswith(("phi", "jetiso")) and n[:2] != "n_" and "jet" not in n
        ]
    tables = {c: found.table(c, ["dimu_mass", *names]) or {} for c in found.classes}
    low, high = found.window.sb_left, found.window.sb_right
    if signal_region:
        low, high = found.window.sr_left, found.window.sr_right
    for charge_class, table in tables.items():
        inside = (table["dimu_mass"] >= low) & (table["dimu_mass"] < high)
        tables[charge_class] = {n: table[n][inside] for n in names if n in table}
    common = [n for n in names if all(n in table for table in tables.values())]
    return features.observables(tables, common, density=not signal_region)


def _bands(found: Findings) -> Any:
    events, values = found.preprocessed[found.trained]
    w = found.window
    return features.bands(values, events.mass, found.config.features, w.sr_left, w.sr_right)


def _background(found: Findings) -> Any:
    mass = found.preprocessed[found.trained][0].mass
    return masses.background_fit(
        mass, found.search.background(), found.samples["mass"], found.n_flows
    )


def _corner(found: Findings) -> Any:
    events, values = found.preprocessed[found.trained]
    beside = events.sideband
    names = [*found.config.features, "dimu_mass"]
    scaled = found.search.preprocessing().scale_mass
    return features.corner(
        names,
        np.column_stack([found.samples["sideband"], scaled(found.samples["sideband_mass"])]),
        np.column_stack([values[beside], scaled(events.mass[beside])]),
    )


def _samples(found: Findings, sideband: bool) -> Any:
    events, values = found.preprocessed[found.trained]
    drawn = found.samples["sideband" if sideband else "signal_region"]
    chosen = events.sideband if sideband else ~events.sideband
    tests = found.json("check", "closure").get("both sidebands", {}) if sideband else {}
    p_values = {name: test[1] for name, test in tests.get("ks", {}).items()}
    return features.samples_and_data(found.config.features, drawn, values[chosen], p_values)


def _classifier(found: Findings) -> Any:
    training = found.json("classify", "training")
    return curves.classifier_losses(
        training["losses"], training["best_rounds"], training["settings"]["folds"]
    )


def _after_cuts(found: Findings) -> Any:
    events, _ = found.preprocessed[found.trained]
    inside = ~events.sideband
    passing = {f"{100 * fit['rate']:.3g} % of sidebands": chosen[inside]
               for fit, chosen in found.passing(found.trained)}  # fmt: skip
    names = list(found.config.features)
    before = found.table(f"{found.trained}_before_isolation", ["dimu_mass", *names])
    if before is not None:
        w = found.window
        chosen = (before["dimu_mass"] >= w.sr_left) & (before["dimu_mass"] < w.sr_right)
        before = {n: before[n][chosen].astype(np.float64) for n in names}
    return features.after_cuts(
        {n: events.features[n][inside] for n in names}, passing, before,
        found.search.preprocessing().inverse(found.samples["signal_region"]), 1 / found.n_flows,
    )  # fmt: skip
