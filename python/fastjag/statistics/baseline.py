"""Where a spectrum may have peaks: what stands out of a baseline that follows no excess.

This only proposes bins to leave out of sidebands. Whether they are peaks, the scan decides.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from fastjag.statistics.elsewhere import counting_Z
from fastjag.statistics.sidebands import Series, p_of_fit, pearson, series_rows
from fastjag.statistics.windows import Floats

_DEGREES = (2, 3, 4, 6)  # the stiffest that fits
_HIGH = 3.0  # standard deviations above a fit from which on a bin is left out of it
_ROUNDS = 12
_FIT_LEVEL = 0.01
_CANDIDATE = 4.0  # Z from which on a place is proposed
_MISSED = 6.0  # events expected where there is none: a spectrum ends there, by a cut
_FEW = 8  # events from which on the last signal region before the end says something
_SIDEBAND_ERROR = 0.7  # of the baseline under a signal region, in its Poisson errors


def find_ends(counts: Floats, sr_bins: int) -> tuple[int, int]:
    """The bins between which a spectrum exists, first and one after the last, for counts (n_bins,).

    A cut on the mass leaves empty bins that are no background: where the last signal regions before
    them, as a power law, promise some events. The bin at a cut is a part of one, and left out.
    """
    filled = np.flatnonzero(counts)
    if len(filled) == 0:
        return 0, len(counts)
    first, last = int(filled[0]), int(filled[-1]) + 1

    def cut(inwards: Floats, empty: int) -> bool:
        near, far = inwards[:sr_bins].sum(), inwards[sr_bins : 2 * sr_bins].sum()
        missed = near**2 / max(far, 1.0) * min(empty, sr_bins) / sr_bins if empty else 0.0
        return bool(near >= _FEW and missed > _MISSED)

    return (
        first + 1 if cut(counts[first:], first) else 0,
        last - 1 if cut(counts[:last][::-1], len(counts) - last) else len(counts),
    )


def find_candidates(counts: Floats, sr_bins: int, length: int) -> list[tuple[int, int]]:
    """Bins of what may be peaks, first and one after the last, for counts (n_bins,)."""
    if len(counts) < length:
        return []
    expected = baseline(counts, sr_bins, length)
    N, B = (sliding_window_view(x, sr_bins).sum(axis=-1) for x in (counts, expected))
    Z = counting_Z(N, B, _SIDEBAND_ERROR * np.sqrt(B))
    ranges: list[tuple[int, int]] = []
    while Z.max(initial=0) >= _CANDIDATE:
        at = int(Z.argmax())
        first, last = find_extent(counts, expected, at, at + sr_bins)
        ranges = merge_range(ranges, first, last)
        Z[max(first - sr_bins + 1, 0) : last] = 0
    return ranges


def merge_range(ranges: list[tuple[int, int]], first: int, last: int) -> list[tuple[int, int]]:
    """With one more: what is within two bins of a known peak is its tail."""
    near = [r for r in ranges if r[0] <= last + 2 and first <= r[1] + 2]
    whole = (min([first, *(r[0] for r in near)]), max([last, *(r[1] for r in near)]))
    return [r for r in ranges if r not in near] + [whole]


def find_extent(counts: Floats, expected: Floats, first: int, last: int) -> tuple[int, int]:
    """Bins of a peak: outwards while three in a row are not back at the background."""
    high = counts > expected + 1.5 * np.sqrt(expected + 1)
    while first > 0 and high[max(first - 3, 0) : first].any():
        first -= 1
    while last < len(counts) and high[last : last + 3].any():
        last += 1
    return max(first - 1, 0), min(last + 1, len(counts))


def baseline(counts: Floats, sr_bins: int, length: int) -> Floats:
    """Expectation of every bin (n_bins,) by fits to ``length`` bins that leave out what is high.

    Where nothing fits, the counts themselves: nothing stands out there.
    """
    n = np.ascontiguousarray(sliding_window_view(counts, length))
    curves = np.zeros(n.shape)
    todo = np.arange(len(n))
    for degree in _DEGREES:
        series = Series(series_rows(length, degree))
        curves[todo], good = _clip(n[todo], series, sr_bins)
        todo = todo[~good]
    fits = np.ones(len(n), bool)
    fits[todo] = False
    return stitch(curves, fits, np.zeros(len(n)), len(counts), counts)


def _clip(n: Floats, series: Series, sr_bins: int) -> tuple[Floats, NDArray[np.bool_]]:
    """Fits without the bins above them, and whether what is left agrees with them."""
    degree = np.full(len(n), series.terms - 1)
    kept: Floats = np.ones(n.shape)
    theta: Floats | None = None
    for _ in range(_ROUNDS):
        theta = series.fit(n, kept, degree, theta)
        expected = series.expected(theta)
        now = (~(_high(n, expected, 1) | _high(n, expected, sr_bins))).astype(np.float64)
        settled = (now == kept).all()
        kept = now
        if settled:
            break
    bins = kept.sum(axis=1)
    chi2, variance = pearson(n, expected, kept)
    p_fit = p_of_fit(chi2, np.maximum(bins - series.terms, 1), variance)
    return expected, (p_fit >= _FIT_LEVEL) & (bins >= max(n.shape[1] / 2, series.terms + 7))


def _high(n: Floats, expected: Floats, bins: int) -> NDArray[np.bool_]:
    """Bins of runs of so many that are too high as a whole."""
    N, B = (sliding_window_view(x, bins, axis=1).sum(axis=-1) for x in (n, expected))
    runs = np.pad(_HIGH * np.sqrt(np.maximum(B, 1)) < N - B, ((0, 0), (bins - 1, bins - 1)))
    return np.asarray(sliding_window_view(runs, bins, axis=1).any(axis=-1))


def stitch(
    curves: Floats, fits: NDArray[np.bool_], faint: Floats, n_bins: int, otherwise: Floats
) -> Floats:
    """One curve of those of overlapping windows (n_windows, length), mostly of their middles.

    Windows that do not fit weigh ``faint``, zeros nothing; bins of no window are ``otherwise``.
    """
    length = curves.shape[1]
    middle = (length - 1) / 2
    shape = (1 - np.abs(np.arange(length) - middle) / (middle + 1)) ** 4
    weight = np.where(fits, 1.0, faint)[:, None] * shape * (curves > 0)
    total, weights = np.zeros((2, n_bins))
    bins = np.arange(len(curves))[:, None] + np.arange(length)
    np.add.at(total, bins, weight * curves)
    np.add.at(weights, bins, weight)
    return np.asarray(np.where(weights > 0, total / np.where(weights > 0, weights, 1), otherwise))
