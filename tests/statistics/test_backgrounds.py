"""Least-squares backgrounds, masses drawn from them, and cuts at given sideband rates."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from fastjag.statistics import (
    BackgroundFit,
    CrystalBall,
    Window,
    fit_background,
    sideband_cuts,
    significance,
)
from fastjag.statistics.backgrounds import least_squares

UPSILON = Window(5, 9, 10.6, 16, sr_edges=12)


def falling_counts(seed=1):
    rng = np.random.default_rng(seed)
    expected = 300 * np.exp(-(UPSILON.centers - 5) / 6)
    return np.split(rng.poisson(expected).astype("f8"), [len(UPSILON.left) - 1])


def test_published_spectra(cases):
    for case in json.loads((cases / "significance_cases.json").read_text())["cases"]:
        window = Window(5, 9, 10.6, 16, case["n_edges_SR"])
        fit = fit_background(
            case["SB_left"], case["SB_right"], window=window, degree=case["degree"]
        )
        inner = (window.signal[:-1] + window.signal[1:]) / 2
        centers = np.sort(np.r_[window.centers, inner])
        expected = np.array(case["wls_fit_at_all_centers"])
        assert fit.chi2 == pytest.approx(case["wls_chi2"], rel=1e-9)
        # The published curves of degree 7 are near the minimum, not at it.
        tolerance = (2e-5 if case["degree"] < 7 else 2e-3) * np.abs(expected).max()
        np.testing.assert_allclose(fit(centers), expected, atol=tolerance)
        assert fit.dof == len(window.centers) - case["degree"] - 1


def test_same_as_curve_fit():
    """scipy's curve_fit on monomials, with its scaled covariance."""
    from scipy.optimize import curve_fit

    left, right = falling_counts()
    fit = fit_background(left, right, window=UPSILON, degree=2)
    y = np.r_[left, right]
    theta, covariance = curve_fit(
        lambda m, a, b, c: a + b * m + c * m * m, UPSILON.centers, y, sigma=np.sqrt(y + 1)
    )
    m = np.linspace(5, 16, 7)
    rows = np.stack([np.ones_like(m), m, m * m], axis=1)
    np.testing.assert_allclose(fit(m), rows @ theta, rtol=1e-6)
    expected = np.sqrt(np.einsum("ni,ij,nj->n", rows, covariance, rows))
    np.testing.assert_allclose(fit.error(m), expected, rtol=1e-4)


def test_weights():
    left, right = falling_counts()
    plain = fit_background(left, right, window=UPSILON)
    same = fit_background(left, right, window=UPSILON, variances=(left, right))
    np.testing.assert_array_equal(plain.coefficients, same.coefficients)
    w = 1000.0  # so large that the 1 in the error is nothing
    scaled = fit_background(
        w * left, w * right, window=UPSILON, variances=(w * w * (left + 1), w * w * (right + 1))
    )
    np.testing.assert_allclose(scaled(UPSILON.centers), w * plain(UPSILON.centers), rtol=1e-6)


def test_expected_yield_is_close_to_the_likelihoods():
    left, right = falling_counts()
    fit = fit_background(left, right, window=UPSILON, degree=3)
    best = significance(left, 0, right, window=UPSILON, degree=3)
    assert fit.expected == pytest.approx(float(best.B), rel=0.02)
    inner = (UPSILON.signal[:-1] + UPSILON.signal[1:]) / 2
    assert fit.expected == pytest.approx(fit(inner).sum(), rel=1e-3)


@pytest.mark.parametrize("degree", [0, 1, 3, 5])
def test_drawn_masses_follow_the_polynomial(degree):
    left, right = falling_counts()
    fit = fit_background(left, right, window=UPSILON, degree=degree)
    masses = fit.draw(20_000, seed=7)
    assert masses.min() >= 9
    assert masses.max() <= 10.6
    grid = np.linspace(9, 10.6, 2001)
    density = fit(grid)
    cdf = np.r_[0, np.cumsum((density[1:] + density[:-1]) / 2)]
    result = stats.kstest(masses, lambda m: np.interp(m, grid, cdf / cdf[-1]))
    assert result.pvalue > 1e-3
    np.testing.assert_array_equal(masses, fit.draw(20_000, seed=7))
    assert len(fit.draw(0, seed=7)) == 0


def test_a_negative_background_draws_nothing():
    left = np.full(27, 100.0)
    right = np.full(37, 100.0)
    left[-6:] = 0
    right[:8] = 0
    fit = fit_background(left, right, window=UPSILON, degree=4)
    with pytest.raises(ValueError, match=r"negative between 9 and 10\.6 GeV: use a lower"):
        fit.draw(10, seed=1)


