"""The likelihood of a signal with the choice of background profiled, for many spectra at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastjag.statistics.binned_model import BinnedModel
from fastjag.statistics.deviations import p_value
from fastjag.statistics.profile_fit import ProfileFit, curvature, fit_model, solve_scaled
from fastjag.statistics.windows import Floats

Models = BinnedModel | Sequence[BinnedModel]
ONE_SIGMA = 0.6826894921370859
_ROOT_STEPS = 60
_EXACT = 1e-5  # of a root, in standard deviations or ln CLs


class SignalFit(NamedTuple):
    """The signal of each spectrum; arrays have the shape of the spectra."""

    S: Floats  #: may be negative
    error: Floats  #: standard deviation from the curvature of the chosen model
    q0: Floats  #: likelihood ratio against no signal, 0 where S <= 0
    Z: Floats  #: sqrt(q0), standard deviations
    p: Floats  #: one-sided asymptotic p-value
    choice: NDArray[np.int64]  #: which of the models is best, by its number
    alphas: Floats  #: (..., nuisances) of that model
    background: Floats  #: (..., bins) that it expects
    converged: NDArray[np.bool_]  #: both fits of that model and the best one without signal


def fit_signal(
    models: Models, counts: ArrayLike, *, scale: ArrayLike = 1.0, penalty: float = 1.0
) -> SignalFit:
    """The best signal, and its significance, of many spectra at once.

    Of several models, which differ in their background only, the choice is profiled like a nuisance
    parameter: at every S that counts which has the smallest -2 ln L + ``penalty`` * parameters (P.
    Dauncey, M. Kenzie, N. Wardle, G. Davies, JINST 10 (2015) P04015; 1 is their correction for the
    number of parameters).

    Parameters
    ----------
    models
        One model, or several of the same bins, signal and nuisances.
    counts
        (..., bins), in the order of the model's bins; not negative.
    scale
        (..., bins), sum w / sum w² of weighted bins, which are then scaled Poisson (Bohm and Zech, NIM
        A 748:1, 2014).

    Raises ValueError for counts that do not fit the model, and for models that differ in more than the
    background.

    >>> from fastjag.statistics import BinnedModel, Family, Window
    >>> model = BinnedModel.of_window(Window(5, 9, 10, 14, sr_edges=3), Family("legendre", 1))
    >>> found = fit_signal(model, [*[100] * 16, 260])
    >>> print(f"{found.S:.0f} +- {found.error:.0f}, {found.Z:.1f} sigma")
    60 +- 17, 3.8 sigma
    """
    envelope, shape = Envelope.of(models, counts, scale, penalty)
    best = envelope.best
    none = envelope.at(np.zeros(len(envelope.n)))
    q0 = np.where(best.S > 0, np.maximum(2 * (none.nll - best.nll), 0), 0)
    nuisances, bins = len(envelope.models[0].nuisances), envelope.models[0].bins
    background = np.empty((len(envelope.n), bins))
    alphas = np.empty((len(envelope.n), nuisances))
    for i, rows in envelope.chosen(best.choice):
        m, fit = envelope.models[i], envelope.free[i]
        k = len(m.nuisances)
        background[rows] = m.background(fit.theta[rows, 1 + k :])
        alphas[rows] = fit.theta[rows, 1 : 1 + k]
    Z = np.sqrt(q0)
    S, error, q0, Z, p = (a.reshape(shape) for a in (best.S, envelope.error, q0, Z, p_value(Z)))
    return SignalFit(
        S, error, q0, Z, p, best.choice.reshape(shape), alphas.reshape(*shape, nuisances),
        background.reshape(*shape, bins),
        (best.converged & none.converged).reshape(shape),
    )  # fmt: skip


class At(NamedTuple):
    """The best model of each spectrum, with its signal free or fixed."""

    S: Floats
    nll: Floats  #: with the penalty
    choice: NDArray[np.int64]
    converged: NDArray[np.bool_]


class Envelope:
    """The smallest of several models' profile likelihoods, of spectra (spectra, bins)."""

    def __init__(
        self, models: Sequence[BinnedModel], n: Floats, scale: Floats, penalty: float,
        aux: Floats | None = None,
    ) -> None:  # fmt: skip
        self.models, self.n, self.scale, self.penalty, self.aux = models, n, scale, penalty, aux
        self.extra = [penalty * model.family.parameters / 2 for model in models]
        self.free: list[ProfileFit] = [fit_model(model, n, scale, aux=aux) for model in models]
        self._last = [fit.theta.copy() for fit in self.free]  # where the next fits begin
        self.best = self._least([fit.theta[:, 0] for fit in self.free], self.free)

    @staticmethod
    def of(
        models: Models, counts: ArrayLike, scale: ArrayLike, penalty: float
    ) -> tuple[Envelope, tuple[int, ...]]:
        """Of checked arguments, and the leading dimensions of ``counts``."""
        several = as_models(models)
        n, weights, shape = as_counts(several[0], counts, scale)
        if not 0 <= penalty < np.inf:
            raise ValueError(f"penalty must not be negative, got {penalty!r}")
        return Envelope(several, n, weights, penalty), shape

    def at(self, S: Floats, rows: NDArray[np.int64] | None = None) -> At:
        """With the signal fixed; of some spectra, if ``rows`` names them."""
        some = np.arange(len(self.n)) if rows is None else rows
        aux = None if self.aux is None else self.aux[some]
        fits = []
        for i, model in enumerate(self.models):
            fit = fit_model(model, self.n[some], self.scale[some], S=S, aux=aux,
                            start=self._last[i][some])  # fmt: skip
            self._last[i][some] = fit.theta
            fits.append(fit)
        return self._least([S] * len(fits), fits)

    def _least(self, S: list[Floats], fits: list[ProfileFit]) -> At:
        values = np.stack([fit.nll + more for fit, more in zip(fits, self.extra, strict=True)])
        choice = values.argmin(axis=0)
        k = np.arange(values.shape[1])
        good = np.stack([fit.converged for fit in fits])[choice, k]
        return At(np.stack(S)[choice, k], values[choice, k], choice, good)

    def chosen(self, choice: NDArray[np.int64]) -> list[tuple[int, NDArray[np.int64]]]:
        """The models that are chosen anywhere, and where."""
        return [(int(i), np.flatnonzero(choice == i)) for i in np.unique(choice)]

    @property
    def error(self) -> Floats:
        """Of the best S, from the curvature of the model that is chosen there."""
        error = np.empty(len(self.n))
        for i, rows in self.chosen(self.best.choice):
            error[rows] = signal_error(
                self.models[i], self.free[i].theta[rows], self.n[rows], self.scale[rows]
            )
        return error


