"""Bump hunting: windows in mass, the significance of an excess, and scans of a whole spectrum.

- ``windows``: a signal region between sidebands; ``likelihood``: the significance of its excess
- ``pvalues``: p-values from toys; ``deviations``: p to Z; ``goodness``: whether a fit describes data
- ``backgrounds``: least squares; ``peaks``: with resonances in the sidebands; ``crystalball``
- ``scan``: a whole spectrum (``scan_result``, ``scan_choice``), by ``sidebands`` (its fits), ``baseline`` (where peaks may be) and
  ``elsewhere`` (the look-elsewhere effect)
- ``families``, ``binned_model``: a signal on backgrounds of several families, with nuisances;
  ``profile_fit``, ``envelope``: its fits, the choice of background profiled; ``background_check``,
  ``intervals``, ``limits``, ``impacts``: what follows; ``sharing`` (by ``histfactory``): for other programs
"""

from fastjag.statistics.background_check import (
    BackgroundTest,
    OrderFit,
    check_background,
    spurious_signal,
)
from fastjag.statistics.backgrounds import BackgroundFit, fit_background, sideband_cuts
from fastjag.statistics.binned_model import BinnedModel, Nuisance, gaussian_peak
from fastjag.statistics.crystalball import CrystalBall
from fastjag.statistics.deviations import Z_of_log_p, log_p, p_text, p_value
from fastjag.statistics.envelope import SignalFit, fit_signal
from fastjag.statistics.families import FAMILIES, Family
from fastjag.statistics.goodness import bad_fits, fit_probability, fit_warning, sideband_chi2
from fastjag.statistics.impacts import Impact, Impacts, impacts
from fastjag.statistics.intervals import FeldmanCousins, Interval, feldman_cousins, interval
from fastjag.statistics.likelihood import (
    Significance,
    background,
    background_error,
    enough_filled,
    significance,
)
from fastjag.statistics.limits import UpperLimit, upper_limit
from fastjag.statistics.peaks import PeakChoice, fit_peaks
from fastjag.statistics.pvalues import ToyCurve, ToyP, toy_curve, toy_weighted
from fastjag.statistics.scan import mass_scan, scan_counts
from fastjag.statistics.scan_result import MassScan, Peak
from fastjag.statistics.sharing import to_hs3, to_pyhf, write_datacard
from fastjag.statistics.windows import Counts, Window

__all__ = [
    "FAMILIES",
    "BackgroundFit",
    "BackgroundTest",
    "BinnedModel",
    "Counts",
    "CrystalBall",
    "Family",
    "FeldmanCousins",
    "Impact",
    "Impacts",
    "Interval",
    "MassScan",
    "Nuisance",
    "OrderFit",
    "Peak",
    "PeakChoice",
    "SignalFit",
    "Significance",
    "ToyCurve",
    "ToyP",
    "UpperLimit",
    "Window",
    "Z_of_log_p",
    "background",
    "background_error",
    "bad_fits",
    "check_background",
    "enough_filled",
    "feldman_cousins",
    "fit_background",
    "fit_peaks",
    "fit_probability",
    "fit_signal",
    "fit_warning",
    "gaussian_peak",
    "impacts",
    "interval",
    "log_p",
    "mass_scan",
    "p_text",
    "p_value",
    "scan_counts",
    "sideband_chi2",
    "sideband_cuts",
    "significance",
    "spurious_signal",
    "to_hs3",
    "to_pyhf",
    "toy_curve",
    "toy_weighted",
    "upper_limit",
    "write_datacard",
]
