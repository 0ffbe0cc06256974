"""Fits of a binned model to many spectra at once, with the signal free or fixed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from fastjag.statistics.binned_model import BinnedModel
from fastjag.statistics.windows import Floats

_FIRST = 1e-3  # barrier to begin with, where there are empty bins
_BARRIER = 0.03  # what each stage leaves of it
_AGAIN = 1e-6  # the first one, where a fit begins near another
_LAST = 1e-11  # the last barrier: nothing in -ln L
_STEPS = 400
_SETTLED = 1e-11  # of -ln L, before the last step
_LONGEST = 2.0  # change of the logarithm of a bin in one step
_CHUNK = 1024  # spectra at a time: their matrices stay in the cache


class ProfileFit(NamedTuple):
    """The best parameters of each spectrum."""

    theta: Floats  #: (spectra, parameters)
    nll: Floats  #: (spectra,) -ln L against that of a model equal to the counts, constraints included
    converged: NDArray[np.bool_]


def fit_model(
    model: BinnedModel,
    n: Floats,
    scale: Floats,
    *,
    S: Floats | None = None,
    aux: Floats | None = None,
    fixed: NDArray[np.bool_] | None = None,
    start: Floats | None = None,
) -> ProfileFit:
    """The best fit for counts n (spectra, bins), each a Poisson number of scale times as many events.

    ``S`` (spectra,) fixes the signal. ``aux`` (spectra, nuisances) are measurements of the alphas, by
    default 0. ``fixed`` (parameters,) are kept as ``start`` (spectra, parameters) has them.
    """
    free = np.ones(model.parameters, bool) if fixed is None else ~fixed
    if S is not None:
        free[0] = False
    m = len(model.nuisances)
    measured = np.zeros((len(n), m)) if aux is None else aux
    begin = _begin(model, n, S, measured, start)
    limits = np.eye(model.family.parameters) if model.basis.positive else None
    parts = [
        _newton(model, n[i : i + _CHUNK], scale[i : i + _CHUNK], measured[i : i + _CHUNK],
                begin[i : i + _CHUNK], free, limits, _FIRST if start is None else _AGAIN)
        for i in range(0, max(1, len(n)), _CHUNK)
    ]  # fmt: skip
    fits = ProfileFit(*(np.concatenate(part) for part in zip(*parts, strict=True)))
    if model.family.name == "legendre":
        # Below zero, a background would make signal out of nothing.
        limits = model.basis.rows[model.signal > 0]
        bad = np.flatnonzero((fits.theta[:, 1 + m :] @ limits.T < 0).any(axis=1))
        if len(bad) and fixed is None:
            flat = _begin(model, n[bad], None if S is None else S[bad], measured[bad], None)
            again = _newton(model, n[bad], scale[bad], measured[bad], flat, free, limits, _FIRST)
            for whole, part in zip(fits, again, strict=True):
                whole[bad] = part
    return fits


def _begin(
    model: BinnedModel, n: Floats, S: Floats | None, aux: Floats, start: Floats | None
) -> Floats:
    """Where fits begin: near ``start`` where that expects something in every bin, else flat."""
    m = len(model.nuisances)
    flat = np.zeros((len(n), model.parameters))
    flat[:, 1 : 1 + m] = aux if start is None else start[:, 1 : 1 + m]
    if S is not None:
        flat[:, 0] = S
    elif start is not None and not start[:, 0].any():
        flat[:, 0] = 0
    widths = (model.high - model.low) / model.width
    height = np.maximum(n.sum(axis=1) / widths.sum(), 1e-3)
    # A negative signal needs a background above it.
    deficit = -np.minimum(flat[:, :1] * model.expected(_unit(flat)).jacobian[:, :, 0], 0) / widths
    height = np.maximum(height, 1.5 * deficit.max(axis=1))
    c = flat[:, 1 + m :]
    if model.family.name == "bernstein":
        c[:] = height[:, None]
    else:
        c[:, 0] = height if model.family.linear else np.log(height)
    if start is None:
        return flat
    near = start.copy()
    if S is not None:
        near[:, 0] = S
    if model.basis.positive:
        near[:, 1 + m :] = np.maximum(near[:, 1 + m :], 1e-3 * height[:, None])
    good = (model.expected(near).counts > 1e-6 * height[:, None]).all(axis=1)
    return np.where(good[:, None], near, flat)


def _unit(theta: Floats) -> Floats:
    """The same with S = 1, where all else is as it is."""
    one = theta.copy()
    one[:, 0] = 1
    return one


def deviance(expected: Floats, n: Floats, scale: Floats) -> Floats:
    """-ln L (spectra,) of scaled Poisson counts, against a model equal to the counts."""
    mean = np.maximum(expected, np.finfo(np.float64).tiny)
    return np.asarray(
        (scale * (expected - n - special.xlogy(n, mean / np.where(n > 0, n, 1)))).sum(axis=1)
    )


def curvature(model: BinnedModel, theta: Floats, n: Floats, scale: Floats) -> Floats:
    """The information about the parameters, (spectra, parameters, parameters), constraints included."""
    expected, J = model.expected(theta)
    mean = np.maximum(expected, 1e-9)
    H = np.swapaxes(J, 1, 2) @ (J * (scale * np.maximum(n, 1e-3) / mean**2)[:, :, None])
    m = len(model.nuisances)
    H[:, np.arange(1, 1 + m), np.arange(1, 1 + m)] += 1
    return np.asarray(H)


def _newton(
    model: BinnedModel,
    n: Floats,
    scale: Floats,
    aux: Floats,
    theta: Floats,
    free: NDArray[np.bool_],
    limits: Floats | None,
    first: float,
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    theta, m = theta.copy(), len(model.nuisances)
    ties = slice(1, 1 + m)
    linear = model.family.linear
    # Exponentials are above 0 by themselves, but where a negative signal is added.
    empty = (n <= 0) if linear else (n <= 0) & (model.signal > 0)
    barred = np.ones(len(n), bool) if limits is not None else empty.any(axis=1)
    barrier = np.where(barred, first, 0.0)
    converged = np.zeros(len(n), bool)
    rounding = 1e-14 * (scale * n).sum(axis=1) + 1e-13

    def value(which: NDArray[np.int64], theta: Floats, t: Floats, mean: Floats) -> Floats:
        """What is minimised; infinite where something is not above 0."""
        bad = (mean <= 0).any(axis=1)
        safe = np.where(mean > 0, mean, 1.0)
        total = deviance(safe, n[which], scale[which]) - t * np.log(safe).sum(axis=1)
        total += ((theta[:, ties] - aux[which]) ** 2).sum(axis=1) / 2
        if limits is not None:
            held = theta[:, 1 + m :] @ limits.T
            bad |= (held <= 0).any(axis=1)
            total -= t * np.log(np.where(held > 0, held, 1.0)).sum(axis=1)
        return np.where(bad, np.inf, total)

    active = np.arange(len(n))
    for _ in range(_STEPS):
        if len(active) == 0:
            break
        t, now = barrier[active], theta[active]
        mean, J = model.expected(now)
        mean = np.maximum(mean, 1e-140)  # its square is a number
        pull = scale[active] * n[active] + t[:, None]
        gradient = ((scale[active] - pull / mean)[:, None, :] @ J)[:, 0]
        weight = (
            pull / mean**2 if linear else np.maximum(scale[active] / mean, t[:, None] / mean**2)
        )
        H = np.swapaxes(J, 1, 2) @ (J * weight[:, :, None])
        gradient[:, ties] += now[:, ties] - aux[active]
        H[:, np.arange(1, 1 + m), np.arange(1, 1 + m)] += 1
        if limits is not None:
            held = now[:, 1 + m :] @ limits.T
            gradient[:, 1 + m :] -= (t[:, None] / held) @ limits
            H[:, 1 + m :, 1 + m :] += limits.T @ ((t[:, None] / held**2)[:, :, None] * limits)
        gradient[:, ~free] = 0
        step = solve_scaled(H, -gradient, free)
        decrement = -(gradient * step).sum(axis=1)
        change = (J @ step[:, :, None])[:, :, 0]
        falling = (-change / mean).max(axis=1)
        if limits is not None:
            falling = np.maximum(falling, (-(step[:, 1 + m :] @ limits.T) / held).max(axis=1))
        length = np.minimum(1.0, 0.95 / np.maximum(falling, 1e-9))
        if not linear:
            largest = np.abs(change / mean).max(axis=1)
            length = np.minimum(1.0, _LONGEST / np.maximum(largest, 1e-9))
        if m:  # the signal is not linear in them
            wide = np.abs(step[:, ties]).max(axis=1)
            length = np.minimum(length, 1 / np.maximum(wide, 1e-9))
        before = value(active, now, t, mean)
        todo = np.arange(len(active))
        moved = now.copy()
        for _ in range(50):
            trial = now[todo] + length[todo, None] * step[todo]
            after = value(active[todo], trial, t[todo], model.expected(trial).counts)
            good = (
                after
                <= before[todo] - 1e-4 * length[todo] * decrement[todo] + rounding[active[todo]]
            )
            moved[todo[good]] = trial[good]
            todo = todo[~good]
            if len(todo) == 0:
                break
            length[todo] /= 2
        theta[active] = moved
        still = np.zeros(len(active), bool)
        still[todo] = True  # no way down: as good as rounding allows
        settled = ((decrement < np.maximum(_SETTLED, 0.1 * t)) & (length > 0.5)) | still
        done = settled & (t <= _LAST)
        barrier[active] = np.where(
            settled & ~done, np.where(t * _BARRIER < _LAST, 0.5 * _LAST, t * _BARRIER), t
        )
        converged[active[done & (decrement < 1e-6)]] = True
        active = active[~done]
    mean = model.expected(theta).counts
    nll = deviance(mean, n, scale) + ((theta[:, ties] - aux) ** 2).sum(axis=1) / 2
    return theta, nll, converged


def solve_scaled(H: Floats, vectors: Floats, free: NDArray[np.bool_]) -> Floats:
    """H^-1 times vectors in the free parameters, 0 in the others, whatever their units."""
    size = np.sqrt(np.maximum(np.einsum("eii->ei", H), 1e-300))
    scaled = H / size[:, :, None] / size[:, None, :]
    keep = free[:, None] & free[None, :]
    scaled = np.where(keep, scaled, 0.0)
    k = np.arange(H.shape[1])
    scaled[:, k, k] = np.where(free, scaled[:, k, k] + 1e-13, 1.0)
    solved = np.linalg.solve(scaled, (vectors / size)[:, :, None])[:, :, 0]
    return np.asarray(solved / size * free)
