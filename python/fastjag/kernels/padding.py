"""padding: jagged columns to a dense tensor."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastjag.core.arrays import Array, Offsets, out_array
from fastjag.core.checks import at_least, one_of
from fastjag.kernels.gpu import device_of

MAPPED = 32 << 20  # bytes from which malloc asks the system for pages of their own


def padding(
    offsets: Offsets,
    columns: Sequence[Array],
    width: int,
    *,
    fill: float = 0,
    layout: str = "NKF",
    order: NDArray[np.int64] | None = None,
    mean: float | Sequence[float] | None = None,
    scale: float | Sequence[float] | None = None,
    clip: tuple[float, float] | None = None,
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
    width = at_least("width", width, 1)
    standardise = mean is not None or scale is not None or clip is not None
    target = _target_dtype(columns, dtype, standardise)
    n, f = len(offsets) - 1, len(columns)
    shape = (n, width, f) if layout == "NKF" else (n, f, width)
    value = _fill_value(fill, target)
    device = device_of(offsets=offsets, columns=columns, order=order, out=out, mask=mask)
    # Pages fresh from the system are zeros: long rows leave those that have no particle alone.
    blank = (
        device.is_cpu
        and out is None
        and math.prod(shape) * target.itemsize >= MAPPED
        and not any(value.tobytes())
    )
    values = device.zeros(shape, target) if blank else out_array(out, shape, target, like=offsets)
    for name, written in (("out", out), ("out.mask", mask)):
        if written is not None and any(np.may_share_memory(written, c) for c in columns):
            raise ValueError(f"{name} must not share memory with the columns")
    if mask is not None and np.may_share_memory(values, mask):
        raise ValueError("out.values and out.mask must not share memory")
    low, high = _clip_range(clip)
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
        value,
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


def _per_column(
    value: float | Sequence[float] | None, default: float, n: int, name: str
) -> list[float]:
    if value is None:
        return [default] * n
    try:
        numbers = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        numbers = np.empty((0, 0))  # refused below
    if numbers.ndim == 0:
        return [float(numbers)] * n
    if numbers.shape != (n,):
        raise ValueError(f"{name} must be a number or one per column ({n}), got {value!r}")
    return [float(x) for x in numbers]


def _clip_range(clip: tuple[float, float] | None) -> tuple[float, float]:
    if clip is None:
        return -np.inf, np.inf
    try:
        low, high = (float(bound) for bound in clip)
    except (TypeError, ValueError):
        low = high = math.nan
    if not low <= high:
        raise ValueError(f"clip must be (low, high) with low <= high, got {clip!r}")
    return low, high


def _fill_value(fill: float, dtype: np.dtype[np.generic]) -> Array:
    if type(fill) is int and fill == 0:
        return np.zeros((), dtype)
    try:
        with np.errstate(all="ignore"):
            value = np.asarray(fill).astype(dtype)
        stored = value.item()  # compared as Python numbers: NumPy would round ``fill`` first
        exact = stored == fill or (
            dtype.kind == "f" and math.isfinite(stored) == math.isfinite(fill)
        )
    except (TypeError, ValueError, OverflowError):
        exact = False
    if not exact:
        raise ValueError(f"fill must be one number that {dtype} can hold, got {fill!r}")
    return value
