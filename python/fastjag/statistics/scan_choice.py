"""The mass scan with the choice of background profiled: families and orders of every window."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.polynomial import legendre
from numpy.typing import NDArray
from scipy import special

from fastjag.statistics.elsewhere import counting_q0
from fastjag.statistics.sidebands import Series, series_rows
from fastjag.statistics.windows import Floats

_PENALTY = 1.0  # of -2 ln L for each parameter (Dauncey et al., JINST 10 (2015) P04015)
_EXPONENTIALS = 4  # highest order of the polynomials in the mass
_FEWEST = 3  # bins in use in each sideband
_SPARE = 3  # bins in use beyond the parameters


def choice_Z(
    n: Floats, w: Floats, region: slice, ratio: float, degree: int
) -> tuple[Floats, NDArray[np.bool_]]:
    """Local significance of ``region`` in windows n (windows, length), and whether there is one.

    Backgrounds are exponentials of polynomials in ln(mass), up to ``degree``, and in the mass; w is 1 in
    bins that they are fitted to. At no signal and at the best one that counts which has the smallest -2 ln L + parameters.
    """
    windows, length = n.shape
    bins = w.sum(axis=1)
    before, after = w[:, : region.start].sum(axis=1), w[:, region.stop :].sum(axis=1)
    possible = (np.minimum(before, after) >= _FEWEST) & (bins >= 2 + _SPARE)
    N = n[:, region].sum(axis=1)
    middle = ratio ** (np.arange(length) - length / 2 + 0.5)
    linear = 2 * (middle - middle[0]) / (middle[-1] - middle[0]) - 1
    lowest, none = np.full(windows, np.inf), np.full(windows, np.inf)
    S = np.zeros(windows)
    mass_rows = np.asarray(legendre.legvander(linear, _EXPONENTIALS), np.float64)
    for series, orders in (
        (Series(series_rows(length, degree)), range(1, degree + 1)),
        # Bins are as wide as their mass.
        (Series(mass_rows, np.log(middle)), range(1, _EXPONENTIALS + 1)),
    ):
        theta: Floats | None = None
        for order in orders:
            of = np.full(windows, order)
            theta = series.fit(n, w, of, theta)
            mean = series.expected(theta)
            deviance = 2 * (w * (mean - n - special.xlogy(n, mean / np.where(n > 0, n, 1)))).sum(
                axis=1
            )
            value = deviance + _PENALTY * (order + 1)
            value[bins < order + 1 + _SPARE] = np.inf
            B = mean[:, region].sum(axis=1)
            free = series.k <= order
            gradient = (mean[:, region, None] * series.rows[region]).sum(axis=1) * free
            spread = np.linalg.solve(series.information(theta, w, of), gradient[:, :, None])[
                :, :, 0
            ]
            error = np.sqrt(np.maximum((gradient * spread).sum(axis=1), 1e-12))
            better = value < lowest
            lowest, S = np.where(better, value, lowest), np.where(better, N - B, S)
            none = np.minimum(none, value + counting_q0(N, B, error))
    good = possible & np.isfinite(lowest)
    Z = np.sqrt(np.maximum(np.where(good & (S > 0), none - np.where(good, lowest, 0), 0), 0))
    return Z, good


def scan_choices(
    counts: Floats, used: NDArray[np.bool_], ratio: float, sr_bins: int, sb_bins: int, degree: int
) -> Floats:
    """:func:`choice_Z` of every window of a scan (windows,), 0 where there is none."""
    length = sr_bins + 2 * sb_bins
    n = np.ascontiguousarray(sliding_window_view(counts, length)[:-1])
    w = sliding_window_view(used, length)[:-1].astype(np.float64)
    w[:, sb_bins : sb_bins + sr_bins] = 0
    Z, good = choice_Z(n, w, slice(sb_bins, sb_bins + sr_bins), ratio, degree)
    return np.where(good, Z, 0.0)


def peak_choice(
    counts: Floats, used: NDArray[np.bool_], peak: tuple[int, int], at: int, ratio: float,
    sr_bins: int, sb_bins: int, degree: int,
) -> float:  # fmt: skip
    """The same of the window whose signal region begins at ``at``, with sidebands beyond its peak."""
    first, last = min(peak[0], at), max(peak[1], at + sr_bins)
    bins = np.arange(first - sb_bins, last + sb_bins)
    inside = np.clip(bins, 0, len(counts) - 1)
    w = ((bins == inside) & used[inside] & ((bins < first) | (bins >= last))).astype(np.float64)
    begin = at - (first - sb_bins)
    Z, good = choice_Z(counts[None, inside], w[None], slice(begin, begin + sr_bins), ratio, degree)
    return float(Z[0]) if good[0] else 0.0
