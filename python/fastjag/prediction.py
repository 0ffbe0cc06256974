"""``fj.predict``: a model's scores of many files, read in ranges on any executor."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastjag import batch
from fastjag.batch.parts import Tables, join, parts_folder, write_parts
from fastjag.core.arrays import Array
from fastjag.core.checks import near_misses, needs
from fastjag.datasets import ranges
from fastjag.inputs import Inputs
from fastjag.inputs.tables import table_names, table_of
from fastjag.io import Batch
from fastjag.io.sources.access import Access, reading_with
from fastjag.models.scorers import Scorer, scorer_of, scores_in_blocks

#: Columns that say which event a row is, where files have them.
EVENT_COLUMNS = ("run", "luminosityBlock", "event")

_STEP = 1 << 15  # events that are read at a time; a score does not depend on it
_ROWS = "rows"


class Predicted(NamedTuple):
    """What :func:`predict` wrote."""

    path: Path
    rows: int  #: events in the file
    read: int  #: events that were read: the inputs' selection leaves some out
    scores: tuple[str, ...]  #: names of the columns of scores
    missing: tuple[str, ...]  #: ranges that could not be read, with ``on_error="report"``


def predict(
    model: Any,
    datasets: Any,
    inputs: Any,
    out: str | os.PathLike[str],
    *,
    columns: Iterable[str] | None = None,
    classes: Iterable[str] | None = None,
    size: int | str = "200 MB",
    executor: Any = None,
    keep: str | os.PathLike[str] | None = None,
    on_error: str = "raise",
    device: str = "cpu",
    storage_options: Mapping[str, Any] | None = None,
    cache: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
) -> Predicted:
    """Scores of every event of data sets, written as a Parquet file.

    A score does not depend on the executor, the size of ranges or the events beside it, to the last bit, on
    one kind of processor: models run in one thread, over blocks of one size. Executors make it fast.

    Parameters
    ----------
    model
        A network of :mod:`fastjag.models`, another torch module that takes a dict of tensors and gives scores
        (n,) or (n, K), an XGBoost Booster, or a path: ``.onnx``, ``.pt`` (a saved network), ``.json`` or ``.ubj`` (XGBoost).
    datasets
        What :func:`fastjag.ranges` takes: files, a mapping of data sets to files, or ranges.
    inputs
        What the model sees: :class:`fastjag.inputs.Inputs` that are fitted, or the path of their JSON. Targets and weights are not asked for.
    out
        The Parquet file. Its columns are "dataset", "file" and "entry" of each event, ``columns``, observers of the inputs, and the scores:
        "score" for one per event, else "score_CLASS". Rows are in the order of the data sets, files and entries.
    columns
        Branches with one value per event that go along in their own dtype. Default: run, luminosityBlock and event, as far as the
        files have them.
    classes
        Names of the classes. Default: those that the model knows, or that the inputs' target had, or numbers.
    size
        Of a range, as in :func:`fastjag.ranges`.
    executor, keep, on_error
        As in :func:`fastjag.batch.run`: who works, where finished ranges stay, and what becomes of those that fail.
    device
        Where a torch module runs: "cpu", or "cuda". Scores differ there in their last digits.
    storage_options, cache
        For files on servers, as in :func:`fastjag.iterate`: what servers are told, and a folder that keeps copies. They hold for all
        reading, that of workers as well. Results in ``keep`` do not depend on them.
    progress
        Show a bar. Default: unless fastjag is quiet.

    Returns
    -------
    Predicted
        The path, and how many events it has.

    Raises
    ------
    ValueError, TypeError, KeyError
        Before any event is read: for inputs that are not fitted, a model of another kind, columns of a table that are not
        those that XGBoost was trained on.
    BatchError
        Naming a range that failed.

    Examples
    --------
    >>> import fastjag as fj
    >>> fj.predict("tagger.onnx", {"data": "data/*.root"}, "inputs.json", "scores.parquet")  # doctest: +SKIP
    """
    needs("pyarrow", "arrow")
    seen = Inputs.load(inputs) if isinstance(inputs, (str, os.PathLike)) else Inputs.of(inputs)
    titles = None if seen.target is None else list(seen.target.titles)
    seen = seen.for_prediction()
    if not seen.fitted:
        raise ValueError(
            "the inputs are not fitted: give those that were saved with the model, or inputs.fit(batches)"
        )
    scorer = scorer_of(model, device)
    _check_table(scorer, seen)
    access = Access.given(storage_options, cache)
    with reading_with(access):
        pieces = ranges(
            datasets, size, progress=progress, on_error="skip" if on_error == "report" else "raise"
        )
    if not len(pieces):
        raise ValueError("the data sets have no events")
    out = Path(out)
    wanted = EVENT_COLUMNS if columns is None else tuple(columns)
    named = None if classes is None else tuple(map(str, classes))
    with parts_folder(keep, out.absolute().parent) as folder:
        work = _Scoring(scorer, seen, wanted, columns is None, named, titles, folder)
        outcome = batch.run(
            work, pieces, [*seen.columns, *(() if columns is None else wanted)],
            optional=EVENT_COLUMNS if columns is None else (), executor=executor, keep=keep,
            on_error=on_error, step=_STEP, storage_options=access.storage_options,
            cache=access.cache, progress=progress,
        )  # fmt: skip
        found: _Scored | None = outcome.value
        if found is None:
            raise ValueError("no range of the data sets could be read")
        rows = join(out, found.tables[_ROWS])
    missing = [f"{s.file}: {s.reason}" for s in pieces.skipped] + [str(f) for f in outcome.failed]
    return Predicted(out, rows, found.read, found.names[0], tuple(missing))


@dataclass
class _Scored(Tables):
    """Of some events; merged, of all."""

    read: int
    names: list[tuple[str, ...]]  #: of the columns of scores, once for each batch


@dataclass(frozen=True)
class _Scoring:
    """What workers do with a batch of events."""

    scorer: Scorer
    inputs: Inputs
    columns: tuple[str, ...]
    optional: bool  #: whether files may lack the columns
    classes: tuple[str, ...] | None
    titles: list[str] | None  #: of the target, where the model knows none
    folder: str  #: for rows

    def __call__(self, events: Batch) -> _Scored:
        import pyarrow as pa

        seen = self.inputs.survivors(events)
        tensors = self.inputs.tensors(self.inputs.rows_of(seen))
        n = len(seen)
        values: Any = tensors
        if self.scorer.table is not None:
            values = table_of(self.inputs, tensors)
        scores = scores_in_blocks(self.scorer, values, n)
        bad = ~np.isfinite(scores if scores.ndim == 1 else scores.sum(axis=1))
        if bad.any():
            raise ValueError(
                f"{seen.source.file}: the score of entry {int(seen.entries[bad.argmax()])} is not finite"
            )
        there = [c for c in self.columns if not self.optional or c in seen.flat]
        named = self._named(scores)
        columns = {
            "dataset": pa.repeat(pa.scalar(seen.source.dataset), n),
            "file": pa.repeat(pa.scalar(seen.source.file), n),
            "entry": seen.entries,
            **{name: seen.event_branch(name) for name in there},
            **{name: tensors[name] for name in self.inputs.observers},
            **named,
        }
        parts = write_parts(self.folder, {_ROWS: columns})
        return _Scored(parts, len(events), [tuple(named)])

    def _named(self, scores: Array) -> Mapping[str, Array]:
        """Columns of scores by name."""
        if scores.ndim == 1 or scores.shape[1] == 1:
            return {"score": scores.reshape(len(scores))}
        n = scores.shape[1]
        known = self.classes or self.scorer.classes
        if known is None and self.titles is not None and len(self.titles) == n:
            known = self.titles
        if known is None:
            known = [str(i) for i in range(n)]
        if len(known) != n:
            raise ValueError(f"the model gives {n} scores, and classes are {', '.join(known)}")
        return {f"score_{name}": np.ascontiguousarray(scores[:, i]) for i, name in enumerate(known)}


def _check_table(scorer: Scorer, inputs: Inputs) -> None:
    """ValueError where a table has other columns than the model was trained on."""
    if scorer.table is None:
        return
    names = table_names(inputs)
    if len(names) != len(scorer.table):
        raise ValueError(
            f"the model takes {len(scorer.table)} columns, the inputs have {len(names)}"
        )
    if scorer.table[0] == "f0" and scorer.table[-1] == f"f{len(names) - 1}":
        return  # it was trained without names
    for i, (asked, given) in enumerate(zip(scorer.table, names, strict=True)):
        if asked != given:
            raise ValueError(
                f"column {i} of the model is {asked!r}, that of the inputs is {given!r}: "
                f"{near_misses(asked, names)}"
            )
