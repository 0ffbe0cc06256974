"""A range of a file to the events that pass, on whatever machine this runs."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np

from fastjag.analyses.diphoton.events import DATA, TRUTH, Events
from fastjag.analyses.diphoton.samples import LUMINOSITY, WEIGHTS, Sample, numbers_in, weight_factor
from fastjag.analyses.diphoton.selections import DiphotonSelection, diphoton_mass
from fastjag.batch.parts import Tables, write_parts
from fastjag.core.arrays import Array
from fastjag.io.ranges import Range
from fastjag.io.reader import Reader
from fastjag.jagged import Jagged
from fastjag.selection import Counters, Cut, Selected, survivors

_KINDS = {"Photon": "photon", "Lepton": "lep", "Jet": "jet", "Tau": "tau", "FatJet": "largeRjet"}
_FIELDS = {"energy": "E", "mass": "m"}
_FLAT = {"MET_pt": "met_et", "MET_phi": "met_phi", "run": "run", "event": "event"}
_KINEMATICS = ("pt", "eta", "phi", "energy", "mass")
EVENTS = "events"


@dataclass(frozen=True)
class SkimmedRange:
    """What became of the events of a range."""

    cutflow: tuple[Cut, ...]  #: weighted in expected events
    counters: Counters
    factor: float  #: of generator weights
    parts: int  #: of the table: one, or none if no event passed

    @property
    def n_events(self) -> int:
        """That were read."""
        return self.cutflow[0].events


@dataclass
class Skimmed(Tables):
    """The events of ranges that pass, and what is known of each range, in their order."""

    ranges: list[SkimmedRange]


@dataclass(frozen=True)
class Skimming:
    """What a range's result depends on: a function for :func:`fastjag.batch.run`."""

    classes: tuple[str, ...]
    selection: DiphotonSelection
    luminosity: float | None
    correct: bool
    overrides: Mapping[str, Sample]
    batch_size: int
    folder: str  #: for parts of the table
    output: tuple[str, ...] = ()
    schema: str = ""

    def __call__(self, piece: Range) -> Skimmed:
        """Of the file's own class, which is the name of the range's dataset."""
        label, factor = piece.dataset, 1.0
        if label != DATA:
            reader = Reader(piece.file, piece.tree, None)
            with closing(reader):
                factor = self.factor_of(reader, label) if reader.n_entries else 0.0
        weights = self.weights(label, self.schema, piece.file)
        chosen = survivors(
            None, self.selection.steps(self.schema), [*self.output, *weights], ranges=[piece],
            weight=weights, batch_size=self.batch_size, progress=False,
        )  # fmt: skip
        some = [self._events(batch, label, weights, factor) for batch in chosen]
        tables = {EVENTS: Events.concatenate(some).table()} if some else {}
        cuts = tuple(Cut(c.name, c.events, factor * c.weighted) for c in chosen.cutflow)
        one = SkimmedRange(cuts, chosen.counters, factor, len(tables))
        return Skimmed(write_parts(self.folder, tables) if tables else {}, [one])

    def like(self, _: str, path: str, tree: str | None) -> Skimming:
        """With the format and the columns of a file."""
        with closing(Reader(path, tree, None)) as reader:
            columns = tuple(self.columns(reader))
            return replace(self, schema=reader.schema.name, output=columns)

    def check(self, first: str, label: str, path: str, tree: str | None) -> str:
        """The name of a file's tree; errors where it is not like the first file, or cannot be normalised."""
        with closing(Reader(path, tree, None)) as reader:
            if reader.schema.name != self.schema:
                raise ValueError(
                    f"{path} is {reader.schema.name}, but {first} is {self.schema}: one "
                    f"call takes files of one format"
                )
            weights = self.weights(label, self.schema, path)
            steps = [c for step in self.selection.steps(self.schema) for c in step.columns]
            # An error names what is missing.
            reader.branches([*self.output, *weights, *steps])
            if label != DATA and reader.n_entries:
                self.factor_of(reader, label)
            return reader.tree_name

    def columns(self, reader: Reader) -> list[str]:
        """All columns of the kinds of particles in ATLAS releases; kinematics in other formats.

        Truth and systematic variations are left out: nothing learns from them, and data or other
        samples do not have them.
        """
        schema = reader.schema
        names = [name for name in _FLAT if name in reader.stored]
        used = {c for step in self.selection.steps(schema.name) for c in step.columns}
        there = {schema.split(name)[0] for name in reader.stored}
        for name in reader.branches([f"{kind}_*" for kind in _KINDS if kind in there]):
            column = schema.split(name)[1]
            whole = (
                schema.name in LUMINOSITY
                and column != "n"
                and column not in TRUTH
                and not column.endswith("_syst")
            )
            if whole or column in _KINEMATICS or name in used:
                names.append(name)
        return names

    def weights(self, label: str, schema: str, path: str) -> list[str]:
        """Branches of the weight of an event: none of data."""
        if label == DATA:
            return []
        if schema not in WEIGHTS:
            raise ValueError(
                f"{path}: weights of simulated events are not known for {schema}; events of "
                f"class {DATA!r} need none"
            )
        return list(WEIGHTS[schema])

    def factor_of(self, reader: Reader, label: str) -> float:
        """What generator weights are multiplied by."""
        luminosity = self.luminosity or LUMINOSITY.get(reader.schema.name)
        if luminosity is None:
            raise ValueError(f"{reader.path}: give a luminosity: {reader.schema.name} has none")
        numbers = numbers_in(reader, self.overrides, label, correct=self.correct)
        return weight_factor(numbers, luminosity, reader.path)

    def _events(self, batch: Selected, label: str, weights: list[str], factor: float) -> Events:
        particles = {}
        for name, kind in _KINDS.items():
            if name not in batch.collections:
                continue
            group = batch.collections[name]
            if name == "Photon":
                group = self.selection.pair(group, self.schema)
            columns = {_FIELDS.get(column, column): group[column] for column in group.columns}
            if "E" not in columns and {"pt", "eta"} <= set(columns):
                momentum = columns["pt"] * np.cosh(columns["eta"])
                columns["E"] = np.hypot(momentum, columns["m"]) if "m" in columns else momentum
            particles[kind] = Jagged(group.offsets, columns)
        flat: dict[str, Array] = {new: batch.flat[n] for n, new in _FLAT.items() if n in batch.flat}
        weight = np.full(len(batch), factor)
        for name in weights:
            weight = weight * batch.event_branch(name)
        flat["weight"] = weight
        flat["label"] = np.full(len(batch), self.classes.index(label), np.int64)
        flat["m_yy"] = diphoton_mass(particles["photon"])
        return Events(particles, flat, self.classes)
