"""Resonances in the sidebands: a polynomial with none, one or two peaks, chosen by F tests."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, signal, special

from fastjag.core.checks import at_least
from fastjag.statistics.backgrounds import (
    BackgroundFit,
    fit_background,
    least_squares,
    sideband_counts,
)
from fastjag.statistics.crystalball import CrystalBall
from fastjag.statistics.likelihood import design_matrix
from fastjag.statistics.windows import Floats, Window

_SHAPE = 6  # parameters of a peak besides its events
_STARTS = 2  # places that are tried for a further peak


class PeakChoice(NamedTuple):
    """Fits with 0, 1, ... peaks, and which of them the F tests prefer."""

    fits: tuple[BackgroundFit, ...]
    p_values: tuple[float, ...]  #: of each further peak: chance to improve as much without it
    chosen: BackgroundFit


def fit_peaks(
    left: ArrayLike,
    right: ArrayLike,
    *,
    window: Window,
    degree: int = 5,
    most: int = 2,
    level: float = 0.05,
) -> PeakChoice:
    """Least squares through the sideband bins with up to ``most`` double-sided Crystal Balls.

    A further peak is accepted while ``p <= level`` in an F test of the sums of squares; the next is
    tried only then. ``fits[0]`` is that of :func:`fit_background`. Peaks lie in a sideband; in their
    bins their integral counts.

    Raises ValueError for counts that do not fit the window, for logarithmic windows, and where the
    bins are too few for the parameters.
    """
    at_least("most", most, 0)
    if window.logarithmic:
        raise ValueError("peaks are fitted in windows with bins of equal width only")
    fits = [fit_background(left, right, window=window, degree=degree)]
    y, sigma = sideband_counts(left, right, window, None)
    p_values: list[float] = []
    while len(fits) <= most:
        if fits[-1].dof <= _SHAPE + 1:
            raise ValueError(
                f"{len(y)} sideband bins cannot fix a polynomial of degree {degree} and "
                f"{len(fits)} peaks"
            )
        fits.append(_add_peak(fits[-1], y, sigma))
        p_values.append(_f_test(fits[-2], fits[-1]))
        if not p_values[-1] <= level:
            return PeakChoice(tuple(fits), tuple(p_values), fits[-2])
    return PeakChoice(tuple(fits), tuple(p_values), fits[-1])


def _f_test(reduced: BackgroundFit, full: BackgroundFit) -> float:
    """p-value of F = (chi2_r - chi2_f) / (dof_r - dof_f) / (chi2_f / dof_f)."""
    if not full.chi2 < reduced.chi2:
        return 1.0
    if full.chi2 == 0:
        return 0.0
    more = reduced.dof - full.dof
    F = (reduced.chi2 - full.chi2) / more / (full.chi2 / full.dof)
    return float(special.fdtrc(more, full.dof, F))


def _add_peak(fit: BackgroundFit, y: Floats, sigma: Floats) -> BackgroundFit:
    """The best fit with one more peak, started where the counts are highest above this one."""
    window = fit.window
    bins = [(e[:-1], e[1:]) for e in (window.left, window.right)]
    low, high = (np.concatenate(side) for side in zip(*bins, strict=True))
    polynomial = design_matrix(window, len(fit.coefficients) - 1)[:-1]
    width = window.bin_width

    def columns(shapes: Floats) -> Floats:
        peaks = [CrystalBall(*shape).between(low, high) for shape in shapes.reshape(-1, _SHAPE)]
        return np.column_stack([polynomial, *peaks])

    def solve(shapes: Floats) -> tuple[Floats, Floats]:
        """Columns and their coefficients, those of peaks not negative."""
        design = columns(shapes)
        # A peak between all bins has a column of zeros: lstsq leaves it at 0, where qr would fail.
        theta = np.linalg.lstsq(design / sigma[:, None], y / sigma, rcond=1e-13)[0]
        if (theta[polynomial.shape[1] :] < 0).any():
            peaks = np.maximum(theta[polynomial.shape[1] :], 0)
            rest = y - design[:, polynomial.shape[1] :] @ peaks
            flat = np.linalg.lstsq(polynomial / sigma[:, None], rest / sigma, rcond=1e-13)[0]
            theta = np.concatenate([flat, peaks])
        return design, np.asarray(theta, np.float64)

    def residuals(shapes: Floats) -> Floats:
        design, theta = solve(shapes)
        return (y - design @ theta) / sigma

    known = [peak[:_SHAPE] for peak in fit.peaks]
    best: Floats | None = None
    lowest = np.inf
    for mean in _starts(fit, y, sigma):
        start = np.array([*known, (mean, 1.5 * width, 1.5, 3.0, 1.5, 3.0)], np.float64)
        limits = np.array([_limits(shape[0], window) for shape in start])
        start = np.clip(start, limits[..., 0] * (1 + 1e-9), limits[..., 1] * (1 - 1e-9))
        done = optimize.least_squares(
            residuals, start.ravel(), bounds=limits.reshape(-1, 2).T, x_scale="jac",
            max_nfev=60, ftol=1e-6, xtol=1e-6, gtol=1e-6,
        )  # fmt: skip
        if 2 * done.cost < lowest:
            lowest, best = 2 * done.cost, done.x
    dof = fit.dof - _SHAPE - 1
    if best is None:  # no bin above its neighbours: nothing that a peak could improve
        return fit._replace(dof=dof)
    design, theta = solve(best)
    used = np.flatnonzero(np.r_[np.ones(polynomial.shape[1], bool),
                                theta[polynomial.shape[1] :] > 0])  # fmt: skip
    covariance = np.zeros((len(theta), len(theta)))
    covariance[np.ix_(used, used)] = least_squares(design[:, used], y, sigma)[1]
    peaks = tuple(
        CrystalBall(*(float(x) for x in (*shape, n)))
        for shape, n in zip(best.reshape(-1, _SHAPE), theta[polynomial.shape[1] :], strict=True)
    )
    chi2 = float((residuals(best) ** 2).sum())
    return BackgroundFit(
        window, theta[: polynomial.shape[1]], covariance * chi2 / dof, chi2, dof, peaks
    )


def _starts(fit: BackgroundFit, y: Floats, sigma: Floats) -> list[float]:
    """Centres of the bins, three or more apart, that stand out most."""
    pulls = (y - _in_bins(fit)) / sigma
    maxima = []
    n_left = len(fit.window.left) - 1
    for part in (slice(0, n_left), slice(n_left, None)):
        smooth = np.convolve(np.pad(pulls[part], 1, mode="edge"), [0.25, 0.5, 0.25], "valid")
        at, _ = signal.find_peaks(np.pad(smooth, 1, constant_values=-np.inf), distance=3)
        maxima += [(smooth[i], fit.window.centers[part][i]) for i in at - 1]
    return [float(center) for height, center in sorted(maxima, reverse=True) if height > 0][
        :_STARTS
    ]


def _in_bins(fit: BackgroundFit) -> Floats:
    """Counts that a fit expects in the sideband bins."""
    plain = fit._replace(peaks=())(fit.window.centers)
    for peak in fit.peaks:
        for at, edges in ((slice(0, len(fit.window.left) - 1), fit.window.left),
                          (slice(len(fit.window.left) - 1, None), fit.window.right)):  # fmt: skip
            plain[at] += peak.between(edges[:-1], edges[1:])
    return plain


def _limits(mean: float, window: Window) -> list[tuple[float, float]]:
    """Of each parameter of a peak's shape: it stays in its sideband, and is no background."""
    low, high = (
        (window.sb_left, window.sr_left) if mean < window.sr_left
        else (window.sr_right, window.sb_right)
    )  # fmt: skip
    # Wider tails than these would be a background of their own, with most events outside.
    alpha, n = (0.8, 5.0), (2.0, 50.0)
    return [(low, high), (window.bin_width / 3, (high - low) / 6), alpha, n, alpha, n]
