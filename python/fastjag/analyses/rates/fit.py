"""Rates against pileup, trigger by trigger, and what they would be at another one."""

from __future__ import annotations

from fastjag.analyses.rates.config import Target
from fastjag.analyses.rates.pileup import fit_pileup
from fastjag.analyses.rates.rates import Counts, Rate
from fastjag.analyses.rates.results import RatesResult

_NAMED = 6  # triggers in a note


def fit(rates: list[Rate], target: Target, counts: Counts | None = None) -> RatesResult:
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
            result.predictions[trigger] = {
                name: _times(fit.predict(target.pileup), target.factor)
                for name, fit in fits.items()
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


def _times(value: tuple[float, float | None], factor: float) -> tuple[float, float | None]:
    rate, error = value
    return rate * factor, None if error is None else error * factor
