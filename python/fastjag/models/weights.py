"""Weights for training: negative ones, classes of equal importance, and a mean of 1.

Generators give events negative weights, which no learner accepts, and weights of 1e-8, which
XGBoost's regularisation (in units of weight) takes for no events at all. So training sees weights
that are positive and 1 on average; evaluation sees the signed ones.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin

from fastjag.core.arrays import check_length
from fastjag.core.checks import one_of
from fastjag.models.negative_weights import POLICIES, positive

Floats = NDArray[np.float64]


class TrainingSet(NamedTuple):
    """What a classifier learns from."""

    rows: NDArray[np.int64]  #: the events, in their order: (n,)
    codes: NDArray[np.int64]  #: index of their class: (n,)
    weights: Floats  #: not negative, 1 on average: (n,)
    classes: NDArray[Any]


def training_weights(
    y: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    negative: str = "abs",
) -> TrainingSet:
    """Weights to learn with from signed event weights; all classes get the same sum.

    Parameters
    ----------
    y
        Class of every event, (n,).
    sample_weight
        Signed weights, (n,); default: 1 each.
    negative
        What becomes of negative weights: "abs" takes their absolute value, "clip" sets them to
        0, "drop" leaves the events out, "error" refuses them.

    Raises ValueError for fewer than two classes, weights that are not finite, classes whose signed
    weights add up to 0 or less, and, with "error", the first event of negative weight.
    """
    one_of("negative", negative, POLICIES)
    labels = check_labels(y)
    w = np.ones(len(labels)) if sample_weight is None else np.asarray(sample_weight, np.float64)
    check_length(w, "sample_weight", len(labels), "events")
    if not np.isfinite(w).all():
        event = int(np.isfinite(w).argmin())
        raise ValueError(f"sample_weight must be finite, got {w[event]} for event {event}")
    classes, codes = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        what = f"all are {classes[0]!s}: one class" if len(classes) else "there are no events"
        raise ValueError(f"y must hold at least two classes, but {what}")
    if not w.any():
        raise ValueError("sample_weight is zero for every event: there is nothing to learn from")
    totals = np.bincount(codes, w, len(classes))
    if (totals <= 0).any():
        bad = int((totals <= 0).argmax())
        raise ValueError(
            f"the weights of class {classes[bad]!s} add up to {totals[bad]:g}, not to a positive "
            f"number ({int((codes == bad).sum())} events)"
        )
    if negative == "error" and (w < 0).any():
        event = int((w < 0).argmax())
        raise ValueError(
            f"{int((w < 0).sum())} events have negative weights, the first is event {event} with "
            f"{w[event]:g}: choose what to do with them, negative='abs', 'clip' or 'drop'"
        )
    rows = np.flatnonzero(w >= 0) if negative == "drop" else np.arange(len(w))
    codes, used = codes[rows], positive(w[rows], negative)
    used = used * (1 / len(classes) / np.bincount(codes, used, len(classes)))[codes]
    return TrainingSet(rows, codes, used / used.mean(), classes)


def check_events(n_events: int, y: ArrayLike) -> None:
    """ValueError unless there are as many classes as events."""
    if n_events != len(np.asarray(y)):
        raise ValueError(f"X has {n_events} events, but y has {len(np.asarray(y))}")


def check_labels(y: Any) -> NDArray[Any]:
    """``y`` as an array of classes, (n,): ValueError where it is missing, or holds no classes."""
    if y is None:
        raise ValueError("a classifier requires y to be passed, but the target y is None")
    labels = np.asarray(y)
    if labels.ndim != 1:
        raise ValueError(f"y must have shape (n,), got {labels.shape}")
    if labels.dtype.kind == "f":
        for name, bad in (("NaN", np.isnan(labels)), ("infinity", np.isinf(labels))):
            if bad.any():
                raise ValueError(f"y contains {name}, the first for event {int(bad.argmax())}")
        if (broken := labels != np.rint(labels)).any():
            raise ValueError(
                f"Unknown label type: continuous. Classes are integers, strings or booleans, but y "
                f"is {labels[broken][0]} for event {int(broken.argmax())}"
            )
    elif labels.dtype.kind not in "biuUSO":
        raise ValueError(f"y must hold classes, got dtype {labels.dtype}")
    elif labels.dtype.kind == "O":
        none = np.array([v is None or (isinstance(v, float) and np.isnan(v)) for v in labels], bool)
        if none.any():
            raise ValueError(f"y contains NaN, the first for event {int(none.argmax())}")
    return labels


def draw_balanced(
    codes: NDArray[np.int64], weights: Floats, size: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Indices of ``size`` events of each class, drawn in proportion to their weights.

    Systematic sampling: an event of expectation e is drawn floor(e) or floor(e) + 1 times. So
    equal weights give no event twice while there are others, and what is drawn has the weighted
    distribution with equal weights.
    """
    drawn = []
    for code in range(int(codes.max()) + 1):
        members = rng.permutation(np.flatnonzero(codes == code))
        steps = np.cumsum(weights[members])
        at = (rng.random() + np.arange(size)) / size * steps[-1]
        # Rounding must not reach beyond the end, nor events without weight there.
        last = int(np.searchsorted(steps, steps[-1]))
        drawn.append(members[np.minimum(np.searchsorted(steps, at, side="right"), last)])
    return np.concatenate(drawn)


def hold_out(
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
            if all(len(classes) == int(codes.max()) + 1 for classes in there):
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


class Classifier(ClassifierMixin, BaseEstimator, ABC):  # type: ignore[misc]
    """What the classifiers of this package share: ``classes_``, ``predict_proba``, ``predict``."""

    classes_: NDArray[Any]

    @abstractmethod
    def predict_proba(self, X: Any) -> Floats:
        """Probability of every class, (n, n_classes), in the order of ``classes_``."""

    def predict(self, X: Any) -> NDArray[Any]:
        """The most probable class of every event, (n,)."""
        probabilities = self.predict_proba(X)  # first: it knows whether this is fitted
        return np.asarray(self.classes_[probabilities.argmax(axis=1)])
