"""How good a classifier of several classes is: unweighted, and in expected (signed) events.

Rows of a confusion matrix are true classes, columns predicted ones. Weights may be negative; what
cannot be said then (a purity of no events, Z over no background) is NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastjag.core.checks import at_least
from fastjag.models.roc import area_error, roc_curve

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

#: Shares of other classes at which points of a ROC curve are kept.
_CURVE = np.sort(np.concatenate([np.linspace(0, 1, 200), np.geomspace(1e-4, 1, 100)]))


def confusion(
    label: ArrayLike, predicted: ArrayLike, n_classes: int, weight: ArrayLike | None = None
) -> Floats:
    """Events, or their weights, by true and predicted class: (K, K)."""
    cell = np.asarray(label) * n_classes + np.asarray(predicted)
    weights = None if weight is None else np.asarray(weight, np.float64)
    counts = np.bincount(cell, weights, n_classes**2)
    return counts.reshape(n_classes, n_classes).astype(np.float64)


def recalls(matrix: Floats) -> Floats:
    """Share of each true class that is predicted to be it, (K,)."""
    return _ratio(np.diag(matrix), matrix.sum(axis=1))


def purities(matrix: Floats) -> Floats:
    """Share of each predicted class that is truly it, (K,)."""
    return _ratio(np.diag(matrix), matrix.sum(axis=0))


def balanced_accuracy(matrix: Floats) -> float:
    """Mean recall of the classes."""
    return float(recalls(matrix).mean())


def category_significance(matrix: Floats) -> dict[str, Floats]:
    """Counting the events in the category of their predicted class against the other classes.

    ``matrix`` holds expected events. S is what belongs there, B what of the other classes is there,
    and no other background: without the diphoton continuum, unless it is a class. "simple" is
    S / sqrt(B), "asimov" the median significance sqrt(2 ((S + B) ln(1 + S / B) - S)) (Cowan,
    Cranmer, Gross, Vitells, Eur. Phys. J. C 71 (2011) 1554, eq. 97). All (K,).
    """
    signal = np.diag(matrix).astype(np.float64)
    background = matrix.sum(axis=0) - signal
    possible = (background > 0) & (signal > -background)
    s, b = np.where(possible, signal, 0.0), np.where(possible, background, 1.0)
    asimov = np.sign(s) * np.sqrt(np.maximum(0, 2 * ((s + b) * np.log1p(s / b) - s)))
    return {
        "S": signal,
        "B": background,
        "simple": np.where(possible, s / np.sqrt(b), np.nan),
        "asimov": np.where(possible, asimov, np.nan),
    }


def roc(is_class: NDArray[np.bool_], score: ArrayLike, weight: ArrayLike) -> dict[str, Any]:
    """Shares of a class and of all others that score at least as high, and the area under that.

    "signal" and "background" run from 0 to 1 and are thinned out to some 300 points; "auc" is the
    area under all, with "auc_error" (:func:`fastjag.models.roc.area_error`) by the effective numbers
    "signal_events" and "background_events". Events of equal score are one step, so the area counts
    them half. With negative weights shares may rise and fall.
    """
    signal, background = curve = roc_curve(is_class, score, weight)
    kept = np.unique(np.searchsorted(background, _CURVE))
    kept = kept[kept < len(background)]
    of_class, of_others = (_effective(weight, part) for part in (is_class, ~is_class))
    return {
        "signal": signal[kept],
        "background": background[kept],
        "auc": curve.area,
        "auc_error": area_error(curve.area, of_class, of_others),
        "signal_events": of_class,
        "background_events": of_others,
    }


def _effective(weight: ArrayLike, part: NDArray[np.bool_]) -> float:
    """(sum w)^2 / sum w^2 of the events of a part; NaN for none."""
    w = np.asarray(weight, np.float64)[part]
    squares = float((w**2).sum())
    return float(w.sum()) ** 2 / squares if squares else np.nan


def reliability(
    is_class: NDArray[np.bool_], probability: ArrayLike, weight: ArrayLike, bins: int = 10
) -> dict[str, Any]:
    """Do of those events with probability p really a share p belong to the class?

    Returns for each filled bin of [0, 1] the mean "probability", the "share" that belongs to the
    class, its binomial "error", the effective number of "events" (sum w)^2 / sum w^2, and the
    "weight" in the bin; and "ece", the expected calibration error: the mean of |share -
    probability|, by weight.
    """
    p, w = np.asarray(probability, np.float64), np.asarray(weight, np.float64)
    bin_ = np.minimum((p * at_least("bins", bins, 1)).astype(int), bins - 1)
    total = np.bincount(bin_, w, bins)
    filled = total > 0
    squares = np.bincount(bin_, w * w, bins)[filled]
    mean = (np.bincount(bin_, w * p, bins)[filled] / total[filled]).clip(0, 1)
    share = np.bincount(bin_, w * is_class, bins)[filled] / total[filled]
    # With the expectation: a bin without a single event of the class has an error, too.
    error = np.sqrt(mean * (1 - mean) * squares) / total[filled]
    gap = np.average(np.abs(share - mean), weights=total[filled]) if filled.any() else np.nan
    return {
        "probability": mean,
        "share": share,
        "error": error,
        "events": total[filled] ** 2 / squares,
        "weight": total[filled],
        "ece": float(gap),
    }


def balanced_weights(label: Labels, weight: Floats, n_classes: int) -> Floats:
    """Signed weights with a sum of 1 / K in every class: what balanced training assumes."""
    totals = np.bincount(label, weight, n_classes).astype(np.float64)
    scale: Floats = _ratio(np.full(n_classes, 1 / n_classes), totals)
    return weight * scale[label]


def evaluate(
    label: Labels,
    probability: Floats,
    weight: Floats,
    folds: Labels,
    classes: Sequence[str],
) -> dict[str, Any]:
    """All figures of one model from the probabilities (n, K) that others' training gave.

    Events count as the class of the largest probability. Means and standard errors are over the
    folds: s / sqrt(k). Confusion matrices, curves and significances are of all events together;
    ROC and calibration with weights that are balanced between classes. Significances are against
    the other classes only (:func:`category_significance`).
    """
    k = len(classes)
    predicted = probability.argmax(axis=1)
    matrix = confusion(label, predicted, k)
    yields = confusion(label, predicted, k, weight)
    parts = [
        (confusion(label[f], predicted[f], k), confusion(label[f], predicted[f], k, weight[f]))
        for f in (folds == i for i in range(int(folds.max()) + 1))
    ]
    balanced = balanced_weights(label, weight, k)
    is_class = [label == c for c in range(k)]
    return {
        "balanced_accuracy": mean_and_error([balanced_accuracy(m) for m, _ in parts]),
        "weighted_balanced_accuracy": mean_and_error([balanced_accuracy(y) for _, y in parts]),
        "chance": 1 / k,
        "recall": _by_class(classes, [recalls(m) for m, _ in parts]),
        "purity": _by_class(classes, [purities(m) for m, _ in parts]),
        "weighted_recall": _by_class(classes, [recalls(y) for _, y in parts]),
        "weighted_purity": _by_class(classes, [purities(y) for _, y in parts]),
        "confusion": matrix,
        "weighted_confusion": yields,
        "significance": {
            name: dict(zip(classes, values, strict=True))
            for name, values in category_significance(yields).items()
        },
        "log_loss": float(
            -(balanced * np.log(probability[np.arange(len(label)), label].clip(1e-12))).sum()
        ),
        "roc": {
            name: roc(is_class[c], probability[:, c], balanced) for c, name in enumerate(classes)
        },
        "calibration": {
            name: reliability(is_class[c], probability[:, c], balanced)
            for c, name in enumerate(classes)
        },
    }


def mean_and_error(values: ArrayLike) -> dict[str, Any]:
    """Mean, standard error s / sqrt(k), and the values themselves."""
    x = np.asarray(values, np.float64)
    error = x.std(ddof=1) / np.sqrt(len(x)) if len(x) > 1 else np.nan
    return {"mean": float(x.mean()), "error": float(error), "values": x.tolist()}


def stratified_folds(label: Labels, classes: Sequence[str], folds: int, seed: int) -> Labels:
    """A fold for every event at random, each with its share of every class, (n,).

    Raises ValueError naming a class that has fewer events than there are folds.
    """
    k = at_least("folds", folds, 2)
    rng = np.random.default_rng(seed)
    counts = np.bincount(label, minlength=len(classes))
    for name, n in zip(classes, counts, strict=True):
        if n < k:
            counted = "no events" if n == 0 else f"{n} events"
            raise ValueError(f"class {name!r} has {counted}, but there are {k} folds")
    fold = np.empty(len(label), np.int64)
    for c in range(len(classes)):
        members = label == c
        fold[members] = rng.permutation(np.arange(counts[c]) % k)
    return fold


def _by_class(classes: Sequence[str], values: Sequence[Floats]) -> dict[str, Any]:
    rows = np.array(values)
    return {name: mean_and_error(rows[:, c]) for c, name in enumerate(classes)}


def _ratio(top: Floats, bottom: Floats) -> Floats:
    possible = bottom > 0
    return np.where(possible, top / np.where(possible, bottom, 1.0), np.nan)
