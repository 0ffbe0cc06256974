"""One ROOT file: its tree, its branches, and its events as batches."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from fastjag.core.arrays import Array
from fastjag.core.checks import first_line, n_bytes
from fastjag.io import gpu_batches, gpu_columns, rntuple, transport, trees
from fastjag.io.baskets import Buffers, Stored
from fastjag.io.batches import Batch, Place, Source
from fastjag.io.branch_columns import BranchColumns
from fastjag.io.branch_columns import column_of as column_kind
from fastjag.io.branches import (
    Branch,
    LeftOut,
    Names,
    Parts,
    Unfit,
    column_of,
    flat_name,
    tree_branches,
)
from fastjag.io.errors import ReadError, ServerError
from fastjag.io.fields import fields
from fastjag.io.groups import Groups
from fastjag.io.page_columns import PageColumns, range_of
from fastjag.io.pages import Paged
from fastjag.io.sources import Access, Bytes, open_source
from fastjag.io.twins import Lengths, Twins
from fastjag.jagged import Jagged
from fastjag.jagged.columns import Column
from fastjag.jagged.shapes import scaled
from fastjag.kernels.threads import get_num_threads
from fastjag.schemas import NANOAOD, SCHEMAS, Schema


class Reader:
    """One open file: resolves tree, schema and branches, then reads ranges of entries."""

    def __init__(
        self, path: str, tree: str | None, schema: Schema | None, access: Access | None = None,
        buffers: Buffers | None = None,
    ) -> None:  # fmt: skip
        self.path = path
        self._far, self.file = trees.open_root(path, access)
        try:
            self.tree_name, key = trees.find_tree(self.file, path, tree, schema)
            by_tree = {s.tree: s for s in SCHEMAS}
            self.schema = schema or by_tree.get(self.tree_name, NANOAOD)
            self.tree = trees.open_tree(self.file, f"{path}:{self.tree_name}", key)
            self.rntuple = trees.is_rntuple(self.tree)
            if self.rntuple:
                clusters = rntuple.check_envelopes(self.tree, f"{path}:{self.tree_name}")
                branches, self.n_entries = fields(self.tree, clusters), clusters.firsts[-1]
            else:
                branches, self.n_entries = tree_branches(self.tree), int(self.tree.num_entries)
            #: By the names that batches use.
            self.names = Names(branches, self.schema.public)
            self.stored: Mapping[str, Branch] = self.names.by_name
            #: What patterns would have taken if arrays could hold it.
            self.left_out: list[LeftOut] = []
            self._twins = Twins()
            self._buffers = buffers or Buffers()
            self.groups = Groups(
                self.stored, self.schema.split, self.schema.one_length, self._lengths
            )
        except BaseException as error:
            self.file.close()
            if isinstance(error, ReadError) or not isinstance(error, Exception):
                raise
            raise trees.no_tree(error, path, tree) from error

    def close(self) -> None:
        """Close the file, of which nothing can be read any more."""
        trees.release(self.file, self.tree)
        vars(self.groups).clear()  # they know this reader

    def branches(self, columns: Sequence[str] | None) -> list[str]:
        """Names of the branches asked for; patterns take what arrays can hold.

        The rest of what they match goes to ``left_out``. Only what is no name is a pattern.
        """
        chosen: dict[str, None] = {}
        left: list[Branch] = []
        for name in ["*"] if columns is None else columns:
            branch = self.names.find(name)
            if branch is not None:
                if isinstance(branch.kind, Unfit):
                    raise ReadError(
                        f"{self.path}:{self.tree_name}: branch {name!r} cannot be read: "
                        f"{branch.kind}; accepted are numbers, text and lists of numbers"
                    )
                chosen[name] = None
                continue
            matches = self.names.matching(name)
            if not matches:
                raise ReadError(f"{self.path}:{self.tree_name}: {self.names.unknown(name)}")
            unfit = {n: b for n, b in matches.items() if isinstance(b.kind, Unfit)}
            chosen |= dict.fromkeys(known for known in matches if known not in unfit)
            left += unfit.values()
        left_out = self._leave_out(left)
        if not chosen:
            reasons = "; ".join(f"{b.branch}: {b.reason}" for b in left_out[:9])
            raise ReadError(
                f"{self.path}:{self.tree_name}: no branch of numbers matches"
                + (f" ({reasons})" if reasons else "")
            )
        return list(chosen)

    def optional(self, names: Iterable[str], others: Iterable[str]) -> list[str]:
        """Those of these branches that are there, can be read, and are not among the others."""
        known = {self.branch(name) for name in others}
        there = {name: branch for name in names if (branch := self.names.find(name)) is not None}
        self._leave_out(branch for branch in there.values() if isinstance(branch.kind, Unfit))
        return [n for n, b in there.items() if not isinstance(b.kind, Unfit) and b not in known]

    def _leave_out(self, branches: Iterable[Branch]) -> list[LeftOut]:
        listed = [LeftOut(self.path, branch.path, str(branch.kind)) for branch in branches]
        self.left_out += [b for b in dict.fromkeys(listed) if b not in self.left_out]
        return listed

    def branch(self, name: str) -> Branch:
        """By a name that ``branches`` gave."""
        branch = self.names.find(name)
        assert branch is not None, name
        return branch

    def place(self, name: str) -> Place:
        """(collection, column) of a list branch: the same in every batch, whatever else is read."""
        return self.groups.place(self.branch(name).name)

    def entries_per_step(self, names: Sequence[str], step: int | str) -> int:
        if isinstance(step, int):
            return step
        budget = n_bytes(step)
        per_event = self.stored_bytes(names) / max(1, self.n_entries)
        if per_event == 0:  # not every writer records sizes: look at the first events instead
            n = min(1000, self.n_entries)
            with closing(self.batches(names, n)) as batches:
                per_event = next(batches).nbytes / n
        return max(1, int(budget / max(1.0, per_event)))

    def stored_bytes(self, names: Sequence[str]) -> int:
        """Of these branches, decompressed; 0 where the writer did not record it."""
        if self.rntuple:
            return sum(self.branch(name).stored.nbytes for name in names)
        sizes = [getattr(self.branch(n).stored, "uncompressed_bytes", 0) for n in names]
        return sum(sizes) if all(sizes) else 0

    def batches(
        self, names: Sequence[str], step: int, start: int = 0, stop: int | None = None
    ) -> Generator[Batch]:
        """Batches of a range in order; baskets that two of them share are decompressed once."""
        stop = self.n_entries if stop is None else stop
        return self.between(names, [*range(start, stop, step), stop])

    def between(
        self, names: Sequence[str], edges: Sequence[int], threads: int | None = None,
        for_gpu: bool = False,
    ) -> Generator[Batch]:  # fmt: skip
        """As ``batches``, from each of these entries to the next; for a GPU to decode, or whole."""
        make: Any = partial(gpu_batches.waiting, self) if for_gpu else self.batch
        start, stop = edges[0], edges[:2][-1]
        try:
            with closing(self._parts(names, edges, threads or get_num_threads(), for_gpu)) as parts:
                for start, stop in pairwise(edges):
                    source = Source(self.path, self.tree_name, start, stop)
                    yield make(next(parts), source)
        except (ReadError, GeneratorExit):
            raise
        except Exception as error:
            failure = self._failure(error, start, names)
            if not isinstance(failure, ServerError):
                for name in names:  # uproot does not say which it was
                    if self._own(self.branch(name)) is None:
                        self.entries(name, start, stop)
            raise failure from error

    def _failure(self, error: Exception, start: int, names: Sequence[str]) -> Exception:
        return transport.explain(error, ReadError(
            f"{self.path}:{self.tree_name}: entries from {start} cannot be read "
            f"(branches {', '.join(names[:9])}{', ...' * (len(names) > 9)}): {first_line(error)}"
        ))  # fmt: skip

    def entries(
        self, name: str, start: int, stop: int, columns: PageColumns | None = None
    ) -> Parts:
        """Entries of one branch, not yet in GeV; a ReadError names it.

        ``columns`` are those of this branch of an RNTuple, which know the pages of the last call.
        """
        branch = self.branch(name)
        try:
            if columns is not None:
                return columns.read(start, stop)[0]
            array = branch.stored.array(entry_start=start, entry_stop=stop, library="ak")
            return column_of(array, branch, name)
        except Exception as error:
            raise self._failure(error, start, [name]) from error

    def _parts(
        self, names: Sequence[str], edges: Sequence[int], threads: int, for_gpu: bool = False
    ) -> Generator[dict[str, Parts]]:
        """The columns from each of these entries to the next."""
        branches = {name: self.branch(name) for name in names}
        with ExitStack() as stack:
            for name, branch in branches.items() if self.rntuple else ():
                if branch.is_list:  # columns that are compared for it are read once
                    self.place(name)
            own = {name: self._own(branch) for name, branch in branches.items()}
            known = {name: stored for name, stored in own.items() if stored}
            rest = {name: branch for name, branch in branches.items() if name not in known}
            if known:
                columns = stack.enter_context(
                    self._columns(list(known.values()), threads, edges[0], edges[-1], for_gpu)
                )
            foreign = [stack.enter_context(closing(layer)) for layer in self._foreign(rest, edges)]
            for start, stop in pairwise(edges):
                parts: dict[str, Parts] = {}
                if known:
                    read = columns.read(start, stop)
                    parts |= zip(known, read, strict=True)
                for layer in foreign:
                    parts |= next(layer, {})
                if gone := [name for name in names if name not in parts]:
                    raise ValueError(f"{gone[0]} ends there, the tree at {self.n_entries}")
                yield {name: parts[name] for name in names}

    def announce(self, names: Sequence[str], start: int, stop: int) -> None:
        """Begin to fetch the first of what ``batches`` will read of a file on a server."""
        for name in names:
            if self.branch(name).is_list:
                self.place(name)  # which may need lengths of lists
        own = (self._own(self.branch(name)) for name in names)
        with self._columns([stored for stored in own if stored], 1, start, stop):
            pass

    @contextmanager
    def _columns(
        self, branches: Sequence[Any], threads: int, start: int = 0, stop: int | None = None,
        for_gpu: bool = False,
    ) -> Iterator[BranchColumns | PageColumns]:  # fmt: skip
        kind: Any = PageColumns if self.rntuple else BranchColumns
        more: tuple[Any, ...] = (range_of if self.rntuple else column_kind, self._buffers)
        if for_gpu:
            more = (
                gpu_columns.page_range(branches) if self.rntuple else gpu_columns.branch_column,
            )
        with (
            self.bytes() as source,
            closing(kind(source, branches, threads, start, stop, *more)) as columns,
        ):
            yield columns

    @contextmanager
    def bytes(self) -> Iterator[Bytes]:
        """Those of the file; a remote one has one connection for all who read."""
        if self._far is not None:
            yield self._far
            return
        with closing(open_source(self.path)) as source:
            trees.check_same(self.path, self.file.file.uuid, source)
            yield source

    def _foreign(
        self, branches: Mapping[str, Branch], edges: Sequence[int]
    ) -> list[Generator[dict[str, Parts]]]:
        """Columns that uproot reads, in as few passes as there are namesakes."""
        layers: list[dict[str, Any]] = []  # uproot's object by the name of its result
        for branch in branches.values():
            stored = branch.stored
            if not any(layer.get(stored.name) is stored for layer in layers):
                free = next((layer for layer in layers if stored.name not in layer), None)
                if free is None:
                    layers.append(free := {})
                free[stored.name] = stored
        return [self._layer(layer, branches, edges) for layer in layers]

    def _layer(
        self, layer: Mapping[str, Any], branches: Mapping[str, Branch], edges: Sequence[int]
    ) -> Generator[dict[str, Parts]]:
        own = {
            name: branch
            for name, branch in branches.items()
            if layer.get(branch.stored.name) is branch.stored
        }
        for arrays in trees.with_branches(self.tree, layer, edges):
            parts = {}
            for name, branch in own.items():
                try:
                    parts[name] = column_of(arrays[branch.stored.name], branch, name)
                except TypeError as error:
                    raise ReadError(f"{self.path}:{self.tree_name}: {error}") from None
            yield parts

    def stored_branch(self, column: Branch) -> Stored | None:
        """Where a branch of numbers or of lists of them lies; None for all other kinds.

        Lists have a counter, or are a std::vector.
        """
        if self.rntuple or (column.baskets is not None and column.baskets.nested):
            return None
        return column.baskets

    def _own(self, column: Branch) -> Stored | Paged | None:
        """Where a branch lies that is read without uproot."""
        if not self.rntuple:
            return column.baskets
        paged: Paged = column.stored
        return self._twins.merged(paged)

    def separate(self, names: Sequence[str]) -> bool:
        """Whether several threads can read these branches at once; uproot's they cannot."""
        return all(self._own(self.branch(name)) is not None for name in names)

    def _lengths(self, branch: Branch) -> Hashable:
        """Of the lists of one branch in all events: a hash, as there may be billions."""
        if self.rntuple:
            with self.bytes() as source:
                column = self._twins.first_of(branch.stored.levels[0], source)
            return Lengths(column, partial(self._digest, branch))
        return self._digest(branch)

    def _digest(self, branch: Branch) -> Hashable:
        digest = hashlib.blake2b(digest_size=16)
        stored = self._own(branch)
        lengths = stored.counts if isinstance(stored, Paged) else stored and stored.counter
        if lengths is not None:  # the values nobody needs
            with self._columns([lengths], 1) as columns:
                for start in range(0, self.n_entries, 1_000_000):
                    ((_, counts),) = columns.read(start, min(start + 1_000_000, self.n_entries))
                    digest.update(counts.astype(np.int64).tobytes())
            return digest.digest()
        size = self.stored_bytes([branch.name])
        step = int(max(1, 32e6 * self.n_entries // size)) if size else 20_000
        assert not isinstance(stored, Paged)
        for offsets in self._offsets(branch, stored, step):
            digest.update(np.diff(offsets).astype(np.int64).tobytes())
        return digest.digest()

    def _offsets(self, branch: Branch, stored: Stored | None, step: int) -> Iterator[Any]:
        """Of all lists of a branch, ``step`` entries at a time."""
        ranges = [(i, min(i + step, self.n_entries)) for i in range(0, self.n_entries, step)]
        if stored is not None:
            with self._columns([stored], 1) as columns:
                yield from (columns.read(*some)[0][0] for some in ranges)
            return
        for start, stop in ranges:
            yield self.entries(branch.name, start, stop)[0]

    def batch(self, arrays: Mapping[str, Parts], source: Source) -> Batch:
        parts: dict[str, Parts] = {}
        for name, (offsets, values) in arrays.items():
            n = len(values if offsets is None else offsets[1:])
            if n != source.stop - source.start:
                raise ReadError(f"{source}: branch {name!r} has {n} entries there")
            parts[name] = offsets, self.to_gev(name, values)
        collections, flat, names = self.group(parts, source)
        return Batch(collections, flat, source, names)

    def to_gev(self, name: str, values: Column) -> Column:
        if (factor := self.schema.scale(self.branch(name).name)) == 1.0:
            return values
        return scaled(values, factor)

    def group(
        self, parts: Mapping[str, Parts], source: Source
    ) -> tuple[dict[str, Jagged], dict[str, Array], dict[Place, str]]:
        """Collections, the branches with one number per event, and whose columns are which."""
        flat: dict[str, Array] = {}
        groups: dict[str, tuple[Array, dict[str, Column], str]] = {}
        names: dict[Place, str] = {}
        for name, (offsets, values) in parts.items():
            if offsets is None:
                flat[name] = values
                continue
            collection, column = self.place(name)
            own = self.branch(name).name
            names[collection, column] = name if name == flat_name(own) else own
            known, columns, first = groups.setdefault(collection, (offsets, {}, name))
            columns[column] = values
            if known is not offsets and not np.array_equal(known, offsets):
                event = int((np.diff(known) != np.diff(offsets)).argmax())
                raise ReadError(
                    f"{source}: {first!r} and {name!r} have different lengths in event {event}, "
                    f"which lists of {collection} in {self.schema.name} files never have: the file "
                    "is damaged, or of another format (schema=fastjag.schemas.NANOAOD reads any)"
                )
        collections = {
            name: Jagged(offsets, columns) for name, (offsets, columns, _) in groups.items()
        }
        return collections, flat, names
