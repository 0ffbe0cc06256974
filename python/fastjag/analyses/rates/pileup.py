"""How rates grow with pileup: lines, and lines through the origin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastjag.analyses.rates.rates import Rate


@dataclass(frozen=True)
class PileupFit:
    """rate = intercept + slope x pileup [Hz], by weighted least squares."""

    intercept: float
    slope: float
    covariance: NDArray[np.float64] | None  #: (2, 2), of statistical errors; None: not known
    chi2: float | None
    dof: int
    bunches: float | None  #: to which the rates were scaled

    @property
    def inflation(self) -> float:
        """sqrt(chi2 / dof) where that is above 1: runs scatter more than their counts tell."""
        return 1.0 if not self.dof or self.chi2 is None else max(1.0, (self.chi2 / self.dof) ** 0.5)

    def predict(self, pileup: float) -> tuple[float, float | None]:
        """Rate and error [Hz] of the line; the error is multiplied by ``inflation``."""
        rate = self.intercept + self.slope * pileup
        if self.covariance is None:
            return rate, None
        at = np.array([1.0, pileup])
        return rate, float(np.sqrt(at @ self.covariance @ at)) * self.inflation


def fit_pileup(
    rates: Sequence[Rate], *, intercept: bool = True, bunches: float | None = None
) -> PileupFit:
    """Fit a line, or one through the origin, to unprescaled rates against pileup.

    Errors are the rates' own; if one of them is not known, all points weigh the same and the
    covariance comes from their scatter. ``bunches`` is the number of colliding bunches to which
    rates are scaled; it is needed where measurements differ in it.

    Raises ValueError where the pileup of a rate is missing, or too few are different.
    """
    missing = [r for r in rates if r.pileup is None]
    if missing or not rates:
        which = f"run {missing[0].run} has none" if missing else "there are no rates"
        raise ValueError(f"the pileup of every rate is needed: {which}")
    different = {r.bunches for r in rates}
    if bunches is None and len(different) > 1:
        shown = ", ".join(map(str, different))
        raise ValueError(
            f"rates were taken with different numbers of bunches ({shown}): give the number of "
            f"bunches to scale them to"
        )
    mu = np.array([r.pileup for r in rates], np.float64)
    if len(set(mu)) < 1 + intercept:
        raise ValueError(f"a line needs rates at two values of pileup, all are at {mu[0]:g}")
    values = [r.scaled(bunches=bunches) for r in rates]
    y = np.array([v for v, _ in values])
    errors = [e for _, e in values]
    known = all(e is not None and e > 0 for e in errors)
    sigma = np.array(errors, np.float64) if known else np.ones(len(y))
    design = np.column_stack([np.ones(len(mu)), mu])[:, 1 - intercept :]
    inverse = np.linalg.inv((design / sigma[:, None]).T @ (design / sigma[:, None]))
    solution = inverse @ (design.T @ (y / sigma**2))
    chi2 = float((((y - design @ solution) / sigma) ** 2).sum())
    dof = len(y) - design.shape[1]
    covariance = np.zeros((2, 2))
    covariance[1 - intercept :, 1 - intercept :] = inverse
    a, b = solution if intercept else (0.0, solution[0])
    if known:
        return PileupFit(float(a), float(b), covariance, chi2, dof, bunches)
    scatter = covariance * chi2 / dof if dof else None
    return PileupFit(float(a), float(b), scatter, None, dof, bunches)
