"""Families of background shapes, and the expectation of bins for any of their orders.

Every family is linear in its coefficients, or the exponential of what is, so that its likelihood has
one optimum.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb
from typing import NamedTuple

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import ArrayLike

from fastjag.core.checks import at_least, one_of
from fastjag.statistics.windows import Floats

#: Names of families, and the lowest order of each.
FAMILIES = {"legendre": 0, "bernstein": 0, "exponential": 1, "power": 1, "inverse": 1, "dijet": 2}

_NODES = 4  # of Gauss' quadrature in a bin: exact for degree 7


class Basis(NamedTuple):
    """What a family is in given bins."""

    #: linear families: (bins, terms), integrals of the terms over the bins, in mean bin widths;
    #: others: (bins, nodes, terms), what the exponential is taken of
    rows: Floats
    weights: Floats | None  #: (bins, nodes) of the nodes; None: linear
    positive: bool  #: whether no coefficient may be negative

    @property
    def terms(self) -> int:
        return int(self.rows.shape[-1])


@dataclass(frozen=True)
class Family:
    """A family of background shapes, and its order; x runs from -1 to 1 over the window.

    ===============  ==============================================  ==========
    name             density                                         parameters
    ===============  ==============================================  ==========
    ``legendre``     sum of c_k P_k(x), not negative in any bin      order + 1
    ``bernstein``    Bernstein polynomials, no coefficient negative  order + 1
    ``exponential``  exp of a polynomial in the mass                 order + 1
    ``power``        exp of a polynomial in ln(mass)                 order + 1
    ``inverse``      exp of a polynomial in 1 / mass                 order + 1
    ``dijet``        N (1 - z)^p1 z^-(p2 + p3 ln z + ...),           order + 1
                     z = mass / ``sqrt_s``
    ===============  ==============================================  ==========

    An exponential of order 1 is exp(-m / a), a power of order 1 is m^-a. An inverse one, such as
    exp(-a / m - b / m^2), rises steeply and then falls slowly: a turn-on. The dijet function is that of CDF (Phys. Rev. D 79 (2009) 112002) and of searches at the LHC.

    >>> Family("bernstein", 3).parameters
    4

    Raises ValueError for names that are not in ``FAMILIES`` and orders below the lowest one.
    """

    name: str
    order: int
    sqrt_s: float = 13_000.0  #: [GeV], for ``dijet`` only

    def __post_init__(self) -> None:
        one_of("family", self.name, tuple(FAMILIES))
        at_least(f"order of {self.name}", self.order, FAMILIES[self.name])
        if not 0 < self.sqrt_s < np.inf:
            raise ValueError(f"sqrt_s must be above 0 [GeV], got {self.sqrt_s!r}")

    def __str__(self) -> str:
        return f"{self.name} {self.order}"

    @property
    def parameters(self) -> int:
        """Number of coefficients, the normalisation included."""
        return self.order + 1

    @property
    def linear(self) -> bool:
        """Whether the expectation is a sum of terms, which HistFactory can hold."""
        return self.name in ("legendre", "bernstein")

    def terms(self, masses: ArrayLike, low: float, high: float) -> Floats:
        """Terms at these masses, for a window from ``low`` to ``high`` [GeV]: (..., terms)."""
        m = np.asarray(masses, np.float64)
        if self.name == "power":
            if low <= 0:
                raise ValueError(f"a power law needs masses above 0, got a window from {low:g} GeV")
            m, low, high = np.log(m), float(np.log(low)), float(np.log(high))
        elif self.name == "inverse":
            if low <= 0:
                raise ValueError(
                    f"powers of 1 / mass need masses above 0, got a window from {low:g} GeV"
                )
            m, low, high = 1 / m, 1 / low, 1 / high
        x = (2 * m - low - high) / (high - low)
        if self.name == "bernstein":
            k, t = np.arange(self.order + 1), (x[..., None] + 1) / 2
            of = np.array([comb(self.order, i) for i in k], np.float64)
            return np.asarray(of * t**k * (1 - t) ** (self.order - k))
        if self.name != "dijet":
            return np.asarray(legendre.legvander(x, self.order), np.float64)
        if not (low > 0 and high < self.sqrt_s):
            raise ValueError(
                f"the dijet function needs masses between 0 and sqrt_s = {self.sqrt_s:g} GeV, got a "
                f"window from {low:g} to {high:g} GeV"
            )
        # Its logarithms are almost lines in one another: made orthogonal on a grid.
        return self._dijet(m) @ np.linalg.inv(np.linalg.qr(self._dijet(np.linspace(low, high, 200)))[1]
                                              / np.sqrt(200))  # fmt: skip

    def _dijet(self, m: Floats) -> Floats:
        z = m / self.sqrt_s
        powers = [np.log(z) ** k for k in range(1, self.order)]
        return np.stack([np.ones_like(z), *powers, np.log1p(-z)], axis=-1)

    def basis(self, low: Floats, high: Floats, span: tuple[float, float], width: float) -> Basis:
        """Integrals over bins from ``low`` to ``high`` (n,) in units of ``width``, or what they need."""
        nodes, weights = legendre.leggauss(max(_NODES, self.order // 2 + 1))
        half, middle = (high - low)[:, None] / 2, (high + low)[:, None] / 2
        rows = self.terms(middle + half * nodes, *span)
        weight = weights * half / width
        if not self.linear:
            return Basis(rows, weight, False)
        return Basis((rows * weight[..., None]).sum(axis=1), None, self.name == "bernstein")

    def density(
        self, coefficients: ArrayLike, masses: ArrayLike, span: tuple[float, float]
    ) -> Floats:
        """Expected counts per mean bin width at these masses: (..., n_masses)."""
        sums = np.asarray(coefficients, np.float64) @ self.terms(masses, *span).T
        return sums if self.linear else np.exp(sums)
