"""Means and scales of a sample of events: bounded, seeded, and independent of how events are batched."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol
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

Hashes = NDArray[np.uint64]


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


def sample(
    inputs: Sampled, batches: Any, events: int | None, seed: int
) -> tuple[dict[str, Any], Fitted]:
    """Rows of the events whose hashes are lowest, in the order of hashes."""
    limit = None if events is None else at_least("events", events, 1)
    at_least("seed", seed, 0)
    pool = _Pool(limit)
    for batch in _batches(inputs, batches, limit, seed):
        if not isinstance(batch, Batch):
            raise TypeError(f"fit takes batches or fj.ranges(...), got {type(batch).__name__}")
        left = inputs.survivors(batch)
        hashes = _hashes(left, seed)
        chosen = np.flatnonzero(hashes <= pool.bound)
        if len(chosen):
            pool.add(hashes[chosen], _on_host(inputs.rows_of(left[chosen])))
    hashes, rows = pool.finished()
    return rows, Fitted(events=len(hashes), asked=limit, seed=seed)


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


def _batches(inputs: Sampled, batches: Any, limit: int | None, seed: int) -> Iterable[Batch]:
    if not isinstance(batches, (Range, Ranges)):
        return batches  # type: ignore[no-any-return]
    from fastjag.io import iterate

    ranges = [batches] if isinstance(batches, Range) else list(batches)
    wanted = ranges if limit is None else windows(ranges, limit, seed)
    return iterate(ranges=wanted, columns=list(inputs.columns), progress=False)


def windows(ranges: Sequence[Range], n_events: int, seed: int) -> list[Range]:
    """Pieces of ranges with ``n_events`` together, in equal distances over all of their entries.

    The seed says where the first one begins. All ranges, where these have no more entries.
    """
    stops = np.cumsum([0, *map(len, ranges)])
    total = int(stops[-1])
    if total <= n_events:
        return list(ranges)
    pieces = min(WINDOWS, n_events)
    before = np.arange(pieces + 1) * n_events // pieces  # events of the pieces before
    first = np.random.default_rng(seed).random()
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
    groups: Iterable[InputGroup], rows: Mapping[str, Any]
) -> tuple[tuple[InputGroup, ...], dict[str, int]]:
    """Groups with means and scales of these rows, and how many numbers were not finite."""
    found: list[InputGroup] = []
    left_out: dict[str, int] = {}
    for group in groups:
        if group.fitted:
            found.append(group)
            continue
        columns = []
        for column, values in zip(group.columns, _seen(group, rows[group.name]), strict=True):
            if not column.fit or column.mean is not None:
                columns.append(column)
                continue
            finite = values[np.isfinite(values)]
            if not len(finite):
                raise ValueError(
                    f"column {column.name!r} of {group.name!r} has no finite number in the sample: it cannot "
                    "be standardised"
                )
            if len(finite) < len(values):
                left_out[f"{group.name}.{column.name}"] = len(values) - len(finite)
            mean, scale = _moments(finite)
            columns.append(replace(column, mean=mean, scale=scale))
        found.append(replace(group, columns=tuple(columns)))
    return tuple(found), left_out


def _seen(group: InputGroup, rows: Any) -> Iterator[NDArray[np.float64]]:
    """Every column's numbers, of the particles that get a slot."""
    if group.kind == "features":
        yield from np.asarray(rows, np.float64).T
        return
    for column in group.columns:
        if group.kind == "ragged":
            yield rows[column.name].astype(np.float64)
            continue
        by = ORDER if group.by is not None else None
        padded = rows.pad(group.width, column.name, by=by, dtype=np.float64)
        yield padded.values[padded.mask]


def _moments(values: NDArray[np.float64]) -> tuple[float, float]:
    """Mean and standard deviation of the population; 1 where that is 0."""
    mean = float(values.mean())
    mean += float((values - mean).mean())  # what rounding left
    scale = float(np.sqrt(np.mean((values - mean) ** 2)))
    return mean, scale if scale > 0 else 1.0
