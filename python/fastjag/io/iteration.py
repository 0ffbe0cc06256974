"""Reading many ROOT files in batches."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from copy import copy
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from fastjag.core.ahead import copied_ahead
from fastjag.core.checks import first_line, n_bytes, needs, one_of
from fastjag.core.devices import cupy
from fastjag.io.batches import Batch
from fastjag.io.branches import LeftOut
from fastjag.io.exclusive import Exclusive
from fastjag.io.files import Files, ReadError, find_files
from fastjag.io.friends import Befriended
from fastjag.io.gpu_batches import Waiting
from fastjag.io.gpu_blocks import has_nvcomp
from fastjag.io.ranges import Range, Skipped
from fastjag.io.reader import Reader
from fastjag.io.readers import AHEAD, Opened, Readers, changes, check_range
from fastjag.io.sources import Access
from fastjag.io.transport import explain
from fastjag.kernels import cuda_module
from fastjag.reporting.progress import progress_bar
from fastjag.schemas import Schema

_OPEN = 8  # trees of ranges that stay open


@contextmanager
def _closed_at_rest(batches: Generator[Batch]) -> Generator[Generator[Batch]]:
    """Closed when no thread runs it: an executor does not wait for a thread in whose start a signal came."""
    try:
        yield batches
    finally:
        while True:
            try:
                batches.close()
                break
            except ValueError as error:
                if str(error) != "generator already executing":
                    raise
            time.sleep(0.005)


@dataclass
class Batches:
    """The iterator that :func:`iterate` returns.

    ``skipped`` fills up as files are skipped, ``left_out`` as files are opened, with the branches
    that ``columns`` matches but arrays cannot hold. Several threads may ask for batches: each goes
    to one of them. In a process that was forked after the first batch, it is a RuntimeError.
    """

    files: list[tuple[str, str | None]]
    columns: list[str] | None
    step: int | str
    schema: Schema | None
    on_error: str
    prefetch: bool
    progress: bool | None
    device: str = "cpu"
    optional: tuple[str, ...] = ()
    access: Access = field(default_factory=Access, repr=False)
    ranges: tuple[Range, ...] | None = None
    friends: dict[tuple[str, str | None], list[tuple[str, str | None]]] = field(
        default_factory=dict
    )
    skipped: list[Skipped] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    n_events: int = 0
    _reported: set[LeftOut] = field(default_factory=set, repr=False, compare=False)
    _iterator: Generator[Batch] | None = None
    _turn: Exclusive = field(
        default_factory=lambda: Exclusive("these batches"), repr=False, compare=False
    )

    def __iter__(self) -> Batches:
        return self

    def __next__(self) -> Batch:
        with self._turn:
            batch = next(self._start())
            self.n_events += len(batch)
        return batch

    def close(self) -> None:
        """Stop reading: the file is closed and the thread ends. Happens by itself at the end."""
        if not self._turn.elsewhere():
            with self._turn:
                self._start().close()

    def _start(self) -> Generator[Batch]:
        if self._iterator is None:
            # Of a copy: in a cycle with this object, it would outlive a loop that is left early.
            itself = copy(self)
            self._iterator = itself._run() if self.device == "cpu" else itself._on_gpu()
        return self._iterator

    def _on_gpu(self) -> Generator[Batch]:
        """Copied to the GPU ahead; what waits for it is decompressed and decoded there."""
        with ExitStack() as stack:
            batches = stack.enter_context(closing(self._run()))
            there = stack.enter_context(closing(copied_ahead(batches, _moved, self._decoded)))
            yield from (batch for batch in there if batch is not None)

    def _decoded(self, batch: Batch | Waiting) -> Batch | None:
        """The batch on the GPU; None where it is damaged, and left out."""
        if isinstance(batch, Batch):
            return batch
        try:
            return batch.decoded()
        except ValueError as error:
            source = batch.source
            failure = ReadError(
                f"{source.file}:{source.tree}: entries {source.start} to {source.stop} cannot be read: {error}"
            )
            if self.on_error == "raise":
                raise failure from error
            self.skipped.append(Skipped(source.file, len(batch), str(failure)))
            return None

    def _run(self) -> Generator[Batch]:
        with ExitStack() as stack:
            advance = stack.enter_context(self._bar())
            batches = stack.enter_context(_closed_at_rest(self._read_files(advance)))
            if not self.prefetch:
                yield from batches
                return
            # One batch ahead: kernels release the GIL, as decompression does.
            worker = stack.enter_context(ThreadPoolExecutor(1, "fastjag-read"))
            ahead: Future[Batch | None] = worker.submit(next, batches, None)
            while (batch := ahead.result()) is not None:
                ahead = worker.submit(next, batches, None)
                try:
                    yield batch
                except GeneratorExit:
                    if self._turn.elsewhere():  # files and threads are the other process's
                        stack.pop_all()
                    raise
                del batch  # the caller's reference is the last one while the next is read

    def _bar(self) -> AbstractContextManager[Callable[[float], None]]:
        if self.ranges is None:
            return progress_bar("reading files", len(self.files), self.progress)
        return progress_bar("reading ranges", len(self.ranges), self.progress)

    def _read_files(self, advance: Callable[[float], None]) -> Generator[Batch]:
        missing: ReadError | None = None  # of a tree without events
        some = False  # any tree with events
        # Ranges of a file need not follow one another.
        readers = Readers(self._reader, self._ask, 0 if self.ranges is None else _OPEN)
        trees = self.files if self.ranges is None else [(r.file, r.tree) for r in self.ranges]
        pieces = self.ranges or [None] * len(trees)
        others = deque(changes(trees) if self.prefetch else ())
        with closing(readers):
            for i, (wanted, (path, tree)) in enumerate(zip(pieces, trees, strict=True)):
                left = None if wanted is None else len(wanted)
                try:
                    opened = readers.get(path, tree)
                    if others and others[0] == i:
                        others.popleft()
                        for k in islice(others, AHEAD):
                            readers.ahead(*trees[k], pieces[k])
                    start, stop = 0, opened.reader.n_entries
                    if wanted is not None:
                        check_range(opened.reader, wanted)
                        start, stop = wanted.start, wanted.stop
                    left = total = stop - start
                    if total == 0:
                        missing = missing or opened.missing
                        advance(1)
                        continue
                    some = True
                    if opened.missing is not None:
                        raise opened.missing
                    opened.step = opened.step or opened.reader.entries_per_step(
                        opened.names, self.step
                    )
                    for batch in self._batches(opened, start, stop):
                        left = stop - batch.source.stop
                        if wanted is not None:
                            batch.source = replace(batch.source, dataset=wanted.dataset)
                        yield batch
                        advance(len(batch) / total)
                except Exception as error:  # a damaged file can make uproot raise anything
                    readers.drop(path, tree)
                    error = explain(error)
                    if not isinstance(error, OSError):
                        error = ReadError(f"{path}: cannot be read: {first_line(error)}")
                    if self.on_error == "raise":
                        raise error from error.__cause__
                    self.skipped.append(Skipped(path, left, str(error)))
                finally:
                    readers.trim()
        if missing is not None and not some and self.on_error == "raise":
            raise missing

    def _batches(self, opened: Opened, start: int, stop: int) -> Generator[Any]:
        reader, step = opened.reader, opened.step
        assert step is not None
        if self.device == "cuda" and has_nvcomp() and isinstance(reader, Reader):
            return reader.between(opened.names, [*range(start, stop, step), stop], for_gpu=True)
        return reader.batches(opened.names, step, start, stop)

    def _ask(self, reader: Reader | Befriended, listed: bool) -> Opened:
        """A tree, and the branches of it that are asked for; those left out are ``listed`` once."""
        opened = Opened(reader, [])
        try:
            opened.names = reader.branches(self.columns)
            opened.names += reader.optional(self.optional, opened.names)
        except ReadError as error:
            opened.missing = error
        except BaseException:
            if listed:
                reader.close()
            raise
        finally:
            if listed:
                self.left_out += [b for b in reader.left_out if b not in self._reported]
                self._reported.update(reader.left_out)  # a tree may be opened again
        return opened

    def _reader(self, path: str, tree: str | None) -> Reader | Befriended:
        readers = [Reader(path, tree, self.schema, self.access)]
        try:
            for friend in self.friends.get((path, tree), ()):
                readers += [Reader(*friend, self.schema, self.access)]
            return Befriended(readers[0], readers[1:]) if self.friends else readers[0]
        except BaseException:
            for reader in readers:
                reader.close()
            raise


def iterate(
    files: Files | None = None,
    columns: str | Iterable[str] | None = None,
    *,
    step: int | str = "100 MB",
    schema: Schema | None = None,
    on_error: str = "raise",
    prefetch: bool = True,
    progress: bool | None = None,
    optional: Iterable[str] = (),
    storage_options: Mapping[str, Any] | None = None,
    cache: str | os.PathLike[str] | None = None,
    ranges: Range | Iterable[Range] | None = None,
    friends: Files | Iterable[Files] | None = None,
    device: str = "cpu",
) -> Batches:
    """Read ROOT files batch by batch, TTree or RNTuple, with bounded memory.

    Parameters
    ----------
    files
        A path, glob pattern or directory, or several; ``file.root:tree``, pairs (file, tree) in a
        list, or a mapping of files to trees names the tree (with ``;cycle`` where an older one is
        meant).
        URLs (``root://``, ``https://``, ``s3://``, others by fsspec), with ``*`` in the path for
        ``root://`` and ``s3://``; several of one file, joined by ``|``, are tried in their order.
    columns
        Branch names in NanoAOD form, their paths in the tree (``e1/x``), or shell patterns
        (``"Muon_*"``); what is the name of a branch is no pattern. The last part of a path is
        enough where no other branch has it. Default: all branches. Default and patterns take what
        arrays can hold, and list the rest in ``.left_out`` of the returned iterator, each with its
        reason; a name that cannot be read is an error.
    step
        Events per batch, or its size in memory, such as "100 MB". Peak memory is about three
        steps (one in use, one being read, decompression), however many files there are.
    schema
        Names and units of the format, from ``fastjag.schemas``; by default that of the tree's
        name, and NanoAOD otherwise.
    on_error
        "raise", or "skip": leave out what cannot be read and list it in ``.skipped`` of the
        returned iterator.
    prefetch
        Read the next batch in a thread while this one is used.
    progress
        Show a bar; default: if stderr is a terminal.
    optional
        Branch names that some files may not have: their batches then come without.
    storage_options
        What servers are told: ``token``, ``headers`` (https), ``token`` (root), ``key``, ``secret``,
        ``token``, ``anon``, ``profile``, ``region``, ``endpoint_url`` (s3), those of fsspec for all
        else. Default: what the environment has (docs/reading.md).
    cache
        A folder that keeps what was read of remote files, for the next time; default:
        FASTJAG_CACHE, else none.
    ranges
        Entries to read, in place of ``files``: a :class:`fastjag.Range` or several, in any order.
        Of a tree only these entries are read; a batch never crosses a range.
    friends
        Trees with more branches of the same entries, as ``TTree::AddFriend`` has them: ``"scores.root:Scores"``,
        or a list with as many as there are friends, each what ``files`` may be. A friend has one file for
        each of ``files``, in the same order (of ``ranges``: of each file in them, in the order in which they first
        come), and as many entries in each. Lists join the collections of
        their names (``Jet_score`` is ``batch.Jet["score"]``). A branch that two trees have must be the same
        in both; by its name it is that of the first tree.
    device
        "cuda" gives batches on CuPy's current GPU: the next one is copied while this one is used. Where nvCOMP is
        installed (extra ``nvcomp``), numbers go there as they are packed, and are decompressed and decoded there.

    Yields
    ------
    Batch
        In the order of files and events; a batch never crosses files. Branches with one list of
        numbers per event are columns of collections, named by their prefix: ``Muon_pt`` is
        ``batch.Muon["pt"]``. Which are one collection is decided once for the tree and all of its
        events, by their counter or their lengths (docs/reading.md); it does not depend on
        ``columns`` or ``step``. Others are arrays of shape (n_events,), or (n_events, 3) for
        ``x[3]``. Energies are in GeV in all branches of formats that ``fastjag.schemas`` knows;
        all else is as stored.

    Raises
    ------
    FileNotFoundError, ReadError
        Naming file, tree and branch (with near misses) or the entries that cannot be read.
    """
    if (files is None) == (ranges is None):
        raise TypeError("give files or ranges" + ", not both" * (files is not None))
    one_of("on_error", on_error, ("raise", "skip"))
    if one_of("device", device, ("cpu", "cuda")) == "cuda":
        cuda_module()  # says what is missing
        cupy()
    if isinstance(step, str):
        n_bytes(step)
    elif isinstance(step, bool) or int(step) != step or step < 1:
        raise ValueError(f"step must be a positive number of events or a size, got {step!r}")
    step = step if isinstance(step, str) else int(step)
    if schema is not None and not isinstance(schema, Schema):
        raise TypeError(f"schema must be a fastjag.schemas.Schema, got {schema!r}")
    needs("uproot", "io")
    needs("awkward", "io")
    names = [columns] if isinstance(columns, str) else None if columns is None else list(columns)
    access = Access.of(storage_options, cache)
    wanted = None if ranges is None else _as_ranges(ranges)
    found = find_files(files, access) if files is not None else _files_of(wanted or ())
    return Batches(
        found, names, step, schema, on_error, prefetch, progress, device, tuple(dict.fromkeys(optional)),
        access, wanted, _friends(friends, found, access),
    )  # fmt: skip


def _moved(batch: Batch | Waiting) -> Batch | Waiting:
    return batch.to("cuda") if isinstance(batch, Batch) else batch.moved()


def _friends(
    friends: Any, files: Sequence[tuple[str, str | None]], access: Access
) -> dict[tuple[str, str | None], list[tuple[str, str | None]]]:
    """The friends of each file."""
    if friends is None:
        return {}
    several = friends if isinstance(friends, (list, tuple)) else [friends]
    together: dict[tuple[str, str | None], list[tuple[str, str | None]]] = {f: [] for f in files}
    for friend in several:
        found = find_files(friend, access)
        if len(found) != len(files):
            listed = ", ".join(path for path, _ in found[:3])
            raise ValueError(
                f"there are {len(files)} files and {len(found)} of a friend ({listed}"
                f"{', ...' * (len(found) > 3)}): a friend has one for each, in the same order"
            )
        for own, other in zip(files, found, strict=True):
            together[own].append(other)
    return together


def _as_ranges(ranges: Range | Iterable[Range]) -> tuple[Range, ...]:
    several = (ranges,) if isinstance(ranges, Range) else tuple(ranges)
    for item in several:
        if not isinstance(item, Range):
            raise TypeError(f"ranges must be fastjag.Range, got {item!r}")
    return several


def _files_of(ranges: Iterable[Range]) -> list[tuple[str, str | None]]:
    return list(dict.fromkeys((r.file, r.tree) for r in ranges))
