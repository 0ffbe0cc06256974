"""XGBoost's quantised matrices from batches: the table itself is never in memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import xgboost

from fastjag.core.arrays import Array
from fastjag.core.checks import at_least
from fastjag.kernels import get_num_threads


class TableBatch(NamedTuple):
    """Some rows of a table."""

    table: Array  #: float32 (n, F), NaN where there is nothing
    label: Array | None = None  #: (n,)
    weight: Array | None = None  #: (n,)


def quantile_matrix(
    batches: Callable[[], Iterable[TableBatch]],
    names: Sequence[str],
    *,
    max_bin: int = 256,
    ref: xgboost.DMatrix | None = None,
    cache: str | os.PathLike[str] | None = None,
    threads: int | None = None,
) -> xgboost.DMatrix:
    """A QuantileDMatrix of batches, which are gone through several times.

    Parameters
    ----------
    batches
        Gives the same batches in every call: XGBoost looks at them for quantiles first, and then for the bins.
    names
        Of the F columns, without [, ] and <.
    max_bin
        Bins per column, of which a number takes one byte up to 256. Training has to be told the same number.
    ref
        The matrix of the training, whose bins one for validation has to use.
    cache
        Beginning of the names of files that keep the bins: they stay on disk, by
        ExtMemQuantileDMatrix, which needs XGBoost 3.0 or newer. Default: in memory.
    threads
        As in :func:`fastjag.get_num_threads`.

    Raises what the batches raise, and ValueError for another number of columns.
    """
    at_least("max_bin", max_bin, 2)
    if cache is not None and not hasattr(xgboost, "ExtMemQuantileDMatrix"):
        raise ValueError(
            f"bins on disk (cache) need XGBoost 3.0 or newer, this is {xgboost.__version__}"
        )
    iterator = _Batches(batches, list(names), cache)
    kind = xgboost.QuantileDMatrix if cache is None else xgboost.ExtMemQuantileDMatrix
    try:
        return kind(iterator, max_bin=max_bin, ref=ref, nthread=get_num_threads(threads))
    finally:
        iterator.close()


class _Batches(xgboost.DataIter):  # type: ignore[misc]
    def __init__(
        self, batches: Callable[[], Iterable[TableBatch]], names: list[str],
        cache: str | os.PathLike[str] | None,
    ) -> None:  # fmt: skip
        self._batches, self._names = batches, names
        self._current: Iterator[TableBatch] | None = None
        super().__init__(cache_prefix=None if cache is None else os.fspath(cache))

    def next(self, input_data: Any) -> bool:
        if self._current is None:
            self._current = iter(self._batches())
        batch = next(self._current, None)
        if batch is None:
            return False
        if batch.table.shape[1] != len(self._names):
            raise ValueError(
                f"the batch has {batch.table.shape[1]} columns, names are {len(self._names)}"
            )
        input_data(data=batch.table, label=batch.label, weight=batch.weight,
                   feature_names=self._names)  # fmt: skip
        return True

    def reset(self) -> None:
        self.close()

    def close(self) -> None:
        if (end := getattr(self._current, "close", None)) is not None:
            end()
        self._current = None
