"""One file to the events that pass, perhaps in another process."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np

from fastjag import __version__
from fastjag.analyses.common.stages import file_digest, input_digest
from fastjag.analyses.diphoton.events import DATA, TRUTH, Events, write_events
from fastjag.analyses.diphoton.samples import LUMINOSITY, WEIGHTS, Sample, numbers_in, weight_factor
from fastjag.analyses.diphoton.selections import DiphotonSelection, diphoton_mass
from fastjag.core.arrays import Array
from fastjag.io.reader import Reader
from fastjag.jagged import Jagged
from fastjag.reporting.output import write_json
from fastjag.selection import Counters, Cut, Selected, survivors

_KINDS = {"Photon": "photon", "Lepton": "lep", "Jet": "jet", "Tau": "tau", "FatJet": "largeRjet"}
_FIELDS = {"energy": "E", "mass": "m"}
_FLAT = {"MET_pt": "met_et", "MET_phi": "met_phi", "run": "run", "event": "event"}
_KINEMATICS = ("pt", "eta", "phi", "energy", "mass")
_GROUP = 20_000  # survivors that are written at once


@dataclass(frozen=True)
class SkimmedFile:
    """What became of one file."""

    file: str
    label: str  #: its class
    output: str | None  #: Parquet file, or None if no event passed
    cutflow: tuple[Cut, ...]  #: weighted in expected events
    counters: Counters
    factor: float  #: of generator weights


@dataclass(frozen=True)
class SkimJob:
    """One file, and all that its result depends on."""

    path: str
    tree: str | None
    label: str
    classes: tuple[str, ...]
    folder: str
    stem: str
    selection: DiphotonSelection
    luminosity: float | None
    correct: bool
    overrides: Mapping[str, Sample]
    batch_size: int
    output: tuple[str, ...] = ()
    schema: str = ""

    def key(self) -> str:
        """Changes with the file's content, the settings and the version of fastjag, not with where
        the file lies."""
        settings = asdict(self)
        for name in ("path", "folder", "stem"):
            del settings[name]
        content = [__version__, input_digest(self.path), settings]
        text = json.dumps(content, sort_keys=True, default=str)
        return blake2b(text.encode(), digest_size=16).hexdigest()

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

    def weights(self, schema: str) -> list[str]:
        """Branches of the weight of an event: none of data."""
        if self.label == DATA:
            return []
        if schema not in WEIGHTS:
            raise ValueError(
                f"{self.path}: weights of simulated events are not known for {schema}; events of "
                f"class {DATA!r} need none"
            )
        return list(WEIGHTS[schema])

    def factor_of(self, reader: Reader) -> float:
        """What generator weights are multiplied by."""
        luminosity = self.luminosity or LUMINOSITY.get(reader.schema.name)
        if luminosity is None:
            raise ValueError(f"{self.path}: give a luminosity: {reader.schema.name} has none")
        numbers = numbers_in(reader, self.overrides, self.label, correct=self.correct)
        return weight_factor(numbers, luminosity, self.path)


def skim_file(job: SkimJob) -> SkimmedFile:
    """The result of an earlier call if it is whole; else selects, and writes it."""
    parquet = Path(job.folder) / f"{job.stem}.parquet"
    marker = parquet.with_suffix(".json")
    key = job.key()
    if (known := _read_finished(job, marker, parquet, key)) is not None:
        return known
    factor = 1.0
    if job.label != DATA:
        reader = Reader(job.path, job.tree, None)
        with reader.file:
            factor = job.factor_of(reader) if reader.n_entries else 0.0
    weights = job.weights(job.schema)
    chosen = survivors(
        job.path if job.tree is None else f"{job.path}:{job.tree}",
        job.selection.steps(job.schema), job.output,
        weight=weights, batch_size=job.batch_size, progress=False,
    )  # fmt: skip
    parts = (_events(batch, job, weights, factor) for batch in chosen)
    n = write_events(parquet, _group(parts))
    cuts = tuple(Cut(c.name, c.events, factor * c.weighted) for c in chosen.cutflow)
    result = SkimmedFile(
        job.path, job.label, str(parquet) if n else None, cuts, chosen.counters, factor
    )
    content = {
        "key": key,
        "output": file_digest(parquet) if n else None,
        "cutflow": [asdict(cut) for cut in cuts],
        "counters": asdict(chosen.counters),
        "factor": factor,
    }
    # An earlier one was for another Parquet file, of which it has a hash.
    write_json(marker, content)
    if not n:
        parquet.unlink(missing_ok=True)
    return result


def _read_finished(job: SkimJob, marker: Path, parquet: Path, key: str) -> SkimmedFile | None:
    """The result of an earlier call, if it is whole and for the same file and settings."""
    try:
        content = json.loads(marker.read_text())
        if content["key"] != key:
            return None
        if content["output"] is not None and file_digest(parquet) != content["output"]:
            return None
        return SkimmedFile(
            job.path, job.label, str(parquet) if content["output"] else None,
            tuple(Cut(**cut) for cut in content["cutflow"]), Counters(**content["counters"]),
            content["factor"],
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _group(parts: Iterator[Events]) -> Iterator[Events]:
    """Joined to parts that are worth a group of rows."""
    waiting: list[Events] = []
    for part in parts:
        waiting.append(part)
        if sum(map(len, waiting)) >= _GROUP:
            yield Events.concatenate(waiting)
            waiting = []
    if waiting:
        yield Events.concatenate(waiting)


def _events(batch: Selected, job: SkimJob, weights: list[str], factor: float) -> Events:
    particles = {}
    for name, kind in _KINDS.items():
        if name not in batch.collections:
            continue
        group = batch.collections[name]
        if name == "Photon":
            group = job.selection.pair(group, job.schema)
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
    flat["label"] = np.full(len(batch), job.classes.index(job.label), np.int64)
    flat["m_yy"] = diphoton_mass(particles["photon"])
    return Events(particles, flat, job.classes)
