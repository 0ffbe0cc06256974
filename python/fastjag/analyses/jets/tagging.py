"""What taggers are tested with: classes, events held out, weights, ROC curves."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastjag.analyses.jets.results import JetTable
from fastjag.core.arrays import Array
from fastjag.models.roc import area_error, roc_curve
from fastjag.reporting.points import efficiency_errors

_PT_BINS = 12


def labels_of(table: JetTable, target: str) -> tuple[Array, Array]:
    """(rows, 1 for signal): jets of either class. "quark": u, d, s against gluons, no heavy flavour
    and no undefined partons (0); "b": b jets by their hadrons against all others."""
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


def held_out(table: JetTable, share: float, seed: int) -> Array:
    """Mask of a random share of the events, or of jets where the table does not name their events.

    Jets of one event stay together, and so do copies of an event (:func:`origins`).
    """
    origin, _ = origins(table)
    chosen = np.random.default_rng(seed).random(int(origin.max(initial=-1)) + 1) < share
    return np.asarray(chosen[origin])


def origins(table: JetTable) -> tuple[Array, Array]:
    """Of each jet: the number of the event that it, or what it is a copy of, was recorded in,
    counted from 0 in the order of the table; and how many copies of that event there are.

    Events are told apart by run, lumi and ``origin`` (``event`` where there is none), wherever they
    are in the table. Without these columns every jet counts as an event.
    """
    n = len(table)
    if not all(name in table for name in ("run", "lumi", "event")):
        return np.arange(n), np.ones(n, np.int64)
    names = ("run", "lumi", "origin" if "origin" in table else "event")
    keys = np.stack([table[name].astype(np.int64) for name in names])
    _, first, group = np.unique(keys, axis=1, return_index=True, return_inverse=True)
    order = np.argsort(np.argsort(first))
    group = order[group.ravel()]
    pairs = np.unique(np.stack([group, table["event"].astype(np.int64)]), axis=1)
    copies = np.bincount(pairs[0], minlength=len(first))
    return group, copies[group]


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


def roc(
    scores: Array, labels: Array, weights: Array, copies: Array | None = None
) -> dict[str, Any]:
    """Mistag rate at efficiencies, and the area under the curve (equal scores count half).

    With their errors: of the area by :func:`fastjag.models.roc.area_error`, of mistag rates, below and
    above, by Clopper and Pearson, all with effective numbers of jets. ``copies`` says how many copies of a
    jet there are: together they know what one of them does.
    """
    same = np.ones(len(scores)) if copies is None else copies
    curve = roc_curve(labels == 1, scores, weights)
    efficiency, mistag, auc = *curve, curve.area
    w = weights.astype(np.float64)
    v = w**2 * same
    signal, background = (w[labels == k].sum() ** 2 / v[labels == k].sum() for k in (1, 0))
    grid = np.linspace(0.01, 1, 100)

    def with_errors(at: Any) -> tuple[Any, Any]:
        rate = np.interp(at, efficiency, mistag)
        return rate, efficiency_errors(rate.clip(0, 1) * background, background)

    rates, errors = with_errors(grid)
    (half, most), of_both = with_errors(np.array([0.5, 0.7]))
    return {
        "auc": auc,
        "auc_error": area_error(auc, signal, background),
        "efficiency": grid,
        "mistag": rates,
        "mistag_error": errors,
        "mistag_at_50": float(half),
        "mistag_at_50_error": of_both[:, 0].tolist(),
        "mistag_at_70": float(most),
        "mistag_at_70_error": of_both[:, 1].tolist(),
    }
