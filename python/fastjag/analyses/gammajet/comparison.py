"""Distributions of data and simulation, normalised to one another, and how well they agree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from fastjag.core.arrays import Array

#: Columns that are compared.
COMPARED = ("photon_pt", "photon_eta", "jet_pt", "jet_eta", "alpha", "mpf")


def compare(
    data: Mapping[str, Array], simulation: Mapping[str, Array], column: str
) -> dict[str, Any]:
    """Densities of a column in 30 bins, their errors, and the test of whether they agree.

    ``edges`` (31,); for "data" and "simulation" ``density`` and ``error`` (30,), and the shares of the
    events ``below`` and ``above`` the edges; ``test``, a :class:`Comparison`.
    """
    low, high = np.quantile(np.concatenate([data[column], simulation[column]]), [0.001, 0.995])
    edges = np.linspace(low, high, 31)
    result: dict[str, Any] = {"edges": edges}
    for name, rows in (("data", data), ("simulation", simulation)):
        w = rows["weight"] / rows["weight"].sum()
        sums, squares = (np.histogram(rows[column], edges, weights=v)[0] for v in (w, w**2))
        result[name] = {
            "density": sums / np.diff(edges), "error": np.sqrt(squares) / np.diff(edges),
            "below": float(w[rows[column] < low].sum()), "above": float(w[rows[column] > high].sum()),
        }  # fmt: skip
    result["test"] = weighted_ks(
        data[column], simulation[column], data["weight"], simulation["weight"]
    )
    return result


class Comparison(NamedTuple):
    """Two distributions, normalised to one another."""

    statistic: float  #: largest distance of the cumulative distributions (Kolmogorov-Smirnov)
    p: float  #: with the effective numbers of entries, (sum w)² / sum w²


def weighted_ks(
    a: ArrayLike, b: ArrayLike, weights_a: ArrayLike | None = None,
    weights_b: ArrayLike | None = None,
) -> Comparison:  # fmt: skip
    """Kolmogorov-Smirnov test of two samples with weights; approximate where they vary much."""
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    u = np.ones(len(x)) if weights_a is None else np.asarray(weights_a, np.float64)
    v = np.ones(len(y)) if weights_b is None else np.asarray(weights_b, np.float64)
    if u.sum() <= 0 or v.sum() <= 0:
        return Comparison(np.nan, np.nan)
    both = np.concatenate([x, y])
    order = np.argsort(both, kind="stable")
    steps = np.concatenate([u / u.sum(), -v / v.sum()])[order]
    # At equal values both distributions step together.
    last = np.append(np.diff(both[order]) > 0, True)
    statistic = float(np.abs(np.cumsum(steps)[last]).max())
    n, m = u.sum() ** 2 / (u**2).sum(), v.sum() ** 2 / (v**2).sum()
    return Comparison(statistic, float(stats.kstwobign.sf(statistic * np.sqrt(n * m / (n + m)))))
