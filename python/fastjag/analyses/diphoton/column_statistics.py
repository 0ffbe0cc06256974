"""Statistics of one column of particles per event."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastjag.core.checks import near_misses
from fastjag.jagged import Jagged

Floats = NDArray[np.float64]

#: What there is, and what it is of an event's values x (with pt beside them).
STATISTICS = {
    "sum": "sum; 0 without particles",
    "sumabs": "sum of |x|; 0 without particles",
    "sumsq": "sum of x²; 0 without particles",
    "mean": "mean",
    "std": "standard deviation of the population",
    "samplestd": "standard deviation of the sample (n - 1), from two particles on",
    "var": "variance of the population",
    "skew": "skewness, mean of ((x - mean) / std)³; where std is above 0",
    "kurt": "excess kurtosis, mean of ((x - mean) / std)⁴ - 3; where std is above 0",
    "min": "smallest",
    "max": "largest",
    "absmax": "largest |x|",
    "range": "largest - smallest",
    "median": "median",
    "argmin": "position of the smallest in stored order",
    "argmax": "position of the largest in stored order",
    "any": "1 if any is not 0, else 0",
    "all": "1 if all are not 0 (or there are none), else 0",
    "lead1": "x of the particle of highest pt",
    "lead2": "x of the particle of second highest pt",
    "lead3": "x of the particle of third highest pt",
    "lead4": "x of the particle of fourth highest pt",
    "lead5": "x of the particle of fifth highest pt",
    "ratio": "x of the second over x of the first, by pt",
    "share": "x of the first by pt over the sum",
    "wmean": "mean weighted with pt",
    "dispersion": "sqrt(sum of x²) / sum",
    "circmean": "direction of the sum of unit vectors (cos x, sin x), for angles",
    "circvar": "1 - |mean of unit vectors|, for angles: 0 if all point the same way",
}
_KERNEL = ("sum", "mean", "std", "min", "max", "argmin", "argmax", "any", "all")
_MOMENTS = ("skew", "kurt")
_LEADING = ("lead1", "lead2", "lead3", "lead4", "lead5", "ratio", "share")


def column_statistics(
    particles: Jagged, column: str, statistics: Iterable[str]
) -> dict[str, Floats]:
    """Some of `STATISTICS` of a column, each float64 (n_events,).

    NaN where a statistic is not defined: events with too few particles, 0 / 0. What is ordered by
    pt, or weighted with it, needs a column ``pt``. One pass over the column gives sum, mean, std,
    min, max, their positions, any and all; moments take the values less their mean in float64.

    Raises ValueError naming an unknown statistic, KeyError a column that is not there.
    """
    names = list(statistics)
    for name in names:
        if name not in STATISTICS:
            raise ValueError(f"unknown statistic {name!r}: {near_misses(name, STATISTICS)}")
    wanted = set(names)
    needed = {n for n in _KERNEL if n in wanted}
    for name, parts in (
        ("var", ("std",)), ("samplestd", ("std",)), ("range", ("min", "max")),
        ("skew", ("mean", "std")), ("kurt", ("mean", "std")), ("share", ("sum",)),
        ("dispersion", ("sum",)),
    ):  # fmt: skip
        if name in wanted:
            needed.update(parts)
    x = np.asarray(particles[column], np.float64)
    typed = particles.with_columns(x=x)
    base = typed.aggregate("x", sorted(needed)) if needed else {}
    values: dict[str, Any] = {n: base[n] for n in _KERNEL if n in wanted}
    counts = particles.counts
    empty = counts == 0
    with np.errstate(invalid="ignore", divide="ignore"):
        for name in ("argmin", "argmax"):
            if name in values:
                values[name] = np.where(empty, np.nan, values[name])
        if "sumabs" in wanted:
            values["sumabs"] = total(particles, np.abs(x))
        if "absmax" in wanted:
            sized = particles.with_columns(x=np.abs(x))
            values["absmax"] = sized.aggregate("x", ["max"])["max"]
        if wanted & {"sumsq", "dispersion"}:
            values["sumsq"] = total(particles, x * x)
        if "dispersion" in wanted:
            values["dispersion"] = np.sqrt(values["sumsq"]) / base["sum"]
        if "var" in wanted:
            values["var"] = base["std"] ** 2
        if "samplestd" in wanted:
            values["samplestd"] = base["std"] * np.sqrt(
                counts / np.where(counts > 1, counts - 1, 0)
            )
            values["samplestd"][counts < 2] = np.nan
        if "range" in wanted:
            values["range"] = base["max"] - base["min"]
        if wanted & set(_MOMENTS):
            z = (x - np.repeat(base["mean"], counts)) / np.repeat(base["std"], counts)
            # Of equal values, rounding leaves a spread of 1e-16 of them.
            flat = base["std"] <= 1e-12 * np.abs(base["mean"])
            for name, power, normal in (("skew", 3, 0.0), ("kurt", 4, 3.0)):
                if name in wanted:
                    moment = total(particles, z**power) / counts - normal
                    values[name] = np.where(flat, np.nan, moment)
        if "median" in wanted:
            values["median"] = _median(particles, x)
        if wanted & set(_LEADING):
            ordered = particles.with_columns(x=x)
            first = ordered.pad(5, "x", by="pt", fill=np.nan, dtype=np.float64).values.T
            values |= {f"lead{k + 1}": first[k] for k in range(5)}
            values["ratio"] = first[1] / first[0]
            if "share" in wanted:
                values["share"] = first[0] / base["sum"]
        if "wmean" in wanted:
            pt = np.asarray(particles["pt"], np.float64)
            values["wmean"] = total(particles, x * pt) / total(particles, pt)
        if wanted & {"circmean", "circvar"}:
            cos, sin = total(particles, np.cos(x)), total(particles, np.sin(x))
            values["circmean"] = np.where(empty, np.nan, np.arctan2(sin, cos))
            values["circvar"] = 1 - np.hypot(cos, sin) / counts
    return {name: np.asarray(values[name], np.float64) for name in names}


def total(particles: Jagged, values: Any) -> Floats:
    """Sum over each event's particles of values (n_particles,)."""
    x = np.asarray(values, np.float64)
    return np.asarray(particles.with_columns(x=x).aggregate("x", ["sum"])["sum"])


def _median(particles: Jagged, x: Floats) -> Floats:
    ordered = particles.with_columns(x=x).sort("x")["x"]
    n, start = particles.counts, particles.offsets[:-1]
    result = np.full(len(n), np.nan)
    some = n > 0
    n, start = n[some], start[some]
    result[some] = (ordered[start + (n - 1) // 2] + ordered[start + n // 2]) / 2
    result[total(particles, np.isnan(x)) > 0] = np.nan  # as NumPy has it
    return result
