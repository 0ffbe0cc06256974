"""padding: jagged columns to a dense tensor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastjag.core.arrays import Array, Offsets, out_array
from fastjag.core.checks import at_least, one_of
from fastjag.kernels.gpu import device_of

Bounds: TypeAlias = tuple[float, float]
MAPPED = 32 << 20  # bytes from which malloc asks the system for pages of their own


def padding(
    offsets: Offsets,
    columns: Sequence[Array],
    width: int,
    *,
    mode: str = "constant",
    fill: float | Sequence[float] = 0,
    layout: str = "NKF",
    order: NDArray[np.int64] | None = None,
    mean: float | Sequence[float | None] | None = None,
    scale: float | Sequence[float | None] | None = None,
    clip: Bounds | Sequence[Bounds | None] | None = None,
    nan: float | None = None,
    dtype: DTypeLike | None = None,
    out: Array | None = None,
    mask: NDArray[np.bool_] | None = None,
    threads: int | None = None,
) -> Array:
    """Pad and truncate every event to ``width`` slots; see :meth:`fastjag.Jagged.pad`.

    ``order`` (from :func:`fastjag.kernels.order`) names the particle that goes into each slot;
    ``mask``, of shape (n_events, width), is filled where given. Returns shape (n_events, width, F)
    for layout "NKF", (n_events, F, width) for "NFK".
    """
    one_of("layout", layout, ("NKF", "NFK"))
    one_of("mode", mode, ("constant", "wrap"))
    width = at_least("width", width, 1)
    if width >= 2**31:
        raise ValueError(f"width must be below 2**31, got {width}")
    standardise = mean is not None or scale is not None or clip is not None
    target = _target_dtype(columns, dtype, standardise)
    n, f = len(offsets) - 1, len(columns)
    shape = (n, width, f) if layout == "NKF" else (n, f, width)
    fills = _fill_values(fill, target, f)
    # The kernel takes NaN for "leave them": integers have none to replace.
    floats = target.kind == "f"
    number = math.nan
    if nan is not None:
        held = float(_held("nan", nan, target if floats else np.dtype(np.float64)))
        number = held if floats else math.nan
    device = device_of(offsets=offsets, columns=columns, order=order, out=out, mask=mask)
    # Pages fresh from the system are zeros: long rows leave those that have no particle alone.
    blank = (
        device.is_cpu
        and out is None
        and math.prod(shape) * target.itemsize >= MAPPED
        and not any(fills.tobytes())
    )
    values = device.zeros(shape, target) if blank else out_array(out, shape, target, like=offsets)
    for name, written in (("out", out), ("out.mask", mask)):
        if written is not None and any(np.may_share_memory(written, c) for c in columns):
            raise ValueError(f"{name} must not share memory with the columns")
    if mask is not None and np.may_share_memory(values, mask):
        raise ValueError("out.values and out.mask must not share memory")
    low, high = _clip_ranges(clip, f)
    scales = _per_column(scale, 1.0, f, "scale")
    if 0.0 in scales or not all(map(math.isfinite, scales)):
        raise ValueError(f"scale must be finite and not 0, got {scale!r}")
    device.kernels.padding(
        offsets,
        list(columns),
        order,
        width,
        standardise,
        _per_column(mean, 0.0, f, "mean"),
        [1.0 / s for s in scales],
        low,
        high,
        number,
        fills,
        mode == "wrap",
        layout == "NFK",
        blank,
        values,
        mask,
        device.where(threads),
    )
    return values


def _target_dtype(
    columns: Sequence[Array], dtype: DTypeLike | None, standardise: bool
) -> np.dtype[np.generic]:
    if not columns:
        raise ValueError("columns must name at least one column")
    dtypes = {c.dtype for c in columns}
    common = dtypes.pop() if len(dtypes) == 1 else None
    if dtype is None:
        if common is not None and (common.kind == "f" or not standardise):
            return common
        wide = any(c.dtype.itemsize == 8 for c in columns)
        return np.dtype(np.float64 if wide else np.float32)
    target = np.dtype(dtype)
    if target in (np.float32, np.float64) or (target == common and not standardise):
        return target
    accepted = "float32, float64" + ("" if common is None or standardise else f", {common}")
    raise TypeError(f"dtype {target} is not supported for these columns; accepted are {accepted}")


def _per_column(value: Any, default: float, n: int, name: str) -> list[float]:
    if value is None:
        return [default] * n
    try:
        given = [default if x is None else x for x in value] if np.ndim(value) else value
        numbers = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        numbers = np.empty((0, 0))  # refused below
    if numbers.ndim == 0:
        return [float(numbers)] * n
    if numbers.shape != (n,):
        raise ValueError(f"{name} must be a number or one per column ({n}), got {value!r}")
    return [float(x) for x in numbers]


def _clip_ranges(clip: Any, n: int) -> tuple[list[float], list[float]]:
    """The bounds of every column: one pair for all, or a pair or None for each."""
    if clip is None:
        return [-math.inf] * n, [math.inf] * n
    try:
        several = all(pair is None or np.ndim(pair) for pair in clip)
        pairs = (
            [(-math.inf, math.inf) if pair is None else pair for pair in clip]
            if several
            else [clip] * n
        )
        bounds = [(float(low), float(high)) for low, high in pairs]
    except (TypeError, ValueError):
        bounds = []
    if len(bounds) != n or not all(low <= high for low, high in bounds):
        raise ValueError(
            f"clip must be (low, high) with low <= high, or for each column ({n}) such a pair or "
            f"None, got {clip!r}"
        )
    return [low for low, _ in bounds], [high for _, high in bounds]


def _fill_values(fill: Any, dtype: np.dtype[np.generic], n: int) -> Array:
    """The fill of every column."""
    if type(fill) is int and fill == 0:
        return np.zeros(n, dtype)
    if not isinstance(fill, (list, tuple, np.ndarray)) or np.shape(fill) == ():
        return np.repeat(_held("fill", fill, dtype), n)
    if len(fill) != n:
        raise ValueError(f"fill must be a number or one per column ({n}), got {fill!r}")
    return np.array([_held("fill", x, dtype) for x in fill], dtype)


def _held(name: str, number: Any, dtype: np.dtype[np.generic]) -> Array:
    """The number as an array of no dimensions."""
    try:
        with np.errstate(all="ignore"):
            value = np.asarray(number).astype(dtype)
        stored = value.item()  # compared as Python numbers: NumPy would round it first
        exact = stored == number or (
            dtype.kind == "f" and math.isfinite(stored) == math.isfinite(number)
        )
    except (TypeError, ValueError, OverflowError):
        exact = False
    if not exact:
        raise ValueError(f"{name} must be one number that {dtype} can hold, got {number!r}")
    return value
