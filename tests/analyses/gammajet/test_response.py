"""Means, cores and lines of responses: borders, few events, two humps, and bad fits said aloud."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy import integrate, optimize, stats

from fastjag.analyses.gammajet import response, run, toys
from fastjag.analyses.gammajet.config import GammaJetConfig, GammaJetSample
from fastjag.statistics import fit_probability

DATA = GammaJetSample(name="data", files=("data.root",))


def test_edges_of_the_calibration():
    """Those of CMS' photon+jet calibration, as its code (gamjet) has them."""
    pt = "15 20 25 30 35 40 50 60 75 90 110 130 175 230 300 400 500 600 700 850 1000 1200 1450 1750 " \
         "2100 2500 3000"  # fmt: skip
    assert tuple(map(int, pt.split())) == response.PT_EDGES
    assert response.ALPHA_EDGES == (0, 0.1, 0.15, 0.2, 0.3, 0.5, 1)


class TestProfile:
    def test_profile_is_that_of_a_loop(self):
        rng = np.random.default_rng(1)
        x, y, w = rng.uniform(0, 4, 500), rng.normal(size=500), rng.normal(1, 1, 500)
        y[7] = np.nan
        found = response.profile(x, y, w, edges=[0, 1, 2, 3, 5, 6])
        for i, (low, high) in enumerate(zip([0, 1, 2, 3], [1, 2, 3, 5], strict=True)):
            here = (x >= low) & (x < high) & np.isfinite(y)
            mean = np.average(y[here], weights=w[here])
            error = np.sqrt((w[here] ** 2 * (y[here] - mean) ** 2).sum()) / w[here].sum()
            assert found.mean[i] == pytest.approx(mean)
            assert found.error[i] == pytest.approx(error)
            assert found.entries[i] == here.sum()
        assert np.isnan(found.mean[4])
        with pytest.raises(ValueError, match="edges must rise"):
            response.profile(x, y, edges=[0, 0])
        with pytest.raises(ValueError, match="weights"):
            response.profile(x, y, w[:3])

    def test_borders(self):
        """The low edge belongs to a bin, the high one to the next; what is outside is left out."""
        x = [-1.0, 0.0, 0.5, 1.0, 2.0, 3.0, np.inf, np.nan]
        found = response.profile(x, [9.0, 1, 2, 4, 8, 16, 32, 64], edges=[0, 1, 2, 3])
        assert found.entries.tolist() == [2, 1, 1]
        assert found.mean.tolist() == [1.5, 4, 8]
        assert found.x.tolist() == [0.25, 1, 2]
        assert found.sum_w.tolist() == [2, 1, 1]
        for name in ("mean", "error", "x", "entries", "sum_w"):
            assert getattr(found, name).shape == (3,)
        # One entry tells a mean, but nothing about its error.
        assert np.isnan(found.error).tolist() == [False, True, True]

    def test_small_and_negative_weights(self):
        found = response.profile([0.5] * 3, [1.0, 2, 3], [0.1, 0.2, -0.1], edges=[0, 1])
        assert found.mean[0] == pytest.approx((0.1 + 0.4 - 0.3) / 0.2)
        for weights in ([1.0, -1, 0], [-1.0, -1, 1]):
            found = response.profile([0.5] * 3, [1.0, 2, 3], weights, edges=[0, 1])
            assert np.isnan([found.mean[0], found.error[0], found.x[0]]).all()

    @pytest.mark.parametrize("edges", [[0], [1, 0], [0, 0], [[0, 1], [1, 2]], [0, np.nan]])
    def test_edges(self, edges):
        with pytest.raises(ValueError, match="edges must rise"):
            response.profile([1.0], [1.0], edges=edges)


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
            found = response.core(x)
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
            found = response.core(x, w)
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
        chi2, dof = response._core_chi2(y, np.full(len(y), 2.0), 0.1, 1.1, 1.5)
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
            assert response._core_chi2(y[:121], np.full(121, w), 0.0, 1.0, 1.5)[1] == 9
            assert response._core_chi2(y[:119], np.full(119, w), 0.0, 1.0, 1.5)[1] == 0
        assert np.isnan(response._core_chi2(y[:119], np.ones(119), 0.0, 1.0, 1.5)[0])

    def test_too_few(self):
        x = np.random.default_rng(4).normal(0.0, 1.0, 2000)
        # Ten of these are in the range on the way to its place, and are enough.
        few = [0.1, -0.1, 0.6, 0.1, -0.5, 0.4, 1.3, 0.9, -0.7, -1.3, -0.6, 0.0, -2.3]
        found = response.core(few)
        assert found.mean == pytest.approx(0.16, abs=0.01)
        assert (found.dof, found.humps) == (0, 1)
        assert np.isnan(response.core(x[:5]).mean)
        assert np.isnan(response.core(x, np.zeros(2000)).mean)
        assert np.isnan(response.core(x, -np.ones(2000)).mean)
        assert np.isnan(response.core(np.ones(100)).mean)
        # Those in the range cancel, though all of them do not.
        ends = np.linspace(-1, 1, 20)
        x = np.concatenate([ends, ends, [9.0], [-9.0]])
        w = np.repeat([1.0, -1.0, 0.5], [20, 20, 2])
        assert np.isnan(response.core(x, w).mean)
        assert np.isnan(response.core([]).mean)
        # Half of all events are in the range, which has too few then.
        assert np.isnan(response.core(np.append(np.tile([-9.0, 9.0], 6), [0.0] * 3)).mean)

    def test_small_weights(self):
        x = np.random.default_rng(4).normal(0.0, 1.0, 2000)
        np.testing.assert_allclose(
            response.core(x, np.full(2000, 1e-5)), response.core(x), rtol=1e-3
        )

    def test_it_settles(self, monkeypatch):
        """It stops where mean and width change by less than 0.005 widths together, not before."""
        plain, calls = response._truncated, []

        def counted(*arguments):
            calls.append(plain(*arguments))
            return calls[-1]

        monkeypatch.setattr(response, "_truncated", counted)
        rng = np.random.default_rng(11)
        lengths = []
        for _ in range(60):
            calls.clear()
            response.core(rng.normal(1, 0.1, 3000))
            moves = [abs(shift) + abs(growth - 1) for shift, growth, _ in calls]
            assert all(m >= 5e-3 for m in moves[:-1])
            assert moves[-1] < 5e-3 or len(calls) == 8
            lengths.append(len(calls))
        assert np.mean(lengths) < 6

    def test_middle_by_hand(self):
        """Median and half of the central 68.2 %, negative weights being none."""
        x = np.array([4.0, 1.0, 9.0, 2.0, 3.0])
        middle, width = response._middle(x, np.array([0.2, 0.1, -5.0, 0.2, 0.5]))
        assert middle == pytest.approx(2 + (0.5 - 0.3) / 0.5)
        low, high = 1 + (0.159 - 0.1) / 0.2, 3 + (0.841 - 0.8) / 0.2
        assert width == pytest.approx((high - low) / 2)

    def test_what_is_no_number_is_left_out(self):
        x = np.random.default_rng(5).normal(0.9, 0.1, 1000)
        found = response.core(np.append(x, [np.nan, np.inf, -np.inf]))
        np.testing.assert_allclose(found, response.core(x))

    def test_flat_tops_have_no_core(self):
        rng = np.random.default_rng(6)
        assert np.isnan(response.core(rng.uniform(0, 1, 5000)).mean)
        # One whose mean leaves the range, while its width does not grow as much.
        rng = np.random.default_rng(208)
        assert np.isnan(response.core(rng.normal(size=60) ** 3 + rng.exponential(3, 60)).mean)

    def test_two_humps(self):
        """The response of toys of old, whose second jet was on one side or the other."""
        rng = np.random.default_rng(7)
        for n in (2000, 50_000):
            low = rng.random(n) < 0.6
            x = np.where(low, rng.normal(0.75, 0.08, n), rng.normal(1.15, 0.08, n))
            found = response.core(x)
            assert found.humps == 2
            assert found.mean == pytest.approx(0.75, abs=0.01)
            assert found.width == pytest.approx(0.08, rel=0.1)
            (first, second) = response.humps(x)
            assert first == (-np.inf, second[0])
            assert 0.85 < second[0] < 1.05
            assert second[1] == np.inf
            # The other one is the highest now.
            assert response.core(1.9 - x).mean == pytest.approx(1.15, abs=0.01)

    def test_three_humps_and_their_order(self):
        rng = np.random.default_rng(8)
        x = np.concatenate(
            [rng.normal(m, 0.03, n) for m, n in ((0.7, 4000), (1, 3000), (1.3, 5000))]
        )
        found = response.humps(x)
        assert len(found) == 3
        for (low, high), mean in zip(found, (1.3, 0.7, 1.0), strict=True):
            assert low < mean < high
            assert high - low > 0.2

    @pytest.mark.parametrize("weight", [1.0, 3.0, 0.5])
    def test_humps_by_hand(self, monkeypatch, weight):
        """5 standard deviations above the lowest bin between; bins of one, from -15 to 15."""
        monkeypatch.setattr(response, "_middle", lambda x, w: (0.0, 3.0))

        def found(*counts):
            x = np.concatenate([np.full(n, at + 0.5) for at, n in counts])
            return response.humps(x, np.full(len(x), weight))

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
            assert response.humps(x) == [(-np.inf, np.inf)]
            assert len(response.humps(x, rng.normal(1, 1, n))) == 1

    def test_toys_have_one_hump(self):
        """And a core beside their mean, as data have."""
        for injected in (0.97, 1.02):
            rows = toys.draw(60_000, response=injected, seed=1)
            for estimator in ("balance", "mpf"):
                found = response.core(rows[estimator])
                assert found.humps == 1
                assert found.mean == pytest.approx(rows[estimator].mean(), abs=0.01)
                assert fit_probability(found.chi2, found.dof) > 1e-3


