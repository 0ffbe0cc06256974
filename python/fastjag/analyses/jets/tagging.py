"""Taggers from padded tensors: XGBoost and DeepSets, tested on events that they have not seen."""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fastjag.analyses.jets.tensors import Table
from fastjag.core.arrays import Array
from fastjag.core.checks import at_least, needs, one_of
from fastjag.jagged import Padded
from fastjag.models.training_device import training_device
from fastjag.reporting.output import new_file

MODELS = ("XGBoost", "DeepSets")
#: Signal and background of each target.
TARGETS = {"quark": ("quark", "gluon"), "b": ("b", "other")}
SHAPES = ("girth", "pt_d", "axis2", "multiplicity", "charged_multiplicity", "neutral_multiplicity")
_LEADING = 16  # candidates that the trees see one by one
_PT_BINS = 12


@dataclass
class Tagging:
    """Scores of the test jets and what they separate."""

    target: str
    classes: tuple[str, str]  #: signal, background
    labels: Array  #: (n_test,) 1 for signal
    weights: Array  #: (n_test,)
    models: dict[str, dict[str, Any]]
    counts: dict[str, int]
    settings: dict[str, Any]
    source: str


def labels_of(table: Table, target: str) -> tuple[Array, Array]:
    """(rows, 1 for signal): jets of either class. "quark": u, d, s against gluons, no heavy flavour
    and no undefined partons (0); "b": b jets by their hadrons against all others."""
    one_of("target", target, tuple(TARGETS))
    hadron = table.columns.get("fj_hadron_flavour")
    if target == "b":
        if hadron is None:
            raise ValueError(f"{table.source}: b jets need the column fj_hadron_flavour")
        return np.arange(len(table)), (hadron == 5).astype(np.int64)
    parton = table["fj_parton_flavour"]
    light = np.isin(parton, (1, 2, 3))
    kept = light | (parton == 21)
    if hadron is not None:
        kept &= (hadron != 4) & (hadron != 5)
    return np.flatnonzero(kept), light[kept].astype(np.int64)


def held_out(table: Table, share: float, seed: int) -> Array:
    """Mask of a random share of the events, or of jets where the table does not name their events.

    Jets of one event stay together, and so do copies of an event (:func:`origins`).
    """
    if not 0 < share < 1:
        raise ValueError(f"the share of test events must be between 0 and 1, got {share!r}")
    origin, _ = origins(table)
    chosen = np.random.default_rng(seed).random(int(origin.max(initial=-1)) + 1) < share
    return np.asarray(chosen[origin])


def origins(table: Table) -> tuple[Array, Array]:
    """Of each jet: the number of the event that it, or what it is a copy of, was recorded in,
    counted from 0 in the order of the table; and how many copies of that event there are.

    Events are told apart by run, lumi and ``origin`` (``event`` where there is none), wherever they
    are in the table. Without these columns every jet counts as an event.
    """
    n = len(table)
    known = [name for name in ("run", "lumi", "event") if name in table]
    if len(known) < 3:
        return np.arange(n), np.ones(n, np.int64)
    origin = table["origin" if "origin" in table else "event"]
    keys = np.stack([_integer(x) for x in (table["run"], table["lumi"], origin)])
    _, first, group = np.unique(keys, axis=1, return_index=True, return_inverse=True)
    order = np.argsort(np.argsort(first))
    group = order[group.ravel()]
    pairs = np.unique(np.stack([group, _integer(table["event"])]), axis=1)
    copies = np.bincount(pairs[0], minlength=len(first))
    return group, copies[group]


def _integer(values: Array) -> Array:
    return values.astype(np.int64)


