"""Tables on disk: Parquet, HDF5 and NPZ files that grow batch by batch."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np

from fastjag.core.arrays import Array
from fastjag.core.checks import needs, one_of
from fastjag.io.hdf5 import NewHdf5
from fastjag.io.parquet import NewParquet
from fastjag.jagged.arrow import arrow_column, to_arrow_lists
from fastjag.reporting.output import new_file

FORMATS = ("parquet", "hdf5", "npz")

#: What holds lists of lists.
NESTED = ("parquet",)

#: Name of the offsets of a collection to them and to its columns by name.
Lists = Mapping[str, tuple[Array, Mapping[str, Array]]]


def write_parquet(path: str | os.PathLike[str], columns: Any) -> None:
    """A table of pyarrow, or columns by name, as one Parquet file."""
    with new_file(path) as partial, NewParquet(partial) as file:
        file.write(columns)


def read_parquet(
    path: str | os.PathLike[str], columns: Iterable[str] | None = None, most: int | None = None
) -> dict[str, Array]:
    """Columns by name, of the first ``most`` rows; lists of one length are further dimensions."""
    needs("pyarrow", "arrow")
    import pyarrow.parquet as pq

    with open(path, "rb") as file:  # of names that have a colon, pyarrow makes URLs
        table = pq.read_table(file, columns=None if columns is None else list(columns))
    return columns_of(table.slice(0, most))


def columns_of(table: Any) -> dict[str, Array]:
    """Columns of a table of pyarrow by name; lists of one length are further dimensions."""
    arrays = {}
    for name in table.column_names:
        column = table[name].combine_chunks()
        shape = [len(column)]
        while size := getattr(column.type, "list_size", None):
            shape.append(size)
            column = column.flatten()
        arrays[name] = column.to_numpy(zero_copy_only=False).reshape(shape)
    return arrays


def arrow_table(
    flat: Mapping[str, Array], lists: Lists, metadata: Mapping[bytes, str] | None = None
) -> Any:
    """A table of pyarrow: a column per array and per column of a collection."""
    import pyarrow as pa

    arrays: dict[str, Any] = {}
    for name, values in flat.items():
        arrays[name] = arrow_column(values)
    for offsets, columns in lists.values():
        for name, values in columns.items():
            arrays[name] = to_arrow_lists(offsets, values)
    return pa.table(arrays, metadata=metadata)


def read_lists(
    path: str | os.PathLike[str],
) -> tuple[dict[str, Array], dict[str, tuple[Array, Array]], dict[bytes, bytes]]:
    """Plain columns, lists as offsets (from 0) and values, and the metadata of a Parquet file."""
    needs("pyarrow", "arrow")
    import pyarrow.parquet as pq

    with open(path, "rb") as file:
        return lists_of(pq.read_table(file))


def lists_of(
    table: Any,
) -> tuple[dict[str, Array], dict[str, tuple[Array, Array]], dict[bytes, bytes]]:
    """The same of a table of pyarrow."""
    flat: dict[str, Array] = {}
    lists: dict[str, tuple[Array, Array]] = {}
    for field, chunks in zip(table.schema, table.columns, strict=True):
        array = chunks.combine_chunks()
        if not hasattr(field.type, "value_type"):
            flat[field.name] = array.to_numpy(zero_copy_only=False)
            continue
        offsets = array.offsets.to_numpy() if len(array) else np.zeros(1, np.int64)
        start, stop = int(offsets[0]), int(offsets[-1])
        values = array.values.slice(start, stop - start).to_numpy(zero_copy_only=False)
        lists[field.name] = (offsets - start, values)
    return flat, lists, table.schema.metadata or {}


def parquet_columns(path: str | os.PathLike[str]) -> list[str]:
    """Names of the columns of a Parquet file."""
    needs("pyarrow", "arrow")
    import pyarrow.parquet as pq

    with open(path, "rb") as file:
        return list(pq.read_schema(file).names)


# ---- columns and lists --------------------------------------------------------------------------


class _Parquet(NewParquet):
    def append(self, flat: Mapping[str, Array], lists: Lists) -> None:
        self.write(arrow_table(flat, lists))


class _Hdf5:
    def __init__(self, path: Path) -> None:
        self.path = path
        self._new: NewHdf5 | None = None
        self._names: dict[str, str] = {}

    def append(self, flat: Mapping[str, Array], lists: Lists) -> None:
        if self._new is None:
            self._new = NewHdf5(self.path)
            self._names = _hdf5_names(
                [*flat, *lists, *(name for _, columns in lists.values() for name in columns)]
            )
        for name, values in flat.items():
            self._append(self._new, name, values)
        for key, (offsets, columns) in lists.items():
            there = self._names[key] in self._new.file
            last = int(self._new.file[self._names[key]][-1]) if there else 0
            self._append(self._new, key, (offsets + last)[1 if there else 0 :])
            for name, values in columns.items():
                self._append(self._new, name, values)

    def _append(self, new: NewHdf5, column: str, values: Array) -> None:
        import h5py

        name = self._names[column]
        if values.dtype == object:
            values = values.astype(h5py.string_dtype())
        if name not in new.file:
            data = new.file.create_dataset(
                name, data=values, maxshape=(None, *values.shape[1:]), compression="lzf",
                chunks=(max(1, 65536 // max(1, values[:1].size)), *values.shape[1:]),
            )  # fmt: skip
            if name != column:
                data.attrs["name"] = column
        else:
            data = new.file[name]
            data.resize(len(data) + len(values), axis=0)
            data[len(data) - len(values) :] = values
        new.check()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if self._new is not None:
            self._new.__exit__(kind, error, traceback)


class _Npz:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.shard = 0

    def append(self, flat: Mapping[str, Array], lists: Lists) -> None:
        arrays = dict(flat)
        for key, (offsets, columns) in lists.items():
            arrays |= {key: offsets, **columns}
        with (
            new_file(f"{self.path}-{self.shard:04d}.npz") as partial,
            ZipFile(partial, "w", ZIP_DEFLATED) as file,
        ):
            for name, values in arrays.items():  # numpy.savez cannot call one "file"
                if values.dtype == object:
                    values = values.astype(str)
                with file.open(f"{name}.npy", "w", force_zip64=True) as entry:
                    np.lib.format.write_array(entry, values, allow_pickle=False)
        self.shard += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def _hdf5_names(columns: Iterable[str]) -> dict[str, str]:
    """Column to its dataset: its name, if HDF5 can have it beside the others.

    A name with slashes is one of a dataset in groups, so that x and x/y cannot be both.
    """
    own = list(columns)
    above = {}
    for column in own:
        parts = column.split("/")
        above[column] = {"/".join(parts[:i]) for i in range(1, len(parts))}
    names: dict[str, str] = {}
    taken = set(own)
    groups = {group for some in above.values() for group in some}
    for column in own:
        parts = column.split("/")
        if above[column] & taken or "\0" in column or not {"", "."}.isdisjoint(parts):
            name = column.replace("/", "_").replace("\0", "_").strip(".") or "_"
            while name in taken | groups:
                name += "_"
            taken.add(name)
            names[column] = name
        else:
            names[column] = column
    return names


TableWriter = _Parquet | _Hdf5 | _Npz


def table_writer(format: str, directory: Path, stem: str) -> TableWriter:
    """Writes ``stem.parquet``, ``stem.h5`` or ``stem-0000.npz``, ...: a context with
    ``append(flat, lists)`` for each batch, whose columns are always the same. Without any batch
    there is no file.
    """
    needs_of(format)
    if format == "parquet":
        return _Parquet(directory / f"{stem}.parquet")
    if format == "hdf5":
        return _Hdf5(directory / f"{stem}.h5")
    return _Npz(directory / stem)


def needs_of(format: str) -> None:
    """ValueError for a format that is none of FORMATS, ModuleNotFoundError naming what it needs."""
    one_of("format", format, FORMATS)
    if format != "npz":
        needs(*{"parquet": ("pyarrow", "arrow"), "hdf5": ("h5py", "cli")}[format])
