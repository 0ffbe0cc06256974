"""Stage: any number of files to the events that pass, each file once, in any order."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterator, Mapping
from concurrent.futures import Executor, Future, as_completed
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from fastjag.analyses.common.workers import worker_pool
from fastjag.analyses.diphoton.events import DATA, Events
from fastjag.analyses.diphoton.results import DiphotonResults
from fastjag.analyses.diphoton.samples import Sample, read_samples
from fastjag.analyses.diphoton.selections import DiphotonSelection, selection_of
from fastjag.analyses.diphoton.skim import SkimJob, SkimmedFile, skim_file
from fastjag.core.checks import at_least
from fastjag.io.files import Files, find_files, identity
from fastjag.io.reader import Reader
from fastjag.reporting.locks import locked
from fastjag.reporting.output import results_directory, write_json
from fastjag.reporting.progress import progress_bar
from fastjag.selection import Counters, Cut


def select(results: DiphotonResults, *, processes: int = 1, progress: bool | None = None) -> None:
    """Files to selected events; what each file gave stays, so that an interrupted call goes on."""
    config, folder = results.config, results.folder("select")
    table, selection = config.samples.table, config.selection
    workers = min(
        sum(len(find_files(f)) for f in config.files.values()), at_least("processes", processes, 1)
    )
    pool: AbstractContextManager[Executor | None]
    pool = nullcontext() if workers < 2 else worker_pool(workers)
    with pool as executor:
        skim = skim_files(
            config.files, folder / "files", selection_of(selection.preset, selection.cuts),
            luminosity=selection.luminosity, correct=config.samples.correct,
            overrides=read_samples(table) if table else {}, executor=executor, progress=progress,
        )  # fmt: skip
    with results_directory(folder) as directory:
        skim.events().write(directory / "events.parquet")
        write_json(directory / "selection.json", skim.summary())


@dataclass(frozen=True)
class Skim:
    """All files: results are in the order in which they were given."""

    classes: tuple[str, ...]
    files: tuple[SkimmedFile, ...]

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


def skim_files(
    classes: Mapping[str, Files],
    out: str | os.PathLike[str],
    selection: DiphotonSelection,
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
    folder, names = Path(out), tuple(classes)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        files = [(label, *file) for label in names for file in find_files(classes[label])]
        jobs = _of_one_format([
            SkimJob(
                path, tree, label, names, str(folder), f"{label}-{i:04d}-{Path(path).stem}",
                selection, luminosity, correct, dict(overrides or {}), batch_size,
            )
            for i, (label, path, tree) in enumerate(files)
        ])  # fmt: skip
        done: dict[int, SkimmedFile] = {}
        with progress_bar("skimming files", len(jobs), progress) as advance:
            for i, result in _results(jobs, executor):
                done[i] = result
                advance(1)
    return Skim(names, tuple(done[i] for i in range(len(jobs))))


def _results(jobs: list[SkimJob], executor: Executor | None) -> Iterator[tuple[int, SkimmedFile]]:
    if executor is None:
        yield from ((i, skim_file(job)) for i, job in enumerate(jobs))
        return
    futures: dict[Future[SkimmedFile], int] = {
        executor.submit(skim_file, job): i for i, job in enumerate(jobs)
    }
    try:
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        for future in futures:
            future.cancel()


def _of_one_format(jobs: list[SkimJob]) -> list[SkimJob]:
    """The jobs with the format and the columns of the first file, which all of them must have."""
    first, schema, output, result = "", "", list[str](), []
    known: dict[tuple[Hashable, str], SkimJob] = {}
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
                first, schema, output = job.path, reader.schema.name, job.columns(reader)
            elif reader.schema.name != schema:
                raise ValueError(
                    f"{job.path} is {reader.schema.name}, but {first} is {schema}: one call takes "
                    f"files of one format"
                )
            weights = job.weights(schema)
            steps = [c for step in job.selection.steps(schema) for c in step.columns]
            reader.branches([*output, *weights, *steps])  # an error names what is missing
            if job.label != DATA and reader.n_entries:
                job.factor_of(reader)
        result.append(replace(job, output=(*output, *weights), schema=schema))
    return result
