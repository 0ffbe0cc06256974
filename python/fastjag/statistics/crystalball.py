"""The double-sided Crystal Ball: a Gaussian peak whose tails fall like powers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from fastjag.statistics.windows import Floats


class CrystalBall(NamedTuple):
    """``events`` in a peak at ``mean`` [GeV], normalised over all masses.

    With t = (m - mean) / sigma the density is that of a Gaussian for -alpha_left < t < alpha_right;
    beyond, it goes on smoothly as a power -n of the mass (J. Gaiser, SLAC-R-255, 1982, appendix F,
    here on either side). ``sigma``, both ``alpha`` are above 0, both ``n`` above 1.
    """

    mean: float
    sigma: float
    alpha_left: float = 1.5
    n_left: float = 3.0
    alpha_right: float = 1.5
    n_right: float = 3.0
    events: float = 1.0

    def __call__(self, masses: ArrayLike) -> Floats:
        """Events per GeV."""
        t = (np.asarray(masses, np.float64) - self.mean) / self.sigma
        tails = [_tail(-t, self.alpha_left, self.n_left), _tail(t, self.alpha_right, self.n_right)]
        core = np.exp(-0.5 * t * t)
        height = np.where(t < -self.alpha_left, tails[0],
                          np.where(t > self.alpha_right, tails[1], core))  # fmt: skip
        return np.asarray(self.events / (self.sigma * self._area()) * height)

    def below(self, masses: ArrayLike) -> Floats:
        """Events at smaller masses."""
        t = (np.asarray(masses, np.float64) - self.mean) / self.sigma
        left = _tail_area(-t, self.alpha_left, self.n_left)
        right = self._area() - _tail_area(t, self.alpha_right, self.n_right)
        core = _tail_area(self.alpha_left, self.alpha_left, self.n_left) + _gauss(
            -self.alpha_left, t
        )
        area = np.where(t < -self.alpha_left, left, np.where(t > self.alpha_right, right, core))
        return np.asarray(self.events * area / self._area())

    def between(self, low: ArrayLike, high: ArrayLike) -> Floats:
        """Events in a range of masses [GeV]."""
        return self.below(high) - self.below(low)

    def _area(self) -> float:
        """Of the density with height 1 and sigma 1."""
        sides = ((self.alpha_left, self.n_left), (self.alpha_right, self.n_right))
        tails = sum(float(_tail_area(alpha, alpha, n)) for alpha, n in sides)
        return tails + float(_gauss(-self.alpha_left, self.alpha_right))


def _tail(t: ArrayLike, alpha: float, n: float) -> Floats:
    """exp(-alpha² / 2) (1 + alpha (t - alpha) / n)^-n for t >= alpha: no powers that overflow."""
    beyond = np.maximum(np.asarray(t, np.float64) - alpha, 0)
    return np.asarray(np.exp(-0.5 * alpha * alpha - n * np.log1p(alpha / n * beyond)))


def _tail_area(t: ArrayLike, alpha: float, n: float) -> Floats:
    """Integral of :func:`_tail` from t >= alpha to infinity."""
    beyond = np.maximum(np.asarray(t, np.float64) - alpha, 0)
    power = np.exp(-0.5 * alpha * alpha - (n - 1) * np.log1p(alpha / n * beyond))
    return np.asarray(n / (alpha * (n - 1)) * power)


def _gauss(low: ArrayLike, high: ArrayLike) -> Floats:
    """Integral of exp(-t² / 2)."""
    root = np.sqrt(2)
    return np.asarray(
        np.sqrt(np.pi / 2)
        * (special.erf(np.asarray(high) / root) - special.erf(np.asarray(low) / root))
    )
