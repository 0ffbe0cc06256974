"""One-sided p-values and standard deviations, both ways, by the logarithm of p: no far tail is 0."""

from __future__ import annotations

from math import floor, log

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from fastjag.statistics.windows import Floats


def log_p(Z: ArrayLike) -> Floats:
    """ln p of a normal variable to be above Z, same shape; p itself is 0 from 38.5 sigma on."""
    return np.asarray(special.log_ndtr(-np.asarray(Z, np.float64)))


def p_value(Z: ArrayLike) -> Floats:
    """exp of :func:`log_p`."""
    return np.asarray(special.ndtr(-np.asarray(Z, np.float64)))


def Z_of_log_p(log_p: ArrayLike) -> Floats:
    """The inverse of :func:`log_p`, not below 0: what half of all experiments show is no excess."""
    Z = -special.ndtri_exp(np.minimum(log_p, 0.0))
    return np.asarray(np.maximum(Z, 0.0) + 0.0)  # never -0


def p_text(log_p: float) -> str:
    """p with two digits, as 0.023 or 3.1e-1234."""
    if not -np.inf < log_p < -600:
        return f"{np.exp(log_p):.2g}"
    power = floor(log_p / log(10))
    mantissa = f"{np.exp(log_p - power * log(10)):.1f}"
    return f"1.0e{power + 1}" if mantissa == "10.0" else f"{mantissa}e{power}"
