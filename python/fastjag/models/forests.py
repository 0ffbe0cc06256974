"""Forests and ensembles of trees for classes of unequal size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.ensemble import AdaBoostClassifier, RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier

from fastjag.core.checks import at_least, needs
from fastjag.kernels import get_num_threads
from fastjag.models.table_classifier import TableClassifier
from fastjag.models.weights import Floats, draw_balanced


@dataclass(eq=False, repr=False)
class Forest(TableClassifier):
    """Random forest with balanced weights: the baseline."""

    trees: int = 300
    min_samples_leaf: int = 5
    #: Policy for negative weights (:func:`fastjag.models.weights.training_weights`).
    negative: str = "abs"
    seed: int = 0
    threads: int | None = None

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


@dataclass(eq=False, repr=False)
class BalancedSubsets(TableClassifier):
    """Average of classifiers that each learn from a balanced subset, drawn by weight.

    Every subset has as many events of each class as the smallest class has, drawn in proportion to
    their weights (:func:`fastjag.models.weights.draw_balanced`) and then of equal weight: so
    learners that know no weights learn the weighted distributions. One subset is undersampling,
    many with trees are balanced bagging, many with boosted trees are EasyEnsemble (Liu, Wu, Zhou,
    IEEE Trans. SMC B 39:539, 2009). imbalanced-learn's estimators of these names take no weights.
    """

    estimator: Any  #: any of scikit-learn's that has ``predict_proba``
    subsets: int = 10
    #: Policy for negative weights (:func:`fastjag.models.weights.training_weights`).
    negative: str = "abs"
    seed: int = 0

    def _train(self, table: Floats, codes: NDArray[np.int64], weights: Floats) -> None:
        rng = np.random.default_rng(self.seed)
        size = int(np.bincount(codes[weights > 0]).min())
        self.estimators_ = []
        for _ in range(at_least("subsets", self.subsets, 1)):
            drawn = draw_balanced(codes, weights, size, rng)
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
