"""Boosted trees: XGBoost."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastjag.core.checks import at_least, needs
from fastjag.kernels import get_num_threads
from fastjag.models.table_classifier import TableClassifier
from fastjag.models.training_device import training_device
from fastjag.models.weights import Floats, validation_part


class BoostedTrees(TableClassifier):
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
