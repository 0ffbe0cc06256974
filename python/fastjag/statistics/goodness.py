"""Whether a fit describes its data, and the words for where it does not."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from fastjag.statistics.likelihood import background
from fastjag.statistics.windows import Floats, Window

_LEAST = 5.0  # events expected in a bin below which Pearson's chi2 does not follow its distribution
#: A fit whose chi2 has a smaller probability is a bad one.
BAD_FIT = 1e-3


def fit_probability(chi2: float, dof: int) -> float:
    """Chance of at least this chi2 with ``dof`` degrees of freedom, of a model that is right.

    NaN where there is no degree of freedom to judge by, 0 where chi2 is no finite number.
    """
    if dof < 1:
        return float("nan")
    return float(special.gammaincc(dof / 2, max(chi2, 0) / 2)) if np.isfinite(chi2) else 0.0


def fit_warning(chi2: float, dof: int) -> str:
    """What to print beside the numbers of a bad fit: "! bad fit, p = 1e-22"; "" for a good one."""
    p = fit_probability(chi2, dof)
    if not p < BAD_FIT:
        return ""
    return f"! bad fit, p = {p:.1g}" if p > 0 else "! bad fit, p < 1e-300"


def bad_fits(fits: Mapping[str, tuple[float, int]]) -> str:
    """A sentence for a report's summary that names the bad ones of (chi2, dof); "" without any."""
    words = {name: fit_warning(*fit).removeprefix("! bad fit, ") for name, fit in fits.items()}
    named = ", ".join(f"{name} ({p})" for name, p in words.items() if p)
    return named and (
        f"! Bad fits, whose chi2 has a probability below {BAD_FIT:g}: {named}. The numbers that "
        "come from them cannot be trusted."
    )


def sideband_chi2(
    left: ArrayLike,
    right: ArrayLike,
    coefficients: ArrayLike,
    *,
    window: Window,
    variances: tuple[ArrayLike, ArrayLike] | None = None,
) -> tuple[float, int]:
    """Pearson's chi2 of sideband bins about the fit of :func:`significance`, and its degrees of freedom.

    One spectrum: ``left`` and ``right`` (n_bins,), ``coefficients`` (degree + 1,); ``variances`` are
    the sums of squared weights in left and right. Neighbouring bins are taken together until 5
    events are expected (W. G. Cochran, Biometrics 10 (1954) 417); weighted bins count as
    n' = n / s events with s = sum w² / sum w. Without enough events there is no degree of freedom.
    """
    expected = np.maximum(background(coefficients, window.centers, window), 0)
    counts = np.concatenate([np.asarray(left, np.float64), np.asarray(right, np.float64)])
    if variances is not None:
        squares = np.concatenate([np.asarray(v, np.float64) for v in variances])
        mean = squares.sum() / counts.sum()
        scale = np.where(counts > 0, squares / np.where(counts > 0, counts, 1), mean)
        counts, expected = counts / scale, expected / scale
    chi2, groups, n_left = 0.0, 0, len(window.left) - 1
    for side in (slice(None, n_left), slice(n_left, None)):
        n, e = merge_bins(counts[side], expected[side])
        chi2 += float(((n - e) ** 2 / e).sum())
        groups += len(e)
    return chi2, groups - np.shape(coefficients)[-1]


def weighted_chi2(counts: Floats, variances: Floats, expected: Floats) -> tuple[float, int]:
    """Pearson's chi2 of weighted bins, (n_bins,) each, and the number of groups that it is a sum over.

    Neighbouring bins are taken together until as much is expected as five events of the mean weight
    sum w² / sum w weigh. A group has the mean weight of its own events: that of one bin with a few
    light events would say that the others, too, are light, and known better than they are.
    """
    mean = variances.sum() / counts.sum()
    expected = np.maximum(expected, 0)
    groups = _groups(expected / mean)
    n, v, e = (np.bincount(groups, x) for x in (counts, variances, expected))
    weight = np.where((n > 0) & (v > 0), v / np.where(n > 0, n, 1), mean)
    judged = e > 0
    chi2 = (n - e)[judged] ** 2 / (weight * e)[judged]
    return float(chi2.sum()), int(judged.sum())


def merge_bins(counts: Floats, expected: Floats) -> tuple[Floats, Floats]:
    """Sums over neighbouring bins in which enough is expected; what is left goes to the last one."""
    groups = _groups(expected)
    n, e = (np.bincount(groups, x).astype(np.float64) for x in (counts, expected))
    return n[e > 0], e[e > 0]


def _groups(expected: Floats) -> NDArray[np.int64]:
    groups, total = np.zeros(len(expected), np.int64), 0.0
    for i, e in enumerate(expected[:-1]):
        total += e
        groups[i + 1] = groups[i] + (total >= _LEAST)
        total *= total < _LEAST
    last = groups[-1]
    if expected[groups == last].sum() < _LEAST and last > 0:
        groups[groups == last] = last - 1
    return groups