def made(*coefficients, peaks=()):
    """A fit with these coefficients of the Legendre series."""
    theta = np.array(coefficients, float)
    size = len(theta) + len(peaks)
    return BackgroundFit(UPSILON, theta, np.eye(size), 1.0, 1, tuple(peaks))


def test_a_background_may_touch_zero():
    """Exactly at the end of the range; and be negative beyond, where nothing is drawn."""
    masses = made(1, -1).draw(2000, 1, 5, 16)
    assert masses.mean() == pytest.approx(5 + 11 / 3, abs=0.3)  # of a falling line
    # (x - 0.8)² - 0.05 turns below zero at 14.9 GeV.
    beyond = np.polynomial.legendre.poly2leg([0.59, -1.6, 1])
    assert len(made(*beyond).draw(10, 1)) == 10
    with pytest.raises(ValueError, match="negative between 9 and 16 GeV"):
        made(*beyond).draw(10, 1, high=16)
    with pytest.raises(ValueError, match="use a lower degree than 2"):
        made(*beyond).draw(10, 1, 12, 16)


def test_peaks_are_part_of_the_background():
    """In the curve, its integral, its error and what is drawn."""
    peaks = CrystalBall(7, 0.2, events=300), CrystalBall(13, 0.3, events=200)
    plain, fit = made(50, -20, 5), made(50, -20, 5, peaks=peaks)
    m = np.array([6.9, 7.0, 9.7, 13.2])
    per_bin = UPSILON.bin_width
    np.testing.assert_allclose(fit(m) - plain(m), per_bin * sum(p(m) for p in peaks), rtol=1e-12)
    for low, high in ((6, 8), (9, 10.6), (5, 16)):
        total, _ = integrate.quad(lambda x: fit([x])[0] / per_bin, low, high, limit=400)
        assert fit.between(low, high) == pytest.approx(total, rel=1e-6)
        assert plain.between(low, high) < fit.between(low, high)
    assert fit.expected == fit.between(9, 10.6)
    x = (m - 10.5) / 5.5
    rows = np.stack([x**0, x, 1.5 * x * x - 0.5, *(per_bin * p(m) / p.events for p in peaks)])
    np.testing.assert_allclose(fit.error(m), np.sqrt((rows**2).sum(axis=0)), rtol=1e-9)
    np.testing.assert_array_equal(fit.error(m.reshape(2, 2)), fit.error(m).reshape(2, 2))
    drawn = fit.draw(20_000, 3, 5, 16)
    share = fit.between(6.6, 7.4) / fit.between(5, 16)
    assert np.mean(abs(drawn - 7) < 0.4) == pytest.approx(share, abs=0.015)


def test_one_degree_of_freedom():
    window = Window(8, 9, 10, 11, 3)  # 2 + 2 bins
    fit = fit_background([4, 3], [2, 2], window=window, degree=2)
    assert fit.dof == 1
    assert fit.chi2 > 0
    with pytest.raises(ValueError, match="4 sideband bins cannot fix a polynomial of degree 3"):
        fit_background([4, 3], [2, 2], window=window, degree=3)


def test_least_squares_is_that_of_the_normal_equations():
    rng = np.random.default_rng(4)
    design, y, sigma = rng.normal(size=(9, 3)), rng.normal(size=9), rng.uniform(1, 2, 9)
    theta, covariance, chi2 = least_squares(design, y, sigma)
    weighted = design / sigma[:, None]
    inverse = np.linalg.inv(weighted.T @ weighted)
    np.testing.assert_allclose(covariance, inverse, rtol=1e-10)
    np.testing.assert_allclose(theta, inverse @ weighted.T @ (y / sigma), rtol=1e-10)
    assert chi2 == pytest.approx((((y - design @ theta) / sigma) ** 2).sum(), rel=1e-12)


def slow_cuts(scores, sideband, rates, candidates):
    cuts = np.linspace(scores.min(), scores.max(), candidates)
    shares = np.array([(scores[sideband] >= cut).mean() for cut in cuts])
    best = [int(np.argmin(np.abs(shares - rate))) for rate in rates]
    return cuts[best], shares[best]


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 2, 50]))
def test_cuts_are_those_of_the_definition(seed, n):
    rng = np.random.default_rng(seed)
    scores = np.round(rng.random(n), 2)
    sideband = rng.random(n) < 0.7
    sideband[0] = True
    rates = [1, 0.5, 0.1, 0.003]
    found = sideband_cuts(scores, sideband, rates, candidates=37)
    expected = slow_cuts(scores, sideband, rates, 37)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_smallest_cuts():
    cuts, shares = sideband_cuts([1, 2], np.ones(2, bool), [1, 0.5], candidates=2)
    assert (cuts.tolist(), shares.tolist()) == ([1, 2], [1, 0.5])


