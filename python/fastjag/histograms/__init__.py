"""Histograms as ``hist.Hist``, filled by the compiled kernel.

``fill``: ``histogram``; ``cuts``: ``histogram_cuts``; ``axes``: which edges count; ``nan_hist``: the
``hist.Hist`` that keeps count of NaN.
"""

from fastjag.histograms.cuts import CutHistograms, histogram_cuts
from fastjag.histograms.fill import histogram

__all__ = ["CutHistograms", "histogram", "histogram_cuts"]
