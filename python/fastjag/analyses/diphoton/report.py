"""Stage: everything in pictures, one table of results, and a page that holds both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import numpy as np

from fastjag.analyses.common.versions import versions
from fastjag.analyses.diphoton import variations
from fastjag.analyses.diphoton.distributions import distributions
from fastjag.analyses.diphoton.events import DATA, Events
from fastjag.analyses.diphoton.mass_fit import CATEGORY, PUBLISHED_EVENTS, MassFit, fit_masses
from fastjag.analyses.diphoton.pictures import comparison as of_models
from fastjag.analyses.diphoton.pictures import events as of_events
from fastjag.analyses.diphoton.pictures import masses as of_masses
from fastjag.analyses.diphoton.results import DiphotonResults
from fastjag.analyses.diphoton.selections import selection_of
from fastjag.reporting.output import results_directory, write_json
from fastjag.reporting.plots import save
from fastjag.reporting.report import Report, with_error
from fastjag.statistics import bad_fits, fit_warning

Numbers = Mapping[str, Any]
Table = tuple[tuple[str, ...], list[tuple[Any, ...]]]

_PACKAGES = ("scikit-learn", "torch", "xgboost", "iminuit")
_CLASS_COLUMNS = ("class", "selected events", "weight per event", "expected events", "share",
                  "error of expected events")  # fmt: skip


def report(results: DiphotonResults) -> None:
    """Everything of the earlier stages in pictures, ``results.json`` and ``report.html``."""
    config, comparison, selection = results.config, results.comparison(), results.selection()
    everything = results.selected()
    events = everything.of_classes(tuple(config.classes))
    used = versions(*_PACKAGES)
    with results_directory(results.folder("report")) as directory:
        fits = fit_masses(
            everything, events, background=tuple(config.background),
            window=selection_of(config.selection.preset, config.selection.cuts).mass,
            **asdict(config.fit),
        )  # fmt: skip
        page = Report(config.name, sentence_of(comparison, fits))
        page.text(f"Selection {config.selection.preset}, seed {config.seed}.")

        def show(name: str, fig: Any, caption: str) -> None:
            save(fig, directory / f"{name}.png", directory / f"{name}.pdf")
            page.figure(directory / f"{name}.png", caption)

        for warning in (warnings := warnings_of(fits)):
            page.warning(warning)
        page.heading("Classes")
        classes = class_table(events)
        page.table(_CLASS_COLUMNS[:-1], [
            (name, n, None if each is None else f"{each:.4g}", with_error(total, error),
             f"{100 * share:.3g} %")
            for name, n, each, total, share, error in classes
        ])  # fmt: skip
        _add_selection(page, selection)
        page.heading("Selected events")
        for name, fig in of_events.event_pictures(distributions(events)):
            show(name, fig, of_events.CAPTIONS[name])
        page.heading("Mass spectrum")
        for name, fit in fits.items():
            what, _, category = name.partition(", ")
            said = "data" if DATA in config.background else "simulation"
            fig = of_masses.peak(fit) if what == "peak" else of_masses.spectrum(fit, said)
            caption = of_masses.CAPTIONS[what] + (f" {category.capitalize()}." if category else "")
            show(name.replace(", ", "_").replace(" ", "_"), fig, caption)
        page.table(*fit_table(fits))
        page.text(
            f"The release's own fit of all its data has {PUBLISHED_EVENTS['inclusive']:.0f} Higgs "
            f"bosons in 10.064 fb-1; simulated ones selected here add up to "
            f"{events.flat['weight'].sum():.4g}. Of those of which both photons are unconverted and "
            f"central (|eta| below 0.75), it has {PUBLISHED_EVENTS[CATEGORY]:.0f}."
        )
        if varied := results.variations():
            variations.section(page, varied)
        add_comparison(page, comparison, show)
        page.heading("Files and settings")
        page.files([f"{name}: {file}" for name, files in config.files.items() for file in files])
        recorded = config.recorded()
        settings = {k: v for k, v in recorded.items() if k not in ("classes", "background")}
        page.settings(settings)
        page.settings(used)
        write_json(
            directory / "results.json",
            {"config": recorded, "versions": used, "selection": selection,
             "classes": [dict(zip(_CLASS_COLUMNS, row, strict=True)) for row in classes],
             "mass": {name: numbers_of(name, fit) for name, fit in fits.items()},
             "warnings": warnings, "comparison": comparison, "systematics": varied},
        )  # fmt: skip
        page.write(directory / "report.html", f"fastjag {version('fastjag')}")


def _add_selection(page: Report, selection: dict[str, Any]) -> None:
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


def sentence_of(comparison: Numbers, fits: Mapping[str, MassFit]) -> str:
    """What was found, and how sure that is: the best model, and the peak of the spectrum if there is one."""
    models = comparison["models"]
    best = max(models, key=lambda name: models[name]["balanced_accuracy"]["mean"] or 0)
    accuracy, chance = models[best]["balanced_accuracy"], models[best]["chance"]
    best_of = f" best of {len(models)} models" if len(models) > 1 else ""
    sure = "beside "  # without an error nobody knows
    if accuracy["error"]:
        sure = f"{(accuracy['mean'] - chance) / accuracy['error']:.0f} standard errors above "
    said = (
        f"{best} tells the {len(comparison['classes'])} classes of "
        f"{sum(comparison['events'].values()):,} events apart{best_of}: its balanced accuracy is "
        f"{_with_error(accuracy)}, {sure}the {chance:.2f} of guessing"
    )
    if (fit := fits.get("spectrum")) is None:
        return f"{said}."
    if not fit.valid:
        return f"{said}; the fit of the mass spectrum has failed."
    number = _number(fit.values["events"], fit.errors["events"])
    return (
        f"{said}; the peak in the mass spectrum has {number} events, {fit.significance:.1f} sigma."
    )


def warnings_of(fits: Mapping[str, MassFit]) -> list[str]:
    """What is wrong with the fits, for a summary; empty where nothing is."""
    said = [bad_fits({name: (fit.chi2, fit.ndf) for name, fit in fits.items()})]
    if wrong := [name for name, fit in fits.items() if not fit.valid]:
        said.append(f"! Fits that are not valid: {', '.join(wrong)}. They have no result.")
    return [text for text in said if text]


def numbers_of(name: str, fit: MassFit) -> dict[str, Any]:
    """Of a peak alone there is no significance: there is nothing that it could stand out of."""
    numbers = fit.numbers()
    return numbers | {"significance": None} if name.startswith("peak") else numbers


def fit_table(fits: dict[str, MassFit]) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    rows = []
    for name, fit in fits.items():
        shown = [
            with_error(fit.values[n], fit.errors[n])
            if fit.errors[n]
            else f"{fit.values[n]:.5g} (fixed)"
            for n in ("events", "mean", "sigma")
        ]
        said = fit_warning(fit.chi2, fit.ndf) + ("" if fit.valid else " ! not valid")
        Z = numbers_of(name, fit)["significance"]
        rows.append((name, *shown, f"{fit.chi2:.0f} / {fit.ndf} {said}".strip(),
                     "-" if Z is None else f"{Z:.2f}"))  # fmt: skip
    return ("fit", "events in the peak", "mean [GeV]", "sigma [GeV]", "chi² / ndf", "Z"), rows


def class_table(events: Events) -> list[tuple[Any, ...]]:
    """Events of each class, their mean weight, the sum, its share of all classes, and its error."""
    label, weight = events.flat["label"], np.asarray(events.flat["weight"], np.float64)
    counts = np.bincount(label, minlength=len(events.classes))
    sums, squares = (np.bincount(label, weight**k, len(events.classes)) for k in (1, 2))
    return [
        (name, int(n), total / n if n else None, total, total / sums.sum(), square**0.5)
        for name, n, total, square in zip(
            events.classes, counts, sums.tolist(), squares.tolist(), strict=True
        )
    ]


# ---- models ----------------------------------------------------------------------------------


def add_comparison(page: Report, numbers: Numbers, show: Callable[[str, Any, str], None]) -> None:
    """Sections of a page; ``show`` saves a picture of a name, and puts it there with a caption."""
    drawn = dict(of_models.comparison_pictures(numbers))

    def pictures(*names: str) -> None:
        for name in names:
            if name in drawn:
                show(name, drawn[name], of_models.CAPTIONS[name])

    page.heading("Models side by side")
    settings = numbers["settings"]
    page.text(
        f"{sum(numbers['events'].values()):,} events of {len(numbers['classes'])} classes, each "
        f"judged by models that did not learn from it ({settings['folds']} folds, seed "
        f"{settings['seed']}); errors are standard errors over the folds. Negative weights in "
        f"training: {settings['negative']}; evaluation takes them with their sign."
    )
    page.table(*summary_table(numbers))
    pictures("accuracies", "confusion", "weighted_confusion")
    page.heading("Recall and purity")
    page.table(*recall_table(numbers))
    page.table(*purity_table(numbers))
    page.heading("Significance of the categories against the other production modes")
    page.text("Asimov significance of each class in the category of the events that a model calls "
              "by its name, against the other production modes only, without the diphoton "
              "continuum. The continuum is by far the largest background of data: these figures "
              "say how well a model separates the modes, not what data would show.")  # fmt: skip
    page.table(*significance_table(numbers))
    if any("continuum" in m for m in numbers["models"].values()):
        page.heading("Significance of the categories with the continuum")
        page.text("The same in a window of masses, with the diphoton continuum of each category: events of "
                  "the backgrounds that the model puts there, as many as an exponential through the "
                  "masses outside the window says. None of them taught a model.")  # fmt: skip
        page.table(*continuum_table(numbers))
    pictures("roc")
    page.table(*auc_table(numbers))
    pictures("calibration")
    page.heading("What the models look at")
    pictures("importances", "particles")
    page.heading("Cost")
    pictures("costs")


def summary_table(numbers: Numbers) -> Table:
    columns = ("model", "balanced accuracy", "above chance", "with weights", "log loss", "mean AUC",
               "training [s]", "prediction [s]", "memory [MB]")  # fmt: skip
    rows = []
    for name, m in numbers["models"].items():
        accuracy = m["balanced_accuracy"]
        sigma = (accuracy["mean"] - m["chance"]) / accuracy["error"] if accuracy["error"] else None
        memory = [m[f"{what}_memory_MB"] for what in ("training", "prediction")]
        rows.append(
            (name, _with_error(accuracy), None if sigma is None else f"{sigma:.0f} s.e.",
             _with_error(m["weighted_balanced_accuracy"]), f"{m['log_loss']:.3f}",
             f"{_mean(curve['auc'] for curve in m['roc'].values()):.3f}",
             f"{m['training_seconds']:.2f}", f"{m['prediction_seconds']:.3f}",
             None if None in memory else f"{max(memory):.0f}")
        )  # fmt: skip
    return columns, rows


def recall_table(numbers: Numbers) -> Table:
    classes = numbers["classes"]
    return ("recall", *classes), [
        (name, *(_with_error(m["recall"][c]) for c in classes))
        for name, m in numbers["models"].items()
    ]


def purity_table(numbers: Numbers) -> Table:
    """That of expected events in brackets."""
    classes = numbers["classes"]
    return ("purity (of expected events)", *classes), [
        (name, *(f"{_with_error(m['purity'][c])} ({_percent(m['weighted_purity'][c]['mean'])})"
                 for c in classes))
        for name, m in numbers["models"].items()
    ]  # fmt: skip


def auc_table(numbers: Numbers) -> Table:
    """Areas under the curves of every class, with their errors."""
    classes = numbers["classes"]
    return ("area under the curve", *classes), [
        (name, *(_number(m["roc"][c]["auc"], m["roc"][c]["auc_error"]) for c in classes))
        for name, m in numbers["models"].items()
    ]


def significance_table(numbers: Numbers) -> Table:
    rows = []
    for name, m in numbers["models"].items():
        s = m["significance"]
        cells = [
            "-" if s["asimov"][c] is None or np.isnan(s["asimov"][c])
            else f"{s['asimov'][c]:.2g} ({s['S'][c]:.3g} of {s['S'][c] + s['B'][c]:.3g})"
            for c in numbers["classes"]
        ]  # fmt: skip
        rows.append((name, *cells))
    return ("Z without continuum (events of the class of all)", *numbers["classes"]), rows


def continuum_table(numbers: Numbers) -> Table:
    rows = []
    for name, m in numbers["models"].items():
        if (c := m.get("continuum")) is None:
            continue
        cells = [
            f"{'-' if c['Z'][k] is None or np.isnan(c['Z'][k]) else format(c['Z'][k], '.2g')} "
            f"({c['S'][k]:.3g}, {c['B'][k]:.3g}, {_number(c['continuum'][k], c['error'][k])})"
            for k in numbers["classes"]
        ]
        rows.append((name, *cells))
    low, high = next(
        m["continuum"]["window"] for m in numbers["models"].values() if "continuum" in m
    )
    head = f"Z from {low:g} to {high:g} GeV (events of the class, of other modes, of the continuum)"
    return (head, *numbers["classes"]), rows


def _with_error(value: Mapping[str, Any]) -> str:
    return _number(value["mean"], value["error"])


def _number(value: float | None, error: float | None) -> str:
    """Rounded to its error; without one to three digits."""
    if value is None or np.isnan(value):
        return "-"
    known = error is not None and np.isfinite(error) and error > 0
    return with_error(value, float(error or 0)) if known else f"{value:.3f}"


def _percent(value: float | None) -> str:
    return "-" if value is None or np.isnan(value) else f"{100 * value:.2g} %"


def _mean(values: Any) -> float:
    known = [v for v in values if v is not None]
    return float(np.mean(known)) if known else float("nan")
