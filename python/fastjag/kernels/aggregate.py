"""aggregate: statistics of a column per event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastjag.core.arrays import Array, Offsets
from fastjag.core.checks import near_misses
from fastjag.core.devices import on_gpu
from fastjag.kernels.gpu import device_of

STATISTICS = ("count", "sum", "mean", "std", "min", "max", "argmin", "argmax", "any", "all")


def aggregate(
    offsets: Offsets, values: Array, statistics: Sequence[str], *, threads: int | None = None
) -> dict[str, Array]:
    """Per-event statistics of one column; see :meth:`fastjag.Jagged.aggregate`."""
    known = (*STATISTICS, "prod")
    for name in statistics:
        if name not in known:
            raise ValueError(f"unknown statistic {name!r}: {near_misses(name, known)}")
    if "prod" in statistics:
        rest = [name for name in statistics if name != "prod"]
        result = aggregate(offsets, values, rest, threads=threads)
        result["prod"] = _prod(offsets, values)
        return {name: result[name] for name in statistics}
    n = len(offsets) - 1
    dtypes: dict[str, Any] = {
        "count": np.int64,
        "sum": _sum_dtype(values.dtype),
        "mean": np.float64,
        "std": np.float64,
        "min": values.dtype,
        "max": values.dtype,
        "argmin": np.int64,
        "argmax": np.int64,
        "any": np.bool_,
        "all": np.bool_,
    }
    device = device_of(offsets=offsets, values=values)
    outputs = {name: device.empty(n, dtypes[name]) for name in statistics}
    get = outputs.get  # None: not computed
    device.kernels.aggregate(
        offsets, values, get("count"), get("sum"), get("mean"), get("std"), get("min"), get("max"),
        get("argmin"), get("argmax"), get("any"), get("all"), device.where(threads, scratch=device.scratch("aggregate", len(values))),
    )  # fmt: skip
    # Integers have no NaN for "nothing there": their extremes come as float64.
    for name in {"min", "max"}.intersection(outputs):
        if values.dtype.kind != "f":
            extreme = outputs[name].astype(np.float64)
            extreme[offsets[1:] == offsets[:-1]] = np.nan
            outputs[name] = extreme
    return {name: outputs[name] for name in statistics}


def _prod(offsets: Offsets, values: Array) -> Array:
    """By NumPy, as products are too rare for a kernel."""
    if on_gpu(values):
        raise ValueError("'prod' is computed on the CPU only: call .to(\"cpu\") first")
    filled = offsets[1:] > offsets[:-1]
    result = np.ones(len(filled), _sum_dtype(values.dtype))
    if filled.any():
        part = values[: offsets[-1]].astype(result.dtype, copy=False)
        with np.errstate(all="ignore"):
            result[filled] = np.multiply.reduceat(part, offsets[:-1][filled])
    return result


def _sum_dtype(dtype: np.dtype[Any]) -> type[np.generic]:
    return {"f": np.float64, "i": np.int64}.get(dtype.kind, np.uint64)
