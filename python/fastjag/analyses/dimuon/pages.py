"""report: every picture of a search, its histograms and numbers, and a page that holds them."""

from __future__ import annotations

import json
from dataclasses import asdict
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
from fastjag.arrays import needs
from fastjag.io import write_histograms
from fastjag.output import results_directory, write_json
from fastjag.plots import save
from fastjag.progress import progress_bar
from fastjag.report import Report
from fastjag.statistics import BackgroundFit, sideband_cuts

if TYPE_CHECKING:
    from fastjag.analyses.dimuon.search import Search

CLASSES = ("OS", "SS")
_RATES = (1.0, 0.1, 0.01, 0.001)

_CAPTIONS = {
    "significance": "Background-only p-value against the share of the sidebands that passes a cut on "
    "the classifier, on each feature, and on a random number; dashed: likelihood reweighting.",
    "masses": "Masses of what passes the classifier at four sideband rates, with the fits to the "
    "sidebands and their errors; dotted lines: the signal region; ticks: Upsilon(1S, 2S, 3S).",
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
        return {c: self.search.preprocessed(c) for c in CLASSES}

    @cached_property
    def background(self) -> BackgroundFit:
        found = self.json("samples", "background")
        return BackgroundFit(
            self.window, np.array(found["coefficients"]), np.array(found["covariance"]),
            found["chi2"], found["dof"],
        )  # fmt: skip

    def table(self, name: str, columns: list[str]) -> dict[str, Any] | None:
        """Columns of a table of ``prepare``; None where it does not exist."""
        import pyarrow.parquet as pq

        path = self.search.folder("prepare") / f"{name}.parquet"
        if not path.exists():
            return None
        known = pq.read_schema(path).names
        table = pq.read_table(path, columns=[c for c in columns if c in known])
        return {c: table[c].to_numpy() for c in table.column_names}

    def passing(self, charge_class: str) -> list[tuple[float, NDArray[np.bool_]]]:
        """(rate, mask) of the cuts on the classifier at the sideband rates that are shown."""
        events, _ = self.preprocessed[charge_class]
        scores = self.search.scores(charge_class)
        cuts, rates = sideband_cuts(scores, events.sideband, _RATES)
        wanted = dict(zip(rates.tolist(), cuts, strict=True))  # few events: rates may coincide
        return [(rate, scores >= cut) for rate, cut in wanted.items()]


def write_report(search: Search) -> None:
    """Pictures (PNG and PDF), ``results.json``, ``histograms.root`` and ``report.html``."""
    needs("matplotlib", "plots")
    found = Findings(search)
    with results_directory(search.folder("report")) as directory:
        drawn = _draw(found, directory, search.progress)
        write_histograms(directory / "histograms.root", _histograms(found))
        results = _results(found)
        write_json(directory / "results.json", results)
        _write_page(found, results, directory, drawn)


# ---- pictures -----------------------------------------------------------------------------------


def _draw(found: Findings, directory: Path, progress: bool | None) -> list[str]:
    """Draw everything that this run can show; the names of the pictures."""
    drawn = []
    with progress_bar("pictures", len(_CAPTIONS), progress) as advance:
        for name, make in (
            ("significance", lambda: curves.significances(found.significance)),
            ("masses", lambda: _masses(found)),
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
                save(fig, directory / f"{name}.png", directory / f"{name}.pdf")
                drawn.append(name)
            advance(1)
    return drawn


def _masses(found: Findings) -> Any:
    spectra = {}
    for charge_class in CLASSES:
        mass = found.preprocessed[charge_class][0].mass
        spectra[charge_class] = [
            (rate, mass[chosen]) for rate, chosen in found.passing(charge_class)
        ]
    return masses.after_cuts(spectra, found.window, found.search.degree)


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
    for charge_class in CLASSES:
        after = found.table(charge_class, ["dimu_mass"]) or {}
        before = found.table(f"{charge_class}_before_isolation", ["dimu_mass"])
        spectra[charge_class] = (
            after["dimu_mass"], None if before is None else before["dimu_mass"]
        )  # fmt: skip
    return masses.isolation(spectra, found.window)


def _observables(found: Findings, signal_region: bool) -> Any | None:
    names = [n for n in OBSERVABLES if n != "dimu_mass"]
    if signal_region:
        names = [n for n in names if not n.endswith(("phi", "jetiso")) and "jet" not in n]
    tables = {c: found.table(c, ["dimu_mass", *names]) or {} for c in CLASSES}
    low, high = found.window.sb_left, found.window.sb_right
    if signal_region:
        low, high = found.window.sr_left, found.window.sr_right
    for charge_class, table in tables.items():
        inside = (table["dimu_mass"] >= low) & (table["dimu_mass"] < high)
        tables[charge_class] = {n: table[n][inside] for n in names if n in table}
    common = [n for n in names if all(n in table for table in tables.values())]
    return features.observables(tables, common, density=not signal_region)


def _bands(found: Findings) -> Any:
    events, values = found.preprocessed["OS"]
    w = found.window
    return features.bands(values, events.mass, found.config.features, w.sr_left, w.sr_right)


def _background(found: Findings) -> Any:
    mass = found.preprocessed["OS"][0].mass
    return masses.background_fit(mass, found.background, found.samples["mass"], found.n_flows)


def _corner(found: Findings) -> Any:
    events, values = found.preprocessed["OS"]
    beside = events.sideband
    names = [*found.config.features, "dimu_mass"]
    scaled = found.search.preprocessing().scale_mass
    return features.corner(
        names,
        np.column_stack([found.samples["sideband"], scaled(found.samples["sideband_mass"])]),
        np.column_stack([values[beside], scaled(events.mass[beside])]),
    )


def _samples(found: Findings, sideband: bool) -> Any:
    events, values = found.preprocessed["OS"]
    drawn = found.samples["sideband" if sideband else "signal_region"]
    chosen = events.sideband if sideband else ~events.sideband
    tests = found.json("check", "closure").get("both sidebands", {}) if sideband else {}
    p_values = {name: test[1] for name, test in tests.get("ks", {}).items()}
    return features.samples_and_data(found.config.features, drawn, values[chosen], p_values)


def _classifier(found: Findings) -> Any:
    training = found.json("classify", "training")
    return curves.classifier_losses(training["losses"], training["best_rounds"])


def _after_cuts(found: Findings) -> Any:
    events, _ = found.preprocessed["OS"]
    inside = ~events.sideband
    passing = {f"{100 * rate:.2g} % of sidebands": chosen[inside] for rate, chosen in found.passing("OS")}
    names = list(found.config.features)
    before = found.table("OS_before_isolation", ["dimu_mass", *names])
    if before is not None:
        w = found.window
        chosen = (before["dimu_mass"] >= w.sr_left) & (before["dimu_mass"] < w.sr_right)
        before = {n: before[n][chosen].astype(np.float64) for n in names}
    return features.after_cuts(
        {n: events.features[n][inside] for n in names}, passing, before,
        found.search.preprocessing().inverse(found.samples["signal_region"]), 1 / found.n_flows,
    )  # fmt: skip


# ---- numbers ------------------------------------------------------------------------------------


def _histograms(found: Findings) -> dict[str, Any]:
    """What the pictures show, for ROOT: masses of what passes each cut, the scan, the features."""
    import hist

    def filled(edges: Floats, values: Floats, label: str, weight: float = 1.0) -> Any:
        h = hist.Hist(hist.axis.Variable(edges, name="x", label=label))
        return h.fill(values) * weight

    histograms = {}
    edges = masses.whole_edges(found.window)
    for charge_class in CLASSES:
        mass = found.preprocessed[charge_class][0].mass
        for rate, chosen in found.passing(charge_class):
            name = f"mass_{charge_class}_rate_{rate:.2g}".replace(".", "p").replace("-", "m")
            histograms[name] = filled(edges, mass[chosen], "mass [GeV]")
        before = found.table(f"{charge_class}_before_isolation", ["dimu_mass"])
        if before is not None:
            name = f"mass_{charge_class}_before_isolation"
            histograms[name] = filled(edges, before["dimu_mass"], "mass [GeV]")
    for name in ("counts", "expected"):
        h = hist.Hist(hist.axis.Variable(found.scan["edges"], name="x", label="mass [GeV]"))
        h.view()[...] = found.scan[name]
        histograms[f"scan_{name}"] = h
    events, _ = found.preprocessed["OS"]
    drawn = found.search.preprocessing().inverse(found.samples["signal_region"])
    for name in found.config.features:
        edges, _ = features.bins_for(name, events.features[name])
        inside = events.features[name][~events.sideband]
        histograms[f"signal_region_{name}_data"] = filled(edges, inside, name)
        histograms[f"signal_region_{name}_flows"] = filled(
            edges, drawn[name], name, 1 / found.n_flows
        )
    return histograms


def _results(found: Findings) -> dict[str, Any]:
    """Every number of the run with its configuration, seeds and versions."""
    training = found.json("flow", "training")
    classifier = found.json("classify", "training")
    return {
        "name": found.config.name,
        "config": asdict(found.config),
        "versions": _versions(),
        "seeds": {"search": found.config.seed, "flows": found.search.flow_seeds(),
                  "classifier": classifier.get("seed"), "scan": found.scan["seed"]},
        "cutflow": found.json("prepare", "cutflow"),
        "scan": found.scan,
        "flow": {"dropped": training["dropped"],
                 "best_epochs": [r["best_epoch"] for r in training["flows"]],
                 "settings": [r.get("settings") for r in training["flows"]]},
        "background": found.json("samples", "background"),
        "closure": found.json("check", "closure"),
        "classifier": {"settings": classifier["settings"], "best_rounds": classifier["best_rounds"]},
        "table": [
            dict(zip(_COLUMNS, row, strict=True)) for c in CLASSES for row in _table(c, found)
        ],
        **found.significance,
        "events": {c: f"classify/{c}.parquet" for c in CLASSES},
    }  # fmt: skip


def _versions() -> dict[str, str]:
    import platform
    from importlib.metadata import PackageNotFoundError, version

    versions = {"python": platform.python_version()}
    for name in ("fastjag", "numpy", "scipy", "torch", "zuko", "xgboost", "xgboost-cpu", "pyarrow"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


_COLUMNS = ("pairs", "discriminant", "Z", "sideband rate", "S", "B", "converged")


def _table(charge_class: str, found: Findings) -> list[tuple[Any, ...]]:
    """The inclusive fit, the best cut on each discriminant, and the reweighted likelihood."""
    own = found.significance[charge_class]
    rows = []
    for name, curve in own["curves"].items():
        points = [("", int(np.argmax(curve["Z"])))]
        if name == "classifier":
            points.insert(0, ("none", int(np.argmax(curve["rates"]))))
        elif name == "random":
            continue
        for label, i in points:
            rows.append(
                (charge_class, label or f"best cut on {name}", curve["Z"][i], curve["rates"][i],
                 curve["S"][i], curve["B"][i], curve["converged"][i])
            )  # fmt: skip
    weighted = own["reweighted"]
    if weighted is not None:
        rows.append(
            (charge_class, "likelihood reweighting", weighted["Z"], None, weighted["S"],
             weighted["B"], weighted["converged"])
        )  # fmt: skip
    return rows


# ---- page ---------------------------------------------------------------------------------------


def _write_page(
    found: Findings, results: dict[str, Any], directory: Path, drawn: list[str]
) -> None:
    w = found.window
    page = Report(
        f"Dimuon search: {found.config.name}",
        f"Features {', '.join(found.config.features)}. Signal region {w.sr_left:g} to {w.sr_right:g} "
        f"GeV between sidebands from {w.sb_left:g} and to {w.sb_right:g} GeV.",
    )

    def pictures(*names: str) -> None:
        for name in names:
            if name in drawn:
                page.figure(directory / f"{name}.png", _CAPTIONS[name])

    page.heading("Significances")
    page.table(_COLUMNS, [list(row.values()) for row in results["table"]])
    pictures("significance", "masses", "after_cuts", "variations")
    page.heading("Scan of the whole spectrum")
    _scan_section(page, found.scan)
    pictures("scan")
    page.heading("Do the samples describe the sidebands?")
    closure = results["closure"]
    page.text(
        "A classifier tries to tell samples from data in the sidebands, out of fold; an area under "
        "its ROC curve (AUC) of 0.5 means that it cannot."
    )
    page.table(
        ("part", "AUC", "AUC with mass", "error", "pairs", "verdict"),
        [(part, c["auc"], c["auc_with_mass"], c["auc_error"], c["n_data"], c["verdict"])
         for part, c in closure.items()],
    )  # fmt: skip
    page.table(
        ("part", "feature", "KS statistic", "p-value"),
        [(part, f, *ks) for part, c in closure.items() for f, ks in c["ks"].items()],
    )
    pictures("sidebands", "corner")
    page.heading("Samples in the signal region")
    pictures("background", "samples")
    page.heading("Trainings")
    pictures("bands", "flow", "classifier")
    page.heading("Data")
    cutflow = results["cutflow"]
    page.table(("step", "events or pairs"), list(cutflow["cutflow"].items()))
    if cutflow["absent_triggers"]:
        page.text(f"Absent from some files: {', '.join(cutflow['absent_triggers'])}.")
    if cutflow["skipped"]:
        page.table(
            ("file left out", "reason"), [(s["file"], s["reason"]) for s in cutflow["skipped"]]
        )
    pictures("isolation", "triggers", "observables", "signal_region")
    page.heading("Settings")
    page.settings(_flat({k: v for k, v in results["config"].items() if k != "files"}))
    page.settings({f"seed of {k}": v for k, v in results["seeds"].items()} | results["versions"])
    page.settings({"files": ", ".join(Path(f).name for f in cutflow["files"])})
    page.write(
        directory / "report.html",
        "Every number is in results.json, histograms in histograms.root, scores of all events in "
        + " and ".join(results["events"].values()) + ".",
    )  # fmt: skip


def _scan_section(page: Report, scan: dict[str, Any]) -> None:
    page.text(scan["model"])
    unknown = [p for p in scan["peaks"] if not p["names"]]
    page.table(
        ("mass [GeV]", "what it is", "S", "B", "local Z", "global Z"),
        [(p["mass"], ", ".join(p["names"]) or "not a known resonance", p["S"], p["B"], p["Z"],
          p["Z_global"]) for p in scan["peaks"]],
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


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as ``section.key``."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
