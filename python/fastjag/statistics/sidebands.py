"""Backgrounds of many windows of a spectrum at once, each from its own sidebands.

Bins have equal ratios, so that all windows share one design: the logarithm of the expectation is a
Legendre series in ln(mass). Any power law is of degree 1 in it, and no expectation is negative.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.polynomial import legendre
from numpy.typing import NDArray
from scipy import special, stats

from fastjag.statistics.windows import Floats

FEWEST_BINS = 5  # of a sideband
_FIT_LEVEL = 0.01  # goodness of fit below which a window says nothing
_FEWEST_USED = 3  # bins in use in each sideband
_SPARE = 6  # bins in use beyond the highest degree
# Weak Gaussian constraints on the coefficients of degree 0, 1 and above keep fits of a few events finite.
# The logarithm of no smooth spectrum moves by as much inside a window.
_LOOSE = (1e3, 100.0, 8.0)
_STEPS = 60
_SETTLED = 1e-4  # of ln L: a hundredth of a standard deviation, before the last step
_CHUNK = 2048  # windows at a time: their matrices stay in the cache


class Choice(NamedTuple):
    """How the degree of a background is chosen, and when it says enough.

    A term of one standard deviation moves the background by half of its error, but no test sees it. So
    ``margin`` degrees follow the last that the F test sees, and where it sees one, it looks twice: near
    such windows its level is ``nearby``.
    """

    level: float  #: of the F test of one more degree
    nearby: float  #: level within half a sideband of a window that needs more than a slope
    margin: int
    lowest: int  #: degree, where no more than a slope is seen
    largest_error: float  #: of the background, in its own Poisson errors


class Backgrounds(NamedTuple):
    """What sidebands say of the signal regions between them, for each of some windows."""

    B: Floats  #: (..., regions)
    error: Floats  #: standard deviation of ``B``, (..., regions)
    degree: NDArray[np.int64]  #: (...,) of the polynomial
    p_fit: Floats  #: (...,) goodness of fit of the sidebands
    usable: NDArray[np.bool_]  #: (...,) whether polynomial and sidebands say anything
    follows: NDArray[np.bool_]  #: (...,) whether ``curve`` agrees with the sidebands, usable or not
    #: (..., length) expectation of every bin of the window, by the lowest degree that the F test allows:
    #: it has the least noise. Zeros, if not asked for.
    curve: Floats


def series_rows(length: int, degree: int) -> Floats:
    """Legendre polynomials at the centres of so many bins of equal ratio, (length, degree + 1)."""
    return np.asarray(
        legendre.legvander((2 * np.arange(length) + 1) / length - 1, degree), np.float64
    )


class Series:
    """Poisson fits of exponentials of Legendre series, for many spectra at once.

    The likelihood is concave in the coefficients, so that Newton's method finds its only optimum.
    """

    def __init__(self, rows: Floats, offset: Floats | float = 0.0) -> None:
        self.rows, self.terms = rows, rows.shape[1]
        self.offset = offset  # of the logarithm of every bin
        self.products = (rows[:, :, None] * rows[:, None, :]).reshape(-1, self.terms**2)
        loose = np.array([_LOOSE[min(k, 2)] for k in range(self.terms)])
        self.penalty = loose**-2
        self.k = np.arange(self.terms)

    def fit(self, n: Floats, w: Floats, degree: NDArray[np.int64], start: Floats | None) -> Floats:
        """Coefficients (spectra, terms) up to each ``degree`` for counts n in bins with w = 1.

        ``start`` are coefficients near the optimum; None begins with least squares.
        """
        centre = self.centre(n, w)
        free = self.k <= degree[:, None]
        if start is None:
            weight = w * (n + 0.5)
            above = weight * (np.log(n + 0.5) - centre[:, None] - self.offset)
            start = _solve(self._normal(weight, free), (above @ self.rows) * free)
            start[(w * n).sum(axis=1) < 50] = 0  # least squares of logarithms say little there
            start[:, 0] += centre
        theta = np.array(start)
        active = np.arange(len(n))
        for _ in range(_STEPS):
            if len(active) == 0:
                break
            expected = self.expected(theta[active]) * w[active]
            off = theta[active]
            off[:, 0] -= centre[active]
            gradient = (w[active] * n[active] - expected) @ self.rows - self.penalty * off
            gradient *= free[active]
            step = _solve(self._normal(expected, free[active]), gradient)
            largest = np.abs(step @ self.rows.T).max(axis=1)
            theta[active] += step * np.minimum(1, 1.5 / np.maximum(largest, 1e-300))[:, None]
            active = active[((gradient * step).sum(axis=1) > _SETTLED) | (largest > 1.5)]
        return theta

    def centre(self, n: Floats, w: Floats) -> Floats:
        """What the constant is weakly held at; finite where there is no event."""
        total, bins = (w * n).sum(axis=1), w.sum(axis=1)
        return np.asarray(np.log((total + 1e-9) / np.maximum(bins, 1)))

    def expected(self, theta: Floats) -> Floats:
        return np.asarray(np.exp(np.clip(theta @ self.rows.T + self.offset, -60, 60)))

    def information(self, theta: Floats, w: Floats, degree: NDArray[np.int64]) -> Floats:
        """Of the coefficients up to ``degree``; the others are fixed."""
        return self._normal(self.expected(theta) * w, self.k <= degree[:, None])

    def _normal(self, weight: Floats, free: NDArray[np.bool_]) -> Floats:
        matrix = (weight @ self.products).reshape(-1, self.terms, self.terms)
        matrix *= free[:, :, None] & free[:, None, :]
        size = 1e-12 * np.trace(matrix, axis1=1, axis2=2)[:, None]
        matrix[:, self.k, self.k] += np.where(free, self.penalty + size, 1.0)
        return matrix


class Sidebands:
    """Windows of one size, with ``gap`` bins between their sidebands, fitted to these.

    Signal regions are ``sr_bins`` within the gap: one, where it is as wide as they are.
    """

    def __init__(
        self, sr_bins: int, sb_bins: int, degree: int, choice: Choice, gap: int | None = None
    ) -> None:
        self.sr_bins, self.sb_bins, self.gap = sr_bins, sb_bins, gap or sr_bins
        self.choice = choice
        self.length = self.gap + 2 * sb_bins
        self.degree = min(degree, 2 * sb_bins - _SPARE)
        rows = series_rows(self.length, self.degree)
        self._inside = np.zeros(self.length, bool)
        self._inside[sb_bins : sb_bins + self.gap] = True
        self._rows, self._signal = rows, rows[self._inside]
        self._series = Series(rows[~self._inside])

    def windows(self, bins: NDArray[Any]) -> NDArray[Any]:
        """(..., n_bins) to the sidebands of all windows (..., n_windows, 2 sb_bins)."""
        return np.asarray(sliding_window_view(bins, self.length, axis=-1)[..., ~self._inside])

    def fit(
        self, n: Floats, used: NDArray[np.bool_], row: int = 1, *, curves: bool = True
    ) -> Backgrounds:
        """Backgrounds of windows with sidebands (windows, 2 sb_bins), without the bins not used.

        Each ``row`` of them are neighbours, of one spectrum.
        """
        w = used.astype(np.float64)
        chunk = max(1, _CHUNK // row) * row
        parts = [
            self._fit(n[i : i + chunk], w[i : i + chunk], row, curves)
            for i in range(0, max(len(n), 1), chunk)
        ]
        return Backgrounds(*(np.concatenate(part) for part in zip(*parts, strict=True)))

    def _fit(self, n: Floats, w: Floats, row: int, curves: bool) -> Backgrounds:
        series, k = self._series, self._series.k
        bins = w.sum(axis=1)
        most = np.clip(bins - _SPARE, 1, self.degree).astype(np.int64)
        full = series.fit(n, w, most, None)
        needed, start = self._choose(n, w, full, most, row)
        wanted = np.where(needed == 1, self.choice.lowest, needed + self.choice.margin)
        degree = np.minimum(wanted, most)
        theta = series.fit(n, w, degree, start)
        chi2, variance = pearson(n, series.expected(theta), w)
        p_fit = p_of_fit(chi2, np.maximum(bins - degree - 1, 1), variance)
        inside = np.exp(np.clip(theta @ self._signal.T, -60, 60))
        B = self._sums(inside)
        free = (k <= degree[:, None])[:, None]
        gradient = self._sums(inside[:, :, None] * self._signal) * free
        spread = np.linalg.solve(series.information(theta, w, degree), np.swapaxes(gradient, 1, 2))
        square = (gradient * np.swapaxes(spread, 1, 2)).sum(axis=2)
        # Nothing knows a background better than that many bins of a flat one would.
        error = np.sqrt(np.maximum(square, B * (self.sr_bins / np.maximum(bins, 1))[:, None]))
        half = self.sb_bins
        held = np.minimum(w[:, :half].sum(axis=1), w[:, half:].sum(axis=1)) >= _FEWEST_USED
        follows = held & (p_fit >= _FIT_LEVEL)
        usable = (
            follows & (wanted <= most)
            & (error <= self.choice.largest_error * np.sqrt(B) + 1).all(axis=1)
        )  # fmt: skip
        curve = np.zeros((len(n), self.length))
        if curves:
            smooth = series.fit(n, w, np.minimum(needed, most), None)
            curve = np.exp(np.clip(smooth @ self._rows.T, -60, 60))
        return Backgrounds(B, error, degree, p_fit, usable, follows, curve)

    def _sums(self, bins: Floats) -> Floats:
        """(windows, gap, ...) to sums over the signal regions, (windows, regions, ...)."""
        if self.gap == self.sr_bins:
            return np.asarray(bins.sum(axis=1, keepdims=True))
        return np.asarray(sliding_window_view(bins, self.sr_bins, axis=1).sum(axis=-1))

    def _choose(
        self, n: Floats, w: Floats, full: Floats, most: NDArray[np.int64], row: int
    ) -> tuple[NDArray[np.int64], Floats]:
        """The degrees that the F test needs, and where the fits begin, from the fits of the highest degree.

        With the information I = L L^T, the entries of L^T theta are independent, of unit variance, and
        the square of the k-th is what degree k adds to the fit of degree k - 1.
        """
        series, k = self._series, self._series.k
        root = np.swapaxes(np.linalg.cholesky(series.information(full, w, most)), 1, 2)
        centre = series.centre(n, w)
        theta = full.copy()
        theta[:, 0] -= centre
        independent = np.einsum("eij,ej->ei", root, theta)
        rest = np.maximum(w.sum(axis=1) - most - 1, 1)
        chi2 = pearson(n, series.expected(full), w)[0]
        F = independent**2 / np.maximum(1, chi2 / rest)[:, None]
        F[k > most[:, None]] = 0

        def last(level: float) -> NDArray[np.int64]:
            seen = stats.f.isf(level, 1, rest)[:, None] < F
            degree = np.ones(len(n), np.int64)
            for j in range(2, series.terms):  # one that is not seen may lie between two that are
                degree = np.where(seen[:, j] & (j - degree <= 2), j, degree)
            return degree

        choice = self.choice
        first = last(choice.level)
        reach = self.sb_bins // 2
        around = np.pad((first > 1).reshape(-1, row), ((0, 0), (reach, reach)))
        near = sliding_window_view(around, 2 * reach + 1, axis=1).any(axis=-1).ravel()
        needed = np.where(near, last(choice.nearby), first)
        wanted = np.where(needed == 1, choice.lowest, needed + choice.margin)
        gone = k > np.minimum(wanted, most)[:, None]
        independent[gone] = 0
        fixed = gone[:, :, None] | gone[:, None, :]
        start = _solve(np.where(fixed, np.eye(series.terms), root), independent)
        start[:, 0] += centre
        return needed, start


def _solve(matrices: Floats, vectors: Floats) -> Floats:
    return np.asarray(np.linalg.solve(matrices, vectors[..., None])[..., 0])


def pearson(n: Floats, expected: Floats, w: Floats) -> tuple[Floats, Floats]:
    """chi² of counts, and its variance for as many Poisson numbers: 2 + 1 / expectation of each."""
    mean = np.maximum(expected, 1e-9)
    return (w * (n - mean) ** 2 / mean).sum(axis=1), (w * (2 + 1 / mean)).sum(axis=1)


def p_of_fit(chi2: Floats, dof: Floats, variance: Floats) -> Floats:
    """Chance of a larger chi²: from a gamma distribution of its mean and variance.

    Few expected events make the variance large, and almost all of the chance lies at zero: 1 is said
    wherever chi² is not above its mean.
    """
    spread = np.maximum(variance, 1e-9)  # no bin in use: 0
    tail = special.gammaincc(dof**2 / spread, chi2 * dof / spread)
    return np.where(chi2 <= dof, 1.0, tail)
