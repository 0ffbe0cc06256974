"""Toys as chunks in memory and as NanoAOD files."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np

from fastjag.core.checks import near_misses, one_of
from fastjag.io.writer import write_trees
from fastjag.reporting.progress import late_progress_bar
from fastjag.toys.chunks import cut_into_chunks
from fastjag.toys.events import CHUNK, Maker
from fastjag.toys.parameters import BRANCHES, ToyParameters


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
    return cut_into_chunks(maker.chunk, total, CHUNK)


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
        "lz4", "zstd", "zlib", "lzma" or "none".
    format
        "ttree" or "rntuple".
    progress
        Whether to show a progress bar: by default on a terminal, after two seconds.

    Returns
    -------
    Path
        ``path``.
    """
    names = _check_columns(columns)
    chosen = parameters or ToyParameters()
    chunks: Iterable[dict[str, Any]] = generate(n_events, seed, chosen, names)
    one_of("format", format, ("ttree", "rntuple"))
    if n_events == 0:  # branches all the same
        chunks = [{k: v[:0] for k, v in Maker(seed, chosen, names).chunk(0).items()}]
    record = {
        "generator": "fastjag.toys",
        "n_events": int(n_events),
        "seed": int(seed),
        "chunk": CHUNK,
        "columns": names,
        "parameters": chosen.to_dict(),
    }
    with late_progress_bar("writing toys", int(n_events), progress) as advance:
        return write_trees(
            path,
            {"Events": chunks},
            compression=compression,
            strings={"fastjag_toys": json.dumps(record)},
            rntuple=format == "rntuple",
            advance=advance,
        )


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
