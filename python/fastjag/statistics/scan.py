"""Scan of a whole mass spectrum for excesses, with the look-elsewhere effect from toys."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from fastjag import kernels
from fastjag.arrays import as_float, at_least
from fastjag.progress import progress_bar
from fastjag.statistics.deviations import Z_of_log_p
from fastjag.statistics.likelihood import background, design_matrix, excess
from fastjag.statistics.pvalues import REFERENCE, global_log_p
from fastjag.statistics.windows import Floats, Window

_TOY_BATCH = 25
_CERTAIN = 5.0  # local significance of a peak that needs no toys


class Peak(NamedTuple):
    """An excess that the scan found."""

    mass: float  #: centre of the most significant window [GeV]
    Z: float  #: local significance
    Z_global: float  #: after the look-elsewhere effect
    S: float
    B: float
    low: float  #: the masses that are left out of the sidebands of others [GeV]
    high: float


class MassScan(NamedTuple):
    """Local significance at every mass, and what the toys say about its maximum."""

    edges: Floats  #: bin edges [GeV], of equal ratio
    counts: Floats  #: (n_bins,)
    expected: Floats  #: (n_bins,) background, from the fits with all peaks left out
    mass: Floats  #: (n_windows,) centres of the windows [GeV]
    Z: Floats  #: (n_windows,) NaN where the sidebands hold too little
    S: Floats  #: (n_windows,)
    B: Floats  #: (n_windows,)
    peaks: list[Peak]  #: in the order in which they were found
    toy_maxima: Floats  #: (toys,) largest Z of each background-only toy
    upcrossings: float  #: mean number per toy of Z rising above 1
    seed: int

    def global_p(self, Z: ArrayLike) -> Floats:
        """Probability that background alone shows at least this Z anywhere.

        The share of toys that do; beyond their reach the bound of Gross and Vitells (EPJC 70:525,
        2010): local p plus upcrossings * exp(-(Z² - 1) / 2).
        """
        return np.exp(global_log_p(Z, self.toy_maxima, self.upcrossings))

    def global_Z(self, Z: ArrayLike) -> Floats:
        """:meth:`global_p` in standard deviations, not below 0."""
        return Z_of_log_p(global_log_p(Z, self.toy_maxima, self.upcrossings))


class _Scanner:
    """Windows at every bin of a spectrum. All share one design, as their bins have equal ratios."""

    def __init__(self, edges: Floats, sr_bins: int, sb_bins: int, degree: int) -> None:
        self.edges, self.sr_bins, self.sb_bins, self.degree = edges, sr_bins, sb_bins, degree
        self.length = sr_bins + 2 * sb_bins
        cuts = edges[[0, sb_bins, sb_bins + sr_bins, self.length]]
        self.window = Window(cuts[0], cuts[1], cuts[2], cuts[3], sr_bins + 1, True)
        self.design = design_matrix(self.window, degree)
        self.n_windows = len(edges) - self.length
        self.first_signal = np.arange(self.n_windows) + sb_bins  # bin, for each window

    def _parts(self, bins: Floats) -> Floats:
        """(..., n_bins) to (..., n_windows, sidebands and signal region)."""
        view = sliding_window_view(bins, self.length, axis=-1)
        left, sr, right = np.split(view, [self.sb_bins, self.sb_bins + self.sr_bins], axis=-1)
        return np.concatenate([left, right, sr.sum(axis=-1, keepdims=True)], axis=-1)

    def fit(self, counts: Floats, used: NDArray[np.bool_]) -> tuple[Floats, ...]:
        """Z, S, B (..., n_windows) and coefficients, sidebands without the bins not used."""
        n = self._parts(counts)
        scale = np.broadcast_to(self._parts(used.astype(np.float64)), n.shape).copy()
        scale[..., -1] = 1
        shape = n.shape[:-1]
        n, scale = n.reshape(-1, n.shape[-1]), scale.reshape(-1, n.shape[-1])
        n = np.where(scale > 0, n, 0)
        # A polynomial needs a few more filled bins than it has coefficients, on both sides.
        filled = n[:, :-1] > 0
        enough = (filled.sum(axis=1) >= self.degree + 4) & (
            np.minimum(filled[:, : self.sb_bins].sum(axis=1), filled[:, self.sb_bins :].sum(axis=1))
            >= 2
        )
        Z, S, B = (np.full(len(n), np.nan) for _ in range(3))
        theta = np.full((len(n), self.degree + 1), np.nan)
        if enough.any():
            some = excess(n[enough], scale[enough], self.design)
            S[enough], B[enough], q0, theta[enough], converged = some
            Z[enough] = np.where(converged, np.sqrt(q0), np.nan)
        return *(a.reshape(shape) for a in (Z, S, B)), theta.reshape(*shape, -1)

    def expected(self, theta: Floats) -> Floats:
        """Background of every bin: mean over the windows that hold it, mostly those in their middle."""
        good = np.flatnonzero(np.isfinite(theta[:, 0]))
        reference = np.sqrt(self.edges[:-1] * self.edges[1:])[: self.length]
        curves = background(theta[good], reference, self.window)
        middle = (self.length - 1) / 2
        weight = (1 - np.abs(np.arange(self.length) - middle) / (middle + 1)) ** 4
        total, weights = np.zeros((2, len(self.edges) - 1))
        bins = good[:, None] + np.arange(self.length)
        np.add.at(total, bins, weight * curves)
        np.add.at(weights, bins, np.broadcast_to(weight, bins.shape))
        return np.maximum(total / np.where(weights > 0, weights, 1), 0)


def mass_scan(
    masses: ArrayLike,
    low: float,
    high: float,
    *,
    resolution: float = 0.015,
    sr_bins: int = 4,
    sb_bins: int = 12,
    degree: int = 3,
    discovery: float = 3.0,
    toys: int = 300,
    seed: int = 0,
) -> MassScan:
    """Slide a window over a mass spectrum and look for excesses.

    Bins have equal ratios, 1 + ``resolution``. Every window has ``sr_bins`` of them as signal region
    between ``sb_bins`` on either side; its background is a polynomial of ``degree`` in mass, fitted
    as by :func:`significance`. The most significant window becomes a peak if it has 5 standard
    deviations locally or ``discovery`` globally. Its surroundings are left out of all sidebands,
    and the scan is repeated until there is no further one: a resonance would otherwise raise the
    background of its neighbours.

    Parameters
    ----------
    masses
        Flat [GeV].
    low, high
        Range of the scan [GeV], sidebands included.
    toys
        Background-only spectra, drawn from the fits with all peaks left out, that are scanned in
        the same way for the global significance.
    seed
        Of the toys, recorded in the result.

    Raises ValueError where the range is too short for one window.
    """
    mass = as_float(masses, "masses").astype(np.float64, copy=False)
    at_least("sr_bins", sr_bins, 1)
    at_least("sb_bins", sb_bins, 2)
    at_least("toys", toys, 1)
    if not (0 < low < high < np.inf and 0 < resolution < 1):
        raise ValueError(
            "a scan needs 0 < low < high and 0 < resolution < 1, got "
            f"low {low:g}, high {high:g}, resolution {resolution:g}"
        )
    n_bins = int(np.log(high / low) / np.log1p(resolution))
    if n_bins <= sr_bins + 2 * sb_bins:
        raise ValueError(
            f"the range {low:g} to {high:g} GeV has {n_bins} bins of {resolution:.2%}, but a window "
            f"needs {sr_bins + 2 * sb_bins}"
        )
    edges: Floats = low * (1 + resolution) ** np.arange(n_bins + 1, dtype=np.float64)
    counted, _ = kernels.histogram([mass], [edges])
    counts = counted[1:-2].astype(np.float64)
    scanner = _Scanner(edges, sr_bins, sb_bins, degree)
    used = np.ones(n_bins, bool)
    found: list[tuple[int, int]] = []  # bins left out: first, one after the last
    while True:
        Z, S, B, theta = scanner.fit(counts, used)
        expected = scanner.expected(theta)
        free = np.where(_touched(scanner, used) | np.isnan(Z), -np.inf, Z)
        best = int(free.argmax())
        if free[best] < _CERTAIN:  # toys decide
            maxima, upcrossings = _toys(scanner, expected, toys, seed)
            centers = np.sqrt(edges[scanner.first_signal] * edges[scanner.first_signal + sr_bins])
            result = MassScan(
                edges, counts, expected, centers, Z, S, B, [], maxima, upcrossings, seed
            )
            if not result.global_Z(free[best]) >= discovery:
                break
        first, last = _extent(scanner, counts, expected, best)
        for other in [f for f in found if f[0] <= last + 2 and first <= f[1] + 2]:
            found.remove(other)  # the tail of a peak that is known
            first, last = min(first, other[0]), max(last, other[1])
        used[first:last] = False
        found.append((first, last))
    for first, last in found:
        inside = np.flatnonzero(
            (scanner.first_signal >= first) & (scanner.first_signal + sr_bins <= last)
        )
        at = int(inside[np.nan_to_num(Z[inside], nan=-1).argmax()])
        result.peaks.append(
            Peak(centers[at], Z[at], float(result.global_Z(Z[at])), S[at], B[at], edges[first],
                 edges[last])
        )  # fmt: skip
    return result


def _touched(scanner: _Scanner, used: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Windows whose signal region holds a bin of a known peak."""
    view = sliding_window_view(used, scanner.sr_bins)[scanner.first_signal]
    return np.asarray(~view.all(axis=-1))


