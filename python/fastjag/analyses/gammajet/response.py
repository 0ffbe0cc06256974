"""The response of jets: means in bins, their Gaussian cores, and the limit without further jets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from math import erf, exp, log, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, stats

from fastjag.analyses.gammajet.config import ALPHA_EDGES, PT_EDGES
from fastjag.core.arrays import check_length

Floats = NDArray[np.float64]

_CORE_BINS = 12


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
    found = humps(x, w)
    first = (x >= found[0][0]) & (x < found[0][1])
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
    return Core(mean, error, width, chi2, dof, len(found))


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

    found = optimize.minimize(loss, np.zeros(2), method="BFGS", options={"gtol": 1e-6})
    covariance = np.linalg.inv(_hessian(loss, found.x, np.full(2, 1e-3)) * total)
    error = sqrt(max(float(covariance[0, 0]), 0.0) * float((w**2).sum()) / total)
    return float(found.x[0]), exp(min(float(found.x[1]), 700.0)), error


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
    found = profile(alpha, response, weights, edges=edges)
    good = (found.entries >= 20) & (found.error > 0) & (found.sum_w > 0)
    x, y, variance, w = found.x[good], found.mean[good], found.error[good] ** 2, found.sum_w[good]
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
