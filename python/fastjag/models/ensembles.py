"""Tree ensembles for classes of unequal size, on tables of one row per event.

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
from sklearn.base import clone
from sklearn.ensemble import AdaBoostClassifier, RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.validation import check_is_fitted, validate_data

from fastjag.core.checks import at_least, needs
from fastjag.kernels import get_num_threads
from fastjag.models.device import training_device
from fastjag.models.weights import (
    Classifier,
    Floats,
    balanced_draw,
    class_labels,
    training_weights,
)

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


class _Trees(Classifier):
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
    ) -> _Trees:  # fmt: skip
        """Learn from (n, F) features, (n,) classes and (n,) signed weights.

        Events with the same number in ``groups``, (n,), are on one side of early stopping.
        """
        table = self._table(X, reset=True)
        labels = class_labels(y)
        if len(table) != len(labels):
            raise ValueError(f"X has {len(table)} events, but y has {len(labels)}")
        known = training_weights(labels, sample_weight, negative=self.negative)
        self.classes_ = known.classes
        table = table[known.rows]
        there = ~np.isnan(table)
        lowest = np.min(table, axis=0, where=there, initial=np.inf)
        self.fill_ = np.where(there.any(axis=0), lowest, 0.0) - 1
        self._together = None if groups is None else np.asarray(groups)[known.rows]
        self._train(self._filled(table), known.codes, known.weights)
        del self._together
        return self

    def predict_proba(self, X: Table) -> Floats:
        """Probabilities of ``classes_``, (n, K)."""
        check_is_fitted(self)
        table = self._table(X, reset=False)
        return np.asarray(self._probabilities(self._filled(table)), np.float64)

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

    def _filled(self, table: Floats) -> Floats:
        return np.where(np.isnan(table), self.fill_, table)

    @abstractmethod
    def _train(self, table: Floats, codes: NDArray[np.int64], weights: Floats) -> None:
        """Fit ``model_`` to rows of classes ``codes``, (n,), with positive weights."""

    def _probabilities(self, table: Floats) -> Floats:
        return np.asarray(self.model_.predict_proba(table))


class Forest(_Trees):
    """Random forest with balanced weights: the baseline.

    Parameters: number of ``trees``, ``min_samples_leaf``, policy for ``negative`` weights
    (:func:`fastjag.models.weights.training_weights`), ``seed``, ``threads``.
    """

    def __init__(
        self,
        trees: int = 300,
        min_samples_leaf: int = 5,
        negative: str = "abs",
        seed: int = 0,
        threads: int | None = None,
    ) -> None:
        self.trees = trees
        self.min_samples_leaf = min_samples_leaf
        self.negative = negative
        self.seed = seed
        self.threads = threads

    def _train(self, table: Floats, codes: NDArray[np.int64], weights: Floats) -> None:
        self.model_ = self._forest(
            n_estimators=at_least("trees", self.trees, 1),
            min_samples_leaf=self.min_samples_leaf,
            random_state=self.seed,
            n_jobs=get_num_threads(self.threads),
        ).fit(table, codes, sample_weight=weights)

    def _forest(self, **parameters: Any) -> Any:
        return RandomForestClassifier(**parameters)


class BalancedForest(Forest):
    """Random forest, each tree of which sees as many events of every class (Chen et al. 2004).

    imbalanced-learn's, which draws events whatever their weights and learns with the weights: so
    these have a mean of 1 in every class, as drawing makes the classes equal already.
    """

    def _train(self, table: Floats, codes: NDArray[np.int64], weights: Floats) -> None:
        means = np.bincount(codes, weights) / np.bincount(codes)
        super()._train(table, codes, weights / means[codes])

    def _forest(self, **parameters: Any) -> Any:
        needs("imblearn", "diphoton")
        from imblearn.ensemble import BalancedRandomForestClassifier

        # As the paper has it, and as the defaults of the library will be.
        return BalancedRandomForestClassifier(
            sampling_strategy="all", replacement=True, bootstrap=False, **parameters
        )


class BalancedSubsets(_Trees):
    """Average of classifiers that each learn from a balanced subset, drawn by weight.

    Every subset has as many events of each class as the smallest class has, drawn in proportion to
    their weights (:func:`fastjag.models.weights.balanced_draw`) and then of equal weight: so
    learners that know no weights learn the weighted distributions. One subset is undersampling,
    many with trees are balanced bagging, many with boosted trees are EasyEnsemble (Liu, Wu, Zhou,
    IEEE Trans. SMC B 39:539, 2009). imbalanced-learn's estimators of these names take no weights.

    Parameters: the ``estimator`` (any of scikit-learn's that has ``predict_proba``), number of
    ``subsets``, policy for ``negative`` weights, ``seed``.
    """

    def __init__(
        self, estimator: Any, subsets: int = 10, negative: str = "abs", seed: int = 0
    ) -> None:
        self.estimator = estimator
        self.subsets = subsets
        self.negative = negative
        self.seed = seed

    def _train(self, table: Floats, codes: NDArray[np.int64], weights: Floats) -> None:
        rng = np.random.default_rng(self.seed)
        size = int(np.bincount(codes[weights > 0]).min())
        self.estimators_ = []
        for _ in range(at_least("subsets", self.subsets, 1)):
            drawn = balanced_draw(codes, weights, size, rng)
            learner = clone(self.estimator)
            if "random_state" in learner.get_params():
                learner.set_params(random_state=int(rng.integers(2**31)))
            self.estimators_.append(learner.fit(table[drawn], codes[drawn]))

    def _probabilities(self, table: Floats) -> Floats:
        return np.asarray(np.mean([e.predict_proba(table) for e in self.estimators_], axis=0))

    @property
    def feature_importances_(self) -> Floats:
        """Mean over the subsets, (F,); AttributeError where the estimators have none."""
        return np.asarray(np.mean([e.feature_importances_ for e in self.estimators_], axis=0))


def undersampling(seed: int = 0, trees: int = 300, threads: int | None = None) -> BalancedSubsets:
    """A random forest on one balanced subset."""
    forest = RandomForestClassifier(trees, min_samples_leaf=5, n_jobs=get_num_threads(threads))
    return BalancedSubsets(forest, 1, seed=seed)


def balanced_bagging(seed: int = 0, subsets: int = 50) -> BalancedSubsets:
    """Single trees on many balanced subsets."""
    return BalancedSubsets(DecisionTreeClassifier(min_samples_leaf=5), subsets, seed=seed)


def easy_ensemble(seed: int = 0, subsets: int = 10, rounds: int = 30) -> BalancedSubsets:
    """AdaBoost on many balanced subsets."""
    weak = DecisionTreeClassifier(max_depth=3, min_samples_leaf=5)
    return BalancedSubsets(
        AdaBoostClassifier(weak, n_estimators=rounds, learning_rate=0.5), subsets, seed=seed
    )


class BoostedTrees(_Trees):
    """XGBoost with balanced weights of mean 1 and early stopping.

    Parameters
    ----------
    rounds, early_stopping_rounds
        Most rounds, and how many without a smaller loss on the validation part end training.
    max_depth, learning_rate, subsample, colsample_bytree
        XGBoost's.
    validation
        Share of each class that is kept for early stopping.
    negative, seed, threads, device
        Policy for negative weights; of the validation part and of XGBoost; "cpu" or "cuda".
    """

    def __init__(
        self,
        rounds: int = 500,
        early_stopping_rounds: int = 20,
        max_depth: int = 4,
        learning_rate: float = 0.1,
        subsample: float = 0.8,
        colsample_bytree: float = 0.8,
        validation: float = 0.2,
        negative: str = "abs",
        seed: int = 0,
        threads: int | None = None,
        device: str = "cpu",
    ) -> None:
        self.rounds = rounds
        self.early_stopping_rounds = early_stopping_rounds
        self.max_depth = max_depth
        self.learning_rate = learning_rate
        self.subsample = subsample
        self.colsample_bytree = colsample_bytree
        self.validation = validation
        self.negative = negative
        self.seed = seed
        self.threads = threads
        self.device = device

    def _train(self, table: Floats, codes: NDArray[np.int64], weights: Floats) -> None:
        needs("xgboost", "trees")
        import xgboost

        device = training_device(self.device, "xgboost")
        at_least("rounds", self.rounds, 1)
        at_least("early_stopping_rounds", self.early_stopping_rounds, 1)
        rng = np.random.default_rng(self.seed)
        held = validation_part(codes, self.validation, rng, weights, self._together)
        train = xgboost.QuantileDMatrix(table[~held], codes[~held], weight=weights[~held])
        valid = xgboost.QuantileDMatrix(table[held], codes[held], weight=weights[held], ref=train)
        self.losses_: dict[str, dict[str, list[float]]] = {}
        self.model_ = xgboost.train(
            {
                "objective": "multi:softprob",
                "num_class": len(self.classes_),
                "eval_metric": "mlogloss",
                "max_depth": self.max_depth,
                "learning_rate": self.learning_rate,
                "subsample": self.subsample,
                "colsample_bytree": self.colsample_bytree,
                "seed": self.seed,
                "nthread": get_num_threads(self.threads),
                "device": device,
            },
            train,
            self.rounds,
            evals=[(train, "train"), (valid, "validation")],
            early_stopping_rounds=self.early_stopping_rounds,
            evals_result=self.losses_,
            verbose_eval=False,
        )

    def _filled(self, table: Floats) -> Floats:
        return table  # XGBoost sends missing values where they fit best

    def _probabilities(self, table: Floats) -> Floats:
        best = (0, self.model_.best_iteration + 1)
        found: Floats = self.model_.inplace_predict(table, iteration_range=best).astype(np.float64)
        return np.asarray(found / found.sum(axis=1, keepdims=True))  # to float64's last bit

    @property
    def feature_importances_(self) -> Floats:
        """Mean gain of a column's splits, scaled to add up to 1. (F,)"""
        scores = self.model_.get_score(importance_type="gain")
        gain = np.array([scores.get(f"f{i}", 0.0) for i in range(self.n_features_in_)])
        return np.asarray(gain / max(gain.sum(), np.finfo(float).tiny))


def validation_part(
    codes: NDArray[np.int64], share: float, rng: np.random.Generator, weights: Floats,
    groups: ArrayLike | None = None,
) -> NDArray[np.bool_]:  # fmt: skip
    """Mask of a random ``share`` of each class, one event or more; ValueError for single events.
    With ``groups``, numbers of shape (n,), of a share of the groups: copies stay together.

    Events of weight 0 say nothing about a loss, and a part that holds only them has none: they are
    left to the training.
    """
    if not 0 < share < 1:
        raise ValueError(f"validation must be a share between 0 and 1, got {share!r}")
    held = np.zeros(len(codes), bool)
    if groups is not None:
        _, group = np.unique(np.asarray(groups), return_inverse=True)
        n = int(group.max()) + 1
        for _ in range(100):
            held = rng.permutation(n)[group] < max(1, round(share * n))
            there = [np.unique(codes[part & (weights > 0)]) for part in (held, ~held)]
            if all(len(found) == int(codes.max()) + 1 for found in there):
                return np.asarray(held)
        raise ValueError(
            f"{n} groups cannot be split so that both parts have events of all classes"
        )
    for code in range(int(codes.max()) + 1):
        members = rng.permutation(np.flatnonzero((codes == code) & (weights > 0)))
        if len(members) < 2:
            raise ValueError(
                f"each class needs two events or more, one of them for validation, that have "
                f"weights above 0; class number {code} has {len(members)}"
            )
        held[members[: max(1, round(share * len(members)))]] = True
    return held
