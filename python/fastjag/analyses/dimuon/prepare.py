"""prepare: ROOT files to one table of pairs for each charge class, with every observable."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fastjag.analyses.dimuon.config import Config
from fastjag.analyses.dimuon.observables import (
    MUON_BRANCHES,
    OPTIONAL_BRANCHES,
    TRIGGERS,
    pair_columns,
)
from fastjag.arrays import Array, near_misses, needs
from fastjag.files import ReadError
from fastjag.io import Batch, Skipped, iterate
from fastjag.output import results_directory, write_json
from fastjag.selection import LumiMask

#: The tables: opposite-sign and same-sign pairs.
CLASSES = ("OS", "SS")


@dataclass
class Prepared:
    """Where the tables are, and what was cut on the way."""

    directory: Path
    cutflow: dict[str, int]
    absent: list[str]  #: triggers that a cut asks for and some files do not have
    skipped: list[Skipped] = field(default_factory=list)


def prepare(
    config: Config,
    out: str | os.PathLike[str],
    *,
    step: int | str = "100 MB",
    on_error: str = "raise",
    progress: bool | None = None,
    threads: int | None = None,
) -> Prepared:
    """Read the files of a configuration in batches and write ``OS.parquet`` and ``SS.parquet``.

    Events have two or more muons with ``config.muon_id``, a jet if ``require_jet``, and a certified
    luminosity section if ``golden_json``; the pair is that of the two such muons with the highest
    pt. All cuts of the configuration are applied but the window in mass. Tables and
    ``cutflow.json`` appear together when the last file is read.

    Raises ReadError naming file and branch that is missing, ValueError where nothing is left.
    """
    needs("pyarrow", "arrow")
    asked = [c for c in (*config.lower, *config.upper) if c.startswith("HLT_")]
    triggers = tuple(dict.fromkeys([*TRIGGERS, *asked]))
    certified = None if config.golden_json is None else LumiMask(config.golden_json)
    columns = [*MUON_BRANCHES, f"Muon_{config.muon_id}"]
    columns += ["run", "luminosityBlock"] if certified else []
    columns += ["Jet_pt"] if config.require_jet else []
    batches = iterate(
        list(config.files), columns, step=step, on_error=on_error, progress=progress,
        optional=[*OPTIONAL_BRANCHES, *triggers],
    )  # fmt: skip
    cutflow: dict[str, int] = {}
    absent: set[str] = set()
    with results_directory(out) as directory, ExitStack() as stack:
        tables = {c: _Table(directory / f"{c}.parquet", stack) for c in CLASSES}
        for batch in batches:
            absent.update(t for t in asked if t not in batch.flat)
            for charge_class, rows in _pairs(batch, config, certified, triggers, cutflow, threads):
                tables[charge_class].write(rows)
        if batches.n_events == 0:
            left_out = "; ".join(s.reason for s in batches.skipped)
            raise ValueError("the files hold no events" + (f" ({left_out})" if left_out else ""))
        if not any(table.rows for table in tables.values()):
            raise ValueError(f"no event passes all cuts: {_shown(cutflow)}")
        stack.close()
        write_json(
            directory / "cutflow.json",
            {
                "cutflow": cutflow,
                "absent_triggers": sorted(absent),
                "skipped": [asdict(s) for s in batches.skipped],
                "files": [f for f, _ in batches.files],
            },
        )
    return Prepared(Path(out), cutflow, sorted(absent), batches.skipped)


class _Table:
    """A Parquet file that grows batch by batch; the first one fixes the columns."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self.path, self.stack, self.rows = path, stack, 0
        self.writer: Any = None

    def write(self, columns: dict[str, Array]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.table(columns)
        if self.writer is None:
            self.writer = self.stack.enter_context(
                pq.ParquetWriter(self.path, table.schema, compression="zstd")
            )
        self.writer.write_table(table.select(self.writer.schema.names).cast(self.writer.schema))
        self.rows += table.num_rows


def _pairs(
    batch: Batch,
    config: Config,
    certified: LumiMask | None,
    triggers: Sequence[str],
    cutflow: dict[str, int],
    threads: int | None,
) -> list[tuple[str, dict[str, Array]]]:
    """The rows of each charge class that one batch gives."""
    if "Muon" not in batch.collections:
        raise ReadError(f"{batch.source}: Muon_pt and the other muon branches are not jagged")
    muons, jets = batch.Muon, batch.collections.get("Jet")
    good = muons[config.muon_id].astype(bool)
    keep = np.ones(len(batch), bool)

    def cut(name: str, passing: Array) -> None:
        keep[:] &= passing
        cutflow[name] = cutflow.get(name, 0) + int(np.count_nonzero(keep))

    cut("events read", keep)
    if certified is not None:
        cut("certified", certified(batch["run"], batch["luminosityBlock"]))
    n_good = muons.with_columns(good=good).aggregate("good", ["sum"])["sum"]
    cut(f"two {config.muon_id} muons", n_good >= 2)
    if config.require_jet and jets is not None:
        cut("a jet", jets.counts >= 1)
    charge, columns = pair_columns(muons, jets, good, threads=threads)
    event = columns.pop("event")
    inside = keep[event]
    columns = {name: values[inside] for name, values in columns.items()}
    charge, event = charge[inside], event[inside]
    for trigger in triggers:
        fired = batch.flat.get(trigger)
        columns[trigger] = (
            np.zeros(len(event), bool) if fired is None else fired.astype(bool)[event]
        )
    passing = np.ones(len(event), bool)
    for bounds, sign, test in (
        (config.lower, ">=", np.greater_equal),
        (config.upper, "<=", np.less_equal),
    ):
        for name, bound in bounds.items():
            if name not in columns:
                raise ReadError(
                    f"{batch.source}: the cut on {name} needs branches that the file has not: "
                    f"{near_misses(name, columns)}"
                )
            passing &= test(columns[name], bound)
            step = f"{name} {sign} {bound:g}"
            cutflow[step] = cutflow.get(step, 0) + int(np.count_nonzero(passing))
    rows = []
    for charge_class, chosen in (("OS", charge == 0), ("SS", np.abs(charge) == 2)):
        chosen &= passing
        step = f"{charge_class} pairs"
        cutflow[step] = cutflow.get(step, 0) + int(np.count_nonzero(chosen))
        rows.append((charge_class, {name: values[chosen] for name, values in columns.items()}))
    return rows


def _shown(cutflow: dict[str, int]) -> str:
    return ", ".join(f"{step} {n:,}" for step, n in cutflow.items())
