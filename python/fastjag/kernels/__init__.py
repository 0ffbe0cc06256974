"""The kernels on plain arrays: offsets and columns in, arrays out.

One module per kernel, named by its word; ``gpu`` chooses the compiled module for the device of the
arrays, ``threads`` their number, ``reference`` says what each kernel means, in slow NumPy. Only this package sees the compiled modules; everything
above it speaks of :class:`fastjag.Jagged`. Arguments are checked here, before any device is chosen,
so that every device gives the same messages.
"""

from fastjag.kernels.aggregate import STATISTICS, aggregate
from fastjag.kernels.check import Glance
from fastjag.kernels.dimuon import FIELDS, dimuon, pair_mass
from fastjag.kernels.gpu import cuda_module
from fastjag.kernels.histogram import histogram
from fastjag.kernels.histogram_cuts import histogram_cuts
from fastjag.kernels.nearest import in_cone, nearest
from fastjag.kernels.nested import nested_lists
from fastjag.kernels.padding import padding
from fastjag.kernels.pages import adler32, page_bytes, page_rows, pages
from fastjag.kernels.pyramid import (
    Coordinate,
    Features,
    Index,
    Tree,
    largest,
    pyramid_codes,
    pyramid_features,
    pyramid_gram,
    pyramid_index,
    pyramid_tree,
)
from fastjag.kernels.rows import deal_rows, permutation, take_lists, take_rows
from fastjag.kernels.select import gather, keep, order, select
from fastjag.kernels.threads import build_info, get_num_threads, set_num_threads

__all__ = [
    "FIELDS",
    "STATISTICS",
    "Coordinate",
    "Features",
    "Glance",
    "Index",
    "Tree",
    "adler32",
    "aggregate",
    "build_info",
    "cuda_module",
    "deal_rows",
    "dimuon",
    "gather",
    "get_num_threads",
    "histogram",
    "histogram_cuts",
    "in_cone",
    "keep",
    "largest",
    "nearest",
    "nested_lists",
    "order",
    "padding",
    "page_bytes",
    "page_rows",
    "pages",
    "pair_mass",
    "permutation",
    "pyramid_codes",
    "pyramid_features",
    "pyramid_gram",
    "pyramid_index",
    "pyramid_tree",
    "select",
    "set_num_threads",
    "take_lists",
    "take_rows",
]
