"""Boosted trees that tell classes apart, and what their splits say about the features."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xgboost
from numpy.typing import NDArray

from fastjag.kernels import get_num_threads
from fastjag.reporting.progress import progress_bar

Floats = NDArray[np.float64]

_ROWS = 16_384  # whose SHAP values are computed at a time


class BoostedTrees:
    """XGBoost on features (n, F) and labels 0 ... n_classes - 1.

    Weights must not be negative; they are brought to mean 1, because regularisation and
    ``min_child_weight`` are absolute: trees of tiny weights would not split at all.
    """

    def __init__(
        self,
        features: Floats,
        labels: NDArray[np.int64],
        weights: Floats,
        n_classes: int,
        *,
        seed: int,
        rounds: int = 100,
        max_depth: int = 4,
        learning_rate: float = 0.1,
        subsample: float = 0.7,
        threads: int | None = None,
        progress: bool | None = None,
    ) -> None:
        self.n_features, self.n_classes = features.shape[1], n_classes
        parameters: dict[str, Any] = {
            "objective": "binary:logistic" if n_classes == 2 else "multi:softprob",
            "max_depth": max_depth, "learning_rate": learning_rate, "subsample": subsample,
            "seed": seed, "nthread": get_num_threads(threads),
        }  # fmt: skip
        if n_classes > 2:
            parameters["num_class"] = n_classes
        train = xgboost.QuantileDMatrix(features, labels, weight=weights / weights.mean())
        with progress_bar("boosted trees", rounds, progress) as advance:
            self.booster = xgboost.train(parameters, train, rounds, callbacks=[_Advance(advance)])

    def __call__(self, features: Floats) -> Floats:
        """Probability of class 1, (n,), or of every class, (n, n_classes)."""
        return np.asarray(self.booster.predict(xgboost.DMatrix(features)), np.float64)

    def gain(self) -> Floats:
        """(F,) sum of the loss reductions of all splits in a feature."""
        found = self.booster.get_score(importance_type="total_gain")
        return np.array([float(found.get(f"f{i}", 0.0)) for i in range(self.n_features)])

    def mean_absolute_shap(
        self, features: Floats, weights: Floats, progress: bool | None = None
    ) -> Floats:
        """(F,) weighted mean of absolute SHAP values, of all classes together.

        SHAP values of trees: S. Lundberg et al., Nature Mach. Intell. 2 (2020) 56. They are those
        of the margin: log odds, or one score per class.
        """
        total = np.zeros(self.n_features)
        with progress_bar("SHAP values", len(features), progress) as advance:
            for start in range(0, len(features), _ROWS):
                rows = slice(start, start + _ROWS)
                matrix = xgboost.DMatrix(features[rows])
                values = np.abs(self.booster.predict(matrix, pred_contribs=True))
                # The last of the contributions is the bias.
                per_event = values.reshape(len(values), -1, self.n_features + 1).sum(axis=1)[:, :-1]
                total += weights[rows] @ per_event
                advance(len(values))
        return np.asarray(total / weights.sum())


class _Advance(xgboost.callback.TrainingCallback):  # type: ignore[misc]
    """Moves a progress bar after every round."""

    def __init__(self, advance: Callable[[float], None]) -> None:
        self._advance = advance

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        self._advance(1)
        return False
