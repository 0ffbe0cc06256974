"""The diphoton mass spectrum: a peak on a polynomial, fitted with iminuit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastjag.analyses.diphoton.events import DATA, Events
from fastjag.analyses.diphoton.selections import unconverted_central
from fastjag.core.arrays import as_float, check_length
from fastjag.core.checks import at_least, near_misses, needs, one_of
from fastjag.statistics import CrystalBall
from fastjag.statistics.goodness import weighted_chi2
from fastjag.statistics.peak_shapes import gaussian, least_error, nodes_in_bins

Floats = NDArray[np.float64]

SIGNALS = ("gaussian", "crystal-ball")

#: The category of best resolution (:func:`selections.unconverted_central`).
CATEGORY = "unconverted central"

#: What the release's own fit of all its data implies, 10.064 fb-1: bins of 55/30 GeV, a peak of
#: 119.1 events per bin and sigma 2.38 GeV are 119.1 * 2.38 * sqrt(2 pi) / (55/30) = 388 events; 23.2
#: and 1.83 GeV are 58 events with both photons unconverted and central.
PUBLISHED_EVENTS = {"inclusive": 388.0, CATEGORY: 58.0}

_PEAK = (118.0, 132.0)  # GeV, around the Higgs boson
#: Start, limits.
_SHAPE: dict[str, tuple[float, float, float]] = {
    "mean": (125.0, 120.0, 130.0),
    "sigma": (2.0, 0.5, 8.0),
    "alpha_low": (1.5, 0.3, 5.0),
    "n_low": (5.0, 1.1, 50.0),
    "alpha_high": (1.5, 0.3, 5.0),
    "n_high": (5.0, 1.1, 50.0),
}


@dataclass(frozen=True)
class MassFit:
    """A fitted spectrum; all per bin of ``edges`` [GeV]."""

    edges: Floats  #: (n_bins + 1,)
    counts: Floats  #: sum of weights
    variances: Floats  #: sum of squared weights
    background: Floats  #: expected
    signal: Floats  #: expected
    values: dict[str, float]  #: of the parameters; "events" is the number in the peak
    errors: dict[str, float]  #: 0 for those that were fixed
    chi2: float  #: Pearson's, of neighbouring bins taken together until enough is expected
    ndf: int
    #: whether the minimiser found a minimum, with mean and width inside their limits, of a likelihood
    #: that is one: it is not where weights add up to 0 or less in a bin with events
    valid: bool
    #: sqrt(2 (ln L - ln L without signal)) for a peak of the shape ``tested``, with the sign of its
    #: events: of a standard normal distribution where there is no signal
    significance: float
    tested: dict[str, float]
    shape: str
    degree: int

    def numbers(self) -> dict[str, Any]:
        """Without the spectrum, for JSON."""
        names = ("values", "errors", "chi2", "ndf", "valid", "significance", "tested", "shape",
                 "degree")  # fmt: skip
        return {name: getattr(self, name) for name in names}


def fit_masses(
    selected: Events,
    signal_events: Events,
    *,
    background: tuple[str, ...],
    window: tuple[float, float],
    signal: str = "gaussian",
    degree: int = 3,
) -> dict[str, MassFit]:
    """The "peak" of simulated Higgs bosons; and the "spectrum" of data, or of all that is simulated.

    ``selected`` are all events, those of the classes in ``background`` included: without any there is
    no spectrum. Its peak, in a ``window`` [GeV], has mean and width of the simulated one.

    Both once more for the category of best resolution, where conversions are known and events are
    left: 10 for the peak; 10 in each of 30 bins for the spectrum, as bins of few simulated events
    of large weight would pull its polynomial anywhere.
    """

    def of_both(peak: Events, spectrum: Events | None, suffix: str = "") -> dict[str, MassFit]:
        shape = fit_mass(peak.flat["m_yy"], peak.flat["weight"], degree=0, window=_PEAK, bins=28)
        fits = {f"peak{suffix}": shape}
        if spectrum is not None:
            fits[f"spectrum{suffix}"] = fit_mass(
                spectrum.flat["m_yy"], spectrum.flat["weight"],
                signal=signal, degree=degree, window=window,
                fixed={name: shape.values[name] for name in ("mean", "sigma")},
            )  # fmt: skip
        return fits

    spectrum = selected if background else None
    if DATA in background:
        spectrum = selected[selected.flat["label"] == selected.classes.index(DATA)]
    fits = of_both(signal_events, spectrum)
    if "convType" in signal_events.particles["photon"].columns:
        peak = signal_events[unconverted_central(signal_events)]
        if spectrum is not None:
            spectrum = spectrum[unconverted_central(spectrum)]
            spectrum = spectrum if _enough(spectrum, window, 300) else None
        if _enough(peak, _PEAK, 10):
            fits |= of_both(peak, spectrum, f", {CATEGORY}")
    return fits


def _enough(events: Events, window: tuple[float, float], least: int) -> bool:
    """Whether the window holds so many effective events, (sum w)² / sum w², of positive sum."""
    mass, weight = events.flat["m_yy"], np.asarray(events.flat["weight"], np.float64)
    w = weight[(mass > window[0]) & (mass < window[1])]
    return bool(w.sum() > 0 and w.sum() ** 2 >= least * (w**2).sum())


def fit_mass(
    mass: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    signal: str = "gaussian",
    degree: int = 3,
    window: tuple[float, float] = (105.0, 160.0),
    bins: int = 30,
    fixed: Mapping[str, float] | None = None,
) -> MassFit:
    """Maximum-likelihood fit of binned masses, shape (n_events,) [GeV].

    Parameters
    ----------
    weights
        Of simulated events (n_events,): the likelihood is then that of a scaled Poisson variable
        with the same mean and variance (Bohm and Zech, NIM A 748 (2014) 1).
    signal
        "gaussian", or "crystal-ball": Gaussian core and power-law tails on both sides.
    degree
        Of the polynomial (a sum of Legendre polynomials over the window).
    fixed
        Parameters not to fit: "events", "mean", "sigma", and of the Crystal Ball "alpha_low",
        "n_low", "alpha_high", "n_high".

    The significance is that of a peak at 125 GeV with a width of 2 GeV, or where ``fixed`` says. The
    best of all places and widths would be above 2 sigma in every seventh spectrum without a signal.

    Raises ValueError naming the argument that is wrong, or if fewer than 10 events are in the
    window.
    """
    needs("iminuit", "diphoton")
    from iminuit import Minuit
    from iminuit.cost import ExtendedBinnedNLL

    one_of("signal", signal, SIGNALS)
    at_least("degree", degree, 0)
    at_least("bins", bins, degree + 8)
    m = as_float(mass, "mass").astype(np.float64)
    w = None if weights is None else as_float(weights, "weights").astype(np.float64)
    if w is not None:
        check_length(w, "weights", len(m), "masses")
    if not window[0] < window[1]:
        raise ValueError(f"window must be an interval, got {window}")
    inside = (m > window[0]) & (m < window[1])
    if inside.sum() < 10:
        raise ValueError(
            f"{int(inside.sum())} of {len(m)} events have a mass between {window[0]:g} and "
            f"{window[1]:g} GeV; a fit needs at least 10"
        )
    edges = np.linspace(window[0], window[1], bins + 1)
    counts, _ = np.histogram(m[inside], edges, weights=None if w is None else w[inside])
    variances = counts if w is None else np.histogram(m[inside], edges, weights=w[inside] ** 2)[0]
    counts, variances = counts.astype(np.float64), variances.astype(np.float64)
    if counts.sum() <= 0:
        raise ValueError(f"weights in the window add up to {counts.sum():g}")
    shape = list(_SHAPE)[: 2 if signal == "gaussian" else None]
    names = ["events", *shape, *(f"c{i}" for i in range(degree + 1))]
    for name, value in (fixed or {}).items():
        if name not in names[: 1 + len(shape)]:
            raise ValueError(
                f"no parameter {name!r} to fix: {near_misses(name, names[: 1 + len(shape)])}"
            )
        if not np.isfinite(value) or (name not in ("events", "mean") and value <= 0):
            raise ValueError(f"fixed {name} must be a positive number, got {value!r}")
    model = _Model(edges, len(shape), degree)

    def cumulative(x: Floats, *parameters: float) -> Floats:
        # iminuit takes differences of it between edges.
        peak, polynomial = model.parts(np.asarray(parameters))
        expected = np.maximum(peak + polynomial, 1e-9 * counts.sum())
        return np.concatenate([[0.0], np.cumsum(expected)])

    data = counts if w is None else np.stack([counts, variances], axis=1)
    cost = ExtendedBinnedNLL(data, edges, cumulative, name=names)
    minuit = Minuit(cost, **_start(counts, model, names))
    for name in shape:
        minuit.limits[name] = _SHAPE[name][1:]
    for name, value in (fixed or {}).items():
        minuit.limits[name] = None  # they are for what is fitted, and would move the value
        minuit.values[name] = value
        minuit.fixed[name] = True
    minuit.strategy = 1
    minuit.migrad(ncall=20_000)
    minuit.hesse()
    peak, polynomial = model.parts(np.array(minuit.values))
    expected = peak + polynomial
    free = [n for n in names if not minuit.fixed[n]]
    filled = variances > 0
    chi2, groups = weighted_chi2(counts, variances, expected)
    values = {n: float(minuit.values[n]) for n in names}
    errors = {n: 0.0 if minuit.fixed[n] else float(minuit.errors[n]) for n in names}
    tested = {n: (fixed or {}).get(n, _SHAPE[n][0]) for n in shape}
    null = _refit(cost, minuit, {**tested, "events": 0.0})
    peaked = minuit if tested.keys() <= (fixed or {}).keys() else _refit(cost, minuit, tested)
    gain = max(0.0, float(null.fval) - float(peaked.fval))
    defined = not ((counts <= 0) & filled).any()
    possible = minuit.fixed["events"] or errors["events"] >= 0.8 * least_error(
        peak / values["events"] if values["events"] else peak, variances
    )
    inside_limits = all(
        low + 1e-3 * (high - low) < values[n] < high - 1e-3 * (high - low)
        for n, (_, low, high) in _SHAPE.items()
        if n in ("mean", "sigma") and not minuit.fixed[n]
    )
    return MassFit(
        edges, counts, variances, polynomial, peak, values, errors, chi2,
        groups - len(free),
        defined and inside_limits and possible and all(bool(fit.valid) for fit in (minuit, null, peaked)),
        math.copysign(math.sqrt(gain), peaked.values["events"]), tested, signal, degree,
    )  # fmt: skip


def _refit(cost: Any, minuit: Any, fixed: Mapping[str, float]) -> Any:
    """The fit once more with further parameters fixed."""
    from iminuit import Minuit

    again = Minuit(cost, **{n: minuit.values[n] for n in minuit.parameters})
    for name in minuit.parameters:
        again.fixed[name] = minuit.fixed[name] or name in fixed
    for name, value in fixed.items():
        again.values[name] = value
    again.strategy = 1
    again.migrad(ncall=20_000)
    return again


class _Model:
    """Expected events per bin of peak and polynomial."""

    def __init__(self, edges: Floats, n_shape: int, degree: int) -> None:
        self.n_shape = n_shape
        self.x, self.dx = nodes_in_bins(edges)  # (n_bins, nodes)
        unit = 2 * (self.x - edges[0]) / (edges[-1] - edges[0]) - 1
        basis = np.polynomial.legendre.legvander(unit, degree)
        #: (n_bins, degree + 1), over the width of a bin: coefficients are events per bin
        self.basis = (basis * self.dx[..., None]).sum(axis=1) / (edges[1] - edges[0])

    def parts(self, parameters: Floats) -> tuple[Floats, Floats]:
        shape = parameters[1 : 1 + self.n_shape]
        density = gaussian(self.x, *shape) if self.n_shape == 2 else CrystalBall(*shape)(self.x)
        peak = parameters[0] * (density * self.dx).sum(axis=1)
        return peak, self.basis @ parameters[1 + self.n_shape :]


def _start(counts: Floats, model: _Model, names: list[str]) -> dict[str, float]:
    """The polynomial beside the peak, and what stands above it there."""
    centres = model.x.mean(axis=1)
    mean, sigma = _SHAPE["mean"][0], _SHAPE["sigma"][0]
    outside = np.abs(centres - mean) > 3 * sigma
    coefficients = np.linalg.lstsq(model.basis[outside], counts[outside], rcond=None)[0]
    excess = float((counts - model.basis @ coefficients)[~outside].sum())
    start = {"events": excess, **{n: _SHAPE[n][0] for n in names if n in _SHAPE}}
    return start | {f"c{i}": float(c) for i, c in enumerate(coefficients)}
