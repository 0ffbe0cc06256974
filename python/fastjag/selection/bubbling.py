"""Mask bubbling: a selection, step by step, that reads columns only for events still alive.

Steps see the events that passed those before. A column is read at its first use, for the events
alive then; baskets without any are neither fetched nor decompressed. What was read for more events
than are left is cut down by composing the indices of the steps in between, at its next use or at
the end: the last mask bubbles up. When no event of a batch is left, nothing more of it is read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastjag.core.arrays import Array, Offsets, as_column, as_mask, offsets_of
from fastjag.core.checks import at_least, first_line, needs
from fastjag.io.batches import Batch, Place, Source
from fastjag.io.branches import LeftOut, Parts
from fastjag.io.exclusive import Exclusive
from fastjag.io.files import Files, ReadError, find_files
from fastjag.io.ranges import Range
from fastjag.io.reader import Reader
from fastjag.io.readers import check_range
from fastjag.io.sources import Access
from fastjag.jagged import Jagged
from fastjag.jagged.shapes import gathered
from fastjag.reporting.progress import progress_bar
from fastjag.schemas import Schema
from fastjag.selection.columns import Counters, Entries, EntryColumns


@dataclass(frozen=True)
class Step:
    """One cut.

    ``passes`` gets a batch of the events alive with these columns (``batch.Photon["pt"]``,
    ``batch["trigP"]``) and returns a mask of shape (n_alive,). It must judge each event by itself.
    """

    name: str
    columns: Sequence[str]
    passes: Callable[[Selected], ArrayLike]
    #: Bytes to decompress per event, and share of events that pass: from :func:`cheapest_first`.
    cost: float | None = None
    passed: float | None = None


@dataclass
class Cut:
    """A row of a cutflow: what is left after a step."""

    name: str
    events: int
    weighted: float  #: sum of weights; the number of events where there are none


class Selected(Batch):
    """Surviving events of a range of entries: ``entries`` (n_events,) says which."""

    def __init__(
        self,
        collections: dict[str, Jagged],
        flat: dict[str, Array],
        source: Source,
        entries: Entries,
        names: Mapping[Place, str] | None = None,
    ) -> None:
        super().__init__(collections, flat, source, names, entries)


@dataclass
class Survivors:
    """The iterator that :func:`survivors` returns; cutflow and counters fill up with its batches.

    ``counters`` is complete for files that have been read to their end. Several threads may ask for
    batches: each goes to one of them. In a process that was forked after the first batch, it is a
    RuntimeError.
    """

    cutflow: list[Cut]
    counters: Counters = field(default_factory=Counters)
    #: As of :func:`fastjag.iterate`: what patterns match, but arrays cannot hold.
    left_out: list[LeftOut] = field(default_factory=list)
    _batches: Generator[Selected] | None = None
    _turn: Exclusive = field(
        default_factory=lambda: Exclusive("these survivors"), repr=False, compare=False
    )

    def __iter__(self) -> Iterator[Selected]:
        return self

    def __next__(self) -> Selected:
        if self._batches is None:
            raise StopIteration
        with self._turn:
            return next(self._batches)

    def close(self) -> None:
        """Stop reading."""
        if self._batches is not None and not self._turn.elsewhere():
            with self._turn:
                self._batches.close()


def survivors(
    files: Files | None,
    steps: Iterable[Step],
    output: str | Iterable[str] | None = None,
    *,
    ranges: Iterable[Range] | None = None,
    weight: str | Iterable[str] = (),
    optional: Iterable[str] = (),
    batch_size: int = 100_000,
    schema: Schema | None = None,
    storage_options: Mapping[str, Any] | None = None,
    cache: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
) -> Survivors:
    """Events of ROOT files that pass all steps, with the columns asked for, batch by batch.

    Parameters
    ----------
    files, ranges, schema, storage_options, cache, progress
        As in :func:`fastjag.iterate`: files, or None and ranges of entries.
    steps
        In the order in which to cut; :func:`cheapest_first` finds a good one.
    output
        Branch names in NanoAOD form, or shell patterns. Default: the columns of the steps.
    weight
        Event branches whose product is the weight of the cutflow. They are read for all events.
    optional
        Branch names for the output that some files may not have.
    batch_size
        Events per batch. Memory holds the columns of one batch, each for the events that were alive
        when it was read.

    Yields
    ------
    Selected
        A batch of the survivors, bit by bit what reading everything and masking gives, in the order
        of files and events. Batches without survivors are left out.

    Raises
    ------
    FileNotFoundError, ReadError
        Naming file, tree and branch (with near misses) or the entries that cannot be read.
    TypeError, ValueError
        Naming the step whose mask is no mask.

    Examples
    --------
    >>> from fastjag.selection import Step, survivors
    >>> steps = [
    ...     Step("trigger", ["trigP"], lambda events: events["trigP"]),
    ...     Step("two photons", ["Photon_pt"], lambda events: events.Photon.counts == 2),
    ... ]
    >>> chosen = survivors("data_*.root", steps, ["Photon_*", "MET_pt"])  # doctest: +SKIP
    >>> for batch in chosen:  # doctest: +SKIP
    ...     print(batch.Photon["pt"], batch["MET_pt"])
    >>> chosen.cutflow, chosen.counters  # doctest: +SKIP
    """
    cuts = list(steps)
    for cut in cuts:
        if not isinstance(cut, Step):
            raise TypeError(f"steps must be fastjag.selection.Step, got {type(cut).__name__}")
        if isinstance(cut.columns, str):
            raise TypeError(f"columns of step {cut.name!r} must be a list, got {cut.columns!r}")
    at_least("batch_size", batch_size, 1)
    if (files is None) == (ranges is None):
        raise ValueError("survivors takes files or ranges")
    needs("uproot", "io")
    needs("awkward", "io")
    wanted = [output] if isinstance(output, str) else None if output is None else list(output)
    weights = [weight] if isinstance(weight, str) else list(weight)
    result = Survivors([Cut(name, 0, 0.0) for name in ("all", *(cut.name for cut in cuts))])
    access = Access.of(storage_options, cache)
    plan = _Plan(cuts, wanted, weights, list(optional), batch_size, schema, access)
    pieces: list[tuple[str, str | None, Range | None]]
    if ranges is not None:
        pieces = [(piece.file, piece.tree, piece) for piece in ranges]
    else:
        pieces = [(path, tree, None) for path, tree in find_files(files or [], access)]
    result._batches = plan.read(pieces, result.cutflow, result.counters, result.left_out, progress)
    return result


@dataclass(frozen=True)
class _Plan:
    """What to do in every file."""

    steps: list[Step]
    output: list[str] | None
    weights: list[str]
    optional: list[str]
    batch_size: int
    schema: Schema | None
    access: Access

    def read(
        self,
        pieces: list[tuple[str, str | None, Range | None]],
        cutflow: list[Cut],
        counters: Counters,
        left_out: list[LeftOut],
        progress: bool | None,
    ) -> Generator[Selected]:
        missing: ReadError | None = None  # of a tree without events
        some = False  # any tree with events
        with progress_bar("selecting events", len(pieces), progress) as advance:
            for path, tree, piece in pieces:
                reader = Reader(path, tree, self.schema, self.access)
                with closing(reader):
                    begin, end = 0, reader.n_entries
                    if piece is not None:
                        check_range(reader, piece)
                        begin, end = piece.start, piece.stop
                    try:
                        cuts = [(step, reader.branches(step.columns)) for step in self.steps]
                        output = self._output(reader, [n for _, names in cuts for n in names])
                        weights = reader.branches(self.weights) if self.weights else []
                    except ReadError as error:
                        if reader.n_entries:
                            raise
                        missing = missing or error
                        continue
                    finally:
                        left_out += reader.left_out
                    some = some or reader.n_entries > 0
                    names = {n for _, own in cuts for n in own}.union(output, weights)
                    columns = EntryColumns(reader, sorted(names))
                    try:
                        for start in range(begin, end, self.batch_size):
                            stop = min(start + self.batch_size, end)
                            batch = Alive(reader, columns, start, stop)
                            yield from self._survivors(batch, cuts, output, weights, cutflow)
                            advance((stop - start) / (end - begin))
                    finally:
                        columns.close()
                        counters += columns.counters
                    advance(0 if end > begin else 1)
        if missing is not None and not some:
            raise missing

    def _output(self, reader: Reader, of_steps: list[str]) -> list[str]:
        if self.output is None:
            names = list(dict.fromkeys(of_steps))
        else:
            names = reader.branches(self.output) if self.output else []
        return names + reader.optional(self.optional, names)

    def _survivors(
        self,
        batch: Alive,
        cuts: list[tuple[Step, list[str]]],
        output: list[str],
        weights: list[str],
        cutflow: list[Cut],
    ) -> Iterator[Selected]:
        for k in range(len(cuts) + 1):
            if k:
                step, names = cuts[k - 1]
                batch.cut(step, names)
                batch.keep({n for _, later in cuts[k:] for n in later}.union(output, weights))
            cutflow[k].events += len(batch.entries)
            if len(batch.entries) == 0:
                return
            cutflow[k].weighted += batch.total(weights)
        yield batch.of(output)


class Alive:
    """The events of a batch that are alive, and the columns read so far."""

    def __init__(self, reader: Reader, columns: EntryColumns, start: int, stop: int) -> None:
        self.reader, self.columns = reader, columns
        self.source = Source(reader.path, reader.tree_name, start, stop)
        self.entries: Entries = np.arange(start, stop)
        #: Of each step that rejected any: places of its survivors among those of the one before.
        self.picks: list[Entries] = []
        #: Number of picks when a column was read, and the column.
        self.loaded: dict[str, tuple[int, Parts]] = {}

    def cut(self, step: Step, names: list[str]) -> int:
        """Apply a step, and return how many events are left."""
        batch = self.of(names)
        try:
            mask = as_mask(
                as_column(step.passes(batch), f"the mask of step {step.name!r}"),
                f"the mask of step {step.name!r}", len(batch), "events",
            )  # fmt: skip
        except Exception as error:
            error.add_note(f"in step {step.name!r} on {self.source}")
            raise
        if not mask.all():
            self.picks.append(np.flatnonzero(mask))
            self.entries = self.entries[self.picks[-1]]
        return len(self.entries)

    def of(self, names: list[str]) -> Selected:
        """These columns of the events alive, read now unless they have been."""
        missing = [name for name in names if name not in self.loaded]
        if missing:
            try:
                read = self.columns.read(missing, self.entries)
            except ReadError:
                raise
            except Exception as error:
                raise ReadError(
                    f"{self.source}: cannot be read (branches {', '.join(missing[:9])}"
                    f"{', ...' * (len(missing) > 9)}): {first_line(error)}"
                ) from error
            self.loaded |= {name: (len(self.picks), parts) for name, parts in read.items()}
        self._bubble(names)
        parts = {name: self.loaded[name][1] for name in names}
        collections, flat, of = self.reader.group(parts, self.source)
        return Selected(collections, flat, self.source, self.entries, of)

    def total(self, weights: list[str]) -> float:
        """Sum over the events alive of the product of these branches; their number if none."""
        if not weights:
            return float(len(self.entries))
        batch = self.of(weights)
        columns = [batch.event_branch(name) for name in weights]
        return float(np.prod(columns, axis=0, dtype=np.float64).sum())

    def keep(self, names: set[str]) -> None:
        """Forget columns that nobody asks for any more."""
        self.loaded = {name: part for name, part in self.loaded.items() if name in names}

    def _bubble(self, names: list[str]) -> None:
        """Cut columns down that were read for more events than are alive."""
        now = len(self.picks)
        oldest = min((self.loaded[name][0] for name in names), default=now)
        # From the last pick up, so that one composition serves all columns of a generation.
        index: dict[int, Entries] = {}
        for generation in range(now - 1, oldest - 1, -1):
            pick = self.picks[generation]
            index[generation] = pick[index[generation + 1]] if index else pick
        shrunk: dict[int, Offsets] = {}  # by the identity of the offsets before
        shared: dict[str, Offsets] = {}
        for name in names:
            generation, (offsets, values) = self.loaded[name]
            if generation in index:
                events = index[generation]
                if offsets is None:
                    values = values[events]
                else:
                    if id(offsets) not in shrunk:
                        shrunk[id(offsets)] = offsets_of(offsets[events + 1] - offsets[events])
                    new = shrunk[id(offsets)]
                    values = gathered(values, offsets[events], new)
                    offsets = new
            if offsets is not None:
                # One array for a collection: comparing them again and again takes time.
                known = shared.setdefault(self.reader.place(name)[0], offsets)
                if known is not offsets and np.array_equal(known, offsets):
                    offsets = known
            self.loaded[name] = now, (offsets, values)
