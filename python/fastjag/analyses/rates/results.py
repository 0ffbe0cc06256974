"""Rates and what was made of them: all that pictures and report see."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastjag.analyses.rates.config import Target
from fastjag.analyses.rates.rates import Rate, TriggerCounts
from fastjag.reporting.points import efficiency_errors


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


@dataclass
class RatesResult:
    """Rates, and for each trigger the fits and predictions that its rates allow."""

    rates: list[Rate]
    target: Target
    counts: TriggerCounts | None = None
    #: Trigger to "line" and "proportional".
    fits: dict[str, dict[str, PileupFit]] = field(default_factory=dict)
    #: The same to rate and error [Hz].
    predictions: dict[str, dict[str, tuple[float, float | None]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def shares_of(result: RatesResult) -> list[dict[str, Any]]:
    """Of every run with events and trigger: the share of the events that fired it.

    With errors below and above (:func:`fastjag.reporting.points.efficiency_errors`). It is the efficiency
    of the trigger where the events are a sample that was recorded without it.
    """
    counts, rows = result.counts, []
    if counts is None:
        return []
    for run in np.unique(counts.run).tolist():
        own = counts.run == run
        if not (events := int(counts.events[own].sum())):
            continue
        for trigger, fired in counts.fired.items():
            n = int(fired[own].sum())
            below, above = efficiency_errors(n, events).tolist()
            rows.append({"trigger": trigger, "run": run, "fired": n, "events": events,
                         "share": n / events, "error_below": below, "error_above": above})  # fmt: skip
    return rows
