"""Which features matter to a classifier: Taylor coefficients and ten other methods."""

from fastjag.analyses.importance.compare import METHODS, Importances, compare_importances
from fastjag.analyses.importance.methods import permutation_importance
from fastjag.analyses.importance.taylor import TaylorHistory, taylor_coefficients

__all__ = [
    "METHODS",
    "Importances",
    "TaylorHistory",
    "compare_importances",
    "permutation_importance",
    "taylor_coefficients",
]
