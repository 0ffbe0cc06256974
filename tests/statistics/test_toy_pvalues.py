"""p-values from toys: calibrated, of single spectra, of curves of cuts, of weighted events."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import special, stats

from fastjag.statistics import ToyP, Window, log_p, pvalues, significance, toy_curve, toy_weighted
from fastjag.statistics.likelihood import null_expectation
from fastjag.statistics.pvalues import global_log_p

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


class TestGlobalP:
    maxima = np.r_[np.full(60, 1.0), np.linspace(1.5, 2.5, 29), np.full(10, 3.0)]

    @pytest.mark.parametrize(("Z", "above"), [(1.0, 99), (0.0, 99), (1.2, 39), (3.0, 10)])
    def test_of_toys(self, Z, above):
        """Ties count as being as large, and the data as one of the toys."""
        assert np.exp(global_log_p(Z, self.maxima, 5.0)) == pytest.approx((above + 1) / 100)

    @pytest.mark.parametrize("Z", [3.1, 8, 37.05, 45.3, 200])
    def test_bound_of_gross_and_vitells(self, Z):
        found = global_log_p(Z, self.maxima, 5.0)
        crossings = np.log(5) - (Z * Z - 1) / 2
        assert found == pytest.approx(float(np.logaddexp(log_p(Z), crossings)), rel=1e-12)
        assert global_log_p(Z, self.maxima, 0.0) == pytest.approx(float(log_p(Z)), rel=1e-12)

    def test_no_more_than_certain(self):
        assert global_log_p(0.1, np.zeros(5), 1e6) == 0

    def test_shapes(self):
        Z = np.array([[0.5, 3.0, 40.0], [1.0, 2.0, 8.0]])
        found = global_log_p(Z, self.maxima, 5.0)
        for at in np.ndindex(2, 3):
            assert found[at] == global_log_p(Z[at], self.maxima, 5.0)

    def test_trials_where_p_is_too_small(self):
        left, signal, right = curve(3, signal=4000)
        found = toy_curve(left, signal, right, window=WINDOW, degree=3, toys=20, seed=1)
        assert found.Z > 40
        assert found.p_global == 0
        assert found.Z - 1 < found.Z_global < found.Z
        # ln of trials: what the upcrossings add to p.
        more = found.upcrossings * np.exp(-(found.Z**2 - 1) / 2 - log_p(found.Z))
        assert found.trials == pytest.approx(1 + more, rel=1e-9)


class TestShares:
    @pytest.mark.parametrize("above", [0, 1, 7, 39, 40])
    def test_interval(self, above):
        toys = np.r_[np.full(above, 2.0), np.full(40 - above, 1.9)]
        found = pvalues.shares_above(toys, np.array(2.0), 9)
        assert (found.above, found.toys, found.seed) == (above, 40, 9)
        assert found.p == (above + 1) / 41
        interval = stats.binomtest(above, 40).proportion_ci(0.6827, method="exact")
        np.testing.assert_allclose((found.low, found.high), interval, rtol=1e-9)
        assert found.low <= found.p <= found.high

    def test_agreement(self):
        """2 sigma in none or in half of 1000 toys is none; in 23 it is, and 0 sigma is in all."""
        for above, agrees in ((0, False), (23, True), (500, False)):
            toys = np.r_[np.full(above, 2.5), np.zeros(1000 - above)]
            assert pvalues.shares_above(toys, np.array(2.0), 1).agrees == agrees
        assert pvalues.shares_above(np.zeros(1000), np.array(0.0), 1).agrees

    def test_no_excess(self):
        found = ToyP.no_excess(50, 3)
        assert (found.p, found.above, found.toys, found.seed) == (1, 50, 50, 3)
        assert found.high == 1
        assert found.low == pytest.approx(0.15865 ** (1 / 50), rel=1e-3)
        assert found.agrees


class TestBatches:
    """What is thrown and fitted at a time."""

    def seen(self, monkeypatch):
        """Spectra of toys, in the order in which they were fitted."""
        seen = []
        fitted = pvalues._Z

        def noted(left, signal, right, variances, window, degree):
            seen.append((np.concatenate([left, signal[..., None], right], axis=-1), variances))
            return fitted(left, signal, right, variances, window, degree)

        monkeypatch.setattr(pvalues, "_Z", noted)
        return seen

    @pytest.mark.parametrize("toys", [1, 5])
    def test_curves(self, monkeypatch, toys):
        monkeypatch.setattr(pvalues, "_SPECTRA", 6)
        seen = self.seen(monkeypatch)
        counts = curve(5)
        found = toy_curve(*counts, window=WINDOW, degree=2, toys=toys, seed=2)
        assert [len(spectra) for spectra, _ in seen] == [2] * (toys // 2) + [1] * (toys % 2)
        assert found.maxima.shape == (toys,)
        assert found.local.toys == toys
        for spectra, _ in seen:
            assert (np.diff(spectra, axis=1) <= 0).all()
        with_data = significance(*counts, window=WINDOW, degree=2).Z
        assert with_data.max() == found.Z

    def test_toys_are_what_the_background_alone_expects(self, monkeypatch):
        seen = self.seen(monkeypatch)
        counts = curve(5)
        toy_curve(*counts, window=WINDOW, degree=2, toys=400, seed=2)
        spectra = np.concatenate([x for x, _ in seen])
        left, signal, right = null_expectation(*counts, window=WINDOW, degree=2)
        expected = np.concatenate([left, signal[:, None], right], axis=1)
        error = np.sqrt(expected / 400)
        assert (abs(spectra.mean(axis=0) - expected) < 5 * error).all()
        assert spectra.var(axis=0).sum() == pytest.approx(expected.sum(), rel=0.05)

    def test_weighted(self, monkeypatch):
        """Sums of a Poisson number of weights from the pool, of which zeros are no events."""
        seen = self.seen(monkeypatch)
        pool = np.array([0.0, 1.0, 3.0])
        counts = parts(2 * np.random.default_rng(3).poisson(expected(2000)) + 0.0)
        variances = tuple(2.5 * x for x in counts)
        monkeypatch.setattr(pvalues, "_SPECTRA", 128)
        found = toy_weighted(*counts, variances, pool, window=WINDOW, degree=2, toys=300, seed=4)
        assert [len(x) for x, _ in seen] == [128, 128, 44]
        assert found.toys == 300
        spectra = np.concatenate([x for x, _ in seen])
        left, signal, right = null_expectation(
            *counts, window=WINDOW, degree=2, variances=variances
        )
        mean = np.r_[left, signal, right]
        squares = np.concatenate([np.c_[v[0], v[1], v[2]] for _, v in seen])
        # E[w²] / E[w] = 2.5 of the pool's 1 and 3.
        assert (abs(spectra.mean(axis=0) - mean) < 5 * np.sqrt(2.5 * mean / 300)).all()
        np.testing.assert_allclose(spectra.var(axis=0).sum(), 2.5 * mean.sum(), rtol=0.06)
        np.testing.assert_allclose(squares.mean(), 2.5 * mean.mean(), rtol=0.02)
        assert set(np.unique(spectra % 1)) == {0}

    def test_no_batch_holds_more_than_four_million_weights(self, monkeypatch):
        seen = self.seen(monkeypatch)
        counts = parts(expected(1.5e6))
        toy_weighted(*counts, counts, [1.0], window=WINDOW, degree=2, toys=3, seed=4)
        assert [len(x) for x, _ in seen] == [2, 1]

    def test_upcrossings_and_maxima(self, monkeypatch):
        Z = np.array([[0.5, 1.5, 1.0, 1.2], [1.0, 1.1, 1.3, 0.2], [2.0, 0.5, 0.0, 1.0]])
        monkeypatch.setattr(pvalues, "_Z", lambda *_: Z)
        found = toy_curve(*curve(6, (1, 0.8, 0.6, 0.4)), window=WINDOW, degree=1, toys=3)
        assert found.upcrossings == pytest.approx(3 / 3)
        assert found.maxima.tolist() == [1.5, 1.3, 2.0]

    def test_shares_above_one(self):
        """A polynomial of fewer events may expect more at an end: such bins keep all."""
        left = np.array([np.full(N_LEFT, 100), np.full(N_LEFT, 100)])
        right = np.array([np.full(N_RIGHT, 100), np.full(N_RIGHT, 10)])
        found = toy_curve(left, [500, 300], right, window=WINDOW, degree=1, toys=20)
        assert np.isfinite(found.maxima).all()

    def test_equal_cuts_are_nested(self):
        left, signal, right = (np.stack([x[0], x[0]]) for x in curve(7))
        found = toy_curve(left, signal, right, window=WINDOW, degree=1, toys=10)
        assert found.local.above[0] == found.local.above[1]


def test_toys_without_sidebands_claim_nothing():
    left, right = np.zeros((3, N_LEFT)), np.zeros((3, N_RIGHT))
    left[1, 3], right[2, 4] = 30, 30
    Z = pvalues._Z(left, np.array([9.0, 9.0, 9.0]), right, None, WINDOW, 0)
    assert Z[0] == 0
    assert (Z[1:] > 1).all()
    v = left * 2, np.full(3, 18.0), right * 2
    weighted = pvalues._Z(left, np.array([9.0, 9.0, 9.0]), right, v, WINDOW, 0)
    one = significance(left[1], 9.0, right[1], window=WINDOW, degree=0,
                       variances=(v[0][1], 18.0, v[2][1]))  # fmt: skip
    assert weighted[1] == pytest.approx(float(one.Z))
    assert weighted[1] != pytest.approx(Z[1], abs=0.1)


def test_cuts_that_fill_too_little_are_not_the_best():
    left, right = np.zeros((3, N_LEFT)), np.zeros((3, N_RIGHT))
    left[1, :2], right[1, 0] = 1, 1
    left[2, :2] = 1
    found = pvalues._claimable(np.array([1.0, 2.0, 3.0]), left, right, 2)
    assert found.tolist() == [1, 2, 0]  # the loosest counts always


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: toy_curve(*(x[::-1] for x in c), window=WINDOW, toys=2), "cuts must be nested"),
        (lambda c: toy_curve(*c, window=WINDOW, toys=0), "toys must be an integer >= 1"),
        (lambda c: toy_curve(*(x[0] for x in c), window=WINDOW), r"signal must have shape \(n_cuts"),
        (lambda c: toy_curve(*(x[:0] for x in c), window=WINDOW), r"shape \(n_cuts,\), got \(0,\)"),
        (lambda c: toy_weighted(*(x[0] for x in c), [x[0] for x in c], [-1.0, 2.0], window=WINDOW),
         "weights must be finite, not negative"),
        (lambda c: toy_weighted(*(x[0] for x in c), [x[0] for x in c], [np.inf, 1], window=WINDOW),
         "weights must be finite"),
        (lambda c: toy_weighted(*(x[0] for x in c), [x[0] for x in c], [1.0], window=WINDOW, toys=0),
         "toys must be an integer >= 1"),
        (lambda c: toy_weighted(*(x[0] for x in c), [x[0] for x in c], [0.0], window=WINDOW),
         "weights must be finite"),
    ],
)  # fmt: skip
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call(curve(1))
