"""Bump hunting: windows in mass, the significance of an excess, and scans of a whole spectrum."""

from fastjag.statistics.likelihood import Significance, background, significance
from fastjag.statistics.scan import MassScan, Peak, mass_scan
from fastjag.statistics.windows import Counts, Window

__all__ = [
    "Counts",
    "MassScan",
    "Peak",
    "Significance",
    "Window",
    "background",
    "mass_scan",
    "significance",
]
