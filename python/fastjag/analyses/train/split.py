"""Stage: which events are for training, validation and test."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np

from fastjag.analyses.train.results import PARTS, TaggerResults
from fastjag.datasets import ranges
from fastjag.io.ranges import Range, Ranges
from fastjag.reporting.output import results_directory, write_json


def split(results: TaggerResults, *, progress: bool | None = None) -> None:
    """``training.json``, ``validation.json`` and ``test.json``, filesets of ranges, and ``events.json``."""
    config = results.config
    files = {d.name: list(d.files) for d in config.datasets}
    whole = ranges(files, "1 TB", progress=progress)
    parts = split_ranges(whole, config.validation, config.test, config.blocks, config.seed)
    counts: dict[str, Any] = {}
    for name, part in parts.items():
        counts[name] = dict.fromkeys(files, 0)
        for piece in part:
            counts[name][piece.dataset] += len(piece)
        empty = [dataset for dataset, n in counts[name].items() if not n]
        if empty:
            raise ValueError(
                f"data set {empty[0]!r} has too few events for {name}: {dict(_sizes(whole))[empty[0]]}"
            )
    with results_directory(results.folder("split")) as directory:
        for name, part in parts.items():
            part.write(directory / f"{name}.json")
        write_json(directory / "events.json", counts)


def split_ranges(
    whole: Ranges, validation: float, test: float, blocks: int, seed: int
) -> dict[str, Ranges]:
    """Ranges of each part: every file is cut into ``blocks`` of equal length, dealt out at random.

    So parts are spread over each file, whatever it is sorted by, and are the same for the same seed and files. Files
    of fewer events have as many blocks as events. Shares are those of all blocks of a data set.
    """
    pieces: dict[str, list[Range]] = {name: [] for name in PARTS}
    rng = np.random.default_rng(seed)
    for dataset in whole.datasets:
        own = [piece for piece in whole if piece.dataset == dataset]
        cut = [part for piece in own for part in _blocks(piece, blocks)]
        n_test, n_valid = (round(share * len(cut)) for share in (test, validation))
        which = np.full(len(cut), 0)
        order = rng.permutation(len(cut))
        which[order[:n_test]], which[order[n_test : n_test + n_valid]] = 2, 1
        for part, piece in zip(which.tolist(), cut, strict=True):
            pieces[PARTS[part]].append(piece)
    return {
        name: Ranges(_joined(some), whole.files, whole.metadata) for name, some in pieces.items()
    }


def _blocks(piece: Range, blocks: int) -> Iterable[Range]:
    edges = np.unique(piece.start + np.arange(blocks + 1) * len(piece) // blocks).tolist()
    for start, stop in pairwise(edges):
        yield Range(piece.dataset, piece.file, piece.tree, start, stop, piece.uuid)


def _joined(pieces: Iterable[Range]) -> list[Range]:
    """Neighbours as one range."""
    found: list[Range] = []
    for piece in pieces:
        last = found[-1] if found else None
        if last and (last.dataset, last.file, last.tree, last.stop) == (
            piece.dataset, piece.file, piece.tree, piece.start,
        ):  # fmt: skip
            found[-1] = Range(last.dataset, last.file, last.tree, last.start, piece.stop, last.uuid)
        else:
            found.append(piece)
    return found


def _sizes(whole: Ranges) -> Iterable[tuple[str, int]]:
    for dataset in whole.datasets:
        yield dataset, sum(len(piece) for piece in whole if piece.dataset == dataset)
