"""Boosted trees: the one place that trains XGBoost, its classifier, and what splits tell of features."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xgboost
from numpy.typing import NDArray

from fastjag.core.checks import at_least, first_line
from fastjag.kernels import get_num_threads
from fastjag.models.table_classifier import TableClassifier
from fastjag.models.training_device import training_device
from fastjag.models.weights import Floats, hold_out
from fastjag.reporting.progress import progress_bar

_ROWS = 16_384  # whose SHAP values are computed at a time


def train_booster(
    train: xgboost.DMatrix,
    rounds: int,
    n_classes: int | None,
    *,
    seed: int,
    threads: int | None,
    evals: Sequence[tuple[xgboost.DMatrix, str]] = (),
    evals_result: dict[str, dict[str, list[float]]] | None = None,
    early_stopping_rounds: int | None = None,
    callbacks: Sequence[Any] = (),
    **parameters: Any,
) -> xgboost.Booster:
    """Train on labels 0 ... ``n_classes`` - 1 by softmax; None: on 0 and 1 by one logistic score.

    Weights have to be 1 on average: regularisation and ``min_child_weight`` are absolute, and trees
    of tiny weights would not split at all.
    """
    parameters |= {"seed": seed, "nthread": get_num_threads(threads)}
    if n_classes is None:
        parameters |= {"objective": "binary:logistic", "eval_metric": "logloss"}
    else:
        parameters |= {"objective": "multi:softprob", "eval_metric": "mlogloss"}
        parameters["num_class"] = n_classes
    return xgboost.train(
        parameters, train, rounds, evals=evals, evals_result=evals_result, callbacks=callbacks,
        early_stopping_rounds=early_stopping_rounds, verbose_eval=False,
    )  # fmt: skip


def read_booster(path: str | os.PathLike[str]) -> xgboost.Booster:
    """Trees of XGBoost's own file, JSON or UBJ; ValueError naming one that holds none."""
    try:
        return xgboost.Booster(model_file=os.fspath(path))
    except xgboost.core.XGBoostError as error:
        raise ValueError(f"{path}: holds no model of XGBoost: {first_line(error)}") from None


@dataclass(eq=False, repr=False)
class BoostedTrees(TableClassifier):
    """XGBoost's classifier with balanced weights of mean 1 and early stopping."""

    rounds: int = 500  #: at most
    early_stopping_rounds: int = 20  #: without a smaller loss on the validation part
    max_depth: int = 4
    learning_rate: float = 0.1
    subsample: float = 0.8
    colsample_bytree: float = 0.8
    validation: float = 0.2  #: share of each class that is kept for early stopping
    #: Policy for negative weights (:func:`fastjag.models.weights.training_weights`).
    negative: str = "abs"
    seed: int = 0  #: of the validation part and of XGBoost
    threads: int | None = None
    device: str = "cpu"  #: or "cuda" where XGBoost has one

    def _train(self, table: Floats, codes: NDArray[np.int64], weights: Floats) -> None:
        device = training_device(self.device, "xgboost")
        at_least("rounds", self.rounds, 1)
        at_least("early_stopping_rounds", self.early_stopping_rounds, 1)
        rng = np.random.default_rng(self.seed)
        held = hold_out(codes, self.validation, rng, weights, self._together)
        train = xgboost.QuantileDMatrix(table[~held], codes[~held], weight=weights[~held])
        valid = xgboost.QuantileDMatrix(table[held], codes[held], weight=weights[held], ref=train)
        self.losses_: dict[str, dict[str, list[float]]] = {}
        self.model_ = train_booster(
            train, self.rounds, len(self.classes_), seed=self.seed, threads=self.threads,
            device=device, evals=[(train, "train"), (valid, "validation")], evals_result=self.losses_,
            early_stopping_rounds=self.early_stopping_rounds, max_depth=self.max_depth,
            learning_rate=self.learning_rate, subsample=self.subsample,
            colsample_bytree=self.colsample_bytree,
        )  # fmt: skip

    def _fill(self, table: Floats) -> Floats:
        return table  # XGBoost sends missing values where they fit best

    def _probabilities(self, table: Floats) -> Floats:
        best = (0, self.model_.best_iteration + 1)
        p = self.model_.inplace_predict(table, iteration_range=best).astype(np.float64)
        return np.asarray(p / p.sum(axis=1, keepdims=True))  # to float64's last bit

    @property
    def feature_importances_(self) -> Floats:
        """Mean gain of a column's splits, scaled to add up to 1. (F,)"""
        gain = gain_of_splits(self.model_, self.n_features_in_, "gain")
        return np.asarray(gain / max(gain.sum(), np.finfo(float).tiny))


def train_all_rounds(
    features: Floats,
    labels: NDArray[np.int64],
    weights: Floats,
    n_classes: int,
    *,
    seed: int,
    rounds: int = 100,
    threads: int | None = None,
    progress: bool | None = None,
) -> xgboost.Booster:
    """Trees of (n, F) features without early stopping, whose splits are to be looked at.

    Two classes have one score, whose SHAP values are those of log odds. Weights must not be
    negative; they are brought to mean 1, classes keep their shares.
    """
    train = xgboost.QuantileDMatrix(features, labels, weight=weights / weights.mean())
    with progress_bar("boosted trees", rounds, progress) as advance:
        return train_booster(
            train, rounds, None if n_classes == 2 else n_classes, seed=seed, threads=threads,
            callbacks=[_Advance(advance)], max_depth=4, learning_rate=0.1, subsample=0.7,
        )  # fmt: skip


class _Advance(xgboost.callback.TrainingCallback):  # type: ignore[misc]
    """Moves a progress bar after every round."""

    def __init__(self, advance: Callable[[float], None]) -> None:
        self._advance = advance

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        self._advance(1)
        return False


def gain_of_splits(booster: xgboost.Booster, n_features: int, kind: str) -> Floats:
    """(F,) loss reductions of the splits in a feature: their sum, "total_gain", or mean, "gain"."""
    scores = booster.get_score(importance_type=kind)
    return np.array([float(scores.get(f"f{i}", 0.0)) for i in range(n_features)])


def mean_absolute_shap(
    booster: xgboost.Booster, features: Floats, weights: Floats, progress: bool | None = None
) -> Floats:
    """(F,) weighted mean of absolute SHAP values, of all classes together.

    SHAP values of trees: S. Lundberg et al., Nature Mach. Intell. 2 (2020) 56. They are those
    of the margin: log odds, or one score per class.
    """
    total = np.zeros(features.shape[1])
    with progress_bar("SHAP values", len(features), progress) as advance:
        for start in range(0, len(features), _ROWS):
            rows = slice(start, start + _ROWS)
            values = np.abs(booster.predict(xgboost.DMatrix(features[rows]), pred_contribs=True))
            # The last of the contributions is the bias.
            per_event = values.reshape(len(values), -1, len(total) + 1).sum(axis=1)[:, :-1]
            total += weights[rows] @ per_event
            advance(len(values))
    return np.asarray(total / weights.sum())
