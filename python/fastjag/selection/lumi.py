"""Which events count: good luminosity sections."""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastjag.core.arrays import as_column, check_length

#: Numbers of runs and sections are below these: NanoAOD has 32 bits for each.
_RUNS, _SECTIONS = 2**31, 2**32
_LARGEST = 256 * 2**20  # bytes of JSON; that of all runs of a year has some 100 kB


class LumiMask:
    """The certified luminosity sections of a golden JSON file.

    Parameters
    ----------
    golden
        Path to the JSON, which may be compressed by gzip, or its content: run to list of inclusive
        [first, last] sections. A run that is there more than once has the sections of all its
        lists; ranges may overlap.

    Calling it with ``run`` and ``luminosityBlock`` of events, shape (n_events,), gives a boolean
    mask. Raises ValueError naming file and run where an entry is not a list of ascending pairs.

    Examples
    --------
    >>> from fastjag.selection import LumiMask
    >>> good = LumiMask({"281613": [[1, 5], [9, 9]]})
    >>> good([281613, 281613, 281613, 1], [5, 6, 9, 1])
    array([ True, False,  True, False])
    >>> good.count(281613, 4, 9)
    3
    """

    def __init__(self, golden: str | os.PathLike[str] | Mapping[Any, Any]) -> None:
        if isinstance(golden, Mapping):
            where = "the golden JSON"
            entries: Sequence[tuple[Any, Any]] = list(golden.items())
        else:
            where, entries = str(golden), _entries(Path(golden))
        bounds: list[tuple[int, int]] = []
        for run, sections in entries:
            bounds += _bounds(where, run, sections)
        # Run and section in one number: intervals of all runs are then sorted and disjoint, and one
        # binary search finds the interval of an event.
        merged: list[tuple[int, int]] = []
        for first, last in sorted(bounds):
            if merged and first <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(merged[-1][1], last))
            else:
                merged.append((first, last))
        self._first, self._last = (
            np.array([interval[i] for interval in merged], np.int64) for i in (0, 1)
        )
        self._before = np.cumsum(np.r_[0, self._last - self._first + 1])  # sections
        self.runs = tuple(sorted({int(run) for run, _ in entries}))

    def __call__(self, run: ArrayLike, luminosity_block: ArrayLike) -> NDArray[np.bool_]:
        """Whether each event is in a certified section."""
        runs = as_column(run, "run")
        blocks = as_column(luminosity_block, "luminosity_block")
        check_length(blocks, "luminosity_block", len(runs), "runs")
        for name, column in (("run", runs), ("luminosity_block", blocks)):
            if column.dtype.kind not in "iu":
                raise TypeError(f"{name} must be integers, got dtype {column.dtype}")
        good = (runs >= 0) & (runs < _RUNS) & (blocks >= 0) & (blocks < _SECTIONS)
        key = (runs[good].astype(np.int64) << 32) | blocks[good].astype(np.int64)
        good[good] = self._count(key) > self._count(key - 1)
        return good

    def count(self, run: int, first: int, last: int) -> int:
        """How many of the sections ``first`` to ``last`` (inclusive) of a run are certified."""
        if not 0 <= run < _RUNS or not 0 <= first <= last < _SECTIONS:
            raise ValueError(f"run {run}: sections {first}-{last} are no range")
        key = np.array([run << 32 | last, (run << 32 | first) - 1], np.int64)
        up_to = self._count(key)
        return int(up_to[0] - up_to[1])

    def _count(self, key: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many certified sections of all runs are not above a key."""
        at = np.searchsorted(self._first, key, side="right")
        above = np.maximum(np.r_[-1, self._last][at] - key, 0)
        return np.asarray(self._before[at] - above)


class _Object(list[tuple[str, Any]]):
    """What a JSON object becomes, as a dict would lose all but the last of equal keys."""


def _entries(path: Path) -> Sequence[tuple[str, Any]]:
    try:
        content = json.loads(_text(path), object_pairs_hook=_Object)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: is not JSON: {error}") from None
    if not isinstance(content, _Object):
        # The file's content is wrong, not an argument's type.
        raise ValueError(f"{path}: must hold runs and their sections, as an object")  # noqa: TRY004
    return content


def _text(path: Path) -> str:
    """The text of a file that may be compressed by gzip; ValueError where it is none."""
    with open(path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        try:
            content = (gzip.GzipFile(fileobj=file) if packed else file).read(_LARGEST + 1)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ValueError(f"gzip cannot decompress it ({error})") from None
    if len(content) > _LARGEST:
        raise ValueError(f"it is larger than {_LARGEST >> 20} MiB")
    return content.decode("utf-8-sig")


def _bounds(where: str, run: object, sections: object) -> list[tuple[int, int]]:
    text = str(run)
    if not (text.isascii() and text.isdecimal() and len(text) <= 10 and int(text) < _RUNS):
        raise ValueError(f"{where}: run {run!r} is not a number")
    pairs = _pairs(sections)
    if pairs is None:
        raise ValueError(
            f"{where}: run {run} must have a list of [first, last] sections, got {_short(sections)}"
        )
    high = int(text) << 32
    return [(high | first, high | last) for first, last in pairs]


def _pairs(sections: object) -> list[tuple[int, int]] | None:
    """[first, last] of each range; None where it is anything else."""
    if not isinstance(sections, (list, tuple)) or isinstance(sections, _Object):
        return None
    pairs = []
    for pair in sections:
        if not isinstance(pair, (list, tuple)) or isinstance(pair, _Object) or len(pair) != 2:
            return None
        first, last = pair
        if type(first) is not int or type(last) is not int or not 0 <= first <= last < _SECTIONS:
            return None
        pairs.append((first, last))
    return pairs


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."
