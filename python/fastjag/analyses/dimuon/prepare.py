"""prepare: ROOT files to one table of pairs for each charge class, with every observable."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastjag import batch
from fastjag.analyses.common import runs
from fastjag.analyses.common.runs import Workers
from fastjag.analyses.common.stages import file_digest
from fastjag.analyses.dimuon import skims
from fastjag.analyses.dimuon.config import ANY, DimuonConfig
from fastjag.analyses.dimuon.observables import (
    MUON_BRANCHES,
    OPTIONAL_BRANCHES,
    TRIGGERS,
    branches_of,
    pair_columns,
)
from fastjag.analyses.dimuon.results import DimuonResults
from fastjag.batch.parts import Tables, join, parts_folder, write_parts
from fastjag.core.arrays import Array
from fastjag.core.checks import near_misses, needs
from fastjag.core.devices import namespace, to_host
from fastjag.io import Batch, Skipped
from fastjag.io.files import ReadError, find_files
from fastjag.io.ranges import Range, Ranges
from fastjag.io.reader import Reader
from fastjag.reporting.output import results_directory, write_json
from fastjag.selection import LumiMask, as_flags, event_flags

#: The tables: opposite-sign and same-sign pairs.
CLASSES = ("OS", "SS")


def prepare(results: DimuonResults, *, step: int | str = "100 MB", on_error: str = "raise") -> None:
    """Read the files of a configuration in batches and write one table per charge class.

    Events have two or more muons with ``config.muon_id`` ("any": whatever their identification), a
    jet if ``require_jet``, and a certified luminosity section if ``golden_json``; the pair is that
    of the two such muons with the highest pt. Written are

    - ``OS.parquet`` and ``SS.parquet``: pairs that pass all cuts of the configuration (the window in
      mass is no cut), with every observable;
    - ``OS_before_isolation.parquet`` and ``SS_...``, where there are cuts on isolation: the pairs
      that pass all the others;
    - ``all_pairs.parquet``: mass, charge and triggers of every pair before the cuts, and which of the
      cuts it passes;
    - ``cutflow.json``: how many are left after each cut, and the triggers and branches that cuts
      ask for and some files do not have.

    They appear together when the last file is read. Files named ``all_mu_*`` and ``all_jet_*`` are
    read as the published pickles (:mod:`fastjag.analyses.dimuon.skims`), pair by pair, all others
    as ROOT files.

    Where a file lacks optional branches its columns are NaN, and its triggers did not fire.

    Raises ReadError naming file and branch that is missing, or the trigger or branches of a cut that
    no file has, and ValueError where nothing is left.
    """
    needs("pyarrow", "arrow")
    config = results.config
    cuts = dict.fromkeys((*config.lower, *config.upper))
    asked = [b for c in cuts for b in ([c] if c.startswith("HLT_") else branches_of(c))]
    triggers = tuple(dict.fromkeys([*TRIGGERS, *triggers_of(config)]))
    certified = certified_of(config)
    columns = columns_of(config)
    inputs = SearchFiles(config, columns, [*OPTIONAL_BRANCHES, *triggers], on_error)
    with results_directory(results.folder("prepare")) as directory, naming_any(config):
        with parts_folder(results.workers.keep, directory) as folder:
            select = _Select(
                config, certified, triggers, tuple(asked), folder, results.threads,
                (tuple(columns), (*OPTIONAL_BRANCHES, *triggers)),
            )  # fmt: skip
            found = inputs.read(select, results.workers, step, results.progress)
            if found is None or not found.cutflow:
                left_out = "; ".join(s.reason for s in inputs.skipped)
                raise ValueError(
                    "the files hold no events" + (f" ({left_out})" if left_out else "")
                )
            inputs.check_cuts(cuts, found.there)
            if not any(found.rows(c) for c in CLASSES):
                steps = ", ".join(f"{step} {n:,}" for step, n in found.cutflow.items())
                raise ValueError(f"no event passes all cuts: {steps}")
            for name, parts in found.tables.items():
                join(directory / f"{name}.parquet", parts)
        write_json(
            directory / "cutflow.json",
            {
                "cutflow": found.cutflow,
                "absent_branches": sorted(found.absent),
                "skipped": [asdict(s) for s in inputs.skipped],
                "files": inputs.files,
            },
        )


def columns_of(config: DimuonConfig) -> list[str]:
    """Branches that files must have."""
    columns = [*MUON_BRANCHES]
    columns += [] if config.muon_id == ANY else [f"Muon_{config.muon_id}"]
    columns += ["run", "luminosityBlock"] if config.golden_json is not None else []
    return columns + (["Jet_pt"] if config.require_jet else [])


def triggers_of(config: DimuonConfig) -> list[str]:
    """That cuts ask for."""
    return [c for c in (*config.lower, *config.upper) if c.startswith("HLT_")]


def certified_of(config: DimuonConfig) -> LumiMask | None:
    return None if config.golden_json is None else LumiMask(config.golden_json)


@dataclass
class _Prepared(Tables):
    """Of some events; merged, of all."""

    cutflow: dict[str, int]
    absent: set[str]  #: branches that cuts or triggers ask for and some files do not have
    there: set[str]  #: that some file has


@dataclass(frozen=True)
class _Select:
    """What workers do with a batch of events, or a pair of pickles."""

    config: DimuonConfig
    certified: LumiMask | None
    triggers: tuple[str, ...]
    asked: tuple[str, ...]
    folder: str  #: for rows
    threads: int | None
    columns: tuple[tuple[str, ...], tuple[str, ...]]  #: required and optional, of pickles

    def __call__(self, given: Batch | Range) -> _Prepared | None:
        if isinstance(given, Range):
            given = skims.read_pair(given.file, given.tree, *self.columns)
        if not len(given):
            return None
        lists = given.collections.items()
        there = {*given.flat, *(f"{name}_{c}" for name, some in lists for c in some.columns)}
        cutflow: dict[str, int] = {}
        rows, _ = pair_tables(
            given, self.config, self.certified, self.triggers, cutflow, self.threads
        )
        absent = {b for b in self.asked if b not in there}
        tables = {name: {c: to_host(v) for c, v in some.items()} for name, some in rows}
        return _Prepared(write_parts(self.folder, tables), cutflow, absent, there)


@contextmanager
def naming_any(config: DimuonConfig) -> Iterator[None]:
    """Errors about an identification that a file does not have say how to ask for none."""
    try:
        yield
    except (ReadError, ValueError) as error:
        if config.muon_id == ANY or f"no branch 'Muon_{config.muon_id}'" not in str(error):
            raise
        raise type(error)(
            f"{error}; input.muon_id = {config.muon_id!r} asks for it, input.muon_id = {ANY!r} for no "
            "identification"
        ) from None


class SearchFiles:
    """The files of a configuration: ROOT files, and published pickles in pairs."""

    def __init__(
        self, config: DimuonConfig, columns: Sequence[str], optional: Sequence[str], on_error: str
    ) -> None:
        files = find_files(list(config.files))
        self.files = [path for path, _ in files]
        self.skipped: list[Skipped] = []
        self._pairs = skims.pair_files(path for path in self.files if skims.is_skim(path))
        if self._pairs and config.golden_json:
            raise ValueError(
                f"{self._pairs[0][0]}: golden_json cannot be applied to the published pickles, which "
                "have no run numbers; they hold certified events only"
            )
        self._root = [(path, tree) for path, tree in files if not skims.is_skim(path)]
        self._columns, self._optional, self._on_error = columns, optional, on_error

    def read(
        self, select: Callable[[Any], Any], workers: Workers, step: int | str, progress: bool | None
    ) -> Any:
        """What a function of batches and pairs of pickles makes of all files, ROOT files first."""
        total = None
        if self._root:
            found = runs.read(
                select, self._root, self._columns, workers, on_error=self._on_error, step=step,
                optional=self._optional, progress=progress,
            )  # fmt: skip
            self.skipped += found.skipped
            total = batch.merge(total, found.value)
        if self._pairs:
            # How many events a pickle has is not known before it is read: it counts as one.
            pairs = Ranges(Range("pickles", *pair, 0, 1, _state(*pair)) for pair in self._pairs)
            value, _ = runs.run(
                select, pairs, batch.RANGE, workers, self.skipped, on_error=self._on_error,
                progress=progress,
            )  # fmt: skip
            total = batch.merge(total, value)
        return total

    def check_cuts(self, cuts: Iterable[str], there: Collection[str]) -> None:
        """Errors for cuts on what no file has, given the branches that some file has."""
        for name in cuts:
            if name.startswith("HLT_"):
                # A known trigger may be absent, from data of another year: it did not fire.
                if name not in there and name not in TRIGGERS:
                    known = dict.fromkeys([*self._stored_triggers(), *TRIGGERS])
                    raise ReadError(
                        f"no file has the trigger {name}, which a cut asks for: "
                        f"{near_misses(name, known)} (files: {self._named()})"
                    )
                continue
            missing = [b for b in branches_of(name) if b not in there]
            if missing:
                raise ReadError(
                    f"the cut on {name} needs {', '.join(missing)}, which no file has "
                    f"(files: {self._named()})"
                )

    def _stored_triggers(self) -> list[str]:
        if not self._root:
            return []
        reader = Reader(*self._root[0], None)
        with closing(reader):
            return [name for name in reader.stored if name.startswith("HLT_")]

    def _named(self) -> str:
        rest = len(self.files) - 1
        return self.files[0] + (f" and {rest} more" if rest else "")


def _state(*paths: str) -> str:
    """Changes with what is in files."""
    return " ".join(file_digest(path) if Path(path).is_file() else path for path in paths)


def pair_tables(
    batch: Batch,
    config: DimuonConfig,
    certified: LumiMask | None,
    triggers: Sequence[str],
    cutflow: dict[str, int],
    threads: int | None,
) -> tuple[list[tuple[str, dict[str, Array]]], dict[str, Array]]:
    """Table and rows that one batch gives, and the event of each row of both charge classes."""
    if "Muon" not in batch.collections:
        raise ReadError(f"{batch.source}: Muon_pt and the other muon branches are not jagged")
    muons, jets = batch.Muon, batch.collections.get("Jet")
    xp = namespace(muons["pt"])
    good = xp.ones(muons.n_particles, bool)
    if config.muon_id != ANY:
        good = as_flags(muons[config.muon_id], f"Muon_{config.muon_id}", batch.source)
    keep = xp.ones(len(batch), bool)

    def cut(name: str, passing: Array) -> None:
        keep[:] &= passing
        cutflow[name] = cutflow.get(name, 0) + int(np.count_nonzero(keep))

    cut("events read", keep)
    if certified is not None:
        sections = (to_host(batch.event_branch(name)) for name in ("run", "luminosityBlock"))
        cut("certified", xp.asarray(certified(*sections)))
    n_good = muons.with_columns(good=good).aggregate("good", ["sum"])["sum"]
    cut("two muons" if config.muon_id == ANY else f"two {config.muon_id} muons", n_good >= 2)
    if config.require_jet and jets is not None:
        cut("a jet", jets.counts >= 1)
    charge, columns = pair_columns(
        muons, jets, good, hardest_jet=config.hardest_jet, threads=threads
    )
    event = columns.pop("event")
    inside = keep[event]
    columns = {name: values[inside] for name, values in columns.items()}
    charge, event = charge[inside], event[inside]
    for trigger in triggers:
        columns[trigger] = xp.zeros(len(event), bool)
        if trigger in batch.flat:
            columns[trigger] = event_flags(batch, trigger)[event]
    passes = passing_cuts(config, columns)
    passing, not_isolation = xp.ones(len(event), bool), xp.ones(len(event), bool)
    for (name, step), passed in passes.items():
        passing &= passed
        if "iso" not in name:
            not_isolation &= passed
        cutflow[step] = cutflow.get(step, 0) + int(np.count_nonzero(passing))
    rows = [
        ("all_pairs",
         {"dimu_mass": columns["dimu_mass"], "charge": charge.astype(np.int8),
          **{trigger: columns[trigger] for trigger in triggers},
          **{step: passed for (_, step), passed in passes.items()}}),
    ]  # fmt: skip
    events = {}
    for charge_class, chosen in (("OS", charge == 0), ("SS", np.abs(charge) == 2)):
        events[charge_class] = event[chosen & passing]
        step = f"{charge_class} pairs"
        cutflow[step] = cutflow.get(step, 0) + int(np.count_nonzero(chosen & passing))
        kept = [(charge_class, chosen & passing)]
        if any("iso" in name for name, _ in passes):
            kept.append((f"{charge_class}_before_isolation", chosen & not_isolation))
        rows += [(table, {n: v[these] for n, v in columns.items()}) for table, these in kept]
    return rows, events


def passing_cuts(
    config: DimuonConfig, columns: dict[str, Array]
) -> dict[tuple[str, str], NDArray[np.bool_]]:
    """Column and name of every cut, and the pairs that pass it."""
    passes = {}
    for bounds, sign, test in (
        (config.lower, ">=", np.greater_equal),
        (config.upper, "<=", np.less_equal),
    ):
        for name, bound in bounds.items():
            passes[name, f"{name} {sign} {bound:g}"] = test(columns[name], bound)
    return passes
