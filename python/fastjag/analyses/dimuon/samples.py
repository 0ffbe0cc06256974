"""samples: what the flows say the events would look like without a signal."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastjag.analyses.dimuon.config import Config
from fastjag.analyses.dimuon.preprocess import Floats, Preprocessing
from fastjag.core.checks import near_misses, needs
from fastjag.models.flow import ConditionalFlow
from fastjag.statistics import (
    BackgroundFit,
    CrystalBall,
    PeakChoice,
    Window,
    fit_background,
    fit_peaks,
)


@dataclass(frozen=True)
class Events:
    """Pairs of one charge class inside the window."""

    mass: Floats  #: (n,) GeV
    features: dict[str, Floats]
    sideband: NDArray[np.bool_]  #: (n,) outside the signal region

    def __len__(self) -> int:
        return len(self.mass)

    def __getitem__(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> Events:
        return Events(
            self.mass[chosen],
            {k: v[chosen] for k, v in self.features.items()},
            self.sideband[chosen],
        )

    @staticmethod
    def read(path: str | os.PathLike[str], config: Config) -> Events:
        """The features of a configuration from a table of ``prepare``, in float64.

        sb_left <= mass < sb_right; the signal region is sr_left <= mass < sr_right.
        """
        needs("pyarrow", "arrow")
        import pyarrow.parquet as pq

        known = pq.read_schema(path).names
        for name in config.features:
            if name not in known:
                raise ValueError(f"{path}: no column {name!r}: {near_misses(name, known)}")
        table = pq.read_table(path, columns=["dimu_mass", *config.features])
        mass = table["dimu_mass"].to_numpy().astype(np.float64)
        w = config.window
        inside = (mass >= w.sb_left) & (mass < w.sb_right)
        if not inside.any():
            raise ValueError(
                f"{Path(path)}: none of {len(mass)} pairs has a mass between {w.sb_left:g} and "
                f"{w.sb_right:g} GeV"
            )
        features = {f: table[f].to_numpy().astype(np.float64)[inside] for f in config.features}
        mass = mass[inside]
        return Events(mass, features, (mass < w.sr_left) | (mass >= w.sr_right))


def check_bands(events: Events, window: Window, what: str, *, trained: bool = True) -> None:
    """ValueError where signal region or a sideband is empty: there is nothing to learn or fit.

    Where nothing is learned (``trained=False``) one bin of any sideband is enough for a fit.
    """
    if len(events) == 0:
        raise ValueError(f"{what}: none in the window has numbers in range in every feature")
    if not trained:
        left, _, right, _ = window.count(events.mass)
        if left.sum() + right.sum() == 0:
            raise ValueError(
                f"{what}: no pair has a mass in the sidebands, {window.left[0]:g} to "
                f"{window.sr_left:g} and {window.sr_right:g} to {window.right[-1]:g} GeV"
            )
        return
    for band, low, high in (
        ("the left sideband", window.sb_left, window.sr_left),
        ("the signal region", window.sr_left, window.sr_right),
        ("the right sideband", window.sr_right, window.sb_right),
    ):
        if not ((events.mass >= low) & (events.mass < high)).any():
            raise ValueError(
                f"{what}: no pair has a mass in {band}, {low:g} to {high:g} GeV; the masses in the "
                f"window run from {events.mass.min():.4g} to {events.mass.max():.4g} GeV"
            )


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
    events: Events,
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
    left, _, right, _ = window.count(events.mass)
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
    beside = events.mass[events.sideband]
    for flow, sequence in zip(flows, seeds, strict=True):
        numbers = [int(s) for s in sequence.generate_state(5)]
        mass = fit.draw(n, numbers[0])
        context = preprocessing.scale_mass(mass)
        for kind, number in zip(("sr", "validation", "roc"), numbers[1:4], strict=True):
            draws[kind].append(flow.sample(context, seed=number))
        draws["sideband"].append(flow.sample(preprocessing.scale_mass(beside), seed=numbers[4]))
        masses.append(mass)
    # Those that classifiers are judged by are independent of those that they learn from.
    apart = {"validation": " validation", "roc": " roc"}
    stacked = {
        k: preprocessing.with_noise(np.concatenate(parts), apart.get(k, ""))
        for k, parts in draws.items()
    }
    return Samples(
        fit, choice, stacked["sr"], stacked["validation"], stacked["roc"], np.concatenate(masses),
        stacked["sideband"], np.tile(beside, len(flows)),
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


def background_record(fit: BackgroundFit, choice: PeakChoice | None) -> dict[str, Any]:
    """What ``background.json`` holds; :func:`read_background` reads it."""
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


def read_background(path: str | os.PathLike[str], window: Window) -> BackgroundFit:
    content = json.loads(Path(path).read_text())
    peaks = tuple(CrystalBall(**peak) for peak in content["peaks"])
    return BackgroundFit(
        window, np.array(content["coefficients"]), np.array(content["covariance"]),
        content["chi2"], content["dof"], peaks,
    )  # fmt: skip
