"""Padded tensors of jets on disk, in the form of CERN open data record 12102, and back."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fastjag.analyses.common.tables import needs_of, table_writer
from fastjag.analyses.jets.features import FEATURES, IMPACT_FEATURES, SLOTS, images, padded_columns
from fastjag.analyses.jets.reading import JetReader
from fastjag.core.arrays import Array
from fastjag.core.checks import near_misses, needs
from fastjag.reporting.output import results_directory, write_json

_NAME = "jets"
_ENDINGS = {".h5": "hdf5", ".parquet": "parquet", ".npz": "npz"}


def write_tensors(
    reader: JetReader,
    out: str | os.PathLike[str],
    *,
    format: str = "hdf5",
    slots: Mapping[str, int] = SLOTS,
    with_images: bool = False,
    version: str = "",
) -> dict[str, Any]:
    """Write ``out/jets.h5``, ``jets.parquet`` or ``jets-0000.npz``, ... and ``tensors.json``.

    Columns are those of :func:`fastjag.analyses.jets.features.padded_columns`, and ``image``
    (n_jets, 33, 33) with ``with_images``. All files appear when the last one is complete.

    Returns what ``tensors.json`` holds. Raises ValueError where no jet is selected.
    """
    needs_of(format)
    columns: dict[str, str] = {}

    def earlier(folder: Path) -> list[str]:
        """Of another format: they would be read along with the new ones."""
        return [path.name for path in _files(folder)]

    with results_directory(out, earlier) as directory:
        with table_writer(format, directory, _NAME) as writer:
            for batch in reader:
                table = padded_columns(batch, slots)
                if with_images:
                    table["image"] = images(batch)
                if columns and set(columns) != set(table):
                    odd = sorted(set(columns) ^ set(table))
                    raise ValueError(f"{batch.source.file}: has not the columns of the files before "
                                     f"it: {', '.join(odd[:5])}")  # fmt: skip
                columns = {k: f"{v.dtype} {v.shape[1:]}" for k, v in table.items()}
                writer.append(table, {})
        reader.check_not_empty()
        written = {
            "fastjag": version,
            "files": [f for f, _ in reader.files],
            "format": reader.format,
            "collection": reader.collection,
            "jets": reader.n_selected,
            "jets read": reader.n_jets,
            "selection": {"min_pt": reader.min_pt, "max_abs_eta": reader.max_abs_eta},
            "slots": dict(slots),
            "columns": columns,
            "skipped": [asdict(s) for s in reader.skipped],
        }
        write_json(directory / "tensors.json", written)
    return written


def _files(folder: Path) -> list[Path]:
    found = [folder / f"{_NAME}.h5", folder / f"{_NAME}.parquet", *folder.glob(f"{_NAME}-*.npz")]
    return sorted(p for p in found if p.exists())


@dataclass(frozen=True)
class Table:
    """Columns by name: (n_jets,) or (n_jets, slots)."""

    columns: dict[str, Array]
    source: str

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    def __getitem__(self, name: str) -> Array:
        try:
            return self.columns[name]
        except KeyError:
            raise KeyError(
                f"{self.source}: no column {name!r}: {near_misses(name, self.columns)}"
            ) from None

    def tensor(self, collection: str, slots: int | None = None) -> tuple[Array, Array, list[str]]:
        """(n_jets, slots, F) values, mask and names of the features of ``pfcand``, ``track``, ``sv``."""
        prefix = f"{collection}_"
        names = [n for n in self.columns if n.startswith(prefix) and n != f"{prefix}pt"]
        # HDF5 lists names by the alphabet: the order must not depend on the format.
        order = [f"{prefix}{n}" for n in (*FEATURES, *IMPACT_FEATURES)]
        names.sort(key=lambda n: (order.index(n) if n in order else len(order), n))
        if not names:
            raise ValueError(f"{self.source}: no columns {prefix}*, such as tensors have")
        values = np.stack([self.columns[n][:, :slots] for n in names], axis=-1)
        count = self["n_sv" if collection == "sv" else f"n_{collection}s"]
        mask = np.arange(values.shape[1]) < count[:, None]
        return values, mask, [n.removeprefix(prefix) for n in names]


def read_tensors(path: str | os.PathLike[str], max_jets: int | None = None) -> Table:
    """The columns that :func:`write_tensors` left in a folder or file, the first ``max_jets`` rows."""
    source = Path(path)
    files = _files(source) if source.is_dir() else [source]
    if not files or not files[0].is_file():
        raise FileNotFoundError(f"{source}: no tensors there; make them with: fastjag jets tensors")
    kind = _ENDINGS.get(files[0].suffix)
    if kind is None:
        raise ValueError(f"{files[0]}: tensors end in {', '.join(_ENDINGS)}")
    read = {"hdf5": _read_hdf5, "parquet": _read_parquet, "npz": _read_npz}[kind]
    columns = read(files, max_jets)
    if not columns or not len(next(iter(columns.values()))):
        raise ValueError(f"{source}: holds no jets")
    return Table(columns, str(source))


def _read_hdf5(files: list[Path], most: int | None) -> dict[str, Array]:
    needs("h5py", "cli")
    import h5py

    with h5py.File(files[0]) as file:
        return {name: file[name][:most] for name in file if name != "image"}


def _read_parquet(files: list[Path], most: int | None) -> dict[str, Array]:
    needs("pyarrow", "arrow")
    import pyarrow.parquet as pq

    table = pq.read_table(files[0]).slice(0, most).combine_chunks()
    columns = {}
    for name in table.column_names:
        if name != "image":
            column = table[name].combine_chunks()
            width = getattr(column.type, "list_size", None)
            flat = (column.flatten() if width else column).to_numpy(zero_copy_only=False)
            columns[name] = flat.reshape(len(column), width) if width else flat
    return columns


def _read_npz(files: list[Path], most: int | None) -> dict[str, Array]:
    shards, n = [], 0
    for path in files:
        with np.load(path) as shard:
            shards.append({name: shard[name] for name in shard.files if name != "image"})
        n += len(next(iter(shards[-1].values())))
        if most is not None and n >= most:
            break
    return {name: np.concatenate([s[name] for s in shards])[:most] for name in shards[0]}
