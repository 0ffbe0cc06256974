"""In which order steps cut with the least work."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import replace
from typing import Any

from fastjag.io.files import Files, find_files
from fastjag.io.reader import Reader
from fastjag.io.sources import Access
from fastjag.schemas import Schema
from fastjag.selection.bubbling import Alive, Step
from fastjag.selection.columns import EntryColumns


def cheapest_first(
    files: Files,
    steps: Iterable[Step],
    *,
    n_events: int = 10_000,
    schema: Schema | None = None,
    storage_options: Mapping[str, Any] | None = None,
    cache: str | os.PathLike[str] | None = None,
) -> list[Step]:
    """The steps by ascending cost / (1 - share that passes), which makes the work smallest.

    Measured with the first events of the first file that has any: each step on all of them, so it
    must be able to judge events that others would have rejected. ``cost`` is the bytes of its
    columns per event, decompressed, as time would give another order every time; both numbers are
    kept in the steps. ``storage_options`` and ``cache`` as in :func:`fastjag.iterate`.
    """
    measured, access = list(steps), Access.of(storage_options, cache)
    for path, tree in find_files(files, access):
        reader = Reader(path, tree, schema, access)
        with closing(reader):
            if reader.n_entries == 0:
                continue
            n = min(n_events, reader.n_entries)
            for i, step in enumerate(measured):
                names = reader.branches(step.columns)
                columns = EntryColumns(reader, names)
                batch = Alive(reader, columns, 0, n)
                try:
                    left = batch.cut(step, names)
                finally:
                    columns.close()
                stored = reader.stored_bytes(names) / reader.n_entries
                cost = stored or columns.counters.bytes_copied / n
                measured[i] = replace(step, cost=cost, passed=left / n)
            return sorted(measured, key=_rank)
    return measured


def _rank(step: Step) -> float:
    if step.cost is None or step.passed is None or step.passed == 1:
        return float("inf")
    return step.cost / (1 - step.passed)
