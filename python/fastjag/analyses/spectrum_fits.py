"""Peaks of the dimuon spectrum: which windows are fitted, and how their fits are shown."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastjag.core.checks import near_misses, needs
from fastjag.reporting.plots import save
from fastjag.reporting.report import Report, with_error
from fastjag.reporting.titles import axis_title

if TYPE_CHECKING:
    from fastjag.statistics.peak_fit import PeakFit

BINS = 80  # of a window: several per resolution of any detector
HEAD = ("peak", "mass [GeV]", "width [GeV]", "events", "background", "p")
#: What a report says about the shapes.
SHAPES = (
    f"Opposite-sign pairs in {BINS} bins per window: double-sided Crystal Balls on an exponential, by "
    "extended maximum likelihood. Events are those in the window, and p is the probability of chi2."
)


class FitWindow(NamedTuple):
    """Masses in which a peak is fitted [GeV]."""

    name: str
    low: float
    high: float
    peaks: tuple[float, ...] = ()  #: of several: fitted with one scale

    @property
    def stem(self) -> str:
        """Of its files."""
        return "fit_" + self.name.lower().replace("/", "").replace(":", "-")


#: Windows that have a name. Masses of the Upsilon states: S. Navas et al. (Particle Data Group),
#: Phys. Rev. D 110 (2024) 030001.
NAMED = {
    "J/psi": FitWindow("J/psi", 2.8, 3.4),
    "Upsilon": FitWindow("Upsilon", 8.0, 11.5, (9.4604, 10.0234, 10.3551)),
}


def fit_windows(names: Iterable[str], mass_range: tuple[float, float]) -> list[FitWindow]:
    """Windows of names such as "J/psi" or "2.9:3.3", each once.

    Raises ValueError for others, and for windows that are not inside of ``mass_range`` [GeV].
    """
    windows = list(dict.fromkeys(_window(name) for name in names))
    for window in windows:
        if window.low < mass_range[0] or window.high > mass_range[1]:
            raise ValueError(
                f"the fit of {window.name} needs masses from {window.low:g} to {window.high:g} GeV, "
                f"the spectrum goes from {mass_range[0]:g} to {mass_range[1]:g} GeV"
            )
    if windows:
        needs("iminuit", "fit")
        needs("scipy", "fit")
    return windows


def _window(name: str) -> FitWindow:
    if name in NAMED:
        return NAMED[name]
    low, colon, high = name.partition(":")
    if not colon:
        raise ValueError(
            f"no peak {name!r} to fit: {near_misses(name, NAMED)} (or a window such as 2.9:3.3, in GeV)"
        )
    try:
        edges = float(low), float(high)
    except ValueError:
        edges = math.nan, math.nan
    if not (0 < edges[0] < edges[1] < math.inf):
        raise ValueError(f"a window to fit is LOW:HIGH in GeV, such as 2.9:3.3, got {name!r}")
    return FitWindow(f"{edges[0]:.12g}:{edges[1]:.12g}", *edges)


def fit(window: FitWindow, h: Any) -> PeakFit | str:
    """The fit of the histogram of a window, or the reason why there is none."""
    from fastjag import fit_peak

    # Of these edges, to the last bit, the histogram was filled.
    edges = np.linspace(window.low, window.high, BINS + 1)
    try:
        return fit_peak((h.values(), edges), shape="crystal-ball", peaks=window.peaks)
    except ValueError as error:  # too few pairs: the spectrum stands without it
        return str(error)


def rows(fits: Mapping[FitWindow, PeakFit | str]) -> list[tuple[str, ...]]:
    """Of a table with the columns ``HEAD``: fits that there are."""
    return [
        (
            window.name, with_error(*found.parameters["mass"]), with_error(*found.parameters["width"]),
            with_error(found.events, found.events_error),
            with_error(found.background, found.background_error),
            f"{found.p_value:.2g}" if found.dof > 0 else "none",
        )
        for window, found in fits.items() if not isinstance(found, str)
    ]  # fmt: skip


def found(fits: Mapping[FitWindow, PeakFit | str]) -> list[str]:
    """What each fit has found, and how sure that is, in words."""
    return [
        f"the peak {window.name} has {with_error(fit.events, fit.events_error)} pairs at "
        f"{with_error(*fit.parameters['mass'])} GeV"
        + (f" (fit probability {fit.p_value:.2g})" if fit.dof > 0 else "")
        for window, fit in fits.items() if not isinstance(fit, str)
    ]  # fmt: skip


def remarks(fits: Mapping[FitWindow, PeakFit | str]) -> list[tuple[str, str]]:
    """(name, sentence): why there is no fit, and what is wrong with those that there are."""
    return [
        (window.name, text)
        for window, found in fits.items()
        for text in ([f"! no fit: {found}"] if isinstance(found, str) else found.warnings)
    ]


def summary(fits: Mapping[FitWindow, PeakFit | str], pictures: bool = True) -> dict[str, Any]:
    """For JSON, with the names of the pictures if there are any."""
    shown: dict[str, Any] = {}
    for window, found in fits.items():
        if isinstance(found, str):
            shown[window.name] = {"window": (window.low, window.high), "error": found}
        else:
            bins = {"edges": found.edges, "counts": found.counts, "pulls": found.pulls}
            files = [f"{window.stem}.png", f"{window.stem}.pdf"] if pictures else []
            shown[window.name] = {**found.numbers(), **bins, "pictures": files}
    return shown


def draw(fits: Mapping[FitWindow, PeakFit | str], directory: Path) -> None:
    """The pictures that :func:`summary` names."""
    for window, found in fits.items():
        if not isinstance(found, str):
            picture = found.picture(label=axis_title("dimu_mass"), entries="Pairs")
            save(picture, directory / f"{window.stem}.png", directory / f"{window.stem}.pdf")


def section(
    fits: Mapping[FitWindow, PeakFit | str], directory: Path | None, report: Report
) -> None:
    """Of the report; ``directory`` has the pictures, if there are any."""
    report.heading("Peaks")
    report.text(SHAPES)
    if table := rows(fits):
        report.table(HEAD, table)
    if directory is None:
        return
    for window, found in fits.items():
        if not isinstance(found, str):
            caption = (
                f"{window.name}, {window.low:g} to {window.high:g} GeV. Below: (pairs - fit) / error, "
                "with a band from -2 to 2."
            )
            report.figure(directory / f"{window.stem}.png", caption)


def earlier_pictures(out: Path) -> list[str]:
    """Pictures of fits that an earlier spectrum left in a folder: they go when a new one comes."""
    try:
        fits = json.loads((out / "spectrum.json").read_text(encoding="utf-8"))["fits"]
        return [str(name) for fit in fits.values() for name in fit.get("pictures", ())]
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return []  # no results, or none with fits
