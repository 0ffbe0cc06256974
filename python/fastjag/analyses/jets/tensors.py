"""Padded tensors of jets on disk, in the form of CERN open data record 12102."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fastjag import __version__
from fastjag.analyses.common.runs import HERE, Workers
from fastjag.analyses.common.tables import arrow_table, columns_of, needs_of, table_writer
from fastjag.analyses.jets.config import TensorsConfig
from fastjag.analyses.jets.features import padded_columns
from fastjag.analyses.jets.observables import images
from fastjag.analyses.jets.reading import JetFormat, JetReader
from fastjag.analyses.jets.results import TENSORS, tensor_files
from fastjag.batch.parts import Tables, parts_folder, read_part, write_parts
from fastjag.core.checks import needs
from fastjag.core.devices import to_host
from fastjag.io import Batch
from fastjag.reporting.output import results_directory, write_json


def tensors(
    reader: JetReader,
    out: str | os.PathLike[str],
    config: TensorsConfig = TensorsConfig(),
    *,
    workers: Workers = HERE,
) -> dict[str, Any]:
    """Write ``out/jets.h5``, ``jets.parquet`` or ``jets-0000.npz``, ... and ``tensors.json``.

    Columns are those of :func:`fastjag.analyses.jets.features.padded_columns`, and ``image``
    (n_jets, 33, 33) if asked for, of files that ``workers`` read. All files appear when the last one is complete.

    Returns what ``tensors.json`` holds. Raises ValueError where no jet is selected.
    """
    needs_of(config.format)
    needs("pyarrow", "arrow")
    slots = {"pfcand": config.candidates, "track": config.tracks, "sv": config.vertices}

    def earlier(folder: Path) -> list[str]:
        """Of another format: they would be read along with the new ones."""
        return [path.name for path in tensor_files(folder)]

    with results_directory(out, earlier) as directory:
        with parts_folder(workers.keep, directory) as folder:
            read = reader.read(_Pad(reader.form, slots, config.images, folder), workers, _merge)
            found: _Padded = read.value or _Padded({}, 0, 0, {})
            reader.check_not_empty(found.n_selected, found.n_jets, read.reasons)
            with table_writer(config.format, directory, TENSORS) as writer:
                for part in found.tables[TENSORS]:
                    writer.append(columns_of(read_part(part)), {})
        written = {
            "fastjag": __version__,
            "files": [f for f, _ in reader.files],
            "format": reader.format,
            "collection": reader.selection.jets,
            "jets": found.n_selected,
            "jets read": found.n_jets,
            "selection": {n: getattr(reader.selection, n) for n in ("min_pt", "max_abs_eta")},
            "slots": slots,
            "columns": found.columns,
            "skipped": [asdict(s) for s in read.skipped],
        }
        write_json(directory / "tensors.json", written)
    return written


@dataclass
class _Padded(Tables):
    """Of the jets of some events; merged, of all."""

    n_jets: int  #: read
    n_selected: int
    columns: dict[str, str]  #: with their types and shapes; none where no jet is selected
    file: str = ""


@dataclass(frozen=True)
class _Pad:
    """What workers do with a batch of events."""

    form: JetFormat
    slots: dict[str, int]
    images: bool
    folder: str  #: for rows

    def __call__(self, events: Batch) -> _Padded:
        batch, n = self.form.jets(events)
        if len(batch) == 0:
            return _Padded({}, n, 0, {})
        table = padded_columns(batch, self.slots)
        if self.images:
            table["image"] = images(batch)
        on_host = {name: to_host(values) for name, values in table.items()}
        parts = write_parts(self.folder, {TENSORS: arrow_table(on_host, {})})
        columns = {k: f"{v.dtype} {v.shape[1:]}" for k, v in table.items()}
        return _Padded(parts, n, len(batch), columns, batch.source.file)


def _merge(a: _Padded, b: _Padded) -> _Padded:
    """The second one's events follow those of the first; ValueError where its columns are others."""
    if a.columns and b.columns and set(a.columns) != set(b.columns):
        odd = sorted(set(a.columns) ^ set(b.columns))
        raise ValueError(
            f"{b.file}: has not the columns of the files before it: {', '.join(odd[:5])}"
        )
    tables = {name: [*a.tables.get(name, ()), *b.tables.get(name, ())]
              for name in {**a.tables, **b.tables}}  # fmt: skip
    return _Padded(tables, a.n_jets + b.n_jets, a.n_selected + b.n_selected, a.columns or b.columns,
                   a.file or b.file)  # fmt: skip
