"""samples: what the flows say the events would look like without a signal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastjag.analyses.dimuon.pairs import WindowPairs
from fastjag.analyses.dimuon.preprocess import Floats, Preprocessing
from fastjag.analyses.dimuon.results import DimuonResults
from fastjag.models.flow import ConditionalFlow
from fastjag.reporting.output import new_file, results_directory, write_json
from fastjag.statistics import BackgroundFit, PeakChoice, Window, fit_background, fit_peaks


def samples(results: DimuonResults) -> None:
    """Draw from the flows and write the draws, and the background fit that says how many."""
    config = results.config
    pairs, _ = results.trained
    drawn = draw_samples(
        results.flows(), results.preprocessing, pairs, config.window,
        degree=config.significance.degree, seed=config.seed,
        peaks=config.significance.peaks,
    )  # fmt: skip
    with results_directory(results.folder("samples")) as directory:
        arrays: dict[str, Any] = {k: v for k, v in vars(drawn).items() if isinstance(v, np.ndarray)}
        with new_file(directory / "samples.npz") as partial:
            np.savez_compressed(partial, **arrays)
        write_json(directory / "background.json", _record(drawn.background, drawn.peaks))


@dataclass(frozen=True)
class Samples:
    """Draws of preprocessed features, of all flows one after another, with their masses [GeV]."""

    background: BackgroundFit
    peaks: PeakChoice | None  #: what was tried, if peaks were asked for
    signal_region: Floats  #: (flows * n, F) for training; n is what the fit expects
    validation: Floats  #: the same masses, drawn again
    roc: Floats  #: and again
    mass: Floats  #: (flows * n,) of the three
    sideband: Floats  #: (flows * n_sideband, F) at the masses of the data
    sideband_mass: Floats


def draw_samples(
    flows: Sequence[ConditionalFlow],
    preprocessing: Preprocessing,
    pairs: WindowPairs,
    window: Window,
    *,
    degree: int,
    seed: int,
    peaks: bool = False,
) -> Samples:
    """Sample every flow as often as the sidebands let expect, in the signal region and beside it.

    Masses in the signal region follow the polynomial of :func:`fastjag.statistics.fit_background`,
    with ``peaks`` those of :func:`fastjag.statistics.fit_peaks`.
    """
    left, _, right, _ = window.count(pairs.mass)
    choice = fit_peaks(left, right, window=window, degree=degree) if peaks else None
    fit = choice.chosen if choice else fit_background(left, right, window=window, degree=degree)
    n = round(fit.expected)
    if n < 1:
        raise ValueError(
            f"the background fit expects {fit.expected:.3g} events in the signal region"
        )
    seeds = np.random.SeedSequence(seed).spawn(len(flows))
    draws: dict[str, list[Floats]] = {k: [] for k in ("sr", "validation", "roc", "sideband")}
    masses = []
    sideband = pairs.mass[pairs.sideband]
    for flow, sequence in zip(flows, seeds, strict=True):
        numbers = [int(s) for s in sequence.generate_state(5)]
        mass = fit.draw(n, numbers[0])
        context = preprocessing.scale_mass(mass)
        for kind, number in zip(("sr", "validation", "roc"), numbers[1:4], strict=True):
            draws[kind].append(flow.sample(context, seed=number))
        draws["sideband"].append(flow.sample(preprocessing.scale_mass(sideband), seed=numbers[4]))
        masses.append(mass)
    # Those that classifiers are judged by are independent of those that they learn from.
    apart = {"validation": " validation", "roc": " roc"}
    stacked = {
        k: preprocessing.with_noise(np.concatenate(parts), apart.get(k, ""))
        for k, parts in draws.items()
    }
    return Samples(
        fit, choice, stacked["sr"], stacked["validation"], stacked["roc"], np.concatenate(masses),
        stacked["sideband"], np.tile(sideband, len(flows)),
    )  # fmt: skip


def check_null(background: BackgroundFit) -> None:
    """ValueError where :func:`draw_null` cannot draw, as the polynomial dips below zero."""
    try:
        background.draw(0, 0, background.window.left[0], background.window.right[-1])
    except ValueError as error:
        raise ValueError(f"null runs (classifier.null_experiments): {error}") from None


def draw_null(
    flows: Sequence[ConditionalFlow],
    preprocessing: Preprocessing,
    background: BackgroundFit,
    *,
    seed: int,
) -> tuple[Floats, Floats]:
    """Masses [GeV] and preprocessed features of data without signal, in all bins of the window.

    As many as the background fit expects, give or take a Poisson fluctuation; the features of each
    come from any one of the flows. Beyond the outermost bins nothing holds the polynomial.
    """
    rng = np.random.default_rng(seed)
    low, high = background.window.left[0], background.window.right[-1]
    n = int(rng.poisson(background.between(low, high)))
    mass = background.draw(n, int(rng.integers(2**31)), low, high)
    context, which = preprocessing.scale_mass(mass), rng.integers(len(flows), size=n)
    values = np.empty((n, len(preprocessing.scales)))
    for i, flow in enumerate(flows):
        values[which == i] = flow.sample(context[which == i], seed=int(rng.integers(2**31)))
    return mass, preprocessing.with_noise(values, f" null {seed}")


def _record(fit: BackgroundFit, choice: PeakChoice | None) -> dict[str, Any]:
    """What ``background.json`` holds; :meth:`DimuonResults.background` reads it."""
    record = {
        "coefficients": fit.coefficients, "covariance": fit.covariance, "chi2": fit.chi2,
        "dof": fit.dof, "expected": fit.expected, "degree": len(fit.coefficients) - 1,
        "peaks": [peak._asdict() for peak in fit.peaks],
    }  # fmt: skip
    if choice is not None:
        record["peak_tests"] = {
            "p_values": choice.p_values,
            "chi2": [f.chi2 for f in choice.fits],
            "dof": [f.dof for f in choice.fits],
            "peaks": [[peak._asdict() for peak in f.peaks] for f in choice.fits],
        }
    return record