def test_published_cuts(cases):
    expected = json.loads((cases / "weighted_synthetic.json").read_text())
    masses = np.sort(np.load(cases / "masses_OS.npz")["OS_0"])
    u = np.modf(0.5 + np.arange(len(masses)) * 0.6180339887498949)[0]
    bump = np.exp(-0.5 * ((masses - 9.46) / 0.12) ** 2)
    scores = np.clip(0.15 + 0.42 * u**3 + 0.25 * u * bump, 1e-6, 1 - 1e-6)
    points = list(expected["cuts"].items())
    sideband = (masses < 9) | (masses > 10.6)
    cuts, rates = sideband_cuts(scores, sideband, [float(rate) for rate, _ in points])
    counts = [UPSILON.count(masses[scores >= cut]) for cut in cuts]
    found = significance(
        np.stack([c.left for c in counts]), np.stack([c.signal for c in counts]),
        np.stack([c.right for c in counts]), window=UPSILON,
    )  # fmt: skip
    for i, (_, point) in enumerate(points):
        assert cuts[i] == pytest.approx(point["cut"], rel=1e-12)
        assert rates[i] == pytest.approx(point["fpr"], rel=1e-12)
        assert counts[i].signal == point["n_SR"]
        assert found.Z[i] == pytest.approx(point["Z_converged"], abs=1e-6)


def sides(count, variance=None):
    """A fit with one such bin."""
    left, squares = np.ones(27), np.ones(27)
    left[5], squares[5] = count, 1 if variance is None else variance
    fit_background(
        left, np.ones(37), window=UPSILON,
        variances=None if variance is None else (squares, np.ones(37)),
    )  # fmt: skip


def test_negative_sums_of_weights():
    """Allowed with their variances, and of no influence where those are large."""
    left, right = falling_counts()
    v = left + 1.0, right + 1.0
    plain = fit_background(left, right, window=UPSILON, degree=2, variances=v)
    left[3], v[0][3] = -500.0, 1e12
    odd = fit_background(left, right, window=UPSILON, degree=2, variances=v)
    np.testing.assert_allclose(odd(UPSILON.centers), plain(UPSILON.centers), rtol=0.05)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fit_background(np.ones(3), np.ones(37), window=UPSILON), "left must be 27 finite"),
        (lambda: fit_background(np.ones(27), np.full(37, np.nan), window=UPSILON), "right must be"),
        (
            lambda: fit_background(np.ones(27), np.ones(37), window=UPSILON, degree=63),
            "64 sideband",
        ),
        (lambda: sides(-1.0), "left must be 27 finite numbers, not negative, .* with -1"),
        (lambda: sides(1.0, -0.5), "variances of left must be 27 .*not negative, .* with -0.5"),
        (lambda: sides(1.0, np.nan), r"variances of left must .* got shape \(27,\) with nan"),
        (lambda: sides(np.inf, 1.0), "left must be 27 finite numbers for .* with inf"),
        (
            lambda: fit_background(
                np.ones(27), np.ones(37), window=UPSILON, variances=(np.ones(27), 1.0)
            ),
            r"variances of right must be 37 .*, got shape \(\)",
        ),
        (lambda: sideband_cuts([1, np.nan], [True, True], [0.5]), "scores must be finite"),
        (lambda: sideband_cuts([1, 2], np.zeros(2, bool), [0.5]), "none of the events"),
        (lambda: sideband_cuts([1, 2], np.ones(2, bool), [0]), "rates must be above 0"),
        (lambda: sideband_cuts([1, 2], np.ones(2, bool), [0.5, 1.001]), "rates must be above 0"),
        (lambda: sideband_cuts([1, 2], np.ones(2, bool), [0.5, np.nan]), "rates must be above 0"),
        (lambda: sideband_cuts([[1, 2]], np.ones(2, bool), [0.5]), "scores must be finite"),
        (lambda: sideband_cuts([], np.ones(0, bool), [0.5]), "scores must be finite"),
        (lambda: sideband_cuts([1, 2], np.ones(2, bool), [0.5], candidates=1), "candidates must"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
