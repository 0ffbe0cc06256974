"""Bump hunting: windows in mass, the significance of an excess, and scans of a whole spectrum."""

from fastjag.statistics.backgrounds import BackgroundFit, fit_background, sideband_cuts
from fastjag.statistics.likelihood import Significance, background, significance
from fastjag.statistics.scan import MassScan, Peak, mass_scan
from fastjag.statistics.windows import Counts, Window

__all__ = [
    "BackgroundFit",
    "Counts",
    "MassScan",
    "Peak",
    "Significance",
    "Window",
    "background",
    "fit_background",
    "mass_scan",
    "sideband_cuts",
    "significance",
]
