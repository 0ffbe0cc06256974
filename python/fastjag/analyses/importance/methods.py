"""Importances of features by many methods; each gives one number >= 0 per feature, mostly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastjag.core.checks import at_least, needs
from fastjag.models.roc import roc_curve
from fastjag.reporting.progress import progress_bar

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
Score = Callable[[Any, Floats, Floats], float]

_ROWS = 65_536  # of a network at a time
_BINS = 32  # of a continuous feature, for mutual information


# ---- filters: without a model -------------------------------------------------------------------


def variance(x: Floats, labels: Labels, w: Floats) -> Floats:
    """Variance of each feature scaled to its range, 0 to 1; 0 for constants."""
    low, high = x.min(axis=0), x.max(axis=0)
    scaled = (x - low) / np.where(high > low, high - low, 1.0)
    return mean_and_spread(scaled, w)[1] ** 2


def fisher_score(x: Floats, labels: Labels, w: Floats) -> Floats:
    """Scatter of the class means over the scatter within classes (R. Duda et al., Pattern
    Classification, 2nd ed. (2001), section 3.8): sum_c W_c (mean_c - mean)^2 / sum_c W_c var_c.
    """
    mean, _ = mean_and_spread(x, w)
    between, within = np.zeros(x.shape[1]), np.zeros(x.shape[1])
    for c in np.unique(labels):
        weight = w[labels == c]
        of_class, spread = mean_and_spread(x[labels == c], weight)
        between += weight.sum() * (of_class - mean) ** 2
        within += weight.sum() * spread**2
    return np.divide(between, within, out=np.zeros_like(between), where=within > 0)


def correlation(x: Floats, labels: Labels, w: Floats) -> Floats:
    """Largest absolute linear correlation with belonging to a class."""
    z = standardised(x, w)
    best = np.zeros(x.shape[1])
    for c in np.unique(labels):
        is_c = standardised((labels == c)[:, None].astype(np.float64), w)
        best = np.maximum(best, np.abs(np.average(z * is_c, axis=0, weights=w)))
    return best


def mutual_information(x: Floats, labels: Labels, w: Floats) -> Floats:
    """Mutual information of feature and class [nats], from a histogram per class.

    Bins hold equally many events, or one value each where there are few values. The bias of the
    histogram, (bins - 1) (classes - 1) / (2 n), is taken off (G. Miller, 1955), n being the
    effective number of events.
    """
    classes, of_class = np.unique(labels, return_inverse=True)
    effective = w.sum() ** 2 / (w**2).sum()
    result = np.zeros(x.shape[1])
    for j, values in enumerate(x.T):
        inner = np.quantile(values, np.linspace(0, 1, _BINS + 1)[1:-1], method="inverted_cdf")
        bins = np.searchsorted(np.unique(inner), values, side="left")
        n_bins = int(bins.max()) + 1
        table = np.bincount(bins * len(classes) + of_class, w, n_bins * len(classes))
        p = table.reshape(n_bins, -1) / w.sum()
        independent = p.sum(1, keepdims=True) * p.sum(0)
        filled = p > 0
        information = (p[filled] * np.log(p[filled] / independent[filled])).sum()
        bias = (np.count_nonzero(p.sum(1)) - 1) * (len(classes) - 1) / (2 * effective)
        result[j] = max(0.0, information - bias)
    return result


def mean_and_spread(x: Floats, w: Floats) -> tuple[Floats, Floats]:
    """Weighted mean and standard deviation of each feature; a constant's are exact."""
    shifted = x - x[0]
    mean = np.average(shifted, axis=0, weights=w)
    spread = np.sqrt(np.average((shifted - mean) ** 2, axis=0, weights=w))
    return x[0] + mean, spread


def standardised(x: Floats, w: Floats) -> Floats:
    """Zero mean and unit variance; constants become 0."""
    mean, spread = mean_and_spread(x, w)
    return np.asarray((x - mean) / np.where(spread > 0, spread, 1.0), np.float64)


# ---- embedded, and wrappers of linear models ----------------------------------------------------


def lasso(x: Floats, labels: Labels, w: Floats, *, seed: int = 0) -> Floats:
    """Largest absolute coefficient of linear fits with an L1 penalty to belonging to a class, of
    standardised features; the penalty is the largest whose cross-validated error is within one
    standard error of the smallest, so that superfluous features get 0.
    """
    from sklearn.linear_model import Lasso, LassoCV
    from sklearn.model_selection import KFold

    z = standardised(x, w)
    w = w / w.mean()
    classes = np.unique(labels)
    best = np.zeros(x.shape[1])
    folds = KFold(5, shuffle=True, random_state=seed)
    for c in classes[1:] if len(classes) == 2 else classes:
        target = (labels == c).astype(np.float64)
        path = LassoCV(cv=folds, alphas=60, eps=1e-4).fit(z, target, sample_weight=w)
        error = path.mse_path_.mean(axis=1)
        margin = path.mse_path_.std(axis=1)[error.argmin()] / np.sqrt(folds.get_n_splits())
        alpha = path.alphas_[error <= error.min() + margin].max()
        best = np.maximum(best, np.abs(Lasso(alpha).fit(z, target, sample_weight=w).coef_))
    return best


