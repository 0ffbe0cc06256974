"""Sets of points on nested grids: parameters and samples of the pyramid-match kernel, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastjag import kernels
from fastjag.core.arrays import Array, Offsets, as_float, as_number
from fastjag.core.checks import at_least
from fastjag.core.devices import to_device_of, to_host
from fastjag.jagged import Jagged, as_jagged

_CODE_BITS = 63
_MOST_LEVELS = 32


class Sets(NamedTuple):
    """A sample: the number of points of each set, and the sorted codes of those."""

    sizes: NDArray[np.int64]
    offsets: Offsets
    codes: NDArray[np.uint64]


class Grid(NamedTuple):
    """Where cells lie. The parameters are those of :class:`fastjag.PyramidMatch`."""

    axes: dict[str, tuple[float, float]]
    circular: frozenset[str]
    shifts: NDArray[np.float64]  # (n_pyramids, n_axes), in units of the extent
    levels: int  # shifted points may lie in two cells of the extent's size: one level more
    shifted: bool
    categorical: str | None

    @classmethod
    def of_options(
        cls,
        levels: int,
        extent: Any,
        circular: Sequence[str],
        shifts: int,
        seed: int,
        categorical: str | None,
    ) -> Grid:
        if at_least("levels", levels, 1) > _MOST_LEVELS:
            raise ValueError(f"levels must be at most {_MOST_LEVELS}, got {levels}")
        if not isinstance(extent, Mapping) or not extent:
            raise ValueError(f"extent must map columns to (low, high), got {extent!r}")
        axes = {name: _bounds(name, bounds) for name, bounds in extent.items()}
        circles = [circular] if isinstance(circular, str) else list(circular)
        for name in circles:
            if name not in axes:
                raise ValueError(f"circular names {name!r}; extent has {', '.join(axes)}")
        for column in (*axes, *([] if categorical is None else [categorical])):
            if not isinstance(column, str):
                raise TypeError(f"columns of the kernel must be names, got {column!r}")
        if categorical in axes:
            raise ValueError(f"categorical is {categorical!r}, which is a coordinate in extent")
        draw = np.random.default_rng(at_least("seed", seed, 0))
        random = draw.random((at_least("shifts", shifts, 0), len(axes)))
        return cls(
            axes,
            frozenset(circles),
            random if shifts else np.zeros((1, len(axes))),
            int(levels) + bool(shifts),
            bool(shifts),
            categorical,
        )

    @property
    def unit(self) -> int:
        """What integers divide by to give K."""
        return len(self.shifts) << (self.levels - 1)

    def weight(self, level: int) -> int:
        """Of a pair that is formed on this level, in integers: w_l - w_(l+1) of the definition."""
        return 1 << max(0, self.levels - 2 - level)

    def categories(self, *samples: Any) -> Array | None:
        """All values of the categorical column, on the CPU; None where there is no such column."""
        if self.categorical is None:
            return None
        name = self.categorical
        types = [_types(as_jagged(s, [name]), name) for s in samples if s is not None]
        return np.unique(np.concatenate([to_host(np.unique(values)) for values in types]))

    def sets(self, sample: Any, categories: Array | None, *, threads: int | None = None) -> Sets:
        """The points of each event as sorted codes."""
        self._check_bits(1 if categories is None else max(1, len(categories)))
        jagged = as_jagged(sample, [*self.axes, *([self.categorical] if self.categorical else [])])
        for name in self.axes:
            _check_finite(name, as_float(jagged[name], name), jagged.offsets)
        sizes = jagged.counts
        category = None
        if self.categorical is not None and categories is not None:
            types = _types(jagged, self.categorical)
            categories = to_device_of(types, categories)
            known = np.isin(types, categories)
            if not known.all():  # nothing to pair with; they count in the sizes all the same
                jagged, types = jagged.keep(known), types[known]
            category = np.searchsorted(categories, types).astype(np.int64)
        offsets, codes = kernels.pyramid_codes(
            jagged.offsets,
            [
                kernels.Coordinate(as_float(jagged[name], name), *bounds, name in self.circular)
                for name, bounds in self.axes.items()
            ],
            levels=self.levels - self.shifted,
            shifts=self.shifts,
            shifted=self.shifted,
            category=category,
            n_categories=1 if categories is None else max(1, len(categories)),
            threads=threads,
        )
        return Sets(sizes, offsets, codes)

    def _check_bits(self, n_categories: int) -> None:
        bits = len(self.axes) * (self.levels - 1)
        bits += (len(self.shifts) * n_categories - 1).bit_length()
        if bits > _CODE_BITS:
            raise ValueError(
                f"{self.levels} levels of {len(self.axes)} columns in {len(self.shifts)} pyramids "
                f"with {n_categories} categories need {bits} bits; {_CODE_BITS} are there"
            )


def _bounds(name: str, bounds: Any) -> tuple[float, float]:
    try:
        low, high = (float(b) for b in bounds)
    except (TypeError, ValueError):
        low = high = np.nan
    if not (low < high and np.isfinite([low, high, high - low]).all()):
        raise ValueError(f"extent of {name!r} must be (low, high) with low < high, got {bounds!r}")
    if high - low < np.finfo(np.float64).tiny * 2**_MOST_LEVELS:
        raise ValueError(f"extent of {name!r} is too narrow to be divided, got {bounds!r}")
    return low, high


def _types(jagged: Jagged, name: str) -> NDArray[np.int64]:
    column = jagged[name]
    if column.dtype.kind not in "biu":
        raise TypeError(f"column {name!r} must hold integers, got dtype {column.dtype}")
    return as_number(column, f"column {name!r}", np.int64)


def _check_finite(name: str, values: Array, offsets: Offsets) -> None:
    finite = np.isfinite(values)
    if not finite.all():
        particle = int(finite.argmin())
        event = int(np.searchsorted(to_host(offsets), particle, side="right")) - 1
        value = float(values[particle])
        raise ValueError(f"column {name!r} must be finite, got {value} in event {event}")
