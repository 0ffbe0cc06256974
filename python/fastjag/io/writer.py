"""The one writer of events: TTrees and RNTuples, by uproot, in chunks; std::vectors by ``pyroot``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastjag.core.arrays import as_column, check_length
from fastjag.core.checks import needs, one_of
from fastjag.io.pyroot import CPP_TYPES, has_root, write_vectors
from fastjag.jagged import Jagged
from fastjag.reporting.output import new_file


@contextmanager
def new_root_file(path: str | os.PathLike[str], **options: Any) -> Iterator[Any]:
    """What uproot writes to, without fsspec; the file appears when the block ends well."""
    import uproot

    with (
        new_file(path) as partial,
        open(partial, "w+b") as opened,
        uproot.recreate(opened, **options) as file,
    ):
        yield file


def write_events(
    path: str | os.PathLike[str],
    batches: Iterable[Mapping[str, Any]],
    *,
    tree: str = "Events",
    compression: str = "lz4",
) -> Path:
    """Write events to a TTree in NanoAOD layout, batch by batch.

    Parameters
    ----------
    batches
        Mappings of names to :class:`Jagged` or arrays of shape (n_events,): the columns of
        ``Muon`` become branches ``Muon_pt``, ..., counted by ``nMuon``. All have the same names and
        dtypes; there is at least one.
    compression
        "lz4", "zstd", "zlib", "lzma" or "none".

    The file appears under its name when it is complete. uproot writes no std::vector branches.
    """
    return write_trees(path, {tree: batches}, compression=compression)


def write_trees(
    path: str | os.PathLike[str],
    trees: Mapping[str, Iterable[Mapping[str, Any]]],
    *,
    compression: str = "zlib",
    level: int = 1,
    counter: Callable[[str], str] = "n{}".format,
    strings: Mapping[str, str] | None = None,
    rntuple: bool = False,
    advance: Callable[[int], None] = lambda n_events: None,
) -> Path:
    """Write trees to a file, as :func:`write_events` writes one.

    Parameters
    ----------
    trees
        Path in the file to chunks of events. The first chunk, which may be empty, decides on
        branches and types.
    compression, level
        "lz4", "zstd", "zlib", "lzma" or "none"; how hard to try, from 1 to 9.
    counter
        From a collection's name to that of the branch of its lengths.
    strings
        What else the file holds, by name.
    rntuple
        Write RNTuples: a field for each branch, counters among them.
    advance
        Called with the number of events of each chunk that was written.
    """
    needs("uproot", "io")
    needs("awkward", "io")
    import uproot

    one_of("compression", compression, ("lz4", "zstd", "zlib", "lzma", "none"))
    how = None if compression == "none" else getattr(uproot, compression.upper())(level)
    with new_root_file(path, compression=how) as file:
        for name, text in (strings or {}).items():
            file[name] = text
        for name, chunks in trees.items():
            tree = None
            for chunk in chunks:
                rows = _fields(chunk, counter) if rntuple else _branches(chunk)
                if tree is None:
                    tree = _create(file, name, rows, counter, rntuple)
                if n := max(map(len, chunk.values()), default=0):
                    tree.extend(rows)
                    advance(n)
            if tree is None:
                raise ValueError(f"{path}: no events to write")
    return Path(path)


def _branches(chunk: Mapping[str, Any]) -> dict[str, Any]:
    """Collections as awkward arrays of records, which become branches and their counter."""
    return {k: v.to_awkward() if isinstance(v, Jagged) else v for k, v in chunk.items()}


def _fields(chunk: Mapping[str, Any], counter: Callable[[str], str]) -> dict[str, Any]:
    """A field for each branch, and the counts that a TTree has as counters."""
    rows: dict[str, Any] = {}
    for name, values in _branches(chunk).items():
        if isinstance(chunk[name], Jagged):
            rows[counter(name)] = chunk[name].counts.astype(np.uint32)
            rows |= {f"{name}_{field}": values[field] for field in values.fields}
        else:
            rows[name] = values
    return rows


def _create(
    file: Any, name: str, rows: Mapping[str, Any], counter: Callable[[str], str], rntuple: bool
) -> Any:
    """The empty tree."""
    import awkward as ak

    if rntuple:
        return file.mkrntuple(name, ak.Array({k: v[:0] for k, v in rows.items()}).layout.form)
    types = {k: v.type.content if isinstance(v, ak.Array) else v.dtype for k, v in rows.items()}
    return file.mktree(
        name,
        types,
        counter_name=counter,
        field_name=lambda outer, inner: f"{outer}_{inner}" if inner else outer,
    )


def write_tree(
    path: str | os.PathLike[str],
    tree: str,
    collections: Mapping[str, Jagged],
    flat: Mapping[str, ArrayLike],
    *,
    vectors: bool | None = None,
) -> bool:
    """Write events as a TTree, zstd-compressed; an existing file is replaced when all is written.

    Parameters
    ----------
    collections
        Name to particles: column ``pt`` of "photon" becomes branch ``photon_pt``; how many there
        are becomes ``photon_n`` (uint32; int32 by uproot). Columns of 1-byte booleans, 4- or 8-byte numbers.
    flat
        Branch name to array of shape (n_events,).
    vectors
        True: branches of std::vector, by PyROOT, which must be installed. False: arrays counted
        by ``photon_n``, by uproot, which cannot write std::vector. Default: True where there is
        PyROOT.

    Returns
    -------
    Whether branches are of std::vector.

    Raises ValueError where lengths differ, TypeError naming a column of another dtype.
    """
    parts = {name: as_column(values, f"branch {name!r}") for name, values in flat.items()}
    sizes = [len(j) for j in collections.values()] + [len(v) for v in parts.values()]
    if not sizes:
        raise ValueError("a tree needs at least one branch")
    for name, values in parts.items():
        check_length(values, f"branch {name!r}", sizes[0], "events")
    columns = {f"{n}_{c}": j[c] for n, j in collections.items() for c in j.columns} | parts
    for name, values in columns.items():
        if values.dtype.name not in CPP_TYPES:
            raise TypeError(
                f"branch {name!r}: dtype {values.dtype} is none of {', '.join(CPP_TYPES)}"
            )
    for name, particles in collections.items():
        if len(particles) != sizes[0]:
            raise ValueError(f"{name!r} has {len(particles)} events, but there are {sizes[0]}")
    if vectors is None:
        vectors = has_root()
    elif vectors:
        needs("ROOT", "sim")
    if vectors:
        with new_file(path) as partial:
            write_vectors(partial, tree, collections, parts)
    else:
        rows = [{**collections, **parts}]
        write_trees(path, {tree: rows}, compression="zstd", level=9, counter="{}_n".format)
    return vectors
