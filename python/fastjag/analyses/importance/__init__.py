"""Which features matter to a classifier: Taylor coefficients and ten other methods.

    from fastjag.analyses.importance import compare_importances

    result = compare_importances(features, labels, weights, names)
    result.order(), result.mean(), result.scores["permutation"]

``config`` has the settings, ``run`` the stages: ``compare`` (from a file's ``tables`` and ``models`` to
``results``) and ``report`` with its ``pictures``. ``comparison`` compares arrays by the ``methods``,
``taylor`` expands networks, ``network`` is the one that is trained where none is given, ``toys`` have
known answers.
"""

from fastjag.analyses.importance.comparison import compare_importances
from fastjag.analyses.importance.methods import permutation_importance
from fastjag.analyses.importance.results import METHODS, Importances
from fastjag.analyses.importance.taylor import TaylorHistory, taylor_coefficients

__all__ = [
    "METHODS",
    "Importances",
    "TaylorHistory",
    "compare_importances",
    "permutation_importance",
    "taylor_coefficients",
]
