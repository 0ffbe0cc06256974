"""Reading ROOT files in batches: collections as Jagged, event branches as arrays."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from copy import copy
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np

from fastjag.arrays import Array, near_misses, one_of
from fastjag.files import Files, ReadError, find_files, first_line
from fastjag.interchange import awkward_column
from fastjag.jagged import Jagged
from fastjag.progress import progress_bar
from fastjag.schemas import NANOAOD, SCHEMAS, Schema, is_numeric


@dataclass(frozen=True)
class Source:
    """Where a batch came from: entries ``start`` to ``stop`` of a tree in a file."""

    file: str
    tree: str
    start: int
    stop: int

    def __str__(self) -> str:
        return f"{self.file}:{self.tree}[{self.start}:{self.stop}]"


@dataclass(frozen=True)
class Skipped:
    """What ``on_error="skip"`` left out, and why."""

    file: str
    events: int | None
    reason: str


class Batch:
    """Some events of one file: ``batch.Muon`` is a Jagged, ``batch["MET_pt"]`` an array."""

    def __init__(self, collections: dict[str, Jagged], flat: dict[str, Array], source: Source):
        self.collections = collections
        self.flat = flat
        self.source = source

    def __len__(self) -> int:
        return self.source.stop - self.source.start

    @property
    def nbytes(self) -> int:
        """Memory of the arrays."""
        groups = self.collections.values()
        arrays = [*self.flat.values(), *(j.offsets for j in groups)]
        return sum(a.nbytes for a in [*arrays, *(j[c] for j in groups for c in j.columns)])

    def __getattr__(self, name: str) -> Jagged:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self.collections[name]
        except KeyError:
            raise AttributeError(
                f"no collection {name!r} among the branches read: "
                f"{near_misses(name, self.collections)}"
            ) from None

    def __getitem__(self, name: str) -> Array:
        if name in self.flat:
            return self.flat[name]
        for collection, particles in self.collections.items():
            column = name[len(collection) + 1 :] or name
            if name.startswith(collection) and column in particles.columns:
                raise KeyError(f"{name!r} is jagged: use batch.{collection}[{column!r}]")
        raise KeyError(f"no event branch {name!r} was read: {near_misses(name, self.flat)}")

    def __repr__(self) -> str:
        parts = [f"{n} ({j.n_particles}: {', '.join(j.columns)})"
                 for n, j in self.collections.items()] + list(self.flat)  # fmt: skip
        return f"<Batch of {len(self)} events: {', '.join(parts)}; {self.source}>"


# ---- one file ---------------------------------------------------------------------------------


class _Reader:
    """One open file: resolves tree, schema and branches, then reads ranges of entries."""

    def __init__(self, path: str, tree: str | None, schema: Schema | None) -> None:
        import uproot

        self.path = path
        if "://" not in path and not Path(path).is_file():
            raise FileNotFoundError(f"{path}: no such file")
        try:
            # No caches: what was read must be free to go when its batch goes.
            self.file = uproot.open(path, object_cache=None, array_cache=None)
        except Exception as error:
            raise ReadError(f"{path}: not a readable ROOT file: {first_line(error)}") from error
        try:
            self.tree_name = self._find_tree(tree, schema)
            by_tree = {s.tree: s for s in SCHEMAS}
            self.schema = schema or by_tree.get(self.tree_name, NANOAOD)
            self.tree = self.file[self.tree_name]
            # The subfields of an RNTuple are parts of its fields, a TTree's have their own data.
            nested = not isinstance(self.tree, uproot.behaviors.RNTuple.HasFields)
            names = self.tree.keys(recursive=nested)
            self.stored: dict[str, str] = {}
            for name in names:
                self.stored.setdefault(self.schema.public(name), name)
            self.n_entries = int(self.tree.num_entries)
        except BaseException as error:
            self.file.close()
            if isinstance(error, ReadError) or not isinstance(error, Exception):
                raise
            where = f"{path}:{tree}" if tree else path
            raise ReadError(f"{where}: no readable tree: {first_line(error)}") from error

    def _find_tree(self, tree: str | None, schema: Schema | None) -> str:
        kinds = ("TTree", "ROOT::RNTuple", "TNtuple", "TNtupleD", "ROOT::Experimental::RNTuple")
        trees: list[str] = [
            k.split(";")[0] for k, c in self.file.classnames().items() if c in kinds
        ]
        trees = list(dict.fromkeys(trees))
        if not trees:
            raise ReadError(f"{self.path}: holds no TTree or RNTuple")
        for wanted in [tree] if tree else [schema.tree] if schema else [s.tree for s in SCHEMAS]:
            if wanted in trees:
                return wanted
        if tree or schema:
            wanted = tree or (schema.tree if schema else "")
            raise ReadError(f"{self.path}: no tree {wanted!r}: {near_misses(wanted, trees)}")
        if len(trees) > 1:
            raise ReadError(f"{self.path}: name one of its trees: {', '.join(trees)}")
        return trees[0]

    def branches(self, columns: Sequence[str] | None) -> list[str]:
        """Public names of the branches asked for; patterns take what Jagged can hold."""
        columns = ["*"] if columns is None else columns
        chosen: dict[str, None] = {}
        for name in columns:
            if name in self.stored:
                chosen[name] = None
                continue
            matches = [known for known in self.stored if fnmatchcase(known, name)]
            if not matches:
                raise ReadError(
                    f"{self.path}:{self.tree_name}: no branch {name!r}: "
                    f"{near_misses(name, self.stored)}"
                )
            chosen.update(dict.fromkeys(n for n in matches if is_numeric(self._type(n))))
        if not chosen:
            raise ReadError(f"{self.path}:{self.tree_name}: no branch of numbers matches")
        return list(chosen)

    def _type(self, name: str) -> str:
        return str(getattr(self.tree[self.stored[name]], "typename", ""))

    def entries_per_step(self, names: Sequence[str], step: int | str) -> int:
        if isinstance(step, int):
            return step
        budget = _bytes(step)
        per_event = self._stored_bytes(names) / max(1, self.n_entries)
        if per_event == 0:  # not every writer records sizes: look at the first events instead
            first = Source(self.path, self.tree_name, 0, min(1000, self.n_entries))
            per_event = self._batch(self._read(names, 0, first.stop), first).nbytes / first.stop
        return max(1, int(budget / max(1.0, per_event)))

    def _stored_bytes(self, names: Sequence[str]) -> int:
        sizes = [getattr(self.tree[self.stored[n]], "uncompressed_bytes", 0) for n in names]
        return sum(sizes) if all(sizes) else 0

    def _read(self, names: Sequence[str], start: int, stop: int) -> dict[str, Any]:
        arrays = self.tree.arrays(
            filter_name=[self.stored[name] for name in names], entry_start=start, entry_stop=stop,
            library="ak", how=dict, array_cache=None,
        )  # fmt: skip
        return self._named(arrays, names)

    def _named(self, arrays: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
        """What uproot read, by public name; it leaves out the parents of nested branches."""
        found = {key.split("/")[-1]: array for key, array in arrays.items()}
        return {name: found[self.stored[name].split("/")[-1]] for name in names}

    def batches(self, names: Sequence[str], step: int) -> Iterator[Batch]:
        """Batches in order; baskets that two of them share are decompressed once."""
        stored = [self.stored[name] for name in names]
        start = 0
        try:
            for arrays in self.tree.iterate(
                filter_name=stored, step_size=step, library="ak", how=dict
            ):
                n = min(step, self.n_entries - start)
                source = Source(self.path, self.tree_name, start, start + n)
                yield self._batch(self._named(arrays, names), source)
                start += n
            if start < self.n_entries:
                raise ValueError(f"the branches end there, the tree has {self.n_entries} entries")
        except (ReadError, GeneratorExit):
            raise
        except Exception as error:
            raise ReadError(
                f"{self.path}:{self.tree_name}: entries from {start} cannot be read "
                f"(branches {', '.join(names[:9])}{', ...' * (len(names) > 9)}): "
                f"{first_line(error)}"
            ) from error

    def _batch(self, arrays: dict[str, Any], source: Source) -> Batch:
        flat: dict[str, Array] = {}
        groups: dict[str, tuple[Array, dict[str, Array], str]] = {}
        for name, array in arrays.items():
            try:
                offsets, values = awkward_column(array, name)
            except TypeError as error:
                raise ReadError(f"{source.file}:{source.tree}: {error}") from None
            n = len(values if offsets is None else offsets[1:])
            if n != source.stop - source.start:
                raise ReadError(f"{source}: branch {name!r} has {n} entries there")
            if (factor := self.schema.scale(name)) != 1.0:
                values = values * (
                    values.dtype.type(factor) if values.dtype.kind == "f" else factor
                )
            if offsets is None:
                flat[name] = values
                continue
            prefix, column = self.schema.split(name)
            known, columns, first = groups.setdefault(prefix, (offsets, {}, name))
            if not np.array_equal(known, offsets):
                event = int((np.diff(known) != np.diff(offsets)).argmax())
                raise ReadError(
                    f"{source}: {first!r} and {name!r} have different lengths in event {event}; "
                    f"a collection has one: read them in separate calls"
                )
            columns[column or name] = values
        collections = {p: Jagged(offsets, columns) for p, (offsets, columns, _) in groups.items()}
        return Batch(collections, flat, source)


def _bytes(step: str) -> int:
    match = re.fullmatch(r"\s*([0-9.]+)\s*([kKMGT]?)(i?)B\s*", step)
    if not match or float(match[1]) <= 0:
        raise ValueError(f"step must be a number of events or a size like '100 MB', got {step!r}")
    base = 1024 if match[3] else 1000
    return int(float(match[1]) * base ** " KMGT".index(match[2].upper() or " "))


# ---- many files -------------------------------------------------------------------------------


@dataclass
class Batches:
    """The iterator that :func:`iterate` returns; ``skipped`` fills up as files are skipped."""

    files: list[tuple[str, str | None]]
    columns: list[str] | None
    step: int | str
    schema: Schema | None
    on_error: str
    prefetch: bool
    progress: bool | None
    skipped: list[Skipped] = field(default_factory=list)
    n_events: int = 0
    _iterator: Generator[Batch] | None = None

    def __iter__(self) -> Batches:
        return self

    def __next__(self) -> Batch:
        batch = next(self._start())
        self.n_events += len(batch)
        return batch

    def close(self) -> None:
        """Stop reading: the file is closed and the thread ends. Happens by itself at the end."""
        self._start().close()

    def _start(self) -> Generator[Batch]:
        if self._iterator is None:
            # Of a copy: in a cycle with this object, it would outlive a loop that is left early.
            self._iterator = copy(self)._run()
        return self._iterator

    def _run(self) -> Generator[Batch]:
        with ExitStack() as stack:
            advance = stack.enter_context(
                progress_bar("reading files", len(self.files), self.progress)
            )
            batches = stack.enter_context(closing(self._read_files(advance)))
            if not self.prefetch:
                yield from batches
                return
            # One batch ahead: kernels release the GIL, as decompression does.
            worker = stack.enter_context(ThreadPoolExecutor(1, "fastjag-read"))
            ahead: Future[Batch | None] = worker.submit(next, batches, None)
            while (batch := ahead.result()) is not None:
                ahead = worker.submit(next, batches, None)
                yield batch
                del batch  # the caller's reference is the last one while the next is read

    def _read_files(self, advance: Callable[[float], None]) -> Generator[Batch]:
        for path, tree in self.files:
            done, total = 0, None
            try:
                reader = _Reader(path, tree, self.schema)
                with reader.file:
                    total = reader.n_entries
                    names = reader.branches(self.columns)
                    if total == 0:
                        advance(1)
                        continue
                    step = reader.entries_per_step(names, self.step)
                    for batch in reader.batches(names, step):
                        done = batch.source.stop
                        yield batch
                        advance(len(batch) / total)
            except Exception as error:  # a damaged file can make uproot raise anything
                if not isinstance(error, OSError):
                    error = ReadError(f"{path}: cannot be read: {first_line(error)}")
                if self.on_error == "raise":
                    raise error from error.__cause__
                left = None if total is None else total - done
                self.skipped.append(Skipped(path, left, str(error)))


def iterate(
    files: Files,
    columns: str | Iterable[str] | None = None,
    *,
    step: int | str = "100 MB",
    schema: Schema | None = None,
    on_error: str = "raise",
    prefetch: bool = True,
    progress: bool | None = None,
) -> Batches:
    """Read ROOT files batch by batch, TTree or RNTuple, with bounded memory.

    Parameters
    ----------
    files
        A path, glob pattern or directory, or several; ``file.root:tree`` names the tree. Remote
        files (``root://``, ``https://``) as uproot reads them.
    columns
        Branch names in NanoAOD form, or shell patterns (``"Muon_*"``). Default: all branches.
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

    Yields
    ------
    Batch
        In the order of files and events; a batch never crosses files. Branches with one list per
        event are grouped by their prefix: ``Muon_pt`` is ``batch.Muon["pt"]``.

    Raises
    ------
    FileNotFoundError, ReadError
        Naming file, tree and branch (with near misses) or the entries that cannot be read.
    """
    one_of("on_error", on_error, ("raise", "skip"))
    if isinstance(step, str):
        _bytes(step)
    elif isinstance(step, bool) or step < 1:
        raise ValueError(f"step must be a positive number of events or a size, got {step!r}")
    names = [columns] if isinstance(columns, str) else None if columns is None else list(columns)
    found = find_files(files)
    return Batches(found, names, step, schema, on_error, prefetch, progress)


def write_histograms(path: str | os.PathLike[str], histograms: Mapping[str, Any]) -> None:
    """Write 1-D histograms as TH1D with the edges and counts they have, flow bins included."""
    import hist
    import uproot

    with uproot.recreate(path) as file:
        for name, h in histograms.items():
            axis = h.axes[0]  # TH1D knows neither int64 nor transforms
            plain = hist.Hist(hist.axis.Variable(axis.edges, name=axis.name, label=axis.label))
            plain.view(flow=True)[...] = h.values(flow=True)
            file[name] = plain
