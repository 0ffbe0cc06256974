"""Which events count: good luminosity sections, trigger bits."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastjag.arrays import as_column, check_length


class LumiMask:
    """The certified luminosity sections of a golden JSON file.

    Parameters
    ----------
    golden
        Path to the JSON, or its content: run to list of inclusive [first, last] sections.

    Calling it with ``run`` and ``luminosityBlock`` of events, shape (n_events,), gives a boolean
    mask. Raises ValueError naming file and run where an entry is not a list of ascending pairs.

    Examples
    --------
    >>> from fastjag.selection import LumiMask
    >>> good = LumiMask({"281613": [[1, 5], [9, 9]]})
    >>> good([281613, 281613, 281613, 1], [5, 6, 9, 1])
    array([ True, False,  True, False])
    """

    def __init__(self, golden: str | os.PathLike[str] | Mapping[str, Any]) -> None:
        where = "the golden JSON"
        if not isinstance(golden, Mapping):
            where = str(golden)
            try:
                golden = json.loads(Path(golden).read_text())
            except json.JSONDecodeError as error:
                raise ValueError(f"{where}: is not JSON: {error}") from None
            if not isinstance(golden, Mapping):
                # The file's content is wrong, not an argument's type.
                raise ValueError(  # noqa: TRY004
                    f"{where}: must hold runs and their sections, as an object"
                )
        bounds: list[tuple[int, int]] = []
        for run, sections in golden.items():
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
        self.runs = tuple(sorted(int(run) for run in golden))

    def __call__(self, run: ArrayLike, luminosity_block: ArrayLike) -> NDArray[np.bool_]:
        """Whether each event is in a certified section."""
        runs = as_column(run, "run")
        blocks = as_column(luminosity_block, "luminosity_block")
        check_length(blocks, "luminosity_block", len(runs), "runs")
        for name, column in (("run", runs), ("luminosity_block", blocks)):
            if column.dtype.kind not in "iu":
                raise TypeError(f"{name} must be integers, got dtype {column.dtype}")
        key = (runs.astype(np.int64) << 32) | blocks.astype(np.int64)
        at = np.searchsorted(self._first, key, side="right") - 1
        good = at >= 0
        good[good] = key[good] <= self._last[at[good]]
        return good


def _bounds(where: str, run: object, sections: object) -> list[tuple[int, int]]:
    text = str(run)
    if not text.isdecimal():
        raise ValueError(f"{where}: run {run!r} is not a number")
    ok = isinstance(sections, Sequence) and all(
        isinstance(pair, Sequence)
        and len(pair) == 2
        and all(isinstance(x, int) and 0 <= x < 2**32 for x in pair)
        and pair[0] <= pair[1]
        for pair in sections
    )
    if not ok:
        raise ValueError(
            f"{where}: run {run} must have a list of [first, last] sections, got {sections!r}"
        )
    assert isinstance(sections, Sequence)
    high = int(text) << 32
    return [(high | first, high | last) for first, last in sections]
