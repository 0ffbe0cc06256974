"""Tables for HEPData: the numbers of curves, in the YAML that its submissions have."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastjag.core.checks import needs
from fastjag.reporting.output import results_directory, write_text


@dataclass(frozen=True)
class HepColumn:
    """A variable of a table: its name, its unit, and a number, or the ends of a bin, for each row."""

    name: str
    values: ArrayLike  #: (rows,), or (rows, 2) for bins
    unit: str = ""
    #: by their label, (rows,) of symmetric ones, or (2, rows) below and above, both not negative
    errors: Mapping[str, ArrayLike] = field(default_factory=dict)


@dataclass(frozen=True)
class HepTable:
    """A table of HEPData: what the columns ``of`` depend on, and the columns of what was measured."""

    name: str
    description: str
    of: Sequence[HepColumn]
    columns: Sequence[HepColumn]
    location: str = ""  #: in the publication, such as "Figure 3"


def write_hepdata(
    folder: str | os.PathLike[str], tables: Sequence[HepTable], *, comment: str = "",
    energy: float | None = None,
) -> None:  # fmt: skip
    """Write ``submission.yaml`` and a file for each table into ``folder``, which is made.

    ``energy`` [GeV] is that of the collisions, for the search of HEPData. What is no number, as a limit
    that was not found, is "-". Raises ValueError, before anything is written, for columns of
    different lengths, names that are taken twice, and tables without columns.
    """
    needs("yaml", "statistics")
    import yaml

    names = [table.name for table in tables]
    if len(set(names)) < len(names):
        raise ValueError(f"tables must have different names, got {names}")
    if not tables:
        raise ValueError("tables must have at least one table")
    contents = [_content(table) for table in tables]
    keywords = [] if energy is None else [{"name": "cmenergies", "values": [float(energy)]}]
    documents: list[dict[str, Any]] = [{"comment": comment or "Tables written by fastjag."}]
    with results_directory(folder) as directory:
        for i, (table, content) in enumerate(zip(tables, contents, strict=True), 1):
            file = f"table_{i}.yaml"
            write_text(Path(directory) / file, yaml.safe_dump(content, sort_keys=False))
            documents.append(
                {"name": table.name, "location": table.location or "Data from the report",
                 "description": table.description, "keywords": keywords, "data_file": file}
            )  # fmt: skip
        text = yaml.safe_dump_all(documents, sort_keys=False, allow_unicode=True)
        write_text(Path(directory) / "submission.yaml", text)


def _content(table: HepTable) -> dict[str, Any]:
    rows = {np.asarray(column.values).shape[0] for column in (*table.of, *table.columns)}
    if not table.of or not table.columns or len(rows) != 1:
        raise ValueError(
            f"table {table.name!r} needs columns of one length, of both kinds, got lengths {sorted(rows)}"
        )
    return {
        "independent_variables": [_column(column, table.name) for column in table.of],
        "dependent_variables": [_column(column, table.name) for column in table.columns],
    }


def _column(column: HepColumn, table: str) -> dict[str, Any]:
    header = {"name": column.name} | ({"units": column.unit} if column.unit else {})
    values = np.asarray(column.values, np.float64)
    if values.ndim == 2:
        return {"header": header, "values": [
            {"low": float(low), "high": float(high)} for low, high in values]}  # fmt: skip
    cells: list[dict[str, Any]] = [{"value": _number(x)} for x in values]
    for label, given in column.errors.items():
        error = np.asarray(given, np.float64)
        if error.shape not in (values.shape, (2, *values.shape)):
            raise ValueError(
                f"errors {label!r} of {column.name!r} in table {table!r} must have shape {values.shape} or "
                f"{(2, *values.shape)}, got {error.shape}"
            )
        for i, cell in enumerate(cells):
            if not np.isfinite(error[..., i]).all():
                continue
            one: dict[str, Any] = (
                {"symerror": float(error[i])} if error.ndim == 1 else
                {"asymerror": {"minus": -float(error[0, i]), "plus": float(error[1, i])}}
            )  # fmt: skip
            cell.setdefault("errors", []).append({**one, "label": label})
    return {"header": header, "values": cells}


def _number(x: float) -> float | str:
    return float(x) if math.isfinite(x) else "-"
