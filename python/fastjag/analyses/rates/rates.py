"""Rates of triggers from counts or by hand, and how they grow with pileup."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastjag.analyses.rates.counts import Counts, listed
from fastjag.core.checks import near_misses
from fastjag.reporting.output import new_file
from fastjag.selection import LumiMask

#: Length of a luminosity section [s]: 2^18 orbits of the LHC at 11245.5 Hz.
SECTION_SECONDS = 2**18 / 11245.5


def rate_of(counts: int, sections: float, *, dead_time: float = 0.0) -> tuple[float, float]:
    """Rate and error [Hz] of counts in so many sections: N / T and sqrt(N) / T, of one count for
    N = 0, with T = sections x 23.311 s x (1 - dead_time).
    """
    if counts < 0 or not sections > 0 or not 0 <= dead_time < 1:
        raise ValueError(f"need counts >= 0, sections > 0 and a dead time in [0, 1), "
                         f"got {counts}, {sections} and {dead_time}")  # fmt: skip
    seconds = sections * SECTION_SECONDS * (1 - dead_time)
    return counts / seconds, float(np.sqrt(max(counts, 1))) / seconds


@dataclass(frozen=True)
class Window:
    """Luminosity sections ``first`` to ``last`` of a run, or all of it, and their conditions."""

    run: int
    first: int | None = None
    last: int | None = None
    pileup: float | None = None
    prescale: float = 1.0  #: of HLT and L1 together
    bunches: float | None = None  #: colliding
    trigger: str | None = None  #: that it is for; default: all

    def __post_init__(self) -> None:
        if (self.first is None) != (self.last is None):
            raise ValueError(f"run {self.run}: give first and last section, or neither")
        first, last = self.sections
        if not 0 <= first <= last < 2**32 or self.first == 0:
            raise ValueError(f"run {self.run}: sections {self.first}-{self.last} are no range")
        if not 0 <= self.run < 2**31:
            raise ValueError(f"run {self.run} is no run: numbers of runs have 31 bits")
        for name in ("pileup", "prescale", "bunches"):
            value = getattr(self, name)
            if value is not None and not 0 < value < np.inf:
                raise ValueError(f"run {self.run}: {name} must be positive, got {value!r}")

    @property
    def sections(self) -> tuple[int, int]:
        """First and last section; of a whole run, what no section is outside of."""
        return (
            0 if self.first is None else self.first,
            2**32 - 1 if self.last is None else self.last,
        )

    @staticmethod
    def parse(text: str) -> Window:
        """``355892:16-100``, or ``355892`` for a whole run."""
        found = re.fullmatch(r"([0-9]{1,10})(?::([0-9]{1,10})-([0-9]{1,10}))?", text)
        if not found:
            raise ValueError(f"a window is RUN:FIRST-LAST or RUN, got {text!r}")
        run, first, last = (None if x is None else int(x) for x in found.groups())
        assert run is not None
        return Window(run, first, last)

    def __str__(self) -> str:
        return f"{self.run}" + (f":{self.first}-{self.last}" if self.first is not None else "")


@dataclass(frozen=True)
class Rate:
    """One line of the table: a trigger in a window."""

    trigger: str
    rate: float  #: Hz, as recorded
    error: float | None  #: Hz, statistical
    run: int | None = None
    first: int | None = None
    last: int | None = None
    sections: int | None = None  #: that count: certified ones of the window
    seen: int | None = None  #: of these, in the files
    counts: int | None = None
    seconds: float | None = None
    prescale: float = 1.0
    pileup: float | None = None
    bunches: float | None = None

    @property
    def unprescaled(self) -> tuple[float, float | None]:
        """Rate and error [Hz] times the prescale."""
        return self.rate * self.prescale, None if self.error is None else self.error * self.prescale

    def scaled(self, *, pileup: float | None = None, bunches: float | None = None,
               factor: float = 1.0) -> tuple[float, float | None]:  # fmt: skip
        """Unprescaled rate and error at another pileup or number of colliding bunches, to both of
        which the rate of a trigger without pileup of its own is proportional, times ``factor``.
        """
        for name, wanted in (("pileup", pileup), ("bunches", bunches)):
            known = getattr(self, name)
            if wanted is not None:
                if known is None:
                    raise ValueError(f"run {self.run}: {name} of the measurement is not known")
                factor *= wanted / known
        rate, error = self.unprescaled
        return rate * factor, None if error is None else error * factor


def measure(
    counts: Counts,
    windows: Iterable[Window] | None = None,
    *,
    golden: LumiMask | None = None,
    dead_time: float = 0.0,
) -> list[Rate]:
    """Rates of all triggers in all windows; by default a window per run.

    A window with first and last section has as many sections as the two say: whoever names it
    knows that the trigger was live. One of a whole run has those of the files: of their trees
    LuminosityBlocks, or else those with an event of any trigger, which is too few where events are
    rare. Sections without events, as skims have them, count 0 events and their time. With
    ``golden`` certified sections count only, and their events; runs without any have no rate.

    Raises ValueError for windows without a section in the files, or of triggers that were not
    counted.
    """
    rates = []
    everywhere = listed(np.unique(counts.run).tolist())
    if golden is not None:
        counts = counts[golden(counts.run, counts.section)]
        if not len(counts):
            raise ValueError(f"no event is in a certified section: the files have {everywhere}, "
                             f"the golden JSON has {listed(golden.runs)}")  # fmt: skip
    for window in [Window(int(r)) for r in np.unique(counts.run)] if windows is None else windows:
        first, last = window.sections
        inside = (counts.run == window.run) & (counts.section >= first) & (counts.section <= last)
        seen = int(np.count_nonzero(inside))
        if not seen:
            raise ValueError(
                f"window {window}: no events; the files have {everywhere}"
                + (", not all of it certified" if golden is not None else "")
            )
        if window.first is None:
            sections = seen
        elif golden is None:
            sections = last - first + 1
        else:
            sections = golden.count(window.run, first, last)
        names = [window.trigger] if window.trigger else list(counts.fired)
        for name in names:
            if name not in counts.fired:
                raise ValueError(f"window {window}: trigger {name!r} was not counted: "
                                 f"{near_misses(name, counts.fired)}")  # fmt: skip
            n = int(counts.fired[name][inside].sum())
            rate, error = rate_of(n, sections, dead_time=dead_time)
            edges = counts.section[inside]
            rates.append(
                Rate(name, rate, error, window.run, window.first or int(edges.min()),
                     window.last or int(edges.max()), sections, seen, n,
                     sections * SECTION_SECONDS * (1 - dead_time), window.prescale, window.pileup,
                     window.bunches)
            )  # fmt: skip
    return rates


# ---- rate against pileup ------------------------------------------------------------------------


@dataclass(frozen=True)
class PileupFit:
    """rate = intercept + slope x pileup [Hz], by weighted least squares."""

    intercept: float
    slope: float
    covariance: NDArray[np.float64] | None  #: (2, 2), of statistical errors; None: not known
    chi2: float | None
    dof: int
    bunches: float | None  #: to which the rates were scaled

    @property
    def inflation(self) -> float:
        """sqrt(chi2 / dof) where that is above 1: runs scatter more than their counts tell."""
        return 1.0 if not self.dof or self.chi2 is None else max(1.0, (self.chi2 / self.dof) ** 0.5)

    def predict(self, pileup: float) -> tuple[float, float | None]:
        """Rate and error [Hz] of the line; the error is multiplied by ``inflation``."""
        rate = self.intercept + self.slope * pileup
        if self.covariance is None:
            return rate, None
        at = np.array([1.0, pileup])
        return rate, float(np.sqrt(at @ self.covariance @ at)) * self.inflation


def fit_pileup(
    rates: Sequence[Rate], *, intercept: bool = True, bunches: float | None = None
) -> PileupFit:
    """Fit a line, or one through the origin, to unprescaled rates against pileup.

    Errors are the rates' own; if one of them is not known, all points weigh the same and the
    covariance comes from their scatter. ``bunches`` is the number of colliding bunches to which
    rates are scaled; it is needed where measurements differ in it.

    Raises ValueError where the pileup of a rate is missing, or too few are different.
    """
    missing = [r for r in rates if r.pileup is None]
    if missing or not rates:
        which = f"run {missing[0].run} has none" if missing else "there are no rates"
        raise ValueError(f"the pileup of every rate is needed: {which}")
    different = {r.bunches for r in rates}
    if bunches is None and len(different) > 1:
        found = ", ".join(map(str, different))
        raise ValueError(
            f"rates were taken with different numbers of bunches ({found}): give the number of "
            f"bunches to scale them to"
        )
    mu = np.array([r.pileup for r in rates], np.float64)
    if len(set(mu)) < 1 + intercept:
        raise ValueError(f"a line needs rates at two values of pileup, all are at {mu[0]:g}")
    values = [r.scaled(bunches=bunches) for r in rates]
    y = np.array([v for v, _ in values])
    errors = [e for _, e in values]
    known = all(e is not None and e > 0 for e in errors)
    sigma = np.array(errors, np.float64) if known else np.ones(len(y))
    design = np.column_stack([np.ones(len(mu)), mu])[:, 1 - intercept :]
    inverse = np.linalg.inv((design / sigma[:, None]).T @ (design / sigma[:, None]))
    solution = inverse @ (design.T @ (y / sigma**2))
    chi2 = float((((y - design @ solution) / sigma) ** 2).sum())
    dof = len(y) - design.shape[1]
    covariance = np.zeros((2, 2))
    covariance[1 - intercept :, 1 - intercept :] = inverse
    a, b = solution if intercept else (0.0, solution[0])
    if known:
        return PileupFit(float(a), float(b), covariance, chi2, dof, bunches)
    scatter = covariance * chi2 / dof if dof else None
    return PileupFit(float(a), float(b), scatter, None, dof, bunches)


# ---- tables as CSV ------------------------------------------------------------------------------

_WHOLE = ("run", "first", "last", "sections", "seen", "counts")


def write_csv(path: str | os.PathLike[str], rows: Sequence[Rate] | Sequence[Window]) -> None:
    """A CSV for :func:`read_rates` or :func:`read_windows`; what is not known stays empty."""
    with new_file(path) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [f.name for f in fields(rows[0])])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def read_rates(path: str | os.PathLike[str]) -> list[Rate]:
    """Rates of a CSV, as written or entered by hand, for example from a monitoring page.

    Columns are the fields of :class:`Rate`; there must be ``rate``, or ``counts`` with ``sections``
    or ``seconds``. A missing error is rate / sqrt(counts), missing seconds with both counts and
    rate are counts / rate. Raises ValueError naming file, line and column.
    """
    return [_rate(where, row) for where, row in _rows(path, [f.name for f in fields(Rate)])]


def _rate(where: str, row: dict[str, Any]) -> Rate:
    n, rate, seconds = row.get("counts"), row.get("rate"), row.get("seconds")
    if seconds is None and row.get("sections") is not None:
        seconds = row["sections"] * SECTION_SECONDS
    if rate is None:
        if n is None or not seconds:
            raise ValueError(f"{where}: needs a rate, or counts with sections or seconds")
        rate = n / seconds
    elif seconds is None and n and rate:
        seconds = n / rate
    for name, value in {**row, "rate": rate}.items():
        low = 0 if name in ("rate", "counts", "error") else None
        if isinstance(value, (int, float)) and (value < 0 or (value == 0 and low is None)):
            raise ValueError(f"{where}: {name} must be positive, got {value!r}")
    error = row.get("error")
    if error is None and n is not None:
        error = rate / np.sqrt(n) if n else (1 / seconds if seconds else None)
    defaults = {"trigger": "trigger", "prescale": 1.0}
    return Rate(**{**defaults, **row, "rate": float(rate), "seconds": seconds,
                   "error": None if error is None else float(error)})  # fmt: skip


def read_windows(path: str | os.PathLike[str]) -> list[Window]:
    """Windows of a CSV whose columns are the fields of :class:`Window`; only ``run`` is needed."""
    windows = []
    for where, row in _rows(path, [f.name for f in fields(Window)]):
        if "run" not in row:
            raise ValueError(f"{where}: has no run")
        try:
            windows.append(Window(**row))
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None
    return windows


def _rows(path: str | os.PathLike[str], known: list[str]) -> Iterable[tuple[str, dict[str, Any]]]:
    """(file and line, cells that are not empty) of a CSV with a header."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file")
    with open(path, newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file, skipinitialspace=True)
        names = list(reader.fieldnames or [])
        for name in names:
            if name not in known:
                raise ValueError(f"{path}: unknown column {name!r}: {near_misses(name, known)}")
            if names.count(name) > 1:
                raise ValueError(f"{path}: there are two columns {name!r}")
        n = 0
        for row in reader:
            n += 1
            where = f"{path}, line {reader.line_num}"
            if None in row or None in row.values():
                raise ValueError(f"{where}: {len(reader.fieldnames or [])} cells are expected")
            yield where, _cells(where, row)
    if not n:
        raise ValueError(f"{path}: holds no rows")


def _cells(where: str, row: Mapping[str, str]) -> dict[str, Any]:
    cells: dict[str, Any] = {}
    for name, text in row.items():
        text = text.strip()
        if not text:
            continue
        if name == "trigger":
            cells[name] = text
            continue
        try:
            value = float(text)
        except ValueError:
            raise ValueError(f"{where}: {name} is not a number: {text!r}") from None
        if not np.isfinite(value) or (name in _WHOLE and value != int(value)):
            raise ValueError(f"{where}: {name} cannot be {text!r}")
        cells[name] = int(value) if name in _WHOLE else value
    return cells
