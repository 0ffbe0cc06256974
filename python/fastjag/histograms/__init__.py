"""Histograms as ``hist.Hist``, filled by the compiled kernel or by boost-histogram.

``fill``: ``histogram``; ``cuts``: ``histogram_cuts``; ``columns``, ``axes``, ``out``: what they are
given; ``variations``: many weights in one pass; ``boost``: axes that the kernel does not know;
``nan_hist``: the ``hist.Hist`` that keeps count of NaN.
"""

from fastjag.histograms.cuts import CutHistograms, histogram_cuts
from fastjag.histograms.fill import histogram

__all__ = ["CutHistograms", "histogram", "histogram_cuts"]
