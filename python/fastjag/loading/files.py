"""Laps out of files: lanes are read side by side, on several threads, into a pool."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastjag.core.checks import first_line
from fastjag.io.baskets import Buffers
from fastjag.io.batches import Batch
from fastjag.io.errors import ReadError
from fastjag.io.ranges import Range, Skipped
from fastjag.io.reader import Reader
from fastjag.io.readers import check_range
from fastjag.io.sources import Access
from fastjag.io.transport import explain
from fastjag.kernels.threads import get_num_threads, limited
from fastjag.loading.blocks import Slices
from fastjag.loading.lanes import Lane, Run, Segment
from fastjag.loading.pools import ModelInputs, Rows


@dataclass
class _Open:
    """A tree that several lanes read."""

    reader: Reader
    names: list[str]
    lock: threading.Lock
    separate: bool  #: whether they can read it at once


class OpenFiles:
    """The trees of runs, opened when they are asked for.

    ``keeps``: whether the columns of many batches are kept at a time.
    """

    def __init__(
        self, runs: Sequence[Run], columns: Sequence[str], access: Access, on_error: str,
        keeps: bool = False,
    ) -> None:  # fmt: skip
        self.runs, self.on_error = runs, on_error
        self._columns, self._access = list(columns), access
        # The files are read by turns: they have the buffers together.
        self._buffers = Buffers(Slices().empty if keeps else np.empty, Slices().empty)
        self._open: dict[tuple[str, str], _Open] = {}
        self._lock = threading.Lock()
        self._all = ExitStack()
        self.skipped: list[Skipped] = []

    def batches(self, run: Run, edges: Sequence[int]) -> Generator[Batch]:
        """From each of the entries to the next, on the thread that asks for them."""
        opened = self._get(run)
        if run.chosen is not None:
            edges = run.chosen.entries(edges)
        check_range(
            opened.reader, Range(run.dataset, run.file, run.tree, edges[0], edges[-1], run.uuid)
        )
        with closing(opened.reader.between(opened.names, edges, 1)) as batches:
            for i in range(len(edges) - 1):
                if i == 0 or not opened.separate:  # looks up branches at first
                    with opened.lock:
                        batch = next(batches)
                else:
                    batch = next(batches)
                batch.source = replace(batch.source, dataset=run.dataset)
                yield batch
                del batch

    def bytes_per_event(self, run: Run) -> float:
        """Of the columns in memory."""
        opened = self._get(run)
        size = opened.reader.stored_bytes(opened.names)
        if size and opened.reader.n_entries:
            return size / opened.reader.n_entries
        n = min(1000, len(run))  # not every writer records sizes
        with closing(opened.reader.between(opened.names, [run.start, run.start + n], 1)) as batches:
            return next(batches).nbytes / max(1, n)

    def skip(self, run: Run, events: int, error: Exception) -> None:
        """Raises what cannot be read, or lists it."""
        error = explain(error)
        if not isinstance(error, OSError):
            error = ReadError(f"{run.file}: cannot be read: {first_line(error)}")
        if self.on_error == "raise":
            raise error from error.__cause__
        with self._lock:
            self.skipped.append(Skipped(run.file, events, str(error)))

    def close(self) -> None:
        self._all.close()

    def _get(self, run: Run) -> _Open:
        far = "://" in run.file  # lanes of a far file each have requests of their own under way
        key = run.file, run.tree
        with self._lock:
            if not far and key in self._open:
                return self._open[key]
            reader = Reader(run.file, run.tree, None, self._access, self._buffers)
            self._all.callback(reader.close)
            names = reader.branches(self._columns)
            opened = _Open(reader, names, threading.Lock(), reader.separate(names))
            if not far:
                self._open[key] = opened
            return opened


class Filled(Protocol):
    """Where events are put."""

    def put(self, place: int, rows: Rows, of: str) -> None: ...


class _LaneReader:
    """A lane, lap by lap."""

    def __init__(
        self, files: OpenFiles, lane: Lane, quotas: NDArray[np.int64], laps: Sequence[int]
    ) -> None:
        self._files = files
        cut = list(lane.cut([int(q) for q in quotas]))
        self._laps = [cut[lap] for lap in laps]
        self._pieces = [piece for lap in self._laps for piece in lap]
        self._lap = self._piece = 0
        self._batches: Generator[Batch] | None = None
        self._edges: list[int] = []  #: of the entries that are read one after the other

    def lap(self) -> Iterator[tuple[int, Batch | None]]:
        """(number of events, these or None where they cannot be read) of the next lap."""
        pieces = self._laps[self._lap]
        self._lap += 1
        for piece in pieces:
            yield piece.stop - piece.start, self._next(piece)
            self._piece += 1

    def _next(self, piece: Segment) -> Batch | None:
        run = self._files.runs[piece.run]
        before = self._pieces[self._piece - 1] if self._piece else None
        try:
            if before is None or (before.run, before.stop) != (piece.run, piece.start):
                self.close()
                self._edges = self._following()
                self._batches = self._files.batches(run, self._edges)
            elif self._batches is None:
                return None  # what was before could not be read
            return next(self._batches)
        except Exception as error:  # noqa: BLE001  a damaged file can make uproot raise anything
            self.close()
            self._files.skip(run, self._edges[-1] - piece.start, error)
            return None

    def _following(self) -> list[int]:
        """Where pieces end from here on, as long as one follows the other."""
        first = self._pieces[self._piece]
        edges = [first.start]
        for i in range(self._piece, len(self._pieces)):
            piece = self._pieces[i]
            if piece.run != first.run or piece.start != edges[-1]:
                break
            edges.append(piece.stop)
        return edges

    def close(self) -> None:
        if self._batches is not None:
            self._batches.close()
            self._batches = None


@dataclass
class FileLaps:
    """Some laps of one set of lanes, in order."""

    files: OpenFiles
    lanes: Sequence[Lane]
    quotas: NDArray[np.int64]
    inputs: ModelInputs
    laps: Sequence[int]
    _readers: list[_LaneReader] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._left = iter(self.laps)
        self._readers = [
            _LaneReader(self.files, lane, self.quotas[:, i], self.laps)
            for i, lane in enumerate(self.lanes)
        ]

    def fill(self, pool: Filled, threads: Threads, bases: NDArray[np.int64] | None = None) -> None:
        """Read the next lap into a pool: lane after lane, or each lane from its base on."""
        lap = next(self._left)
        sizes = self.quotas[lap + 1] - self.quotas[lap]
        places = np.cumsum(sizes) - sizes if bases is None else bases + self.quotas[lap]
        threads.do([
            partial(self._fill, pool, reader, int(place))
            for reader, place in zip(self._readers, places, strict=True)
        ])  # fmt: skip

    def _fill(self, pool: Filled, lane: _LaneReader, place: int) -> None:
        for n, batch in lane.lap():
            if batch is not None:
                where = str(batch.source)
                rows = self.inputs.rows(batch)
                del batch
                pool.put(place, rows, where)
            place += n

    def close(self) -> None:
        for reader in self._readers:
            reader.close()


class Threads:
    """Pieces of work side by side, on as many threads as kernels have."""

    def __init__(self, threads: int | None = None) -> None:
        self.n = n = get_num_threads(threads)
        self._pool = ThreadPoolExecutor(n, "fastjag-load", limited, (1,)) if n > 1 else None

    def do(self, work: Sequence[Callable[[], Any]]) -> None:
        """All of it; raises what the first that failed raised."""
        if self._pool is None:
            for piece in work:
                piece()
            return
        tasks = [self._pool.submit(piece) for piece in work]
        try:
            for task in tasks:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            wait(tasks)  # nobody works on what is closed next

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
