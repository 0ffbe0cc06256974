"""Diphotons that are no Higgs boson, in the categories that a model makes: the largest background.

Events of the configuration's backgrounds never teach a model. Every fold's model judges them, and the mean
of its probabilities puts them into a category. Of their masses outside the window of the signal the
slope of an exponential is fitted, which says how many are within: for collisions nothing in the window is
looked at, and for simulation the events outside, which are many more, count as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from fastjag.analyses.diphoton.evaluation import category_significance, confusion

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

_FEW = 20  # effective events outside: with fewer, the slope is that of all categories


class Continuum(NamedTuple):
    """Of one category."""

    expected: float  #: in the window
    error: float  #: statistical
    outside: float  #: sum of weights outside
    slope: float  #: of exp(-slope * m) [1/GeV]


def in_window(
    mass: Floats, weight: Floats, window: tuple[float, float], limits: tuple[float, float],
    slope: float | None = None,
) -> Continuum:  # fmt: skip
    """Expected events in a window, from those outside of it between ``limits`` [GeV].

    The slope maximises the (weighted) likelihood of an exponential outside the window, unless it is given. The
    error is that of the number outside and of the slope.
    """
    side = ((mass < window[0]) | (mass >= window[1])) & (mass > limits[0]) & (mass < limits[1])
    m, w = mass[side], weight[side]
    total = float(w.sum())
    if not total > 0:
        return Continuum(0.0, 0.0, total, 0.0 if slope is None else slope)
    mean = float((w * m).sum() / total)

    def loss(s: float) -> float:
        return float(s * (mean - 125) + np.log(_outside(s, window, limits)))

    found = slope
    if found is None:
        found = float(optimize.minimize_scalar(loss, bounds=(-0.2, 0.4), method="bounded").x)
    ratio = _integral(found, *window) / _outside(found, window, limits)
    squares = float((w * w).sum())
    error = ratio * np.sqrt(squares)
    if slope is None:
        step = 1e-3
        curvature = (loss(found + step) - 2 * loss(found) + loss(found - step)) / step**2
        up = _integral(found + step, *window) / _outside(found + step, window, limits)
        per_slope = total * (up - ratio) / step
        effective = total**2 / squares
        if curvature > 0:
            error = float(np.hypot(error, per_slope / np.sqrt(effective * curvature)))
    return Continuum(total * ratio, float(error), total, found)


def _integral(s: float, low: float, high: float) -> float:
    """Of exp(-s (m - 125)) from low to high."""
    if abs(s) < 1e-9:
        return high - low
    return float((np.exp(-s * (low - 125)) - np.exp(-s * (high - 125))) / s)


def _outside(s: float, window: tuple[float, float], limits: tuple[float, float]) -> float:
    return _integral(s, limits[0], window[0]) + _integral(s, window[1], limits[1])


def with_continuum(
    signal: dict[str, Any], background: dict[str, Any], classes: Sequence[str],
    window: tuple[float, float], limits: tuple[float, float],
) -> dict[str, Any]:  # fmt: skip
    """Significances of the categories in the window against other modes and the continuum.

    ``signal`` has "label", "probability" (n, K), "weight" and "mass" of the learned events, ``background``
    "probability", "weight" and "mass" of the continuum. By class: "S", "B" (other modes), "continuum" and its
    "error", and the Asimov "Z" of S against both.
    """
    k = len(classes)
    inside = (signal["mass"] >= window[0]) & (signal["mass"] < window[1])
    predicted = signal["probability"].argmax(axis=1)
    matrix = confusion(
        signal["label"][inside], predicted[inside], k, np.asarray(signal["weight"])[inside]
    )
    mass, weight = (np.asarray(background[c], np.float64) for c in ("mass", "weight"))
    category = background["probability"].argmax(axis=1)
    every = in_window(mass, weight, window, limits)
    found = []
    for c in range(k):
        own = category == c
        squares = float((weight[own] ** 2).sum())
        few = squares == 0 or weight[own].sum() ** 2 / squares < _FEW
        found.append(
            in_window(mass[own], weight[own], window, limits, every.slope if few else None)
        )
    expected = np.array([f.expected for f in found])
    # The continuum is a class of its own, of which nothing is predicted to be it.
    whole = np.zeros((k + 1, k + 1))
    whole[:k, :k] = matrix
    whole[k, :k] = expected
    z = category_significance(whole)
    own_b = matrix.sum(axis=0) - np.diag(matrix)
    values = {
        "S": np.diag(matrix), "B": own_b, "continuum": expected,
        "error": np.array([f.error for f in found]), "Z": z["asimov"][:k],
    }  # fmt: skip
    return {n: dict(zip(classes, v.tolist(), strict=True)) for n, v in values.items()} | {
        "window": list(window)
    }
