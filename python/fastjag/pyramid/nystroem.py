"""Dense features of few dimensions from a kernel of sets, by the Nystroem method."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from fastjag.core.checks import at_least
from fastjag.core.devices import to_device_of, to_host
from fastjag.jagged import as_jagged
from fastjag.pyramid.kernel import PyramidMatch


class Nystroem(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Features F of sets with F F^T close to K, from the K of all sets with some landmarks only.

    With the landmarks' own matrix K_mm = U S U^T, the features of sets with K_nm are
    K_nm U S^(-1/2) (Williams and Seeger, NIPS 2000): exact for the landmarks. scikit-learn's
    estimator of this name needs as many components as there are sets where the kernel is its own.

    Parameters
    ----------
    kernel
        A :class:`PyramidMatch`.
    landmarks
        How many of the sets of :meth:`fit` to draw (all, if there are fewer), or the landmarks
        themselves as a :class:`Jagged` or awkward array of records.
    seed
        Of the drawing.

    After :meth:`fit`: ``landmarks_`` (Jagged), ``landmark_indices_`` (where they were drawn, or
    None) and ``components_`` (n_landmarks, n_features), where n_features is the rank of K_mm.
    """

    def __init__(self, kernel: PyramidMatch, landmarks: Any = 256, seed: int = 0) -> None:
        self.kernel = kernel
        self.landmarks = landmarks
        self.seed = seed

    def fit(self, X: Any, y: object = None) -> Nystroem:
        """Choose the landmarks among the sets of ``X``. ``y`` is ignored."""
        self.landmark_indices_ = None
        if isinstance(self.landmarks, (int, np.integer)):
            sets = as_jagged(X)
            n = min(at_least("landmarks", self.landmarks, 1), len(sets))
            if n == 0:
                raise ValueError("X has no sets to take landmarks from")
            draw = np.random.default_rng(at_least("seed", self.seed, 0))
            self.landmark_indices_ = np.sort(draw.choice(len(sets), n, replace=False))
            self.landmarks_ = sets[to_device_of(sets.offsets, self.landmark_indices_)]
        else:
            try:
                self.landmarks_ = as_jagged(self.landmarks)
            except TypeError as error:
                raise TypeError(f"landmarks must be a number of sets, or sets: {error}") from None
        gram = to_host(self.kernel.gram(self.landmarks_, dtype="float64"))
        values, vectors = np.linalg.eigh(gram)
        # What rounding leaves of a rank that is not full would be blown up by the inverse root.
        keep = values > values.max(initial=0) * len(values) * np.finfo(np.float64).eps
        self.components_ = vectors[:, keep] / np.sqrt(values[keep])
        return self

    def transform(self, X: Any) -> NDArray[np.float64]:
        """Features, shape (n_sets, n_features), float64, on the CPU wherever the sets are."""
        check_is_fitted(self)
        sets = as_jagged(X)
        gram = self.kernel.gram(sets, self.landmarks_.to(sets.device), dtype="float64")
        return np.asarray(to_host(gram) @ self.components_)
