"""What each uncertainty does to a signal: pulls, constraints and impacts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from fastjag.statistics.binned_model import BinnedModel
from fastjag.statistics.envelope import as_counts, signal_error
from fastjag.statistics.profile_fit import ProfileFit, curvature, fit_model, solve_scaled
from fastjag.statistics.windows import Floats


class Impact(NamedTuple):
    """One nuisance parameter in the fit of each spectrum; arrays have the shape of the spectra."""

    name: str
    pull: Floats  #: the fitted alpha; its measurement is 0
    error: Floats  #: of it; 1 before the fit
    up: Floats  #: change of S where alpha is ``error`` above its best value, all else fitted again
    down: Floats  #: and below


class Impacts(NamedTuple):
    """The error of the signal and its parts."""

    S: Floats
    error: Floats  #: of S, all parameters free
    statistical: Floats  #: of S, with the nuisances fixed at their best values
    nuisances: list[Impact]  #: the largest of the first spectrum first


def impacts(model: BinnedModel, counts: ArrayLike, *, scale: ArrayLike = 1.0) -> Impacts:
    """Pulls, constraints and impacts of all nuisances of a model, for spectra (..., bins).

    Errors of nuisances come from the curvature of the likelihood.

    >>> from fastjag.statistics import BinnedModel, Family, Nuisance, Window
    >>> window, luminosity = Window(5, 9, 10, 14, sr_edges=3), Nuisance.lognormal("luminosity", 0.05)
    >>> model = BinnedModel.of_window(window, Family("legendre", 1), [luminosity])
    >>> found = impacts(model, [*[100] * 16, 400])
    >>> print(f"{found.nuisances[0].down:.1f} for {found.nuisances[0].name}")
    10.0 for luminosity
    """
    n, weights, shape = as_counts(model, counts, scale)
    best = fit_model(model, n, weights)
    information = curvature(model, best.theta, n, weights)
    every = np.ones(model.parameters, bool)
    found = []
    for j, nuisance in enumerate(model.nuisances, 1):
        unit = np.zeros(best.theta.shape)
        unit[:, j] = 1
        error = np.sqrt(np.maximum(solve_scaled(information, unit, every)[:, j], 0))
        up, down = (_moved(model, n, weights, best, j, sign * error) for sign in (1, -1))
        found.append(Impact(nuisance.name, best.theta[:, j], error, up, down))
    found.sort(
        key=lambda impact: -float(np.abs([impact.up[0], impact.down[0]]).max()) if len(n) else 0.0
    )
    first = np.zeros(best.theta.shape)
    first[:, 0] = 1
    fixed = every.copy()
    fixed[1 : 1 + len(model.nuisances)] = False
    statistical = np.sqrt(np.maximum(solve_scaled(information, first, fixed)[:, 0], 0))
    S, error = best.theta[:, 0], signal_error(model, best.theta, n, weights)
    nuisances = [Impact(i.name, *(x.reshape(shape) for x in i[1:])) for i in found]
    return Impacts(S.reshape(shape), error.reshape(shape), statistical.reshape(shape), nuisances)


def _moved(
    model: BinnedModel, n: Floats, weights: Floats, best: ProfileFit, j: int, by: Floats
) -> Floats:
    """Change of S where parameter j is moved and fixed."""
    start = best.theta.copy()
    start[:, j] += by
    fixed = np.zeros(model.parameters, bool)
    fixed[j] = True
    return fit_model(model, n, weights, fixed=fixed, start=start).theta[:, 0] - best.theta[:, 0]
