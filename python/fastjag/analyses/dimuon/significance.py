"""significance: every number of a search, from scores and masses to one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from fastjag.analyses.common.servers import recorded
from fastjag.analyses.common.versions import versions
from fastjag.analyses.dimuon.config import COARSE, DimuonConfig
from fastjag.analyses.dimuon.cuts import (
    CLASSIFIER,
    RANDOM,
    Curve,
    Cuts,
    discriminant_of,
    fit_cuts,
    reweighted,
    signal_weights,
)
from fastjag.analyses.dimuon.inference import inference, profiled_Z
from fastjag.analyses.dimuon.pairs import WindowPairs
from fastjag.analyses.dimuon.preprocess import Floats
from fastjag.analyses.dimuon.results import DimuonResults
from fastjag.analyses.dimuon.significance_table import table_rows
from fastjag.analyses.dimuon.verdicts import bias_check, failed_checks
from fastjag.core.checks import needs
from fastjag.core.devices import current, to_gpu
from fastjag.kernels.gpu import missing
from fastjag.reporting.output import results_directory, write_json
from fastjag.reporting.progress import progress_bar
from fastjag.statistics import (
    Significance,
    ToyCurve,
    ToyP,
    Window,
    background,
    background_error,
    toy_curve,
    toy_weighted,
)

_PERCENTILES = {"low95": 2.5, "low68": 16, "median": 50, "high68": 84, "high95": 97.5}


def significance(results: DimuonResults) -> None:
    """Curves, toys, variations and the table of both charge classes, with bands of experiments."""
    needs("threadpoolctl", "dimuon")
    from threadpoolctl import threadpool_limits

    config, names = results.config, results.config.features
    plain = results.preprocessing.without_noise  # cuts on features are on what was measured
    classes, spread = {}, {}
    counted_on = "cpu" if missing(results.device) else results.device
    # Fits of many spectra are many small products: two threads take 2.5 times the CPU time.
    with threadpool_limits(1, "blas"), current(counted_on):
        for c in results.classes:
            pairs, values = results.preprocessed[c]
            values = plain(values)
            classes[c] = ScoredPairs.of(
                pairs, names, values, results.scores(c), config.seed, counted_on
            )
            again = [
                ScoredPairs.of(pairs[rows], names, values[rows], scores, None, counted_on)
                for rows, scores in results.bootstraps(c)
            ]
            spread[c] = bands(again, config, f"{c} pseudo-experiments", results.progress)
        record = compute_significances(classes, config, results.checks(), results.progress)
        for c, band in spread.items():
            record[c]["bands"] = band
        null = [
            ScoredPairs.of(pairs, names, plain(values), scores, None, counted_on)
            for pairs, values, scores in results.null_runs()
        ]
        record["null"] = bands(null, config, "null runs", results.progress)
    with results_directory(results.folder("significance")) as directory:
        write_json(
            directory / "significance.json",
            {"degree": config.significance.degree, "window": asdict(config.window), "train_on": config.train_on,
             **record, "counted_on": counted_on, "seeds": {"search": config.seed, "flows": config.flow_seeds},
             "versions": versions("scipy", "torch", "zuko", "xgboost"), "config": recorded(config)},
        )  # fmt: skip


@dataclass(frozen=True)
class ScoredPairs:
    """Pairs of one charge class with all that they can be cut on."""

    pairs: WindowPairs
    discriminants: dict[str, Floats]
    counted_on: str = "cpu"  #: where spectra behind cuts are filled: "cuda" is the current GPU

    @staticmethod
    def of(
        pairs: WindowPairs, names: Sequence[str], values: Floats, scores: Floats, seed: int | None,
        counted_on: str = "cpu",
    ) -> ScoredPairs:  # fmt: skip
        """Scores, the preprocessed features in ``values`` and, with a seed, random numbers."""
        discriminants = {CLASSIFIER: scores}
        discriminants |= {name: discriminant_of(name, values[:, i]) for i, name in enumerate(names)}
        if seed is not None:
            discriminants[RANDOM] = np.random.default_rng(seed).random(len(pairs))
        return ScoredPairs(pairs, discriminants, counted_on)

    def cuts(self, rates: Sequence[float]) -> dict[str, Cuts]:
        """By discriminant; events are on the GPU where they are counted there, each mass once."""
        found = {name: Cuts.at(self.pairs, x, rates) for name, x in self.discriminants.items()}
        if self.counted_on == "cpu":
            return found
        mass = to_gpu(self.pairs.mass)
        return {
            name: cuts._replace(mass=mass, discriminant=to_gpu(cuts.discriminant))
            for name, cuts in found.items()
        }


def grid(
    classes: Mapping[str, Mapping[str, Cuts]], window: Window, degree: int,
    degrees: Sequence[int] = (), edges: Sequence[int] = (),
) -> dict[tuple[int, int], dict[str, dict[str, Curve]]]:  # fmt: skip
    """Curves of every class and discriminant: of a degree in a window, and for each degree and
    number of edges.

    Cuts are made once, masses counted once for each number of edges, and all spectra of a degree
    and a number of edges fitted at once.
    """
    keys = [(c, name) for c, of_class in classes.items() for name in of_class]
    curves_of = {}
    # The nominal combination may not be among the variations.
    for n in dict.fromkeys([window.sr_edges, *edges]):
        fitted = list(degrees) if n in edges else []
        if n == window.sr_edges:
            fitted = list(dict.fromkeys([degree, *fitted]))
        fits = fit_cuts([classes[c][name] for c, name in keys], replace(window, sr_edges=n), fitted)
        for d, curves in zip(fitted, fits, strict=True):
            by_class: dict[str, dict[str, Curve]] = {c: {} for c in classes}
            for (c, name), curve in zip(keys, curves, strict=True):
                by_class[c][name] = curve
            curves_of[d, n] = by_class
    return curves_of


def compute_significances(
    classes: Mapping[str, ScoredPairs], config: DimuonConfig,
    checks: Mapping[str, Mapping[str, Any]], progress: bool | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Curves, variations, likelihood reweighting, toys and the table of each charge class.

    ``checks`` are those of :func:`fastjag.analyses.dimuon.verdicts.verdicts`: "failed_checks" names
    those that a number stands behind.
    """
    asked, train_on, degree = config.significance, config.train_on, config.significance.degree
    cuts = {c: scored.cuts(asked.all_rates) for c, scored in classes.items()}
    curves = grid(cuts, config.window, degree, asked.degrees, asked.edges)
    nominal = curves[degree, config.window.sr_edges]
    result: dict[str, Any] = {}
    table: list[dict[str, Any]] = []
    for c, scored in classes.items():
        scores = scored.discriminants[CLASSIFIER]
        weighted = reweighted(scored.pairs, scores, config.window, degree=degree)
        toys, toys_weighted = _toys(scored, nominal[c], config, progress)
        variations = []
        for d, n in product(asked.degrees, asked.edges):
            window, of_all = replace(config.window, sr_edges=n), curves[d, n][c]
            again = reweighted(scored.pairs, scores, window, degree=d)
            variations.append(
                {"degree": d, "sr_edges": n, **_curve_record(of_all[CLASSIFIER]),
                 "reweighted": float(again.Z),
                 "discriminants": {
                     name: {"wanted": curve.wanted, "rates": curve.rates, "Z": curve.result.Z}
                     for name, curve in of_all.items() if name != CLASSIFIER}}
            )  # fmt: skip
        behind = failed_checks(checks, of_flows=True)
        result[c] = {
            "alternate": c != train_on,
            "n_events": len(scored.pairs),
            "curves": {
                name: {
                    **_curve_record(curve),
                    "failed_checks": behind if name == CLASSIFIER else [],
                }
                for name, curve in nominal[c].items()
            },
            "reweighted": {**_record(weighted), "failed_checks": behind},
            "variations": variations,
            "spectra": _spectra(nominal[c][CLASSIFIER], config.window),
            "toys": {name: _toys_record(toy) for name, toy in toys.items()},
            "toys_reweighted": None if toys_weighted is None else toys_weighted._asdict(),
        }
        profiled: dict[str, Floats] = {}
        result[c]["inference"] = None
        if asked.limits:
            concluded = inference(nominal[c], config.window, asked, config.seed)
            profiled = profiled_Z(nominal[c], concluded.pop("choices"), config.window, asked)
            result[c]["inference"] = concluded
            if c == train_on:
                checks = {**checks, "bias": bias_check(concluded["background"])}
        head = {"pairs": c, "trained_on": train_on, "alternate": c != train_on}
        for row in table_rows(nominal[c], weighted, toys, toys_weighted, profiled, config.window):
            chi2 = None if row["fit_chi2"] is None else (row["fit_chi2"], row["fit_dof"])
            by_flows = row["discriminant"] == CLASSIFIER
            table.append(
                {
                    **head,
                    **row,
                    "failed_checks": failed_checks(checks, of_flows=by_flows, chi2=chi2),
                }
            )
    return {**result, "checks": checks, "table": table}


