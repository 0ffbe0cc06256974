"""report: pictures, ``importance.json`` and a page."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fastjag import __version__
from fastjag.analyses.importance.pictures import comparison, network
from fastjag.analyses.importance.results import METHODS, Importances
from fastjag.analyses.importance.tables import FeatureTable
from fastjag.reporting.output import results_directory, write_json
from fastjag.reporting.plots import RED, save
from fastjag.reporting.report import Report, with_error

_CAPTIONS = {
    "importances": "Scores of each method over its largest one, features by their mean. Features "
    "with the same letter are correlated and share their importance.",
    "correlations": "Spearman correlations; frames are clusters of correlated features.",
    "permutations": "Fall of the area under the ROC curve where a feature is shuffled among the "
    "events, with its standard deviation over the repeats.",
    "taylor": "The largest mean absolute Taylor coefficients of the network, with statistical errors "
    "over the events.",
    "training": "What the network has learned after each epoch.",
}
_TERMS = 30


def report(
    result: Importances,
    out: str | os.PathLike[str],
    table: FeatureTable | None = None,
    title: str = "",
    files: Sequence[str] = (),
) -> None:
    """Write all of it to ``out``, or nothing; ``title`` is above pictures.

    ``files`` are what the features come from, where there is no ``table``.
    """
    files = files if table is None else (table.file,)
    with results_directory(out) as directory:
        drawn = {"importances": comparison.comparison(result),
                 "correlations": comparison.correlations(result)}  # fmt: skip
        if {"permutation", "tree permutation"} & set(result.scores):
            drawn["permutations"] = comparison.permutations(result)
        if result.taylor:
            drawn["taylor"] = network.taylor(result)
        if result.training:
            drawn["training"] = network.training(result)
        for name, fig in drawn.items():
            if title:
                fig.suptitle(title, color=RED, fontsize=15, fontweight="bold")
            save(fig, directory / f"{name}.png", directory / f"{name}.pdf")
        content = {"fastjag": __version__, **result.to_dict()}
        if table is not None:
            numbers = ("features", "labels", "weights")
            content["table"] = {k: v for k, v in vars(table).items() if k not in numbers}
        write_json(directory / "importance.json", content)
        page = _report(result, table, {name: directory / f"{name}.png" for name in drawn}, files)
        page.write(directory / "report.html", f"fastjag {__version__}")


def _report(
    result: Importances, table: FeatureTable | None, drawn: dict[str, Path], files: Sequence[str]
) -> Report:
    classes = ", ".join(result.settings["classes"])
    page = Report("Feature importance", sentence_of(result))
    page.text(
        f"{len(result.names)} features, {result.settings['events']:,} events, classes {classes}."
    )
    for warning in result.warnings:
        page.warning(f"Warning: {warning}.")
    page.heading("All methods")
    page.figure(drawn["importances"], _CAPTIONS["importances"])
    order, normalised, mean = result.order(), result.normalised(), result.mean()
    letters = result.cluster_names()
    page.table(
        ("feature", "cluster", "mean", *normalised),
        [(result.names[i], letters[i] or "-", f"{mean[i]:.3f}",
          *(f"{s[i]:.3f}" for s in normalised.values()))
         for i in order],
    )  # fmt: skip
    if "permutations" in drawn:
        page.heading("Permutations")
        page.figure(drawn["permutations"], _CAPTIONS["permutations"])
    page.heading("Correlated features")
    page.figure(drawn["correlations"], _CAPTIONS["correlations"])
    if result.taylor:
        page.heading("Taylor coefficients")
        page.figure(drawn["taylor"], _CAPTIONS["taylor"])
        terms = sorted(result.taylor.items(), key=lambda item: -item[1])[:_TERMS]
        page.table(("term", "mean absolute coefficient"),
                   [(result.term(k), with_error(t, result.taylor_errors[k])) for k, t in terms])  # fmt: skip
    if result.training:
        page.heading("While the network learned")
        page.figure(drawn["training"], _CAPTIONS["training"])
    page.heading("How well the models tell the classes apart")
    page.table(("model", "area under the ROC curve"), 
               [(name, f"{area:.4f}") for name, area in result.performance.items()])  # fmt: skip
    page.heading("Scores in the units of each method")
    columns = _shown_scores(result)
    page.table(("feature", *columns),
               [(result.names[i], *(c[i] for c in columns.values())) for i in order])  # fmt: skip
    page.table(("method", "what it is"), [(name, METHODS[name]) for name in result.scores])
    page.heading("Files and settings")
    page.files(files)
    page.settings(result.settings)
    if table is not None:
        about = {k: v for k, v in vars(table).items() if k in ("n_read", "not_numbers")}
        page.settings({**about, **{f"events without {k}": n for k, n in table.missing.items()}})
    return page


def sentence_of(result: Importances) -> str:
    """What was found, and how sure that is: the first feature, who agrees, and what shuffling it costs."""
    first, *others = result.order()
    name = result.names[first]
    looking = {m: s for m, s in result.scores.items() if m != "variance"} or result.scores
    agree = sum(int(np.argmax(s)) == first for s in looking.values())
    said = (
        f"{name} is the most important of {len(result.names)} features by the mean of {len(looking)} "
        f"methods, {agree} of which have it first"
    )
    said += f"; {result.names[others[0]]} follows" if others else ""
    if letter := result.cluster_names()[first]:
        said += f"; it shares its importance with the other features of cluster {letter}"
    for method, whose in (
        ("permutation", "the model's"),
        ("tree permutation", "the boosted trees'"),
    ):
        if method in result.scores and method in result.errors:
            fall, error = (float(x[method][first]) for x in (result.scores, result.errors))
            return f"{said}; when it is shuffled, {whose} area under the ROC curve falls by {with_error(fall, error)}."
    return f"{said}."


def _shown_scores(result: Importances) -> dict[str, list[str]]:
    errors = result.errors
    return {
        name: [with_error(x, errors[name][i]) if name in errors else f"{x:.4g}"
               for i, x in enumerate(scores.tolist())]
        for name, scores in result.scores.items()
    }  # fmt: skip
