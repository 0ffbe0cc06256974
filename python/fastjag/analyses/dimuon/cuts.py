"""Significance after cuts on scores and features, and with likelihood reweighting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastjag.analyses.dimuon.config import FINE
from fastjag.analyses.dimuon.pairs import WindowPairs
from fastjag.analyses.dimuon.preprocess import Floats
from fastjag.statistics import (
    Counts,
    Significance,
    Window,
    enough_filled,
    sideband_cuts,
    significance,
)

CLASSIFIER, RANDOM = "classifier", "random"  # discriminants that are no features

# How a preprocessed feature becomes a discriminant that is high for signal: |x| first, then -x.
_ABSOLUTE = ("dimu_eta", "mu0_eta", "mu1_eta")
_LOW = ("dimu_eta", "mu0_eta", "mu1_eta", "mu0_ip3d", "mu1_ip3d", "mu0_iso04", "mu1_iso04",
        "mumu_deltapT")  # fmt: skip


class Curve(NamedTuple):
    """Significance against the share of the sidebands that passes a cut."""

    cuts: Floats
    rates: Floats  #: shares reached, (n_cuts,)
    wanted: Floats  #: shares that were asked for
    counts: Counts
    result: Significance

    @property
    def best(self) -> int:
        """Index of the cut with the highest significance, of those that leave enough events."""
        return int(np.argmax(np.where(self.few, 0, self.result.Z)))

    @property
    def few(self) -> NDArray[np.bool_]:
        """Cuts after which fewer sideband bins are filled than the polynomial has coefficients."""
        degree = self.result.coefficients.shape[-1] - 1
        return ~enough_filled(self.counts.left, self.counts.right, degree)


class Cuts(NamedTuple):
    """Events, what they are cut on, and where."""

    mass: Floats  #: on a GPU, like the discriminant, if they are counted there
    discriminant: Floats
    cuts: Floats
    rates: Floats  #: shares of the sidebands reached
    wanted: Floats

    @staticmethod
    def at(pairs: WindowPairs, discriminant: ArrayLike, rates: ArrayLike = FINE) -> Cuts:
        """Cuts on a discriminant at given sideband rates."""
        wanted = np.asarray(rates, np.float64)
        cuts, reached = sideband_cuts(discriminant, pairs.sideband, wanted)
        return Cuts(pairs.mass, np.asarray(discriminant, np.float64), cuts, reached, wanted)


def fit_cuts(chosen: Sequence[Cuts], window: Window, degrees: Sequence[int]) -> list[list[Curve]]:
    """The masses of what passes, fitted: curves for each degree and each of ``chosen``.

    All cuts are counted in one pass over the events of each, all spectra of a degree fitted at
    once. Cuts after which the sidebands are empty have no fit and are left out.
    """
    parts = []
    for some in chosen:
        counts = window.count_cuts(some.mass, some.discriminant, some.cuts)
        filled = counts.left.sum(axis=1) + counts.right.sum(axis=1) > 0
        if not filled.any():
            raise ValueError("the sidebands are empty after every cut")
        kept = Counts(counts.left[filled], counts.signal[filled], counts.right[filled], None)
        parts.append((some.cuts[filled], some.rates[filled], some.wanted[filled], kept))
    left, signal, right = (np.concatenate([getattr(p[3], side) for p in parts])
                           for side in ("left", "signal", "right"))  # fmt: skip
    ends = np.cumsum([len(p[0]) for p in parts])[:-1]
    curves = []
    for degree in degrees:
        every = significance(left, signal, right, window=window, degree=degree)
        split = zip(*(np.split(field, ends) for field in every), strict=True)
        curves.append(
            [Curve(*part, Significance(*own)) for part, own in zip(parts, split, strict=True)]
        )
    return curves


def discriminant_of(feature: str, values: ArrayLike) -> Floats:
    """A preprocessed feature with the sign that makes signal-like events pass ``>= cut``."""
    x = np.asarray(values, np.float64)
    x = np.abs(x) if feature in _ABSOLUTE else x
    return -x if feature in _LOW else x


def signal_weights(
    pairs: WindowPairs, scores: ArrayLike, window: Window, *, degree: int = 5
) -> Floats | None:
    """The classifier's ratio of signal to background for every event, (n_events,).

    With S and B of the fit to all events, mu = S / (S + B) and r = score / (1 - score), the weight is
    (r - (1 - mu)) / mu, not below 0. None where the fit has no signal, as there is no mu, or where no
    event of the sidebands has a weight, as there is no background.
    """
    score = np.asarray(scores, np.float64)
    if not ((score > 0) & (score < 1)).all():
        raise ValueError("scores must be probabilities between 0 and 1, both excluded")
    left, signal, right, _ = window.count(pairs.mass)
    plain = significance(left, signal, right, window=window, degree=degree)
    if not plain.S > 0:
        return None
    mu = float(plain.S / (plain.S + plain.B))
    weights = np.asarray(np.clip((score / (1 - score) - (1 - mu)) / mu, 0, 1e9))
    left, _, right, _ = window.count(pairs.mass, weights)
    return weights if left.sum() + right.sum() > 0 else None


def reweighted(
    pairs: WindowPairs, scores: ArrayLike, window: Window, *, degree: int = 5
) -> Significance:
    """The fit of all events with :func:`signal_weights`.

    Where there are none the experiment shows no excess: the fit without weights, with Z = 0.
    """
    weights = signal_weights(pairs, scores, window, degree=degree)
    left, signal, right, variances = window.count(pairs.mass, weights)
    fit = significance(left, signal, right, window=window, degree=degree, variances=variances)
    if weights is not None:
        return fit
    return fit._replace(q0=np.zeros(()), Z=np.zeros(()), p=np.full((), 0.5))
