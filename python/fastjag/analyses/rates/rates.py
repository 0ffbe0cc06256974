"""Rates of triggers: counts per luminosity section, in windows of sections."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from fastjag.analyses.rates.config import SectionWindow
from fastjag.core.checks import near_misses
from fastjag.selection import LumiMask

Ints = NDArray[np.int64]

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


@dataclass
class TriggerCounts:
    """One entry per luminosity section, by ascending run and section."""

    run: Ints
    section: Ints
    events: Ints
    fired: dict[str, Ints]  #: trigger to its number of events
    #: Whether sections without events are known, too: all files have a tree LuminosityBlocks.
    complete: bool
    files: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.run)

    def __getitem__(self, rows: NDArray[np.bool_]) -> TriggerCounts:
        """The sections that a mask keeps."""
        columns = {n: getattr(self, n)[rows] for n in ("run", "section", "events")}
        return replace(self, **columns, fired={t: n[rows] for t, n in self.fired.items()})


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
    counts: TriggerCounts,
    windows: Iterable[SectionWindow] | None = None,
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
    everywhere = _list_runs(np.unique(counts.run).tolist())
    if golden is not None:
        counts = counts[golden(counts.run, counts.section)]
        if not len(counts):
            raise ValueError(f"no event is in a certified section: the files have {everywhere}, "
                             f"the golden JSON has {_list_runs(golden.runs)}")  # fmt: skip
    if windows is None:
        windows = [SectionWindow(int(run)) for run in np.unique(counts.run)]
    for window in windows:
        first, last = window.sections
        inside = (counts.run == window.run) & (counts.section >= first) & (counts.section <= last)
        section = counts.section[inside]
        if not len(section):
            raise ValueError(
                f"window {window}: no events; the files have {everywhere}"
                + (", not all of it certified" if golden is not None else "")
            )
        if window.first is None:
            sections = len(section)
        elif golden is None:
            sections = last - first + 1
        else:
            sections = golden.count(window.run, first, last)
        for name in [window.trigger] if window.trigger else list(counts.fired):
            if name not in counts.fired:
                raise ValueError(f"window {window}: trigger {name!r} was not counted: "
                                 f"{near_misses(name, counts.fired)}")  # fmt: skip
            n = int(counts.fired[name][inside].sum())
            rate, error = rate_of(n, sections, dead_time=dead_time)
            rates.append(
                Rate(name, rate, error, window.run, window.first or int(section.min()),
                     window.last or int(section.max()), sections, len(section), n,
                     sections * SECTION_SECONDS * (1 - dead_time), window.prescale, window.pileup,
                     window.bunches)
            )  # fmt: skip
    return rates


def _list_runs(runs: Sequence[int]) -> str:
    """Runs for a message."""
    shown = ", ".join(map(str, runs[:8])) + (", ..." if len(runs) > 8 else "")
    return f"run{'s' * (len(runs) != 1)} {shown}"
