"""The look-elsewhere effect of a scan: global p-values from toys and beyond them, in logarithms."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from fastjag.statistics.deviations import log_p
from fastjag.statistics.pvalues import REFERENCE
from fastjag.statistics.windows import Floats

_COUNTED = 10  # toys above a Z from which on their share is the p-value


def calibrated_log_p(Z: ArrayLike, maxima: Floats, upcrossings: float) -> Floats:
    """Logarithm of the probability that background alone shows at least this Z anywhere.

    (k + 1) / (n + 1) where k of the n ``maxima`` of toys are as large. Beyond the tenth largest (for
    fewer than 100 toys the largest tenth) p falls on from 10 / (n + 1), its mean there, as the expected
    number of excursions does, local p + upcrossings * exp(-(Z² - 1) / 2) (E. Gross, O. Vitells, EPJC 70:525, 2010): its
    shape is theirs, its size that of the toys.
    """
    z = np.asarray(Z, np.float64)
    ordered = np.sort(np.asarray(maxima, np.float64))
    n = len(ordered)
    above = n - np.searchsorted(ordered, z, side="left")
    k = min(_COUNTED, -(-n // 10))
    last = ordered[n - k]
    shares = np.log((above + 1) / (n + 1))
    beyond = (
        np.log(k / (n + 1)) + _log_excursions(z, upcrossings) - _log_excursions(last, upcrossings)
    )
    return np.asarray(np.where(z > last, beyond, shares))


def _log_excursions(z: ArrayLike, upcrossings: float) -> Floats:
    above = np.log(max(upcrossings, 1e-300)) - (np.square(z) - REFERENCE**2) / 2
    return np.asarray(np.logaddexp(log_p(z), above))


def counting_Z(N: ArrayLike, B: ArrayLike, error: ArrayLike) -> Floats:
    """Significance of N events above a background B known to ``error``; 0 where N <= B."""
    n, b = np.asarray(N, np.float64), np.maximum(np.asarray(B, np.float64), 1e-300)
    return np.asarray(np.where(n > b, np.sqrt(counting_q0(n, b, error)), 0.0))


def counting_q0(N: ArrayLike, B: ArrayLike, error: ArrayLike) -> Floats:
    """-2 ln of the likelihood ratio of N events on a background B known to ``error``, on either side of it.

    That of a counting experiment whose background is measured by another one, with
    M = (B / error)² events in sidebands tau = B / error² times as large (T. Li, Y. Ma, Astrophys. J.
    272:317, 1983; R. Cousins, J. Linnemann, J. Tucker, NIM A 595:480, 2008).
    """
    n, b = np.asarray(N, np.float64), np.maximum(np.asarray(B, np.float64), 1e-300)
    tau = b / np.maximum(np.square(np.asarray(error, np.float64)), 1e-300)
    side = tau * b
    both = n + side
    q0 = special.xlogy(n, n * (1 + tau) / both) + special.xlogy(side, side * (1 + 1 / tau) / both)
    return np.asarray(np.maximum(2 * q0, 0))
