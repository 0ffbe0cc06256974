"""Out of core: any number of files to the events that pass, each file once, in any order."""

from __future__ import annotations

import json
import os
from collections.abc import Hashable, Iterator, Mapping
from concurrent.futures import Executor, Future, as_completed
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from fastjag import __version__
from fastjag.analyses.common.stages import file_digest, input_digest
from fastjag.analyses.diphoton.events import Events, write_events
from fastjag.analyses.diphoton.features import TRUTH
from fastjag.analyses.diphoton.samples import LUMINOSITY, WEIGHTS, Sample, sample_in
from fastjag.analyses.diphoton.selections import Selection, diphoton_mass
from fastjag.core.arrays import Array
from fastjag.core.checks import at_least
from fastjag.io.files import Files, find_files, identity
from fastjag.io.reader import Reader
from fastjag.jagged import Jagged
from fastjag.reporting.locks import locked
from fastjag.reporting.output import write_json
from fastjag.reporting.progress import progress_bar
from fastjag.selection import Counters, Cut, Selected, survivors

#: The class whose events are collisions: they count once each.
DATA = "data"

_KINDS = {"Photon": "photon", "Lepton": "lep", "Jet": "jet", "Tau": "tau", "FatJet": "largeRjet"}
_FIELDS = {"energy": "E", "mass": "m"}
_FLAT = {"MET_pt": "met_et", "MET_phi": "met_phi", "run": "run", "event": "event"}
_KINEMATICS = ("pt", "eta", "phi", "energy", "mass")
_GROUP = 20_000  # survivors that are written at once


@dataclass(frozen=True)
class Skimmed:
    """What became of one file."""

    file: str
    label: str  #: its class
    output: str | None  #: Parquet file, or None if no event passed
    cutflow: tuple[Cut, ...]  #: weighted in expected events
    counters: Counters
    factor: float  #: of generator weights


@dataclass(frozen=True)
class Skim:
    """All files: results are in the order in which they were given."""

    classes: tuple[str, ...]
    files: tuple[Skimmed, ...]

    def cutflow(self, label: str | None = None) -> list[Cut]:
        """Added up over the files of a class; of all by default."""
        rows = [f.cutflow for f in self.files if label in (None, f.label)]
        return [
            Cut(cuts[0].name, sum(c.events for c in cuts), sum(c.weighted for c in cuts))
            for cuts in zip(*rows, strict=True)
        ]

    @property
    def counters(self) -> Counters:
        """Added up over all files."""
        total = Counters()
        for one in self.files:
            total += one.counters
        return total

    @property
    def empty(self) -> tuple[str, ...]:
        """Classes of which no event passed."""
        there = {f.label for f in self.files if f.output}
        return tuple(label for label in self.classes if label not in there)

    def events(self) -> Events:
        """All that passed. ValueError with the cutflow if that is nothing."""
        outputs = [f.output for f in self.files if f.output]
        if not outputs:
            left = ", ".join(f"{cut.name} {cut.events}" for cut in self.cutflow())
            raise ValueError(f"no event passes the selection: {left}")
        return Events.concatenate(Events.read(path) for path in outputs)

    def summary(self) -> dict[str, Any]:
        """Classes, cutflows, counters and files as plain data for JSON."""
        return {
            "classes": {
                label: {
                    "files": sum(f.label == label for f in self.files),
                    "cutflow": [asdict(cut) for cut in self.cutflow(label)],
                }
                for label in self.classes
            },
            "without events": list(self.empty),
            "counters": asdict(self.counters),
            "files": [
                {"file": f.file, "class": f.label, "output": f.output, "factor": f.factor}
                for f in self.files
            ],
        }


@dataclass(frozen=True)
class _Job:
    """One file, and all that its result depends on."""

    path: str
    tree: str | None
    label: str
    classes: tuple[str, ...]
    folder: str
    stem: str
    selection: Selection
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


