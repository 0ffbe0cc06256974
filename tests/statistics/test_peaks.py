"""Peaks in the sidebands: the Crystal Ball itself, what is found, and what must not be."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from fastjag.statistics import CrystalBall, Window, fit_background, fit_peaks
from fastjag.statistics.peaks import _f_test, _in_bins, _limits, _starts

UPSILON = Window(5, 9, 10.6, 16, sr_edges=12)
N_LEFT = len(UPSILON.left) - 1


def smooth(events=12_000):
    e = np.exp(-(UPSILON.centers - 5) / 6)
    return events * e / e.sum()


def in_bins(peak):
    return np.concatenate([peak.between(e[:-1], e[1:]) for e in (UPSILON.left, UPSILON.right)])


def fitted(counts, **options):
    return fit_peaks(*np.split(counts, [N_LEFT]), window=UPSILON, **options)


def textbook(m, mean, sigma, alpha_l, n_l, alpha_r, n_r, events):
    """The published formula, with its powers."""
    t = (m - mean) / sigma
    a_l, b_l = (n_l / alpha_l) ** n_l * np.exp(-(alpha_l**2) / 2), n_l / alpha_l - alpha_l
    a_r, b_r = (n_r / alpha_r) ** n_r * np.exp(-(alpha_r**2) / 2), n_r / alpha_r - alpha_r
    if t < -alpha_l:
        height = a_l * (b_l - t) ** -n_l
    elif t > alpha_r:
        height = a_r * (b_r + t) ** -n_r
    else:
        height = np.exp(-t * t / 2)
    from math import erf, pi, sqrt

    norm = sigma * (
        a_l * (alpha_l + b_l) ** (1 - n_l) / (n_l - 1)
        + a_r * (alpha_r + b_r) ** (1 - n_r) / (n_r - 1)
        + sqrt(pi / 2) * (erf(alpha_l / sqrt(2)) + erf(alpha_r / sqrt(2)))
    )
    return events * height / norm


shapes = st.tuples(
    st.floats(6, 12), st.floats(0.01, 0.5), st.floats(0.3, 4), st.floats(1.2, 30),
    st.floats(0.3, 4), st.floats(1.2, 30), st.floats(1, 1e4),
)  # fmt: skip


@settings(max_examples=40)
@given(shapes, st.floats(-20, 20))
def test_same_as_the_formula(shape, t):
    m = shape[0] + t * shape[1]
    assert CrystalBall(*shape)(m) == pytest.approx(textbook(m, *shape), rel=1e-9)


@settings(max_examples=25)
@given(shapes, st.floats(-8, 8), st.floats(-8, 8))
def test_integrals(shape, one, other):
    """Between any two masses as by quadrature; all of it is the number of events."""
    peak = CrystalBall(*shape)
    low, high = sorted(peak.mean + t * peak.sigma for t in (one, other))
    joins = [peak.mean - peak.alpha_left * peak.sigma, peak.mean + peak.alpha_right * peak.sigma]
    inner = [m for m in (peak.mean, *joins) if low < m < high]
    expected, _ = integrate.quad(peak, low, high, points=inner or None, epsabs=1e-10)
    assert peak.between(low, high) == pytest.approx(expected, rel=1e-7, abs=1e-7)
    # Tails of n = 1.2 fall as x^-0.2 only: far out, 1e30 of its widths.
    assert peak.between(-1e30, 1e30) == pytest.approx(peak.events, rel=1e-5)


def test_large_powers_do_not_overflow():
    gauss = stats.norm(8, 0.1)
    peak = CrystalBall(8, 0.1, 4, 1e6, 4, 1e6, 1)
    m = np.linspace(7.6, 8.4, 11)
    np.testing.assert_allclose(peak(m), gauss.pdf(m), rtol=2e-3)


def test_injected_peaks_are_recovered():
    peaks = [CrystalBall(7, 0.12, 2, 5, 2, 5, 500), CrystalBall(13, 0.2, 2, 5, 2, 5, 500)]
    counts = np.random.default_rng(3).poisson(smooth() + sum(in_bins(p) for p in peaks))
    found = fitted(counts)
    assert len(found.chosen.peaks) == 2
    assert max(found.p_values) < 0.01
    for peak, true in zip(sorted(found.chosen.peaks), peaks, strict=True):
        assert peak.mean == pytest.approx(true.mean, abs=0.06)
        assert peak.sigma == pytest.approx(true.sigma, rel=0.35)
        assert peak.between(5, 16) == pytest.approx(true.events, rel=0.3)
    # The signal region gets what the polynomial and the tails say, masses are drawn from both.
    inner = (UPSILON.signal[1:] + UPSILON.signal[:-1]) / 2
    assert found.chosen.expected == pytest.approx(found.chosen(inner).sum(), rel=1e-3)
    true = np.exp(-(inner - 5) / 6).sum() / np.exp(-(UPSILON.centers - 5) / 6).sum() * 12_000
    assert found.chosen.expected == pytest.approx(
        true + sum(p.between(9, 10.6) for p in peaks), rel=0.06
    )
    masses = found.chosen.draw(20_000, 5, 5, 16)
    grid = np.linspace(5, 16, 4001)
    density = found.chosen(grid)
    cdf = np.r_[0, np.cumsum((density[1:] + density[:-1]) / 2)]
    assert stats.kstest(masses, lambda m: np.interp(m, grid, cdf / cdf[-1])).pvalue > 1e-3
    near = abs(masses - 7) < 0.15
    plain = fit_background(*np.split(counts, [N_LEFT]), window=UPSILON).draw(20_000, 5, 5, 16)
    assert near.sum() > 1.2 * (abs(plain - 7) < 0.15).sum()
    assert found.chosen.error([7.0]) > found.chosen._replace(
        peaks=(), covariance=found.chosen.covariance[:6, :6]
    ).error([7.0])


def test_smooth_spectra_have_no_peaks():
    """About 5 % of them get one, as the F test says: here of 8, at most 2 (more are a chance of 0.6 %)."""
    rng = np.random.default_rng(6)
    choices = [fitted(rng.poisson(smooth()), most=1) for _ in range(8)]
    accepted = sum(len(c.chosen.peaks) for c in choices)
    assert accepted <= 2
    for choice in choices:
        assert choice.fits[1].chi2 <= choice.fits[0].chi2
        assert choice.fits[0].dof - choice.fits[1].dof == 7
        assert (choice.p_values[0] <= 0.05) == bool(choice.chosen.peaks)


def test_without_peaks_it_is_the_polynomial():
    counts = np.random.default_rng(6).poisson(smooth())
    plain = fit_background(*np.split(counts, [N_LEFT]), window=UPSILON)
    found = fitted(counts, most=0).chosen
    assert (found.chi2, found.expected, found.peaks) == (plain.chi2, plain.expected, ())
    np.testing.assert_array_equal(found.coefficients, plain.coefficients)


def test_without_noise_the_truth_is_found():
    """To the last digits that the minimiser is asked for, in shape, events and polynomial."""
    true = CrystalBall(7, 0.3, 1.2, 4, 1.6, 6, 800)
    theta = np.array([150.0, -60.0, 12.0])
    plain = np.polynomial.legendre.legvander((UPSILON.centers - 10.5) / 5.5, 2) @ theta
    found = fitted(plain + in_bins(true), degree=2, most=1)
    (peak,) = found.chosen.peaks
    np.testing.assert_allclose(peak[:2], true[:2], rtol=1e-3)
    np.testing.assert_allclose(peak[2:6], true[2:6], rtol=0.2)
    assert peak.events == pytest.approx(800, rel=5e-3)
    np.testing.assert_allclose(found.chosen.coefficients, theta, rtol=0.01)
    assert found.chosen.chi2 < 1e-3 * found.fits[0].chi2
    assert found.p_values[0] < 1e-6


def test_covariance_is_that_of_the_columns():
    counts = np.random.default_rng(3).poisson(smooth() + in_bins(CrystalBall(13, 0.2, events=500)))
    fit = fitted(counts, most=1).chosen
    (peak,) = fit.peaks
    assert peak.mean == pytest.approx(13, abs=0.1)  # the better of the two starts
    design = np.column_stack([
        np.polynomial.legendre.legvander((UPSILON.centers - 10.5) / 5.5, 5),
        in_bins(peak._replace(events=1.0)),
    ])  # fmt: skip
    weighted = design / np.sqrt(counts + 1)[:, None]
    expected = np.linalg.inv(weighted.T @ weighted) * fit.chi2 / fit.dof
    np.testing.assert_allclose(fit.covariance, expected, rtol=1e-6)
    residuals = counts - design @ np.r_[fit.coefficients, peak.events]
    assert fit.chi2 == pytest.approx((residuals**2 / (counts + 1)).sum(), rel=1e-9)
    # Least squares: no other coefficients of these columns are better.
    np.testing.assert_allclose(weighted.T @ (residuals / np.sqrt(counts + 1)), 0, atol=1e-6)
    # It stays in its sideband, with the tails of a peak.
    assert 10.6 <= peak.mean <= 16
    assert UPSILON.bin_width / 3 <= peak.sigma <= 5.4 / 6
    assert all(0.8 <= a <= 5 for a in (peak.alpha_left, peak.alpha_right))
    assert all(2 <= n <= 50 for n in (peak.n_left, peak.n_right))


def test_dips_are_no_peaks():
    """Beside an empty bin a peak of negative events would improve most: none is left of it."""
    counts = np.round(smooth())
    counts[15] = 0
    plain, other = fitted(counts, most=1, level=1.0).fits
    (peak,) = other.peaks
    assert peak.events == 0
    assert other.chi2 == pytest.approx(plain.chi2, rel=1e-9)
    np.testing.assert_allclose(other.coefficients, plain.coefficients, rtol=1e-9)
    assert (other.covariance[6] == 0).all()
    assert (other.covariance[:, 6] == 0).all()
    scale = plain.dof / other.dof
    np.testing.assert_allclose(other.covariance[:6, :6], plain.covariance * scale, rtol=1e-6)


def test_an_exact_polynomial_has_no_peak():
    counts = np.full(len(UPSILON.centers), 100.0)
    found = fitted(counts, degree=0)
    assert found.chosen.peaks == ()
    assert found.p_values[0] > 0.5
    assert found.fits[1].dof == found.fits[0].dof - 7


class TestFTest:
    def fits(self, reduced, full):
        plain = fit_background(*np.split(smooth(), [N_LEFT]), window=UPSILON)
        return (plain._replace(chi2=reduced, dof=58), plain._replace(chi2=full, dof=51))

    def test_is_that_of_the_distribution(self):
        F = (80 - 55) / 7 / (55 / 51)
        assert _f_test(*self.fits(80.0, 55.0)) == pytest.approx(stats.f.sf(F, 7, 51), rel=1e-10)

    def test_no_improvement_and_a_perfect_one(self):
        assert _f_test(*self.fits(80.0, 80.0)) == 1
        assert _f_test(*self.fits(80.0, 81.0)) == 1
        assert _f_test(*self.fits(80.0, 0.0)) == 0


class TestStarts:
    def flat(self, peaks=()):
        """Ten events more than there are in most bins: only what we put there stands out."""
        fit = fit_background(np.ones(27), np.ones(37), window=UPSILON, degree=0)
        return fit._replace(coefficients=np.array([110.0]), peaks=peaks)

    def starts(self, bumps):
        fit, y = self.flat(), np.full(len(UPSILON.centers), 100.0)
        for at, height in bumps.items():
            y[at] += height
        return _starts(fit, y, np.sqrt(y + 1))

    def test_the_two_highest(self):
        found = self.starts({5: 60, 15: 40, 40: 80})
        assert found == [UPSILON.centers[40], UPSILON.centers[5]]

    def test_neighbours_count(self):
        """Three bins of 40 stand out more than one of 70."""
        found = self.starts({5: 70, 39: 40, 40: 42, 41: 40})
        assert found == [UPSILON.centers[40], UPSILON.centers[5]]

    def test_ends_of_sidebands(self):
        ends = {0: 90, N_LEFT - 1: 60}
        assert self.starts(ends) == [UPSILON.centers[0], UPSILON.centers[N_LEFT - 1]]
        ends = {N_LEFT: 90, len(UPSILON.centers) - 1: 60}
        assert self.starts(ends) == [UPSILON.centers[N_LEFT], UPSILON.centers[-1]]

    def test_nothing_above(self):
        assert self.starts({5: -60}) == []

    def test_those_in_the_fit_do_not_stand_out(self):
        peak = CrystalBall(7, 0.3, events=400)
        fit, y = self.flat((peak,)), 100 + in_bins(peak)
        y[50] += 60
        np.testing.assert_allclose(_in_bins(fit), 110 + in_bins(peak), rtol=1e-12)
        assert _starts(fit, y, np.sqrt(y + 1)) == [UPSILON.centers[50]]


def test_limits_are_those_of_the_sideband():
    width = UPSILON.bin_width / 3
    tails = [(0.8, 5.0), (2.0, 50.0)] * 2
    assert _limits(7, UPSILON) == [(5, 9), (width, (9 - 5) / 6), *tails]
    assert _limits(12, UPSILON) == [(10.6, 16), (width, (16 - 10.6) / 6), *tails]


def test_the_least_bins_for_a_peak():
    """One degree of freedom is left."""
    window = Window(8, 9, 10, 11, sr_edges=9)  # 8 + 8 bins
    counts = np.full(16, 50.0)
    counts[3] += 60
    found = fit_peaks(*np.split(counts, [8]), window=window, degree=7, most=1)
    assert found.fits[1].dof == 1
    with pytest.raises(
        ValueError, match="16 sideband bins cannot fix a polynomial of degree 8 and 1"
    ):
        fit_peaks(*np.split(counts, [8]), window=window, degree=8, most=1)


def test_errors():
    with pytest.raises(ValueError, match="most must be an integer >= 0"):
        fitted(smooth(), most=-1)
    with pytest.raises(ValueError, match="equal width only"):
        fit_peaks(np.ones(3), np.ones(3), window=Window(5, 9, 10.6, 16, 8, logarithmic=True))
    narrow = Window(8, 9, 10, 11, sr_edges=9)
    with pytest.raises(ValueError, match=r"16 sideband bins cannot fix .*degree 9 and 1 peaks"):
        fit_peaks(np.ones(8), np.ones(8), window=narrow, degree=9)
    with pytest.raises(ValueError, match="left must be 27 finite numbers"):
        fit_peaks(np.ones(3), np.ones(37), window=UPSILON)
