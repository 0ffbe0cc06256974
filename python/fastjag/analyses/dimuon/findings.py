"""significance: every number of a search, from scores and masses to one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fastjag.analyses.dimuon.bumps import (
    Curve,
    Cuts,
    discriminant_of,
    fit_cuts,
    reweighted,
    signal_weights,
)
from fastjag.analyses.dimuon.preprocess import Floats
from fastjag.analyses.dimuon.samples import Events
from fastjag.analyses.dimuon.sections import COARSE
from fastjag.analyses.dimuon.verdicts import failed, fit_numbers
from fastjag.reporting.progress import progress_bar
from fastjag.statistics import (
    Significance,
    ToyCurve,
    ToyP,
    Window,
    background,
    background_error,
    sideband_chi2,
    toy_curve,
    toy_weighted,
)

CLASSIFIER, RANDOM = "classifier", "random"
_PERCENTILES = {"low95": 2.5, "low68": 16, "median": 50, "high68": 84, "high95": 97.5}
_TABLE_RATES = COARSE[1:]  # 1 is the inclusive fit


@dataclass(frozen=True)
class Scored:
    """Events of one charge class with all that they can be cut on."""

    events: Events
    discriminants: dict[str, Floats]

    @staticmethod
    def of(
        events: Events, names: Sequence[str], values: Floats, scores: Floats, seed: int | None
    ) -> Scored:
        """Scores, the preprocessed features in ``values`` and, with a seed, random numbers."""
        found = {CLASSIFIER: scores}
        found |= {name: discriminant_of(name, values[:, i]) for i, name in enumerate(names)}
        if seed is not None:
            found[RANDOM] = np.random.default_rng(seed).random(len(events))
        return Scored(events, found)

    def cuts(self, rates: Sequence[float]) -> dict[str, Cuts]:
        return {name: Cuts.at(self.events, x, rates) for name, x in self.discriminants.items()}


@dataclass(frozen=True)
class Wanted:
    """What to compute: see ``SIGNIFICANCE`` in :mod:`sections`."""

    window: Window
    degree: int
    degrees: Sequence[int]
    edges: Sequence[int]
    rates: Sequence[float]
    toys: int
    seed: int
    progress: bool | None = None

    @property
    def all_rates(self) -> list[float]:
        """Those of the curves and those of the table, the loosest cut first."""
        return sorted({*self.rates, *COARSE}, reverse=True)


def grid(
    classes: Mapping[str, Mapping[str, Cuts]], wanted: Wanted
) -> dict[tuple[int, int], dict[str, dict[str, Curve]]]:
    """Curves of every class and discriminant, for each degree and number of edges.

    Cuts are found once, masses counted once for each number of edges, and all spectra of a degree
    and a number of edges fitted at once.
    """
    keys = [(c, name) for c, of_class in classes.items() for name in of_class]
    found = {}
    # The nominal combination may not be among the variations.
    for edges in dict.fromkeys([wanted.window.sr_edges, *wanted.edges]):
        degrees = list(wanted.degrees) if edges in wanted.edges else []
        if edges == wanted.window.sr_edges:
            degrees = list(dict.fromkeys([wanted.degree, *degrees]))
        window = replace(wanted.window, sr_edges=edges)
        fits = fit_cuts([classes[c][name] for c, name in keys], window, degrees)
        for degree, curves in zip(degrees, fits, strict=True):
            by_class: dict[str, dict[str, Curve]] = {c: {} for c in classes}
            for (c, name), curve in zip(keys, curves, strict=True):
                by_class[c][name] = curve
            found[degree, edges] = by_class
    return found


def findings(
    classes: Mapping[str, Scored], train_on: str, wanted: Wanted,
    checks: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:  # fmt: skip
    """Curves, variations, likelihood reweighting, toys and the table of each charge class.

    ``checks`` are those of :func:`fastjag.analyses.dimuon.verdicts.verdicts`: "failed_checks" names
    those that a number stands behind.
    """
    cuts = {c: scored.cuts(wanted.all_rates) for c, scored in classes.items()}
    curves = grid(cuts, wanted)
    nominal = curves[wanted.degree, wanted.window.sr_edges]
    result: dict[str, Any] = {}
    table: list[dict[str, Any]] = []
    for c, scored in classes.items():
        scores = scored.discriminants[CLASSIFIER]
        options = {"degree": wanted.degree}
        weighted = reweighted(scored.events, scores, wanted.window, **options)
        toys, toys_weighted = _toys(scored, nominal[c], wanted)
        variations = []
        for degree in wanted.degrees:
            for edges in wanted.edges:
                window = replace(wanted.window, sr_edges=edges)
                again = reweighted(scored.events, scores, window, degree=degree)
                of_all = curves[degree, edges][c]
                variations.append(
                    {"degree": degree, "sr_edges": edges, **shown_curve(of_all[CLASSIFIER]),
                     "reweighted": float(again.Z),
                     "discriminants": {
                         name: {"wanted": curve.wanted, "rates": curve.rates, "Z": curve.result.Z}
                         for name, curve in of_all.items() if name != CLASSIFIER}}
                )  # fmt: skip
        behind = failed(checks, of_flows=True)
        result[c] = {
            "alternate": c != train_on,
            "n_events": len(scored.events),
            "curves": {
                name: {**shown_curve(curve), "failed_checks": behind if name == CLASSIFIER else []}
                for name, curve in nominal[c].items()
            },
            "reweighted": {**shown(weighted), "failed_checks": behind},
            "variations": variations,
            "spectra": _spectra(nominal[c][CLASSIFIER], wanted.window),
            "toys": {name: _shown_toys(found) for name, found in toys.items()},
            "toys_reweighted": None if toys_weighted is None else toys_weighted._asdict(),
        }
        head = {"pairs": c, "trained_on": train_on, "alternate": c != train_on}
        for row in _rows(nominal[c], weighted, toys, toys_weighted, wanted.window):
            chi2 = None if row["fit_chi2"] is None else (row["fit_chi2"], row["fit_dof"])
            by_flows = row["discriminant"] == CLASSIFIER
            table.append(
                {**head, **row, "failed_checks": failed(checks, of_flows=by_flows, chi2=chi2)}
            )
    return {**result, "checks": checks, "table": table}


def _toys(
    scored: Scored, curves: Mapping[str, Curve], wanted: Wanted
) -> tuple[dict[str, ToyCurve], ToyP | None]:
    if wanted.toys == 0:
        return {}, None
    options: dict[str, Any] = {
        "window": wanted.window, "degree": wanted.degree, "toys": wanted.toys, "seed": wanted.seed,
        "progress": wanted.progress,
    }  # fmt: skip
    found = {
        name: toy_curve(*curve.counts[:3], **options)
        for name, curve in curves.items()
        if name != RANDOM
    }
    weights = signal_weights(
        scored.events, scored.discriminants[CLASSIFIER], wanted.window, degree=wanted.degree
    )
    if weights is None:
        return found, ToyP.no_excess(wanted.toys, wanted.seed)
    left, signal, right, variances = wanted.window.count(scored.events.mass, weights)
    beside = weights[scored.events.sideband]
    assert variances is not None
    return found, toy_weighted(left, signal, right, variances, beside, **options)


def _rows(
    curves: Mapping[str, Curve], weighted: Significance, toys: Mapping[str, ToyCurve],
    toys_weighted: ToyP | None, window: Window,
) -> list[dict[str, Any]]:  # fmt: skip
    """The published table for one charge class: what was cut, and how significant the rest is."""

    def row(name: str, at: int, selection: str, best: bool = False) -> dict[str, Any]:
        curve, toy = curves[name], toys.get(name)
        numbers = {key: getattr(curve.result, key)[at] for key in ("S", "B", "Z", "p", "converged")}
        local = None if toy is None else toy.local
        chance = None if toy is None or not best else toy
        chi2 = sideband_chi2(
            curve.counts.left[at], curve.counts.right[at], curve.result.coefficients[at],
            window=window,
        )  # fmt: skip
        return {
            "discriminant": name, "selection": selection, "rate": curve.rates[at],
            "cut": curve.cuts[at], "few_events": bool(curve.few[at]), **numbers,
            **fit_numbers(chi2), **_toy_numbers(local, at), **_global_numbers(chance),
        }  # fmt: skip

    main = curves[CLASSIFIER]
    rows = [
        {**row(CLASSIFIER, 0, "inclusive"), "discriminant": "none", "cut": None}
    ] if main.wanted[0] == 1 else []  # fmt: skip
    for name, curve in curves.items():
        if name not in (CLASSIFIER, RANDOM):
            rows.append(row(name, curve.best, "best cut", best=True))
    rows += [
        row(CLASSIFIER, int(at), f"{100 * rate:g} %")
        for rate in _TABLE_RATES
        for at in np.flatnonzero(main.wanted == rate)
    ]
    rows.append(row(CLASSIFIER, main.best, "best cut", best=True))
    rows.append({
        "discriminant": CLASSIFIER, "selection": "likelihood reweighting", "rate": None,
        "cut": None, "few_events": False,
        **{key: getattr(weighted, key)[()] for key in ("S", "B", "Z", "p", "converged")},
        **fit_numbers(None), **_toy_numbers(toys_weighted, ()), **_global_numbers(None),
    })  # fmt: skip
    return rows


def _toy_numbers(toys: ToyP | None, at: Any) -> dict[str, Any]:
    if toys is None:
        return dict.fromkeys(("toy_p", "toy_p_low", "toy_p_high", "toys", "agrees"))
    return {
        "toy_p": toys.p[at], "toy_p_low": toys.low[at], "toy_p_high": toys.high[at],
        "toys": toys.toys, "agrees": bool(toys.agrees[at]),
    }  # fmt: skip


def _global_numbers(toys: ToyCurve | None) -> dict[str, Any]:
    keys = ("p_global", "Z_global", "trials")
    return {key: None if toys is None else float(getattr(toys, key)) for key in keys}


def _spectra(curve: Curve, window: Window) -> list[dict[str, Any]]:
    """The classifier's spectra at the rates of the publication, with fit and one-sigma band."""
    masses = np.linspace(window.left[0], window.right[-1], 200)
    spectra = []
    for i in np.flatnonzero(np.isin(curve.wanted, COARSE)):
        theta = curve.result.coefficients[i]
        spectra.append({
            "rate": curve.rates[i], "wanted": curve.wanted[i], "cut": curve.cuts[i],
            "left": curve.counts.left[i], "signal": curve.counts.signal[i],
            "right": curve.counts.right[i], "mass": masses,
            "background": background(theta, masses, window),
            "error": background_error(theta, masses, window),
        })  # fmt: skip
    return spectra


