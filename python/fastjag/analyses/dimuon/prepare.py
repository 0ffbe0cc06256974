"""prepare: ROOT files to one table of pairs for each charge class, with every observable."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from fastjag.analyses.common.tables import NewParquet
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
from fastjag.core.arrays import Array
from fastjag.core.checks import near_misses, needs
from fastjag.io import Batch, Skipped, iterate
from fastjag.io.files import ReadError, find_files
from fastjag.io.reader import Reader
from fastjag.reporting.output import results_directory, write_json
from fastjag.reporting.progress import progress_bar
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
    triggers = tuple(dict.fromkeys([*TRIGGERS, *(c for c in cuts if c.startswith("HLT_"))]))
    certified = None if config.golden_json is None else LumiMask(config.golden_json)
    columns = [*MUON_BRANCHES]
    columns += [] if config.muon_id == ANY else [f"Muon_{config.muon_id}"]
    columns += ["run", "luminosityBlock"] if certified else []
    columns += ["Jet_pt"] if config.require_jet else []
    with _naming_any(config):
        inputs = _Inputs(
            config, columns, [*OPTIONAL_BRANCHES, *triggers], step, on_error, results.progress
        )  # fmt: skip
    cutflow: dict[str, int] = {}
    absent: set[str] = set()
    there: set[str] = set()
    with (
        results_directory(results.folder("prepare")) as directory,
        _naming_any(config),
        ExitStack() as stack,
    ):
        tables: dict[str, NewParquet] = {}
        batches = stack.enter_context(closing(inputs.batches()))
        n_events = 0
        for batch in batches:
            n_events += len(batch)
            lists = batch.collections.items()
            branches = {*batch.flat, *(f"{name}_{c}" for name, some in lists for c in some.columns)}
            absent.update(b for b in asked if b not in branches)
            there |= branches
            for name, rows in _pairs(batch, config, certified, triggers, cutflow, results.threads):
                if name not in tables:
                    table = NewParquet(directory / f"{name}.parquet")
                    tables[name] = stack.enter_context(table)
                tables[name].write(rows)
        if n_events == 0:
            left_out = "; ".join(s.reason for s in inputs.skipped)
            raise ValueError("the files hold no events" + (f" ({left_out})" if left_out else ""))
        inputs.check_cuts(cuts, there)
        if not any(tables[c].rows for c in CLASSES):
            steps = ", ".join(f"{step} {n:,}" for step, n in cutflow.items())
            raise ValueError(f"no event passes all cuts: {steps}")
        stack.close()
        write_json(
            directory / "cutflow.json",
            {
                "cutflow": cutflow,
                "absent_branches": sorted(absent),
                "skipped": [asdict(s) for s in inputs.skipped],
                "files": inputs.files,
            },
        )


@contextmanager
def _naming_any(config: DimuonConfig) -> Iterator[None]:
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


class _Inputs:
    """The files of a configuration, ROOT files and published pickles, as batches."""

    def __init__(
        self, config: DimuonConfig, columns: Sequence[str], optional: Sequence[str], step: int | str,
        on_error: str, progress: bool | None,
    ) -> None:  # fmt: skip
        files = find_files(list(config.files))
        self.files = [path for path, _ in files]
        self.skipped: list[Skipped] = []
        self._pairs = skims.pair_files(path for path in self.files if skims.is_skim(path))
        if self._pairs and config.golden_json:
            raise ValueError(
                f"{self._pairs[0][0]}: golden_json cannot be applied to the published pickles, which "
                "have no run numbers; they hold certified events only"
            )
        root = [f"{p}:{t}" if t else p for p, t in files if not skims.is_skim(p)]
        self._root = root and iterate(
            root, columns, step=step, on_error=on_error, progress=progress, optional=optional
        )
        self._columns, self._optional = columns, optional
        self._on_error, self._progress = on_error, progress

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
        reader = Reader(*self._root.files[0], None)
        with reader.file:
            return [name for name in reader.stored if name.startswith("HLT_")]

    def _named(self) -> str:
        rest = len(self.files) - 1
        return self.files[0] + (f" and {rest} more" if rest else "")

    def batches(self) -> Generator[Batch]:
        if self._root:
            yield from self._root
            self.skipped += self._root.skipped
        with progress_bar("reading pickles", len(self._pairs), self._progress) as advance:
            for muons, jets in self._pairs:
                try:
                    yield skims.read_pair(muons, jets, self._columns, self._optional)
                except OSError as error:
                    if self._on_error == "raise":
                        raise
                    self.skipped.append(Skipped(muons, None, str(error)))
                advance(1)


def _pairs(
    batch: Batch,
    config: DimuonConfig,
    certified: LumiMask | None,
    triggers: Sequence[str],
    cutflow: dict[str, int],
    threads: int | None,
) -> list[tuple[str, dict[str, Array]]]:
    """Table and rows that one batch gives."""
    if "Muon" not in batch.collections:
        raise ReadError(f"{batch.source}: Muon_pt and the other muon branches are not jagged")
    muons, jets = batch.Muon, batch.collections.get("Jet")
    good = np.ones(muons.n_particles, bool)
    if config.muon_id != ANY:
        good = as_flags(muons[config.muon_id], f"Muon_{config.muon_id}", batch.source)
    keep = np.ones(len(batch), bool)

    def cut(name: str, passing: Array) -> None:
        keep[:] &= passing
        cutflow[name] = cutflow.get(name, 0) + int(np.count_nonzero(keep))

    cut("events read", keep)
    if certified is not None:
        cut("certified", certified(*map(batch.event_branch, ("run", "luminosityBlock"))))
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
        columns[trigger] = np.zeros(len(event), bool)
        if trigger in batch.flat:
            columns[trigger] = event_flags(batch, trigger)[event]
    passes = passing_cuts(config, columns)
    passing, not_isolation = np.ones(len(event), bool), np.ones(len(event), bool)
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
    for charge_class, chosen in (("OS", charge == 0), ("SS", np.abs(charge) == 2)):
        step = f"{charge_class} pairs"
        cutflow[step] = cutflow.get(step, 0) + int(np.count_nonzero(chosen & passing))
        kept = [(charge_class, chosen & passing)]
        if any("iso" in name for name, _ in passes):
            kept.append((f"{charge_class}_before_isolation", chosen & not_isolation))
        rows += [(table, {n: v[these] for n, v in columns.items()}) for table, these in kept]
    return rows


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
