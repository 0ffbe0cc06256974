"""A binned model as HistFactory has it: samples of templates, factors and variations."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import ArrayLike, NDArray

from fastjag.statistics.binned_model import BinnedModel, Nuisance
from fastjag.statistics.envelope import as_counts
from fastjag.statistics.families import Family
from fastjag.statistics.profile_fit import fit_model
from fastjag.statistics.windows import Floats

#: Largest normalisation of a background's term, in units of its fitted one.
RANGE = 100.0
_EMPTY = 1e-6  # of the mean background: a bin with less is held at zero
_START = 1e-3  # of a factor whose best value is 0
_SMALLEST = 0.02  # of the largest term: what the template of a smaller one has


class Term(NamedTuple):
    """A term of the background."""

    name: str
    template: Floats  #: (bins,), not negative
    start: float  #: of its factor: the best fit without signal
    least: float  #: of it; 0 where the model's coefficients are not negative


class Exchange(NamedTuple):
    """All that other programs need; bins in the order of their masses."""

    edges: Floats  #: (bins + 1,) [GeV]
    observed: Floats  #: (bins,)
    signal: Floats  #: (bins,) for S = 1
    terms: list[Term]
    nuisances: tuple[tuple[Nuisance, Floats, Floats], ...]  #: with the signal at alpha = 1 and -1
    S: float  #: best signal
    largest: float  #: end of the range of S


def exchange(model: BinnedModel, counts: ArrayLike) -> Exchange:
    """Of one spectrum of unweighted counts (bins,).

    The background is written in Bernstein polynomials, whatever polynomials the model has: no template
    is negative, the likelihood is the same. Where the best one is zero at an end of the window, it is written so that
    one factor alone makes it so. Raises ValueError for families that are no sums of terms, for weighted
    or several spectra, and where a bin's background is below zero.
    """
    if not model.family.linear:
        raise ValueError(
            f"{model.family} is no sum of terms, which is all that HistFactory holds: share a model of "
            "'legendre' or 'bernstein'"
        )
    n, scale, shape = as_counts(model, counts)
    if shape != ():
        raise ValueError(
            f"counts must be one spectrum of {model.bins} bins, got {np.shape(counts)}"
        )
    free = fit_model(model, n, scale)
    none = fit_model(model, n, scale, S=np.zeros(1), start=free.theta)
    k = len(model.nuisances)
    for fit in (free, none):
        background = model.background(fit.theta[0, 1 + k :])
        if background.min() < -1e-9 * background.max():
            raise ValueError(
                f"the background is {background.min():.3g} in a bin: nothing that is negative can be shared"
            )
    order = np.argsort(model.low).astype(np.int64)
    low, high = model.low[order], model.high[order]
    if np.abs(high[:-1] - low[1:]).max() > 1e-9 * (high[-1] - low[0]):
        raise ValueError("bins must follow one another without gaps to be shared")
    error = np.sqrt(n.sum())
    return Exchange(
        np.append(low, high[-1]), n[0][order], model.signal[order], _terms(model, none.theta[0, 1 + k :], free.theta[0, 1 + k :], order),
        tuple((nuisance, *_ends(model, nuisance, order)) for nuisance in model.nuisances),
        float(free.theta[0, 0]),
        float(np.ceil((abs(free.theta[0, 0]) * model.signal.sum() + 20 * error) / model.signal.sum())),
    )  # fmt: skip


def _ends(
    model: BinnedModel, nuisance: Nuisance, order: NDArray[np.int64]
) -> tuple[Floats, Floats]:
    if nuisance.kappa is not None:
        return model.signal[order] * nuisance.kappa, model.signal[order] / nuisance.kappa
    up, down = nuisance.templates(model.signal)
    return up[order], down[order]


def _terms(
    model: BinnedModel, coefficients: Floats, with_signal: Floats, order: NDArray[np.int64]
) -> list[Term]:
    degree = model.family.order
    rows, c = model.basis.rows, coefficients
    least = np.full(degree + 1, 0.0 if model.basis.positive else -RANGE)
    if model.family.name == "legendre":
        # Columns: the Legendre series of each polynomial.
        x = legendre.leggauss(degree + 1)[0]
        roots = _empty(model, np.stack([coefficients, with_signal]))
        change = np.linalg.solve(legendre.legvander(x, degree), _polynomials(x, degree, roots))
        rows, c = rows @ change, np.linalg.solve(change, c)
        least[degree + 1 - len(roots) :] = 0.0
    rows = np.maximum(rows[order], 0)  # rounding
    size = np.maximum(np.abs(c), _SMALLEST * np.abs(c).max())
    # Minimisers do not get away from an end of a range.
    start = np.where(least == 0, np.maximum(c / size, _START), c / size)
    return [
        Term(f"background_{i}", rows[:, i] * size[i], float(start[i]), float(least[i]))
        for i in range(len(c))
    ]


def _empty(model: BinnedModel, coefficients: Floats) -> Floats:
    """Where one of some polynomials is held at zero: centres, in x, of the bins at an end of the window.

    A fit that may not go below zero in a bin has its best polynomial there. Other programs know no such limit, but
    ranges of factors; in these bins one factor alone has to be the background.
    """
    if model.window is None:  # bins hold integrals: no polynomial vanishes in one of them alone
        return np.zeros(0)
    low, high = model.span
    centre, background = (model.low + model.high) / 2, model.background(coefficients).min(axis=0)
    held = (background < _EMPTY * background.mean()) & (model.signal == 0)
    if not 0 < held.sum() <= model.family.order:
        return np.zeros(0)
    x = (2 * centre - low - high) / (high - low)
    beyond = held | (x < x[held].min()) | (x > x[held].max())
    rising, falling = held == (x >= x[held].min()), held == (x <= x[held].max())
    return np.sort(x[held]) if beyond.all() and (rising.all() or falling.all()) else np.zeros(0)


def _polynomials(x: Floats, degree: int, roots: Floats) -> Floats:
    """Bernstein polynomials at x (n, degree + 1), of which the last ones alone do not vanish at the roots.

    With k roots beyond all other bins: the product of distances from them times those of degree - k, and
    for each root the product of distances from the roots beyond it, which is above zero at it.
    """
    if not len(roots):
        return Family("bernstein", degree).terms(x, -1.0, 1.0)
    outermost = roots[::-1] if roots[0] > 0 else roots  # that at the end of the window first
    distances = (outermost - x[:, None]) * np.sign(outermost[0])
    k = len(roots)
    inner = Family("bernstein", degree - k).terms(x, -1.0, 1.0) * distances.prod(axis=1)[:, None]
    end = (1 + np.sign(outermost[0]) * x) / 2
    own = [distances[:, :i].prod(axis=1) * end ** (degree - i) for i in range(k)]
    return np.column_stack([inner, *own])
