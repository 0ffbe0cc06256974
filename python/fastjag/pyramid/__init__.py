"""Sets of points compared by pyramids of histograms: ``PyramidMatch``, ``Nystroem``.

``kernel``: ``PyramidMatch``; ``nystroem``: ``Nystroem``; ``grids``: sets on a grid of cells;
``matrixfile``: matrices larger than memory.
"""

from fastjag.pyramid.kernel import PyramidMatch
from fastjag.pyramid.nystroem import Nystroem

__all__ = ["Nystroem", "PyramidMatch"]
