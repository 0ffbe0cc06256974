"""p-values from toys: calibrated, of single spectra, of curves of cuts, of weighted events."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import special, stats

from fastjag.statistics import Window, significance, toy_curve, toy_weighted
from fastjag.statistics.likelihood import null_expectation

WINDOW = Window(5, 9, 10.6, 16, sr_edges=6)
N_LEFT, N_RIGHT = len(WINDOW.left) - 1, len(WINDOW.right) - 1


def expected(events=3000):
    m = WINDOW.centers
    inner = (WINDOW.signal[1:] + WINDOW.signal[:-1]) / 2
    e = np.r_[np.exp(-(m - 5) / 6), np.exp(-(inner - 5) / 6).sum()]
    return events * e / e.sum()


def parts(counts):
    return counts[..., :N_LEFT], counts[..., -1], counts[..., N_LEFT:-1]


def curve(seed, cuts=(1, 0.5, 0.2), signal=0, events=3000):
    """Spectra of nested cuts that keep these shares of the background; a signal passes all."""
    rng = np.random.default_rng(seed)
    counts = [rng.poisson(expected(events))]
    for loose, tight in pairwise(cuts):
        counts.append(rng.binomial(counts[-1], tight / loose))
    counts = np.array(counts, float)
    counts[:, -1] += signal
    return parts(counts)


def test_null_expectation():
    counts = np.random.default_rng(1).poisson(expected())
    left, signal, right = null_expectation(*parts(counts), window=WINDOW, degree=3)
    assert (left.shape, signal.shape, right.shape) == ((N_LEFT,), (), (N_RIGHT,))
    # At the optimum of a Poisson likelihood of a linear model the sums agree.
    assert left.sum() + signal + right.sum() == pytest.approx(counts.sum(), rel=1e-9)
    again = significance(left, signal, right, window=WINDOW, degree=3)
    assert pytest.approx(0, abs=1e-3) == again.Z
    assert signal == pytest.approx(again.B)


def test_one_spectrum():
    left, signal, right = curve(1, cuts=(1,), signal=25)
    found = toy_curve(left, signal, right, window=WINDOW, degree=3, toys=1000, seed=3)
    result = significance(left, signal, right, window=WINDOW, degree=3)
    p = found.local
    assert result.Z[0] == found.Z
    assert p.agrees.all()
    assert p.p[0] == pytest.approx(result.p[0], abs=4 * np.sqrt(result.p[0] / 1000))
    assert p.low[0] < p.p[0] < p.high[0]
    binomial = stats.binomtest(int(p.above[0]), 1000).proportion_ci(0.6827, method="exact")
    np.testing.assert_allclose((p.low[0], p.high[0]), binomial, rtol=1e-9)
    assert found.p_global == pytest.approx(p.p[0])  # of one cut there is nothing else
    assert (p.toys, p.seed) == (1000, 3)
    again = toy_curve(left, signal, right, window=WINDOW, degree=3, toys=1000, seed=3)
    np.testing.assert_array_equal(found.maxima, again.maxima)


def test_the_best_of_many_cuts_is_not_as_significant_as_it_looks():
    cuts = np.geomspace(1, 0.1, 8)
    left, signal, right = curve(2, cuts, signal=20)
    found = toy_curve(left, signal, right, window=WINDOW, degree=2, toys=500, seed=1)
    best = significance(left, signal, right, window=WINDOW, degree=2)
    assert best.Z.max() == found.Z
    # More than one trial, fewer than there are cuts: neighbours share their events.
    assert 1.5 < found.trials < 8
    assert found.Z_global < found.Z
    assert found.Z_global == pytest.approx(np.sqrt(2) * special.erfcinv(2 * found.p_global))


def test_calibration_of_the_global_p_value():
    """Of background alone it is below 0.1 in a tenth of all curves."""
    cuts = np.geomspace(1, 0.2, 3)
    p = [
        toy_curve(*curve(100 + i, cuts), window=WINDOW, degree=2, toys=60, seed=i).p_global
        for i in range(60)
    ]
    assert np.mean(np.array(p) <= 0.1) == pytest.approx(0.1, abs=4 * np.sqrt(0.09 / 60))


def test_toys_beyond_reach():
    left, signal, right = curve(3, signal=400)
    found = toy_curve(left, signal, right, window=WINDOW, degree=3, toys=50, seed=1)
    assert found.local.above.max() == 0
    assert (found.local.low == 0).all()
    assert found.local.high == pytest.approx(1 - 0.15865 ** (1 / 50), rel=1e-3)
    assert found.local.agrees.all()
    best = significance(left, signal, right, window=WINDOW, degree=3).p.min()
    assert best < found.p_global < 1e3 * best


def test_few_events():
    """Toys without any event in the sidebands count as no excess."""
    left, signal, right = curve(4, (1, 0.05), events=60)
    found = toy_curve(left, signal, right, window=WINDOW, degree=1, toys=300, seed=1)
    assert np.isfinite(found.maxima).all()
    assert 0 <= found.p_global <= 1


def weighted(seed, n=3000, signal=0):
    """Masses and weights: most background events have none, signal has more."""
    rng = np.random.default_rng(seed)
    mass = 5 + rng.exponential(6, 3 * n)
    mass = np.r_[mass[mass < 16][:n], rng.normal(9.8, 0.2, signal)]
    weight = np.where(rng.random(n) < 0.7, 0, rng.exponential(1, n))
    return mass, np.r_[weight, rng.exponential(3, signal)]


def test_weighted_events():
    p_toys, p_asymptotic = [], []
    for seed in range(8):
        mass, weight = weighted(seed)
        left, signal, right, variances = WINDOW.count(mass, weight)
        found = toy_weighted(
            left, signal, right, variances, weight[(mass < 9) | (mass > 10.6)], window=WINDOW,
            degree=3, toys=100, seed=seed,
        )  # fmt: skip
        result = significance(left, signal, right, window=WINDOW, degree=3, variances=variances)
        if result.Z > 0:
            p_toys.append(found.p)
            p_asymptotic.append(result.p)
    assert len(p_toys) > 2
    np.testing.assert_allclose(p_toys, p_asymptotic, atol=0.15)
    mass, weight = weighted(1, signal=100)
    left, signal, right, variances = WINDOW.count(mass, weight)
    found = toy_weighted(left, signal, right, variances, weight, window=WINDOW, degree=3, toys=100)
    assert found.above <= 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: toy_curve(*(x[::-1] for x in c), window=WINDOW, toys=2), "cuts must be nested"),
        (lambda c: toy_curve(*c, window=WINDOW, toys=0), "toys must be an integer >= 1"),
        (lambda c: toy_curve(*(x[0] for x in c), window=WINDOW), r"signal must have shape \(n_cuts"),
        (lambda c: toy_weighted(*(x[0] for x in c), [x[0] for x in c], [0.0], window=WINDOW),
         "weights must be finite"),
    ],
)  # fmt: skip
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call(curve(1))
