"""Intervals of a signal: profile likelihood, and Feldman and Cousins by toys at low counts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from fastjag.core.checks import at_least
from fastjag.statistics.envelope import ONE_SIGMA, Envelope, Models, as_counts, as_models, root
from fastjag.statistics.windows import Floats

_DOUBLINGS = 60


class Interval(NamedTuple):
    """An interval of the signal of each spectrum; arrays have the shape of the spectra."""

    S: Floats  #: the best signal
    low: Floats
    high: Floats
    level: float
    found: NDArray[np.bool_]  #: whether both ends were found


def interval(
    models: Models, counts: ArrayLike, level: float = ONE_SIGMA, *, scale: ArrayLike = 1.0,
    penalty: float = 1.0,
) -> Interval:  # fmt: skip
    """Where -2 ln L of the profile rises by the quantile of chi2 with one degree of freedom.

    S. Wilks, Ann. Math. Stat. 9 (1938) 60; of several models the choice is profiled, as in
    :func:`fit_signal`, which has the parameters. S may be negative; the lower end is where the
    likelihood ends, if it ends before.

    >>> from fastjag.statistics import BinnedModel, Family, Window
    >>> model = BinnedModel.of_window(Window(5, 9, 10, 14, sr_edges=3), Family("legendre", 1))
    >>> found = interval(model, [*[100] * 16, 260])
    >>> print(f"{found.S:.0f}, from {found.low:.0f} to {found.high:.0f}")
    60, from 43 to 77
    """
    _check_level(level)
    envelope, shape = Envelope.of(models, counts, scale, penalty)
    best, error = envelope.best, np.maximum(envelope.error, 1e-6)
    wanted = np.sqrt(2) * special.erfinv(level)  # standard deviations

    spectra = len(envelope.n)
    start, step = np.tile(best.S, 2), np.tile(error, 2) * np.repeat((-1, 1), spectra)

    def beyond(S: Floats, rows: NDArray[np.int64]) -> Floats:
        """Standard deviations above those wanted, of lower ends and then of upper ones."""
        of = rows % spectra
        rise = 2 * (envelope.at(S, of).nll - best.nll[of])
        return np.asarray(np.sqrt(np.maximum(rise, 0)) - wanted)

    far, todo = start + wanted * step, np.arange(2 * spectra)
    for i in range(_DOUBLINGS):
        todo = todo[beyond(far[todo], todo) < 0]
        if len(todo) == 0:
            break
        far[todo] = start[todo] + wanted * step[todo] * 1.5 ** (i + 1)
    ends, crossed = root(beyond, start, far)
    crossed[todo] = False
    found = crossed.reshape(2, spectra).all(axis=0)
    low, high = (end.reshape(shape) for end in ends.reshape(2, spectra))
    S = best.S.reshape(shape)
    return Interval(S, low, high, level, found.reshape(shape))


class FeldmanCousins(NamedTuple):
    """The interval of one spectrum, and what it was read from."""

    S: float  #: the best signal that is not negative
    low: float
    high: float
    level: float
    scanned: Floats  #: (points,) signals that were tested
    p: Floats  #: (points,) share of toys that are as unlikely as the data, counted as (k + 1) / (n + 1)
    toys: int
    seed: int


def feldman_cousins(
    models: Models, counts: ArrayLike, level: float = ONE_SIGMA, *, toys: int = 500,
    points: int = 31, seed: int = 0, penalty: float = 1.0,
) -> FeldmanCousins:  # fmt: skip
    """The interval of one spectrum at low counts, by toys; S is not negative.

    S belongs to it where the likelihood ratio L(S) / L(best S >= 0) of the data is not among the smallest
    ``1 - level`` of toys (G. Feldman, R. Cousins, Phys. Rev. D 57 (1998) 3873), with nuisance parameters and
    background of the toys as profiled at that S, and measurements of the nuisances drawn anew. Ends lie
    between ``points`` signals, where p crosses 1 - level by a straight line.

    Raises ValueError for more than one spectrum, and what :func:`fit_signal` refuses.
    """
    _check_level(level)
    several = as_models(models)
    n, _, shape = as_counts(several[0], counts)
    if shape != ():
        raise ValueError(f"feldman_cousins takes one spectrum, got shape {np.shape(counts)}")
    at_least("toys", toys, 10)
    at_least("points", points, 3)
    wide = interval(several, n[0], 0.999, penalty=penalty)
    top = max(float(wide.high), 1.0)
    scanned = np.linspace(0, top, points)
    p = np.array([
        ratio_p(several, n, S, toys=toys, seed=[seed, i], penalty=penalty)[0]
        for i, S in enumerate(scanned)
    ])  # fmt: skip
    inside = p > 1 - level
    at = np.flatnonzero(inside)
    best = max(float(wide.S), 0.0)
    if len(at) == 0:  # between two points
        return FeldmanCousins(best, best, best, level, scanned, p, toys, seed)

    def crossing(i: int, j: int) -> float:
        share = (1 - level - p[i]) / (p[j] - p[i])
        return float(scanned[i] + share * (scanned[j] - scanned[i]))

    first, last = int(at[0]), int(at[-1])
    low = 0.0 if first == 0 else crossing(first - 1, first)
    high = top if last == points - 1 else crossing(last + 1, last)
    return FeldmanCousins(best, low, high, level, scanned, p, toys, seed)


def ratio_p(
    models: Models, counts: ArrayLike, S: float, *, toys: int, seed: int | list[int],
    penalty: float = 1.0,
) -> Floats:  # fmt: skip
    """The p-value of a signal S >= 0 for spectra (..., bins), by Feldman and Cousins' ordering: (...)."""
    several = as_models(models)
    n, scale, shape = as_counts(several[0], counts)
    rng = np.random.default_rng(seed)
    observed = Envelope(several, n, scale, penalty)
    given = np.full(len(n), float(S))
    at = observed.at(given)
    ratio = _ratio(observed, at.nll)
    k = len(several[0].nuisances)
    p = np.empty(len(n))
    for i, (number, row) in enumerate(zip(at.choice, observed.n, strict=True)):
        model = several[number]
        theta = observed._last[number][i : i + 1].copy()
        theta[:, 0] = S
        expected = np.maximum(model.expected(theta).counts[0], 0)
        drawn = rng.poisson(expected, (toys, len(row))).astype(np.float64)
        aux = theta[0, 1 : 1 + k] + rng.standard_normal((toys, k))
        kept = drawn.sum(axis=1) > 0  # an empty toy is as likely as can be
        simulated = Envelope(several, drawn[kept], np.ones_like(drawn[kept]), penalty, aux[kept])
        of_toys = _ratio(simulated, simulated.at(np.full(kept.sum(), float(S))).nll)
        p[i] = ((of_toys >= ratio[i] - 1e-9).sum() + 1) / (toys + 1)
    return p.reshape(shape)


def _ratio(envelope: Envelope, nll: Floats) -> Floats:
    """-2 ln of L(S) / L(best S >= 0), for -ln L at S."""
    lowest = envelope.best.nll.copy()
    negative = np.flatnonzero(envelope.best.S < 0)
    if len(negative):
        lowest[negative] = envelope.at(np.zeros(len(negative)), negative).nll
    return np.maximum(2 * (nll - lowest), 0)


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level!r}")
