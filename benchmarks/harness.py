"""Candidates take turns in one process; ratios of their best rounds are what counts."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fastjag as fj
from fastjag import toys

EVENTS = 2_000_000
COLUMNS = ["Muon_pt", "Muon_eta", "Muon_phi", "Muon_charge"]
OUT = Path(__file__).parent / "out"
#: What the files hold: a small NanoAOD, of which each job reads the few branches that it needs.
STORED = [*COLUMNS, "Muon_mass", "Jet_pt", "Jet_eta", "Jet_phi", "Jet_mass", "MET_pt", "MET_phi",
          "run", "luminosityBlock", "event"]  # fmt: skip


@dataclass
class Race:
    """One piece of work, done by each candidate. The first one is fastjag."""

    work: str
    wall: dict[str, float] = field(default_factory=dict)  #: ms, best round
    cpu: dict[str, float] = field(default_factory=dict)
    start: dict[str, float] = field(default_factory=dict)  #: ms of wall, of programs: not in those
    absent: dict[str, str] = field(default_factory=dict)  #: peers that could not run, and why
    threads: int = 1
    moved: int = 0  #: bytes that have to be read and written at least
    waits: bool = False  #: for a server: what counts is the clock

    @property
    def time(self) -> dict[str, float]:
        """What counts: CPU time on one thread, where it is the steadier, else that of the clock."""
        return self.cpu if self.threads == 1 and not self.waits else self.wall

    def ratio(self, peer: str) -> float:
        return self.time[peer] / next(iter(self.time.values()))


def race(
    work: str,
    candidates: dict[str, Callable[[], Any]],
    check: Callable[[Any, Any], None],
    rounds: int = 5,
    threads: int = 1,
    moved: int = 0,
    waits: bool = False,
) -> Race:
    """Check that all results equal the first candidate's, then time them in turn."""
    results = [candidate() for candidate in candidates.values()]  # also the warm-up
    for other in results[1:]:
        check(results[0], other)
    del results
    result = Race(work, threads=threads, moved=moved, waits=waits)
    for _ in range(rounds):
        for name, candidate in candidates.items():
            wall, cpu = time.perf_counter(), time.process_time()
            candidate()
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            result.wall[name] = min(result.wall.get(name, 1e9), wall * 1e3)
            result.cpu[name] = min(result.cpu.get(name, 1e9), cpu * 1e3)
    return result


def toy_file(compression: str, events: int = EVENTS) -> Path:
    """A file of toy events, written once."""
    path = OUT / f"nano-{events}-{compression}.root"
    if not path.exists():
        OUT.mkdir(exist_ok=True)
        toys.write(path, events, seed=1, columns=STORED, compression=compression)
    return path


def toy_muons(events: int = EVENTS) -> fj.Jagged:
    """The muons of such a file in memory."""
    path = toy_file("none", max(events, EVENTS))
    return next(fj.iterate(path, COLUMNS, step=events, progress=False)).Muon
