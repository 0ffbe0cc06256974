"""Tables with a row per event: workers leave parts of them in files, which are joined in order."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any
from uuid import uuid4

from fastjag.io.parquet import NewParquet
from fastjag.reporting.locks import partial_directory
from fastjag.reporting.output import new_file, writing

_GROUP = 20_000  # rows that are written at once
_PARTS = "parts"


@dataclass(frozen=True)
class Part:
    """Some rows of a table, as Arrow's stream of bytes within a file."""

    path: str
    start: int
    size: int
    rows: int
    digest: bytes  #: of these bytes


@dataclass
class Tables:
    """A result of a range with rows of tables; analyses add what else they count.

    Merged, the parts of each table are in the order of events.
    """

    tables: dict[str, list[Part]]

    def is_there(self) -> bool:
        """Whether all parts are whole, without which a kept result is of no use."""
        try:
            return all(
                _digest(_bytes(p)) == p.digest for some in self.tables.values() for p in some
            )
        except OSError:
            return False

    def rows(self, table: str) -> int:
        return sum(part.rows for part in self.tables.get(table, ()))


@contextmanager
def parts_folder(keep: str | os.PathLike[str] | None, beside: Path) -> Iterator[str]:
    """Where workers leave parts: with the results that they keep, else ``beside`` until the block ends."""
    if keep is None:
        with partial_directory(beside) as folder:
            yield str(folder.absolute())
        return
    folder = Path(keep).absolute() / _PARTS
    folder.mkdir(parents=True, exist_ok=True)
    yield str(folder)


def write_parts(folder: str, tables: Mapping[str, Any]) -> dict[str, list[Part]]:
    """Tables of pyarrow, or columns by name, in one new file whose name no other worker has."""
    import pyarrow as pa

    path = os.path.join(folder, f"{uuid4().hex}.arrow")
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    parts: dict[str, list[Part]] = {}
    with writing(path), open(path, "xb") as file:
        for name, given in tables.items():
            table = given if isinstance(given, pa.Table) else pa.table(dict(given))
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, table.schema, options=options) as stream:
                stream.write_table(table)
            content = memoryview(sink.getvalue())
            start = file.tell()
            file.write(content)
            part = Part(path, start, len(content), table.num_rows, _digest(content))
            parts[name] = [part]
        file.flush()
        os.fsync(file.fileno())
    return parts


def read_part(part: Part) -> Any:
    """A table of pyarrow; OSError naming a file that is gone or damaged."""
    import pyarrow as pa

    content = _bytes(part)
    if _digest(content) != part.digest:
        raise OSError(f"{part.path}: is damaged: rows that a worker left there")
    return pa.ipc.open_stream(pa.py_buffer(content)).read_all()


def joined(parts: Iterable[Part]) -> Iterator[Any]:
    """Tables of pyarrow, each of so many parts that it is worth a group of rows."""
    import pyarrow as pa

    waiting: list[Any] = []
    for part in parts:
        table = read_part(part)
        if waiting and waiting[0].schema != table.schema:
            yield pa.concat_tables(waiting)
            waiting = []
        waiting.append(table)
        if sum(t.num_rows for t in waiting) >= _GROUP:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)


def join(path: str | os.PathLike[str], parts: Iterable[Part]) -> int:
    """Write parts, one after the other, as one Parquet file; the number of rows. Without any part there is none."""
    remaining = list(parts)
    if not remaining:
        return 0
    with new_file(path) as partial, NewParquet(partial) as file:
        for table in joined(remaining):
            file.write(table)
    return file.rows


def _bytes(part: Part) -> bytes:
    with open(part.path, "rb") as file:
        file.seek(part.start)
        return file.read(part.size)


def _digest(content: bytes | memoryview) -> bytes:
    return blake2b(content, digest_size=16).digest()
