"""ROOT files to Parquet, HDF5 or NPZ: flat, jagged and zero-padded columns."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from unicodedata import normalize
from urllib.parse import unquote, urlsplit

import numpy as np

from fastjag.analyses.tables import FORMATS, needs_of, table_writer
from fastjag.arrays import Array, near_misses
from fastjag.files import Files, find_files
from fastjag.io import Batch, Skipped, iterate
from fastjag.output import results_directory, write_json

__all__ = ["FORMATS", "Conversion", "Pad", "convert", "output_names"]

_LONGEST = 230  # bytes of an output's name: file systems hold 255, with number and ending


@dataclass(frozen=True)
class Pad:
    """Slots per event of a collection, by descending ``by`` (default: as stored)."""

    width: int
    by: str | None = None

    @staticmethod
    def parse(text: str) -> tuple[str, Pad]:
        """From ``Muon=5`` or ``Muon=5:pt``."""
        match = re.fullmatch(r"([^=]+)=0*([1-9][0-9]{0,8})(?::(.+))?", text, re.ASCII)
        if not match:
            raise ValueError(f"pad must read like Muon=5 or Muon=5:pt, got {text!r}")
        return match[1], Pad(int(match[2]), match[3])

    @staticmethod
    def parse_all(texts: Iterable[str]) -> dict[str, Pad]:
        """Collection to its slots. ValueError for one that comes twice."""
        pads: dict[str, Pad] = {}
        for text in texts:
            collection, pad = Pad.parse(text)
            if collection in pads:
                raise ValueError(f"pad names {collection} more than once: {text!r}")
            pads[collection] = pad
        return pads


@dataclass
class Conversion:
    """What was written where."""

    events: dict[str, int] = field(default_factory=dict)  #: output file to number of events
    columns: dict[str, str] = field(default_factory=dict)  #: name to "flat", "jagged" or "padded"
    skipped: list[Skipped] = field(default_factory=list)


def convert(
    files: Files,
    out: str | os.PathLike[str],
    *,
    format: str = "parquet",
    columns: Iterable[str] | None = None,
    pad: Mapping[str, Pad] | None = None,
    fill: float = 0.0,
    step: int | str = "100 MB",
    on_error: str = "raise",
    progress: bool | None = None,
    version: str = "",
) -> Conversion:
    """Write every input file as ``out/NAME.parquet``, ``NAME.h5`` or ``NAME-<batch>.npz``.

    NAME is that of the file without ``.root``, numbered where two files share one.

    Event branches become flat columns. Collections named in ``pad`` become columns
    ``Muon_pt`` of shape (n_events, width), filled with ``fill`` and cut off at the width; other
    collections stay jagged: lists in Parquet, content ``Jet_pt`` and ``Jet_offsets`` (from 0,
    n_events + 1) in HDF5 and NPZ. ``nMuon`` holds each collection's number of particles before
    any cut-off. NPZ is written in one shard per batch, so that memory stays bounded.

    Columns whose type cannot hold ``fill`` are padded as float32 (float64 from 8 bytes).

    All outputs appear when the last one is complete; ``convert.json`` lists them, and those that it
    lists from an earlier conversion into the same directory are removed.
    """
    needs_of(format)
    pad = dict(pad or {})
    found = find_files(files)
    result = Conversion()
    with results_directory(out, _earlier) as directory:
        names = list(columns) if columns is not None else None
        for (path, tree), stem in zip(found, output_names([f for f, _ in found]), strict=True):
            batches = iterate(
                path if tree is None else f"{path}:{tree}", names,
                step=step, on_error=on_error, progress=progress,
            )  # fmt: skip
            with table_writer(format, directory, stem) as writer:
                for batch in batches:
                    flat, jagged = _columns(batch, pad, fill, result.columns)
                    writer.append(flat, jagged)
            result.skipped += batches.skipped
            result.events[stem] = batches.n_events
        total = sum(result.events.values())
        if total == 0:
            reasons = "; ".join(s.reason for s in result.skipped)
            raise ValueError("the files hold no events" + (f" ({reasons})" if reasons else ""))
        outputs = sorted(p.name for p in directory.iterdir() if not p.name.startswith("."))
        write_json(
            directory / "convert.json",
            {
                "outputs": outputs,
                "fastjag": version,
                "format": format,
                "files": dict(zip(result.events, [f for f, _ in found], strict=True)),
                "events": result.events,
                "columns": result.columns,
                "pad": {name: asdict(p) for name, p in pad.items()},
                "fill": fill,
                "skipped": [asdict(s) for s in result.skipped],
            },
        )
    return result


def _earlier(out: Path) -> set[str]:
    """Files of an earlier conversion: shards of other steps would be read along with the new."""
    try:
        listed = json.loads((out / "convert.json").read_text())["outputs"]
        return {name for name in listed if Path(name).name == name}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def output_names(paths: Sequence[str]) -> list[str]:
    """Names of the outputs without their endings: those of the inputs, numbered where two share one.

    No two are the same on any file system, such as those that do not tell ``A`` from ``a``, nor do
    numbers make the name of another input.
    """
    stems = [_stem(path) for path in paths]
    times = Counter(_folded(stem) for stem in stems)
    taken = {stem for stem, n in times.items() if n == 1}
    names = []
    for i, stem in enumerate(stems):
        name, number = stem, i
        if times[_folded(stem)] > 1:
            while _folded(name := f"{stem}-{number:04d}") in taken:
                number += len(stems)
            taken.add(_folded(name))
        names.append(name)
    return names


def _stem(path: str) -> str:
    """``a`` of ``a.root``, ``a.pool.root.1`` (as grids name files), ``https://host/a.root?x=1``."""
    name = urlsplit(path).path if "://" in path else path
    name = name.rstrip("/").rpartition("/")[2]
    name = unquote(name) if "://" in path else name
    stem = re.sub(r"(\.pool)?\.root(\.\d+)?$", "", name, flags=re.IGNORECASE)
    stem = Path(name).stem if stem == name else stem
    stem = re.sub(r"[/\0]", "_", stem).lstrip(".")  # as hidden files are not results
    while len(os.fsencode(stem)) > _LONGEST:
        stem = stem[:-1]
    return stem or "file"