def signal_error(model: BinnedModel, theta: Floats, n: Floats, scale: Floats) -> Floats:
    """Standard deviation of S (spectra,) from the information."""
    first = np.zeros(theta.shape)
    first[:, 0] = 1
    solved = solve_scaled(curvature(model, theta, n, scale), first, np.ones(model.parameters, bool))
    return np.sqrt(np.maximum(solved[:, 0], 0))


def as_models(models: Models) -> list[BinnedModel]:
    """A list of models that differ in their background only."""
    several = [models] if isinstance(models, BinnedModel) else list(models)
    if not several:
        raise ValueError("models must have at least one model")
    first = several[0]
    for model in several[1:]:
        same = model.bins == first.bins and all(
            np.array_equal(getattr(model, name), getattr(first, name))
            for name in ("low", "high", "signal")
        )
        if not same or model.nuisances != first.nuisances:
            raise ValueError(
                "models must have the same bins, signal and nuisances: only the family differs"
            )
    return several


def as_counts(
    model: BinnedModel, counts: ArrayLike, scale: ArrayLike = 1.0
) -> tuple[Floats, Floats, tuple[int, ...]]:
    """Counts and scale (spectra, bins), checked, and the leading dimensions."""
    n = np.asarray(counts, np.float64)
    if n.ndim == 0 or n.shape[-1] != model.bins:
        raise ValueError(f"counts must have {model.bins} bins in the last dimension, got {n.shape}")
    if not (np.isfinite(n).all() and (n >= 0).all()):
        raise ValueError("counts must be finite and not negative")
    flat = n.reshape(-1, model.bins)
    if len(flat) and (flat.sum(axis=1) <= 0).any():
        raise ValueError(
            f"spectrum {int((flat.sum(axis=1) <= 0).argmax())} is empty: there is no fit"
        )
    weights = np.broadcast_to(np.asarray(scale, np.float64), n.shape).reshape(flat.shape)
    if not (np.isfinite(weights).all() and (weights > 0).all()):
        raise ValueError("scale must be above 0")
    return flat, weights, n.shape[:-1]


def root(
    f: Callable[[Floats, NDArray[np.int64]], Floats], low: Floats, high: Floats
) -> tuple[Floats, NDArray[np.bool_]]:
    """Where f (of rows) is 0 between ``low`` and ``high``, where its signs differ; and whether found.

    The Illinois method (M. Dowell, P. Jarratt, BIT 11 (1971) 168), for all rows at once.
    """
    every = np.arange(len(low))
    a, b = low.copy(), high.copy()
    fa, fb = f(a, every), f(b, every)
    middle, found = np.where(np.abs(fa) < np.abs(fb), a, b), np.sign(fa) != np.sign(fb)
    active = every[found & (np.minimum(np.abs(fa), np.abs(fb)) > 0)]
    side = np.zeros(len(low), np.int64)
    for step in range(_ROOT_STEPS):
        if len(active) == 0:
            break
        x0, x1, y0, y1 = a[active], b[active], fa[active], fb[active]
        x = (x0 * y1 - x1 * y0) / (y1 - y0) if step % 8 != 7 else (x0 + x1) / 2
        y = f(x, active)
        middle[active] = x
        left = np.sign(y) == np.sign(y0)
        last = side[active]
        a[active], fa[active] = (
            np.where(left, x, x0),
            np.where(left, y, np.where(last == -1, y0 / 2, y0)),
        )
        b[active], fb[active] = (
            np.where(left, x1, x),
            np.where(left, np.where(last == 1, y1 / 2, y1), y),
        )
        side[active] = np.where(left, 1, -1)
        narrow = np.abs(x1 - x0) <= 1e-12 * np.maximum(np.abs(x0), np.abs(x1))
        active = active[(np.abs(y) > _EXACT) & ~narrow]
    return middle, found
