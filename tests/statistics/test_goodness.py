"""Bad fits are called bad: probabilities of chi2 and the words for them."""

import math

import numpy as np
import pytest
from scipy import stats

from fastjag.statistics import (
    Window,
    bad_fits,
    fit_probability,
    fit_warning,
    sideband_chi2,
    significance,
)
from fastjag.statistics.goodness import merge_bins, weighted_chi2

WINDOW = Window(5, 9, 10.6, 16, sr_edges=6)


@pytest.mark.parametrize(("chi2", "dof"), [(0, 1), (3.84, 1), (22, 22), (159, 22), (88, 15)])
def test_probability(chi2, dof):
    assert fit_probability(chi2, dof) == pytest.approx(stats.chi2.sf(chi2, dof), rel=1e-9)


def test_hostile_chi2():
    assert math.isnan(fit_probability(3, 0))
    assert fit_warning(3, 0) == ""
    assert fit_probability(-1e-12, 3) == 1  # rounding
    for chi2 in (math.nan, math.inf, 1e9):
        assert fit_warning(chi2, 5) == "! bad fit, p < 1e-300"


def test_words():
    border = stats.chi2.isf(1e-3, 10)
    assert fit_warning(border * 0.999, 10) == ""
    assert fit_warning(border * 1.001, 10) == "! bad fit, p = 0.001"
    assert fit_warning(159, 22) == "! bad fit, p = 9e-23"
    assert bad_fits({"a": (10, 10)}) == ""
    assert bad_fits({}) == ""
    said = bad_fits({"peak": (159, 22), "good": (9, 9), "tail": (88, 15)})
    assert said.startswith("! Bad fits")
    assert "peak (p = 9e-23), tail (p = 2e-12)" in said
    assert "good" not in said


def spectra(per_bin, n, seed=1, shape=lambda m: np.exp(-(m - 5) / 8)):
    """Poisson counts of the sidebands of a smooth spectrum, and their fits."""
    expected = per_bin * shape(WINDOW.centers)
    counts = np.random.default_rng(seed).poisson(expected, (n, len(expected)))
    left, right = np.split(counts, [len(WINDOW.left) - 1], axis=1)
    found = significance(left, np.full(n, per_bin), right, window=WINDOW, degree=3)
    return left, right, found.coefficients


@pytest.mark.parametrize("per_bin", [3, 8, 5000])
def test_chi2_of_a_right_fit_follows_its_distribution(per_bin):
    """One in 20 has a probability below 5 %; with few events, few are called bad."""
    p = [fit_probability(*sideband_chi2(*x, window=WINDOW))
         for x in zip(*spectra(per_bin, 300), strict=True)]  # fmt: skip
    assert (np.array(p) < 1e-3).sum() <= 2
    if per_bin > 5:
        assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=0.045)
        assert np.mean(p) == pytest.approx(0.5, abs=0.09)


def test_chi2_of_a_wrong_fit():
    left, right, coefficients = spectra(5000, 1, shape=lambda m: 1 + 0.2 * np.sin(4 * m))
    assert fit_warning(*sideband_chi2(left[0], right[0], coefficients[0], window=WINDOW))
    _, few = sideband_chi2(*(x[0] for x in spectra(0.2, 1)), window=WINDOW)
    assert few < 1  # too few events to judge by


def test_chi2_of_weights():
    """Equal weights change nothing: bins are scaled to the numbers of events."""
    left, right, coefficients = (x[0] for x in spectra(50, 1))
    plain = sideband_chi2(left, right, coefficients, window=WINDOW)
    w = 0.3
    weighted = sideband_chi2(w * left, w * right, w * coefficients, window=WINDOW,
                             variances=(w * w * left, w * w * right))  # fmt: skip
    assert weighted == pytest.approx(plain)
    # Without merging this is the textbook's sum.
    left, right, coefficients = (x[0] for x in spectra(5000, 1))
    found = significance(left, 0, right, window=WINDOW, degree=3)
    expected = np.polynomial.legendre.legval((WINDOW.centers - 10.5) / 5.5, found.coefficients)
    n = np.r_[left, right]
    chi2 = ((n - expected) ** 2 / expected).sum()
    assert sideband_chi2(left, right, found.coefficients, window=WINDOW) == pytest.approx(
        (chi2, len(n) - 4)
    )


def test_weighted_chi2():
    """That of counts, for one weight; a group has its own mean weight, and at least five events expected."""
    rng = np.random.default_rng(1)
    expected = np.r_[np.full(20, 30.0), 20 * np.exp(-np.arange(12.0)), -1.0]
    n = rng.poisson(np.maximum(expected, 0)).astype(float)
    merged, means = merge_bins(n, np.maximum(expected, 0))
    chi2, groups = weighted_chi2(3 * n, 9 * n, 3 * expected)
    assert groups == len(means) == 22
    assert chi2 == pytest.approx(((merged - means) ** 2 / means).sum(), rel=1e-12)
    # Half of the events weigh 1, half 3, in each of two bins: s = 20 / 8 = 2.5.
    assert weighted_chi2(np.full(2, 80.0), np.full(2, 200.0), np.full(2, 90.0)) == (
        pytest.approx(2 * 100 / (2.5 * 90)), 2
    )  # fmt: skip
