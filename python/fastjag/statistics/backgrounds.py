"""Least-squares background of a window's sidebands: expected counts and masses in the middle."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import ArrayLike, NDArray

from fastjag.core.checks import at_least
from fastjag.statistics.crystalball import CrystalBall
from fastjag.statistics.likelihood import background, design_matrix, mass_of, unit_mass
from fastjag.statistics.windows import Floats, Window


class BackgroundFit(NamedTuple):
    """A polynomial through the sidebands, as a Legendre series in mass (see ``background``).

    Where resonances stand in the sidebands (:func:`fit_peaks`), their peaks are added to it.
    """

    window: Window
    coefficients: Floats  #: (degree + 1,), counts per bin
    covariance: Floats  #: of coefficients, then events of peaks; scaled by chi2 / dof
    chi2: float
    dof: int
    peaks: tuple[CrystalBall, ...] = ()

    def __call__(self, masses: ArrayLike) -> Floats:
        """Expected counts per bin at these masses [GeV]."""
        peaks = sum((peak(masses) for peak in self.peaks), np.zeros(np.shape(masses)))
        return background(self.coefficients, masses, self.window) + peaks * self.window.bin_width

    def error(self, masses: ArrayLike) -> Floats:
        """Standard deviation of the expected counts, from the covariance."""
        x = np.asarray(masses, np.float64)
        rows = legendre.legvander(unit_mass(x, self.window), len(self.coefficients) - 1)
        of_peaks = [p._replace(events=self.window.bin_width)(x)[..., None] for p in self.peaks]
        rows = np.concatenate([rows, *of_peaks], axis=-1)
        return np.asarray(np.sqrt(np.einsum("...i,ij,...j->...", rows, self.covariance, rows)))

    @property
    def expected(self) -> float:
        """Expected number of events in the signal region, from the exact integral."""
        return self.between(self.window.sr_left, self.window.sr_right)

    def between(self, low: float, high: float) -> float:
        """Expected number of events in a range of masses [GeV], from the exact integral."""
        bottom, top = self._below(unit_mass((low, high), self.window))
        return float(top - bottom)

    def draw(
        self, n: int, seed: int, low: float | None = None, high: float | None = None
    ) -> Floats:
        """``n`` masses [GeV] that follow the fit, by inversion of its exact integral.

        Between ``low`` and ``high``, by default in the signal region. Raises ValueError where the
        polynomial is negative there.
        """
        at_least("n", n, 0)
        window = self.window
        bounds = (
            window.sr_left if low is None else low,
            window.sr_right if high is None else high,
        )
        first, last = unit_mass(bounds, window)
        turning = legendre.legroots(legendre.legder(self.coefficients))
        turning = np.real(turning[np.abs(np.imag(turning)) < 1e-12])
        extremes = np.r_[first, last, turning[(turning > first) & (turning < last)]]
        if legendre.legval(extremes, self.coefficients).min() < 0:
            raise ValueError(
                f"the background polynomial is negative between {bounds[0]:g} and {bounds[1]:g} "
                f"GeV: use a lower degree than {len(self.coefficients) - 1}, or wider sidebands"
            )
        bottom, top = self._below(np.array([first, last]))
        wanted = bottom + np.random.default_rng(seed).random(n) * (top - bottom)
        left, right = np.full(n, first), np.full(n, last)
        for _ in range(60):  # bisection: the integral rises, and 60 halvings are all the bits
            middle = (left + right) / 2
            below = self._below(middle) < wanted
            left, right = np.where(below, middle, left), np.where(below, right, middle)
        return np.clip(mass_of(left, window), *bounds)

    def _below(self, x: Floats) -> Floats:
        """Expected events at smaller masses, but for a constant; ``x`` runs from -1 to 1."""
        half = (self.window.sb_right - self.window.sb_left) / 2
        area = legendre.legval(x, legendre.legint(self.coefficients)) * half / self.window.bin_width
        masses = mass_of(x, self.window)
        return area + sum((peak.below(masses) for peak in self.peaks), np.zeros(np.shape(x)))


def fit_background(
    left: ArrayLike,
    right: ArrayLike,
    *,
    window: Window,
    degree: int = 5,
    variances: tuple[ArrayLike, ArrayLike] | None = None,
) -> BackgroundFit:
    """Weighted least squares through the counts of the sideband bins, at their centres.

    Errors are sqrt(n + 1), or sqrt(sum w² + 1) with ``variances`` = sums of squared weights of
    ``left`` and ``right``. Closed form: nothing has to converge.

    Raises ValueError for what is no finite number or does not fit the window, for negative variances
    (and counts without any), and where the bins are too few for the polynomial.
    """
    y, sigma = sideband_counts(left, right, window, variances)
    degree = at_least("degree", degree, 0)
    dof = len(y) - degree - 1
    if dof < 1:
        raise ValueError(f"{len(y)} sideband bins cannot fix a polynomial of degree {degree}")
    theta, covariance, chi2 = least_squares(design_matrix(window, degree)[:-1], y, sigma)
    return BackgroundFit(window, theta, covariance * chi2 / dof, chi2, dof)


def sideband_counts(
    left: ArrayLike,
    right: ArrayLike,
    window: Window,
    variances: tuple[ArrayLike, ArrayLike] | None,
) -> tuple[Floats, Floats]:
    """Counts of both sidebands in a row, and their errors; checked."""

    def numbers(given: ArrayLike, bins: int, what: str, least: float) -> Floats:
        x = np.asarray(given, np.float64)
        if x.shape != (bins,) or not (np.isfinite(x) & (x >= least)).all():
            kind = "finite numbers" if least < 0 else "finite numbers, not negative,"
            wrong = "" if x.shape != (bins,) else f" with {x[~(np.isfinite(x) & (x >= least))][0]}"
            raise ValueError(
                f"{what} must be {bins} {kind} for this window, got shape {x.shape}{wrong}"
            )
        return x

    counts, squares = [], []
    for i, (name, edges, given) in enumerate(
        (("left", window.left, left), ("right", window.right, right))
    ):
        # Sums of weights may be negative; numbers of events are their own variances.
        n = numbers(given, len(edges) - 1, name, 0 if variances is None else -np.inf)
        counts.append(n)
        squares.append(
            n if variances is None
            else numbers(variances[i], len(edges) - 1, f"variances of {name}", 0)
        )  # fmt: skip
    return np.concatenate(counts), np.sqrt(np.concatenate(squares) + 1)


def least_squares(design: Floats, y: Floats, sigma: Floats) -> tuple[Floats, Floats, float]:
    """Coefficients of the columns of ``design``, their covariance for these errors, and chi2."""
    q, r = np.linalg.qr(design / sigma[:, None])
    theta = np.linalg.solve(r, q.T @ (y / sigma))
    chi2 = float((((y - design @ theta) / sigma) ** 2).sum())
    inverse = np.linalg.inv(r)
    return theta, inverse @ inverse.T, chi2


def sideband_cuts(
    scores: ArrayLike, sideband: NDArray[np.bool_], rates: ArrayLike, *, candidates: int = 10_000
) -> tuple[Floats, Floats]:
    """Cuts on a score that a given share of the sidebands passes: (cuts, shares reached).

    Of ``candidates`` equally spaced cuts between the smallest and the largest score the first one
    whose share of sideband events with ``score >= cut`` is nearest to each of ``rates``.
    """
    score = np.asarray(scores, np.float64)
    if score.ndim != 1 or not np.isfinite(score).all() or len(score) == 0:
        raise ValueError("scores must be finite numbers, one per event, at least one")
    outside = np.sort(score[sideband])
    if len(outside) == 0:
        raise ValueError("none of the events is in the sidebands")
    wanted = np.asarray(rates, np.float64)
    if not ((wanted > 0) & (wanted <= 1)).all():
        raise ValueError(f"rates must be above 0 and up to 1, got {rates!r}")
    cuts = np.linspace(score.min(), score.max(), at_least("candidates", candidates, 2))
    shares = (len(outside) - np.searchsorted(outside, cuts)) / len(outside)
    nearest = np.abs(shares - wanted[..., None]).argmin(axis=-1)
    return cuts[nearest], shares[nearest]
