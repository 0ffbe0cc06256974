"""Least-squares background of a window's sidebands: expected counts and masses in the middle."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import ArrayLike, NDArray

from fastjag.arrays import at_least
from fastjag.statistics.likelihood import background, design_matrix, unit_mass
from fastjag.statistics.windows import Floats, Window


class BackgroundFit(NamedTuple):
    """A polynomial through the sidebands, as a Legendre series in mass (see ``background``)."""

    window: Window
    coefficients: Floats  #: (degree + 1,), counts per bin
    covariance: Floats  #: (degree + 1, degree + 1), scaled by chi2 / dof
    chi2: float
    dof: int

    def __call__(self, masses: ArrayLike) -> Floats:
        """Expected counts per bin at these masses [GeV]."""
        return background(self.coefficients, masses, self.window)

    def error(self, masses: ArrayLike) -> Floats:
        """Standard deviation of the expected counts, from the covariance."""
        rows = legendre.legvander(unit_mass(masses, self.window), len(self.coefficients) - 1)
        return np.asarray(np.sqrt(np.einsum("...i,ij,...j->...", rows, self.covariance, rows)))

    @property
    def expected(self) -> float:
        """Expected number of events in the signal region, from the exact integral."""
        return float(design_matrix(self.window, len(self.coefficients) - 1)[-1] @ self.coefficients)

    def draw(self, n: int, seed: int) -> Floats:
        """``n`` masses [GeV] in the signal region that follow the polynomial.

        By inversion of its exact integral. Raises ValueError where it is negative there.
        """
        at_least("n", n, 0)
        low, high = unit_mass((self.window.sr_left, self.window.sr_right), self.window)
        primitive = legendre.legint(self.coefficients)
        turning = legendre.legroots(legendre.legder(self.coefficients))
        turning = np.real(turning[np.abs(np.imag(turning)) < 1e-12])
        extremes = np.r_[low, high, turning[(turning > low) & (turning < high)]]
        if legendre.legval(extremes, self.coefficients).min() < 0:
            raise ValueError(
                "the background polynomial is negative inside the signal region: use a lower "
                f"degree than {len(self.coefficients) - 1}, or wider sidebands"
            )
        bottom, top = legendre.legval(np.array([low, high]), primitive)
        wanted = bottom + np.random.default_rng(seed).random(n) * (top - bottom)
        left, right = np.full(n, low), np.full(n, high)
        for _ in range(60):  # bisection: the integral rises, and 60 halvings are all the bits
            middle = (left + right) / 2
            below = legendre.legval(middle, primitive) < wanted
            left, right = np.where(below, middle, left), np.where(below, right, middle)
        window = self.window
        center, half = (
            (window.sb_right + window.sb_left) / 2,
            (window.sb_right - window.sb_left) / 2,
        )
        return np.clip(center + half * left, window.sr_left, window.sr_right)


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
    """
    degree = at_least("degree", degree, 0)
    counts, squares = [], []
    for name, bins, given, v in (
        ("left", len(window.left) - 1, left, None if variances is None else variances[0]),
        ("right", len(window.right) - 1, right, None if variances is None else variances[1]),
    ):
        n = np.asarray(given, np.float64)
        if n.shape != (bins,) or not np.isfinite(n).all():
            raise ValueError(
                f"{name} must be {bins} finite numbers for this window, got shape {n.shape}"
            )
        counts.append(n)
        squares.append(n if v is None else np.asarray(v, np.float64))
    y, sigma = np.concatenate(counts), np.sqrt(np.concatenate(squares) + 1)
    dof = len(y) - degree - 1
    if dof < 1:
        raise ValueError(f"{len(y)} sideband bins cannot fix a polynomial of degree {degree}")
    design = design_matrix(window, degree)[:-1] / sigma[:, None]
    q, r = np.linalg.qr(design)
    theta = np.linalg.solve(r, q.T @ (y / sigma))
    chi2 = float((((y / sigma) - design @ theta) ** 2).sum())
    inverse = np.linalg.inv(r)
    return BackgroundFit(window, theta, inverse @ inverse.T * chi2 / dof, chi2, dof)


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
