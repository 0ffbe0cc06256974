"""From laps to batches, in threads behind the training loop."""

from __future__ import annotations

import queue
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastjag.io.errors import ReadError
from fastjag.loading.background import Behind
from fastjag.loading.files import FileLaps, OpenFiles, Threads
from fastjag.loading.plan import Plan
from fastjag.loading.pools import ModelInputs, Pool, Rows
from fastjag.loading.stored import StoredEvents

_GROUP = 16  # batches that are handed over at once, at most
_GROUP_BYTES = 16 << 20


class Picked(NamedTuple):
    """The events of a batch, as tensors or, where these are yet to be made, as rows."""

    number: int
    n_events: int
    values: Rows
    padded: bool


class Share(NamedTuple):
    """Batches ``first``, ``first + step`` and so on of an epoch: those of a rank or worker."""

    first: int
    step: int
    done: int = 0  #: batches that were given before

    def numbers(self, n_batches: int) -> range:
        return range(self.first + self.done * self.step, n_batches, self.step)


class _Lap(NamedTuple):
    key: tuple[int, int]
    pool: Pool | StoredEvents
    order: NDArray[np.int64]
    cuts: NDArray[np.int64]


def read_epoch(
    plan: Plan,
    inputs: ModelInputs,
    files: OpenFiles,
    epoch: int,
    share: Share,
    threads: int | None = None,
) -> Generator[Picked]:
    """The batches of a share, read from files; threads read and pick them ahead."""
    with ExitStack() as stack:
        free: queue.SimpleQueue[Pool | None] = queue.SimpleQueue()
        numbers = share.numbers(len(plan.sizes))
        keys = _laps_in_order(plan, numbers)
        used = {which for which, _ in keys}
        capacity = max((plan.sets[i].laps.largest for i in used), default=0)
        for _ in range(min(2 * len(used), len(keys))):
            free.put(Pool(inputs, capacity))
        laps = Behind(
            _filled(plan, inputs, files, epoch, keys, free, threads), len(keys) + 1, "fastjag-laps"
        )
        stack.callback(laps.close)
        stack.callback(free.put, None)  # before the thread is waited for
        picked = Behind(_picked(plan, laps, numbers, free), 2, "fastjag-batches")
        stack.callback(picked.close)
        stack.callback(laps.end)
        for group in picked:
            yield from group
            del group


def pick_epoch(
    plan: Plan, store: Pool | StoredEvents, epoch: int, share: Share
) -> Generator[Picked]:
    """The batches of a share, of events that are all there; a thread picks them ahead."""
    numbers = share.numbers(len(plan.sizes))
    free: queue.SimpleQueue[Any] = queue.SimpleQueue()
    laps = _stored(plan, store, epoch, _laps_in_order(plan, numbers))
    with closing(Behind(_picked(plan, laps, numbers, free), 2, "fastjag-batches")) as picked:
        for group in picked:
            yield from group
            del group


def _stored(
    plan: Plan, store: Pool | StoredEvents, epoch: int, keys: list[tuple[int, int]]
) -> Generator[_Lap]:
    """Laps that only say which events they have."""
    lanes = {which: plan.lanes(which, epoch) for which, _ in keys}
    for which, lap in keys:
        quotas = plan.sets[which].laps.quotas[lap : lap + 2]
        n = int((quotas[1] - quotas[0]).sum())
        if plan.options.shuffle == "global":  # what is dropped is another part in each epoch
            order = plan.order(which, epoch, lap, sum(map(len, plan.runs)))
        else:
            order = np.concatenate([
                np.arange(s.start, s.stop)
                for lane, (start, stop) in zip(lanes[which], quotas.T.tolist(), strict=True)
                for segments in lane.cut([start, stop])
                for s in segments
            ])[plan.order(which, epoch, lap, n)]  # fmt: skip
        yield _Lap((which, lap), store, order, plan.cuts(which, lap, n))


def _laps_in_order(plan: Plan, numbers: range) -> list[tuple[int, int]]:
    """(set, lap) as the batches need them."""
    found: list[tuple[int, int, int]] = []
    all_numbers = np.arange(numbers.start, numbers.stop, numbers.step)
    for which, own in enumerate(plan.sets):
        mine = all_numbers[all_numbers % len(plan.sets) == which]
        laps = np.searchsorted(own.laps.edges, mine // len(plan.sets), side="right") - 1
        kinds, first = np.unique(laps, return_index=True)
        found += [(int(mine[at]), which, int(lap)) for lap, at in zip(kinds, first, strict=True)]
    return [(which, lap) for _, which, lap in sorted(found)]


def _filled(
    plan: Plan,
    inputs: ModelInputs,
    files: OpenFiles,
    epoch: int,
    keys: list[tuple[int, int]],
    free: queue.SimpleQueue[Pool | None],
    n_threads: int | None,
) -> Generator[_Lap]:
    wanted: dict[int, list[int]] = {}
    for which, lap in keys:
        wanted.setdefault(which, []).append(lap)
    with ExitStack() as stack:
        threads = stack.enter_context(closing(Threads(n_threads)))
        readers = {}
        for which, own in wanted.items():
            lanes = plan.lanes(which, epoch)
            quotas = plan.sets[which].laps.quotas
            readers[which] = stack.enter_context(
                closing(FileLaps(files, lanes, quotas, inputs, own))
            )
        for which, lap in keys:
            pool = free.get()
            if pool is None:
                return
            readers[which].fill(pool, threads)
            n = pool.finish()
            cuts = plan.cuts(which, lap, n)
            if (np.diff(cuts) == 0).any():
                why = "; ".join(skipped.reason for skipped in files.skipped[:3])
                raise ReadError(
                    f"only {n} events are left for {len(cuts) - 1} batches, the others could not be "
                    f"read: {why}"
                )
            yield _Lap((which, lap), pool, plan.order(which, epoch, lap, n), cuts)


def _picked(
    plan: Plan, laps: Iterator[_Lap], numbers: range, free: queue.SimpleQueue[Any]
) -> Generator[list[Picked]]:
    """Batches in groups: what goes from thread to thread costs time."""
    current: dict[int, _Lap] = {}
    group: list[Picked] = []
    size = 0
    for number in numbers:
        which, lap, batch = plan.place(number)
        if which not in current or current[which].key != (which, lap):
            if (old := current.pop(which, None)) is not None:
                free.put(old.pool)
                del old
            current[which] = next(laps)
        now = current[which]
        events = now.order[now.cuts[batch] : now.cuts[batch + 1]]
        values, padded = now.pool.take(events), bool(now.pool.padded)
        if not padded:
            values = now.pool.inputs.tensors(values)
        group.append(Picked(number, len(events), values, True))
        size += sum(_size(v) for v in values.values())
        if len(group) == _GROUP or size > _GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _size(values: Any) -> int:
    return int(getattr(values, "nbytes", 0))
