"""Weighted means in bins, and the line through them to the limit without further jets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastjag.analyses.gammajet.config import ALPHA_EDGES, PT_EDGES
from fastjag.core.arrays import check_length

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Profile:
    """Weighted means of y in bins of x, NaN in empty bins; all of shape (n_bins,)."""

    edges: Floats  #: (n_bins + 1,)
    mean: Floats
    error: Floats  #: of the mean: sqrt(sum w² (y - mean)²) / |sum w|
    x: Floats  #: mean of x
    entries: NDArray[np.int64]
    sum_w: Floats


def profile(
    x: ArrayLike, y: ArrayLike, weights: ArrayLike | None = None, *, edges: ArrayLike = PT_EDGES
) -> Profile:
    """The mean of y, (n,), in bins of x, (n,), with weights of either sign.

    Bins whose weights do not add up to more than 0 have no mean. Raises ValueError for lengths that
    differ and edges that do not rise.
    """
    a, b = np.asarray(x, np.float64), np.asarray(y, np.float64)
    w = np.ones(len(a)) if weights is None else np.asarray(weights, np.float64)
    for name, values in (("y", b), ("weights", w)):
        check_length(values, name, len(a), "values")
    borders = np.asarray(edges, np.float64)
    if borders.ndim != 1 or len(borders) < 2 or not (np.diff(borders) > 0).all():
        raise ValueError(f"edges must rise, got {borders.tolist()}")
    n = len(borders) - 1
    which = np.searchsorted(borders, a, side="right") - 1
    inside = (which >= 0) & (which < n) & np.isfinite(b)
    which, a, b, w = which[inside], a[inside], b[inside], w[inside]

    def total(values: Floats) -> Floats:
        return np.asarray(np.bincount(which, values, n), np.float64)

    sum_w = total(w)
    with np.errstate(divide="ignore", invalid="ignore"):
        norm = np.where(sum_w > 0, sum_w, np.nan)
        mean = total(w * b) / norm
        error = np.sqrt(total(w**2 * (b - mean[which]) ** 2)) / norm
        centre = total(w * a) / norm
    entries = np.bincount(which, minlength=n)
    # One entry tells a mean, but nothing about its error.
    return Profile(borders, mean, np.where(entries > 1, error, np.nan), centre, entries, sum_w)


class Line(NamedTuple):
    """response = intercept + slope * alpha."""

    intercept: float
    error: float  #: of the intercept, the response without further jets
    slope: float
    slope_error: float
    chi2: float
    dof: int


def extrapolate(
    alpha: ArrayLike, response: ArrayLike, weights: ArrayLike | None = None,
    *, edges: ArrayLike = ALPHA_EDGES, cumulative: bool = False,
) -> Line:  # fmt: skip
    """The response at alpha = 0, by a line through its means in bins of alpha.

    Bins are exclusive, [0, 0.10), [0.10, 0.15), ..., so that their means are independent; with
    ``cumulative`` they are alpha < 0.10, alpha < 0.15, ..., the older convention, whose means share
    events: the fit then uses their whole covariance matrix. The abscissa is the mean alpha of the
    bin. NaN for fewer than two bins of at least 20 events.

    Events with a jet too soft to be counted have alpha = 0: the first bins are right only where
    ``second_jet_pt`` / pt(photon) is well below their edges.
    """
    means = profile(alpha, response, weights, edges=edges)
    good = (means.entries >= 20) & (means.error > 0) & (means.sum_w > 0)
    x, y, variance, w = means.x[good], means.mean[good], means.error[good] ** 2, means.sum_w[good]
    if len(x) < 2:
        return Line(np.nan, np.nan, np.nan, np.nan, np.nan, 0)
    covariance = np.diag(variance)
    if cumulative:
        shares = np.tril(np.broadcast_to(w, (len(w), len(w)))) / np.cumsum(w)[:, None]
        x, y, covariance = shares @ x, shares @ y, shares @ covariance @ shares.T
    design = np.column_stack([np.ones(len(x)), x])
    solved = np.linalg.solve(covariance, np.column_stack([design, y]))
    inverse = np.linalg.inv(design.T @ solved[:, :2])
    a, b = inverse @ (design.T @ solved[:, 2])
    residual = y - design @ (a, b)
    chi2 = float(residual @ np.linalg.solve(covariance, residual))
    errors = np.sqrt(np.diag(inverse))
    return Line(float(a), float(errors[0]), float(b), float(errors[1]), chi2, len(x) - 2)
