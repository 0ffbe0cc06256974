"""Which events a selection keeps: counted before the first epoch, so that batches are full."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastjag.inputs import Inputs, features
from fastjag.io.batches import Batch
from fastjag.loading.caching import read_all
from fastjag.loading.files import OpenFiles
from fastjag.loading.lanes import Run
from fastjag.loading.pools import Rows

_BLOCK = 1 << 16  # entries of which the survivors are counted together


class Chosen:
    """Survivors among the entries of a run, a bit for each."""

    def __init__(self, start: int, kept: NDArray[np.bool_]) -> None:
        self.start, self.n = start, len(kept)
        self._bits = np.packbits(kept)
        sums = [np.count_nonzero(kept[at : at + _BLOCK]) for at in range(0, len(kept), _BLOCK)]
        self._before = np.cumsum([0, *sums])

    def __len__(self) -> int:
        return int(self._before[-1])

    def entry(self, number: int) -> int:
        """Of the survivor of this number; the end of the run behind the last."""
        if number >= len(self):
            return self.start + self.n
        block = int(np.searchsorted(self._before, number, side="right")) - 1
        bits = self._bits[block * _BLOCK // 8 : (block + 1) * _BLOCK // 8]
        inside = np.flatnonzero(np.unpackbits(bits))[number - int(self._before[block])]
        return self.start + block * _BLOCK + int(inside)

    def entries(self, numbers: Sequence[int]) -> list[int]:
        return [self.entry(number) for number in numbers]


def selects(inputs: Any) -> bool:
    """Whether there may be fewer rows than events."""
    if not isinstance(inputs, Inputs):
        return False
    return inputs.selection is not None or _drops(inputs)


def _drops(inputs: Inputs) -> bool:
    weight = inputs.weight
    return weight is not None and weight.negative == "drop" and weight.expression is not None


def chosen_runs(files: OpenFiles, inputs: Inputs) -> list[Run]:
    """The runs with their survivors alone, which are counted from 0 in each; others are left out.

    Of the files, ``columns_of`` these inputs are read.
    """
    kept: NDArray[np.bool_] = np.zeros(sum(map(len, files.runs)), np.bool_)
    read_all(files, _Masks(kept), _Counting(inputs))
    found = []
    for run, end in zip(files.runs, accumulate(map(len, files.runs)), strict=True):
        own = kept[end - len(run) : end]
        chosen = Chosen(run.start, own)
        before = np.concatenate([[0], np.cumsum(own)])
        edges = sorted({int(before[edge - run.start]) for edge in run.edges})
        if len(edges) > 1:
            found.append(replace(run, edges=tuple(edges), chosen=chosen))
    return found


def columns_of(inputs: Inputs) -> tuple[str, ...]:
    """Branches by which events are selected."""
    texts = [inputs.selection] if inputs.selection is not None else []
    if inputs.weight is not None and inputs.weight.expression is not None and _drops(inputs):
        texts.append(inputs.weight.expression)
    alone = features(dict.fromkeys(texts))
    return replace(
        inputs, groups=(alone,), target=None, weight=None, observers=(), selection=None
    ).columns


class _Counting:
    """In place of inputs: which of the events survive."""

    columns: tuple[str, ...] = ()
    dense_bytes = 1

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs

    def rows(self, events: Batch) -> Rows:
        kept = np.zeros(len(events), np.bool_)
        kept[self._inputs.survivors(events).entries - events.source.start] = True
        return {"kept": kept}

    def tensors(self, rows: Rows, out: Any = None) -> Any:
        return rows


class _Masks:
    def __init__(self, kept: NDArray[np.bool_]) -> None:
        self._kept = kept

    def put(self, place: int, rows: Rows, of: str) -> None:
        self._kept[place : place + len(rows["kept"])] = rows["kept"]