def same_spectrum(pt: Array, labels: Array) -> Array:
    """Weights of mean 1 per class that give both classes the pt spectrum of the signal, in bins that
    hold equally many signal jets: taggers must not learn from how samples were made."""
    edges = np.quantile(pt[labels == 1], np.linspace(0, 1, _PT_BINS + 1)[1:-1])
    place = np.searchsorted(edges, pt, side="right")
    counts = [np.bincount(place[labels == which], minlength=_PT_BINS) for which in (0, 1)]
    ratio = np.where(counts[0] > 0, counts[1] / np.maximum(counts[0], 1), 0.0)
    weights = np.where(labels == 1, 1.0, ratio[place])
    for which in (0, 1):
        weights[labels == which] /= weights[labels == which].mean()
    return weights


def train(
    table: Table,
    target: str = "quark",
    *,
    models: Iterable[str] = MODELS,
    test: float = 0.25,
    epochs: int = 10,
    rounds: int = 300,
    slots: int = 40,
    seed: int = 0,
    threads: int | None = None,
    device: str = "cpu",
    progress: bool | None = None,
) -> Tagging:
    """Train taggers on tensors of :func:`fastjag.analyses.jets.tensors.read_tensors`.

    XGBoost gets shapes, the 16 leading candidates one by one (empty slots as missing values) and
    vertices; DeepSets the features of up to ``slots`` leading candidates, and of vertices, as sets, and
    the shapes.

    Raises ValueError where a class has too few jets.
    """
    chosen = [one_of("model", name, MODELS) for name in models]
    at_least("epochs", epochs, 1)
    at_least("rounds", rounds, 1)
    training_device(device, *({"XGBoost": "xgboost", "DeepSets": "torch"}[name] for name in chosen))
    rows, labels = labels_of(table, target)
    counts = np.bincount(labels, minlength=2)
    signal, background = TARGETS[target]
    if counts.min() < 20:
        raise ValueError(f"{table.source}: {counts[1]} {signal} and {counts[0]} {background} jets; "
                         f"training needs 20 of both at least")  # fmt: skip
    picked = Table({n: v[rows] for n, v in table.columns.items()}, table.source)
    held = held_out(picked, test, seed)
    origin, copies = origins(picked)
    weights = same_spectrum(picked["fj_pt"], labels)
    if min(np.bincount(labels[part], minlength=2).min() for part in (held, ~held)) < 5:
        raise ValueError(f"{table.source}: too few jets for a test share of {test}")
    result = Tagging(
        target, (signal, background), labels[held], weights[held], {},
        {f"{part} {name}": int((labels[mask] == which).sum())
         for part, mask in (("training", ~held), ("test", held))
         for name, which in ((signal, 1), (background, 0))},
        {"target": target, "test": test, "epochs": epochs, "rounds": rounds, "slots": slots,
         "seed": seed}, table.source,
    )  # fmt: skip
    train_one = {"XGBoost": _boosted_trees, "DeepSets": _deep_sets}
    for name in chosen:
        started = time.perf_counter()
        model, scores, features = train_one[name](
            picked, labels, weights, held, seed=seed, threads=threads, device=device,
            epochs=epochs, rounds=rounds, slots=slots, progress=progress, groups=origin[~held],
        )  # fmt: skip
        result.models[name] = {
            **roc(scores, result.labels, result.weights, copies[held]), "scores": scores, "features": features,
            "seconds": time.perf_counter() - started, "save": _saver(model), "ending": ".pickle",
        }  # fmt: skip
    return result


def _saver(model: Any) -> Any:
    def save(path: Path) -> None:
        with new_file(path) as partial, open(partial, "wb") as file:
            pickle.dump(model, file)

    return save


def _boosted_trees(
    table: Table, labels: Array, weights: Array, held: Array, **options: Any
) -> tuple[Any, Array, list[str]]:
    needs("xgboost", "trees")
    from fastjag.models.boosted_trees import BoostedTrees

    columns = _tree_columns(table)
    matrix = np.column_stack(list(columns.values()))
    model = BoostedTrees(
        rounds=options["rounds"], seed=options["seed"], threads=options["threads"],
        device=options["device"],
    )  # fmt: skip
    model.fit(matrix[~held], labels[~held], weights[~held], groups=options["groups"])
    return model, np.asarray(model.predict_proba(matrix[held])[:, 1]), list(columns)


