"""Stage: all models on the same events in the same folds: accuracies, yields, times, memory."""

from __future__ import annotations

import ctypes
import gc
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastjag.analyses.common.tables import write_parquet
from fastjag.analyses.diphoton.continuum import with_continuum
from fastjag.analyses.diphoton.evaluation import (
    Floats,
    Labels,
    balanced_accuracy,
    confusion,
    evaluate,
    mean_and_error,
    stratified_folds,
)
from fastjag.analyses.diphoton.events import Events
from fastjag.analyses.diphoton.models import MODELS, estimators, in_own_frame, pyramid_sets
from fastjag.analyses.diphoton.results import DiphotonResults
from fastjag.analyses.diphoton.selections import selection_of
from fastjag.core.checks import near_misses, needs
from fastjag.reporting.output import results_directory, write_json
from fastjag.reporting.progress import progress_bar


def train(
    results: DiphotonResults,
    *,
    device: str = "cpu",
    threads: int | None = None,
    progress: bool | None = None,
) -> None:
    """Models' figures, and their probabilities of all learned events."""
    config, events, chosen = results.config, results.learned(), results.config.models
    comparison = compare(
        events, results.features(), models=chosen.names, folds=chosen.folds, fast=chosen.fast,
        negative=chosen.negative, seed=config.seed, device=device, threads=threads,
        progress=progress, continuum=results.continuum(), window=chosen.window,
        limits=selection_of(config.selection.preset, config.selection.cuts).mass,
    )  # fmt: skip
    columns: dict[str, Any] = {n: events.flat[n] for n in ("label", "weight", "m_yy")}
    columns["fold"] = comparison.folds
    for model, probability in comparison.probabilities.items():
        for i, name in enumerate(events.classes):
            columns[f"{model}: {name}"] = probability[:, i]
    with results_directory(results.folder("train")) as directory:
        write_json(directory / "comparison.json", comparison.numbers)
        write_parquet(directory / "probabilities.parquet", columns)


@dataclass(frozen=True)
class ModelComparison:
    """``numbers`` is plain data for JSON, which the report and its pictures draw from."""

    numbers: dict[str, Any]
    probabilities: dict[str, Floats]  #: of every model, from others' training: (n, K)
    folds: Labels  #: (n,)


def compare(
    events: Events,
    aggregates: Mapping[str, ArrayLike],
    *,
    models: Sequence[str] = MODELS,
    folds: int = 5,
    negative: str = "abs",
    fast: bool = False,
    seed: int = 0,
    device: str = "cpu",
    threads: int | None = None,
    progress: bool | None = None,
    continuum: tuple[Events, Mapping[str, ArrayLike]] | None = None,
    window: tuple[float, float] = (121.0, 129.0),
    limits: tuple[float, float] = (105.0, 160.0),
) -> ModelComparison:
    """Train and evaluate models in stratified folds; every event is judged by others' training.

    Parameters
    ----------
    events
        With flat columns "label" and "weight" (signed).
    aggregates
        Name to (n_events,): the table that tree models see. NaN means "not there".
    models
        Some of ``MODELS``.
    negative
        Policy for negative weights in training (:func:`fastjag.models.weights.training_weights`), or
        "resample": they are shared out among the nearest events of their class, by all columns of
        ``aggregates`` (:func:`fastjag.models.cells.resample_cells`), in each fold by itself. Evaluation
        takes the signed weights.
    fast
        Fewer trees, rounds, epochs and support vectors, for demonstrations.
    device
        Of XGBoost and DeepSets.
    continuum
        Events that are none of the classes and teach nothing, with the same columns, and their table: categories are
        counted against them, too, in the ``window`` of masses; ``limits`` are those of the selection [GeV].

    Memory is what the process needed on top while a model was trained or predicted; None where the
    system does not tell.

    Raises ValueError naming the class without (enough) events or without positive weight, and
    column and event of a value that no model accepts.
    """
    needs("sklearn", "diphoton")
    needs("xgboost", "trees")
    from fastjag.models.table_classifier import as_table

    for name in models:
        if name not in MODELS:
            raise ValueError(f"no model {name!r}: {near_misses(name, MODELS)}")
    for name in ("label", "weight"):
        if name not in events.flat:
            raise KeyError(f"events need a flat column {name!r}: {near_misses(name, events.flat)}")
    fold = stratified_folds(events.flat["label"], events.classes, folds, seed)
    table, framed = as_table(aggregates), in_own_frame(events)
    sets = pyramid_sets(framed)
    if len(table) != len(events):
        raise ValueError(f"aggregates have {len(table)} events, but there are {len(events)}")
    seen = {"table": table, "sets": sets, "events": framed}
    judged: dict[str, Any] | None = None
    if continuum is not None and len(continuum[0]):
        others = in_own_frame(continuum[0], framed.particles)
        columns = {name: continuum[1][name] for name in aggregates}
        judged = {"table": as_table(columns), "sets": pyramid_sets(others), "events": others}
    compared = estimators(
        framed,
        sets,
        negative="error" if negative == "resample" else negative,
        fast=fast,
        seed=seed,
        device=device,
        threads=threads,
    )
    learned = _weights_of_folds(events, table, fold, negative)
    results = {}
    with progress_bar("models x folds", len(models) * folds, progress) as advance:
        for name in models:
            kind, model = compared[name]
            unlearned = None if judged is None else judged[kind]
            results[name] = _in_folds(
                name, model, seen[kind], events, fold, seed, advance, learned, unlearned
            )
    return ModelComparison(
        _numbers(events, results, fold, tuple(aggregates), continuum, window, limits)
        | {
            "settings": {
                "folds": folds, "seed": seed, "negative": negative, "fast": fast, "device": device
            }
        },
        {name: result.probability for name, result in results.items()},
        fold,
    )  # fmt: skip


