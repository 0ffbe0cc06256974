"""From a table to importances, pictures and a report."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fastjag.analyses.common.tables import write_parquet
from fastjag.analyses.importance import pictures
from fastjag.analyses.importance.compare import METHODS, Importances, compare_importances
from fastjag.analyses.importance.tables import Table, read_table, toy_table
from fastjag.core.checks import needs
from fastjag.io.files import first_line
from fastjag.reporting.output import results_directory, write_json
from fastjag.reporting.plots import RED, save
from fastjag.reporting.report import Report

_CAPTIONS = {
    "importances": "Scores of each method over its largest one, features by their mean. Features "
    "with the same letter are correlated and share their importance.",
    "correlations": "Spearman correlations; frames are clusters of correlated features.",
    "taylor": "The largest mean absolute Taylor coefficients of the network.",
    "training": "What the network has learned after each epoch.",
}
_TERMS = 30


def importance(
    table: str | os.PathLike[str],
    out: str | os.PathLike[str],
    label: str,
    *,
    weight: str | None = None,
    features: Iterable[str] | None = None,
    model: str | os.PathLike[str] | None = None,
    trust_model: bool = False,
    version: str,
    **options: Any,
) -> Importances:
    """Compare importances of a table's columns; ``options`` go to :func:`compare_importances`.

    ``out`` gets ``importance.json``, ``report.html`` and pictures (PNG, PDF), all or none.
    ``model`` is a file of a torch module (:func:`load_module`, which ``trust_model`` goes to), trained
    on the columns as they are in the table.
    """
    needs("mplhep", "plots")
    with results_directory(out) as directory:
        network = None if model is None else load_module(model, trust=trust_model)
        rows = read_table(table, label, weight, features)
        result = compare_importances(
            rows.features, rows.labels, rows.weights, rows.names, model=network, **options
        )
        write(result, directory, version, rows)
    return result


def demo(out: str | os.PathLike[str], *, events: int, seed: int, version: str,
         progress: bool | None = None) -> Importances:  # fmt: skip
    """Write ``toys.parquet`` with known differences of two classes, and compare importances."""
    with results_directory(out) as directory:
        write_parquet(directory / "toys.parquet", toy_table(events, seed))
    return importance(Path(out) / "toys.parquet", out, "label", weight="weight", seed=seed,
                      version=version, progress=progress)  # fmt: skip


def load_module(path: str | os.PathLike[str], *, trust: bool = False) -> Any:
    """A torch module from a file of ``torch.save(module)`` or ``torch.export.save``.

    Both formats can run any code as they are loaded (the second falls back to pickles), so
    ``trust`` has to say that nobody else had a hand in the file. Raises ValueError naming the file.
    """
    needs("torch", "importance")
    import torch

    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        with zipfile.ZipFile(path) as archive:
            parts = {name.split("/", 1)[-1] for name in archive.namelist()}
    except (OSError, zipfile.BadZipFile):
        parts = set()
    if "constants.pkl" in parts and any(name.startswith("code/") for name in parts):
        raise ValueError(
            f"{path}: is TorchScript, which torch.func cannot look into; give the module it was made of"
        )
    if not trust:
        raise ValueError(
            f"{path}: loading a model can run any code that is in the file; if you know where it "
            f"is from, say so (--trust-model, trust=True)"
        )
    exported = any(
        p.endswith(("archive_format", "serialized_exported_program.json")) for p in parts
    )
    try:
        if exported:
            found = torch.export.load(str(path)).module()
        else:
            found = torch.load(path, map_location="cpu", weights_only=False)
    except Exception as error:  # unpickling can raise anything
        raise ValueError(f"{path}: not a torch module: {first_line(error)}") from error
    if not isinstance(found, torch.nn.Module):
        # The file's content is wrong, not an argument's type.
        raise ValueError(  # noqa: TRY004
            f"{path}: holds a {type(found).__name__}, not a module: torch.save(module, path) "
            f"instead of its weights"
        )
    return found


def write(
    result: Importances,
    out: str | os.PathLike[str],
    version: str,
    table: Table | None = None,
    title: str = "",
) -> None:
    """Pictures, ``importance.json`` and ``report.html``, all or none; ``title`` is above pictures."""
    with results_directory(out) as directory:
        drawn = {"importances": pictures.comparison(result),
                 "correlations": pictures.correlations(result)}  # fmt: skip
        if result.taylor:
            drawn["taylor"] = pictures.taylor(result)
        if result.training:
            drawn["training"] = pictures.training(result)
        for name, fig in drawn.items():
            if title:
                fig.suptitle(title, color=RED, fontsize=15, fontweight="bold")
            save(fig, directory / f"{name}.png", directory / f"{name}.pdf")
        content = {"fastjag": version, **result.to_dict()}
        if table is not None:
            numbers = ("features", "labels", "weights")
            content["table"] = {k: v for k, v in vars(table).items() if k not in numbers}
        write_json(directory / "importance.json", content)
        _report(result, table, {name: directory / f"{name}.png" for name in drawn}).write(
            directory / "report.html", f"fastjag {version}"
        )


def _report(result: Importances, table: Table | None, drawn: dict[str, Path]) -> Report:
    classes = ", ".join(result.settings["classes"])
    page = Report("Feature importance", f"{len(result.names)} features, "
                  f"{result.settings['events']:,} events, classes {classes}.")  # fmt: skip
    for warning in result.warnings:
        page.text(f"Warning: {warning}.")
    page.heading("All methods")
    page.figure(drawn["importances"], _CAPTIONS["importances"])
    order, normalised, mean = result.order(), result.normalised(), result.mean()
    letters = pictures.cluster_names(result)
    page.table(
        ("feature", "cluster", "mean", *normalised),
        [(result.names[i], letters[i] or "-", f"{mean[i]:.3f}",
          *(f"{s[i]:.3f}" for s in normalised.values()))
         for i in order],
    )  # fmt: skip
    page.heading("Correlated features")
    page.figure(drawn["correlations"], _CAPTIONS["correlations"])
    if result.taylor:
        page.heading("Taylor coefficients")
        page.figure(drawn["taylor"], _CAPTIONS["taylor"])
        terms = sorted(result.taylor.items(), key=lambda item: -item[1])[:_TERMS]
        page.table(("term", "mean absolute coefficient"), [(result.term(k), t) for k, t in terms])
    if result.training:
        page.figure(drawn["training"], _CAPTIONS["training"])
    page.heading("How well the models tell the classes apart")
    page.table(("model", "area under the ROC curve"), list(result.performance.items()))
    page.heading("Scores in the units of each method")
    columns = _shown_scores(result)
    page.table(("feature", *columns),
               [(result.names[i], *(c[i] for c in columns.values())) for i in order])  # fmt: skip
    page.table(("method", "what it is"), [(name, METHODS[name]) for name in result.scores])
    page.heading("Settings")
    page.settings(result.settings)
    if table is not None:
        about = {k: v for k, v in vars(table).items() if k in ("file", "n_read", "not_numbers")}
        page.settings({**about, **{f"events without {k}": n for k, n in table.missing.items()}})
    return page


def _shown_scores(result: Importances) -> dict[str, list[str]]:
    errors = result.errors
    return {
        name: [f"{x:.4g}" + (f" ± {errors[name][i]:.2g}" if name in errors else "")
               for i, x in enumerate(scores)]
        for name, scores in result.scores.items()
    }  # fmt: skip