class TestLine:
    def test_same_as_polyfit(self):
        rng = np.random.default_rng(10)
        alpha = rng.uniform(0, 0.4, 5000)
        r = rng.normal(1 - 0.3 * alpha, 0.2)
        edges = [0, 0.1, 0.2, 0.3, 0.4]
        bins = response.profile(alpha, r, edges=edges)
        (slope, intercept), covariance = np.polyfit(
            bins.x, bins.mean, 1, w=1 / bins.error, cov="unscaled"
        )
        found = response.extrapolate(alpha, r, edges=edges)
        assert (found.intercept, found.slope) == pytest.approx((intercept, slope))
        assert (found.slope_error, found.error) == pytest.approx(
            tuple(np.sqrt(np.diag(covariance)))
        )
        residual = (bins.mean - intercept - slope * bins.x) / bins.error
        assert found.chi2 == pytest.approx((residual**2).sum())
        assert found.dof == 2

    def test_cumulative_bins_with_their_covariance_give_the_same_line(self):
        rows = toys.draw(20_000, seed=5)
        lines = [
            response.extrapolate(
                rows["alpha"],
                rows["balance"],
                rows["photon_pt"],
                edges=(0, 0.1, 0.15, 0.2, 0.3, 0.4),
                cumulative=c,
            )
            for c in (False, True)
        ]
        np.testing.assert_allclose(lines[0], lines[1], rtol=1e-8)

    def test_no_scatter_and_little_weight(self):
        """Bins without an error have no weight; small weights are as good as large ones."""
        alpha = np.repeat([0.05, 0.15, 0.25], 30)
        edges = [0, 0.1, 0.2, 0.3]
        assert np.isnan(response.extrapolate(alpha, np.ones(90), edges=edges).intercept)
        r = 1 - alpha + np.random.default_rng(1).normal(0, 0.1, 90)
        small, large = (
            response.extrapolate(alpha, r, np.full(90, w), edges=edges) for w in (1e-3, 5)
        )
        np.testing.assert_allclose(small, large, rtol=1e-9)

    def test_bins_of_few_events_do_not_count(self):
        alpha = np.repeat([0.05, 0.15, 0.25], [20, 20, 19])
        r = 1 + np.tile([-0.1, 0.1], 30)[:59]
        edges = [0, 0.1, 0.2, 0.3]
        assert response.extrapolate(alpha, r, edges=edges).dof == 0
        assert np.isfinite(response.extrapolate(alpha, r, edges=edges).intercept)
        alone = response.extrapolate(alpha[:39], r[:39], edges=edges)
        assert np.isnan(alone.intercept)
        assert alone.dof == 0