def skim(
    classes: Mapping[str, Files],
    out: str | os.PathLike[str],
    selection: Selection,
    *,
    luminosity: float | None = None,
    correct: bool = True,
    overrides: Mapping[str, Sample] | None = None,
    batch_size: int = 100_000,
    executor: Executor | None = None,
    progress: bool | None = None,
) -> Skim:
    """Select diphoton events file by file; what passes is written to ``out``, a Parquet per file.

    Memory holds one batch per process, as events are written while files are read. A file that is
    finished is not read again by the next call, unless it, the settings or the version of fastjag
    have changed; so an interrupted call goes on where it was.

    Parameters
    ----------
    classes
        Class to files (as in :func:`fastjag.iterate`), all of one format. Events of "data" have
        weight 1, others expected events in ``luminosity``.
    luminosity
        fb-1; default: that of the release.
    correct
        Take the cross-section of ttH with the branching ratio once, not twice (`samples.toml`).
    overrides
        Numbers of samples by DSID or class (:func:`samples.read_samples`), before those of files.
    executor
        With ``submit`` as ``concurrent.futures`` has it, for several processes; default: none.

    Raises
    ------
    ValueError
        Naming two files of different formats, a file that is given for two classes, or the file whose
        normalisation is not known or zero.
    BlockingIOError
        Naming the process that is at work in ``out``.
    ReadError
        Naming the file and the branch that it lacks, or the entries that cannot be read. Results of
        files that were finished stay.
    """
    at_least("batch_size", batch_size, 1)
    if luminosity is not None and not luminosity > 0:
        raise ValueError(f"luminosity must be above 0 fb-1, got {luminosity!r}")
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        return _skim(classes, folder, selection, luminosity, correct, dict(overrides or {}),
                     batch_size, executor, progress)  # fmt: skip


def _skim(
    classes: Mapping[str, Files], folder: Path, selection: Selection, luminosity: float | None,
    correct: bool, overrides: dict[str, Sample], batch_size: int, executor: Executor | None,
    progress: bool | None,
) -> Skim:  # fmt: skip
    names = tuple(classes)
    found = [(label, *file) for label in names for file in find_files(classes[label])]
    jobs = [
        _Job(
            path, tree, label, names, str(folder), f"{label}-{i:04d}-{Path(path).stem}", selection,
            luminosity, correct, overrides, batch_size,
        )
        for i, (label, path, tree) in enumerate(found)
    ]  # fmt: skip
    jobs = _alike(jobs)
    done: dict[int, Skimmed] = {}
    with progress_bar("skimming files", len(jobs), progress) as advance:
        for i, result in _results(jobs, executor):
            done[i] = result
            advance(1)
    return Skim(names, tuple(done[i] for i in range(len(jobs))))


def _results(jobs: list[_Job], executor: Executor | None) -> Iterator[tuple[int, Skimmed]]:
    if executor is None:
        yield from ((i, _skim_file(job)) for i, job in enumerate(jobs))
        return
    futures: dict[Future[Skimmed], int] = {
        executor.submit(_skim_file, job): i for i, job in enumerate(jobs)
    }
    try:
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        for future in futures:
            future.cancel()


def _alike(jobs: list[_Job]) -> list[_Job]:
    """The jobs with the format and the columns of the first file, which all of them must have."""
    first, schema, output, result = "", "", list[str](), []
    known: dict[tuple[Hashable, str], _Job] = {}
    for job in jobs:
        reader = Reader(job.path, job.tree, None)
        with reader.file:
            other = known.setdefault((identity(job.path), reader.tree_name), job)
            if other is not job:
                raise ValueError(
                    f"{job.path} of class {job.label!r} is {other.path} of class "
                    f"{other.label!r}: its events would be counted twice"
                )
            if not first:
                first, schema, output = job.path, reader.schema.name, _output(reader, job)
            elif reader.schema.name != schema:
                raise ValueError(
                    f"{job.path} is {reader.schema.name}, but {first} is {schema}: one call takes "
                    f"files of one format"
                )
            weights = _weights(schema, job)
            steps = [c for step in job.selection.steps(schema) for c in step.columns]
            reader.branches([*output, *weights, *steps])  # an error names what is missing
            if job.label != DATA and reader.n_entries:
                _factor(reader, job)
        result.append(replace(job, output=(*output, *weights), schema=schema))
    return result


