"""Classifiers of tables, one row per event: what is checked before any of them learns.

All take signed event weights (``fastjag.models.weights``), give every class the same importance,
and accept NaN as "not there": XGBoost as its own missing value, the others as a value below all
that occur, which trees can split off.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.utils.validation import check_is_fitted, validate_data

from fastjag.models.weights import Classifier, Floats, check_events, check_labels, training_weights

Table = Mapping[str, ArrayLike] | ArrayLike


def as_table(X: Table) -> Floats:
    """(n, F) float64 from a dict of columns or an array; NaN may occur, infinities may not.

    Raises ValueError naming column and event.
    """
    if isinstance(X, Mapping):
        names = [repr(name) for name in X]
        columns = [_real(values, name) for name, values in zip(names, X.values(), strict=True)]
        lengths = {name: len(c) for name, c in zip(names, columns, strict=True)}
        if len(set(lengths.values())) != 1:
            raise ValueError(f"columns must have equal lengths, got {lengths or 'none'}")
        table = np.column_stack(columns)
    else:
        table = _real(X, "X")
        if table.ndim != 2 or table.shape[1] == 0:
            raise ValueError(f"X must have shape (n, F), got {table.shape}")
        names = [str(name) for name in getattr(X, "columns", range(table.shape[1]))]
    infinite = np.isinf(table)
    if infinite.any():
        event, column = (int(i) for i in np.argwhere(infinite)[0])
        raise ValueError(
            f"column {names[column]} must be finite or NaN, got {table[event, column]} "
            f"in event {event}"
        )
    return table


def _real(values: Any, name: str) -> Floats:
    array = np.asarray(values)
    if array.dtype.kind == "c":
        raise ValueError(f"Complex data not supported: {name} has dtype {array.dtype}")
    return array.astype(np.float64)


class TableClassifier(Classifier):
    """Estimators of scikit-learn's kind behind one door: checked, filled, weighted.

    ``X`` is an array (n, F), a DataFrame or a dict of columns. Names of columns are kept in
    ``feature_names_in_`` and asked for again: columns of a dict are taken by name, in whatever
    order they come, and those of a DataFrame have to be the same in the same order, as everywhere
    in scikit-learn.
    """

    model_: Any
    negative: str

    def fit(
        self, X: Table, y: ArrayLike, sample_weight: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> TableClassifier:  # fmt: skip
        """Learn from (n, F) features, (n,) classes and (n,) signed weights.

        Events with the same number in ``groups``, (n,), are on one side of early stopping.
        """
        table = self._table(X, reset=True)
        labels = check_labels(y)
        check_events(len(table), labels)
        known = training_weights(labels, sample_weight, negative=self.negative)
        self.classes_ = known.classes
        table = table[known.rows]
        there = ~np.isnan(table)
        lowest = np.min(table, axis=0, where=there, initial=np.inf)
        self.fill_ = np.where(there.any(axis=0), lowest, 0.0) - 1
        self._together = None if groups is None else np.asarray(groups)[known.rows]
        self._train(self._fill(table), known.codes, known.weights)
        del self._together
        return self

    def predict_proba(self, X: Table) -> Floats:
        """Probabilities of ``classes_``, (n, K)."""
        check_is_fitted(self)
        table = self._table(X, reset=False)
        return np.asarray(self._probabilities(self._fill(table)), np.float64)

    @property
    def feature_importances_(self) -> Floats:
        """How much each column helps the splits; adds up to 1. (F,)"""
        return np.asarray(self.model_.feature_importances_)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _table(self, X: Table, *, reset: bool) -> Floats:
        """(n, F) in the order of the training; with ``reset``, this is the training."""
        if not isinstance(X, Mapping) or sparse.issparse(X):  # one kind of sparse array is a dict
            checked = validate_data(
                self, X, reset=reset, dtype=None, ensure_all_finite=False, ensure_min_samples=0
            )
            # A DataFrame keeps its names, for errors.
            return as_table(X if hasattr(X, "columns") else checked)
        names = [str(name) for name in X]
        if reset:
            self.feature_names_in_ = np.array(names, dtype=object)
            self.n_features_in_ = len(names)
            return as_table(X)
        known = getattr(self, "feature_names_in_", None)
        if known is None:
            raise ValueError(
                f"X has names of columns, but {type(self).__name__} was fitted without; they "
                f"cannot be compared: give an array of {self.n_features_in_} columns"
            )
        if sorted(names) != sorted(known):
            raise ValueError(
                "the names of columns are not those of the training: "
                f"missing are {sorted(set(known) - set(names)) or 'none'}, "
                f"not known are {sorted(set(names) - set(known)) or 'none'}"
            )
        by_name = dict(zip(names, X.values(), strict=True))
        return as_table({name: by_name[name] for name in known})

    def _fill(self, table: Floats) -> Floats:
        return np.where(np.isnan(table), self.fill_, table)

    @abstractmethod
    def _train(self, table: Floats, codes: NDArray[np.int64], weights: Floats) -> None:
        """Fit ``model_`` to rows of classes ``codes``, (n,), with positive weights."""

    def _probabilities(self, table: Floats) -> Floats:
        return np.asarray(self.model_.predict_proba(table))
