"""Stage: any number of files to the events that pass, each of them once, on any executor."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from fastjag import batch
from fastjag.analyses.common import runs
from fastjag.analyses.common.runs import Workers
from fastjag.analyses.diphoton.events import Events
from fastjag.analyses.diphoton.results import DiphotonResults
from fastjag.analyses.diphoton.samples import Sample, read_samples
from fastjag.analyses.diphoton.selections import DiphotonSelection, selection_of
from fastjag.analyses.diphoton.skim import EVENTS, Skimmed, SkimmedRange, Skimming
from fastjag.batch.parts import Part, parts_folder, read_part
from fastjag.core.checks import at_least
from fastjag.io.files import Files, find_files, identity
from fastjag.io.ranges import Ranges
from fastjag.reporting.output import results_directory, write_json
from fastjag.selection import Counters, Cut

_KEPT = ".kept"  # in the folder of the stage, of which it is no result


def select(results: DiphotonResults, *, processes: int = 1, progress: bool | None = None) -> None:
    """Files to selected events; what each range of them gave stays, so that an interrupted call goes on."""
    config, folder, workers = results.config, results.folder("select"), results.workers
    table, selection = config.samples.table, config.selection
    executor = workers.executor
    n = min(
        sum(len(find_files(f)) for f in config.files.values()), at_least("processes", processes, 1)
    )
    if executor is None and n > 1:
        executor = batch.processes(n)
    skim = skim_files(
        config.files, folder / _KEPT if workers.keep is None else workers.keep,
        selection_of(selection.preset, selection.cuts), luminosity=selection.luminosity,
        correct=config.samples.correct, overrides=read_samples(table) if table else {},
        executor=executor, progress=progress,
    )  # fmt: skip
    with results_directory(folder) as directory:
        skim.events().write(directory / "events.parquet")
        write_json(directory / "selection.json", skim.summary())


@dataclass(frozen=True)
class SkimmedFile:
    """What became of one file."""

    file: str
    label: str  #: its class
    parts: tuple[Part, ...]  #: of the events that passed
    cutflow: tuple[Cut, ...]  #: weighted in expected events
    counters: Counters
    factor: float  #: of generator weights


@dataclass(frozen=True)
class Skim:
    """All files: results are in the order in which they were given."""

    classes: tuple[str, ...]
    files: tuple[SkimmedFile, ...]

    def cutflow(self, label: str | None = None) -> list[Cut]:
        """Added up over the files of a class; of all by default."""
        return list(_summed(f.cutflow for f in self.files if label in (None, f.label)))

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
        there = {f.label for f in self.files if f.parts}
        return tuple(label for label in self.classes if label not in there)

    def events(self) -> Events:
        """All that passed. ValueError with the cutflow if that is nothing."""
        parts = [part for f in self.files for part in f.parts]
        if not parts:
            left = ", ".join(f"{cut.name} {cut.events}" for cut in self.cutflow())
            raise ValueError(f"no event passes the selection: {left}")
        return Events.concatenate(Events.of_table(read_part(part)) for part in parts)

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
            "files": [{"file": f.file, "class": f.label, "factor": f.factor} for f in self.files],
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
    executor: Any = None,
    progress: bool | None = None,
) -> Skim:
    """Select diphoton events, range by range; what passes is kept in the folder ``out``.

    Memory holds a batch and the survivors of a range per process. A range that is finished is not read
    again by the next call, unless its file, the settings or the version of fastjag have changed; so an
    interrupted call goes on where it was, and two calls at once may share the folder.

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
        As :func:`fastjag.batch.run` takes it: who reads. Default: this process. Workers of a cluster open the
        files that are checked before, too.

    Raises
    ------
    ValueError
        Naming two files of different formats, a file that is given for two classes, or the file whose
        normalisation is not known or zero.
    ReadError
        Naming the file and the branch that it lacks, or the entries that cannot be read. Results of
        ranges that were finished stay.
    """
    at_least("batch_size", batch_size, 1)
    if luminosity is not None and not luminosity > 0:
        raise ValueError(f"luminosity must be above 0 fb-1, got {luminosity!r}")
    names, found = tuple(classes), {label: find_files(f) for label, f in classes.items()}
    workers = Workers(executor, Path(out).absolute())
    skimming = Skimming(
        names, selection, luminosity, correct, dict(overrides or {}), batch_size, ""
    )
    skimming = _of_one_format(found, skimming, workers)
    with parts_folder(workers.keep, Path(out)) as folder:
        read = runs.read(
            replace(skimming, folder=folder), found, batch.RANGE, workers, progress=progress
        )
    return Skim(names, tuple(_by_file(read.ranges, read.value, skimming)))


def _by_file(ranges: Ranges, value: Skimmed, skimming: Skimming) -> Iterator[SkimmedFile]:
    """Results of ranges, put together for each file."""
    parts = iter(value.tables.get(EVENTS, ()))
    results = iter(value.ranges)
    of_file: dict[tuple[str, str, str], list[SkimmedRange]] = {}
    for piece in ranges:
        left = len(piece)
        some = of_file.setdefault((piece.dataset, piece.file, piece.tree), [])
        while True:  # one, or several where memory ran out and it was read in parts
            one = next(results)
            some.append(one)
            left -= one.n_events
            if left == 0:
                break
    steps = [step.name for step in skimming.selection.steps(skimming.schema)]
    nothing = SkimmedRange(tuple(Cut(name, 0, 0.0) for name in ("all", *steps)), Counters(), 0.0, 0)
    for file in ranges.files:
        some = of_file.get((file.dataset, file.path, file.tree), [nothing])
        total = Counters()
        for one in some:
            total += one.counters
        yield SkimmedFile(
            file.path, file.dataset,
            tuple(next(parts) for one in some for _ in range(one.parts)),
            tuple(_summed(one.cutflow for one in some)), total, some[0].factor,
        )  # fmt: skip


def _summed(cutflows: Iterable[Iterable[Cut]]) -> Iterator[Cut]:
    for cuts in zip(*cutflows, strict=True):
        yield Cut(cuts[0].name, sum(c.events for c in cuts), sum(c.weighted for c in cuts))


def _of_one_format(
    found: Mapping[str, list[tuple[str, str | None]]], skimming: Skimming, workers: Workers
) -> Skimming:
    """With the format and the columns of the first file, which all of them must have."""
    files = [(label, *file) for label, some in found.items() for file in some]
    (skimming,) = runs.each_file(skimming.like, files[:1], workers)
    check = partial(skimming.check, files[0][1])
    known: dict[tuple[Hashable, str], tuple[str, str]] = {}
    for (label, path, _), tree in zip(files, runs.each_file(check, files, workers), strict=True):
        other = known.setdefault((identity(path), tree), (path, label))
        if other != (path, label):
            raise ValueError(
                f"{path} of class {label!r} is {other[0]} of class {other[1]!r}: its "
                f"events would be counted twice"
            )
    return skimming
