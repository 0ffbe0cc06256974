"""What a model sees of events, said once: groups, expressions, targets, weights, and their scales.

- :func:`particles`, :func:`ragged`, :func:`features`: groups of columns
- :func:`expression`: what columns, targets, weights and selections are made of
- :func:`weights`, :class:`TrainingTarget`: how much events count, and what is to be said of them
- :class:`Inputs`: all of it together, with means and scales
- :func:`join`, :func:`pick`, :func:`nested`: rows and tensors
"""

from fastjag.inputs.columns import InputColumn
from fastjag.inputs.expressions import Expression, expression
from fastjag.inputs.groups import InputGroup, features, particles, ragged
from fastjag.inputs.inputs import Inputs
from fastjag.inputs.rows import join, nested, pick
from fastjag.inputs.sampling import Fitted
from fastjag.inputs.targets import TrainingTarget
from fastjag.inputs.weighting import Weighting, weights

__all__ = [
    "Expression",
    "Fitted",
    "InputColumn",
    "InputGroup",
    "Inputs",
    "TrainingTarget",
    "Weighting",
    "expression",
    "features",
    "join",
    "nested",
    "particles",
    "pick",
    "ragged",
    "weights",
]
