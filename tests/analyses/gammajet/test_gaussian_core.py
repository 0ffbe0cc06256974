"""The Gaussian core of distributions, against other fits and by hand."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import integrate, optimize, stats

from fastjag.analyses.gammajet import gaussian_core, toys
from fastjag.statistics import fit_probability


def truncated_fit(x, low, high):
    """Mean and width of a truncated Gaussian by scipy's own density, from scratch."""

    def loss(p):
        share = np.diff(stats.norm.cdf([low, high], p[0], np.exp(p[1])))[0]
        return -stats.norm.logpdf(x, p[0], np.exp(p[1])).sum() + len(x) * np.log(share)

    start = [x.mean(), np.log(x.std())]
    found = optimize.minimize(loss, start, method="Nelder-Mead",
                              options={"xatol": 1e-7, "fatol": 1e-7, "maxiter": 4000})  # fmt: skip
    return found.x[0], np.exp(found.x[1])


class TestCore:
    def test_same_as_another_fit_of_its_range(self):
        rng = np.random.default_rng(1)
        for mean, width in ((0.98, 0.1), (-5.0, 2.0), (0.0, 1e-3)):
            x = rng.normal(mean, width, 4000)
            found = gaussian_core.core(x)
            # Once it has settled, its own range is that of the fit, to half a percent of a width.
            low, high = found.mean - 1.5 * found.width, found.mean + 1.5 * found.width
            again = truncated_fit(x[(x > low) & (x < high)], low, high)
            assert found.mean == pytest.approx(again[0], abs=0.1 * found.error)
            assert found.width == pytest.approx(again[1], rel=0.01)
            assert found.mean == pytest.approx(mean, abs=4 * found.error)
            assert found.width == pytest.approx(width, rel=0.1)

    def test_pulls_and_probabilities(self):
        """Mean, error and chi2 of Gaussians, with weights of either sign."""
        rng = np.random.default_rng(2)
        pulls, p = [], []
        for _ in range(150):
            x, w = rng.normal(1.0, 0.1, 3000), np.where(rng.random(3000) < 0.1, -0.5, 0.5)
            found = gaussian_core.core(x, w)
            assert (found.dof, found.humps) == (9, 1)
            pulls.append((found.mean - 1) / found.error)
            p.append(fit_probability(found.chi2, found.dof))
        assert abs(np.mean(pulls)) < 0.3
        assert 0.85 < np.std(pulls) < 1.15
        assert stats.kstest(p, "uniform").pvalue > 0.01

    def test_chi2_by_hand(self):
        x = np.random.default_rng(3).normal(1.0, 0.1, 5000)
        y = (x - 1.0) / 0.1
        y = y[np.abs(y) <= 1.5]
        chi2, dof = gaussian_core._core_chi2(y, np.full(len(y), 2.0), 0.1, 1.1, 1.5)
        expected = 0.0
        edges = np.linspace(-1.5, 1.5, 13)
        whole = integrate.quad(lambda t: stats.norm.pdf(t, 0.1, 1.1), -1.5, 1.5)[0]
        for low, high in pairwise(edges):
            part = integrate.quad(lambda t: stats.norm.pdf(t, 0.1, 1.1), low, high)[0]
            mean = len(y) * part / whole
            expected += (((y >= low) & (y < high)).sum() - mean) ** 2 / mean
        assert chi2 == pytest.approx(expected, rel=1e-6)
        assert dof == 9
        # Ten events in each bin, or nothing is said.
        for w in (2.0, 0.1):
            assert gaussian_core._core_chi2(y[:121], np.full(121, w), 0.0, 1.0, 1.5)[1] == 9
            assert gaussian_core._core_chi2(y[:119], np.full(119, w), 0.0, 1.0, 1.5)[1] == 0
        assert np.isnan(gaussian_core._core_chi2(y[:119], np.ones(119), 0.0, 1.0, 1.5)[0])

    def test_too_few(self):
        x = np.random.default_rng(4).normal(0.0, 1.0, 2000)
        # Ten of these are in the range on the way to its place, and are enough.
        few = [0.1, -0.1, 0.6, 0.1, -0.5, 0.4, 1.3, 0.9, -0.7, -1.3, -0.6, 0.0, -2.3]
        found = gaussian_core.core(few)
        assert found.mean == pytest.approx(0.16, abs=0.01)
        assert (found.dof, found.humps) == (0, 1)
        assert np.isnan(gaussian_core.core(x[:5]).mean)
        assert np.isnan(gaussian_core.core(x, np.zeros(2000)).mean)
        assert np.isnan(gaussian_core.core(x, -np.ones(2000)).mean)
        assert np.isnan(gaussian_core.core(np.ones(100)).mean)
        # Those in the range cancel, though all of them do not.
        ends = np.linspace(-1, 1, 20)
        x = np.concatenate([ends, ends, [9.0], [-9.0]])
        w = np.repeat([1.0, -1.0, 0.5], [20, 20, 2])
        assert np.isnan(gaussian_core.core(x, w).mean)
        assert np.isnan(gaussian_core.core([]).mean)
        # Half of all events are in the range, which has too few then.
        assert np.isnan(gaussian_core.core(np.append(np.tile([-9.0, 9.0], 6), [0.0] * 3)).mean)

    def test_small_weights(self):
        x = np.random.default_rng(4).normal(0.0, 1.0, 2000)
        np.testing.assert_allclose(
            gaussian_core.core(x, np.full(2000, 1e-5)), gaussian_core.core(x), rtol=1e-3
        )

    def test_it_settles(self, monkeypatch):
        """It stops where mean and width change by less than 0.005 widths together, not before."""
        plain, calls = gaussian_core._truncated, []

        def counted(*arguments):
            calls.append(plain(*arguments))
            return calls[-1]

        monkeypatch.setattr(gaussian_core, "_truncated", counted)
        rng = np.random.default_rng(11)
        lengths = []
        for _ in range(60):
            calls.clear()
            gaussian_core.core(rng.normal(1, 0.1, 3000))
            moves = [abs(shift) + abs(growth - 1) for shift, growth, _ in calls]
            assert all(m >= 5e-3 for m in moves[:-1])
            assert moves[-1] < 5e-3 or len(calls) == 8
            lengths.append(len(calls))
        assert np.mean(lengths) < 6

    def test_middle_by_hand(self):
        """Median and half of the central 68.2 %, negative weights being none."""
        x = np.array([4.0, 1.0, 9.0, 2.0, 3.0])
        middle, width = gaussian_core._middle(x, np.array([0.2, 0.1, -5.0, 0.2, 0.5]))
        assert middle == pytest.approx(2 + (0.5 - 0.3) / 0.5)
        low, high = 1 + (0.159 - 0.1) / 0.2, 3 + (0.841 - 0.8) / 0.2
        assert width == pytest.approx((high - low) / 2)

    def test_what_is_no_number_is_left_out(self):
        x = np.random.default_rng(5).normal(0.9, 0.1, 1000)
        found = gaussian_core.core(np.append(x, [np.nan, np.inf, -np.inf]))
        np.testing.assert_allclose(found, gaussian_core.core(x))

    def test_flat_tops_have_no_core(self):
        rng = np.random.default_rng(6)
        assert np.isnan(gaussian_core.core(rng.uniform(0, 1, 5000)).mean)
        # One whose mean leaves the range, while its width does not grow as much.
        rng = np.random.default_rng(208)
        assert np.isnan(gaussian_core.core(rng.normal(size=60) ** 3 + rng.exponential(3, 60)).mean)

    def test_two_humps(self):
        """The response of toys of old, whose second jet was on one side or the other."""
        rng = np.random.default_rng(7)
        for n in (2000, 50_000):
            low = rng.random(n) < 0.6
            x = np.where(low, rng.normal(0.75, 0.08, n), rng.normal(1.15, 0.08, n))
            found = gaussian_core.core(x)
            assert found.humps == 2
            assert found.mean == pytest.approx(0.75, abs=0.01)
            assert found.width == pytest.approx(0.08, rel=0.1)
            (first, second) = gaussian_core.humps(x)
            assert first == (-np.inf, second[0])
            assert 0.85 < second[0] < 1.05
            assert second[1] == np.inf
            # The other one is the highest now.
            assert gaussian_core.core(1.9 - x).mean == pytest.approx(1.15, abs=0.01)

    def test_three_humps_and_their_order(self):
        rng = np.random.default_rng(8)
        x = np.concatenate(
            [rng.normal(m, 0.03, n) for m, n in ((0.7, 4000), (1, 3000), (1.3, 5000))]
        )
        found = gaussian_core.humps(x)
        assert len(found) == 3
        for (low, high), mean in zip(found, (1.3, 0.7, 1.0), strict=True):
            assert low < mean < high
            assert high - low > 0.2

    @pytest.mark.parametrize("weight", [1.0, 3.0, 0.5])
    def test_humps_by_hand(self, monkeypatch, weight):
        """5 standard deviations above the lowest bin between; bins of one, from -15 to 15."""
        monkeypatch.setattr(gaussian_core, "_middle", lambda x, w: (0.0, 3.0))

        def found(*counts):
            x = np.concatenate([np.full(n, at + 0.5) for at, n in counts])
            return gaussian_core.humps(x, np.full(len(x), weight))

        # Empty bins have the error of one event: 26 / sqrt(26 + 1) is above 5, 25 / sqrt(26) not.
        assert len(found((0, 100), (5, 26))) == 2
        assert len(found((0, 100), (5, 25))) == 1
        filled = [(at, 10) for at in range(1, 5)]
        assert len(found((0, 100), *filled, (5, 49))) == 2  # 39 / sqrt(59)
        assert len(found((0, 100), *filled, (5, 48))) == 1  # 38 / sqrt(58)
        # A shoulder of a lower hump is none of its own.
        assert len(found((0, 100), (5, 60), (6, 55))) == 2
        # The middle one is found last: its borders are those to its neighbours.
        ranges = found((0, 100), (1, 3), (2, 1), (3, 2), (4, 60), (5, 2), (6, 1), (7, 2), (8, 80))
        assert ranges == [(-np.inf, 2.5), (6.5, np.inf), (2.5, 6.5)]

    @pytest.mark.parametrize("draw", ["normal", "exponential", "uniform", "laplace"])
    def test_one_hump(self, draw):
        """Fluctuations are no humps: 200 samples, with weights of either sign."""
        rng = np.random.default_rng(9)
        for n in rng.integers(50, 5000, 200):
            x = getattr(rng, draw)(size=n)
            assert gaussian_core.humps(x) == [(-np.inf, np.inf)]
            assert len(gaussian_core.humps(x, rng.normal(1, 1, n))) == 1

    def test_toys_have_one_hump(self):
        """And a core beside their mean, as data have."""
        for injected in (0.97, 1.02):
            rows = toys.draw(60_000, response=injected, seed=1)
            for estimator in ("balance", "mpf"):
                found = gaussian_core.core(rows[estimator])
                assert found.humps == 1
                assert found.mean == pytest.approx(rows[estimator].mean(), abs=0.01)
                assert fit_probability(found.chi2, found.dof) > 1e-3

    def test_core_is_blind_to_a_tail(self):
        rng = np.random.default_rng(2)
        pulls, means = [], []
        for _ in range(60):
            clean = rng.normal(0.98, 0.1, 2000)
            found = gaussian_core.core(clean, np.full(2000, 3.0))
            pulls.append((found.mean - 0.98) / found.error)
            tail = 0.98 - np.abs(rng.normal(0, 1.0, 100))
            means.append(
                (gaussian_core.core(np.append(clean, tail)).mean - 0.98, tail.sum() / 2100)
            )
        assert abs(np.mean(pulls)) < 0.4
        assert 0.75 < np.std(pulls) < 1.3
        assert abs(np.mean(means, 0)[0]) < 0.005  # the arithmetic mean moves by 0.04
        assert np.isnan(gaussian_core.core(clean[:5]).mean)
