"""Means and scales of a sample of events: bounded, seeded, and independent of how events are batched."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Protocol
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from fastjag.core.checks import at_least
from fastjag.core.devices import to_host
from fastjag.core.settings import setting, settings
from fastjag.inputs.groups import ORDER, InputGroup
from fastjag.inputs.rows import join, pick
from fastjag.io import Batch
from fastjag.io.ranges import Range, Ranges
from fastjag.jagged import Jagged

EVENTS = (
    50_000  # of a sample: means of columns of one number per event have an error of 0.004 scales
)
WINDOWS = 64  # pieces of which a sample of files is read
GAP = 50_000  # entries between pieces that are read, too: they may be of one cluster, which is decompressed once

Hashes = NDArray[np.uint64]
Floats = NDArray[np.float64]

_DATASET = " dataset"


class Sampled(Protocol):
    """What :class:`Inputs` does for a sample."""

    @property
    def columns(self) -> tuple[str, ...]: ...
    def survivors(self, events: Batch) -> Batch: ...
    def rows_of(self, survivors: Batch) -> dict[str, Any]: ...


@settings
class Fitted:
    """What is recorded of a fit."""

    events: int = setting("Events of the sample", least=0)
    asked: int | None = setting("How many were asked for; none: all", default=None)
    seed: int = setting("Which these were", default=0)
    not_finite: dict[str, int] = setting(
        "Numbers left out, by group and column", default_factory=dict
    )


class FitSample(NamedTuple):
    """Rows of some events, and of how many events each is a sample, relative to others."""

    rows: dict[str, Any]
    importance: Floats  #: (n_events,), 1 on average
    record: Fitted


def sample(
    inputs: Sampled, batches: Any, events: int | None, seed: int, reading: Mapping[str, Any]
) -> FitSample:
    """Rows of the events whose hashes are lowest, or of pieces of ranges, in the order of hashes."""
    limit = None if events is None else at_least("events", events, 1)
    at_least("seed", seed, 0)
    pool, wanted, whole = _Pool(limit), None, dict[str, int]()
    if isinstance(batches, (Range, Ranges)):
        from fastjag.io import iterate

        ranges = [batches] if isinstance(batches, Range) else list(batches)
        wanted, whole = windows(ranges, limit, seed), _per_dataset(ranges)
        columns = list(inputs.columns)
        batches = iterate(ranges=spans(wanted), columns=columns, progress=False, **reading)
    read: dict[str, int] = {}
    for batch in batches:
        if not isinstance(batch, Batch):
            raise TypeError(f"fit takes batches or fj.ranges(...), got {type(batch).__name__}")
        there = _within(batch, wanted)
        dataset = batch.source.dataset
        read[dataset] = read.get(dataset, 0) + len(there)
        left = inputs.survivors(there)
        hashes = _hashes(left, seed)
        chosen = np.flatnonzero(hashes <= pool.bound)
        if len(chosen):
            rows = _on_host(inputs.rows_of(left[chosen]))
            code = np.full(len(chosen), [*read].index(dataset))
            pool.add(hashes[chosen], {**rows, _DATASET: code})
    hashes, rows = pool.finished()
    stands_for = np.array([whole.get(name, n) / max(n, 1) for name, n in read.items()])
    importance = stands_for[rows.pop(_DATASET)]
    record = Fitted(events=len(hashes), asked=limit, seed=seed)
    return FitSample(rows, importance / importance.mean(), record)


def _per_dataset(ranges: Iterable[Range]) -> dict[str, int]:
    """Events of each data set."""
    found: dict[str, int] = {}
    for one in ranges:
        if len(one):
            found[one.dataset] = found.get(one.dataset, 0) + len(one)
    return found


class _Pool:
    """Rows of the events with the lowest hashes; never more than twice as many as asked for."""

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self.bound = np.uint64(np.iinfo(np.uint64).max)  # what is above does not get in
        self._hashes: list[Hashes] = []
        self._rows: list[dict[str, Any]] = []

    def add(self, hashes: Hashes, rows: dict[str, Any]) -> None:
        self._hashes.append(hashes)
        self._rows.append(rows)
        if self.limit is not None and sum(map(len, self._hashes)) > 2 * self.limit:
            hashes, rows = self.finished()
            self._hashes, self._rows, self.bound = [hashes], [rows], hashes[-1]

    def finished(self) -> tuple[Hashes, dict[str, Any]]:
        """Hashes in ascending order, and rows in the same."""
        if not self._hashes:
            raise ValueError("there are no events to fit means, scales or weights to")
        hashes = np.concatenate(self._hashes)
        order = np.argsort(hashes, kind="stable")[: self.limit]
        return hashes[order], pick(join(self._rows), order)


def _on_host(rows: Mapping[str, Any]) -> dict[str, Any]:
    return {n: v.to("cpu") if isinstance(v, Jagged) else to_host(v) for n, v in rows.items()}


def spans(pieces: Sequence[Range]) -> list[Range]:
    """Pieces with what is between those that are near one another in a file."""
    found: list[Range] = []
    for piece in pieces:
        last = found[-1] if found else None
        near = last is not None and 0 <= piece.start - last.stop <= GAP
        if last is not None and near and replace(piece, start=last.start, stop=last.stop) == last:
            found[-1] = replace(last, stop=piece.stop)
        else:
            found.append(piece)
    return found


def _within(batch: Batch, pieces: Sequence[Range] | None) -> Batch:
    """The events of a batch that are in the pieces; all of them, where there are none."""
    if pieces is None:
        return batch
    source, entries = batch.source, batch.entries
    chosen = np.zeros(len(batch), np.bool_)
    for piece in pieces:
        if (piece.file, piece.tree, piece.dataset) == (source.file, source.tree, source.dataset):
            chosen |= (entries >= piece.start) & (entries < piece.stop)
    return batch if chosen.all() else batch[chosen]


def windows(ranges: Sequence[Range], n_events: int | None, seed: int) -> list[Range]:
    """Pieces of ranges with ``n_events`` together (None: all), of each data set in equal distances over its entries.

    A quarter of the events is shared evenly by the data sets, so that small ones are seen, too, and the others in
    proportion. The seed says where the first piece of each begins.
    """
    sizes = _per_dataset(ranges)
    total, n = sum(sizes.values()), len(sizes)
    if n_events is None or total <= n_events:
        return list(ranges)
    even = n_events // (4 * n)
    rng = np.random.default_rng(seed)
    found: list[Range] = []
    for dataset, size in sizes.items():
        wanted = min(size, max(1, even + (n_events - n * even) * size // total))
        pieces = min(wanted, max(WINDOWS // 8, WINDOWS * size // total))
        own = [one for one in ranges if one.dataset == dataset]
        found += _spread(own, size, wanted, pieces, rng.random())
    return found


def _spread(
    ranges: list[Range], total: int, n_events: int, pieces: int, first: float
) -> list[Range]:
    stops = np.cumsum([0, *map(len, ranges)])
    before = np.arange(pieces + 1) * n_events // pieces  # events of the pieces before
    skipped = ((np.arange(pieces) + first) * (total - n_events) / pieces).astype(np.int64)
    starts, sizes = before[:-1] + skipped, np.diff(before)
    found: list[Range] = []
    for start, stop in zip(starts.tolist(), (starts + sizes).tolist(), strict=True):
        low_range = int(np.searchsorted(stops, start, side="right")) - 1
        last = int(np.searchsorted(stops, stop, side="left"))
        for i in range(low_range, last):
            own, begins = ranges[i], int(stops[i])
            low, high = max(start - begins, 0), min(stop - begins, len(own))
            if low < high:
                found.append(replace(own, start=own.start + low, stop=own.start + high))
    return found


# ---- which events --------------------------------------------------------------------------------


def _hashes(events: Batch, seed: int) -> Hashes:
    """Numbers that look random, of data set, name of the file, tree, entry and seed."""
    source = events.source
    file = source.file.replace("\\", "/").rsplit("/", 1)[-1]
    text = f"{source.dataset}\n{file}\n{source.tree}\n{seed}".encode()
    start = np.uint64(crc32(text) << 32 | crc32(text[::-1]))
    return _mixed(_mixed(events.entries.astype(np.uint64)) ^ start)


def _mixed(x: Hashes) -> Hashes:
    """The finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), whose numbers pass tests of chance."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