def _toys(
    scored: ScoredPairs, curves: Mapping[str, Curve], config: DimuonConfig, progress: bool | None
) -> tuple[dict[str, ToyCurve], ToyP | None]:
    window, asked = config.window, config.significance
    if asked.toys == 0:
        return {}, None
    options: dict[str, Any] = {
        "window": window, "degree": asked.degree, "toys": asked.toys, "seed": config.seed,
        "progress": progress,
    }  # fmt: skip
    toys = {
        name: toy_curve(*curve.counts[:3], **options)
        for name, curve in curves.items()
        if name != RANDOM
    }
    weights = signal_weights(
        scored.pairs, scored.discriminants[CLASSIFIER], window, degree=asked.degree
    )
    if weights is None:
        return toys, ToyP.no_excess(asked.toys, config.seed)
    left, signal, right, variances = window.count(scored.pairs.mass, weights)
    of_sidebands = weights[scored.pairs.sideband]
    assert variances is not None
    return toys, toy_weighted(left, signal, right, variances, of_sidebands, **options)


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


def bands(
    experiments: Sequence[ScoredPairs], config: DimuonConfig, what: str,
    progress: bool | None = None,
) -> dict[str, Any] | None:  # fmt: skip
    """Median, 68 and 95 % of the significance over data sets, at each rate; and every Z."""
    if not experiments:
        return None
    window, degree, rates = config.window, config.significance.degree, config.significance.all_rates
    Z_of: dict[str, list[Floats]] = {}
    weighted = []
    with progress_bar(what, len(experiments), progress) as advance:
        for scored in experiments:
            advance(1)
            left, _, right, _ = window.count(scored.pairs.mass)
            if left.sum() + right.sum() == 0:  # of few events none may have been drawn
                for name in scored.discriminants:
                    Z_of.setdefault(name, []).append(np.full(len(rates), np.nan))
                weighted.append(np.nan)
                continue
            curves = grid({"": scored.cuts(rates)}, window, degree)[degree, window.sr_edges][""]
            for name, curve in curves.items():
                Z = np.full(len(rates), np.nan)
                Z[np.isin(rates, curve.wanted)] = curve.result.Z
                Z_of.setdefault(name, []).append(Z)
            again = reweighted(
                scored.pairs, scored.discriminants[CLASSIFIER], window, degree=degree
            )
            weighted.append(float(again.Z))
    return {
        "experiments": len(experiments),
        "wanted": rates,
        "curves": {name: _percentiles(np.array(Z)) for name, Z in Z_of.items()},
        "reweighted": _percentiles(np.array(weighted)),
    }


def _percentiles(Z: Floats) -> dict[str, Any]:
    """Over the first axis, of what could be fitted; NaN where nothing could."""
    result: dict[str, Any] = {"Z": Z}
    flat = Z.reshape(len(Z), -1)
    columns = [column[np.isfinite(column)] for column in flat.T]
    for name, percent in _PERCENTILES.items():
        values = [np.percentile(c, percent) if len(c) else np.nan for c in columns]
        result[name] = np.array(values).reshape(Z.shape[1:])
    return result


def _record(result: Significance) -> dict[str, Any]:
    return {name: np.asarray(value).tolist() for name, value in result._asdict().items()}


def _curve_record(curve: Curve) -> dict[str, Any]:
    return {
        "cuts": curve.cuts,
        "rates": curve.rates,
        "wanted": curve.wanted,
        **_record(curve.result),
    }


def _toys_record(toys: ToyCurve) -> dict[str, Any]:
    content = toys._asdict()
    content.pop("maxima")
    return {**content, "local": toys.local._asdict()}
