"""Signals behind cuts as a publication has them: intervals, limits, tests of the background, impacts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fastjag.analyses.dimuon.config import SignificanceSettings
from fastjag.analyses.dimuon.cuts import CLASSIFIER, Curve
from fastjag.analyses.dimuon.preprocess import Floats
from fastjag.statistics import (
    BackgroundTest,
    BinnedModel,
    Family,
    Nuisance,
    Window,
    check_background,
    feldman_cousins,
    fit_signal,
    impacts,
    interval,
    upper_limit,
)
from fastjag.statistics.envelope import Models

_FEW = 20  # pairs in the signal region below which intervals come from toys, too
#: Bernstein polynomials are left out: what they can be, Legendre's can.
_FAMILIES = ("legendre", "exponential", "power", "inverse", "dijet")
_FEWEST, _TOYS, _POINTS = 100, 200, 15  # such toys, and signals that are tested


def model_of(window: Window, asked: SignificanceSettings) -> BinnedModel:
    """The likelihood of the table, with the uncertainties of the signal."""
    nuisances = [Nuisance.lognormal(name, error) for name, error in asked.signal_errors.items()]
    return BinnedModel.of_window(window, Family("legendre", asked.degree), nuisances)


def counts_of(model: BinnedModel, curve: Curve, at: Any = ...) -> Floats:
    """Of all cuts of a curve, or of one, in the order of the model's bins."""
    left, signal, right, _ = curve.counts
    return model.counts(left[at], np.asarray(signal)[at], right[at])


def profiled_Z(
    curves: Mapping[str, Curve], choices: Sequence[Family], window: Window,
    asked: SignificanceSettings,
) -> dict[str, Floats]:  # fmt: skip
    """Local significance of every cut with the choice of background profiled, by discriminant."""
    model = model_of(window, asked)
    models = [model.with_family(family) for family in choices] or [model]
    counts = {name: counts_of(model, curve) for name, curve in curves.items()}
    Z = fit_signal(models, np.concatenate([*counts.values()])).Z
    ends = np.cumsum([len(n) for n in counts.values()])[:-1]
    return dict(zip(counts, np.split(Z, ends), strict=True))


def inference(
    curves: Mapping[str, Curve], window: Window, asked: SignificanceSettings, seed: int
) -> dict[str, Any]:
    """Of one charge class: the test of its background before cuts, and its signals.

    Selections are all pairs, where they are fitted, and the best cut on the classifier.
    """
    main, model = curves[CLASSIFIER], model_of(window, asked)
    before = counts_of(model, main, 0)  # the loosest cut
    test = check_background(model, before, families=_FAMILIES)
    places = {"inclusive": 0} if main.wanted[0] == 1 else {}
    places["best cut"] = main.best
    choices = [model.with_family(family) for family in test.choices] or [model]
    counts = np.stack([counts_of(model, main, at) for at in places.values()])
    return {
        "background": _test_record(test),
        "choices": test.choices,
        "signals": {
            name: {
                "rate": main.rates[at],
                "wanted": main.wanted[at],
                "cut": main.cuts[at],
                **signal,
            }
            for (name, at), signal in zip(
                places.items(), _signals(model, choices, counts, asked, seed), strict=True
            )
        },
    }


def _signals(
    model: BinnedModel, choices: list[BinnedModel], counts: Floats, asked: SignificanceSettings,
    seed: int,
) -> list[dict[str, Any]]:  # fmt: skip
    """Numbers of pairs of each spectrum (spectra, bins): signal, intervals, limits, impacts."""
    own, profiled = _measured(model, counts), _measured(choices, counts)
    shifts = impacts(model, counts)
    signals = []
    for i, spectrum in enumerate(counts):
        of_choices = {key: value[i] for key, value in profiled.items()}
        of_choices["background"] = str(choices[int(of_choices.pop("choice"))].family)
        one = {key: value[i] for key, value in own.items() if key != "choice"}
        record: dict[str, Any] = {
            "counts": spectrum, **one, "profiled": of_choices,
            "impacts": {
                "error": shifts.error[i], "statistical": shifts.statistical[i],
                "nuisances": [{"name": n.name, "pull": n.pull[i], "error": n.error[i],
                               "up": n.up[i], "down": n.down[i]} for n in shifts.nuisances],
            },
            "toys": None, "cross_section": None,
        }  # fmt: skip
        if spectrum[-1] < _FEW and asked.toys >= _FEWEST:
            record["toys"] = _by_toys(model, spectrum, min(asked.toys, _TOYS), seed)
        if asked.luminosity is not None:
            per = asked.luminosity * asked.efficiency
            record["cross_section"] = {
                "luminosity": asked.luminosity, "efficiency": asked.efficiency,
                **{key: one[key] / per for key in ("S", "interval68", "observed", "expected")},
            }  # fmt: skip
        signals.append(record)
    return signals


def _measured(models: Models, counts: Floats) -> dict[str, Any]:
    """Arrays whose first dimension is that of the spectra."""
    found, limit = fit_signal(models, counts), upper_limit(models, counts)
    one, two = (interval(models, counts, level) for level in (0.6827, 0.95))
    return {
        "S": found.S, "error": found.error, "q0": found.q0, "Z": found.Z, "choice": found.choice,
        "interval68": np.stack([one.low, one.high], axis=1),
        "interval95": np.stack([two.low, two.high], axis=1),
        "observed": limit.observed, "expected": limit.expected,
    }  # fmt: skip


def _by_toys(model: BinnedModel, counts: Floats, toys: int, seed: int) -> dict[str, Any]:
    found = feldman_cousins(model, counts, 0.6827, toys=toys, points=_POINTS, seed=seed)
    wide = feldman_cousins(model, counts, 0.95, toys=toys, points=_POINTS, seed=seed)
    return {"interval68": (found.low, found.high), "interval95": (wide.low, wide.high),
            "toys": toys, "seed": seed}  # fmt: skip


def _test_record(test: BackgroundTest) -> dict[str, Any]:
    return {
        "family": str(test.family),
        "says": test.says,
        "biased": test.biased,
        "p_fit": test.p_fit,
        "chosen": [str(family) for family in test.chosen],
        "choices": [str(family) for family in test.choices],
        "truths": [str(family) for family in test.truths],
        "spurious": test.spurious,
        "errors": test.errors,
        "bias": test.bias,
        "profiled": test.profiled,
        "fits": [{**fit._asdict(), "family": str(fit.family)} for fit in test.fits],
    }