def _output(reader: Reader, job: _Job) -> list[str]:
    """All columns of the kinds of particles in ATLAS releases; kinematics in other formats.

    Truth and systematic variations are left out: nothing learns from them, and data or other samples
    do not have them.
    """
    names = [name for name in _FLAT if name in reader.stored]
    used = {c for step in job.selection.steps(reader.schema.name) for c in step.columns}
    there = {reader.schema.split(name)[0] for name in reader.stored}
    for name in reader.branches([f"{kind}_*" for kind in _KINDS if kind in there]):
        column = reader.schema.split(name)[1]
        whole = (
            reader.schema.name in LUMINOSITY
            and column != "n"
            and column not in TRUTH
            and not column.endswith("_syst")
        )
        if whole or column in _KINEMATICS or name in used:
            names.append(name)
    return names


def _weights(schema: str, job: _Job) -> list[str]:
    if job.label == DATA:
        return []
    if schema not in WEIGHTS:
        raise ValueError(
            f"{job.path}: weights of simulated events are not known for {schema}; events of class "
            f"{DATA!r} need none"
        )
    return list(WEIGHTS[schema])


def _factor(reader: Reader, job: _Job) -> float:
    luminosity = job.luminosity or LUMINOSITY.get(reader.schema.name)
    if luminosity is None:
        raise ValueError(f"{job.path}: give a luminosity: {reader.schema.name} has none")
    sample = sample_in(reader, job.overrides, job.label, correct=job.correct)
    return sample.factor(luminosity, job.path)


# ---- one file, perhaps in another process --------------------------------------------------------


def _skim_file(job: _Job) -> Skimmed:
    parquet = Path(job.folder) / f"{job.stem}.parquet"
    marker = parquet.with_suffix(".json")
    key = job.key()
    if (known := _finished(job, marker, parquet, key)) is not None:
        return known
    factor = 1.0
    if job.label != DATA:
        reader = Reader(job.path, job.tree, None)
        with reader.file:
            factor = _factor(reader, job) if reader.n_entries else 0.0
    weights = _weights(job.schema, job)
    chosen = survivors(
        job.path if job.tree is None else f"{job.path}:{job.tree}",
        job.selection.steps(job.schema), job.output,
        weight=weights, batch_size=job.batch_size, progress=False,
    )  # fmt: skip
    parts = (_events(batch, job, weights, factor) for batch in chosen)
    n = write_events(parquet, _grouped(parts))
    cuts = tuple(Cut(c.name, c.events, factor * c.weighted) for c in chosen.cutflow)
    result = Skimmed(
        job.path, job.label, str(parquet) if n else None, cuts, chosen.counters, factor
    )
    content = {
        "key": key,
        "output": file_digest(parquet) if n else None,
        "cutflow": [asdict(cut) for cut in cuts],
        "counters": asdict(chosen.counters),
        "factor": factor,
    }
    write_json(
        marker, content
    )  # an earlier one was for another Parquet file, of which it has a hash
    if not n:
        parquet.unlink(missing_ok=True)
    return result


def _finished(job: _Job, marker: Path, parquet: Path, key: str) -> Skimmed | None:
    """The result of an earlier call, if it is whole and for the same file and settings."""
    try:
        content = json.loads(marker.read_text())
        if content["key"] != key:
            return None
        if content["output"] is not None and file_digest(parquet) != content["output"]:
            return None
        return Skimmed(
            job.path, job.label, str(parquet) if content["output"] else None,
            tuple(Cut(**cut) for cut in content["cutflow"]), Counters(**content["counters"]),
            content["factor"],
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _grouped(parts: Iterator[Events]) -> Iterator[Events]:
    """Joined to parts that are worth a group of rows."""
    waiting: list[Events] = []
    for part in parts:
        waiting.append(part)
        if sum(map(len, waiting)) >= _GROUP:
            yield Events.concatenate(waiting)
            waiting = []
    if waiting:
        yield Events.concatenate(waiting)


def _events(batch: Selected, job: _Job, weights: list[str], factor: float) -> Events:
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
        weight = weight * batch[name]
    flat["weight"] = weight
    flat["label"] = np.full(len(batch), job.classes.index(job.label), np.int64)
    flat["m_yy"] = diphoton_mass(particles["photon"])
    return Events(particles, flat, job.classes)