def bands(experiments: Sequence[Scored], wanted: Wanted, what: str) -> dict[str, Any] | None:
    """Median, 68 and 95 % of the significance over data sets, at each rate; and every Z."""
    if not experiments:
        return None
    rates = wanted.all_rates
    found: dict[str, list[Floats]] = {}
    weighted = []
    with progress_bar(what, len(experiments), wanted.progress) as advance:
        for scored in experiments:
            advance(1)
            left, _, right, _ = wanted.window.count(scored.events.mass)
            if left.sum() + right.sum() == 0:  # of few events none may have been drawn
                for name in scored.discriminants:
                    found.setdefault(name, []).append(np.full(len(rates), np.nan))
                weighted.append(np.nan)
                continue
            curves = grid({"": scored.cuts(rates)}, replace(wanted, degrees=[], edges=[]))
            for name, curve in curves[wanted.degree, wanted.window.sr_edges][""].items():
                Z = np.full(len(rates), np.nan)
                Z[np.isin(rates, curve.wanted)] = curve.result.Z
                found.setdefault(name, []).append(Z)
            again = reweighted(
                scored.events, scored.discriminants[CLASSIFIER], wanted.window,
                degree=wanted.degree,
            )  # fmt: skip
            weighted.append(float(again.Z))
    return {
        "experiments": len(experiments),
        "wanted": rates,
        "curves": {name: _percentiles(np.array(Z)) for name, Z in found.items()},
        "reweighted": _percentiles(np.array(weighted)),
    }


def _percentiles(Z: Floats) -> dict[str, Any]:
    """Over the first axis, of what could be fitted; NaN where nothing could."""
    result: dict[str, Any] = {"Z": Z}
    flat = Z.reshape(len(Z), -1)
    columns = [column[np.isfinite(column)] for column in flat.T]
    for name, percent in _PERCENTILES.items():
        found = [np.percentile(c, percent) if len(c) else np.nan for c in columns]
        result[name] = np.array(found).reshape(Z.shape[1:])
    return result


def shown(result: Significance) -> dict[str, Any]:
    return {name: np.asarray(value).tolist() for name, value in result._asdict().items()}


def shown_curve(curve: Curve) -> dict[str, Any]:
    return {"cuts": curve.cuts, "rates": curve.rates, "wanted": curve.wanted, **shown(curve.result)}


def _shown_toys(toys: ToyCurve) -> dict[str, Any]:
    content = toys._asdict()
    content.pop("maxima")
    return {**content, "local": toys.local._asdict()}
