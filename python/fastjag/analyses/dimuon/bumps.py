"""Significances of the search: cuts on classifier scores and features, likelihood reweighting."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from fastjag.analyses.dimuon.preprocess import Floats
from fastjag.analyses.dimuon.samples import Events
from fastjag.statistics import Significance, Window, sideband_cuts, significance

#: Grids of sideband rates of the publication.
COARSE = (1.0, 0.25, 0.1, 0.05, 0.01, 0.005, 0.001)
FINE = tuple(float(x) for x in np.logspace(0, -3, 25))

# How a preprocessed feature becomes a discriminant that is high for signal: |x| first, then -x.
_ABSOLUTE = ("dimu_eta", "mu0_eta", "mu1_eta")
_LOW = ("dimu_eta", "mu0_eta", "mu1_eta", "mu0_ip3d", "mu1_ip3d", "mu0_iso04", "mu1_iso04",
        "mumu_deltapT")  # fmt: skip


@dataclass(frozen=True)
class Curve:
    """Significance against the share of the sidebands that passes a cut."""

    cuts: Floats
    rates: Floats  #: shares reached, (n_cuts,)
    result: Significance

    @property
    def best(self) -> int:
        """Index of the cut with the highest significance."""
        return int(np.argmax(self.result.Z))


def cut_curve(
    events: Events, discriminant: ArrayLike, window: Window, *, degree: int = 5,
    rates: ArrayLike = FINE,
) -> Curve:  # fmt: skip
    """Cut on a discriminant at given sideband rates and fit the masses of what passes.

    Cuts after which the sidebands are empty have no fit and are left out.
    """
    cuts, reached = sideband_cuts(discriminant, events.sideband, rates)
    left, signal, right, _ = window.count_cuts(events.mass, discriminant, cuts)
    filled = left.sum(axis=1) + right.sum(axis=1) > 0
    if not filled.any():
        raise ValueError("the sidebands are empty after every cut")
    result = significance(left[filled], signal[filled], right[filled], window=window, degree=degree)
    return Curve(cuts[filled], reached[filled], result)


def discriminant_of(feature: str, values: ArrayLike) -> Floats:
    """A preprocessed feature with the sign that makes signal-like events pass ``>= cut``."""
    x = np.asarray(values, np.float64)
    x = np.abs(x) if feature in _ABSOLUTE else x
    return -x if feature in _LOW else x


def reweighted(
    events: Events, scores: ArrayLike, window: Window, *, degree: int = 5
) -> Significance | None:
    """All events, weighted by the classifier's ratio of signal to background.

    With S and B of the unweighted fit, mu = S / (S + B) and r = score / (1 - score), the weight is
    (r - (1 - mu)) / mu, not below 0. None where the unweighted fit has no signal: there is no mu.
    """
    left, signal, right, _ = window.count(events.mass)
    plain = significance(left, signal, right, window=window, degree=degree)
    if not plain.S > 0:
        return None
    mu = float(plain.S / (plain.S + plain.B))
    score = np.asarray(scores, np.float64)
    if not ((score > 0) & (score < 1)).all():
        raise ValueError("scores must be probabilities between 0 and 1, both excluded")
    weights = np.clip((score / (1 - score) - (1 - mu)) / mu, 0, 1e9)
    left, signal, right, variances = window.count(events.mass, weights)
    if left.sum() + right.sum() <= 0:
        return None
    return significance(left, signal, right, window=window, degree=degree, variances=variances)
