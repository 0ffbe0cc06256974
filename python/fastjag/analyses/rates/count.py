"""Trigger counts per run and luminosity section, from any number of files in one pass."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from fastjag.analyses.rates.rates import Ints, TriggerCounts
from fastjag.core.arrays import Array
from fastjag.io import Batch, iterate
from fastjag.io.files import Files, ReadError
from fastjag.io.reader import Reader
from fastjag.selection import as_flags

_SECTIONS = 1_000_000  # read at a time


def count(
    files: Files,
    triggers: Sequence[str],
    *,
    step: int | str = "100 MB",
    progress: bool | None = None,
) -> TriggerCounts:
    """Count events and fired trigger bits of NanoAOD files for each run and luminosity section.

    Parameters
    ----------
    triggers
        Names of boolean event branches (or integers of 0 and 1), or patterns ("HLT_Mu*"); every
        file must have the same.
    step, progress
        As for :func:`fastjag.iterate`. Memory is that of a few steps and of the counts.

    Sections of the tree ``LuminosityBlocks`` that no event is left of count as sections with 0. A
    file that cannot be read is an error: rates of its sections would come out too low.

    Raises ReadError for missing branches (with near misses), for branches that are no bits, and
    for patterns that match other triggers in one file than in those before; ValueError where there
    is neither an event nor a section.
    """
    if not triggers:
        raise ValueError("triggers must name at least one branch, such as 'HLT_IsoMu24'")
    totals = _Totals()
    columns = ["run", "luminosityBlock", *dict.fromkeys(triggers)]
    batches = iterate(files, columns, step=step, progress=progress)
    for batch in batches:
        totals.add(_keys(batch), _bits(batch, totals.names))
    paths = list(dict.fromkeys(path for path, _ in batches.files))
    if batches.n_events == 0 and paths:  # a skim that kept nothing: its sections count 0
        with (reader := Reader(*batches.files[0], None)).file:
            totals.names = reader.branches(columns[2:])
    complete = _add_sections(totals, paths)
    if not totals.keys:
        raise ValueError("the files hold no events")
    return totals.counts(complete, paths)


class _Totals:
    """Sums per section of what came so far; merged when they have grown."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.keys: list[Ints] = []
        self.sums: list[NDArray[np.int64]] = []  # (sections, 1 + triggers): events, then bits

    def add(self, key: Ints, bits: dict[str, Array]) -> None:
        """Events by the keys of their sections."""
        self.names = self.names or list(bits)
        if not len(key):
            return
        # Events of a section lie together in most files: sum each stretch, and sort these few.
        starts = np.flatnonzero(np.r_[True, key[1:] != key[:-1]])
        columns = [np.ones(len(key), bool), *bits.values()]
        self.keys.append(key[starts])
        self.sums.append(np.stack([np.add.reduceat(c, starts, dtype=np.int64) for c in columns], 1))
        if len(self.keys) > 64:
            self._merge()

    def _merge(self) -> None:
        keys, place = np.unique(np.concatenate(self.keys), return_inverse=True)
        merged = np.zeros((len(keys), self.sums[0].shape[1]), np.int64)
        np.add.at(merged, place, np.concatenate(self.sums))
        self.keys, self.sums = [keys], [merged]

    def add_sections(self, key: Ints) -> None:
        """Sections that need not have events."""
        self.keys.append(key)
        self.sums.append(np.zeros((len(key), 1 + len(self.names)), np.int64))

    def counts(self, complete: bool, files: list[str]) -> TriggerCounts:
        self._merge()
        keys, sums = self.keys[0], self.sums[0]
        fired = {name: sums[:, j].copy() for j, name in enumerate(self.names, 1)}
        return TriggerCounts(
            keys >> 32, keys & 0xFFFFFFFF, sums[:, 0].copy(), fired, complete, files
        )


def _keys(batch: Batch) -> Ints:
    """Run and section in one number each: the run in its upper half."""
    key = np.zeros(len(batch), np.int64)
    for name in ("run", "luminosityBlock"):
        column = batch.event_branch(name)
        if column.dtype.kind not in "iu":
            raise ReadError(f"{batch.source}: {name} must be an integer, but is {column.dtype}")
        wide = column.astype(np.int64)
        if len(wide) and not 0 <= wide.min() <= wide.max() < 2**31:
            raise ReadError(f"{batch.source}: {name} goes from {wide.min()} to {wide.max()}")
        key = (key << 32) | wide
    return key


def _bits(batch: Batch, known: Sequence[str]) -> dict[str, Array]:
    names = [name for name in batch.flat if name not in ("run", "luminosityBlock")]
    if not names or batch.collections:
        lists = [f"{c}_{column}" for c, j in batch.collections.items() for column in j.columns]
        raise ReadError(f"{batch.source}: no trigger bits, but lists: {', '.join(lists[:9])}")
    if known and set(names) != set(known):
        odd = sorted(set(names) ^ set(known))
        raise ReadError(
            f"{batch.source}: other triggers match than in the files before: {', '.join(odd[:9])}"
        )
    return {
        name: as_flags(batch.event_branch(name), name, batch.source) for name in (known or names)
    }


def _add_sections(totals: _Totals, files: Iterable[str]) -> bool:
    """The sections of the trees LuminosityBlocks; False if some file has none."""
    complete = True
    for path in files:
        try:
            reader = Reader(path, "LuminosityBlocks", None)
        except ReadError:  # no such tree: the events have been read
            complete = False
            continue
        with reader.file:
            for batch in reader.batches(reader.branches(["run", "luminosityBlock"]), _SECTIONS):
                totals.add_sections(_keys(batch))
    return complete