def _folded(name: str) -> str:
    return normalize("NFC", normalize("NFC", name).casefold())


def _columns(
    batch: Batch, pad: Mapping[str, Pad], fill: float, kinds: dict[str, str]
) -> tuple[dict[str, Array], dict[str, tuple[Array, dict[str, Array]]]]:
    for name in pad:
        if name not in batch.collections:
            raise ValueError(
                f"{batch.source.file}: no collection {name!r} to pad among the branches read: "
                f"{near_misses(name, batch.collections)}"
            )
    flat: dict[str, Array] = dict(batch.flat)
    jagged: dict[str, tuple[Array, dict[str, Array]]] = {}
    kinds.update(dict.fromkeys(flat, "flat"))
    for name, particles in batch.collections.items():
        flat[f"n{name}"] = particles.counts
        kinds[f"n{name}"] = "flat"
        for column in particles.columns:
            # A branch without a prefix is a collection of its own, with one column of its name.
            full = name if column == name else f"{name}_{column}"
            if name in pad:
                dtype = particles[column].dtype
                with np.errstate(all="ignore"):
                    holds = dtype.kind == "f" or np.asarray(fill).astype(dtype) == fill
                floats = np.float64 if dtype.itemsize == 8 else np.float32
                flat[full] = particles.pad(
                    pad[name].width, column, fill=fill, by=pad[name].by,
                    dtype=None if holds else floats,
                ).values  # fmt: skip
                kinds[full] = "padded"
            else:
                jagged.setdefault(name, (particles.offsets, {}))[1][full] = particles[column]
                kinds[full] = "jagged"
    return flat, jagged
