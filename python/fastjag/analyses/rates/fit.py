"""Rates against pileup, trigger by trigger, and what they would be at another one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastjag.analyses.rates.config import Target
from fastjag.analyses.rates.rates import Rate, TriggerCounts
from fastjag.analyses.rates.results import PileupFit, RatesResult

_NAMED = 6  # triggers in a note


def fit(rates: list[Rate], target: Target, counts: TriggerCounts | None = None) -> RatesResult:
    """Fit rate against pileup for each trigger where its rates have one, and predict."""
    result = RatesResult(rates, target, counts)
    without: list[str] = []
    for trigger in dict.fromkeys(rate.trigger for rate in rates):
        mine = [rate for rate in rates if rate.trigger == trigger]
        mu = {rate.pileup for rate in mine}
        if None in mu:
            without.append(trigger)
            continue
        fits = {"proportional": fit_pileup(mine, intercept=False, bunches=target.bunches)}
        if len(mu) > 1:
            fits["line"] = fit_pileup(mine, bunches=target.bunches)
        result.fits[trigger] = fits
        if target.pileup is not None:
            predicted = {name: fit.predict(target.pileup) for name, fit in fits.items()}
            result.predictions[trigger] = {
                name: (rate * target.factor, None if error is None else error * target.factor)
                for name, (rate, error) in predicted.items()
            }
    if without:
        shown = ", ".join(without[:_NAMED]) + ", ..." * (len(without) > _NAMED)
        result.notes.append(f"no fit, as not every rate has its pileup: {shown}")
    for rate in rates:
        if rate.seen is not None and rate.sections is not None and rate.seen < rate.sections:
            result.notes.append(
                f"run {rate.run}: the files have {rate.seen} of {rate.sections} sections of "
                f"{rate.first}-{rate.last}; if events of the others are missing, it is too low"
            )
    if counts is not None and not counts.complete:
        result.notes.append(
            "not all files have a tree LuminosityBlocks: sections without events are not known"
        )
    result.notes = list(dict.fromkeys(result.notes))
    return result


def fit_pileup(
    rates: Sequence[Rate], *, intercept: bool = True, bunches: float | None = None
) -> PileupFit:
    """Fit a line, or one through the origin, to unprescaled rates against pileup.

    Errors are the rates' own; if one of them is not known, all points weigh the same and the
    covariance comes from their scatter. ``bunches`` is the number of colliding bunches to which
    rates are scaled; it is needed where measurements differ in it.

    Raises ValueError where the pileup of a rate is missing, or too few are different.
    """
    missing = [r for r in rates if r.pileup is None]
    if missing or not rates:
        which = f"run {missing[0].run} has none" if missing else "there are no rates"
        raise ValueError(f"the pileup of every rate is needed: {which}")
    different = {r.bunches for r in rates}
    if bunches is None and len(different) > 1:
        shown = ", ".join(map(str, different))
        raise ValueError(
            f"rates were taken with different numbers of bunches ({shown}): give the number of "
            f"bunches to scale them to"
        )
    mu = np.array([r.pileup for r in rates], np.float64)
    if len(set(mu)) < 1 + intercept:
        raise ValueError(f"a line needs rates at two values of pileup, all are at {mu[0]:g}")
    values = [r.scaled(bunches=bunches) for r in rates]
    y = np.array([v for v, _ in values])
    errors = [e for _, e in values]
    known = all(e is not None and e > 0 for e in errors)
    sigma = np.array(errors, np.float64) if known else np.ones(len(y))
    design = np.column_stack([np.ones(len(mu)), mu])[:, 1 - intercept :]
    inverse = np.linalg.inv((design / sigma[:, None]).T @ (design / sigma[:, None]))
    solution = inverse @ (design.T @ (y / sigma**2))
    chi2 = float((((y - design @ solution) / sigma) ** 2).sum())
    dof = len(y) - design.shape[1]
    covariance = np.zeros((2, 2))
    covariance[1 - intercept :, 1 - intercept :] = inverse
    a, b = solution if intercept else (0.0, solution[0])
    if known:
        return PileupFit(float(a), float(b), covariance, chi2, dof, bunches)
    return PileupFit(
        float(a), float(b), covariance * chi2 / dof if dof else None, None, dof, bunches
    )
