"""Peaks in the sidebands: the Crystal Ball itself, what is found, and what must not be."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from fastjag.statistics import CrystalBall, Window, fit_background, fit_peaks

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


def test_errors():
    with pytest.raises(ValueError, match="equal width only"):
        fit_peaks(np.ones(3), np.ones(3), window=Window(5, 9, 10.6, 16, 8, logarithmic=True))
    narrow = Window(8, 9, 10, 11, sr_edges=9)
    with pytest.raises(ValueError, match=r"16 sideband bins cannot fix .*degree 9 and 1 peaks"):
        fit_peaks(np.ones(8), np.ones(8), window=narrow, degree=9)
    with pytest.raises(ValueError, match="left must be 27 finite numbers"):
        fit_peaks(np.ones(3), np.ones(37), window=UPSILON)
