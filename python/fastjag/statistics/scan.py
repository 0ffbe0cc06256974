"""Scan of a whole mass spectrum for excesses, with the look-elsewhere effect from toys."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from fastjag import kernels
from fastjag.core.arrays import as_float
from fastjag.core.checks import at_least
from fastjag.reporting.progress import progress_bar
from fastjag.statistics.baseline import find_candidates, find_ends, merge_range, stitch
from fastjag.statistics.elsewhere import counting_Z
from fastjag.statistics.pvalues import REFERENCE
from fastjag.statistics.scan_choice import peak_choice, scan_choices
from fastjag.statistics.scan_result import MassScan, Peak
from fastjag.statistics.sidebands import FEWEST_BINS, Backgrounds, Choice, Sidebands
from fastjag.statistics.windows import Floats

_TOY_BATCH = 25
_NARROW = 2 / 3  # of the sidebands, where the wide ones do not fit
_WIDE = Choice(level=0.03, nearby=0.36, margin=4, lowest=3, largest_error=2)
# A spectrum that wide sidebands cannot follow has more than a curvature.
_NARROWER = Choice(level=0.36, nearby=0.36, margin=4, lowest=5, largest_error=3)
# Beside a peak that is seen anyway: what its background may be off is far less than the peak.
_BESIDE = Choice(level=0.1, nearby=0.1, margin=2, lowest=3, largest_error=np.inf)
_LOCAL = 3.0  # Z without which nothing can be a peak, whatever the toys say


class _Scanner:
    """Windows at every bin of a spectrum, with wide sidebands, or narrow ones where those do not fit."""

    def __init__(self, exists: NDArray[np.bool_], sr_bins: int, sb_bins: int, degree: int) -> None:
        self.exists, self.n_bins = exists, len(exists)
        self.sr_bins, self.sb_bins, self.degree = sr_bins, sb_bins, degree
        self._sizes = self._sidebands(sr_bins, _WIDE, _NARROWER)
        self.length = self._sizes[0].length
        self.n_windows = self.n_bins - self.length
        self.first_signal = np.arange(self.n_windows) + sb_bins  # bin, for each window

    def _sidebands(self, gap: int, wide: Choice, narrow: Choice) -> list[Sidebands]:
        sizes = [Sidebands(self.sr_bins, self.sb_bins, self.degree, wide, gap)]
        less = round(_NARROW * self.sb_bins)
        if less >= FEWEST_BINS:
            sizes.append(Sidebands(self.sr_bins, less, self.degree, narrow, gap))
        return sizes

    def fit(self, counts: Floats, used: NDArray[np.bool_], *, curves: bool = True) -> Backgrounds:
        """Of counts (..., n_bins), sidebands without the bins not used."""
        shape = (*counts.shape[:-1], self.n_windows)
        fits = self._fit(self._sizes[0], counts, used, None, curves)
        for size in self._sizes[1:]:
            todo = np.flatnonzero(~fits.usable)
            now = self._fit(size, counts, used, todo, curves)
            wide = todo[fits.follows[todo]]
            kept = fits.curve[wide]
            for old, new in zip(fits, now, strict=True):
                old[todo[now.usable]] = new[now.usable]
            fits.curve[wide] = kept  # longer, and it fits
            fits.follows[wide] = True
        whole = self.signal(~self.exists) == 0
        fits.usable[...] &= np.broadcast_to(whole, shape).ravel()
        fits = fits._replace(B=fits.B[:, 0], error=fits.error[:, 0])
        return Backgrounds(*(a.reshape(*shape, *a.shape[1:]) for a in fits))

    def _fit(
        self,
        size: Sidebands,
        counts: Floats,
        used: NDArray[np.bool_],
        which: NDArray[np.int64] | None,
        curves: bool,
    ) -> Backgrounds:
        """Of some windows, by their number in all spectra; curves of narrow ones with zeros around."""
        shift = (self.length - size.length) // 2
        some = slice(None) if which is None else which
        n = size.windows(counts)[..., shift : shift + self.n_windows, :]
        w = np.broadcast_to(
            size.windows(used & self.exists)[shift : shift + self.n_windows], n.shape
        )
        bins = n.shape[-1]
        now = size.fit(
            n.reshape(-1, bins)[some],
            w.reshape(-1, bins)[some],
            self.n_windows if which is None else 1,
            curves=curves,
        )
        curve = np.zeros((len(now.B), self.length))
        curve[:, shift : shift + size.length] = now.curve
        return now._replace(curve=curve)

    def fit_inside(
        self, counts: Floats, used: NDArray[np.bool_], first: int, last: int
    ) -> tuple[Backgrounds, Floats] | None:
        """Backgrounds of the windows inside a peak, from sidebands beyond it, and its bins' curve.

        None where no sidebands say anything. Bins beyond the ends of the spectrum are not used.
        """
        if last - first > 2 * self.sb_bins:
            return None
        for size in self._sidebands(last - first, _BESIDE, _BESIDE):
            begin = first - size.sb_bins
            bins = np.arange(begin, begin + size.length)
            at = np.clip(bins, 0, self.n_bins - 1)
            exists = (bins == at) & self.exists[at]
            n = size.windows(np.where(exists, counts[at], 0.0))
            now = size.fit(n, size.windows(exists & used[at]))
            if now.usable[0]:
                curve = now.curve[0, size.sb_bins : size.sb_bins + size.gap]
                regions = now.B.shape[1]
                return now._replace(
                    B=now.B[0],
                    error=now.error[0],
                    degree=np.repeat(now.degree, regions),
                    p_fit=np.repeat(now.p_fit, regions),
                    usable=np.repeat(now.usable, regions),
                ), curve
        return None

    def signal(self, bins: NDArray[Any]) -> NDArray[Any]:
        """(..., n_bins) to sums over the signal regions (..., n_windows)."""
        view = sliding_window_view(bins, self.sr_bins, axis=-1)[..., self.first_signal, :]
        return np.asarray(view.sum(axis=-1))

    def Z(self, counts: Floats, fits: Backgrounds) -> Floats:
        return np.where(fits.usable, counting_Z(self.signal(counts), fits.B, fits.error), 0.0)

    def expected(self, counts: Floats, fits: Backgrounds) -> Floats:
        """Background of every bin; of windows that do not fit only where no other says anything."""
        most = 2 * sliding_window_view(counts, self.length)[: self.n_windows].max(axis=1) + 1
        curves = np.minimum(fits.curve, most[:, None])
        faint = np.full(self.n_windows, 1e-9)
        curve = stitch(curves, fits.follows, faint, self.n_bins, counts)
        return np.where(self.exists, curve, counts)

    def inside(self, first: int, last: int) -> NDArray[np.int64]:
        """Windows whose signal region lies within these bins."""
        begin = self.first_signal
        return np.flatnonzero((begin >= first) & (begin + self.sr_bins <= last))


def mass_scan(
    masses: ArrayLike,
    low: float,
    high: float,
    *,
    resolution: float = 0.015,
    sr_bins: int = 4,
    sb_bins: int = 12,
    degree: int = 8,
    discovery: float = 3.0,
    toys: int = 300,
    seed: int = 0,
) -> MassScan:
    """Slide a window over a mass spectrum and look for excesses.

    Bins have equal ratios, 1 + ``resolution``. Every window has ``sr_bins`` of them as signal region
    between ``sb_bins`` on either side. Its background is the exponential of a polynomial in ln(mass),
    fitted to the sidebands by Poisson likelihood; its degree is chosen by F test, and the sidebands
    are narrower by a third where wide ones do not fit. Windows whose background does not fit, or
    would need a degree above ``degree``, are not ``usable`` and cannot be peaks.

    An excess is a peak if it has ``discovery`` standard deviations globally: background-only spectra
    go through the same fits. Its surroundings are left out of all sidebands, because a resonance
    would raise the background of its neighbours. docs/physics.md has the formulas.

    Parameters
    ----------
    masses
        Flat [GeV].
    low, high
        Range of the scan [GeV], sidebands included.
    degree
        Highest degree of a background, at least 3.
    toys
        Background-only spectra, drawn from the fits with all peaks left out, for the global
        significance.
    seed
        Of the toys, recorded in the result.

    Raises ValueError where the range is too short for one window.
    """
    at_least("sr_bins", sr_bins, 1)
    at_least("sb_bins", sb_bins, FEWEST_BINS)
    mass = as_float(masses, "masses").astype(np.float64, copy=False)
    if not (0 < low < high < np.inf and 0 < resolution < 1):
        raise ValueError(
            "a scan needs 0 < low < high and 0 < resolution < 1, got "
            f"low {low:g}, high {high:g}, resolution {resolution:g}"
        )
    n_bins = int(np.log(high / low) / np.log1p(resolution))
    _check_length(low, high, n_bins, resolution, sr_bins + 2 * sb_bins)
    edges: Floats = low * (1 + resolution) ** np.arange(n_bins + 1, dtype=np.float64)
    counted = kernels.histogram([mass], [edges])[0]
    return scan_counts(
        counted[1:-2], edges, sr_bins=sr_bins, sb_bins=sb_bins, degree=degree, discovery=discovery,
        toys=toys, seed=seed,
    )  # fmt: skip


def scan_counts(
    counts: ArrayLike,
    edges: ArrayLike,
    *,
    sr_bins: int = 4,
    sb_bins: int = 12,
    degree: int = 8,
    discovery: float = 3.0,
    toys: int = 300,
    seed: int = 0,
) -> MassScan:
    """:func:`mass_scan` of a spectrum that is binned already.

    ``counts`` (n_bins,) are unweighted; the ``edges`` (n_bins + 1,) [GeV] of their bins must have equal
    ratios. Raises ValueError where they do not, and for negative or non-finite counts.
    """
    at_least("sr_bins", sr_bins, 1)
    at_least("sb_bins", sb_bins, FEWEST_BINS)  # that a background needs
    at_least("degree", degree, 3)
    at_least("toys", toys, 1)
    if not 0 < discovery < np.inf:
        raise ValueError(f"discovery must be above 0, in standard deviations, got {discovery!r}")
    edges, counts = np.asarray(edges, np.float64), np.asarray(counts, np.float64)
    if edges.ndim != 1 or counts.shape != (max(len(edges) - 1, 0),):
        raise ValueError(
            f"counts and edges must have shapes (n,) and (n + 1,), got {counts.shape} and {edges.shape}"
        )
    n_bins = len(counts)
    ratios = edges[1:] / edges[:-1] if (edges > 0).all() else np.zeros(n_bins)
    if not (np.isfinite(edges).all() and (ratios > 1).all() and np.ptp(ratios) < 1e-6):
        raise ValueError("edges must be positive, rising, and of equal ratios")
    if not (np.isfinite(counts).all() and (counts >= 0).all()):
        raise ValueError("counts must be finite and not negative")
    _check_length(edges[0], edges[-1], n_bins, ratios.mean() - 1, sr_bins + 2 * sb_bins)
    begin, end = find_ends(counts, sr_bins)
    scanner = _Scanner(_range(n_bins, begin, end), sr_bins, sb_bins, degree)
    peaks = [
        (first + begin, last + begin)
        for first, last in find_candidates(counts[begin:end], sr_bins, scanner.length)
    ]
    added: set[int] = set()  # windows; none twice, so that this ends
    while True:
        fits, Z, expected = _fit_without(scanner, counts, peaks)
        kept = [r for r in peaks if Z[scanner.inside(*r)].max(initial=0) >= _LOCAL]
        if len(kept) < len(peaks):  # not a peak, or one without a background
            peaks = kept
            continue
        maxima, upcrossings = _toys(scanner, expected, toys, seed)
        B = np.where(fits.usable, fits.B, scanner.signal(expected))
        N, first = scanner.signal(counts), scanner.first_signal
        result = MassScan(
            edges, counts, expected, np.sqrt(edges[first] * edges[first + sr_bins]), Z,
            np.where(fits.usable, N - B, 0.0), B,
            np.where(fits.usable, np.sqrt(N + fits.error**2), 0.0), fits.usable, fits.degree,
            fits.p_fit, [], maxima, upcrossings, seed, np.zeros(0),
        )  # fmt: skip
        kept = [r for r in peaks if result.global_Z(Z[scanner.inside(*r)].max()) >= discovery]
        if len(kept) < len(peaks):
            peaks = kept
            continue
        free = _free_Z(scanner, Z, peaks, added)
        best = int(free.argmax())
        if free[best] < _LOCAL or result.global_Z(free[best]) < discovery:
            break
        added.add(best)
        peaks = merge_range(peaks, first[best], first[best] + sr_bins)
    used = scanner.exists.copy()
    for first_bin, last_bin in peaks:
        used[first_bin:last_bin] = False
    of_choice = (ratios.mean(), sr_bins, sb_bins, degree)
    choices = scan_choices(counts, used, *of_choice)
    for low, high in sorted(peaks):
        inside = scanner.inside(low, high)
        at = int(inside[Z[inside].argmax()])
        for i in inside:
            choices[i] = peak_choice(counts, used, (low, high), first[i], *of_choice)
        result.peaks.append(
            Peak(_summit(result.mass, Z, at, inside), Z[at], float(result.global_Z(Z[at])),
                 result.S[at], B[at], edges[low], edges[high], choices[at])
        )  # fmt: skip
    return result._replace(Z_profiled=choices)


def _check_length(low: float, high: float, n_bins: int, resolution: float, needed: int) -> None:
    if n_bins <= needed:
        raise ValueError(
            f"the range {low:g} to {high:g} GeV has {n_bins} bins of {resolution:.2%}, but a window "
            f"needs {needed}"
        )


def _range(n_bins: int, begin: int, end: int) -> NDArray[np.bool_]:
    bins = np.arange(n_bins)
    return np.asarray((bins >= begin) & (bins < end))


def _fit_without(
    scanner: _Scanner, counts: Floats, peaks: list[tuple[int, int]]
) -> tuple[Backgrounds, Floats, Floats]:
    """Fits of all windows, their Z, and the background of every bin, with these peaks left out."""
    used = np.ones(len(counts), bool)
    for first, last in peaks:
        used[first:last] = False
    fits = scanner.fit(counts, used)
    expected = scanner.expected(counts, fits)
    for first, last in peaks:
        inside = scanner.inside(first, last)
        fits.usable[inside] = False
        fit = scanner.fit_inside(counts, used, first, last)
        if fit is None:
            continue
        peak, expected[first:last] = fit
        regions = inside - (first - scanner.sb_bins)
        for whole, part in zip(fits[:5], peak[:5], strict=True):
            whole[inside] = part[regions]
        # The bins around a small peak are left out because they are high, which lowers its background.
        # Where its windows fit with them, these are as good.
        used[first:last] = True
        near = scanner.fit(counts, used, curves=False)
        used[first:last] = False
        plain = inside[near.usable[inside] & (near.error[inside] <= 1.1 * fits.error[inside])]
        for whole, part in zip(fits[:5], near[:5], strict=True):
            whole[plain] = part[plain]
    return fits, scanner.Z(counts, fits), expected


def _summit(mass: Floats, Z: Floats, at: int, inside: NDArray[np.int64]) -> float:
    """Mass of the largest Z, from a parabola through it and its neighbours."""
    if at - 1 not in inside or at + 1 not in inside:
        return float(mass[at])
    left, middle, right = Z[at - 1 : at + 2]
    shift = 0.5 * (right - left) / max(2 * middle - left - right, 1e-9)
    return float(mass[at] * (mass[at + 1] / mass[at]) ** np.clip(shift, -0.5, 0.5))


def _free_Z(scanner: _Scanner, Z: Floats, peaks: list[tuple[int, int]], tried: set[int]) -> Floats:
    """Z of the windows not tried whose signal region holds no bin of a known peak, 0 of others."""
    begin = scanner.first_signal
    free = np.ones(len(Z), bool)
    free[list(tried)] = False
    for first, last in peaks:
        free &= (begin + scanner.sr_bins <= first) | (begin >= last)
    return np.where(free, Z, 0.0)


def _toys(scanner: _Scanner, expected: Floats, toys: int, seed: int) -> tuple[Floats, float]:
    """The largest Z of each background-only spectrum, and mean upcrossings of the reference."""
    rng = np.random.default_rng(seed)
    every = np.ones(len(expected), bool)
    maxima, crossings = [], 0
    with progress_bar("toys", toys) as advance:
        for begin in range(0, toys, _TOY_BATCH):
            n = min(_TOY_BATCH, toys - begin)
            spectra = rng.poisson(expected, (n, len(expected))).astype(np.float64)
            Z = scanner.Z(spectra, scanner.fit(spectra, every, curves=False))
            maxima.append(Z.max(axis=1))
            crossings += int(((Z[:, 1:] > REFERENCE) & (Z[:, :-1] <= REFERENCE)).sum())
            advance(n)
    return np.concatenate(maxima), crossings / toys