def _tree_columns(table: Table) -> dict[str, Array]:
    columns = {name: table[f"fj_{name}"] for name in SHAPES}
    for collection, slots in (("pfcand", _LEADING), ("sv", 2)):
        if collection == "sv" and "n_sv" not in table:
            continue
        values, mask, names = table.tensor(collection, slots)
        values = np.where(mask[..., None], values, np.nan)
        for slot in range(values.shape[1]):
            columns |= {f"{collection}{slot}_{n}": values[:, slot, i] for i, n in enumerate(names)}
    if "n_sv" in table:
        columns["n_sv"] = table["n_sv"]
    return columns


def _deep_sets(
    table: Table, labels: Array, weights: Array, held: Array, **options: Any
) -> tuple[Any, Array, list[str]]:
    needs("torch", "torch")
    from fastjag.models.deepsets import DeepSets
    from fastjag.models.particle_tensors import EventSets

    particles, inputs = {}, {}
    for collection, slots in (("pfcand", options["slots"]), ("sv", None)):
        if collection == "sv" and "n_sv" not in table:
            continue
        values, mask, names = table.tensor(collection, slots)
        particles[collection] = Padded(values, mask)
        # Features are numbers of order one already: names that stand for nothing else.
        inputs[collection] = tuple(f"{n} feature" for n in names)
    flat = {f"{name} shape": np.nan_to_num(table[f"fj_{name}"]) for name in SHAPES}

    def part(rows: Array) -> EventSets:
        return EventSets(
            {k: Padded(p.values[rows], p.mask[rows]) for k, p in particles.items()},
            {k: v[rows] for k, v in flat.items()},
        )

    model = DeepSets(
        inputs, tuple(flat), phi=(64, 64), rho=(64, 32), epochs=options["epochs"],
        seed=options["seed"], device=options["device"],
    )  # fmt: skip
    model.fit(part(~held), labels[~held], weights[~held], groups=options["groups"],
              progress=options["progress"])  # fmt: skip
    scores = np.asarray(model.predict_proba(part(held))[:, 1])
    return model, scores, [n for names in inputs.values() for n in names] + list(flat)


def roc(
    scores: Array, labels: Array, weights: Array, copies: Array | None = None
) -> dict[str, Any]:
    """Mistag rate at efficiencies, area under the curve (equal scores count half) with its error
    (Hanley, McNeil, Radiology 143 (1982) 29, with effective numbers of jets).

    ``copies`` says how many copies of a jet there are: together they know what one of them does.
    """
    same = np.ones(len(scores)) if copies is None else copies
    order = np.argsort(-scores, kind="stable")
    s, y, w = scores[order], labels[order], weights[order].astype(np.float64)
    ends = np.append(np.flatnonzero(np.diff(s)), len(s) - 1)  # equal scores pass together
    passed = [np.concatenate([[0], np.cumsum(w * (y == k))[ends]]) for k in (1, 0)]
    efficiency, mistag = (p / p[-1] for p in passed)
    auc = float(np.trapezoid(efficiency, mistag))
    v = w**2 * same[order]
    n = [w[y == k].sum() ** 2 / v[y == k].sum() for k in (1, 0)]
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = (
        auc * (1 - auc) + (n[0] - 1) * (q1 - auc**2) + (n[1] - 1) * (q2 - auc**2)
    ) / (n[0] * n[1])  # fmt: skip
    grid = np.linspace(0.01, 1, 100)
    return {
        "auc": auc,
        "auc_error": float(np.sqrt(max(variance, 0))),
        "efficiency": grid,
        "mistag": np.interp(grid, efficiency, mistag),
        "mistag_at_50": float(np.interp(0.5, efficiency, mistag)),
        "mistag_at_70": float(np.interp(0.7, efficiency, mistag)),
    }
