"""How well scores tell two classes apart: the ROC curve and the area under it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


class RocCurve(NamedTuple):
    """Shares of signal and background that score at least as high as each of the scores.

    Scores fall along the curve, from none that pass to all. With negative weights shares may rise
    and fall. Without signal or background (a sum of weights not above 0) they are empty.
    """

    signal: Floats  #: efficiency, or true positive rate: (k + 1,), from 0 to 1
    background: Floats  #: mistag rate, or false positive rate: (k + 1,), from 0 to 1

    @property
    def area(self) -> float:
        """Probability that signal scores higher than background, equal scores counting half.

        NaN for an empty curve.
        """
        if len(self.signal) == 0:
            return float("nan")
        heights = (self.signal[1:] + self.signal[:-1]) / 2
        return float((heights * np.diff(self.background)).sum())


def roc_curve(
    is_signal: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None
) -> RocCurve:
    """The curve of (n,) scores and weights (default: 1 each); events of equal score pass together.

    Raises ValueError naming the first event whose score is NaN.
    """
    mask, s = np.asarray(is_signal, bool), np.asarray(scores, np.float64)
    w = np.ones(len(s)) if weights is None else np.asarray(weights, np.float64)
    if np.isnan(s).any():
        raise ValueError(f"scores must be numbers, event {int(np.isnan(s).argmax())} has NaN")
    order = np.argsort(-s, kind="stable")
    falling = s[order]
    last = np.flatnonzero(np.append(falling[1:] != falling[:-1], True)[: len(s)])  # of equal ones
    signal, background = (
        np.append(0.0, np.cumsum(np.where(part, w, 0.0)[order])[last]) for part in (mask, ~mask)
    )
    if not (signal[-1] > 0 and background[-1] > 0):
        return RocCurve(np.zeros(0), np.zeros(0))
    return RocCurve(signal / signal[-1], background / background[-1])


def area_error(area: float, signal: float, background: float) -> float:
    """Standard error of an area by (effective) numbers of events (Hanley, McNeil, Radiology 143 (1982) 29).

    Effective numbers are (sum w)^2 / sum w^2. NaN without any.
    """
    if not (signal > 0 and background > 0):
        return float("nan")
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    variance = (
        area * (1 - area) + (signal - 1) * (q1 - area**2) + (background - 1) * (q2 - area**2)
    ) / (signal * background)
    return float(np.sqrt(max(variance, 0)))
