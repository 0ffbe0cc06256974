"""Which aggregates tell the production modes apart."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastjag.analyses.diphoton.results import DiphotonResults
from fastjag.analyses.importance import Importances, compare_importances


def importances(results: DiphotonResults, *, most: int = 15, **options: Any) -> Importances:
    """Importances of the ``most`` aggregates with the largest mutual information with the classes.

    Undefined aggregates (no second jet, ...) take the value just below the lowest one, as the
    forests do; weights are absolute values, as in training. ``options`` go to
    :func:`fastjag.analyses.importance.compare_importances`.
    """
    if most < 2:
        raise ValueError(f"most must be 2 or more, got {most}")
    events, table = results.learned(), results.features()
    names = [name for name, x in table.items() if np.nanmin(x) < np.nanmax(x)]
    x = np.column_stack([_fill(np.asarray(table[name], np.float64)) for name in names])
    labels = np.asarray(events.classes)[events.flat["label"]]
    weights = np.abs(np.asarray(events.flat["weight"], np.float64))
    shared = {"seed": results.config.seed, **options}
    first = compare_importances(
        x, labels, weights, names, **{**shared, "methods": ["mutual information"]}
    )
    chosen = np.sort(np.argsort(-np.asarray(first.scores["mutual information"]))[:most])
    return compare_importances(x[:, chosen], labels, weights, [names[i] for i in chosen], **shared)


def _fill(x: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.where(np.isnan(x), np.nanmin(x) - 1, x)
