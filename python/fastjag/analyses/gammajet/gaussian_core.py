"""The Gaussian core of a distribution, which tails and further humps do not move."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import erf, exp, log, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, stats

Floats = NDArray[np.float64]

_CORE_BINS = 12


class Core(NamedTuple):
    """A Gaussian fitted to the middle of a distribution."""

    mean: float
    error: float
    width: float
    chi2: float = np.nan  #: of the events in the range of the fit, in 12 bins of equal width
    dof: int = 0  #: 0: too few events to judge the fit by
    humps: int = 1  #: of the whole distribution; the fit is that of the highest


def core(values: ArrayLike, weights: ArrayLike | None = None, *, reach: float = 1.5) -> Core:
    """Fit a Gaussian within ``reach`` widths of its mean: tails and asymmetries count little.

    Maximum likelihood of a Gaussian truncated to that range, repeated until the range stays; the
    error contains the weights (inverse Hessian times sum w² / sum w). NaN for fewer than 10 values
    in the range, and for a top so flat that no Gaussian has its width.
    """
    x = np.asarray(values, np.float64)
    w = np.ones(len(x)) if weights is None else np.asarray(weights, np.float64)
    good = np.isfinite(x)
    x, w = x[good], w[good]
    nothing = Core(np.nan, np.nan, np.nan)
    if len(x) < 10 or w.sum() <= 0:
        return nothing
    ranges = humps(x, w)
    first = (x >= ranges[0][0]) & (x < ranges[0][1])
    mean, width = _middle(x[first], w[first])
    if width <= 0:
        return nothing
    for _ in range(8):  # events that come and go at the borders can keep it from settling
        half = reach * width
        inside = np.abs(x - mean) <= half
        if inside.sum() < 10 or w[inside].sum() <= 0:
            return nothing
        y, v = (x[inside] - mean) / width, w[inside]
        shift, growth, error = _truncated(y, v, reach)
        # A flat top can be fitted by ever wider Gaussians: that is no core.
        if abs(shift) >= reach or growth >= 5:
            return nothing
        error *= width
        chi2, dof = _core_chi2(y, v, shift, growth, reach)
        settled = abs(shift) + abs(growth - 1) < 5e-3
        mean, width = mean + shift * width, growth * width
        if settled:
            break
    return Core(mean, error, width, chi2, dof, len(ranges))


def _middle(x: Floats, w: Floats) -> tuple[float, float]:
    """Median, and half of the central 68.2 %; negative weights count as none."""
    order = np.argsort(x)
    share = np.cumsum(np.maximum(w[order], 0)) / max(np.maximum(w, 0).sum(), 1e-300)
    low, middle, high = np.interp([0.159, 0.5, 0.841], share, x[order])
    return float(middle), float(high - low) / 2


def _truncated(y: Floats, w: Floats, reach: float) -> tuple[float, float, float]:
    """Mean, width and error of the mean of the Gaussian, truncated to |y| <= reach, that fits best."""
    total = float(w.sum())
    first, second = float(w @ y) / total, float(w @ y**2) / total

    def loss(p: Floats) -> float:
        """Per unit of weight, of a mean and a logarithmic width."""
        mu, sigma = float(p[0]), exp(float(p[1]))
        norm = erf((reach - mu) / sigma / sqrt(2)) + erf((reach + mu) / sigma / sqrt(2))
        square = second - 2 * mu * first + mu * mu
        return square / (2 * sigma**2) + float(p[1]) + log(max(norm, 1e-300))

    fit = optimize.minimize(loss, np.zeros(2), method="BFGS", options={"gtol": 1e-6})
    covariance = np.linalg.inv(_hessian(loss, fit.x, np.full(2, 1e-3)) * total)
    error = sqrt(max(float(covariance[0, 0]), 0.0) * float((w**2).sum()) / total)
    return float(fit.x[0]), exp(min(float(fit.x[1]), 700.0)), error


def _core_chi2(y: Floats, w: Floats, mu: float, sigma: float, reach: float) -> tuple[float, int]:
    """chi2 and degrees of freedom, of what is within ``reach``."""
    if w.sum() ** 2 < 10 * _CORE_BINS * (w**2).sum():
        return np.nan, 0
    edges = np.linspace(-reach, reach, _CORE_BINS + 1)
    counts = np.histogram(y, edges, weights=w)[0]
    share = np.diff(stats.norm.cdf(edges, mu, sigma))
    expected = w.sum() * share / share.sum()
    variance = expected * (w**2).sum() / w.sum()
    return float(((counts - expected) ** 2 / variance).sum()), _CORE_BINS - 3


def humps(values: ArrayLike, weights: ArrayLike | None = None) -> list[tuple[float, float]]:
    """The ranges of the humps of a distribution, the highest first; (-inf, inf) where there is one.

    In bins of a third of its width, a hump is a bin that stands more than 5 standard deviations
    above the lowest bin between it and every higher one.
    """
    x = np.asarray(values, np.float64)
    w = np.ones(len(x)) if weights is None else np.asarray(weights, np.float64)
    mean, width = _middle(x, w)
    if not width > 0:
        return [(-np.inf, np.inf)]
    edges = mean + width * np.arange(-15, 16) / 3
    counts = np.histogram(x, edges, weights=w)[0]
    # Empty bins know little, not everything: one event of mean weight is their error.
    variance = np.maximum(np.histogram(x, edges, weights=w**2)[0], np.mean(w**2))
    tops: list[int] = []
    for i in np.argsort(-counts, kind="stable").tolist():
        between = [_lowest(counts, i, top) for top in tops]
        rise = [(counts[i] - counts[k]) / sqrt(variance[i] + variance[k]) for k in between]
        if all(r > 5 for r in rise):
            tops.append(i)
    ordered = sorted(tops)
    dips = [_lowest(counts, i, j) for i, j in pairwise(ordered)]
    borders = [-np.inf, *(float(edges[k] + edges[k + 1]) / 2 for k in dips), np.inf]
    ranges = dict(zip(ordered, pairwise(borders), strict=True))
    return [ranges[top] for top in tops]


def _lowest(counts: Floats, i: int, j: int) -> int:
    """The place of the lowest bin between two, both included."""
    low, high = min(i, j), max(i, j)
    return int(low + counts[low : high + 1].argmin())


def _hessian(function: Callable[[Floats], float], at: Floats, steps: Floats) -> Floats:
    """Second derivatives by central differences."""
    moves = np.diag(steps)
    return np.array(
        [
            [
                sum(s * t * function(at + s * a + t * b) for s in (1, -1) for t in (1, -1))
                / (4 * i * j)
                for j, b in zip(steps, moves, strict=True)
            ]
            for i, a in zip(steps, moves, strict=True)
        ]
    )
