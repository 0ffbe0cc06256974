"""Upper limits of a signal by CLs, expected and observed, from asymptotic formulae."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from fastjag.statistics.envelope import Envelope, Models, root
from fastjag.statistics.windows import Floats

_BANDS = (-2, -1, 0, 1, 2)
_DOUBLINGS = 60


class UpperLimit(NamedTuple):
    """Upper limits of the signal of each spectrum; arrays have the shape of the spectra."""

    observed: Floats
    expected: Floats  #: (..., 5): median and 1, 2 standard deviations around it, without a signal
    level: float
    found: NDArray[np.bool_]  #: whether all six were found


def upper_limit(
    models: Models, counts: ArrayLike, level: float = 0.95, *, scale: ArrayLike = 1.0,
    penalty: float = 1.0,
) -> UpperLimit:  # fmt: skip
    """The signal whose CLs is 1 - ``level``: as observed, and as expected without a signal.

    CLs = p(S + B) / (1 - p(B)) (A. Read, J. Phys. G 28 (2002) 2693; T. Junk, NIM A 434 (1999) 435) of the test
    statistic q-tilde with its asymptotic distributions and the Asimov data of the background as fitted (G. Cowan, K.
    Cranmer, E. Gross, O. Vitells, EPJC 71 (2011) 1554, equations 16 and 62 to 66). Below about 5
    events the formulae are approximate: compare with :func:`feldman_cousins`.

    S counts ``signal`` of the model: with luminosity * efficiency for its sum, limits are on a
    cross-section. Parameters are those of :func:`fit_signal`.

    >>> from fastjag.statistics import BinnedModel, Family, Window
    >>> model = BinnedModel.of_window(Window(5, 9, 10, 14, sr_edges=3), Family("legendre", 1))
    >>> limit = upper_limit(model, [*[100] * 16, 200])
    >>> print(f"{limit.observed:.1f} observed, {limit.expected[2]:.1f} expected")
    30.5 observed, 30.5 expected
    """
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level!r}")
    data, shape = Envelope.of(models, counts, scale, penalty)
    asimov = _asimov(data)
    ends = (data.best, data.at(np.zeros(len(data.n))))
    # Both statistics are 0 at the best S that is not negative.
    lowest = np.where(ends[0].S < 0, ends[1].nll, ends[0].nll)
    nothing = asimov.at(np.zeros(len(data.n))).nll
    error = np.maximum(asimov.error, 1e-6)

    def roots(S: Floats, rows: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """sqrt of q-tilde of the data, and of the Asimov data."""
        q = np.where(ends[0].S[rows] > S, 0, 2 * (data.at(S, rows).nll - lowest[rows]))
        q_A = 2 * (asimov.at(S, rows).nll - nothing[rows])
        return np.sqrt(np.maximum(q, 0)), np.sqrt(np.maximum(q_A, 1e-20))

    wanted = np.log(1 - level)

    def observed(S: Floats, rows: NDArray[np.int64]) -> Floats:
        return np.asarray(log_cls(*roots(S, rows)) - wanted)

    spectra = len(data.n)
    bands = np.repeat(_BANDS, spectra).astype(np.float64)

    def expected(S: Floats, rows: NDArray[np.int64]) -> Floats:
        """Of all bands at once, one after the other."""
        of = rows % spectra
        sqrt_A = np.sqrt(np.maximum(2 * (asimov.at(S, of).nll - nothing[of]), 1e-20))
        tail = special.log_ndtr(bands[rows] - sqrt_A) - special.log_ndtr(bands[rows])
        return np.asarray(tail - wanted)

    limit, found = _solve(observed, np.maximum(data.best.S, 0), np.maximum(error, data.error))
    of_bands, all_found = _solve(expected, np.zeros(len(bands)), np.tile(error, len(_BANDS)))
    found &= all_found.reshape(len(_BANDS), spectra).all(axis=0)
    sorted_bands = of_bands.reshape(len(_BANDS), spectra).T
    return UpperLimit(
        limit.reshape(shape),
        sorted_bands.reshape(*shape, len(_BANDS)),
        level,
        found.reshape(shape),
    )


def log_cls(sqrt_q: Floats, sqrt_q_A: Floats) -> Floats:
    """ln CLs from the roots of q-tilde of the data and of the Asimov data without a signal."""
    inside = sqrt_q <= sqrt_q_A
    far = (sqrt_q**2 - sqrt_q_A**2) / (2 * sqrt_q_A)
    distance = np.where(inside, sqrt_q - sqrt_q_A, far)
    return np.asarray(special.log_ndtr(-(distance + sqrt_q_A)) - special.log_ndtr(-distance))


def _asimov(data: Envelope) -> Envelope:
    """Spectra that are what the best fits without signal expect, alphas measured as fitted."""
    choice = data.at(np.zeros(len(data.n))).choice
    n = np.empty(data.n.shape)
    aux = np.empty((len(n), len(data.models[0].nuisances)))
    for i, rows in data.chosen(choice):
        theta = data._last[i][rows]
        n[rows] = np.maximum(data.models[i].expected(theta).counts, 0)
        aux[rows] = theta[:, 1 : 1 + aux.shape[1]]
    return Envelope(data.models, n, data.scale, data.penalty, aux)


def _solve(
    f: Callable[[Floats, NDArray[np.int64]], Floats], low: Floats, step: Floats
) -> tuple[Floats, NDArray[np.bool_]]:
    """Where a falling f is 0 above ``low``, and whether it is anywhere."""
    high = low + 2 * step
    todo = np.arange(len(low))
    for i in range(_DOUBLINGS):
        todo = todo[f(high[todo], todo) > 0]
        if len(todo) == 0:
            break
        high[todo] = low[todo] + 2 * step[todo] * 1.6 ** (i + 1)
    # A little above low: at S = 0 both statistics are 0.
    result, crossed = root(f, low + 1e-4 * step, high)
    crossed[todo] = False
    return result, crossed
