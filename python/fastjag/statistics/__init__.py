"""Bump hunting: windows in mass, the significance of an excess, and scans of a whole spectrum.

- ``windows``: a signal region between sidebands; ``likelihood``: the significance of its excess
- ``pvalues``: p-values from toys; ``deviations``: p to Z; ``goodness``: whether a fit describes data
- ``backgrounds``: least squares; ``peaks``: with resonances in the sidebands; ``crystalball``
- ``scan``: a whole spectrum, by ``sidebands`` (its fits), ``baseline`` (where peaks may be) and
  ``elsewhere`` (the look-elsewhere effect)
"""

from fastjag.statistics.backgrounds import BackgroundFit, fit_background, sideband_cuts
from fastjag.statistics.crystalball import CrystalBall
from fastjag.statistics.deviations import Z_of_log_p, log_p, p_text, p_value
from fastjag.statistics.goodness import bad_fits, fit_probability, fit_warning, sideband_chi2
from fastjag.statistics.likelihood import (
    Significance,
    background,
    background_error,
    enough_filled,
    significance,
)
from fastjag.statistics.peaks import PeakChoice, fit_peaks
from fastjag.statistics.pvalues import ToyCurve, ToyP, toy_curve, toy_weighted
from fastjag.statistics.scan import MassScan, Peak, mass_scan, scan_counts
from fastjag.statistics.windows import Counts, Window

__all__ = [
    "BackgroundFit",
    "Counts",
    "CrystalBall",
    "MassScan",
    "Peak",
    "PeakChoice",
    "Significance",
    "ToyCurve",
    "ToyP",
    "Window",
    "Z_of_log_p",
    "background",
    "background_error",
    "bad_fits",
    "enough_filled",
    "fit_background",
    "fit_peaks",
    "fit_probability",
    "fit_warning",
    "log_p",
    "mass_scan",
    "p_text",
    "p_value",
    "scan_counts",
    "sideband_chi2",
    "sideband_cuts",
    "significance",
    "toy_curve",
    "toy_weighted",
]
