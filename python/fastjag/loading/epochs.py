"""The order of an epoch in numbers alone: sizes of batches, laps, and who has which batch.

Batch i is of stream i mod ``streams``. Streams are the same whatever ranks and workers there are: each of
these has some of them. Batches are filled in laps: a lap is some thousands of events from everywhere in the
data, in a random order, of which the next batches are cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Sizes:
    """Batches of an epoch: ``full`` of ``size`` events, then those of ``tail``."""

    size: int
    full: int
    tail: tuple[int, ...]

    @classmethod
    def of(cls, n_events: int, size: int, ranks: int, drop_last: bool) -> Sizes:
        """As many batches for each of the ranks, and every event in one of them.

        What is left after the last full round of ``ranks`` batches is shared evenly by one round more; where
        it is less than an event for each rank, by two rounds. With ``drop_last`` it is left out.
        Raises ValueError where some rank would have nothing.
        """
        full = n_events // size // ranks * ranks
        left = n_events - full * size
        if drop_last or not left:
            if not full:
                raise ValueError(
                    f"there are {n_events} events, and none of the {ranks * size} that a full batch of "
                    f"{size} for each of {ranks} rank{'s' * (ranks > 1)} takes: make batch_size "
                    "smaller, or leave out drop_last"
                )
            return cls(size, full, ())
        rounds = 1
        if left < ranks and full:
            rounds, full, left = 2, full - ranks, left + ranks * size
        batches = rounds * ranks
        if left < batches:
            raise ValueError(
                f"{n_events} events in batches of {size} are not enough for as many batches on each of "
                f"{ranks} ranks: take fewer ranks, another batch_size, or drop_last=True"
            )
        return cls(
            size, full, tuple(left // batches + (i < left % batches) for i in range(batches))
        )

    def __len__(self) -> int:
        return self.full + len(self.tail)

    def __getitem__(self, batch: int) -> int:
        return self.size if batch < self.full else self.tail[batch - self.full]

    @property
    def n_events(self) -> int:
        return self.full * self.size + sum(self.tail)

    def every(self, first: int, step: int) -> NDArray[np.int64]:
        """int64: sizes of batches ``first``, ``first + step`` and so on."""
        numbers = np.arange(first, len(self), step)
        sizes = np.full(len(numbers), self.size)
        ends = np.asarray(self.tail, np.int64)
        late = numbers >= self.full
        sizes[late] = ends[numbers[late] - self.full]
        return sizes


@dataclass(frozen=True)
class Laps:
    """The laps of a set of lanes: ``batches`` are the sizes of its batches.

    ``lanes`` are the events that each lane gives in the epoch: as many as the batches have.
    """

    batches: NDArray[np.int64]
    lanes: NDArray[np.int64]
    per_lap: int  #: batches of a lap, at most

    @cached_property
    def edges(self) -> NDArray[np.int64]:
        """int64 (n_laps + 1,): the first batch of each lap, and the end."""
        n = len(self.batches)
        laps = max(1, -(-n // self.per_lap))
        return np.arange(laps + 1) * n // laps

    @cached_property
    def ends(self) -> NDArray[np.int64]:
        """int64 (n_batches + 1,): events before each batch."""
        return np.concatenate([[0], np.cumsum(self.batches)])

    @cached_property
    def quotas(self) -> NDArray[np.int64]:
        """int64 (n_laps + 1, n_lanes): events of each lane before each lap.

        In proportion to what the lane has: a lap is a fair share of all data.
        """
        return shares(self.lanes, self.ends[self.edges])

    def __len__(self) -> int:
        return len(self.edges) - 1

    def lap_of(self, batches: NDArray[np.int64]) -> NDArray[np.int64]:
        """int64: the lap of each of the batches."""
        return np.searchsorted(self.edges, batches, side="right") - 1

    @property
    def largest(self) -> int:
        """Events of the largest lap."""
        return int(np.diff(self.ends[self.edges]).max())


def shares(
    lanes: Sequence[int] | NDArray[np.int64], totals: NDArray[np.int64]
) -> NDArray[np.int64]:
    """int64 (len(totals), n_lanes): whole numbers that add up to each of the rising totals.

    Each column is about a fixed part of the totals, never falls, and ends at its lane's number where the last total
    is the sum of all.
    """
    sizes = np.asarray(lanes, np.int64)
    whole = max(1, int(sizes.sum()))
    found = np.zeros((len(totals), len(sizes)), np.int64)
    done = found[0]
    for i, total in enumerate(totals):
        step = int(total) - int(done.sum())
        ideal = sizes * (int(total) / whole) - done
        given = np.floor(np.clip(ideal, 0, sizes - done)).astype(np.int64)
        while (missing := step - int(given.sum())) != 0:
            room = (given < sizes - done) if missing > 0 else (given > 0)
            order = np.argsort(
                np.where(room, (given - ideal) * np.sign(missing), np.inf), kind="stable"
            )
            given[order[: min(abs(missing), int(room.sum()))]] += np.sign(missing)
        done = found[i] = done + given
    return found


def divides(streams: int, **parts: int) -> None:
    """ValueError where streams cannot be dealt out evenly."""
    n = 1
    for number in parts.values():
        n *= number
    if streams % n:
        named = " x ".join(f"{number} {name}" for name, number in parts.items())
        good = [d for d in range(1, streams + 1) if streams % d == 0]
        raise ValueError(
            f"{named} = {n} do not divide the {streams} streams of an epoch: accepted are "
            f"{', '.join(map(str, good))} in all, or streams={streams * n // np.gcd(streams, n)}"
        )
