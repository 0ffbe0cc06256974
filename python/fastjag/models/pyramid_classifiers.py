"""Classifiers of events by the pyramid-match kernel of their particles.

One kernel per type of particles, added up. As each is a scalar product of sparse features, the sum
is that of the features side by side: a linear model of them is the kernel machine, without a matrix
of all pairs, and learns from new events as they come.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import SGDClassifier
from sklearn.svm import SVC
from sklearn.utils.validation import check_is_fitted

from fastjag.core.checks import at_least, near_misses
from fastjag.jagged import Jagged
from fastjag.models.weights import Classifier, Floats, check_events, draw_balanced, training_weights
from fastjag.pyramid import PyramidMatch
from fastjag.reporting.progress import progress_bar

# With coefficients averaged over the steps, no schedule is needed that would have to know how many
# events are still to come. Rows have norms up to the root of the number of types.
_STEP = 0.1
_AT_ONCE = 10_000  # events whose features are in memory twice


@dataclass(eq=False, repr=False)
class SumOfPyramids(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """K(event, event') = sum over types of the K of their particles.

    ``kernels`` maps types of particles to a :class:`fastjag.PyramidMatch`. Events are a dict of
    type to Jagged, or an object whose ``particles`` are one.
    """

    kernels: Mapping[str, PyramidMatch]

    def fit(self, X: Any, y: object = None) -> SumOfPyramids:
        """Learn the cells that the particles of ``X`` occupy. ``y`` is ignored."""
        if not self.kernels:
            raise ValueError("kernels must map at least one type of particles to a PyramidMatch")
        self.fitted_ = {t: clone(k).fit(_particles(X, t)) for t, k in self.kernels.items()}
        return self

    def transform(self, X: Any) -> sparse.csr_array:
        """Features whose scalar products are K, float64 CSR (n_events, n_features)."""
        check_is_fitted(self)
        n = n_events(X)
        parts = [
            sparse.hstack(
                [k.transform(_particles(X, t)[some]) for t, k in self.fitted_.items()], format="csr"
            )
            for some in _slices(n)
        ]
        return sparse.vstack(parts, format="csr")

    def gram(self, X: Any, Y: Any = None) -> Floats:
        """K itself, float64 (n_X, n_Y); exact whether or not ``fit`` was called."""
        total: Any = 0.0
        for t, kernel in self.kernels.items():
            other = None if Y is None else _particles(Y, t)
            total = total + kernel.gram(_particles(X, t), other, dtype="float64")
        return np.asarray(total)


@dataclass(eq=False, repr=False)
class PyramidLinear(Classifier):
    """Logistic regression on the explicit features, trained batch by batch.

    Classes are learned one against the rest; probabilities are normalised to 1.
    """

    kernels: Mapping[str, PyramidMatch]  #: of each type of particles
    #: Strength of the L2 penalty of scikit-learn's SGDClassifier, whose coefficients are averaged
    #: over the steps.
    alpha: float = 1e-5
    epochs: int = 5  #: times that :meth:`fit` goes through its events
    #: Policy for negative weights (:func:`fastjag.models.weights.training_weights`).
    negative: str = "abs"
    seed: int = 0  #: of the order of events

    def fit(
        self,
        X: Any,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        progress: bool | None = None,
    ) -> PyramidLinear:
        """Learn cells and coefficients from events, (n,) classes and (n,) signed weights."""
        known = training_weights(y, sample_weight, negative=self.negative)
        check_events(n_events(X), y)
        self._start(X, known.classes)
        features = self.pyramids_.transform(X)
        rng = np.random.default_rng(self.seed)
        with progress_bar("epochs", at_least("epochs", self.epochs, 1), progress) as advance:
            for _ in range(self.epochs):
                order = rng.permutation(len(known.rows))
                for some in _slices(len(order)):
                    picked = order[some]
                    self.model_.partial_fit(
                        features[known.rows[picked]], known.codes[picked],
                        np.arange(len(self.classes_)), known.weights[picked],
                    )  # fmt: skip
                advance(1)
        return self

    def partial_fit(
        self,
        X: Any,
        y: ArrayLike,
        classes: Sequence[Any] | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> PyramidLinear:
        """Learn from some more events, going through them once.

        The first call needs ``classes``, all that will come, and learns the cells, which stay:
        points of later events in other cells count for nothing. Weights must not be negative and
        are used as they are: what balances all events cannot be known from some of them.
        """
        if not hasattr(self, "model_"):
            if classes is None:
                raise ValueError("the first call of partial_fit needs classes, all that will come")
            self._start(X, np.unique(np.asarray(classes)))
        labels = np.asarray(y)
        check_events(n_events(X), y)
        unknown = ~np.isin(labels, self.classes_)
        if unknown.any():
            event = int(unknown.argmax())
            listed = ", ".join(map(str, self.classes_))
            raise ValueError(f"event {event} is of class {labels[event]!s}; classes are {listed}")
        weights = np.ones(len(labels)) if sample_weight is None else np.asarray(sample_weight)
        if not (weights >= 0).all():  # NaN, too
            event = int((~(weights >= 0)).argmax())
            raise ValueError(f"weights must not be negative, got {weights[event]} in event {event}")
        order = np.random.default_rng(self.seed).permutation(len(labels))
        codes = np.searchsorted(self.classes_, labels)
        self.model_.partial_fit(
            self.pyramids_.transform(X)[order], codes[order], np.arange(len(self.classes_)),
            weights[order],
        )  # fmt: skip
        return self

    def predict_proba(self, X: Any) -> Floats:
        """Probabilities of ``classes_``, (n, K)."""
        check_is_fitted(self)
        return np.asarray(self.model_.predict_proba(self.pyramids_.transform(X)))

    def _start(self, X: Any, classes: NDArray[Any]) -> None:
        self.classes_ = classes
        self.pyramids_ = SumOfPyramids(self.kernels).fit(X)
        self.model_ = SGDClassifier(
            loss="log_loss", alpha=self.alpha, average=True, shuffle=False, random_state=self.seed,
            learning_rate="constant", eta0=_STEP,
        )  # fmt: skip


@dataclass(eq=False, repr=False)
class PyramidSVM(Classifier):
    """Support-vector machine on the matrix of the kernel between all pairs of events.

    The matrix grows with the square of the events: beyond ``most`` of them, the machine learns from
    that many, the same number of each class, drawn by weight. Probabilities come from sigmoids,
    fitted to scores of 3-fold cross-validation (Platt). For many events: :class:`PyramidLinear`.
    """

    kernels: Mapping[str, PyramidMatch]  #: of each type of particles
    C: float = 1.0
    most: int = 4000
    #: Policy for negative weights (:func:`fastjag.models.weights.training_weights`).
    negative: str = "abs"
    seed: int = 0  #: of the drawing

    def fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> PyramidSVM:
        """Learn from events, (n,) classes and (n,) signed weights."""
        known = training_weights(y, sample_weight, negative=self.negative)
        check_events(n_events(X), y)
        self.classes_ = known.classes
        picked, weights = np.arange(len(known.rows)), known.weights
        if len(picked) > at_least("most", self.most, len(self.classes_)):
            rng = np.random.default_rng(self.seed)
            drawn = draw_balanced(known.codes, weights, self.most // len(self.classes_), rng)
            picked, times = np.unique(drawn, return_counts=True)
            weights = times.astype(np.float64)
        self.events_ = {t: _particles(X, t)[known.rows[picked]] for t in self.kernels}
        self.pyramids_ = SumOfPyramids(self.kernels)
        machine = SVC(kernel="precomputed", C=self.C)
        self.model_ = CalibratedClassifierCV(machine, ensemble=False, cv=3).fit(
            self.pyramids_.gram(self.events_), known.codes[picked], sample_weight=weights
        )
        return self

    def predict_proba(self, X: Any) -> Floats:
        """Probabilities of ``classes_``, (n, K)."""
        check_is_fitted(self)
        parts = [
            self.model_.predict_proba(
                self.pyramids_.gram({t: _particles(X, t)[some] for t in self.kernels}, self.events_)
            )
            for some in _slices(n_events(X))
        ]
        return np.concatenate(parts)


def n_events(X: Any) -> int:
    """Number of events of a dict of type to Jagged, or of an object with ``particles``."""
    return len(next(iter(getattr(X, "particles", X).values())))


def _particles(X: Any, name: str) -> Jagged:
    types = getattr(X, "particles", X)
    if name not in types:
        raise KeyError(f"no particles {name!r}: {near_misses(name, types)}")
    part: Jagged = types[name]
    return part


def _slices(n: int) -> Iterator[slice]:
    for begin in range(0, max(n, 1), _AT_ONCE):
        yield slice(begin, min(begin + _AT_ONCE, n))
