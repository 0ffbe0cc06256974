"""The likelihood of a peak on its background, and its minimum by iminuit."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastjag.statistics.peak_data import PeakData
from fastjag.statistics.peak_shapes import SHAPES, TAILS, PeakModel
from fastjag.statistics.windows import Floats

_CALLS = 20_000
Limits = dict[str, tuple[Any, Any]]


def limits_of(model: PeakModel, data: PeakData) -> Limits:
    """Of every parameter: (low, high), None where there is none."""
    low, high = model.window
    length = high - low
    # A peak much narrower than a bin has no width, and one around a single mass has any height.
    narrow = length / 2000
    if data.masses is None:
        narrow = max(narrow, float(np.diff(data.edges).min()) / 5)
    limits: Limits = dict.fromkeys(model.names, (None, None))
    limits |= dict.fromkeys(model.below, (0.0, None))
    limits |= {name: TAILS[name][1:] for name in SHAPES[model.shape] if name in TAILS}
    limits["mass"] = (low, high)
    if model.peaks:
        first = model.peaks[0]
        limits["mass"] = (max(low, 0.9 * first), min(high, 1.1 * first))
    limits["width"] = (narrow, length / 2)
    if model.shape == "voigt":
        limits["gamma"] = (0.0, length)
    if model.background == "exponential":
        limits["slope"] = (-50 / length, 50 / length)
    return limits


def minimise(
    model: PeakModel, data: PeakData, start: dict[str, float], limits: Limits, held: list[str]
) -> tuple[Any, list[str]]:
    """iminuit's object at the minimum, with errors, and a sentence on each parameter at a limit.

    Where a factor of the background, a tail or a natural width ends at its limit, the likelihood is
    no parabola there: the parameter is fixed, so that the errors of the others can be trusted.
    """
    from iminuit import Minuit

    minuit = Minuit(_cost(model, data), **start)
    length, n = model.window[1] - model.window[0], float(data.counts.sum())
    steps = {"mass": start["width"] / 10, "slope": 1 / length}
    for name in model.names:
        step = max(abs(start[name]) / 10, 1e-3 * start["width"])
        counting = name in model.yields or name in model.below
        minuit.errors[name] = max(n, 1) ** 0.5 if counting else steps.get(name, step)
        if name in held:
            minuit.fixed[name] = True  # without limits, which would move the value
        else:
            minuit.limits[name] = limits[name]
    minuit.strategy = 1
    notes: list[str] = []
    for _ in range(len(model.names)):
        minuit.migrad(ncall=_CALLS)
        if not minuit.valid:
            minuit.simplex(ncall=_CALLS)
            minuit.migrad(ncall=_CALLS)
        ended = _at_limits(model, minuit, limits, n)
        if not ended:
            break
        for name, value in ended.items():
            minuit.values[name] = value
            minuit.fixed[name] = True
            notes.append(f"{name} was fixed to {value:g}, its limit; the other errors assume it")
        if "b0" in ended and model.background == "exponential":
            minuit.fixed["slope"] = True  # of nothing
    minuit.hesse()
    # A tail that begins where no entries are leaves the likelihood flat: its second derivative is
    # noise, and spoils the errors of all.
    for name in TAILS:
        if name in minuit.parameters and not minuit.fixed[name]:
            low, high = limits[name]
            if minuit.errors[name] > (high - low) / 2:
                minuit.fixed[name] = True
                notes.append(f"{name} was fixed to {minuit.values[name]:.3g}: the data do not tell")
                minuit.migrad(ncall=_CALLS)
                minuit.hesse()
    return minuit, notes


def _at_limits(model: PeakModel, minuit: Any, limits: Limits, n: float) -> dict[str, float]:
    """Parameters besides mass and width that ended at a limit, and the limit."""
    ended = {}
    for name in model.names:
        if minuit.fixed[name] or name in ("mass", "width", *model.yields):
            continue
        value, (low, high) = minuit.values[name], limits[name]
        if name in model.below:
            margin = 1e-4 * n
        elif name == "gamma":
            margin = 0.01 * minuit.values["width"]
        else:
            margin = 1e-3 * (high - low)
        if value < low + margin:
            ended[name] = float(low)
        elif high is not None and value > high - margin:
            ended[name] = float(high)
    return ended


def _cost(model: PeakModel, data: PeakData) -> Any:
    """Minus twice the logarithm of the extended likelihood."""
    from iminuit.cost import ExtendedBinnedNLL, ExtendedUnbinnedNLL

    n, flexible = float(data.counts.sum()), model.background == "polynomial"
    low, high = model.window
    if data.masses is not None:
        floor = 1e-9 * n / (high - low)  # where a peak is negative: densities stay above 0
        below_each = model.background_density(data.masses) if flexible else None

        def density(x: Floats, *parameters: float) -> tuple[float, Floats]:
            shapes, events, below, slope = model.split(np.array(parameters))
            each = model.background_density(x, slope) if below_each is None else below_each
            total = events @ model.peak_density(x, shapes) + below @ each
            return float(events.sum() + below.sum()), np.maximum(total, floor)

        return ExtendedUnbinnedNLL(data.masses, density, name=model.names)
    below_bins = model.background_bins(data.edges) if flexible else None

    def cumulative(edges: Floats, *parameters: float) -> Floats:
        # iminuit takes differences of it between edges.
        shapes, events, below, slope = model.split(np.array(parameters))
        each = model.background_bins(data.edges, slope) if below_bins is None else below_bins
        total = events @ model.peak_bins(data.edges, shapes) + below @ each
        return np.concatenate([[0.0], np.cumsum(np.maximum(total, 1e-9 * n))])

    entries = data.counts
    if data.weighted:
        entries = np.stack([data.counts, data.variances], axis=1)
    return ExtendedBinnedNLL(entries, data.edges, cumulative, name=model.names)
