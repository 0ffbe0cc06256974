"""What is read when: lanes, laps and batches of an epoch, within the memory that there is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastjag import kernels
from fastjag.loading.epochs import Laps, Sizes, shares
from fastjag.loading.lanes import Lane, Run, Segment, lanes_of

#: Events of a lap, if there is memory for them.
LAP = 1 << 17
#: Places that are read side by side, at least.
LANES = 8
_ORDER = b"2"  # changes where a seed means another order than before
_STEP = 4096  # batches whose places are looked up at once
_MOST_LANES = 256  # each holds a file open


@dataclass(frozen=True)
class EventCost:
    """Bytes of an event: ``kept`` in a lap, and ``read`` from a lane."""

    kept: float
    read: float


@dataclass(frozen=True)
class Options:
    """What of the arguments decides on the order of events."""

    batch_size: int
    shuffle: str | None
    seed: int
    streams: int
    ranks: int
    drop_last: bool
    memory: int


@dataclass(frozen=True)
class LaneSet:
    """Lanes and their laps; every ``step``-th batch from ``number`` on is of them."""

    number: int
    lanes: tuple[Lane, ...]
    laps: Laps


@dataclass(frozen=True)
class Plan:
    """An epoch: its batches, and the sets of lanes that give their events."""

    runs: tuple[Run, ...]
    sizes: Sizes
    sets: tuple[LaneSet, ...]
    options: Options

    @classmethod
    def of(
        cls, runs: Sequence[Run], options: Options, cost: EventCost, n_sets: int | None = None
    ) -> Plan:
        """``n_sets``: by default as many as data and memory are enough for; they divide the streams."""
        n_events = sum(map(len, runs))
        sizes = Sizes.of(n_events, options.batch_size, options.ranks, options.drop_last)
        if options.shuffle != "buffer":
            whole = Lane(tuple(Segment(i, run.start, run.stop) for i, run in enumerate(runs)))
            lap = _lap(runs, options, cost, 1) if options.shuffle is None else len(sizes)
            used = np.array([sizes.n_events])
            only = LaneSet(0, (whole,), Laps(sizes.every(0, 1), used, lap))
            return cls(tuple(runs), sizes, (only,), options)
        wanted = _wanted_lanes(runs, options, cost)
        n_sets = n_sets or _n_sets(n_events, runs, wanted, options, cost)
        batches = [sizes.every(i, n_sets) for i in range(n_sets)]
        needs = [int(own.sum()) for own in batches]
        spare = n_events - sizes.n_events
        given = [n + (i + 1) * spare // n_sets - i * spare // n_sets for i, n in enumerate(needs)]
        sets = []
        for i, lanes in enumerate(lanes_of(runs, given, wanted)):
            used = np.array([len(lane) for lane in lanes])
            if (
                needs[i] < given[i]
            ):  # what is dropped is behind the end of each lane, elsewhere next time
                used = shares(used, np.array([0, needs[i], given[i]]))[1]
            laps = Laps(batches[i], used, _lap(runs, options, cost, n_sets))
            sets.append(LaneSet(i, tuple(lanes), laps))
        return cls(tuple(runs), sizes, tuple(sets), options)

    def places(self, numbers: range) -> Iterator[tuple[int, int, int, int]]:
        """(batch, set, lap, batch of the lap) of batches."""
        n = len(self.sets)
        for at in range(0, len(numbers), _STEP):
            some = np.array(numbers[at : at + _STEP])
            which, inside = some % n, some // n
            lap, first = np.zeros_like(some), np.zeros_like(some)
            for i, own in enumerate(self.sets):
                mine = which == i
                lap[mine] = own.laps.lap_of(inside[mine])
                first[mine] = own.laps.edges[lap[mine]]
            yield from zip(
                some.tolist(), which.tolist(), lap.tolist(), (inside - first).tolist(), strict=True
            )

    def lanes(self, which: int, epoch: int) -> list[Lane]:
        """Of a set; in every epoch they begin elsewhere."""
        own = self.sets[which]
        if self.options.shuffle != "buffer":
            return list(own.lanes)
        choices = self.random(epoch, which, 0).random(len(own.lanes))
        return [
            lane.from_place(self.runs, float(choice), self.options.drop_last)
            for lane, choice in zip(own.lanes, choices, strict=True)
        ]

    def order(self, which: int, epoch: int, lap: int, n: int) -> NDArray[np.int64]:
        """int64 (n,): the order of the n events of a lap."""
        if self.options.shuffle is None:
            return np.arange(n)
        return kernels.permutation(self._words(which, epoch, lap, n))

    def seats(self, which: int, epoch: int, lap: int) -> NDArray[np.int64]:
        """int64: where each event of a lap goes, by the same order, if every batch has room for the largest."""
        cuts = self.cuts(which, lap)
        n, size = int(cuts[-1]), self.options.batch_size
        if self.options.shuffle is None:
            seats = np.arange(n)
        else:
            seats = kernels.permutation(self._words(which, epoch, lap, n), inverse=True)
        sizes = np.diff(cuts)
        if (sizes[:-1] == size).all():
            return seats
        return (np.arange(n) + np.repeat(np.arange(len(sizes)) * size - cuts[:-1], sizes))[seats]

    def _words(self, which: int, epoch: int, lap: int, n: int) -> NDArray[np.uint64]:
        words: NDArray[np.uint64] = self.random(epoch, which, 1 + lap).bit_generator.random_raw(n)
        return words

    def random(self, *key: int) -> np.random.Generator:
        return np.random.default_rng([self.options.seed, *key])

    def cuts(self, which: int, lap: int, n: int | None = None) -> NDArray[np.int64]:
        """int64: where the batches of a lap begin and end, if it has n events; default: all.

        Where some could not be read, batches are smaller, not fewer: ranks and workers stay in step.
        """
        laps = self.sets[which].laps
        first, last = laps.edges[lap : lap + 2]
        ends: NDArray[np.int64] = laps.ends[first : last + 1] - laps.ends[first]
        if n is None:
            return ends
        scaled: NDArray[np.int64] = (
            ends * n // max(1, int(ends[-1]))
        )  # the same where all could be read
        return scaled

    @cached_property
    def digest(self) -> str:
        """Of all that the order of events depends on."""
        found = blake2b(_ORDER, digest_size=16)
        for run in self.runs:
            found.update(
                repr((run.dataset, run.uuid or run.file, run.tree, run.start, run.stop)).encode()
            )
        found.update(repr(([s.lanes for s in self.sets], self.options.shuffle)).encode())
        for own in self.sets:
            found.update(own.laps.edges.tobytes())
        return found.hexdigest()

    def describe(self) -> dict[str, Any]:
        """For records: all that the order of events depends on, and how much of it there is."""
        o = self.options
        return {
            "n_events": sum(map(len, self.runs)), "n_batches": len(self.sizes),
            "batch_size": o.batch_size, "shuffle": o.shuffle, "seed": o.seed, "streams": o.streams,
            "world_size": o.ranks, "drop_last": o.drop_last, "sets": len(self.sets),
            "lanes": len(self.sets[0].lanes), "lap": self.sets[0].laps.largest, "data": self.digest,
        }  # fmt: skip


def _lap(runs: Sequence[Run], options: Options, cost: EventCost, n_sets: int) -> int:
    """Batches of a lap: a lap is used while the next one is read."""
    most = _room(options, cost)
    if most < options.batch_size:
        raise ValueError(
            f"memory={options.memory:,} bytes is not enough for batches of {options.batch_size}: an event "
            f"takes {cost.kept:.0f}, and four times a batch have to fit"
        )
    events = sum(map(len, runs)) if _at_once(runs, options, cost) else min(LAP, most // n_sets)
    return max(
        1, -(-events // options.batch_size) if events <= most else events // options.batch_size
    )


def _room(options: Options, cost: EventCost) -> int:
    """Events of a lap, at most."""
    return int(options.memory / 4 / max(1.0, cost.kept))


def _at_once(runs: Sequence[Run], options: Options, cost: EventCost) -> bool:
    """Whether all events are one lap: where there are too few clusters to read many side by side."""
    return _clusters(runs) < LANES and sum(map(len, runs)) <= _room(options, cost)


def _clusters(runs: Sequence[Run]) -> int:
    return sum(len(run.edges) - 1 for run in runs)


def _wanted_lanes(runs: Sequence[Run], options: Options, cost: EventCost) -> int:
    """As many as there are clusters, up to twice the files, or what memory has room for."""
    clusters = _clusters(runs)
    if _at_once(runs, options, cost):
        return clusters
    held = max(1.0, cost.read * sum(map(len, runs)) / max(1, clusters) / 2)  # the rest of a cluster
    most = max(LANES // 2, min(_MOST_LANES, int(options.memory / 4 / held)))
    return min(max(LANES, min(clusters, 2 * len(runs))), most)


def _n_sets(
    n_events: int, runs: Sequence[Run], wanted: int, options: Options, cost: EventCost
) -> int:
    """More sets let workers read less that is others', but each cuts the data anew."""
    clusters = _clusters(runs)
    held = cost.read * n_events / max(1, clusters) / 2 * wanted + 2 * LAP * cost.kept
    best = 1
    for n in range(1, options.streams + 1):
        if options.streams % n:
            continue
        if (
            n_events >= n * 8 * LAP and clusters >= 2 * n * wanted
            and n * wanted <= _MOST_LANES and n * held <= options.memory / 2
        ):  # fmt: skip
            best = n
    return best
