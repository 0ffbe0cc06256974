"""Trigger rates: counts per luminosity section, rates with errors, rate against pileup.

    from fastjag.analyses.rates import Target, fit, measure
    from fastjag.analyses.rates.count import count

    rates = measure(count("data/*.root", ["HLT_Photon30EB"]))

``config`` settings and windows of sections; ``run`` the stages, of which ``count`` counts trigger
bits and ``fit`` fits rates against pileup; ``rates`` rates and their errors; ``pileup`` the lines that
are fitted; ``tables`` rates and windows as CSV; ``results`` what ``pictures`` and ``report`` see;
``toys`` runs of known rates.
"""

from fastjag.analyses.rates.config import RatesConfig, SectionWindow, Target
from fastjag.analyses.rates.fit import fit_pileup
from fastjag.analyses.rates.rates import SECTION_SECONDS, Counts, Rate, measure, rate_of
from fastjag.analyses.rates.results import PileupFit, RatesResult
from fastjag.analyses.rates.tables import read_rates, read_windows, write_csv

__all__ = [
    "SECTION_SECONDS",
    "Counts",
    "PileupFit",
    "Rate",
    "RatesConfig",
    "RatesResult",
    "SectionWindow",
    "Target",
    "fit_pileup",
    "measure",
    "rate_of",
    "read_rates",
    "read_windows",
    "write_csv",
]