@dataclass
class _Result:
    """Of one model: out-of-fold probabilities, and by fold costs and importances."""

    probability: Floats
    continuum: Floats | None = None  #: of its events, the mean of all folds' models
    costs: dict[str, list[Cost]] = field(default_factory=lambda: {"training": [], "prediction": []})
    drops: list[dict[Any, float]] = field(default_factory=list)
    gains: list[Floats] = field(default_factory=list)


def _in_folds(
    name: str, recipe: Any, seen: Any, events: Events, fold: Labels, seed: int, advance: Any,
    learned: Sequence[Floats], judged: Any = None,
) -> _Result:  # fmt: skip
    from sklearn.base import clone

    label = events.flat["label"]
    y = np.array(events.classes)[label]
    # Bars do not nest.
    quiet = {"progress": False} if name in ("DeepSets", "pyramid linear") else {}
    result = _Result(np.empty((len(events), len(events.classes))))
    for i in range(int(fold.max()) + 1):
        others, own = np.flatnonzero(fold != i), np.flatnonzero(fold == i)
        model, known, unseen = clone(recipe), _rows(seen, others), _rows(seen, own)
        with _measure() as cost:
            try:
                model.fit(known, y[others], learned[i], **quiet)
            except ValueError as error:
                raise ValueError(f"{name}, fold {i}: {error}") from error
        result.costs["training"].append(cost)
        order = [list(model.classes_).index(c) for c in events.classes]
        with _measure() as cost:
            result.probability[own] = model.predict_proba(unseen)[:, order]
        result.costs["prediction"].append(cost)
        if judged is not None:
            share = model.predict_proba(judged)[:, order] / (int(fold.max()) + 1)
            result.continuum = share if result.continuum is None else result.continuum + share
        if name in ("XGBoost", "DeepSets"):
            result.drops.append(permutation_drops(model, unseen, label[own], order, seed + i))
        if isinstance(seen, np.ndarray) and hasattr(model, "feature_importances_"):
            result.gains.append(model.feature_importances_)
        advance(1)
    return result


def _weights_of_folds(events: Events, table: Floats, fold: Labels, negative: str) -> list[Floats]:
    """Weights to learn with, of the events that each fold learns from."""
    weight = np.asarray(events.flat["weight"], np.float64)
    parts = [np.flatnonzero(fold != i) for i in range(int(fold.max()) + 1)]
    if negative != "resample":
        return [weight[others] for others in parts]
    from fastjag.models.cells import resample_cells

    label = np.array(events.classes)[events.flat["label"]]
    return [
        resample_cells(table[others], weight[others], label[others]).weights for others in parts
    ]


def _rows(seen: Any, rows: Labels) -> Any:
    if isinstance(seen, dict):
        return {name: part[rows] for name, part in seen.items()}
    return seen[rows]


