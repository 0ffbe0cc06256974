"""ROOT files to Parquet, HDF5 or NPZ: flat, jagged and zero-padded columns."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from unicodedata import normalize
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import numpy as np

from fastjag import __version__
from fastjag.analyses.common.runs import HERE, Workers, read
from fastjag.analyses.common.tables import FORMATS, NESTED, Lists, needs_of, table_writer
from fastjag.batch import RANGE
from fastjag.batch.parts import parts_folder
from fastjag.core.arrays import Array
from fastjag.core.checks import near_misses
from fastjag.core.devices import to_host
from fastjag.io import Batch, LeftOut, Range, Skipped, iterate
from fastjag.io.files import Files, find_files
from fastjag.jagged import Jagged
from fastjag.jagged.shapes import described, is_lists
from fastjag.reporting.locks import partial_directory
from fastjag.reporting.output import replace, results_directory, write_json

__all__ = ["FORMATS", "Conversion", "Pad", "convert", "output_names"]

_WHOLE = 1 << 62  # events of a range: all of a file
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
    left_out: list[LeftOut] = field(default_factory=list)  #: branches, with the reasons


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
    workers: Workers = HERE,
) -> Conversion:
    """Write every input file as ``out/NAME.parquet``, ``NAME.h5`` or ``NAME-<batch>.npz``.

    NAME is that of the file without ``.root``, numbered where two files share one.

    Event branches become flat columns. Collections named in ``pad`` become columns
    ``Muon_pt`` of shape (n_events, width), filled with ``fill`` and cut off at the width; other
    collections stay jagged: lists in Parquet, content ``Jet_pt`` and ``Jet_offsets`` (from 0,
    n_events + 1) in HDF5 and NPZ. ``nMuon`` holds each collection's number of particles before
    any cut-off; a branch of that name stays what it is, and padded collections have their numbers
    in ``Muon_counts`` then. NPZ is written in one shard per batch, so that memory stays bounded.

    Every column has the name of its branch: that of a path with slashes where a file needs it. Which
    column is what is the same for all batches of a file. Branches that columns cannot hold, such as
    objects, are listed in ``left_out`` of the result and of ``convert.json``; so are lists of lists,
    but in collections of a Parquet file that are not padded.

    Columns whose type cannot hold ``fill`` are padded as float32 (float64 from 8 bytes).

    ``workers`` convert a file each, with ``device="cuda"`` padding on their GPU, and see the folder ``out``. With ``on_error="skip"``, a file that cannot be read to
    its end is left out as a whole, and listed in ``skipped``.

    All outputs appear when the last one is complete; ``convert.json`` lists them, and those that it
    lists from an earlier conversion into the same directory are removed.
    """
    needs_of(format)
    pad = dict(pad or {})
    inputs = find_files(files)
    result = Conversion()
    names = output_names([path for path, _ in inputs])
    result.events = dict.fromkeys(names, 0)
    collections: dict[str, Any] = {}
    wanted = None if columns is None else tuple(columns)
    with results_directory(out, _earlier) as directory:
        with parts_folder(workers.keep, directory) as folder:
            found = read(
                _Convert(folder, format, wanted, tuple(pad.items()), fill, step, workers.device),
                {name: [file] for name, file in zip(names, inputs, strict=True)}, RANGE, workers,
                size=_WHOLE, on_error=on_error, progress=progress,
            )  # fmt: skip
            found.check_events()
            written: list[_Output] = found.value.outputs
            for output in written:
                result.events[output.name] = output.events
                for name, kind in output.kinds.items():
                    if kind not in (known := result.columns.setdefault(name, kind)):
                        result.columns[name] = f"{known} or {kind}"
                collections |= output.collections
                for file, _ in output.files:
                    _place(Path(file), directory, stays=workers.keep is not None)
        result.skipped = found.skipped
        result.left_out = [b for output in written for b in output.unread]
        result.left_out += [b for output in written for b in output.unwritten]
        outputs = sorted(p.name for p in directory.iterdir() if not p.name.startswith("."))
        write_json(
            directory / "convert.json",
            {
                "outputs": outputs,
                "fastjag": __version__,
                "format": format,
                "files": {name: path for name, (path, _) in zip(names, inputs, strict=True)},
                "events": result.events,
                "columns": result.columns,
                "collections": collections,
                "pad": {name: asdict(p) for name, p in pad.items()},
                "fill": fill,
                "skipped": [asdict(s) for s in result.skipped],
                "left_out": [asdict(branch) for branch in result.left_out],
            },
        )
    return result


def _earlier(out: Path) -> set[str]:
    """Files of an earlier conversion: shards of other steps would be read along with the new."""
    try:
        listed = json.loads((out / "convert.json").read_text())["outputs"]
        return {name for name in listed if Path(name).name == name}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return set()


@dataclass(frozen=True)
class _Output:
    """What became of a file."""

    name: str
    files: tuple[tuple[str, int], ...]  #: and their sizes
    events: int
    kinds: dict[str, str]
    collections: dict[str, Any]
    unread: list[LeftOut]
    unwritten: list[LeftOut]


@dataclass(frozen=True)
class _Outputs:
    outputs: list[_Output]

    def is_there(self) -> bool:
        """Whether a kept result has its files still."""
        try:
            return all(os.path.getsize(f) == n for output in self.outputs for f, n in output.files)
        except OSError:
            return False


@dataclass(frozen=True)
class _Convert:
    """One file to its output, which appears in a folder of its own when it is complete."""

    folder: str
    format: str
    columns: tuple[str, ...] | None
    pad: tuple[tuple[str, Pad], ...]
    fill: float
    step: int | str
    device: str | None = None

    def __call__(self, piece: Range) -> _Outputs | None:
        """``piece`` is all of a file; its dataset is the name of the output."""
        batches = iterate(
            columns=self.columns, ranges=piece, step=self.step, progress=False,
            device=self.device or "cpu",
        )  # fmt: skip
        layout: _Layout | None = None
        with partial_directory(Path(self.folder)) as directory, closing(batches):
            try:
                with table_writer(self.format, directory, piece.dataset) as writer:
                    for batch in batches:
                        layout = layout or _Layout(batch, dict(self.pad), self.fill, self.format)
                        writer.append(*layout.columns(batch))
            except (
                MemoryError
            ) as error:  # otherwise it would be tried in halves, which are two outputs
                raise ValueError(
                    f"{piece.file}: memory does not suffice for steps of {self.step}; choose smaller ones"
                ) from error
            if layout is None:
                return None
            done = Path(self.folder) / uuid4().hex
            done.mkdir()
            made = [done / path.name for path in sorted(directory.iterdir()) if path.name[0] != "."]
            for path in made:
                replace(directory / path.name, path)
        files = tuple((str(path), path.stat().st_size) for path in made)
        output = _Output(piece.dataset, files, batches.n_events, layout.kinds, layout.summary(),
                         batches.left_out, layout.left_out)  # fmt: skip
        return _Outputs([output])


def _place(file: Path, directory: Path, *, stays: bool) -> None:
    """Among the results; a kept one stays where it is, too."""
    if stays:
        shutil.copyfile(file, directory / file.name)
    else:
        file.rename(directory / file.name)


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


class _Layout:
    """The output columns of one file: of its first batch, which all its batches are like.

    Every branch keeps its name. Numbers of particles and offsets get names that no branch has.
    """

    def __init__(self, batch: Batch, pad: Mapping[str, Pad], fill: float, format: str) -> None:
        for name in pad:
            if name not in batch.collections:
                raise ValueError(
                    f"{batch.source.file}: no collection {name!r} to pad among the branches read: "
                    f"{near_misses(name, batch.collections)}"
                )
        self.pad, self.fill = pad, fill
        self.branches: dict[str, dict[str, str]] = {}
        self.left_out: list[LeftOut] = []
        for name, particles in batch.collections.items():
            own = {column: batch.branch(name, column) for column in particles.columns}
            for column in particles.columns:
                if is_lists(particles[column]) and (name in pad or format not in NESTED):
                    where = "padded columns" if name in pad else format
                    reason = f"{described(particles[column])} in lists, which {where} cannot hold"
                    self.left_out.append(LeftOut(batch.source.file, own.pop(column), reason))
            if own:
                self.branches[name] = own
        taken = {*batch.flat, *(b for own in self.branches.values() for b in own.values())}
        self.kinds = dict.fromkeys(batch.flat, "flat")
        self.counts: dict[str, str] = {}
        self.offsets: dict[str, str] = {}
        for name, own in self.branches.items():
            if f"n{name}" not in taken:
                self.counts[name] = _free(f"n{name}", taken)
            elif name in pad:  # it may be another number than that of the particles
                self.counts[name] = _free(f"{name}_counts", taken)
            if name not in pad:
                self.offsets[name] = _free(f"{name}_offsets", taken)
            self.kinds |= dict.fromkeys(own.values(), "padded" if name in pad else "jagged")
        self.kinds |= dict.fromkeys(self.counts.values(), "flat")

    def columns(self, batch: Batch) -> tuple[dict[str, Array], Lists]:
        """Flat ones, and jagged ones by the name of their offsets; all on the CPU."""
        flat, jagged = dict(batch.flat), {}
        for name, own in self.branches.items():
            particles = batch.collections[name]
            if name in self.counts:
                flat[self.counts[name]] = particles.counts
            if name in self.pad:
                flat |= {own[c]: self._padded(particles, c, self.pad[name]) for c in own}
            else:
                particles = particles.to("cpu")
                columns = {branch: particles[column] for column, branch in own.items()}
                jagged[self.offsets[name]] = (particles.offsets, columns)
        return {name: to_host(values) for name, values in flat.items()}, jagged

    def _padded(self, particles: Jagged, column: str, pad: Pad) -> Array:
        dtype = particles[column].dtype
        with np.errstate(all="ignore"):
            holds = dtype.kind == "f" or np.asarray(self.fill).astype(dtype) == self.fill
        floats = np.float64 if dtype.itemsize == 8 else np.float32
        return particles.pad(
            pad.width, column, fill=self.fill, by=pad.by, dtype=None if holds else floats
        ).values

    def summary(self) -> dict[str, Any]:
        """Which columns are a collection's."""
        return {
            name: {"counts": self.counts.get(name), "offsets": self.offsets.get(name),
                   "columns": list(own.values())}
            for name, own in self.branches.items()
        }  # fmt: skip


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    taken.add(name)
    return name