# ---- means and scales ------------------------------------------------------------------------------


def fitted_groups(
    groups: Iterable[InputGroup], sample: FitSample
) -> tuple[tuple[InputGroup, ...], dict[str, int]]:
    """Groups with means and scales of these rows, and how many numbers were not finite."""
    found: list[InputGroup] = []
    left_out: dict[str, int] = {}
    for group in groups:
        if group.fitted:
            found.append(group)
            continue
        columns = list(group.columns)
        for i, (values, importance) in _seen(group, sample):
            column, finite = columns[i], np.isfinite(values)
            if not finite.any():
                raise ValueError(
                    f"column {column.name!r} of {group.name!r} has no finite number in the sample: it cannot "
                    "be standardised"
                )
            if not finite.all():
                left_out[f"{group.name}.{column.name}"] = int((~finite).sum())
            mean, scale = _moments(values[finite], importance[finite])
            columns[i] = replace(column, mean=mean, scale=scale)
        found.append(replace(group, columns=tuple(columns)))
    return tuple(found), left_out


def _seen(group: InputGroup, sample: FitSample) -> Iterator[tuple[int, tuple[Floats, Floats]]]:
    """The numbers of columns that are to be fitted, of the particles that get a slot, and their importance."""
    rows: Any = sample.rows[group.name]
    for i, column in enumerate(group.columns):
        if not column.fit or column.mean is not None:
            continue
        if group.kind == "features":
            yield i, (np.asarray(rows[:, i], np.float64), sample.importance)
        elif group.kind == "ragged":
            yield i, (rows[column.name].astype(np.float64), rows.broadcast(sample.importance))
        else:
            by = ORDER if group.by is not None else None
            padded = rows.pad(group.width, column.name, by=by, dtype=np.float64)
            repeated = np.repeat(sample.importance, padded.mask.sum(axis=1))
            yield i, (padded.values[padded.mask], repeated)


def _moments(values: Floats, importance: Floats) -> tuple[float, float]:
    """Mean and standard deviation of the population; 1 where that is 0."""
    mean = float(np.average(values, weights=importance))
    mean += float(np.average(values - mean, weights=importance))  # what rounding left
    scale = float(np.sqrt(np.average((values - mean) ** 2, weights=importance)))
    return mean, scale if scale > 0 else 1.0
