"""Toys as chunks in memory and as NanoAOD files."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from numbers import Integral
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from fastjag.core.arrays import Array
from fastjag.core.checks import near_misses, needs, one_of
from fastjag.jagged import Jagged
from fastjag.reporting.output import new_file
from fastjag.reporting.progress import progress_bar
from fastjag.toys.events import CHUNK, Maker
from fastjag.toys.parameters import BRANCHES, ToyParameters

_PATIENCE = 2.0  # seconds of silence before a progress bar


def generate(
    n_events: int,
    seed: int = 0,
    parameters: ToyParameters | None = None,
    columns: Iterable[str] | None = None,
) -> Iterator[dict[str, Any]]:
    """Events in chunks of `CHUNK` (the last one shorter).

    Parameters
    ----------
    n_events, seed
        Integers >= 0. The same seed gives the same events, and the first n of a longer run: bit by
        bit on one kind of CPU and NumPy version, whose vectorised functions differ in last digits.
    parameters
        The physics; :class:`ToyParameters` by default.
    columns
        Names out of `BRANCHES`; all by default.

    Yields
    ------
    dict
        "Muon" and "Jet" as :class:`fastjag.Jagged` with columns like "pt", muons and jets by
        descending pt, and the other branches as arrays by their names ("MET_pt", "event").
        Those without any of ``columns`` are left out.
    """
    names = _check_columns(columns)
    total = _check_integer("n_events", n_events)
    maker = Maker(_check_integer("seed", seed), parameters or ToyParameters(), names)
    return _chunks(maker, total)


def _chunks(maker: Maker, n_events: int) -> Iterator[dict[str, Any]]:
    for index, start in enumerate(range(0, n_events, CHUNK)):
        chunk = maker.chunk(index)
        # A whole chunk is made and cut, so that fewer events are the first of more events.
        left = n_events - start
        yield {k: v[:left] for k, v in chunk.items()} if left < CHUNK else chunk


def write(
    path: str | os.PathLike[str],
    n_events: int,
    *,
    seed: int = 0,
    parameters: ToyParameters | None = None,
    columns: Iterable[str] | None = None,
    compression: str = "lz4",
    format: str = "ttree",
    progress: bool | None = None,
) -> Path:
    """Write the events of :func:`generate` to a ROOT file in NanoAOD layout.

    The file holds ``Events`` (branches such as Muon_pt, counted by nMuon) and ``fastjag_toys``, a
    JSON string with seed, number of events and parameters. It appears under its name when it is
    complete; after an error or an interrupt nothing stays.

    Parameters
    ----------
    compression
        "lz4", "zstd", "zlib" or "none".
    format
        "ttree" or "rntuple".
    progress
        Whether to show a progress bar: by default on a terminal, after two seconds.

    Returns
    -------
    Path
        ``path``.
    """
    needs("uproot", "io")
    needs("awkward", "io")
    import uproot

    target = Path(path)
    names = _check_columns(columns)
    chosen = parameters or ToyParameters()
    chunks = generate(n_events, seed, chosen, names)
    one_of("compression", compression, ("lz4", "zstd", "zlib", "none"))
    one_of("format", format, ("ttree", "rntuple"))
    level = {"lz4": uproot.LZ4, "zstd": uproot.ZSTD, "zlib": uproot.ZLIB}
    record = {
        "generator": "fastjag.toys",
        "n_events": int(n_events),
        "seed": int(seed),
        "chunk": CHUNK,
        "columns": names,
        "parameters": chosen.to_dict(),
    }
    how = level[compression](1) if compression in level else None
    with (
        new_file(target) as partial,
        uproot.recreate(partial, compression=how) as file,
        _Bar(int(n_events), progress) as bar,
    ):
        file["fastjag_toys"] = json.dumps(record)
        to_rows = _rntuple_rows if format == "rntuple" else _ttree_rows
        events = _create(file, names, format)
        for chunk in chunks:
            events.extend(to_rows(chunk))
            bar.advance(len(next(iter(chunk.values()))))
    return target


def _check_integer(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, (Integral, np.integer)):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if int(value) < 0:
        raise ValueError(f"{name} must be 0 or more, got {value}")
    return int(value)


def _check_columns(columns: Iterable[str] | None) -> list[str]:
    if columns is None:
        return list(BRANCHES)
    asked = [columns] if isinstance(columns, str) else list(columns)
    for name in asked:
        if name not in BRANCHES:
            raise ValueError(f"unknown column {name!r}: {near_misses(str(name), BRANCHES)}")
    if not asked:
        raise ValueError("columns must name at least one branch")
    return [name for name in BRANCHES if name in asked]


class _Bar:
    """A progress bar that appears only when the work turns out to be long."""

    def __init__(self, total: int, show: bool | None) -> None:
        self._total, self._show = total, show
        self._start, self._done = time.monotonic(), 0
        self._stack = ExitStack()
        self._advance: Any = None

    def __enter__(self) -> Self:
        self._stack.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, traceback)

    def advance(self, amount: int) -> None:
        self._done += amount
        if self._advance is not None:
            self._advance(amount)
        elif self._show or (
            self._show is None
            and time.monotonic() - self._start > _PATIENCE
            and sys.stderr.isatty()
        ):
            bar = progress_bar("writing toys", self._total, show=True)
            self._advance = self._stack.enter_context(bar)
            self._advance(self._done)


def _create(file: Any, names: list[str], format: str) -> Any:
    """The empty TTree or RNTuple."""
    import awkward as ak

    groups: dict[str, dict[str, Any]] = {}
    for name in names:
        group, field = name.split("_", 1) if name.startswith(("Muon_", "Jet_")) else ("", name)
        groups.setdefault(group, {})[field] = BRANCHES[name]
    if format == "rntuple":
        return file.mkrntuple("Events", ak.Array(_rntuple_rows(_empty(groups))).layout.form)
    branches = {
        **{
            name: ak.types.ListType(
                ak.types.RecordType(
                    [ak.types.NumpyType(str(dtype)) for dtype in fields.values()], list(fields)
                )
            )
            for name, fields in groups.items()
            if name
        },
        **groups.get("", {}),
    }
    return file.mktree(
        "Events",
        branches,
        counter_name=lambda counted: f"n{counted}",
        field_name=lambda outer, inner: f"{outer}_{inner}" if inner else outer,
    )


def _empty(groups: dict[str, dict[str, Any]]) -> dict[str, Any]:
    rows: dict[str, Any] = {
        name: Jagged([0], {f: np.empty(0, dtype) for f, dtype in fields.items()})
        for name, fields in groups.items()
        if name
    }
    return rows | {name: np.empty(0, dtype) for name, dtype in groups.get("", {}).items()}


def _ttree_rows(chunk: dict[str, Any]) -> dict[str, Any]:
    return {k: v.to_awkward() if isinstance(v, Jagged) else v for k, v in chunk.items()}


def _rntuple_rows(chunk: dict[str, Any]) -> dict[str, Any]:
    """A field for each branch, and the counts that a TTree has as counters."""
    rows: dict[str, Any] = {}
    for name, values in chunk.items():
        if isinstance(values, Jagged):
            particles = values.to_awkward()
            counts: Array = values.counts.astype(np.uint32)
            rows[f"n{name}"] = counts
            rows |= {f"{name}_{field}": particles[field] for field in particles.fields}
        else:
            rows[name] = values
    return rows
