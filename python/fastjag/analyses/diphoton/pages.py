"""report: everything in pictures, one table of results, and a page that holds both."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import numpy as np

from fastjag.analyses.diphoton.comparison_pages import add_comparison
from fastjag.analyses.diphoton.config import Config
from fastjag.analyses.diphoton.events import Events
from fastjag.analyses.diphoton.massfit import PUBLISHED_EVENTS, MassFit, fit_mass
from fastjag.analyses.diphoton.pictures import CAPTIONS, peak, pictures, spectrum
from fastjag.analyses.diphoton.selections import selection_of, unconverted_central
from fastjag.analyses.diphoton.skim import DATA
from fastjag.reporting.output import results_directory, write_json
from fastjag.reporting.plots import save
from fastjag.reporting.report import Report
from fastjag.statistics import bad_fits, fit_warning

if TYPE_CHECKING:
    from fastjag.analyses.diphoton.study import Study

_PACKAGES = ("fastjag", "numpy", "scikit-learn", "torch", "xgboost", "xgboost-cpu", "iminuit")
_CATEGORY = "unconverted central"
_PEAK = (118.0, 132.0)  # GeV, around the Higgs boson
_CLASS_COLUMNS = ("class", "selected events", "weight per event", "expected events", "share")


def write_report(study: Study) -> None:
    """Everything of the earlier stages in pictures, ``results.json`` and ``report.html``."""
    from fastjag.analyses.diphoton.study import comparison, of_classes

    config = study.config
    numbers = comparison(study)
    selection = json.loads((study.folder("select") / "selection.json").read_text())
    everything = study.selected()
    events = of_classes(everything, tuple(config.classes))
    with results_directory(study.folder("report")) as directory:
        page = Report(config.name, f"Selection {config.selection}, seed {config.seed}.")
        fits = _fits(everything, events, config)
        for warning in (warnings := warnings_of(fits)):
            page.text(warning)
        page.heading("Classes")
        classes = class_table(events)
        page.table(_CLASS_COLUMNS, classes)
        _selection(page, selection)
        page.heading("Selected events")
        for name, fig in pictures(events):
            save(fig, directory / f"{name}.png", directory / f"{name}.pdf")
            page.figure(directory / f"{name}.png", CAPTIONS[name])
        page.heading("Mass spectrum")
        for name, caption, fig in _fit_pictures(fits):
            save(fig, directory / f"{name}.png", directory / f"{name}.pdf")
            page.figure(directory / f"{name}.png", caption)
        page.table(*_fit_table(fits))
        page.text(
            f"The release's own fit of all its data has {PUBLISHED_EVENTS['inclusive']:.0f} Higgs "
            f"bosons in 10.064 fb-1; simulated ones selected here add up to "
            f"{events.flat['weight'].sum():.4g}. Of those of which both photons are unconverted and "
            f"central (|eta| below 0.75), it has {PUBLISHED_EVENTS[_CATEGORY]:.0f}."
        )
        add_comparison(page, directory, numbers)
        page.heading("Settings")
        settings = {k: v for k, v in asdict(config).items() if k not in ("classes", "background")}
        page.settings({**settings, **{n: ", ".join(f) for n, f in config.files.items()}})
        page.settings(versions())
        write_json(
            directory / "results.json",
            {"config": asdict(config), "versions": versions(), "selection": selection,
             "classes": [dict(zip(_CLASS_COLUMNS, row, strict=True)) for row in classes],
             "mass": {name: _numbers(name, fit) for name, fit in fits.items()},
             "warnings": warnings, "comparison": numbers},
        )  # fmt: skip
        page.write(directory / "report.html", f"fastjag {version('fastjag')}")


def _selection(page: Report, selection: dict[str, Any]) -> None:
    """Cutflows of all classes side by side, and what mask bubbling did not have to read."""
    classes = selection["classes"]
    page.heading("Selection")
    page.text("Events left after each cut, and how many are expected in data in brackets.")
    flows = [c["cutflow"] for c in classes.values()]
    page.table(
        ("cut", *classes),
        [(cuts[0]["name"], *(f"{c['events']:,} ({c['weighted']:.4g})" for c in cuts))
         for cuts in zip(*flows, strict=True)],
    )  # fmt: skip
    if selection["without events"]:
        page.text(f"Without any selected event: {', '.join(selection['without events'])}.")
    counters = selection["counters"]
    page.text(
        "Columns are read for the events that are still alive only (mask bubbling): baskets in "
        "which none is left are neither fetched nor decompressed."
    )
    page.table(
        ("", "read", "skipped"),
        [("baskets", counters["baskets_read"], counters["baskets_skipped"]),
         ("MB in files", _megabytes(counters["bytes_read"]), _megabytes(counters["bytes_skipped"])),
         ("MB decompressed", _megabytes(counters["bytes_decoded"]), ""),
         ("MB copied to arrays", _megabytes(counters["bytes_copied"]), "")],
    )  # fmt: skip


def _megabytes(n: float) -> str:
    return f"{n / 1e6:.3f}"


def _fits(everything: Events, events: Events, config: Config) -> dict[str, MassFit]:
    """The peak of simulated Higgs bosons; and the spectrum of data, or of all that is simulated.

    Both once more for the category of best resolution, where conversions are known and events are
    left: 10 for the peak; 10 in each of 30 bins for the spectrum, as bins of few simulated events
    of large weight would pull its polynomial anywhere.
    """
    spectrum = None
    if config.background:
        spectrum = everything
        if DATA in config.background:
            is_data = everything.flat["label"] == everything.classes.index(DATA)
            spectrum = everything[is_data]
    fits = _fits_of(spectrum, events, config)
    if "convType" in events.particles["photon"].columns:
        peak = events[unconverted_central(events)]
        if spectrum is not None:
            spectrum = spectrum[unconverted_central(spectrum)]
            if not _enough(spectrum, selection_of(config.selection, config.cuts).mass, 300):
                spectrum = None
        if _enough(peak, _PEAK, 10):
            found = _fits_of(spectrum, peak, config)
            fits |= {f"{name}, {_CATEGORY}": fit for name, fit in found.items()}
    return fits


def _fits_of(spectrum: Events | None, peak: Events, config: Config) -> dict[str, MassFit]:
    shape = fit_mass(peak.flat["m_yy"], peak.flat["weight"], degree=0, window=_PEAK, bins=28)
    if spectrum is None:
        return {"peak": shape}
    return {"peak": shape, "spectrum": fit_mass(
        spectrum.flat["m_yy"], spectrum.flat["weight"],
        signal=str(config.fit.get("signal", "gaussian")), degree=int(config.fit.get("degree", 3)),
        window=selection_of(config.selection, config.cuts).mass,
        fixed={name: shape.values[name] for name in ("mean", "sigma")},
    )}  # fmt: skip


def _enough(events: Events, window: tuple[float, float], least: int) -> bool:
    """Whether the window holds so many effective events, (sum w)² / sum w², of positive sum."""
    mass, weight = events.flat["m_yy"], np.asarray(events.flat["weight"], np.float64)
    w = weight[(mass > window[0]) & (mass < window[1])]
    return bool(w.sum() > 0 and w.sum() ** 2 >= least * (w**2).sum())


def _fit_pictures(fits: dict[str, MassFit]) -> Iterator[tuple[str, str, Any]]:
    """(name of the file, caption, figure)."""
    for name, fit in fits.items():
        what, _, category = name.partition(", ")
        drawn = peak(fit) if what == "peak" else spectrum(fit, "events")
        file = name.replace(", ", "_").replace(" ", "_")
        yield file, CAPTIONS[what] + (f" {_CATEGORY.capitalize()}." if category else ""), drawn


def warnings_of(fits: Mapping[str, MassFit]) -> list[str]:
    """What is wrong with the fits, for a summary; empty where nothing is."""
    said = [bad_fits({name: (fit.chi2, fit.ndf) for name, fit in fits.items()})]
    if wrong := [name for name, fit in fits.items() if not fit.valid]:
        said.append(f"! Fits that are not valid: {', '.join(wrong)}. They have no result.")
    return [text for text in said if text]


def _numbers(name: str, fit: MassFit) -> dict[str, Any]:
    """Of a peak alone there is no significance: there is nothing that it could stand out of."""
    numbers = fit.numbers()
    return numbers | {"significance": None} if name.startswith("peak") else numbers


def _fit_table(fits: dict[str, MassFit]) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    rows = []
    for name, fit in fits.items():
        shown = [
            f"{fit.values[n]:.5g}" + (f" ± {fit.errors[n]:.2g}" if fit.errors[n] else " (fixed)")
            for n in ("events", "mean", "sigma")
        ]
        said = fit_warning(fit.chi2, fit.ndf) + ("" if fit.valid else " ! not valid")
        Z = _numbers(name, fit)["significance"]
        rows.append((name, *shown, f"{fit.chi2:.0f} / {fit.ndf} {said}".strip(),
                     "-" if Z is None else f"{Z:.2f}"))  # fmt: skip
    return ("fit", "events in the peak", "mean [GeV]", "sigma [GeV]", "chi² / ndf", "Z"), rows


def class_table(events: Events) -> list[tuple[Any, ...]]:
    """Events of each class, their mean weight, the sum, and its share of all classes."""
    label, weight = events.flat["label"], np.asarray(events.flat["weight"], np.float64)
    counts = np.bincount(label, minlength=len(events.classes))
    sums = np.bincount(label, weight, len(events.classes))
    return [
        (name, int(n), total / n if n else None, total, total / sums.sum())
        for name, n, total in zip(events.classes, counts, sums.tolist(), strict=True)
    ]


def versions() -> dict[str, str]:
    """Of what made the results."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
