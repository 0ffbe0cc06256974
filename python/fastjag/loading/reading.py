"""From laps to batches, in threads behind the training loop."""

from __future__ import annotations

import queue
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastjag.io.errors import ReadError
from fastjag.loading.background import Behind
from fastjag.loading.files import FileLaps, OpenFiles, Threads
from fastjag.loading.laps import Keeping, LapPool, Padding
from fastjag.loading.plan import Plan
from fastjag.loading.pools import ModelInputs, Pool, Rows
from fastjag.loading.stored import StoredEvents

_GROUP = 16  # batches that are handed over at once, at most
_GROUP_BYTES = 8 << 20
_NONE: NDArray[np.int64] = np.empty(0, np.int64)


class Picked(NamedTuple):
    """The events of a batch, as tensors."""

    number: int
    n_events: int
    values: Rows


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
        free: queue.SimpleQueue[LapPool | None] = queue.SimpleQueue()
        numbers = share.numbers(len(plan.sizes))
        keys = _laps_in_order(plan, numbers)
        used = {which for which, _ in keys}
        most = max((int(np.diff(plan.sets[i].laps.edges).max()) for i in used), default=0)
        keeping = Keeping(inputs, plan.options.batch_size, most)
        for _ in range(min(2 * len(used), len(keys))):
            free.put(LapPool(keeping))
        laps = Behind(
            _filled(plan, inputs, files, epoch, keys, free, threads), len(keys) + 1, "fastjag-laps"
        )
        stack.callback(laps.close)
        stack.callback(free.put, None)  # before the thread is waited for
        picked = Behind(_picked(plan, inputs, laps, numbers, free), 2, "fastjag-batches")
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
    batches = _picked(plan, store.inputs, laps, numbers, free)
    with closing(Behind(batches, 2, "fastjag-batches")) as picked:
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
        laps = own.laps.lap_of(mine // len(plan.sets))
        kinds, first = np.unique(laps, return_index=True)
        found += [(int(mine[at]), which, int(lap)) for lap, at in zip(kinds, first, strict=True)]
    return [(which, lap) for _, which, lap in sorted(found)]


def _filled(
    plan: Plan,
    inputs: ModelInputs,
    files: OpenFiles,
    epoch: int,
    keys: list[tuple[int, int]],
    free: queue.SimpleQueue[LapPool | None],
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
            pool.begin(partial(plan.seats, which, epoch, lap), plan.cuts(which, lap))
            readers[which].fill(pool, threads)
            n = pool.finish()
            cuts = plan.cuts(which, lap, n)
            if (np.diff(cuts) == 0).any():
                why = "; ".join(skipped.reason for skipped in files.skipped[:3])
                raise ReadError(
                    f"only {n} events are left for {len(cuts) - 1} batches, the others could not be "
                    f"read: {why}"
                )
            order = _NONE if pool.dealt else plan.order(which, epoch, lap, n)
            yield _Lap((which, lap), pool, order, cuts)


def _picked(
    plan: Plan,
    inputs: ModelInputs,
    laps: Iterator[_Lap],
    numbers: range,
    free: queue.SimpleQueue[Any],
) -> Generator[list[Picked]]:
    """Batches in groups: what goes from thread to thread costs time."""
    current: dict[int, _Lap] = {}
    padding = Padding(inputs)
    group: list[Picked] = []
    size = 0
    for number, which, lap, batch in plan.places(numbers):
        if which not in current or current[which].key != (which, lap):
            if (old := current.pop(which, None)) is not None:
                if isinstance(old.pool, LapPool):
                    old.pool.drop()
                free.put(old.pool)
                del old
            current[which] = next(laps)
        now = current[which]
        start, stop = int(now.cuts[batch]), int(now.cuts[batch + 1])
        if isinstance(now.pool, LapPool) and now.pool.dealt:
            values = now.pool.batch(batch)
        else:
            values = now.pool.take(now.order[start:stop])
            if not now.pool.padded:
                values = padding.tensors(values, stop - start)
            size += sum([v.nbytes for v in values.values()])
        group.append(Picked(number, stop - start, values))
        if len(group) == _GROUP or size > _GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group
