"""Datasets as pieces of work: which entries of which files make them up.

- ``planning``: fj.ranges, files to ranges
- ``filesets``: what users give: filesets of coffea, file indexes of CERN's open data, lists
- ``known``: what is known of files from before
"""

from fastjag.datasets.planning import ranges
from fastjag.io.ranges import Range, Ranges

__all__ = ["Range", "Ranges", "ranges"]
