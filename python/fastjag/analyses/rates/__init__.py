"""Trigger rates: counts per luminosity section, rates with errors, rate against pileup."""

from fastjag.analyses.rates.counts import Counts, count_triggers
from fastjag.analyses.rates.rates import (
    SECTION_SECONDS,
    PileupFit,
    Rate,
    Window,
    fit_pileup,
    measure,
    rate_of,
    read_rates,
    read_windows,
    write_csv,
)

__all__ = [
    "SECTION_SECONDS",
    "Counts",
    "PileupFit",
    "Rate",
    "Window",
    "count_triggers",
    "fit_pileup",
    "measure",
    "rate_of",
    "read_rates",
    "read_windows",
    "write_csv",
]
