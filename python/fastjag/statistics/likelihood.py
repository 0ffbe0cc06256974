"""How significant an excess of counts in a mass window is above its sidebands."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import ArrayLike, NDArray
from scipy import special

from fastjag.core.checks import at_least
from fastjag.statistics.deviations import p_value
from fastjag.statistics.windows import Floats, Window

_FIRST = 1e-3  # barrier to begin with, in numbers of events
_BARRIER = 0.1  # how much less of the barrier each stage of the fit leaves
_STEPS = 400  # Newton steps before a spectrum counts as not converged; usual are 10 to 60
_TOLERANCE = 1e-13  # of -ln L, times the number of events
_CHUNK = 4096  # spectra at a time: their matrices stay in the cache


class Significance(NamedTuple):
    """The excess of each spectrum; all but ``coefficients`` have the shape of ``signal``."""

    S: Floats  #: signal, N - B of the fit to the sidebands; may be negative
    B: Floats  #: background in the signal region, not negative
    q0: Floats  #: likelihood ratio against no signal, 0 where S <= 0
    Z: Floats  #: sqrt(q0), standard deviations
    p: Floats  #: one-sided asymptotic p-value; ``deviations.log_p(Z)`` where it is too small
    #: of the sideband fit: counts per bin as a Legendre series in mass, from -1 at sb_left to 1 at
    #: sb_right; shape (..., degree + 1). ``background`` evaluates it.
    coefficients: Floats
    converged: NDArray[np.bool_]  #: both fits, to machine precision


def significance(
    left: ArrayLike,
    signal: ArrayLike,
    right: ArrayLike,
    *,
    window: Window,
    degree: int = 5,
    variances: tuple[ArrayLike, ArrayLike, ArrayLike] | None = None,
) -> Significance:
    """Significance of an excess in the signal region, for many spectra at once.

    The background is a polynomial in mass, compared with the count of every sideband bin at its
    centre; in the signal region its exact integral is compared with the sum of all. q0 is twice the
    logarithm of the ratio of the largest likelihoods with any signal and with none (arXiv:2502.14036;
    Cowan et al., EPJC 71:1554, 2011). The likelihood is convex in the polynomial, so that its
    optimum is unique; it is found by Newton's method in a Legendre basis, with neither a bin nor
    the background of the signal region allowed below zero.

    Parameters
    ----------
    left, right
        Counts, or sums of weights, of the sideband bins: shape (..., n_bins).
    signal
        Of the signal region, shape (...).
    variances
        Sums of squared weights of ``left``, ``signal``, ``right``: bins are then scaled Poisson
        (Bohm and Zech, NIM A 748:1, 2014). Default: unweighted.

    Raises ValueError for negative or non-finite counts, shapes that do not fit the window, empty
    sidebands, and windows with fewer sideband bins than the polynomial has coefficients. Where fewer
    bins are filled than that (:func:`enough_filled`), little holds the polynomial.
    """
    degree = at_least("degree", degree, 0)
    n, scale, shape = _counts(left, signal, right, variances, window)
    design = design_matrix(window, degree)
    if design.shape[0] - 1 <= degree:
        raise ValueError(
            f"{design.shape[0] - 1} sideband bins cannot fix a polynomial of degree {degree}"
        )
    empty = n[:, :-1].max(axis=1, initial=0) <= 0
    if empty.any():
        raise ValueError(
            f"the sidebands of spectrum {int(empty.argmax())} are empty: there is no background fit"
        )
    parts = [
        excess(n[i : i + _CHUNK], scale[i : i + _CHUNK], design)
        for i in range(0, max(1, len(n)), _CHUNK)
    ]
    S, B, q0, theta, converged = (np.concatenate(part) for part in zip(*parts, strict=True))
    Z = np.sqrt(q0)
    S, B, q0, Z, p = (a.reshape(shape) for a in (S, B, q0, Z, p_value(Z)))
    theta = theta.reshape(*shape, degree + 1)
    return Significance(S, B, q0, Z, p, theta, converged.reshape(shape))


def null_expectation(
    left: ArrayLike,
    signal: ArrayLike,
    right: ArrayLike,
    *,
    window: Window,
    degree: int = 5,
    variances: tuple[ArrayLike, ArrayLike, ArrayLike] | None = None,
) -> tuple[Floats, Floats, Floats]:
    """What the best fit without signal expects: ``left``, ``signal`` and ``right`` (see there)."""
    n, scale, shape = _counts(left, signal, right, variances, window)
    design = design_matrix(window, at_least("degree", degree, 0))
    parts = [
        _fit(n[i : i + _CHUNK], scale[i : i + _CHUNK], design)[0]
        for i in range(0, max(1, len(n)), _CHUNK)
    ]
    expected = np.maximum(np.concatenate(parts) @ design.T, 0).reshape(*shape, len(design))
    bins = len(window.left) - 1
    return expected[..., :bins], expected[..., -1], expected[..., bins:-1]


def enough_filled(left: ArrayLike, right: ArrayLike, degree: int) -> NDArray[np.bool_]:
    """Whether a spectrum fills at least as many sideband bins as its polynomial has coefficients.

    ``left`` and ``right`` are (..., n_bins); the result has their leading dimensions.
    """
    filled = [np.count_nonzero(np.asarray(side) > 0, axis=-1) for side in (left, right)]
    return np.asarray(filled[0] + filled[1] > degree)


def background(coefficients: ArrayLike, masses: ArrayLike, window: Window) -> Floats:
    """Counts per bin that a fit expects at these masses: shape (..., n_masses)."""
    theta = np.asarray(coefficients, np.float64)
    return theta @ legendre.legvander(unit_mass(masses, window), theta.shape[-1] - 1).T


def background_error(
    coefficients: ArrayLike, masses: ArrayLike, window: Window, *, scale: ArrayLike = 1.0
) -> Floats:
    """Standard deviation of :func:`background`, shape (..., n_masses).

    From the expected information of the sideband fit, whose inverse is the covariance of the
    coefficients; ``scale``, shape (..., n_bins), is sum w / sum w² of each bin for weighted events.
    """
    theta = np.asarray(coefficients, np.float64)
    design = design_matrix(window, theta.shape[-1] - 1)[:-1]
    # An expectation at the border of zero would be known exactly.
    expected = np.maximum(theta @ design.T, 1e-3)
    weight = np.broadcast_to(np.asarray(scale, np.float64) / expected, expected.shape)
    information = np.einsum("...b,bi,bj->...ij", weight, design, design)
    rows = legendre.legvander(unit_mass(masses, window), theta.shape[-1] - 1)
    spread = np.linalg.solve(information, np.broadcast_to(
        rows.T, (*theta.shape[:-1], *rows.T.shape)))  # fmt: skip
    return np.asarray(np.sqrt(np.einsum("mi,...im->...m", rows, spread)))


def unit_mass(masses: ArrayLike, window: Window) -> Floats:
    middle, half = (window.sb_right + window.sb_left) / 2, (window.sb_right - window.sb_left) / 2
    return (np.asarray(masses, np.float64) - middle) / half


def mass_of(x: Floats, window: Window) -> Floats:
    """The inverse of :func:`unit_mass`."""
    middle, half = (window.sb_right + window.sb_left) / 2, (window.sb_right - window.sb_left) / 2
    return np.asarray(middle + half * x)


def design_matrix(window: Window, degree: int) -> Floats:
    """Rows: the polynomials at the centres of sideband bins, then their sum over the signal region.

    The sum is the integral divided by a bin's width.
    """
    rows = legendre.legvander(unit_mass(window.centers, window), degree)
    low, high = unit_mass((window.sr_left, window.sr_right), window)
    width = (high - low) / (window.sr_edges - 1)
    integrals = np.empty(degree + 1)
    for k in range(degree + 1):
        primitive = legendre.legint(np.eye(degree + 1)[k])
        integrals[k] = legendre.legval(high, primitive) - legendre.legval(low, primitive)
    return np.vstack([rows, integrals / width])


def _counts(
    left: ArrayLike,
    signal: ArrayLike,
    right: ArrayLike,
    variances: tuple[ArrayLike, ArrayLike, ArrayLike] | None,
    window: Window,
) -> tuple[Floats, Floats, tuple[int, ...]]:
    """Counts (spectra, bins and signal region), the scale of each Poisson, leading dimensions."""
    expected = {"left": len(window.left) - 1, "signal": None, "right": len(window.right) - 1}

    def stack(parts: tuple[ArrayLike, ...], of: str) -> Floats:
        arrays = []
        for (name, bins), part in zip(expected.items(), parts, strict=True):
            array = np.asarray(part, np.float64)
            if bins is None:
                array = array[..., None]
            elif array.ndim == 0 or array.shape[-1] != bins:
                raise ValueError(
                    f"{name}{of} must have {bins} bins in its last dimension for this window, "
                    f"got shape {array.shape}"
                )
            if not (np.isfinite(array).all() and (array >= 0).all()):
                raise ValueError(f"{name}{of} must be finite and not negative")
            arrays.append(array)
        lead = np.broadcast_shapes(*(a.shape[:-1] for a in arrays))
        whole = [np.broadcast_to(a, (*lead, a.shape[-1])) for a in arrays]
        return np.concatenate([whole[0], whole[2], whole[1]], axis=-1)

    n = stack((left, signal, right), "")
    shape = n.shape[:-1]
    n = n.reshape(-1, n.shape[-1])
    if variances is None:
        return n, np.ones_like(n), shape
    v = np.broadcast_to(stack(variances, " variances"), (*shape, n.shape[-1])).reshape(n.shape)
    # Mean weight in a bin is v / n: as many events of that weight carry the same information.
    # An empty bin would have held an event of the spectrum's mean weight: so nothing depends on
    # the unit of the weights.
    filled = (n > 0) & (v > 0)
    total, squares = (np.where(filled, part, 0).sum(axis=-1, keepdims=True) for part in (n, v))
    mean = np.where(squares > 0, total / np.where(squares > 0, squares, 1), 1.0)
    return n, np.where(filled, n / np.where(filled, v, 1), mean), shape


def excess(
    n: Floats, scale: Floats, design: Floats
) -> tuple[Floats, Floats, Floats, Floats, NDArray[np.bool_]]:
    """S, B, q0, coefficients and convergence of (spectra, bins) counts."""
    theta, free, converged = _fit(n[:, :-1], scale[:, :-1], design[:-1])
    # Below zero, a background would make signal out of nothing: the best one that is not lies on
    # the border, held by a signal region that the likelihood does not see.
    below = theta @ design[-1] < 0
    unseen = np.arange(len(design)) < len(design) - 1
    theta[below], free[below], converged[below] = _fit(
        n[below] * unseen, scale[below] * unseen, design
    )
    observed = n[:, -1]
    B = np.where(below, 0.0, theta @ design[-1])
    S = observed - B
    q0 = np.zeros(len(n))
    above = S > 0  # elsewhere q0 is 0 whatever the fit without signal says
    _, null, good = _fit(n[above], scale[above], design, theta[above])
    seen = observed[above, None]
    best = free[above] + _deviance(seen, seen, scale[above, -1:])
    q0[above] = np.maximum(2 * (null - best), 0)
    converged[above] &= good
    return S, B, q0, theta, converged


def _deviance(expected: Floats, n: Floats, scale: Floats) -> Floats:
    """-ln L of scaled Poisson counts, but for what does not depend on the expectation."""
    # Rounding may leave an empty bin's expectation below zero.
    terms = expected - special.xlogy(n, np.maximum(expected, np.finfo(np.float64).tiny))
    return np.asarray((scale * terms).sum(axis=1))


def _fit(
    n: Floats, scale: Floats, design: Floats, start: Floats | None = None
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Coefficients, -ln L and convergence of the best non-negative polynomials.

    Newton's method for -ln L - t sum ln(expectation) with t falling to nothing: the barrier keeps
    every bin above zero, also empty ones, where the likelihood alone would not.
    """
    spectra, terms = len(n), design.shape[1]
    # In units of the mean count and of all events, so that their size is nothing to Newton.
    unit = n.mean(axis=1)[:, None]
    unit = np.where(unit > 0, unit, 1)
    events = (scale * n).sum(axis=1)[:, None]
    events = np.where(events > 0, events, 1)
    wanted_all, scale_all = n / unit, scale * unit / events
    theta = np.zeros((spectra, terms))
    theta[:, 0] = 1  # flat: positive in every bin
    converged = np.zeros(spectra, bool)
    filled = (n > 0).all(axis=1)
    barrier = np.where(filled, 0.0, _FIRST)  # filled bins need none
    expected_all = theta @ design.T
    if start is not None:  # a barrier would have to come back from the border
        near = filled & (start @ design.T > 0).all(axis=1)
        theta[near] = start[near] / unit[near]
        expected_all[near] = theta[near] @ design.T
    active = np.arange(spectra)
    for _ in range(_STEPS):
        if len(active) == 0:
            break
        t, wanted, s = barrier[active], wanted_all[active], scale_all[active]
        expected = expected_all[active]
        pull = s * wanted + t[:, None]
        gradient = (s - pull / expected) @ design
        curvature = np.einsum("eb,bi,bj->eij", pull / expected**2, design, design, optimize=True)
        curvature += 1e-14 * np.trace(curvature, axis1=1, axis2=2)[:, None, None] * np.eye(terms)
        step = -np.linalg.solve(curvature, gradient[..., None])[..., 0]
        decrement = -(gradient * step).sum(axis=1)
        change = step @ design.T
        length = _step_length(expected, change, wanted, s, t, decrement)
        theta[active] += length[:, None] * step
        # Not theta @ design.T, which rounding makes 0 or negative near the border.
        expected_all[active] = expected * (1 + length[:, None] * change / expected)
        settled = decrement < np.maximum(_TOLERANCE, 0.1 * t)
        done = settled & (t * n.shape[1] <= _TOLERANCE)
        barrier[active] = np.where(settled & ~done, t * _BARRIER, t)
        converged[active[done]] = True
        active = active[~done]
    theta *= unit
    value = _deviance(theta @ design.T, n, scale)
    return theta, value, converged


def _step_length(
    expected: Floats, change: Floats, n: Floats, scale: Floats, t: Floats, decrement: Floats
) -> Floats:
    """How far to go along a Newton step: inside the positive region, and downhill."""
    falling = np.where(change < 0, -change / expected, 0).max(axis=1)
    length = np.minimum(1.0, 0.99 / np.maximum(falling, 1e-3))

    def rise(length: Floats) -> Floats:  # of what is minimised, by terms that do not cancel
        relative = length[:, None] * change / expected
        terms = scale * length[:, None] * change - (scale * n + t[:, None]) * np.log1p(relative)
        total: Floats = terms.sum(axis=1)
        return total

    for _ in range(60):
        uphill = rise(length) > -0.1 * length * decrement + 1e-12
        if not uphill.any():
            break
        length = np.where(uphill, length / 2, length)
    return np.asarray(length)
