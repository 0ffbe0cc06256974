"""Sets of points compared by pyramids of histograms: ``PyramidMatch``, ``Nystroem``."""

from fastjag.pyramid.kernel import PyramidMatch
from fastjag.pyramid.nystroem import Nystroem

__all__ = ["Nystroem", "PyramidMatch"]
