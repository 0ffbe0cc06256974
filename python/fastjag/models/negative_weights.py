"""What becomes of negative weights, which no learner accepts."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastjag.core.arrays import Array

POLICIES = ("abs", "clip", "drop", "error")


def positive(weights: Array, negative: str) -> Array:
    """``weights`` without negative ones: their size ("abs"), or 0 ("clip", and what is left of "drop")."""
    found: Any = np.abs(weights) if negative == "abs" else np.maximum(weights, 0)
    return found  # type: ignore[no-any-return]
