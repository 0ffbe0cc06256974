"""Batches for models that are no networks: tables for XGBoost, and events for ``partial_fit``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from fastjag.core.checks import at_least, needs
from fastjag.inputs import Inputs
from fastjag.inputs.tables import table_names, table_of
from fastjag.jagged import Jagged, concatenate

Rows = Mapping[str, Any]

#: Events that are handed over at once: what is done per call is the same for few and for many.
ROWS = 1 << 15


def quantile_matrix_of(
    batches: Callable[[], Iterable[Rows]], inputs: Inputs, max_bin: int, ref: Any,
    cache: str | os.PathLike[str] | None, memory: int,
) -> Any:  # fmt: skip
    """The QuantileDMatrix of batches that are the same in every pass (:meth:`Loader.xgboost`).

    XGBoost goes through them several times. Tables of up to ``memory`` bytes are kept from the first pass.
    """
    needs("xgboost", "trees")
    from fastjag.models.quantile_matrix import TableBatch, quantile_matrix

    names = table_names(inputs)
    kept: list[TableBatch] = []
    whole = False  # whether all of them are kept

    def tables() -> Iterator[TableBatch]:
        nonlocal whole
        if whole:
            yield from kept
            return
        kept.clear()
        size = 0
        for rows in _groups(batches(), ROWS):
            parts = [table_of(inputs, row) for row in rows]
            batch = TableBatch(
                np.concatenate(parts), *(_joined(rows, name) for name in ("target", "weight"))
            )
            size += batch.table.nbytes
            if size <= memory:
                kept.append(batch)
            else:
                kept.clear()
            yield batch
            del batch
        whole = size <= memory

    return quantile_matrix(tables, names, max_bin=max_bin, ref=ref, cache=cache)


def fit_batches(
    model: Any, batches: Iterable[Rows], inputs: Inputs, *, first: bool, rows: int = ROWS
) -> int:
    """Call ``model.partial_fit`` for all batches, ``rows`` events at a time; how many there were.

    The model gets a table (:func:`fastjag.inputs.tables.table_of`), or, where the inputs have ragged groups, a
    dict of them as Jagged, as the models of pyramid features take it. ``first``: whether it learns for the first
    time, and has to be told the classes.
    """
    at_least("rows", rows, 1)
    classes: Any = None
    if first:
        n = None if inputs.target is None else inputs.target.n_classes
        if n is None:
            raise ValueError(
                "the first call of partial_fit needs classes: the target of the inputs must say how many there are"
            )
        classes = np.arange(n)
    total = 0
    for some in _groups(batches, rows):
        target, weight = (_joined(some, name) for name in ("target", "weight"))
        if target is None:
            raise ValueError("the batches have no target: name it where the loader is made")
        model.partial_fit(_events(some, inputs), target, classes=classes, sample_weight=weight)
        classes = None
        total += len(target)
    return total


def _groups(batches: Iterable[Rows], least: int) -> Iterator[list[Rows]]:
    """Batches that have so many events together, the last fewer."""
    waiting: list[Rows] = []
    n = 0
    for batch in batches:
        waiting.append(batch)
        n += batch.n_events  # type: ignore[attr-defined]
        if n >= least:
            yield waiting
            waiting, n = [], 0
    if waiting:
        yield waiting


def _joined(rows: list[Rows], name: str) -> Any:
    return np.concatenate([row[name] for row in rows]) if name in rows[0] else None


def _events(rows: list[Rows], inputs: Inputs) -> Any:
    """Sets where there are ragged groups, a table where there are none."""
    if inputs.is_dense:
        return np.concatenate([table_of(inputs, row) for row in rows])
    sets: dict[str, Jagged] = {}
    for group in inputs.groups:
        if group.kind == "ragged":
            names = [column.name for column in group.columns]
            sets[group.name] = concatenate([
                Jagged(row[f"{group.name}_offsets"], dict(zip(names, row[group.name].T, strict=True)))
                for row in rows
            ])  # fmt: skip
    return sets