class TestKolmogorovSmirnov:
    def test_weighted_ks(self):
        rng = np.random.default_rng(3)
        x, y = rng.normal(size=300), rng.normal(size=400)
        from scipy.stats import ks_2samp

        plain = response.weighted_ks(x, y)
        assert plain.statistic == pytest.approx(ks_2samp(x, y).statistic)
        assert plain.p == pytest.approx(ks_2samp(x, y, method="asymp").pvalue, abs=0.02)
        # A sample with each event twice as two halves is the same sample.
        twice = response.weighted_ks(np.repeat(x, 2), y, np.full(600, 0.5))
        assert twice.statistic == pytest.approx(plain.statistic)
        ps = [response.weighted_ks(rng.normal(size=200), rng.normal(size=200),
                                   rng.exponential(size=200)).p for _ in range(200)]  # fmt: skip
        assert 0.3 < np.mean(ps) < 0.7

    def test_by_hand(self):
        """Equal values step together; p is that of the effective numbers of entries."""
        u, v = np.array([1.0, 2, 3, 0.5]), np.array([2.0, 1, 0.25])
        found = response.weighted_ks([1, 2, 2, 5], [2, 4, 0.5], u, v)
        # Cumulative after 0.5, 1, 2, 4, 5 of the first and the second.
        a = np.array([0, 1, 6, 6, 6.5]) / 6.5
        b = np.array([0.25, 0.25, 2.25, 3.25, 3.25]) / 3.25
        assert found.statistic == pytest.approx(np.abs(a - b).max())
        n, m = 6.5**2 / (1 + 4 + 9 + 0.25), 3.25**2 / (4 + 1 + 0.0625)
        expected = stats.kstwobign.sf(np.abs(a - b).max() * np.sqrt(n * m / (n + m)))
        assert found.p == pytest.approx(expected)

    def test_weights_that_add_up_to_nothing(self):
        for a, b in (([1, -1], [1, 1]), ([1, 1], [1, -1]), ([-1, 0], [1, 1]), ([1, 1], [0, -1])):
            found = response.weighted_ks([1, 2], [1, 3], a, b)
            assert np.isnan(found.statistic)
            assert np.isnan(found.p)
        assert response.weighted_ks([1, 2], [1, 3], [0.1, 0.1], [0.2, 0.2]).statistic == 0.5


def test_deviations_are_left_out_and_counted():
    rows = toys.draw(2000, seed=4) | {"weight": np.ones(2000)}
    rows["balance"][:5] = [1.7, 0.3, 1.69999, 0.30001, 3.0]
    config = GammaJetConfig(samples=(DATA,), pt_edges=(200, 10_000), alpha_edges=(0, 0.2, 0.4),
                        eta_ranges=((0.0, 5.0),))  # fmt: skip
    balance, mpf = run.measure(rows, config)
    assert (balance["left_out"], mpf["left_out"]) == (3, 0)
    narrow = replace(config, eta_ranges=((0.5, 1.0),), max_alpha=0.15)
    (balance, _) = run.measure(rows, narrow)
    eta, few = np.abs(rows["jet_eta"]), rows["alpha"] < 0.15
    inside = (eta >= 0.5) & (eta < 1.0) & few & (np.abs(rows["balance"] - 1) < 0.7)
    (one,) = balance["bins"]
    assert one["entries"] == inside.sum()
    assert one["mean"] == pytest.approx(rows["balance"][inside].mean())
    assert one["alpha"] == pytest.approx(rows["alpha"][inside].mean())
    assert one["pt"] == pytest.approx(rows["photon_pt"][inside].mean())
