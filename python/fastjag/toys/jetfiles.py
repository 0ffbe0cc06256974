"""Files of jets: JetNtuple (a row per jet) or PFNano (a row per event), from chunks of events."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fastjag.core.checks import at_least, near_misses, one_of
from fastjag.io.writer import write_trees
from fastjag.jagged import Jagged
from fastjag.reporting.progress import late_progress_bar
from fastjag.toys.jetntuple import jet_rows
from fastjag.toys.jets import JetToyParameters, generate_jets

_TREES = {"jetntuple": "AK4jets/jetTree", "pfnano": "Events"}
FORMATS = tuple(_TREES)


def write_jets(
    path: str | os.PathLike[str],
    n_jets: int,
    *,
    seed: int = 0,
    format: str = "jetntuple",
    parameters: JetToyParameters | None = None,
    columns: Iterable[str] | None = None,
    compression: str = "zlib",
    progress: bool | None = None,
) -> Path:
    """Write toy jets of :func:`generate_jets`: exactly ``n_jets`` rows of a JetNtuple, or whole events
    of PFNano until there are so many.

    Parameters
    ----------
    columns
        Branch names to write, such as "PF_pT" or "PFCands_d0"; all by default.
    compression
        "zlib" (as CMS), "lz4", "zstd" or "none".
    """
    at_least("n_jets", n_jets, 1)
    at_least("seed", seed, 0)
    one_of("format", format, FORMATS)
    chosen = parameters or JetToyParameters()
    record = {"generator": "fastjag.toys.jets", "n_jets": n_jets, "seed": seed,
              "parameters": vars(chosen)}  # fmt: skip

    def chunks() -> Iterable[dict[str, Any]]:
        left = n_jets
        for i, events in enumerate(generate_jets(n_jets, seed, chosen)):  # at least a jet each
            if format == "jetntuple":
                rows = jet_rows(events, seed + i)
                rows = {k: v[:left] for k, v in rows.items()}
                left -= len(rows["jetPt"])
            else:
                jets = events["Jet"]
                n = int(np.searchsorted(jets.offsets, left))
                rows = {k: v[: min(n, len(jets))] for k, v in events.items()}
                left -= rows["Jet"].n_particles
            yield rows
            if left <= 0:
                return

    return write_rows(
        path, chunks(), format, columns=columns, compression=compression, record=record,
        n_rows=n_jets, progress=progress,
    )  # fmt: skip


def write_rows(
    path: str | os.PathLike[str],
    chunks: Iterable[Mapping[str, Any]],
    format: str,
    *,
    columns: Iterable[str] | None = None,
    compression: str = "zlib",
    record: Mapping[str, Any] | None = None,
    n_rows: int = 0,
    progress: bool | None = None,
) -> Path:
    """Write chunks of rows (arrays and Jagged by name) as one tree; complete or not there.

    Raises ValueError where there is no row at all, or a name in ``columns`` is no branch.
    """
    target = Path(path)
    names = None if columns is None else set(columns)
    if names is not None and not names:
        raise ValueError("columns must name at least one branch")
    with late_progress_bar("writing toys", n_rows, progress) as advance:
        return write_trees(
            target,
            {_TREES[format]: _rows(target, chunks, names)},
            compression=compression,
            counter=lambda counted: "n" + counted[:1].upper() + counted[1:],
            strings={"fastjag_toys": json.dumps(record)} if record else {},
            advance=advance,
        )


def _rows(
    target: Path, chunks: Iterable[Mapping[str, Any]], names: set[str] | None
) -> Iterator[dict[str, Any]]:
    """The chosen branches of chunks with rows."""
    some = False
    for chunk in chunks:
        rows = _choose(chunk, names)
        if len(next(iter(rows.values()))):
            some = True
            yield rows
    if not some:
        raise ValueError(f"{target}: there is no jet to write")


def _choose(rows: Mapping[str, Any], names: set[str] | None) -> dict[str, Any]:
    if names is None:
        return dict(rows)
    result: dict[str, Any] = {}
    known = []
    for name, values in rows.items():
        if isinstance(values, Jagged):
            known += [f"{name}_{c}" for c in values.columns]
            fields = [c for c in values.columns if f"{name}_{c}" in names]
            if fields:
                result[name] = values[fields]
        else:
            known.append(name)
            if name in names:
                result[name] = values
    if unknown := sorted(names.difference(known)):
        raise ValueError(f"unknown column {unknown[0]!r}: {near_misses(unknown[0], known)}")
    return result
