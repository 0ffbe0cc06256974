"""pyramid: cells of points on nested grids, sparse features, Gram matrix of sets."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastjag import _cpu
from fastjag.core.arrays import Array, Offsets
from fastjag.core.devices import to_host
from fastjag.kernels.gpu import Cpu, Gpu, device_of

# A feature that fewer of the columns have is cheaper as a list of them than as a bit plane.
LEAST_FREQUENT = 1 / 256
_MOST_FEATURES = np.iinfo(np.int32).max


class Coordinate(NamedTuple):
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

    def on(self, device: Cpu | Gpu) -> Tree:
        """The same tree where ``device`` can read it."""
        return Tree(self.n_axes, *(device.asarray(part) for part in self[1:]))

    def on_host(self) -> Tree:
        return Tree(self.n_axes, *(to_host(part) for part in self[1:]))


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
    axes: list[Coordinate],
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
    device = device_of(offsets=offsets, columns=[axis.values for axis in axes], category=category)
    cells = 1 << (levels - 1)
    n_pyramids = len(shifts)
    begin, end = int(offsets[0]), int(offsets[-1])
    codes = device.empty(n_pyramids * (end - begin), np.uint64)
    own = offsets - begin
    device.kernels.pyramid_codes(
        own,
        [axis.values[begin:end] for axis in axes],
        [axis.low for axis in axes],
        [cells / (axis.high - axis.low) for axis in axes],
        [axis.circular for axis in axes],
        cells,
        levels - 1 + shifted,
        None if category is None else category[begin:end],
        n_categories,
        device.asarray(shifts * cells),
        codes,
        device.where(threads),
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
    device = device_of(offsets=offsets, codes=codes)
    cells = [_distinct(device, np.sort(codes))[0]]
    child = [device.zeros(len(cells[0]), np.int64)]
    first = np.zeros(levels + 1, np.int64)
    first[1] = len(cells[0])
    for level in range(1, levels):
        distinct, starts = _distinct(device, cells[-1] >> np.uint64(n_axes))
        cells.append(distinct)
        child.append(starts + int(first[level - 1]))
        first[level + 1] = first[level] + len(distinct)
    if first[-1] >= _MOST_FEATURES:
        raise _too_many(int(first[-1]))
    child.append(device.asarray(first[levels - 1 : levels]))
    grid = (n_axes, device.asarray(first), np.concatenate(cells), np.concatenate(child))
    most = device.empty(int(first[-1]), np.int32)
    most.fill(1)  # every cell holds a point of some event
    own = device.empty(len(codes) * levels, np.int32)
    where = device.where(threads)
    device.kernels.pyramid_cells(offsets, codes, *grid, own, most, where)
    base = device.zeros(len(most) + 1, np.int64)
    np.cumsum(most, out=base[1:])
    if base[-1] > _MOST_FEATURES:
        raise _too_many(int(base[-1]))
    tree = Tree(*grid, base.astype(np.int32))
    bounds = offsets * levels
    device.kernels.pyramid_features(bounds, own, tree.base, None, bounds, own, where)
    return tree, Features(bounds, own)


def _too_many(features: int) -> ValueError:
    return ValueError(
        f"the sets have at least {features} distinct features; at most {_MOST_FEATURES} are "
        "accepted: use fewer levels, columns, shifts or sets"
    )


def _distinct(device: Cpu | Gpu, ascending: Array) -> tuple[Array, NDArray[np.int64]]:
    """The distinct values of a sorted array, and where each starts."""
    starts = device.empty(len(ascending), np.bool_)
    starts[:1] = True
    np.not_equal(ascending[1:], ascending[:-1], out=starts[1:])
    return ascending[starts], np.flatnonzero(starts)


def pyramid_features(
    tree: Tree, offsets: Offsets, codes: NDArray[np.uint64], *, threads: int | None = None
) -> Features:
    """The features of events of another sample that ``tree`` knows."""
    device = device_of(offsets=offsets, codes=codes)
    tree = tree.on(device)
    levels = len(tree.first) - 1
    where = device.where(threads)
    cells = device.empty(len(codes) * levels, np.int32)
    device.kernels.pyramid_cells(offsets, codes, *tree[:4], cells, None, where)
    bounds = device.zeros(len(offsets), np.int64)
    device.kernels.pyramid_features(
        offsets * levels, cells, tree.base, bounds[1:], None, None, where
    )
    np.cumsum(bounds, out=bounds)
    known = int(bounds[-1])
    # What remains moves forward, in place by one thread; several would overrun each other's cells.
    numbers = cells if device.is_cpu else device.empty(known, np.int32)
    device.kernels.pyramid_features(
        offsets * levels, cells, tree.base, None, bounds, numbers, 1 if device.is_cpu else where
    )
    return Features(bounds, numbers[:known])


def pyramid_index(
    features: Features, level_first: NDArray[np.int64], *, threads: int | None = None
) -> Index:
    """Who has which feature, for the columns of a Gram matrix."""
    device = device_of(offsets=features.offsets, numbers=features.numbers)
    n_events = len(features.offsets) - 1
    tile = _cpu.pyramid_tile
    frequency = np.bincount(features.numbers, minlength=int(level_first[-1]))
    frequent = frequency >= LEAST_FREQUENT * max(n_events, tile)  # planes are of whole tiles
    number = np.cumsum(frequent, dtype=np.int64) - 1
    plane = np.where(frequent, number, -1).astype(np.int32)
    starts = device.zeros(len(frequency) + 1, np.int64)
    np.cumsum(np.where(frequent, 0, frequency), out=starts[1:])
    planes = device.zeros((-(-n_events // tile), int(frequent.sum()), tile // 64), np.uint64)
    postings = device.empty(int(starts[-1]), np.int32)
    device.kernels.pyramid_index(
        *features, plane, starts[:-1].copy(), planes, postings, device.where(threads)
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
    device = device_of(
        rows=rows.offsets,
        columns=index.plane,
        out=out,
        scales=None if scales is None else [*scales],
    )
    where = device.where(threads)
    most = block = 0
    scratch = device.empty(0, np.uint8)
    if device.is_cpu:
        bounds = rows.offsets[first_row : first_row + len(out) + 1]
        most = int(np.diff(bounds).max(initial=0))
        blocks = np.append(bounds[:: _cpu.pyramid_rows], bounds[-1])
        block = int(np.diff(blocks).max())
        scratch = _allocate_aligned(where * _cpu.pyramid_gram_scratch(most, block))
    row_scale, column_scale = scales or (None, None)
    device.kernels.pyramid_gram(
        *rows, first_row, first_row + len(out), *index, row_scale, column_scale, wide, symmetric,
        most, block, scratch, out, where,
    )  # fmt: skip


def _allocate_aligned(size: int) -> NDArray[np.uint8]:
    """Memory that begins with a line of the cache."""
    raw = np.empty(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
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
    device = device_of(values=values, exclude=exclude)
    index = device.empty((len(values), k), np.int64)
    best = device.empty((len(values), k), np.float32)
    device.kernels.largest(values, exclude, index, best, device.where(threads))
    return index, best
