"""Tables of features with labels and weights, from Parquet, CSV and npz files."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastjag.core.checks import first_line, near_misses, needs

Floats = NDArray[np.float64]


@dataclass
class FeatureTable:
    """n events that have numbers in every column asked for."""

    features: Floats  #: (n, F)
    labels: NDArray[Any]  #: (n,) numbers or texts
    weights: Floats | None  #: (n,)
    names: list[str]  #: of the features
    file: str
    n_read: int
    missing: dict[str, int]  #: column to number of events left out because it is no number there
    not_numbers: list[str]  #: columns left out


def read_table(
    path: str | os.PathLike[str],
    label: str,
    weight: str | None = None,
    features: Iterable[str] | None = None,
) -> FeatureTable:
    """Read ``.parquet``, ``.csv`` or ``.npz``.

    Features are by default all columns of numbers but ``label`` and ``weight``. An npz file holds
    columns (n,), or blocks of them (n, m), whose columns are then called name[0], name[1], ...
    Events without a number (NaN, infinity, null) in a feature or weight, or without a label, are
    left out and counted.

    Raises FileNotFoundError, and ValueError naming file and column.
    """
    file = Path(path)
    if not file.exists():
        raise FileNotFoundError(f"{file}: no such file")
    columns = _READERS.get(file.suffix.lower(), _unknown)(file)
    asked = [label, *([weight] if weight else []), *(features or [])]
    for name in asked:
        if name not in columns:
            raise ValueError(f"{file}: no column {name!r}: {near_misses(name, columns)}")
    if features is None:
        others = [name for name in columns if name not in (label, weight)]
        chosen = [name for name in others if _is_numeric(columns[name])]
        left_out = [name for name in others if name not in chosen]
    else:
        chosen, left_out = list(dict.fromkeys(features)), []
        if {label, weight} & set(chosen):
            raise ValueError(f"{file}: label and weight cannot be features, got {chosen}")
    if not chosen:
        raise ValueError(f"{file}: no column of numbers besides {label!r}")
    numbers = {n: _numbers(file, n, columns[n]) for n in [*chosen, *([weight] if weight else [])]}
    labels = np.asarray(columns[label])
    kept = np.ones(len(labels), bool)
    missing = {}
    for name, values in numbers.items():
        missing[name] = int(np.count_nonzero(~np.isfinite(values)))
        kept &= np.isfinite(values)
    unlabelled = _without_label(labels)
    missing[label] = int(np.count_nonzero(unlabelled))
    kept &= ~unlabelled
    if not kept.any():
        worst = max(missing, key=lambda name: missing[name])
        raise ValueError(
            f"{file}: none of {len(labels)} events has numbers in all columns"
            + (f" ({worst!r} lacks {missing[worst]})" if len(labels) else "")
        )
    return FeatureTable(
        np.column_stack([numbers[name][kept] for name in chosen]),
        _plain(labels[kept]),
        numbers[weight][kept] if weight else None,
        chosen, str(file), len(labels), {n: k for n, k in missing.items() if k}, left_out,
    )  # fmt: skip


def _arrow(file: Path, read: Any) -> dict[str, NDArray[Any]]:
    try:
        table = read(str(file))
    except Exception as error:
        raise ValueError(f"{file}: cannot be read: {first_line(error)}") from error
    names = table.column_names
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{file}: columns of one name: {', '.join(map(repr, twice))}")
    return {name: table.column(name).to_numpy() for name in names}


def _parquet(file: Path) -> dict[str, NDArray[Any]]:
    needs("pyarrow", "arrow")
    import pyarrow.parquet

    def read(path: str) -> Any:
        with open(path, "rb") as content:  # of names that have a colon, pyarrow makes URLs
            return pyarrow.parquet.read_table(content)

    return _arrow(file, read)


def _csv(file: Path) -> dict[str, NDArray[Any]]:
    needs("pyarrow", "arrow")
    import pyarrow.csv

    return _arrow(file, pyarrow.csv.read_csv)


def _npz(file: Path) -> dict[str, NDArray[Any]]:
    columns: dict[str, NDArray[Any]] = {}
    try:
        with np.load(file, allow_pickle=False) as content:
            arrays = {name: content[name] for name in content.files}
    except (ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"{file}: cannot be read: {first_line(error)}") from error
    for name, array in arrays.items():
        if array.ndim == 1:
            columns[name] = array
        elif array.ndim == 2:
            columns |= {f"{name}[{i}]": column for i, column in enumerate(array.T)}
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"{file}: columns of different lengths: {lengths}")
    return columns


def _unknown(file: Path) -> dict[str, NDArray[Any]]:
    raise ValueError(f"{file}: is no table: accepted are {', '.join(_READERS)}")


_READERS = {".parquet": _parquet, ".csv": _csv, ".npz": _npz}


def _is_numeric(column: NDArray[Any]) -> bool:
    return column.dtype.kind in "biuf"


def _numbers(file: Path, name: str, column: NDArray[Any]) -> Floats:
    if not _is_numeric(column):
        raise ValueError(f"{file}: column {name!r} is not of numbers, but {column.dtype}")
    return column.astype(np.float64)


def _without_label(labels: NDArray[Any]) -> NDArray[np.bool_]:
    if labels.dtype.kind == "f":
        return np.asarray(np.isnan(labels))
    if labels.dtype.kind == "O":
        return np.array([value is None for value in labels], bool)
    return np.zeros(len(labels), bool)


def _plain(labels: NDArray[Any]) -> NDArray[Any]:
    """Texts as NumPy's, and classes that became floats for a null as the integers they were."""
    if labels.dtype.kind == "O":
        return labels.astype(str)
    if labels.dtype.kind == "f" and (labels == np.rint(labels)).all():
        return labels.astype(np.int64)
    return labels