def _extent(scanner: _Scanner, counts: Floats, expected: Floats, window: int) -> tuple[int, int]:
    """Bins of a peak: outwards from its window while three in a row are not back at background."""
    first = int(scanner.first_signal[window])
    last = first + scanner.sr_bins
    high = counts > expected + 1.5 * np.sqrt(expected + 1)
    while first > 0 and high[max(first - 3, 0) : first].any():
        first -= 1
    while last < len(counts) and high[last : last + 3].any():
        last += 1
    return max(first - 1, 0), min(last + 1, len(counts))


def _toys(scanner: _Scanner, expected: Floats, toys: int, seed: int) -> tuple[Floats, float]:
    """The largest Z of each background-only spectrum, and mean upcrossings of the reference."""
    rng = np.random.default_rng(seed)
    every = np.ones(len(expected), bool)
    maxima, crossings = [], 0
    with progress_bar("toys", toys) as advance:
        for begin in range(0, toys, _TOY_BATCH):
            n = min(_TOY_BATCH, toys - begin)
            Z = scanner.fit(rng.poisson(expected, (n, len(expected))).astype(np.float64), every)[0]
            Z = np.nan_to_num(Z, nan=0)
            maxima.append(Z.max(axis=1))
            crossings += int(((Z[:, 1:] > REFERENCE) & (Z[:, :-1] <= REFERENCE)).sum())
            advance(n)
    return np.concatenate(maxima), crossings / toys
