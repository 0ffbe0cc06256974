"""Shapes of peaks and of what is below them: densities that integrate to 1 over a window."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from fastjag.statistics.crystalball import CrystalBall
from fastjag.statistics.windows import Floats

#: Parameters of a peak besides mass, width and events: start, limits. Widths have their own.
TAILS: dict[str, tuple[float, float, float]] = {
    "alpha_left": (1.5, 0.3, 5.0),
    "n_left": (3.0, 1.1, 50.0),
    "alpha_right": (1.5, 0.3, 5.0),
    "n_right": (3.0, 1.1, 50.0),
}
SHAPES: dict[str, tuple[str, ...]] = {
    "gaussian": (),
    "crystal-ball": tuple(TAILS),
    "voigt": ("gamma",),
}
BACKGROUNDS = ("exponential", "polynomial")

_NODES, _NODE_WEIGHTS = np.polynomial.legendre.leggauss(6)
_MANY, _MANY_WEIGHTS = np.polynomial.legendre.leggauss(96)


def gaussian(x: Floats, mean: float, sigma: float) -> Floats:
    """Density of a normal distribution."""
    z = (x - mean) / sigma
    return np.asarray(np.exp(-0.5 * z * z) / (sigma * math.sqrt(2 * math.pi)))


def nodes_in_bins(edges: Floats) -> tuple[Floats, Floats]:
    """Points (n_bins, 6) at which a density is asked for, and their weights in its integral."""
    half = np.diff(edges)[:, None] / 2
    return (edges[:-1, None] + half) + half * _NODES, half * _NODE_WEIGHTS


def least_error(density: Floats, variances: Floats) -> float:
    """Of the number of events, if all else were known: the Cramér-Rao bound for Poisson bins."""
    filled = variances > 0
    information = float((density[filled] ** 2 / variances[filled]).sum())
    return 1 / math.sqrt(information) if information > 0 else 0.0


@dataclass(frozen=True)
class PeakModel:
    """One or several peaks of one shape on one background, in a window.

    All parts are densities that integrate to 1 over the window, so that their factors are events in
    the window. Several peaks have masses in the ratios of ``peaks`` and widths in the ratios of
    their masses, so that one scale and one relative resolution are fitted.
    """

    shape: str
    background: str
    degree: int
    peaks: tuple[float, ...]  #: known masses of several peaks; empty for one anywhere
    window: tuple[float, float]

    @property
    def yields(self) -> list[str]:
        """Parameters that are events in a peak."""
        n = len(self.peaks)
        return [f"events_{i + 1}" for i in range(n)] if n > 1 else ["events"]

    @property
    def below(self) -> list[str]:
        """Parameters that are events of the background: the Bernstein polynomials', or all."""
        flexible = self.background == "polynomial"
        return [f"b{i}" for i in range(self.degree + 1)] if flexible else ["b0"]

    @property
    def names(self) -> list[str]:
        """All parameters, in their order."""
        slope = ["slope"] if self.background == "exponential" else []
        return ["mass", "width", *SHAPES[self.shape], *self.yields, *self.below, *slope]

    def split(self, parameters: Floats) -> tuple[Floats, Floats, Floats, float]:
        """Mass, width and tails; events of peaks; events below; slope."""
        first = 2 + len(SHAPES[self.shape])
        second = first + len(self.yields)
        third = second + len(self.below)
        slope = float(parameters[third]) if self.background == "exponential" else 0.0
        return parameters[:first], parameters[first:second], parameters[second:third], slope

    def shapes(self, parameters: Floats) -> list[Floats]:
        """Mass, width and tails of each peak."""
        each = []
        for mass in self.peaks or (1.0,):
            one = np.array(parameters, np.float64)
            one[:2] *= mass / (self.peaks or (1.0,))[0]
            each.append(one)
        return each

    def peak_density(self, x: Floats, parameters: Floats) -> Floats:
        """(n_peaks, len(x)), per unit of mass."""
        rows = [
            _density(self.shape, x, p) / _between(self.shape, *self.window, p)
            for p in self.shapes(parameters)
        ]
        return np.stack(rows)

    def peak_bins(self, edges: Floats, parameters: Floats) -> Floats:
        """(n_peaks, n_bins): the part of each peak in bins that fill the window."""
        rows = []
        for p in self.shapes(parameters):
            row = _in_bins(self.shape, edges, p)
            rows.append(row / max(row.sum(), 1e-300))
        return np.stack(rows)

    def background_density(self, x: Floats, slope: float = 0.0) -> Floats:
        """(n_parts, len(x)), per unit of mass."""
        low, high = self.window
        if self.background == "polynomial":
            u = np.clip((x - low) / (high - low), 0, 1)
            n = self.degree
            rows = [
                special.binom(n, i) * u**i * (1 - u) ** (n - i) * (n + 1) / (high - low)
                for i in range(n + 1)
            ]
            return np.stack(rows)
        half = slope * (high - low) / 2
        return np.exp(-slope * (x - (low + high) / 2) - _log_sinhc(half))[None] / (high - low)

    def background_bins(self, edges: Floats, slope: float = 0.0) -> Floats:
        """(n_parts, n_bins): the part of each in bins that fill the window."""
        low, high = self.window
        if self.background == "polynomial":
            u = np.clip((edges - low) / (high - low), 0, 1)
            n = self.degree
            return np.stack([np.diff(special.betainc(i + 1, n - i + 1, u)) for i in range(n + 1)])
        middle, width = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
        own = np.exp(_log_sinhc(slope * width / 2))
        return np.asarray(self.background_density(middle, slope) * width * own)


def _log_sinhc(x: float | Floats) -> Floats:
    """log(sinh(x) / x): sinh(x) / x is the mean of exp over an interval of half width x."""
    size = np.abs(x)
    large = np.maximum(size, 1e-4)
    exact = large + np.log1p(-np.exp(-2 * large)) - np.log(2 * large)
    return np.where(size < 1e-4, size * size / 6, exact)


def _density(shape: str, x: Floats, p: Floats) -> Floats:
    if shape == "gaussian":
        return gaussian(x, p[0], p[1])
    if shape == "voigt":  # SciPy's gamma is the half width at half maximum
        return np.asarray(special.voigt_profile(x - p[0], p[1], p[2] / 2))
    return CrystalBall(*(float(v) for v in p))(x)


def _between(shape: str, low: float, high: float, p: Floats) -> float:
    """Integral of the density over the window."""
    if shape == "gaussian":
        area = special.ndtr((high - p[0]) / p[1]) - special.ndtr((low - p[0]) / p[1])
    elif shape == "voigt":
        # In m = mass + w tan(theta) the density is smooth on a scale of 1, core and tails.
        w = p[1] + p[2] / 2
        a, b = math.atan((low - p[0]) / w), math.atan((high - p[0]) / w)
        theta = (a + b) / 2 + (b - a) / 2 * _MANY
        values = _density(shape, p[0] + w * np.tan(theta), p) * w / np.cos(theta) ** 2
        area = (values * _MANY_WEIGHTS).sum() * (b - a) / 2
    else:
        area = CrystalBall(*(float(v) for v in p)).between(low, high)
    return max(float(area), 1e-300)


def _in_bins(shape: str, edges: Floats, p: Floats) -> Floats:
    if shape == "gaussian":
        return np.asarray(np.diff(special.ndtr((edges - p[0]) / p[1])))
    if shape == "voigt":
        x, dx = nodes_in_bins(edges)
        return np.asarray((_density(shape, x, p) * dx).sum(axis=1))
    return np.diff(CrystalBall(*(float(v) for v in p)).below(edges))
