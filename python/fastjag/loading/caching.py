"""Events that are kept: read once, in memory or in a folder that is whole or not there."""

from __future__ import annotations

import json
import os
import time
import zlib
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, replace
from hashlib import blake2b
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from fastjag.io.errors import ReadError
from fastjag.loading.files import FileLaps, OpenFiles, Threads
from fastjag.loading.lanes import Lane, Run, Segment
from fastjag.loading.pools import ModelInputs, Pool
from fastjag.loading.records import TensorField
from fastjag.loading.stored import StoredEvents, StoredFile, Storing
from fastjag.reporting.output import results_directory, write_json

FORMAT = 1
_STEP = 16_384  # events that are read at once
_BLOCK = 64 << 20  # bytes of a checksum
_DATA, _RECORD = "events.bin", "cache.json"


def in_memory(
    files: OpenFiles, inputs: ModelInputs, most: int, dense: bool
) -> tuple[StoredEvents | Pool, list[Run]]:
    """All events; ValueError where they take more bytes than ``most``. Runs are places among them."""
    total = sum(map(len, files.runs))
    if dense:
        storing = Storing(inputs, total, None, most)
        runs = _fill(files, storing, inputs)
        return StoredEvents(inputs, storing.records[: storing.n], storing.fields), runs
    pool = Pool(inputs)
    read_all(files, pool, inputs)
    n = pool.finish()
    if pool.nbytes > most:
        raise ValueError(
            f"all {n:,} events take {pool.nbytes:,} bytes, more than memory={most:,}: give more memory, "
            'or shuffle="buffer"'
        )
    return pool, [Run("", "memory", "", None, (0, n))]


def in_folder(
    folder: str | os.PathLike[str], files: OpenFiles, inputs: Any
) -> tuple[StoredFile, list[Run]]:
    """Events of a folder, which is filled if it has not these yet; another process may be at it."""
    key = _key(files.runs, inputs)
    place = Path(folder) / key[:20]
    while not (place / _RECORD).exists():
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
            with results_directory(place) as partial:
                if (place / _RECORD).exists():
                    break
                _write(partial, files, inputs, key)
        except BlockingIOError:  # another rank writes it
            time.sleep(0.2)
    return _open(place, inputs, key)


def _write(folder: Path, files: OpenFiles, inputs: ModelInputs, key: str) -> None:
    path = folder / _DATA
    storing = Storing(inputs, sum(map(len, files.runs)), path, None)
    runs = _fill(files, storing, inputs)
    size = storing.records.shape[1]
    storing.records.flush()
    storing.records = None
    os.truncate(path, storing.n * size)
    write_json(folder / _RECORD, {
        "format": FORMAT, "key": key, "n_events": storing.n, "record": size,
        "fields": [asdict(field) for field in storing.fields],
        "runs": [{"dataset": r.dataset, "file": r.file, "start": r.start, "stop": r.stop} for r in runs],
        "crc32": checksums(path), "inputs": getattr(inputs, "describe", dict)(),
    })  # fmt: skip


def _open(folder: Path, inputs: ModelInputs, key: str) -> tuple[StoredFile, list[Run]]:
    """ReadError where a cache is damaged, or another one."""
    record = json.loads((folder / _RECORD).read_text())
    path = folder / _DATA
    if (record.get("format"), record.get("key")) != (FORMAT, key):
        raise ReadError(f"{folder}: is no cache of these events, remove it")
    n, size = record["n_events"], record["record"]
    if not path.exists() or path.stat().st_size != n * size or checksums(path) != record["crc32"]:
        raise ReadError(f"{path}: is damaged (its size or checksum differs), remove {folder}")
    fields = [
        TensorField(f["name"], f["dtype"], tuple(f["shape"]), f["start"]) for f in record["fields"]
    ]
    runs = [Run(r["dataset"], r["file"], "", key, (r["start"], r["stop"])) for r in record["runs"]]
    return StoredFile(inputs, path, n, size, fields), runs


def checksums(path: Path) -> list[int]:
    """CRC-32 of each 64 MiB."""
    found = []
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            found.append(zlib.crc32(block))
    return found


def _key(runs: Sequence[Run], inputs: Any) -> str:
    """Of all that the tensors depend on."""
    digest = blake2b(digest_size=20)
    digest.update(repr((FORMAT, inputs.digest)).encode())
    for run in runs:
        digest.update(
            repr((run.dataset, run.uuid or run.file, run.tree, run.start, run.stop)).encode()
        )
    return digest.hexdigest()


def _fill(files: OpenFiles, storing: Storing, inputs: ModelInputs) -> list[Run]:
    """Read all; where the events of each run are then."""
    read_all(files, storing, inputs)
    storing.finish()
    if not storing.n:
        why = "; ".join(skipped.reason for skipped in files.skipped[:3])
        raise ReadError(f"no events are left: {why}" if why else "no event is selected")
    ends = [0, *accumulate(map(len, files.runs))]
    counts = [storing.count(start, stop) for start, stop in pairwise(ends)]
    places = [0, *accumulate(counts)]
    return [
        replace(run, edges=(start, stop))
        for run, (start, stop) in zip(files.runs, pairwise(places), strict=True)
        if start < stop
    ]


def read_all(files: OpenFiles, into: Any, inputs: ModelInputs) -> None:
    """Every event to its place in the order of files; several places are read side by side."""
    sizes = [len(run) for run in files.runs]
    whole = Lane(tuple(Segment(i, run.start, run.stop) for i, run in enumerate(files.runs)))
    with closing(Threads()) as threads:
        n_lanes = threads.n
        bases = np.arange(n_lanes + 1) * sum(sizes) // n_lanes
        lanes = [Lane(tuple(piece)) for piece in whole.cut(bases.tolist())]
        steps = max(1, -(-int(np.diff(bases).max()) // _STEP))
        quotas = np.arange(steps + 1)[:, None] * np.diff(bases)[None, :] // steps
        with closing(FileLaps(files, lanes, quotas, inputs, range(steps))) as laps:
            for _ in range(steps):
                laps.fill(into, threads, bases[:-1])
