"""Pieces of work: entries of a tree in a file, and many of them as a fileset of coffea's form."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

from fastjag.core.checks import is_integer
from fastjag.reporting.output import write_text


@dataclass(frozen=True)
class Range:
    """Entries ``start`` to before ``stop`` of a tree in a file: one piece of work.

    ``uuid`` is that of the file when the range was made: reading another file under this name is an
    error. None: any file will do.
    """

    dataset: str
    file: str
    tree: str
    start: int
    stop: int
    uuid: str | None = None

    def __post_init__(self) -> None:
        for name in ("dataset", "file", "tree"):
            if not isinstance(value := getattr(self, name), str) or (
                not value and name != "dataset"
            ):
                raise TypeError(f"{name} of a range must be a text, got {value!r}")
        if not (is_integer(self.start) and is_integer(self.stop)):
            raise TypeError(
                f"{self.file}: entries are integers, got {self.start!r} to {self.stop!r}"
            )
        for name in ("start", "stop"):
            object.__setattr__(self, name, int(getattr(self, name)))
        if not 0 <= self.start <= self.stop:
            raise ValueError(
                f"{self.file}: a range needs 0 <= start <= stop, got {self.start} to {self.stop}"
            )

    def __len__(self) -> int:
        return self.stop - self.start

    def __bool__(self) -> bool:
        return True

    def __str__(self) -> str:
        return f"{self.file}:{self.tree}, entries {self.start} to {self.stop}"


@dataclass(frozen=True)
class File:
    """A file of a dataset, as it was when its ranges were made."""

    dataset: str
    path: str
    tree: str
    n_entries: int
    uuid: str | None = None


@dataclass(frozen=True)
class Skipped:
    """What ``on_error="skip"`` left out, and why."""

    file: str
    events: int | None
    reason: str


class Ranges(Sequence[Range]):
    """Ranges in the order in which they are to be read, their files, and what is known of datasets.

    ``files`` has files without entries, too. A slice has those of its ranges only. ``skipped`` are files that
    could not be opened (:func:`fastjag.ranges` with ``on_error="skip"``).
    """

    def __init__(
        self,
        ranges: Iterable[Range],
        files: Iterable[File] = (),
        metadata: Mapping[str, Mapping[str, Any]] | None = None,
        skipped: Iterable[Skipped] = (),
    ) -> None:
        self.skipped = tuple(skipped)
        self._ranges = tuple(ranges)
        for item in self._ranges:
            if not isinstance(item, Range):
                raise TypeError(f"ranges must be fastjag.Range, got {item!r}")
        known = {(f.dataset, f.path, f.tree): f for f in files}
        for r in self._ranges:
            key = r.dataset, r.file, r.tree
            file = known.setdefault(key, File(r.dataset, r.file, r.tree, r.stop, r.uuid))
            if file.n_entries < r.stop:
                known[key] = replace(file, n_entries=r.stop)
        self.files = tuple(known.values())
        datasets = dict.fromkeys(file.dataset for file in self.files)
        #: What the fileset says of each dataset.
        self.metadata = {name: dict((metadata or {}).get(name) or {}) for name in datasets}

    @property
    def n_events(self) -> int:
        """In all ranges."""
        return sum(map(len, self._ranges))

    @property
    def datasets(self) -> list[str]:
        return list(self.metadata)

    def to_fileset(self) -> dict[str, Any]:
        """As coffea has it after its ``preprocess``, with ``steps``, ``num_entries`` and ``uuid``.

        ``{dataset: {"files": {path: {"object_path": tree, ...}}, "metadata": {...}}}``. Steps are in the
        order of the ranges of a file; a file without any has the step [0, 0]. Raises ValueError where
        a dataset has two trees of one file, which this form cannot say.
        """
        steps: dict[tuple[str, str, str], list[list[int]]] = {}
        for r in self._ranges:
            steps.setdefault((r.dataset, r.file, r.tree), []).append([r.start, r.stop])
        fileset: dict[str, Any] = {
            name: {"files": {}, "metadata": dict(known)} for name, known in self.metadata.items()
        }
        for file in self.files:
            listed = fileset[file.dataset]["files"]
            if file.path in listed:
                raise ValueError(
                    f"{file.path}: a fileset cannot have its trees {listed[file.path]['object_path']!r} "
                    f"and {file.tree!r} in one dataset ({file.dataset}); name a dataset for each"
                )
            listed[file.path] = {
                "object_path": file.tree,
                "steps": steps.get((file.dataset, file.path, file.tree), [[0, 0]]),
                "num_entries": file.n_entries,
                "uuid": file.uuid,
            }
        return fileset

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the fileset as JSON, which ``fastjag.ranges(path)`` and coffea read."""
        write_text(path, json.dumps(self.to_fileset(), indent=1) + "\n")

    def __len__(self) -> int:
        return len(self._ranges)

    def __iter__(self) -> Iterator[Range]:
        return iter(self._ranges)

    @overload
    def __getitem__(self, key: int) -> Range: ...

    @overload
    def __getitem__(self, key: slice) -> Ranges: ...

    def __getitem__(self, key: int | slice) -> Range | Ranges:
        if not isinstance(key, slice):
            return self._ranges[key]
        chosen = self._ranges[key]
        wanted = {(r.dataset, r.file, r.tree) for r in chosen}
        files = [f for f in self.files if (f.dataset, f.path, f.tree) in wanted]
        return Ranges(chosen, files, self.metadata)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Ranges):
            return NotImplemented
        return (self._ranges, self.files, self.metadata) == (
            other._ranges, other.files, other.metadata,
        )  # fmt: skip

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        n, files = len(self), len(self.files)
        return (
            f"<Ranges: {n} range{'s' * (n != 1)} of {self.n_events:,} events in {files} "
            f"file{'s' * (files != 1)}, {len(self.metadata)} dataset{'s' * (len(self.metadata) != 1)}>"
        )
