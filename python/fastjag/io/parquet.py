"""Parquet files that grow table by table."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from fastjag.core.checks import needs
from fastjag.reporting.output import writing


class NewParquet:
    """A Parquet file that grows table by table, as a context; the first one fixes the columns.

    ``path`` is where to write (:func:`fastjag.reporting.output.new_file`). Without any table there is no file.
    """

    def __init__(self, path: Path) -> None:
        needs("pyarrow", "arrow")
        self.path, self.rows = path, 0
        self._file: Any = None
        self._writer: Any = None

    def write(self, table: Any) -> None:
        """A table of pyarrow, or columns by name."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not isinstance(table, pa.Table):
            table = pa.table(dict(table))
        if self._writer is None:
            # Opened here: pyarrow takes no names that are not UTF-8.
            self._file = open(self.path, "wb")  # noqa: SIM115
            self._writer = pq.ParquetWriter(self._file, table.schema, compression="zstd")
        schema = self._writer.schema
        if table.schema != schema:
            table = table.select(schema.names).cast(schema)
        with writing(self.path):
            self._writer.write_table(table)
        self.rows += table.num_rows

    def close(self) -> None:
        if self._writer is not None:
            with writing(self.path), self._file:
                self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        try:
            self.close()
        except OSError:
            if error is None:  # otherwise that one came first
                raise
