"""Where an epoch is read: lanes, which are runs of entries that are read side by side."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, groupby, pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastjag.io.ranges import Range
from fastjag.loading.epochs import shares


@dataclass(frozen=True)
class Run:
    """Entries of a tree that follow one another; at ``edges`` clusters begin, or it ends.

    With ``chosen`` they are counted among its survivors.
    """

    dataset: str
    file: str
    tree: str
    uuid: str | None
    edges: tuple[int, ...]
    chosen: Any = field(default=None, compare=False, repr=False)

    @property
    def start(self) -> int:
        return self.edges[0]

    @property
    def stop(self) -> int:
        return self.edges[-1]

    def __len__(self) -> int:
        return self.stop - self.start


class Segment(NamedTuple):
    """Entries ``start`` to before ``stop`` of the tree of a run."""

    run: int
    start: int
    stop: int


@dataclass(frozen=True)
class Lane:
    """Segments that are read one after the other."""

    segments: tuple[Segment, ...]

    def __len__(self) -> int:
        return sum(s.stop - s.start for s in self.segments)

    def from_place(self, runs: Sequence[Run], choice: float, anywhere: bool) -> Lane:
        """The same entries, beginning at a cluster that ``choice`` in [0, 1) picks, and around the end.

        Or ``anywhere``, for which a cluster is read twice.
        """
        if not len(self):
            return self
        ends = [0, *accumulate(s.stop - s.start for s in self.segments)]
        if anywhere:
            place = int(choice * ends[-1])
            i = bisect_right(ends, place) - 1
            edge = self.segments[i].start + place - ends[i]
        else:
            edges = [
                (i, edge)
                for i, s in enumerate(self.segments)
                for edge in (s.start, *(e for e in runs[s.run].edges if s.start < e < s.stop))
            ]
            i, edge = edges[int(choice * len(edges))]
        s = self.segments[i]
        turned = (s._replace(start=edge), *self.segments[i + 1 :], *self.segments[:i])
        return Lane(turned if edge == s.start else (*turned, s._replace(stop=edge)))

    def cut(self, places: Iterable[int]) -> Iterator[list[Segment]]:
        """The segments from each place of the lane, counted in events, to the next."""
        ends = [0, *accumulate(s.stop - s.start for s in self.segments)]
        for start, stop in pairwise(places):
            found = []
            i = bisect_right(ends, start) - 1
            while start < stop:
                s = self.segments[i]
                end = min(stop, ends[i + 1])
                if start < end:
                    at = s.start - ends[i]
                    found.append(Segment(s.run, at + start, at + end))
                start, i = end, i + 1
            yield found


def runs_of(ranges: Iterable[Range]) -> list[Run]:
    """Ranges in the order in which they were given, those that go on in one run.

    Raises ValueError where two have the same entries: a batch would have them twice.
    """
    runs: list[Run] = []
    for r in ranges:
        last = runs[-1] if runs else None
        if not len(r):
            continue
        if last and (last.dataset, last.file, last.tree, last.uuid, last.stop) == (
            r.dataset, r.file, r.tree, r.uuid, r.start,
        ):  # fmt: skip
            runs[-1] = replace(last, edges=(*last.edges, r.stop))
        else:
            runs.append(Run(r.dataset, r.file, r.tree, r.uuid, (r.start, r.stop)))
    _check_once(runs)
    return runs


def _check_once(runs: Sequence[Run]) -> None:
    def place(run: Run) -> tuple[str, str, str]:
        return run.dataset, run.file, run.tree

    for _, own in groupby(sorted(runs, key=lambda r: (place(r), r.start)), key=place):
        for one, other in pairwise(own):
            if other.start < one.stop:
                raise ValueError(
                    f"{one.file}:{one.tree}: ranges {one.start} to {one.stop} and {other.start} to "
                    f"{other.stop} of dataset {one.dataset!r} have entries in common"
                )


def lanes_of(runs: Sequence[Run], per_set: Sequence[int], wanted: int) -> list[list[Lane]]:
    """``wanted`` lanes for each set, about, with as many events as ``per_set`` says, of all runs alike.

    Every run gets a lane of its own in each set if there are enough. Otherwise runs of a data set share
    lanes. A lane is never of two data sets.
    """
    lines = _lines(runs, wanted)
    sizes = np.array([sum(len(runs[i]) for i in line) for line, _ in lines])
    totals = np.concatenate([[0], np.cumsum(per_set)])
    parts = np.diff(shares(sizes, totals), axis=0)  # of each line in each set
    sets: list[list[Lane]] = [[] for _ in per_set]
    for number, (line, n_lanes) in enumerate(lines):
        whole = Lane(tuple(Segment(i, runs[i].start, runs[i].stop) for i in line))
        own = [int(n) for n in parts[:, number]]
        ends = [np.arange(n_lanes + 1) * n // n_lanes for n in own]
        lengths = [int(e[i + 1] - e[i]) for i in range(n_lanes) for e in ends]
        places = [0, *accumulate(lengths)]
        if len(per_set) == 1:
            places = _at_clusters(whole, runs, places)
        for i, segments in enumerate(whole.cut(places)):
            if segments:
                sets[i % len(per_set)].append(Lane(tuple(segments)))
    return sets


def _lines(runs: Sequence[Run], wanted: int) -> list[tuple[list[int], int]]:
    """Runs that go one after the other, and how many lanes they are cut into."""
    datasets: dict[str, list[int]] = {}
    for i, run in enumerate(runs):
        datasets.setdefault(run.dataset, []).append(i)
    events = {name: [len(runs[i]) for i in own] for name, own in datasets.items()}
    lanes = _at_least_one([sum(sizes) for sizes in events.values()], wanted)
    lines: list[tuple[list[int], int]] = []
    for (name, own), n in zip(datasets.items(), lanes, strict=True):
        if len(own) <= n:
            lines += [([i], k) for i, k in zip(own, _at_least_one(events[name], n), strict=True)]
            continue
        middles = np.cumsum(events[name]) - np.array(events[name]) / 2
        line = np.minimum(n - 1, middles * n // sum(events[name])).astype(int)
        lines += [
            ([i for i, at in zip(own, line, strict=True) if at == k], 1)
            for k in sorted({*line.tolist()})
        ]
    return lines


def _at_least_one(sizes: Sequence[int], wanted: int) -> list[int]:
    """About ``wanted`` in all, in proportion to the sizes."""
    share: NDArray[np.float64] = np.array(sizes) * (wanted / max(1, sum(sizes)))
    return [max(1, round(float(one))) for one in share]


def _at_clusters(whole: Lane, runs: Sequence[Run], places: list[int]) -> list[int]:
    """The places, at the nearest begin of a cluster each, if every lane keeps one or more."""
    edges = [0]
    for s in whole.segments:
        edges += [edges[-1] - s.start + edge for edge in runs[s.run].edges[1:]]
    known = np.array(edges)
    moved = [int(known[np.abs(known - place).argmin()]) for place in places]
    return moved if len({*moved}) == len(moved) else places
