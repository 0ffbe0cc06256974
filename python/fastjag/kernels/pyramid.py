"""pyramid: cells of points on nested grids, sparse features, Gram matrix of sets."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastjag import _cpu
from fastjag.arrays import Array, Offsets
from fastjag.kernels.threads import get_num_threads

# A feature that fewer of the columns have is cheaper as a list of them than as a bit plane.
LEAST_FREQUENT = 1 / 256
_MOST_FEATURES = np.iinfo(np.int32).max


class Axis(NamedTuple):
    """One dimension of the points: finite float32 or float64 values and where the grid lies."""

    values: Array
    low: float
    high: float
    circular: bool


class Tree(NamedTuple):
    """All cells that hold a point of a sample, level by level from the finest.

    Feature (cell, k), "more than k points in this cell", has the number ``base[cell] + k``.
    """

    n_axes: int
    first: NDArray[np.int64]
    cells: NDArray[np.uint64]
    child: NDArray[np.int64]
    base: NDArray[np.int32]

    @property
    def level_first(self) -> NDArray[np.int64]:
        """First feature of each level, and the number of features."""
        return self.base[self.first].astype(np.int64)

    @property
    def n_features(self) -> int:
        return int(self.base[-1])


class Features(NamedTuple):
    """The features of each event, ascending: rows of a sparse matrix."""

    offsets: Offsets
    numbers: NDArray[np.int32]


class Index(NamedTuple):
    """Which events have which feature: bit planes of frequent features, lists of the others."""

    n_events: int
    level_first: NDArray[np.int64]
    plane: NDArray[np.int32]
    planes: NDArray[np.uint64]
    posting_offsets: Offsets
    postings: NDArray[np.int32]


def pyramid_codes(
    offsets: Offsets,
    axes: list[Axis],
    *,
    levels: int,
    shifts: NDArray[np.float64],
    shifted: bool,
    category: NDArray[np.int64] | None = None,
    n_categories: int = 1,
    threads: int | None = None,
) -> tuple[Offsets, NDArray[np.uint64]]:
    """Sorted codes of the points of each event: (offsets, codes).

    ``shifts`` (n_pyramids, n_axes) is in units of the extent; ``shifted`` adds a level for it.
    """
    cells = 1 << (levels - 1)
    n_pyramids = len(shifts)
    codes = np.empty(n_pyramids * (int(offsets[-1]) - int(offsets[0])), np.uint64)
    own = np.ascontiguousarray(offsets - offsets[0])
    _cpu.pyramid_codes(
        own,
        [axis.values[int(offsets[0]) : int(offsets[-1])] for axis in axes],
        [axis.low for axis in axes],
        [cells / (axis.high - axis.low) for axis in axes],
        [axis.circular for axis in axes],
        cells,
        levels - 1 + shifted,
        None if category is None else category[int(offsets[0]) : int(offsets[-1])],
        n_categories,
        np.ascontiguousarray(shifts * cells),
        codes,
        get_num_threads(threads),
    )
    return own * n_pyramids, codes


def pyramid_tree(
    offsets: Offsets,
    codes: NDArray[np.uint64],
    *,
    n_axes: int,
    levels: int,
    threads: int | None = None,
) -> tuple[Tree, Features]:
    """The cells and features of a sample, and the features of each of its events."""
    cells = [_distinct(np.sort(codes))[0]]
    child = [np.zeros(len(cells[0]), np.int64)]
    first = np.zeros(levels + 1, np.int64)
    first[1] = len(cells[0])
    for level in range(1, levels):
        distinct, starts = _distinct(cells[-1] >> np.uint64(n_axes))
        cells.append(distinct)
        child.append(starts + first[level - 1])
        first[level + 1] = first[level] + len(distinct)
    if first[-1] >= _MOST_FEATURES:
        raise _too_many(int(first[-1]))
    child.append(np.array([first[levels - 1]]))
    grid = (n_axes, first, np.concatenate(cells), np.concatenate(child))
    most = np.ones(first[-1], np.int32)  # every cell holds a point of some event
    own = np.empty(len(codes) * levels, np.int32)
    count = get_num_threads(threads)
    _cpu.pyramid_cells(offsets, codes, *grid, own, most, count)
    base = np.zeros(len(most) + 1, np.int64)
    np.cumsum(most, out=base[1:])
    if base[-1] > _MOST_FEATURES:
        raise _too_many(int(base[-1]))
    tree = Tree(*grid, base.astype(np.int32))
    bounds = offsets * levels
    _cpu.pyramid_features(bounds, own, tree.base, None, bounds, own, count)
    return tree, Features(bounds, own)


def _too_many(features: int) -> ValueError:
    return ValueError(
        f"the sets have at least {features} distinct features; at most {_MOST_FEATURES} are "
        "accepted: use fewer levels, columns, shifts or sets"
    )


def _distinct(ascending: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """The distinct values of a sorted array, and where each starts."""
    starts = np.ones(len(ascending), bool)
    np.not_equal(ascending[1:], ascending[:-1], out=starts[1:])
    return ascending[starts], np.flatnonzero(starts)


def pyramid_features(
    tree: Tree, offsets: Offsets, codes: NDArray[np.uint64], *, threads: int | None = None
) -> Features:
    """The features of events of another sample that ``tree`` knows."""
    levels = len(tree.first) - 1
    count = get_num_threads(threads)
    cells = np.empty(len(codes) * levels, np.int32)
    _cpu.pyramid_cells(offsets, codes, *tree[:4], cells, None, count)
    bounds = np.zeros(len(offsets), np.int64)
    _cpu.pyramid_features(offsets * levels, cells, tree.base, bounds[1:], None, None, count)
    np.cumsum(bounds, out=bounds)
    # What remains moves forward in place; each thread would overrun the next one's cells.
    _cpu.pyramid_features(offsets * levels, cells, tree.base, None, bounds, cells, 1)
    return Features(bounds, cells[: bounds[-1]])


def pyramid_index(
    features: Features, level_first: NDArray[np.int64], *, threads: int | None = None
) -> Index:
    """Who has which feature, for the columns of a Gram matrix."""
    n_events = len(features.offsets) - 1
    tile = _cpu.pyramid_tile
    frequency = np.bincount(features.numbers, minlength=int(level_first[-1]))
    frequent = frequency >= LEAST_FREQUENT * max(n_events, tile)  # planes are of whole tiles
    plane = np.where(frequent, np.cumsum(frequent) - 1, -1).astype(np.int32)
    starts = np.zeros(len(frequency) + 1, np.int64)
    np.cumsum(np.where(frequent, 0, frequency), out=starts[1:])
    planes = np.zeros((-(-n_events // tile), int(frequent.sum()), tile // 64), np.uint64)
    postings = np.empty(int(starts[-1]), np.int32)
    _cpu.pyramid_index(
        *features, plane, starts[:-1].copy(), planes, postings, get_num_threads(threads)
    )
    return Index(n_events, level_first, plane, planes, starts, postings)


def pyramid_gram(
    rows: Features,
    index: Index,
    out: Array,
    *,
    first_row: int = 0,
    scales: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
    wide: bool = False,
    symmetric: bool = False,
    threads: int | None = None,
) -> None:
    """Rows ``first_row`` .. of the Gram matrix into ``out``, shape (rows, n_columns).

    uint16 and uint32 get the integers 2^(levels - 1) K of all pyramids together; float32 and
    float64 these times ``scales[0][row] * scales[1][column]``. ``wide`` says that integers may
    need more than 16 bits; ``symmetric`` that the rows are the columns and all wanted at once.
    """
    bounds = rows.offsets[first_row : first_row + len(out) + 1]
    most = int(np.diff(bounds).max(initial=0))
    blocks = np.append(bounds[:: _cpu.pyramid_rows], bounds[-1])
    block = int(np.diff(blocks).max())
    count = get_num_threads(threads)
    row_scale, column_scale = scales or (None, None)
    _cpu.pyramid_gram(
        rows.offsets,
        rows.numbers,
        first_row,
        first_row + len(out),
        index.n_events,
        index.level_first,
        index.plane,
        index.planes,
        index.posting_offsets,
        index.postings,
        row_scale,
        column_scale,
        wide,
        symmetric,
        most,
        block,
        _aligned(count * _cpu.pyramid_gram_scratch(most, block)),
        out,
        count,
    )


def _aligned(size: int, to: int = 64) -> NDArray[np.uint8]:
    raw = np.empty(size + to, np.uint8)
    start = -raw.ctypes.data % to
    return raw[start : start + size]


def largest(
    values: NDArray[np.float32],
    k: int,
    *,
    exclude: NDArray[np.int64] | None = None,
    threads: int | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Columns and values of the ``k`` largest of each row; equal values by column.

    ``exclude`` (n_rows,) is a column that does not count; -1 and 0 stand where columns run out.
    """
    index = np.empty((len(values), k), np.int64)
    found: NDArray[Any] = np.empty((len(values), k), np.float32)
    _cpu.largest(values, exclude, index, found, get_num_threads(threads))
    return index, found
