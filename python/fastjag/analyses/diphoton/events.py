"""Events: particles of several kinds, numbers per event, weights and classes, kept together."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastjag.analyses.common.tables import arrow_table, lists_of, read_lists
from fastjag.core.arrays import Array, as_event_indices
from fastjag.io.parquet import NewParquet
from fastjag.jagged import Jagged
from fastjag.reporting.output import new_file

#: Kinds of particles, as the ATLAS 2020 release names them.
PARTICLES = ("photon", "lep", "jet", "tau", "largeRjet")

#: The class whose events are collisions: they count once each.
DATA = "data"

#: Columns that only simulation knows: never a feature.
TRUTH = ("trueflav", "truthMatched", "truthmatched")

_KEY = b"fastjag.classes"


@dataclass(frozen=True, eq=False)
class Events:
    """Selected events.

    ``particles`` maps a kind (``PARTICLES``) to its Jagged, with the columns of the ATLAS 2020
    release without their prefix (pt, eta, phi, E, ...; GeV, rad). ``flat`` holds arrays of shape
    (n_events,): "met_et", "met_phi", "m_yy" [GeV], "weight" (expected events, with its sign) and
    "label" (int64, index into ``classes``).

    Raises ValueError where lengths differ, or a label is no class.
    """

    particles: Mapping[str, Jagged]
    flat: Mapping[str, Array]
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        parts: list[tuple[str, Any]] = [*self.particles.items(), *self.flat.items()]
        lengths = {name: len(part) for name, part in parts}
        if not lengths or len(set(lengths.values())) > 1:
            listed = ", ".join(f"{name} {n}" for name, n in lengths.items())
            raise ValueError(f"all parts must have as many events, got {listed or 'none'}")
        for name in self.particles:
            if "_" in name or not name:
                raise ValueError(f"kinds of particles are named without '_', got {name!r}")
        if "label" in self.flat and len(labels := self.flat["label"]):
            if labels.dtype.kind not in "iu":
                raise TypeError(f"label must be integers, got dtype {labels.dtype}")
            low, high = int(labels.min()), int(labels.max())
            if low < 0 or high >= len(self.classes):
                raise ValueError(
                    f"labels run from {low} to {high}, but there are {len(self.classes)} classes: "
                    f"{', '.join(self.classes)}"
                )

    def __len__(self) -> int:
        parts: list[Any] = [*self.flat.values(), *self.particles.values()]
        return len(parts[0])

    def __getitem__(self, key: Any) -> Events:
        """The events of a slice, a mask of shape (n_events,) or integers."""
        if not isinstance(key, slice):
            key = as_event_indices(key, len(self), np.empty(0))
        particles = {name: jagged[key] for name, jagged in self.particles.items()}
        return Events(particles, {n: v[key] for n, v in self.flat.items()}, self.classes)

    def of_classes(self, classes: tuple[str, ...]) -> Events:
        """Those of some classes, labelled by their order."""
        places = [classes.index(c) if c in classes else -1 for c in self.classes]
        label = np.array(places, np.int64)[self.flat["label"]]
        flat = {**self.flat, "label": np.maximum(label, 0)}
        return Events(self.particles, flat, classes)[label >= 0]

    @staticmethod
    def concatenate(parts: Iterable[Events]) -> Events:
        """One after the other; all need the same columns and classes."""
        given = list(parts)
        if not given:
            raise ValueError("there must be at least one part to concatenate")
        first = given[0]
        for i, part in enumerate(given):
            if part.classes != first.classes:
                raise ValueError(f"part {i} has classes {part.classes}, the first {first.classes}")
            odd = sorted(_names(part) ^ _names(first))
            if odd:
                raise ValueError(f"part {i} and the first do not share {', '.join(odd)}")
        particles = {}
        for name, jagged in first.particles.items():
            others = [part.particles[name] for part in given]
            counts = np.concatenate([other.counts for other in others])
            columns = {c: np.concatenate([o[c] for o in others]) for c in jagged.columns}
            particles[name] = Jagged.from_counts(counts, columns)
        flat = {name: np.concatenate([part.flat[name] for part in given]) for name in first.flat}
        return Events(particles, flat, first.classes)

    # ---- Parquet ------------------------------------------------------------------------------

    def write(self, path: str | os.PathLike[str]) -> None:
        """As one Parquet file: lists ``photon_pt``, flat columns, classes in the metadata.

        The file is complete or not there.
        """
        with new_file(path) as partial, NewParquet(partial) as file:
            file.write(self.table())

    def table(self) -> Any:
        """As a table of pyarrow, with the columns of the file."""
        lists = {
            kind: (jagged.offsets, {f"{kind}_{c}": jagged[c] for c in jagged.columns})
            for kind, jagged in self.particles.items()
        }
        return arrow_table(self.flat, lists, {_KEY: json.dumps(self.classes)})

    @staticmethod
    def read(path: str | os.PathLike[str]) -> Events:
        """What :meth:`write` wrote; ValueError for Parquet files of other makes."""
        flat, lists, metadata = read_lists(path)
        if _KEY not in metadata:
            raise ValueError(f"{path}: is Parquet, but was not written by Events.write")
        return Events._of(flat, lists, metadata)

    @staticmethod
    def of_table(table: Any) -> Events:
        """What :meth:`table` made."""
        return Events._of(*lists_of(table))

    @staticmethod
    def _of(
        flat: dict[str, Array], lists: Mapping[str, tuple[Array, Array]],
        metadata: Mapping[bytes, bytes],
    ) -> Events:  # fmt: skip
        columns: dict[str, tuple[Array, dict[str, Array]]] = {}
        for name, (offsets, values) in lists.items():
            kind, _, column = name.partition("_")
            columns.setdefault(kind, (offsets, {}))[1][column] = values
        particles = {kind: Jagged(*parts) for kind, parts in columns.items()}
        return Events(particles, flat, tuple(json.loads(metadata[_KEY])))


def _names(events: Events) -> set[str]:
    return {
        *events.flat,
        *(f"{kind}_{column}" for kind, j in events.particles.items() for column in j.columns),
    }


def merge(collections: Sequence[Jagged], columns: Iterable[str]) -> Jagged:
    """The particles of several collections, one after the other in each event."""
    event = np.concatenate([np.repeat(np.arange(len(part)), part.counts) for part in collections])
    order = np.argsort(event, kind="stable")
    joined = {c: np.concatenate([part[c] for part in collections])[order] for c in columns}
    return Jagged.from_counts(np.sum([part.counts for part in collections], axis=0), joined)
