"""Importances: what pictures and report are made from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastjag.analyses.importance.taylor import Coefficients

Floats = NDArray[np.float64]
#: Methods by name, in the order of tables and pictures, with what they measure.
METHODS = {
    "variance": "variance of the feature, scaled to its range (filter)",
    "Fisher score": "scatter of class means over scatter within classes (filter)",
    "correlation": "absolute linear correlation with the class (filter)",
    "mutual information": "mutual information with the class [nats] (filter)",
    "lasso": "coefficient of a linear fit with L1 penalty (embedded)",
    "RFE": "recursive elimination with logistic regression (wrapper)",
    "tree gain": "loss reduction of splits in boosted trees (embedded)",
    "tree SHAP": "mean absolute SHAP value of boosted trees",
    "tree permutation": "fall of the trees' AUC when the feature is shuffled (wrapper)",
    "permutation": "fall of the model's AUC when the feature is shuffled (wrapper)",
    "Taylor": "mean absolute first derivative of the network",
}


@dataclass
class Importances:
    """What :func:`compare_importances` gives: plain numbers, nothing of any library."""

    names: list[str]
    scores: dict[str, Floats]  #: (F,) of each method, in units of its own
    errors: dict[
        str, Floats
    ]  #: of permutations over the repeats, of Taylor coefficients over events
    taylor: Coefficients  #: of first and second order, by index
    correlations: Floats  #: (F, F) Spearman
    clusters: list[int]  #: of each feature, 0, 1, ... in the order of their first feature
    performance: dict[str, float]  #: area under the ROC curve of each model on the test events
    training: dict[str, Any]  #: steps, and coefficients of first order at each of them
    settings: dict[str, Any]
    warnings: list[str] = field(default_factory=list)  #: of this module and the libraries
    taylor_errors: Coefficients = field(default_factory=dict)  #: statistical, over the events

    def normalised(self) -> dict[str, Floats]:
        """The scores of each method divided by its largest one, negative ones as 0."""
        positive = {name: np.maximum(0.0, s) for name, s in self.scores.items()}
        return {name: s / s.max() if s.max() > 0 else s for name, s in positive.items()}

    def order(self) -> list[int]:
        """Features by :meth:`mean`, the most important first."""
        return [int(i) for i in np.argsort(-self.mean(), kind="stable")]

    def mean(self) -> Floats:
        """(F,) mean normalised score of the methods that look at classes: all but variance."""
        scores = self.normalised()
        looking = [s for name, s in scores.items() if name != "variance"] or [*scores.values()]
        return np.asarray(np.mean(looking, axis=0))

    def to_dict(self) -> dict[str, Any]:
        """For JSON: index tuples become names joined by " x "."""
        content = dict(vars(self))
        for name in ("taylor", "taylor_errors"):
            content[name] = {self.term(key): t for key, t in getattr(self, name).items()}
        return content | {"normalised": self.normalised(), "mean": self.mean(),
                          "ranking": [self.names[i] for i in self.order()]}  # fmt: skip

    def term(self, key: tuple[int, ...]) -> str:
        return " x ".join(self.names[i] for i in key)

    def cluster_names(self) -> list[str]:
        """A letter for each feature that shares its cluster with others, "" for those alone."""
        shared = [c for c in dict.fromkeys(self.clusters) if self.clusters.count(c) > 1]
        letters = {c: chr(ord("A") + i) if i < 26 else str(i) for i, c in enumerate(shared)}
        return [letters.get(c, "") for c in self.clusters]
