"""Rates and windows as CSV, written here or by hand."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from fastjag.analyses.rates.config import SectionWindow
from fastjag.analyses.rates.rates import SECTION_SECONDS, Rate
from fastjag.core.checks import near_misses
from fastjag.reporting.output import new_file

_WHOLE = ("run", "first", "last", "sections", "seen", "counts")


def write_csv(path: str | os.PathLike[str], rows: Sequence[Rate] | Sequence[SectionWindow]) -> None:
    """A CSV for :func:`read_rates` or :func:`read_windows`; what is not known stays empty."""
    with new_file(path) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [f.name for f in fields(rows[0])])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def read_rates(path: str | os.PathLike[str]) -> list[Rate]:
    """Rates of a CSV, as written or entered by hand, for example from a monitoring page.

    Columns are the fields of :class:`Rate`; there must be ``rate``, or ``counts`` with ``sections``
    or ``seconds``. A missing error is rate / sqrt(counts), missing seconds with both counts and
    rate are counts / rate. Raises ValueError naming file, line and column.
    """
    return [_rate(where, row) for where, row in _rows(path, [f.name for f in fields(Rate)])]


def _rate(where: str, row: dict[str, Any]) -> Rate:
    n, rate, seconds = row.get("counts"), row.get("rate"), row.get("seconds")
    if seconds is None and row.get("sections") is not None:
        seconds = row["sections"] * SECTION_SECONDS
    if rate is None:
        if n is None or not seconds:
            raise ValueError(f"{where}: needs a rate, or counts with sections or seconds")
        rate = n / seconds
    elif seconds is None and n and rate:
        seconds = n / rate
    for name, value in {**row, "rate": rate}.items():
        may_be_0 = name in ("rate", "counts", "error")
        if name != "trigger" and (value < 0 or (value == 0 and not may_be_0)):
            raise ValueError(f"{where}: {name} must be positive, got {value!r}")
    error = row.get("error")
    if error is None and n is not None:
        error = rate / np.sqrt(n) if n else (1 / seconds if seconds else None)
    given = {"trigger": "trigger", **row, "rate": float(rate), "seconds": seconds}
    return Rate(**given | {"error": None if error is None else float(error)})


def read_windows(path: str | os.PathLike[str]) -> list[SectionWindow]:
    """Windows of a CSV whose columns are the fields of SectionWindow; only ``run`` is needed."""
    windows = []
    for where, row in _rows(path, [f.name for f in fields(SectionWindow)]):
        if "run" not in row:
            raise ValueError(f"{where}: has no run")
        try:
            windows.append(SectionWindow(**row))
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None
    return windows


def _rows(path: str | os.PathLike[str], known: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(file and line, cells that are not empty) of a CSV with a header."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file")
    with open(path, newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file, skipinitialspace=True)
        names = list(reader.fieldnames or [])
        for name in names:
            if name not in known:
                raise ValueError(f"{path}: unknown column {name!r}: {near_misses(name, known)}")
            if names.count(name) > 1:
                raise ValueError(f"{path}: there are two columns {name!r}")
        where = ""
        for row in reader:
            where = f"{path}, line {reader.line_num}"
            if None in row or None in row.values():
                raise ValueError(f"{where}: {len(reader.fieldnames or [])} cells are expected")
            filled = {name: text.strip() for name, text in row.items() if text.strip()}
            yield where, {name: _cell(where, name, text) for name, text in filled.items()}
    if not where:
        raise ValueError(f"{path}: holds no rows")


def _cell(where: str, name: str, text: str) -> Any:
    if name == "trigger":
        return text
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{where}: {name} is not a number: {text!r}") from None
    if not np.isfinite(value) or (name in _WHOLE and value != int(value)):
        raise ValueError(f"{where}: {name} cannot be {text!r}")
    return int(value) if name in _WHOLE else value
