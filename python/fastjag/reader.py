"""One ROOT file: its tree, its branches, and its events as batches."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np

from fastjag import rntuple
from fastjag.arrays import Array, Offsets, near_misses
from fastjag.baskets import Columns, Stored
from fastjag.compression import bound_uproot
from fastjag.files import ReadError, first_line
from fastjag.interchange import awkward_column
from fastjag.jagged import Jagged
from fastjag.kernels.threads import get_num_threads
from fastjag.schemas import NANOAOD, SCHEMAS, Schema, is_numeric

#: Offsets of lists, or None for one number per event, and the values.
Parts = tuple[Offsets | None, Array]


@dataclass(frozen=True)
class Source:
    """Where a batch came from: entries ``start`` to ``stop`` of a tree in a file."""

    file: str
    tree: str
    start: int
    stop: int

    def __str__(self) -> str:
        return f"{self.file}:{self.tree}[{self.start}:{self.stop}]"


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


class Reader:
    """One open file: resolves tree, schema and branches, then reads ranges of entries."""

    def __init__(self, path: str, tree: str | None, schema: Schema | None) -> None:
        import uproot

        bound_uproot()
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
            self.tree = self._opened(self.tree_name)
            # The subfields of an RNTuple are parts of its fields, a TTree's have their own data.
            nested = not isinstance(self.tree, uproot.behaviors.RNTuple.HasFields)
            names = self.tree.keys(recursive=nested)
            self.stored: dict[str, str] = {}
            for name in names:
                self.stored.setdefault(self.schema.public(name), name)
            self.by_pattern: set[str] = set()  # branches that a pattern chose
            self.alone: set[str] = set()  # those whose lengths are not those of their prefix
            self.n_entries = int(self.tree.num_entries)
        except BaseException as error:
            self.file.close()
            if isinstance(error, ReadError) or not isinstance(error, Exception):
                raise
            where = f"{path}:{tree}" if tree else path
            raise ReadError(f"{where}: no readable tree: {first_line(error)}") from error

    def _opened(self, name: str) -> Any:
        """The tree, by uproot; an RNTuple is checked."""
        import uproot

        where = f"{self.path}:{name}"
        rntuple.refuse_old(self.file.classname_of(name), where)
        tree = self.file[name]
        is_rntuple = isinstance(tree, uproot.behaviors.RNTuple.HasFields)
        return rntuple.checked(tree, where) if is_rntuple else tree

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
            matches = [n for n in matches if is_numeric(self._type(n))]
            chosen.update(dict.fromkeys(matches))
            self.by_pattern.update(matches)
        if not chosen:
            raise ReadError(f"{self.path}:{self.tree_name}: no branch of numbers matches")
        return list(chosen)

    def _type(self, name: str) -> str:
        return str(getattr(self.tree[self.stored[name]], "typename", ""))

    def entries_per_step(self, names: Sequence[str], step: int | str) -> int:
        if isinstance(step, int):
            return step
        budget = n_bytes(step)
        per_event = self.stored_bytes(names) / max(1, self.n_entries)
        if per_event == 0:  # not every writer records sizes: look at the first events instead
            first = Source(self.path, self.tree_name, 0, min(1000, self.n_entries))
            per_event = self._batch(self._read(names, 0, first.stop), first).nbytes / first.stop
        return max(1, int(budget / max(1.0, per_event)))

    def stored_bytes(self, names: Sequence[str]) -> int:
        """Of these branches, decompressed; 0 where the writer did not record it."""
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
        start = 0
        try:
            with closing(self._parts(names, step)) as parts:
                for columns in parts:
                    n = min(step, self.n_entries - start)
                    source = Source(self.path, self.tree_name, start, start + n)
                    yield self._batch(columns, source)
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

    def _parts(self, names: Sequence[str], step: int) -> Generator[dict[str, Any]]:
        """The columns of ``step`` entries after the other."""
        branches = [self.stored_branch(self.tree[self.stored[name]]) for name in names]
        if "://" in self.path or any(b is None or b.header for b in branches):
            stored = [self.stored[name] for name in names]
            for arrays in self.tree.iterate(
                filter_name=stored, step_size=step, library="ak", how=dict
            ):
                yield self._named(arrays, names)
            return
        known = [branch for branch in branches if branch is not None]
        with closing(Columns(self.path, known, get_num_threads())) as columns:
            for start in range(0, self.n_entries, step):
                parts = columns.read(start, min(start + step, self.n_entries))
                yield dict(zip(names, parts, strict=True))

    def stored_branch(self, branch: Any) -> Stored | None:
        """Where a branch of numbers or of lists of them lies; None for all other kinds.

        Lists have a counter, or are a std::vector.
        """
        import uproot

        if not isinstance(branch, uproot.behaviors.TBranch.TBranch):
            return None
        kind, counter, header = branch.interpretation, None, 0
        if type(kind) is uproot.interpretation.jagged.AsJagged:
            # The parts of split objects name a counter, too, which is no branch of numbers.
            counts = getattr(branch.count_branch, "interpretation", None)
            counted = type(counts) is uproot.interpretation.numerical.AsDtype
            if counted == bool(kind.header_bytes):
                return None
            counter = self.stored_branch(branch.count_branch) if counted else None
            if counted and counter is None:
                return None
            kind, header = kind.content, int(kind.header_bytes)
        if type(kind) is not uproot.interpretation.numerical.AsDtype or branch.embedded_baskets:
            return None
        if kind.from_dtype.kind not in "iufb" or kind.from_dtype.shape or kind.to_dtype.shape:
            return None
        entries = branch.entry_offsets
        seeks, sizes = (
            branch.member(name)[: len(entries) - 1].tolist()
            for name in ("fBasketSeek", "fBasketBytes")
        )
        return Stored(branch.name, kind.from_dtype, seeks, sizes, entries, counter, header)

    def _batch(self, arrays: dict[str, Any], source: Source) -> Batch:
        parts: dict[str, Parts] = {}
        for name, array in arrays.items():
            try:
                offsets, values = array if isinstance(array, tuple) else awkward_column(array, name)
            except TypeError as error:
                raise ReadError(f"{source.file}:{source.tree}: {error}") from None
            n = len(values if offsets is None else offsets[1:])
            if n != source.stop - source.start:
                raise ReadError(f"{source}: branch {name!r} has {n} entries there")
            parts[name] = offsets, self.in_gev(name, values)
        return Batch(*self.grouped(parts, source), source)

    def in_gev(self, name: str, values: Array) -> Array:
        if (factor := self.schema.scale(name)) == 1.0:
            return values
        return values * (values.dtype.type(factor) if values.dtype.kind == "f" else factor)

    def grouped(
        self, parts: Mapping[str, Parts], source: Source
    ) -> tuple[dict[str, Jagged], dict[str, Array]]:
        """Collections by prefix, and the branches with one number per event."""
        flat: dict[str, Array] = {}
        groups: dict[str, tuple[Array, dict[str, Array], str]] = {}
        for name, (offsets, values) in parts.items():
            if offsets is None:
                flat[name] = values
                continue
            prefix, column = self.schema.split(name)
            if name in self.alone:
                prefix, column = name, ""
            known, columns, first = groups.setdefault(prefix, (offsets, {}, name))
            same = known is offsets or np.array_equal(known, offsets)
            if not same and name in self.by_pattern:
                # Nobody asked for this branch by its name: it becomes a collection of its own.
                self.alone.add(name)
                groups[name] = (offsets, {name: values}, name)
                continue
            if not same:
                event = int((np.diff(known) != np.diff(offsets)).argmax())
                raise ReadError(
                    f"{source}: {first!r} and {name!r} have different lengths in event {event}; "
                    f"a collection has one: read them in separate calls"
                )
            columns[column or name] = values
        collections = {p: Jagged(offsets, columns) for p, (offsets, columns, _) in groups.items()}
        return collections, flat


def n_bytes(step: str) -> int:
    """A size such as '100 MB' in bytes."""
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([kKMGT]?)(i?)B\s*", step)
    if not match or float(match[1]) <= 0:
        raise ValueError(f"step must be a number of events or a size like '100 MB', got {step!r}")
    base = 1024 if match[3] else 1000
    return int(float(match[1]) * base ** " KMGT".index(match[2].upper() or " "))
