"""Weights of events out of those of their particles."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastjag.core.arrays import as_float, as_mask, check_length
from fastjag.core.devices import check_on_host
from fastjag.jagged import Jagged

Floats = NDArray[np.float64]


def prod(particles: Jagged, values: ArrayLike | str) -> Floats:
    """The product of ``values`` over the particles of each event, float64 (n_events,).

    ``values`` is a column of n_particles numbers, or the name of one. An event without particles has 1.
    Factors are multiplied in the order of the particles.

    Examples
    --------
    >>> import fastjag as fj
    >>> from fastjag import corrections
    >>> muons = fj.Jagged([0, 2, 2, 3], {"sf": [0.5, 0.5, 0.9]})
    >>> corrections.prod(muons, "sf")
    array([0.25, 1.  , 0.9 ])
    """
    column = particles[values] if isinstance(values, str) else values
    check_on_host(column, "corrections.prod")
    factors = as_float(column, "values").astype(np.float64, copy=False)
    check_length(factors, "values", particles.n_particles, "particles")
    result = np.ones(len(particles))
    starts = np.asarray(particles.offsets[:-1])
    filled = np.flatnonzero(np.asarray(particles.counts) > 0)
    if len(filled):
        result[filled] = np.multiply.reduceat(factors, starts[filled])
    return result


def tagging_weight(
    jets: Jagged, tagged: ArrayLike, factors: ArrayLike, efficiencies: ArrayLike
) -> Floats:
    """The weight of each event for b tags at one working point, float64 (n_events,).

    Method 1a of the BTV group of CMS
    (https://twiki.cern.ch/twiki/bin/viewauth/CMS/BTagSFMethods): the product of SF over tagged jets
    and of (1 - SF e) / (1 - e) over the others. ``tagged`` is a mask, ``factors`` are SF, and
    ``efficiencies`` e of tags in simulation, all (n_particles,). Raises ValueError for an efficiency
    outside [0, 1) of a jet without tag, whose weight would not be a number.

    Examples
    --------
    >>> import fastjag as fj
    >>> from fastjag import corrections
    >>> jets = fj.Jagged([0, 2], {"pt": [50.0, 40.0]})
    >>> corrections.tagging_weight(jets, [True, False], [0.9, 0.9], [0.5, 0.5])
    array([0.99])
    """
    n = jets.n_particles
    tags = as_mask(tagged, "tagged", n, "jets")
    sf, e = as_float(factors, "factors"), as_float(efficiencies, "efficiencies")
    check_length(sf, "factors", n, "jets")
    check_length(e, "efficiencies", n, "jets")
    wrong = ~tags & ~((e >= 0) & (e < 1))
    if wrong.any():
        first = int(wrong.argmax())
        raise ValueError(
            f"efficiencies must be in [0, 1) for jets without tag, jet {first} has {e[first]}"
        )
    safe = np.where(tags, 0.0, e)
    return prod(jets, np.where(tags, sf, (1 - sf * safe) / (1 - safe)))
