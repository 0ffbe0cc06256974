"""Taggers from padded tensors: XGBoost and DeepSets, tested on events that they have not seen."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from fastjag.analyses.jets.config import TARGETS, TrainConfig
from fastjag.analyses.jets.results import SHAPES, JetTable, Tagging
from fastjag.analyses.jets.tagging import held_out, labels_of, origins, roc, same_spectrum
from fastjag.core.arrays import Array
from fastjag.core.checks import needs
from fastjag.models.training_device import training_device

_LEADING = 16  # candidates that the trees see one by one


def train(
    table: JetTable,
    config: TrainConfig = TrainConfig(),
    *,
    device: str = "cpu",
    threads: int | None = None,
    progress: bool | None = None,
) -> Tagging:
    """Train taggers on tensors of :func:`fastjag.analyses.jets.results.read_tensors`.

    XGBoost gets shapes, the 16 leading candidates one by one (empty slots as missing values) and
    vertices; DeepSets the features of up to ``slots`` leading candidates, and of vertices, as sets, and
    the shapes, in batches of :func:`fastjag.loading.tensor_loader`.

    Raises ValueError where a class has too few jets.
    """
    libraries = {"XGBoost": "xgboost", "DeepSets": "torch"}
    training_device(device, *(libraries[name] for name in config.models))
    rows, labels = labels_of(table, config.target)
    counts = np.bincount(labels, minlength=2)
    signal, background = TARGETS[config.target]
    if counts.min() < 20:
        raise ValueError(f"{table.source}: {counts[1]} {signal} and {counts[0]} {background} jets; "
                         f"training needs 20 of both at least")  # fmt: skip
    chosen = table
    if len(rows) < len(table):
        chosen = JetTable({n: v[rows] for n, v in table.columns.items()}, table.source)
    held = held_out(chosen, config.test, config.seed)
    origin, copies = origins(chosen)
    weights = same_spectrum(chosen["fj_pt"], labels)
    if min(np.bincount(labels[part], minlength=2).min() for part in (held, ~held)) < 5:
        raise ValueError(f"{table.source}: too few jets for a test share of {config.test}")
    sizes = {f"{part} {name}": int((labels[mask] == which).sum())
             for part, mask in (("training", ~held), ("test", held))
             for name, which in ((signal, 1), (background, 0))}  # fmt: skip
    settings = {name: getattr(config, name)
                for name in ("target", "test", "epochs", "rounds", "slots", "seed")}  # fmt: skip
    result = Tagging(config.target, (signal, background), labels[held], weights[held], {}, sizes,
                     settings, table.source)  # fmt: skip
    for name in config.models:
        started = time.perf_counter()
        fit = {"XGBoost": _boosted_trees, "DeepSets": _deep_sets}[name]
        model, scores, record = fit(
            chosen, labels, weights, held, config, groups=origin[~held], device=device,
            threads=threads, progress=progress,
        )  # fmt: skip
        result.models[name] = {
            **roc(scores, result.labels, result.weights, copies[held]), "scores": scores,
            **record, "model": model, "ending": ".pickle",
            "seconds": time.perf_counter() - started,
        }  # fmt: skip
    return result


def _tensors(table: JetTable, slots: int, of_vertices: int | None) -> Iterator[Any]:
    """(collection, values, mask, names of features) of the candidates, and vertices if there are."""
    yield "pfcand", *table.tensor("pfcand", slots)
    if "n_sv" in table:
        yield "sv", *table.tensor("sv", of_vertices)


def _boosted_trees(
    table: JetTable, labels: Array, weights: Array, held: Array, config: TrainConfig, **options: Any
) -> tuple[Any, Array, dict[str, Any]]:
    needs("xgboost", "trees")
    from fastjag.models.boosted_trees import BoostedTrees

    columns = {name: table[f"fj_{name}"] for name in SHAPES}
    for collection, values, mask, names in _tensors(table, _LEADING, 2):
        values = np.where(mask[..., None], values, np.nan)
        for slot in range(values.shape[1]):
            columns |= {f"{collection}{slot}_{n}": values[:, slot, i] for i, n in enumerate(names)}
    if "n_sv" in table:
        columns["n_sv"] = table["n_sv"]
    matrix = np.column_stack(list(columns.values()))
    model = BoostedTrees(
        rounds=config.rounds, seed=config.seed, threads=options["threads"],
        device=options["device"],
    )  # fmt: skip
    model.fit(matrix[~held], labels[~held], weights[~held], groups=options["groups"])
    scores = np.asarray(model.predict_proba(matrix[held])[:, 1])
    return model, scores, {"features": list(columns)}


def _deep_sets(table: JetTable, *given: Any, **options: Any) -> tuple[Any, Array, dict[str, Any]]:
    needs("torch", "torch")
    from fastjag.analyses.jets.deep_sets import deep_sets

    return deep_sets(table, *given, **options)
