"""Files to ranges: pieces of about one size, which begin where the files have clusters."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

from fastjag.core.checks import first_line, is_integer, n_bytes, needs, one_of
from fastjag.datasets.filesets import Listed, read_fileset
from fastjag.datasets.known import Known
from fastjag.io.facts import Facts, Wanted, look
from fastjag.io.files import Files, ReadError
from fastjag.io.ranges import File, Range, Ranges, Skipped
from fastjag.io.sources import Access
from fastjag.io.transport import explain
from fastjag.reporting.progress import late_progress_bar

_THREADS = 16  # that open files: servers take their time
_TASKS = 256  # of an executor, at most, however many files there are


def ranges(
    files: Files | Mapping[str, Any] | Ranges,
    size: int | str = "200 MB",
    executor: Executor | None = None,
    cache: str | os.PathLike[str] | None = None,
    *,
    storage_options: Mapping[str, Any] | None = None,
    progress: bool | None = None,
    on_error: str = "raise",
) -> Ranges:
    """Cut files into ranges of entries: pieces of work for processes, clusters and training.

    Each file is opened, in threads, for its UUID, entries and, where it is more than one piece, clusters.

    Parameters
    ----------
    files
        - Whatever :func:`fastjag.iterate` takes: paths, patterns, directories, URLs, with trees or not.
          Their dataset is called "files".
        - A fileset of coffea: ``{dataset: {"files": {path: tree}, "metadata": {...}}}``, a mapping of
          datasets to lists, or a JSON file of one, ``.json`` or ``.json.gz``. Files with ``steps``,
          ``num_entries`` and ``uuid`` have their ranges already: nobody opens them.
        - A file index of CERN's open data (``*_file_index.json`` or ``.txt``), or another list of paths
          in such a file. The name of the index is that of the dataset. The size of a file has to be the
          one of the index; checksums are not compared.
    size
        Of a range: bytes of all branches, decompressed, such as "200 MB", or a number of events. Ranges
        of a file have about equal lengths. They begin where baskets of all branches or clusters of an
        RNTuple do, so that none is less than a cluster.
    executor
        An executor of ``concurrent.futures``, such as that of a cluster, whose workers open the files;
        default: threads. It is not shut down.
    cache
        A folder that keeps what is known of files: local ones are opened again if size or time have
        changed, files on servers are asked for their UUID only.
    storage_options
        For files on servers, as in :func:`fastjag.iterate`.
    progress
        Show a bar; default: on a terminal, after two seconds.
    on_error
        "raise", or "skip": leave out files that cannot be opened, and list them in ``.skipped``.

    Returns
    -------
    Ranges
        In the order of datasets, files and entries; files without entries have none. A file that is
        given twice in one dataset (by name and pattern, or through a link) counts once, with a warning.

    Raises
    ------
    FileNotFoundError, ReadError
        Naming the file that cannot be read, or that is not the one that the fileset was made of.
    ValueError, TypeError
        Naming what is wrong with a fileset, an index or ``size``.

    Examples
    --------
    >>> import fastjag as fj
    >>> from fastjag import toys
    >>> _ = toys.write("events.root", 1000, seed=1)
    >>> pieces = fj.ranges({"DoubleMuon": ["*.root"]}, "100 MB")
    >>> pieces
    <Ranges: 1 range of 1,000 events in 1 file, 1 dataset>
    >>> for batch in fj.iterate(ranges=pieces[:10], columns=["Muon_pt"]):  # doctest: +SKIP
    ...     ...
    """
    if isinstance(files, Ranges):
        return files
    in_bytes = isinstance(size, str)
    if isinstance(size, str):
        size = n_bytes(size)
    elif not is_integer(size) or size < 1:
        raise ValueError(f"size must be a number of events or a size like '200 MB', got {size!r}")
    one_of("on_error", on_error, ("raise", "skip"))
    needs("uproot", "io")
    access, wanted = Access.of(storage_options, None), Wanted(int(size), in_bytes)
    fileset, known = read_fileset(files, access), Known(cache)
    skip = on_error == "skip"
    facts = _look_at_all(fileset.files, wanted, known, access, executor, progress, skip)
    made: list[Range] = []
    listed: list[File] = []
    skipped: list[Skipped] = []
    for file, found in zip(fileset.files, facts, strict=True):
        if isinstance(found, Skipped):
            skipped.append(found)
            continue
        if found is None:
            assert file.tree is not None
            assert file.n_entries is not None
            tree, n, uuid, steps = file.tree, file.n_entries, file.uuid, list(file.steps or ())
        else:
            _check(file, found)
            tree, n, uuid = found.tree, found.n_entries, found.uuid
            steps = list(file.steps) if file.steps else wanted.cut(found)
        listed.append(File(file.dataset, file.path, tree, n, uuid))
        for start, stop in steps:
            if stop > n:
                raise ReadError(
                    f"{file.path}:{tree}: has {n} entries, the fileset has a step of {start} to {stop}"
                )
            if start < stop:
                made.append(Range(file.dataset, file.path, tree, start, stop, uuid))
    return Ranges(made, listed, fileset.metadata, skipped)


def _check(file: Listed, found: Facts) -> None:
    """Raises ReadError where a file is not what the fileset says of it."""
    where = f"{file.path}:{found.tree}"
    if file.uuid not in (None, found.uuid):
        raise ReadError(
            f"{where}: is another file than the fileset was made of: its UUID is {found.uuid}, that of "
            f"the fileset {file.uuid}"
        )
    if file.n_entries not in (None, found.n_entries):
        raise ReadError(
            f"{where}: has {found.n_entries} entries, the fileset says {file.n_entries}"
        )
    if file.size not in (None, found.size):
        raise ReadError(f"{where}: has {found.size} bytes, the index says {file.size}")


def _look_at_all(
    files: Sequence[Listed],
    wanted: Wanted,
    known: Known,
    access: Access,
    executor: Executor | None,
    progress: bool | None,
    skip: bool,
) -> list[Facts | Skipped | None]:
    """Facts of each file; None for those that say all of it themselves."""
    facts: list[Facts | Skipped | None] = [None] * len(files)
    todo: list[tuple[int, Facts | None]] = []
    for i, file in enumerate(files):
        if file.planned:
            continue
        before, certain = known.find(file.path, file.tree)
        if certain and before is not None and wanted.enough(before):
            facts[i] = before
        else:
            todo.append((i, before))
    with ExitStack() as stack:
        advance = stack.enter_context(late_progress_bar("opening files", len(todo), progress))
        pool = executor or stack.enter_context(ThreadPoolExecutor(_THREADS, "fastjag-look"))
        per_task = 1 if executor is None else -(-len(todo) // _TASKS)
        tasks: list[tuple[list[int], Future[list[Facts | Skipped]]]] = []
        for some in _parts(todo, per_task):
            asked = [(files[i].path, files[i].tree, before) for i, before in some]
            tasks.append(([i for i, _ in some], pool.submit(look_at, asked, access, wanted, skip)))
        try:
            for numbers, task in tasks:
                for i, found in zip(numbers, task.result(), strict=True):
                    facts[i] = found
                    if isinstance(found, Facts):
                        known.keep(files[i].path, files[i].tree, found)
                    advance(1)
        finally:
            for _, task in tasks:
                task.cancel()
            known.write()  # also what was found before an error
    return facts


def look_at(
    files: Sequence[tuple[str, str | None, Facts | None]],
    access: Access,
    wanted: Wanted,
    skip: bool,
) -> list[Facts | Skipped]:
    """Facts of several files, on whatever machine this runs; ``skip``: or why one cannot be opened."""
    found: list[Facts | Skipped] = []
    for path, tree, before in files:
        try:
            found.append(look(path, tree, access, wanted, before))
        except Exception as error:  # a damaged file can make uproot raise anything
            if not skip:
                raise
            why = explain(error)
            if not isinstance(why, OSError):
                why = ReadError(f"{path}: cannot be read: {first_line(why)}")
            found.append(Skipped(path, None, str(why)))
    return found


def _parts(todo: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(todo), max(1, size)):
        yield todo[start : start + max(1, size)]
