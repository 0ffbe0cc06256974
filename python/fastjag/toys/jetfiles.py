"""Files of jets: JetNtuple (a row per jet) or PFNano (a row per event), from chunks of events."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fastjag.core.checks import at_least, near_misses, needs, one_of
from fastjag.jagged import Jagged
from fastjag.reporting.output import new_file
from fastjag.toys.files import _Bar
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
    needs("uproot", "io")
    needs("awkward", "io")
    import uproot

    one_of("compression", compression, ("lz4", "zstd", "zlib", "none"))
    level = {"lz4": uproot.LZ4(1), "zstd": uproot.ZSTD(1), "zlib": uproot.ZLIB(1), "none": None}
    target = Path(path)
    names = None if columns is None else set(columns)
    tree = None
    with (
        new_file(target) as partial,
        uproot.recreate(partial, compression=level[compression]) as file,
        _Bar(n_rows, progress) as bar,
    ):
        if record:
            file["fastjag_toys"] = json.dumps(record)
        for rows in chunks:
            rows = _chosen(rows, names)
            content = {k: v.to_awkward() if isinstance(v, Jagged) else v for k, v in rows.items()}
            n = len(next(iter(rows.values())))
            if n == 0:
                continue
            if tree is None:
                tree = _create(file, _TREES[format], content)
            tree.extend(content)
            bar.advance(n)
        if tree is None:
            raise ValueError(f"{target}: there is no jet to write")
    return target


def _chosen(rows: Mapping[str, Any], names: set[str] | None) -> dict[str, Any]:
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


def _create(file: Any, tree: str, content: Mapping[str, Any]) -> Any:
    import awkward as ak

    types = {k: v.type.content if isinstance(v, ak.Array) else v.dtype for k, v in content.items()}
    return file.mktree(
        tree,
        types,
        counter_name=lambda counted: "n" + counted[:1].upper() + counted[1:],
        field_name=lambda outer, inner: f"{outer}_{inner}" if inner else outer,
    )
