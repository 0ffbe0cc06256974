"""Trigger counts per run and luminosity section, from any number of files in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastjag.analyses.common.runs import HERE, SIZE, Workers, read, run, who_opens
from fastjag.analyses.rates.rates import Ints, TriggerCounts
from fastjag.core.arrays import Array
from fastjag.datasets import ranges
from fastjag.io import Batch
from fastjag.io.files import Files, ReadError
from fastjag.io.reader import Reader
from fastjag.selection import as_flags

_SECTION = ("run", "luminosityBlock")


def count(
    files: Files,
    triggers: Sequence[str],
    *,
    step: int | str = "100 MB",
    progress: bool | None = None,
    workers: Workers = HERE,
) -> TriggerCounts:
    """Count events and fired trigger bits of NanoAOD files for each run and luminosity section.

    Parameters
    ----------
    triggers
        Names of boolean event branches (or integers of 0 and 1), or patterns ("HLT_Mu*"); every
        file must have the same.
    step, progress
        As for :func:`fastjag.iterate`. Memory is that of a few steps and of the counts.
    workers
        Who works through ranges of the files.

    Sections of the tree ``LuminosityBlocks`` that no event is left of count as sections with 0. A
    file that cannot be read is an error: rates of its sections would come out too low.

    Raises ReadError for missing branches (with near misses), for branches that are no bits, and
    for patterns that match other triggers in one file than in those before; ValueError where there
    is neither an event nor a section.
    """
    if not triggers:
        raise ValueError("triggers must name at least one branch, such as 'HLT_IsoMu24'")
    patterns = list(dict.fromkeys(triggers))
    found = read(
        _of_events,
        files,
        [*_SECTION, *patterns],
        workers,
        step=step,
        progress=progress,
        merge=_merge,
    )
    paths = list(dict.fromkeys(found.files))
    events: _Counts | None = found.value
    if events is None:  # a skim that kept nothing: its sections count 0
        file = found.ranges.files[0]
        with closing(Reader(file.path, file.tree, None)) as reader:
            names = tuple(reader.branches(patterns))
        events = _Counts("", names, np.zeros(0, np.int64), np.zeros((0, 1 + len(names)), np.int64))
    # The events of all files have been read: what cannot be opened has no such tree.
    trees = ranges([(path, "LuminosityBlocks") for path in paths], SIZE, who_opens(workers), progress=progress, on_error="skip")  # fmt: skip
    sections, _ = run(_of_sections, trees, _SECTION, workers, [], progress=progress, merge=_merge)
    if sections is not None:
        events = _merge(events, events.with_sections(sections.keys))
    if not len(events.keys):
        raise ValueError("the files hold no events")
    return events.counts(complete=not trees.skipped, files=paths)


@dataclass(frozen=True)
class _Counts:
    """Sums per section, whose keys are sorted."""

    where: str  #: the first events
    names: tuple[str, ...]
    keys: Ints
    sums: NDArray[np.int64]  #: (sections, 1 + triggers): events, then bits

    def with_sections(self, keys: Ints) -> _Counts:
        """Sections, of which nothing is counted."""
        return _Counts(
            self.where, self.names, keys, np.zeros((len(keys), 1 + len(self.names)), np.int64)
        )

    def counts(self, *, complete: bool, files: list[str]) -> TriggerCounts:
        fired = {name: self.sums[:, j].copy() for j, name in enumerate(self.names, 1)}
        return TriggerCounts(
            self.keys >> 32, self.keys & 0xFFFFFFFF, self.sums[:, 0].copy(), fired, complete, files
        )


def _of_events(batch: Batch) -> _Counts:
    return _summed(str(batch.source), _keys(batch), _bits(batch))


def _summed(where: str, key: Ints, bits: dict[str, Array]) -> _Counts:
    """Of one event at least, by the keys of their sections."""
    # Events of a section lie together in most files: sum each stretch, and sort these few.
    starts = np.flatnonzero(np.r_[True, key[1:] != key[:-1]])
    columns = [np.ones(len(key), bool), *bits.values()]
    sums = np.stack([np.add.reduceat(c, starts, dtype=np.int64) for c in columns], 1)
    return _sorted(where, tuple(bits), key[starts], sums)


def _of_sections(batch: Batch) -> _Counts:
    keys = _keys(batch)
    return _sorted(str(batch.source), (), keys, np.zeros((len(keys), 1), np.int64))


def _sorted(where: str, names: tuple[str, ...], keys: Ints, sums: NDArray[np.int64]) -> _Counts:
    """Each section once."""
    unique, place = np.unique(keys, return_inverse=True)
    total = np.zeros((len(unique), sums.shape[1]), np.int64)
    np.add.at(total, place, sums)
    return _Counts(where, names, unique, total)


def _merge(a: _Counts, b: _Counts) -> _Counts:
    if set(a.names) != set(b.names):
        odd = sorted(set(a.names) ^ set(b.names))
        raise ReadError(
            f"{b.where}: other triggers match than in the files before: {', '.join(odd[:9])}"
        )
    order = [0, *(1 + b.names.index(name) for name in a.names)]
    keys, sums = np.concatenate([a.keys, b.keys]), np.concatenate([a.sums, b.sums[:, order]])
    return _sorted(a.where, a.names, keys, sums)


def _keys(batch: Batch) -> Ints:
    """Run and section in one number each: the run in its upper half."""
    key = np.zeros(len(batch), np.int64)
    for name in _SECTION:
        column = batch.event_branch(name)
        if column.dtype.kind not in "iu":
            raise ReadError(f"{batch.source}: {name} must be an integer, but is {column.dtype}")
        wide = column.astype(np.int64)
        if len(wide) and not 0 <= wide.min() <= wide.max() < 2**31:
            raise ReadError(f"{batch.source}: {name} goes from {wide.min()} to {wide.max()}")
        key = (key << 32) | wide
    return key


def _bits(batch: Batch) -> dict[str, Array]:
    names = [name for name in batch.flat if name not in _SECTION]
    if not names or batch.collections:
        lists = [f"{c}_{column}" for c, j in batch.collections.items() for column in j.columns]
        raise ReadError(f"{batch.source}: no trigger bits, but lists: {', '.join(lists[:9])}")
    return {name: as_flags(batch.event_branch(name), name, batch.source) for name in names}