def _numbers(
    events: Events, results: Mapping[str, _Result], fold: Labels, columns: Sequence[str],
    continuum: tuple[Events, Any] | None, window: tuple[float, float], limits: tuple[float, float],
) -> dict[str, Any]:  # fmt: skip
    label, weight = events.flat["label"], np.asarray(events.flat["weight"], np.float64)
    classes = events.classes
    models = {}
    importances: dict[str, Any] = {"permutation": {}, "gain": {}}
    for name, result in results.items():
        models[name] = evaluate(label, result.probability, weight, fold, classes)
        if result.continuum is not None and continuum is not None:
            flat = continuum[0].flat
            models[name]["continuum"] = with_continuum(
                {"label": label, "probability": result.probability, "weight": weight,
                 "mass": events.flat["m_yy"]},
                {"probability": result.continuum, "weight": flat["weight"], "mass": flat["m_yy"]},
                classes, window, limits,
            )  # fmt: skip
        for what, costs in result.costs.items():
            memory = [cost.memory for cost in costs if cost.memory is not None]
            models[name][f"{what}_seconds"] = float(np.mean([cost.seconds for cost in costs]))
            models[name][f"{what}_memory_MB"] = max(memory) if memory else None
        if result.drops:
            importances["permutation"][name] = {
                columns[f] if isinstance(f, int) else f: mean_and_error(
                    [d[f] for d in result.drops]
                )
                for f in result.drops[0]
            }
        if result.gains:
            by_column = np.transpose(result.gains)
            importances["gain"][name] = {
                f: mean_and_error(values) for f, values in zip(columns, by_column, strict=True)
            }
    return {
        "classes": list(classes),
        "events": dict(
            zip(classes, np.bincount(label, minlength=len(classes)).tolist(), strict=True)
        ),
        "expected": dict(
            zip(classes, np.bincount(label, weight, len(classes)).tolist(), strict=True)
        ),
        "models": models,
        "importances": importances,
    }


# ---- importances ----------------------------------------------------------------------------


def permutation_drops(
    model: Any, X: Any, label: Labels, order: list[int], seed: int
) -> dict[Any, float]:
    """By how much accuracy falls where one feature comes from other events (Breiman 2001).

    Features of held-out events ``X`` are columns by number, or types of particles; ``order`` is that
    of the model's probabilities for classes 0, 1, ...
    """

    def accuracy(events: Any) -> float:
        predicted = model.predict_proba(events)[:, order].argmax(axis=1)
        return balanced_accuracy(confusion(label, predicted, len(order)))

    before, rng = accuracy(X), np.random.default_rng(seed)
    return {name: before - accuracy(shuffled) for name, shuffled in _shuffled(model, X, rng)}


def _shuffled(model: Any, X: Any, rng: np.random.Generator) -> Iterator[tuple[Any, Any]]:
    if isinstance(X, Events):
        for name in model.inputs:
            others = X.particles[name][rng.permutation(len(X))]
            yield name, Events({**X.particles, name: others}, X.flat, X.classes)
        if model.flat:  # together, as a direction alone means nothing
            order = rng.permutation(len(X))
            flat = {name: X.flat[name][order] for name in model.flat}
            yield "met", Events(X.particles, {**X.flat, **flat}, X.classes)
        return
    for column in range(X.shape[1]):
        changed = X.copy()
        changed[:, column] = rng.permutation(X[:, column])
        yield column, changed


# ---- costs ----------------------------------------------------------------------------------


@dataclass
class Cost:
    seconds: float = 0.0
    memory: float | None = None  #: additional peak [MB]


@contextmanager
def _measure() -> Iterator[Cost]:
    cost = Cost()
    _give_back()
    before = _memory(reset=True)
    started = time.perf_counter()
    yield cost
    cost.seconds = time.perf_counter() - started
    after = _memory()
    if before and after:
        cost.memory = (after["VmHWM"] - before["VmRSS"]) / 1024


def _give_back() -> None:
    """Freed memory back to the system, or the next model would seem to need none."""
    gc.collect()
    with suppress(OSError, AttributeError):  # there only with glibc
        ctypes.CDLL(None).malloc_trim(0)


def _memory(reset: bool = False) -> dict[str, int]:
    """VmHWM and VmRSS of Linux [KiB], the high-water mark first set to the present if asked."""
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return {}
    return {line.split(":")[0]: int(line.split()[1]) for line in lines if line[:2] == "Vm"}
