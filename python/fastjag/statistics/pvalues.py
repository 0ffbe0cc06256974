"""p-values from background-only toys: of one spectrum, and of the best of many cuts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from fastjag.core.arrays import as_float
from fastjag.core.checks import at_least
from fastjag.reporting.progress import progress_bar
from fastjag.statistics.deviations import Z_of_log_p, log_p, p_value
from fastjag.statistics.likelihood import enough_filled, null_expectation, significance
from fastjag.statistics.windows import Floats, Window

REFERENCE = 1.0  # level at which upcrossings are counted for the extrapolation, in Z
_REACH = 10  # toys as large as the data: with fewer, the bound says more
_SPECTRA = 8192  # at a time
_ONE_SIGMA, _THREE_SIGMA = 0.6827, 0.9973


class ToyP(NamedTuple):
    """How many background-only toys are at least as significant; arrays of one shape.

    Toys are all experiments, with and without an excess: one without has p = 1.
    """

    #: (above + 1) / (toys + 1): below any level as often as that says, whatever the number of toys,
    #: and never 0 (B. Phipson, G. Smyth, Stat. Appl. Genet. Mol. Biol. 9:39, 2010)
    p: Floats
    low: Floats  #: central 68 % interval of their share (Clopper and Pearson, 1934)
    high: Floats
    above: NDArray[np.int64]  #: number of such toys
    #: False where the asymptotic p-value is outside the 99.7 % interval of the share
    agrees: NDArray[np.bool_]
    toys: int
    seed: int

    @staticmethod
    def no_excess(toys: int, seed: int) -> ToyP:
        """Of an experiment without an excess: all toys are as significant."""
        return shares_above(np.zeros(toys), np.zeros(()), seed)


class ToyCurve(NamedTuple):
    """Toys of a curve of cuts."""

    local: ToyP  #: of each cut, (n_cuts,)
    Z: Floats  #: the largest of the curve
    p_global: Floats  #: chance that background alone shows as large a Z at any of the cuts
    Z_global: Floats  #: that in standard deviations, not below 0
    trials: (
        Floats  #: p_global / asymptotic p of the best cut, where p may be too small for a number
    )
    maxima: Floats  #: largest Z of each toy
    upcrossings: float  #: mean number per toy of Z rising above 1 along the curve


def toy_curve(
    left: ArrayLike,
    signal: ArrayLike,
    right: ArrayLike,
    *,
    window: Window,
    degree: int = 5,
    toys: int = 1000,
    seed: int = 0,
    progress: bool | None = None,
) -> ToyCurve:
    """Local p-values of nested cuts, and the global one of the best of them.

    ``left``, ``signal``, ``right`` are (n_cuts, n_bins), (n_cuts,) and (n_cuts, n_bins) unweighted
    counts, the loosest cut first; one spectrum is a curve of one cut. Every toy is a whole curve: a
    Poisson spectrum around the background-only fit of the first cut, and of its events each further
    cut keeps, bin by bin, the share that its own fit says. So toys of neighbouring cuts have as many
    events in common as data.

    The best cut, of data and of every toy, is one of those that fill enough sideband bins for the
    polynomial, or the loosest.

    Raises ValueError where a later cut has more events than an earlier one, and for what
    :func:`significance` refuses.
    """
    at_least("toys", toys, 1)
    observed = significance(left, signal, right, window=window, degree=degree)
    if observed.Z.ndim != 1 or len(observed.Z) == 0:
        raise ValueError(f"signal must have shape (n_cuts,), got {observed.Z.shape}")
    counts = np.concatenate([left, np.asarray(signal)[:, None], right], axis=1)
    if (np.diff(counts, axis=0) > 0).any():
        raise ValueError("cuts must be nested, the loosest first: a later one has more events")
    expected = np.concatenate(
        [np.reshape(x, (len(counts), -1)) for x in
         null_expectation(left, signal, right, window=window, degree=degree)], axis=1,
    )  # fmt: skip
    before = expected[:-1]
    kept = np.clip(np.where(before > 0, expected[1:] / np.where(before > 0, before, 1), 0), 0, 1)
    rng = np.random.default_rng(seed)
    n_left = len(window.left) - 1
    local, claimed = [], []
    batch = max(1, _SPECTRA // len(counts))
    with progress_bar("toys", toys, progress) as advance:
        for begin in range(0, toys, batch):
            n = min(batch, toys - begin)
            spectra = np.empty((n, *expected.shape))
            spectra[:, 0] = rng.poisson(expected[0], (n, expected.shape[1]))
            for i, share in enumerate(kept):
                spectra[:, i + 1] = rng.binomial(spectra[:, i].astype(np.int64), share)
            sides = spectra[..., :n_left], spectra[..., n_left + 1 :]
            local.append(_Z(sides[0], spectra[..., n_left], sides[1], None, window, degree))
            claimed.append(_claimable(local[-1], *sides, degree))
            advance(n)
    Z = np.concatenate(claimed)
    rising = (Z[:, 1:] > REFERENCE) & (Z[:, :-1] <= REFERENCE)
    maxima, upcrossings = Z.max(axis=1), float(rising.sum() / toys)
    of_data = _claimable(observed.Z, np.asarray(left), np.asarray(right), degree)
    best = of_data.max()
    log_global = global_log_p(best, maxima, upcrossings)
    return ToyCurve(
        shares_above(np.concatenate(local), observed.Z, seed), best, np.exp(log_global),
        Z_of_log_p(log_global), np.exp(log_global - log_p(best)), maxima, upcrossings,
    )  # fmt: skip


def toy_weighted(
    left: ArrayLike,
    signal: ArrayLike,
    right: ArrayLike,
    variances: tuple[ArrayLike, ArrayLike, ArrayLike],
    weights: ArrayLike,
    *,
    window: Window,
    degree: int = 5,
    toys: int = 1000,
    seed: int = 0,
    progress: bool | None = None,
) -> ToyP:
    """p-value of one spectrum of weighted events.

    A toy has, in every bin, a Poisson number of events whose weights are drawn from ``weights``,
    those of background events (all of the sidebands); its mean is what the background-only fit
    expects. So the scaled Poisson of :func:`significance` is tested, too.
    """
    at_least("toys", toys, 1)
    observed = significance(left, signal, right, window=window, degree=degree, variances=variances)
    pool = as_float(weights, "weights").astype(np.float64)
    if not ((pool >= 0) & np.isfinite(pool)).all() or not (pool > 0).any():
        raise ValueError("weights must be finite, not negative, and some of them above 0")
    pool = pool[pool > 0]
    expected = np.concatenate(
        [np.atleast_1d(x) for x in null_expectation(
            left, signal, right, window=window, degree=degree, variances=variances)]
    ) / pool.mean()  # fmt: skip
    rng = np.random.default_rng(seed)
    n_left, bins = len(window.left) - 1, len(expected)
    batch = max(1, min(_SPECTRA, int(2**22 / max(1.0, expected.sum()))))
    local = []
    with progress_bar("toys", toys, progress) as advance:
        for begin in range(0, toys, batch):
            n = min(batch, toys - begin)
            numbers = rng.poisson(expected, (n, bins)).ravel()
            drawn = pool[rng.integers(len(pool), size=numbers.sum())]
            where = np.repeat(np.arange(n * bins), numbers)
            parts = []
            for power in (drawn, drawn**2):
                sums = np.bincount(where, power, n * bins).astype(np.float64).reshape(n, bins)
                parts.append((sums[:, :n_left], sums[:, n_left], sums[:, n_left + 1 :]))
            local.append(_Z(*parts[0], parts[1], window, degree))
            advance(n)
    return shares_above(np.concatenate(local), observed.Z, seed)


def global_log_p(Z: ArrayLike, maxima: Floats, upcrossings: float) -> Floats:
    """ln of the probability that background alone shows at least this Z anywhere.

    From the number k of n toys whose maximum does, (k + 1) / (n + 1); beyond their reach the bound
    of Gross and Vitells (EPJC 70:525, 2010): local p plus upcrossings of Z = 1 * exp(-(Z² - 1) / 2).
    """
    z = np.asarray(Z, np.float64)
    seen = (maxima[:, None] >= z.ravel()).sum(axis=0).reshape(z.shape)
    rate = np.log(upcrossings) if upcrossings > 0 else -np.inf
    bound = np.logaddexp(log_p(z), rate - (z**2 - REFERENCE**2) / 2)
    share = np.log((seen + 1) / (len(maxima) + 1))
    return np.asarray(np.where(seen >= _REACH, share, np.minimum(bound, 0.0)))


def _Z(
    left: Floats,
    signal: Floats,
    right: Floats,
    variances: tuple[Floats, Floats, Floats] | None,
    window: Window,
    degree: int,
) -> Floats:
    """Of toys; 0 where the sidebands are empty, as nothing can be claimed then."""
    fitted = left.max(axis=-1) + right.max(axis=-1) > 0
    Z = np.zeros(signal.shape)
    if fitted.any():
        v = None if variances is None else tuple(x[fitted] for x in variances)
        Z[fitted] = significance(
            left[fitted], signal[fitted], right[fitted], window=window, degree=degree,
            variances=v,
        ).Z  # fmt: skip
    return Z


def _claimable(Z: Floats, left: Floats, right: Floats, degree: int) -> Floats:
    """Z (..., n_cuts), 0 at cuts that too few bins are filled after; the loosest always counts."""
    enough = enough_filled(left, right, degree)
    enough[..., 0] = True
    return np.where(enough, Z, 0)


def shares_above(toys: Floats, Z: Floats, seed: int) -> ToyP:
    """How many of the toys (toys, ...) have at least Z (...), as a p-value."""
    n, p = len(toys), p_value(Z)
    above = (toys >= Z).sum(axis=0)

    def interval(content: float) -> tuple[Floats, Floats]:
        tail = (1 - content) / 2
        k = np.clip(above, 1, n)
        low = np.where(above > 0, special.betaincinv(k, n - k + 1, tail), 0)
        k = np.clip(above, 0, n - 1)
        high = np.where(above < n, special.betaincinv(k + 1, n - k, 1 - tail), 1)
        return np.asarray(low), np.asarray(high)

    low, high = interval(_ONE_SIGMA)
    lowest, highest = interval(_THREE_SIGMA)
    # Z = 0 is half of all toys: its p-value of 0.5 is a convention.
    agrees = (np.asarray(Z) == 0) | ((lowest <= p) & (p <= highest))
    return ToyP((above + 1) / (n + 1), low, high, above, agrees, n, seed)