def recursive_elimination(x: Floats, labels: Labels, w: Floats) -> Floats:
    """Recursive feature elimination: a logistic regression loses its feature with the smallest
    coefficient again and again. 1 for the last feature left, 1/F for the first one gone.
    """
    from sklearn.feature_selection import RFE
    from sklearn.linear_model import LogisticRegression

    eliminated = RFE(LogisticRegression(max_iter=1000), n_features_to_select=1)
    eliminated.fit(standardised(x, w), labels, sample_weight=w / w.mean())
    n = x.shape[1]
    return np.asarray((n + 1 - eliminated.ranking_) / n, np.float64)


# ---- permutation --------------------------------------------------------------------------------


def area_under_curve(labels: Any, predictions: Floats, weights: Floats) -> float:
    """Area under the ROC curve; with more than two classes the mean of one against the rest.

    With one output per event that is the score of the second of two classes.
    """
    if predictions.ndim == 1 or predictions.shape[1] == 1:
        classes = np.unique(labels)
        if len(classes) > 2:
            raise ValueError(f"there are {len(classes)} classes, but predictions have one output")
        return roc_curve(labels == classes[-1], predictions.reshape(-1), weights).area
    outputs = enumerate(predictions.T)
    return float(np.mean([roc_curve(labels == c, p, weights).area for c, p in outputs]))


def permutation_importance(
    model: Any,
    x: ArrayLike,
    y: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    score: Score = area_under_curve,
    repeats: int = 5,
    seed: int = 0,
    progress: bool | None = None,
) -> tuple[Floats, Floats, float]:
    """How much a score falls when the values of one feature are shuffled among the events.

    Parameters
    ----------
    model
        A torch module, a fitted scikit-learn estimator, or a function of (n, F).
    x, y, weights
        (n, F) features, (n,) what the score compares predictions with, (n,) event weights. Take
        events that the model did not learn from.
    score
        score(y, predictions, weights), larger is better.
    repeats, seed
        Shuffles per feature, and where they start.

    Returns
    -------
    mean, error, score
        (F,) mean fall of the score, its standard deviation over the repeats, and the score itself.

    Correlated features share their importance: shuffling one leaves the other.
    """
    needs("sklearn", "importance")
    at_least("repeats", repeats, 1)
    table = np.array(x)
    target = np.asarray(y)
    if table.ndim != 2 or target.shape != (len(table),):
        raise ValueError(f"x, y must be (n, F), (n,), got {table.shape}, {target.shape}")
    w = np.ones(len(table)) if weights is None else np.asarray(weights, np.float64)
    predict = as_function(model)
    base = score(target, predict(table), w)
    falls = np.empty((table.shape[1], repeats))
    with progress_bar("permutation importance", falls.size, progress) as advance:
        for j in range(len(falls)):
            kept = table[:, j].copy()
            # A stream per feature: it does not depend on how many features come before.
            rng = np.random.default_rng((seed, j))
            for k in range(repeats):
                table[:, j] = rng.permutation(kept)
                falls[j, k] = base - score(target, predict(table), w)
                advance(1)
            table[:, j] = kept
    return falls.mean(axis=1), falls.std(axis=1), base


def as_function(model: Any) -> Callable[[NDArray[Any]], Floats]:
    """Predictions (n,) or (n, n_classes) of a torch module, an estimator or a function."""
    if hasattr(model, "named_parameters"):
        return lambda x: _of_network(model, x)
    if hasattr(model, "predict_proba"):
        return lambda x: _positive(np.asarray(model.predict_proba(x), np.float64))
    for name in ("decision_function", "predict"):
        if hasattr(model, name):
            return lambda x: np.asarray(getattr(model, name)(x), np.float64)
    if callable(model):
        return lambda x: np.asarray(model(x), np.float64)
    raise TypeError(
        f"model must be a torch module, a scikit-learn estimator or a function, "
        f"got {type(model).__name__}"
    )


def _positive(probabilities: Floats) -> Floats:
    return probabilities[:, 1] if probabilities.shape[1] == 2 else probabilities


def _of_network(model: Any, x: NDArray[Any]) -> Floats:
    import torch

    from fastjag.analyses.importance.taylor import evaluated, placed

    with torch.no_grad(), evaluated(model):
        parts = [
            model(placed(model, x[start : start + _ROWS])).double().cpu().numpy()
            for start in range(0, len(x), _ROWS)
        ]
    values = np.concatenate(parts)
    return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
