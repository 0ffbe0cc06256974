"""Padded tensors of jets on disk, in the form of CERN open data record 12102."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastjag import __version__
from fastjag.analyses.common.tables import needs_of, table_writer
from fastjag.analyses.jets.config import TensorsConfig
from fastjag.analyses.jets.features import padded_columns
from fastjag.analyses.jets.observables import images
from fastjag.analyses.jets.reading import JetReader
from fastjag.analyses.jets.results import TENSORS, tensor_files
from fastjag.reporting.output import results_directory, write_json


def tensors(
    reader: JetReader,
    out: str | os.PathLike[str],
    config: TensorsConfig = TensorsConfig(),
) -> dict[str, Any]:
    """Write ``out/jets.h5``, ``jets.parquet`` or ``jets-0000.npz``, ... and ``tensors.json``.

    Columns are those of :func:`fastjag.analyses.jets.features.padded_columns`, and ``image``
    (n_jets, 33, 33) if asked for. All files appear when the last one is complete.

    Returns what ``tensors.json`` holds. Raises ValueError where no jet is selected.
    """
    needs_of(config.format)
    slots = {"pfcand": config.candidates, "track": config.tracks, "sv": config.vertices}
    columns: dict[str, str] = {}

    def earlier(folder: Path) -> list[str]:
        """Of another format: they would be read along with the new ones."""
        return [path.name for path in tensor_files(folder)]

    with results_directory(out, earlier) as directory:
        with table_writer(config.format, directory, TENSORS) as writer:
            for batch in reader:
                table = padded_columns(batch, slots)
                if config.images:
                    table["image"] = images(batch)
                if columns and set(columns) != set(table):
                    odd = sorted(set(columns) ^ set(table))
                    raise ValueError(f"{batch.source.file}: has not the columns of the files before "
                                     f"it: {', '.join(odd[:5])}")  # fmt: skip
                columns = {k: f"{v.dtype} {v.shape[1:]}" for k, v in table.items()}
                writer.append(table, {})
        reader.check_not_empty()
        written = {
            "fastjag": __version__,
            "files": [f for f, _ in reader.files],
            "format": reader.format,
            "collection": reader.selection.jets,
            "jets": reader.n_selected,
            "jets read": reader.n_jets,
            "selection": {n: getattr(reader.selection, n) for n in ("min_pt", "max_abs_eta")},
            "slots": slots,
            "columns": columns,
            "skipped": [asdict(s) for s in reader.skipped],
        }
        write_json(directory / "tensors.json", written)
    return written
