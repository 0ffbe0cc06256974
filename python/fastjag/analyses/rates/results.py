"""Rates and what was made of them: all that pictures and report see."""

from __future__ import annotations

from dataclasses import dataclass, field

from fastjag.analyses.rates.config import Target
from fastjag.analyses.rates.pileup import PileupFit
from fastjag.analyses.rates.rates import Counts, Rate


@dataclass
class RatesResult:
    """Rates, and for each trigger the fits and predictions that its rates allow."""

    rates: list[Rate]
    target: Target
    counts: Counts | None = None
    #: Trigger to "line" and "proportional".
    fits: dict[str, dict[str, PileupFit]] = field(default_factory=dict)
    #: The same to rate and error [Hz].
    predictions: dict[str, dict[str, tuple[float, float | None]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
