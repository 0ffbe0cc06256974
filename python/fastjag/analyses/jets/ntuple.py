"""PFNano files as JetNtuple-format files, and more of them by rotated copies."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fastjag.core.arrays import Array
from fastjag.core.checks import at_least
from fastjag.io import Batch, iterate
from fastjag.io.files import Files, ReadError
from fastjag.jagged import Jagged
from fastjag.neighbours import wrap_phi
from fastjag.toys.jetfiles import write_rows
from fastjag.toys.jetntuple import jet_rows

_COLUMNS = [*(f"Jet_{c}" for c in ("pt", "eta", "phi", "mass", "area", "rawFactor")),
            *(f"PFCands_{c}" for c in ("pt", "eta", "phi", "mass", "pdgId")),
            "JetPFCands_jetIdx", "JetPFCands_pFCandsIdx", "run", "luminosityBlock", "event"]  # fmt: skip
_OPTIONAL = ["Jet_qgl", "Jet_hadronFlavour", "Jet_partonFlavour", "genWeight", "PV_npvsGood",
             "Pileup_nTrueInt", "Pileup_nPU", "fixedGridRhoFastjetAll", "fixedGridRhoFastjetCentral",
             "fixedGridRhoFastjetCentralNeutral",
             "fixedGridRhoFastjetCentralChargedPileUp"]  # fmt: skip
#: Bits of an event's number; the number of its copy is above.
_SHIFT = 48
_MOST_COPIES = 1 << 15


def to_jetntuple(
    files: Files,
    path: str | os.PathLike[str],
    *,
    copies: int = 1,
    seed: int = 0,
    compression: str = "zlib",
    step: int | str = "50 MB",
    progress: bool | None = None,
) -> Path:
    """Write a row per AK4 jet of PFNano files in JetNtuple's format.

    Jets with pt > 30 GeV and |eta| < 2.5 of events whose two leading jets are such, as in record
    12100; branches that PFNano cannot fill (fromPV, gen jets) are left out. With ``copies`` > 1
    every event is written so many times, each time turned by a random angle in phi: a way to scale
    small files up, not to gain statistics. Copies have event numbers of their own, 2^48 apart, and
    the branch ``originEvent`` is the event's number in its file: whatever splits events must keep
    those of one origin together, as :func:`~fastjag.analyses.jets.tagging.held_out` does.
    """
    if not 1 <= at_least("copies", copies, 1) <= _MOST_COPIES:
        raise ValueError(f"copies must be at most {_MOST_COPIES:,}, got {copies}")

    def rows() -> Iterator[dict[str, Any]]:
        rng = np.random.default_rng(seed)
        for batch in iterate(files, _COLUMNS, optional=_OPTIONAL, step=step, progress=progress):
            events = _events(batch)
            for copy in range(copies):
                angle = rng.uniform(-np.pi, np.pi, len(batch)) if copy else np.zeros(len(batch))
                yield jet_rows(_turn(events, angle, copy))

    record = {"made by": "fastjag jets ntuple", "copies": copies, "seed": seed}
    return write_rows(path, rows(), "jetntuple", compression=compression, record=record)


def _events(batch: Batch) -> dict[str, Any]:
    event = batch.event_branch("event").astype(np.uint64)
    if (event >> _SHIFT).any():
        raise ReadError(
            f"{batch.source}: event numbers must be below 2^{_SHIFT}, got {event.max()}"
        )
    return {**batch.flat, **batch.collections, "event": event, "originEvent": event}


def _turn(events: dict[str, Any], angle: Array, copy: int) -> dict[str, Any]:
    def turn_phi(particles: Jagged) -> Jagged:
        phi = particles["phi"].astype(np.float64) + np.repeat(angle, particles.counts)
        return particles.with_columns(phi=wrap_phi(phi).astype(np.float32))

    return events | {
        "Jet": turn_phi(events["Jet"]), "PFCands": turn_phi(events["PFCands"]),
        "event": events["event"] + np.uint64(copy << _SHIFT),
    }  # fmt: skip
