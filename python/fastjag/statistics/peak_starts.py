"""Where the fit of a peak starts: the best of a grid of masses and widths, by least squares."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import special

from fastjag.statistics.peak_shapes import SHAPES, TAILS, PeakModel
from fastjag.statistics.windows import Floats

_MOST_BINS = 100


def start_values(
    model: PeakModel, edges: Floats, counts: Floats, fixed: Mapping[str, float]
) -> dict[str, float]:
    """Every parameter. Gaussian peaks on a polynomial are linear once mass and width are given."""
    step = -(-len(counts) // _MOST_BINS)
    counts = np.add.reduceat(counts, np.arange(0, len(counts), step))
    edges = np.append(edges[:-1][::step], edges[-1])
    low, high = model.window
    length, n = high - low, counts.sum()
    masses = np.linspace(low + 0.05 * length, high - 0.05 * length, 46)
    if model.peaks:
        masses = np.linspace(0.97, 1.03, 31) * model.peaks[0]
    if "mass" in fixed:
        masses = np.array([fixed["mass"]])
    widths = length / np.array([100, 60, 40, 25, 15, 8])
    if "width" in fixed:
        widths = np.array([fixed["width"]])
    mass, width, slope = (
        grid.ravel() for grid in np.meshgrid(masses, widths, _slopes(model, edges, counts, fixed))
    )
    ratios = np.array(model.peaks or (1.0,)) / (model.peaks or (1.0,))[0]
    below = np.stack([model.background_bins(edges, s) for s in np.unique(slope)])
    below = below[np.unique(slope, return_inverse=True)[1]]
    z = (edges - mass[:, None, None] * ratios[:, None]) / (width[:, None, None] * ratios[:, None])
    peaks = np.diff(special.ndtr(z), axis=-1)  # (grid, n_peaks, n_bins)
    peaks /= np.maximum(peaks.sum(axis=-1, keepdims=True), 1e-12)
    parts = np.concatenate([peaks, below], axis=1)
    scaled = parts / np.sqrt(np.maximum(counts, 1))
    target = counts / np.sqrt(np.maximum(counts, 1))
    normal = scaled @ scaled.swapaxes(1, 2)
    normal += 1e-9 * np.trace(normal, axis1=1, axis2=2)[:, None, None] * np.eye(normal.shape[1])
    factors = np.linalg.solve(normal, (scaled @ target)[..., None])[..., 0]
    chi2 = ((target - np.einsum("gp,gpb->gb", factors, scaled)) ** 2).sum(axis=1)
    k = len(ratios)
    # A hole in the background is no peak, and neither is one with more events than there are.
    bad = (factors[:, :k].sum(axis=1) <= 0) | (factors[:, :k].sum(axis=1) > 1.2 * n)
    best = int(np.where(bad, chi2 + 1e6 * (1 + n), chi2).argmin())
    events = np.clip(factors[best, :k], 0.01 * n / k, n)
    rest = np.maximum(factors[best, k:], 0.01 * n / below.shape[1])
    values = {"mass": float(mass[best]), "width": float(width[best])}
    if model.shape == "voigt":  # of about the same width in all
        values["gamma"] = values["width"]
        values["width"] *= 0.7
    values |= {name: TAILS[name][0] for name in SHAPES[model.shape] if name in TAILS}
    values |= dict(zip(model.yields, map(float, events), strict=True))
    values |= dict(zip(model.below, map(float, rest), strict=True))
    if model.background == "exponential":
        values["slope"] = float(slope[best])
    return values | dict(fixed)


def _slopes(
    model: PeakModel, edges: Floats, counts: Floats, fixed: Mapping[str, float]
) -> list[float]:
    """Slopes to try: around that of a line through the logarithms, which a peak may have turned."""
    if model.background != "exponential":
        return [0.0]
    if "slope" in fixed:
        return [fixed["slope"]]
    length = model.window[1] - model.window[0]
    middle, height = (edges[1:] + edges[:-1]) / 2, np.maximum(counts, 0.5) / np.diff(edges)
    line = np.polynomial.Polynomial.fit(middle, np.log(height), 1).convert().coef
    steep = -line[1] if len(line) > 1 else 0.0
    return [
        float(np.clip(steep + d / length, -49 / length, 49 / length)) for d in (-3, -1, 0, 1, 3)
    ]
