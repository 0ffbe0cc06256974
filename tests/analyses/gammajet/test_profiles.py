"""Means in bins, and the line to alpha = 0: against a loop, polyfit and a known response."""

import numpy as np
import pytest

from fastjag.analyses.gammajet import config, profiles, toys

ALPHA_EDGES = (0, 0.1, 0.15, 0.2, 0.3, 0.4)


def test_edges_of_the_calibration():
    """Those of CMS' photon+jet calibration, as its code (gamjet) has them."""
    pt = "15 20 25 30 35 40 50 60 75 90 110 130 175 230 300 400 500 600 700 850 1000 1200 1450 1750 " \
         "2100 2500 3000"  # fmt: skip
    assert tuple(map(int, pt.split())) == config.PT_EDGES
    assert config.ALPHA_EDGES == (0, 0.1, 0.15, 0.2, 0.3, 0.5, 1)


class TestProfile:
    def test_profile_is_that_of_a_loop(self):
        rng = np.random.default_rng(1)
        x, y, w = rng.uniform(0, 4, 500), rng.normal(size=500), rng.normal(1, 1, 500)
        y[7] = np.nan
        found = profiles.profile(x, y, w, edges=[0, 1, 2, 3, 5, 6])
        for i, (low, high) in enumerate(zip([0, 1, 2, 3], [1, 2, 3, 5], strict=True)):
            here = (x >= low) & (x < high) & np.isfinite(y)
            mean = np.average(y[here], weights=w[here])
            error = np.sqrt((w[here] ** 2 * (y[here] - mean) ** 2).sum()) / w[here].sum()
            assert found.mean[i] == pytest.approx(mean)
            assert found.error[i] == pytest.approx(error)
            assert found.entries[i] == here.sum()
        assert np.isnan(found.mean[4])
        with pytest.raises(ValueError, match="edges must rise"):
            profiles.profile(x, y, edges=[0, 0])
        with pytest.raises(ValueError, match="weights"):
            profiles.profile(x, y, w[:3])

    def test_borders(self):
        """The low edge belongs to a bin, the high one to the next; what is outside is left out."""
        x = [-1.0, 0.0, 0.5, 1.0, 2.0, 3.0, np.inf, np.nan]
        found = profiles.profile(x, [9.0, 1, 2, 4, 8, 16, 32, 64], edges=[0, 1, 2, 3])
        assert found.entries.tolist() == [2, 1, 1]
        assert found.mean.tolist() == [1.5, 4, 8]
        assert found.x.tolist() == [0.25, 1, 2]
        assert found.sum_w.tolist() == [2, 1, 1]
        for name in ("mean", "error", "x", "entries", "sum_w"):
            assert getattr(found, name).shape == (3,)
        # One entry tells a mean, but nothing about its error.
        assert np.isnan(found.error).tolist() == [False, True, True]

    def test_small_and_negative_weights(self):
        found = profiles.profile([0.5] * 3, [1.0, 2, 3], [0.1, 0.2, -0.1], edges=[0, 1])
        assert found.mean[0] == pytest.approx((0.1 + 0.4 - 0.3) / 0.2)
        for weights in ([1.0, -1, 0], [-1.0, -1, 1]):
            found = profiles.profile([0.5] * 3, [1.0, 2, 3], weights, edges=[0, 1])
            assert np.isnan([found.mean[0], found.error[0], found.x[0]]).all()

    @pytest.mark.parametrize("edges", [[0], [1, 0], [0, 0], [[0, 1], [1, 2]], [0, np.nan]])
    def test_edges(self, edges):
        with pytest.raises(ValueError, match="edges must rise"):
            profiles.profile([1.0], [1.0], edges=edges)


class TestLine:
    def test_same_as_polyfit(self):
        rng = np.random.default_rng(10)
        alpha = rng.uniform(0, 0.4, 5000)
        r = rng.normal(1 - 0.3 * alpha, 0.2)
        edges = [0, 0.1, 0.2, 0.3, 0.4]
        bins = profiles.profile(alpha, r, edges=edges)
        (slope, intercept), covariance = np.polyfit(
            bins.x, bins.mean, 1, w=1 / bins.error, cov="unscaled"
        )
        found = profiles.extrapolate(alpha, r, edges=edges)
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
            profiles.extrapolate(
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
        assert np.isnan(profiles.extrapolate(alpha, np.ones(90), edges=edges).intercept)
        r = 1 - alpha + np.random.default_rng(1).normal(0, 0.1, 90)
        small, large = (
            profiles.extrapolate(alpha, r, np.full(90, w), edges=edges) for w in (1e-3, 5)
        )
        np.testing.assert_allclose(small, large, rtol=1e-9)

    def test_bins_of_few_events_do_not_count(self):
        alpha = np.repeat([0.05, 0.15, 0.25], [20, 20, 19])
        r = 1 + np.tile([-0.1, 0.1], 30)[:59]
        edges = [0, 0.1, 0.2, 0.3]
        assert profiles.extrapolate(alpha, r, edges=edges).dof == 0
        assert np.isfinite(profiles.extrapolate(alpha, r, edges=edges).intercept)
        alone = profiles.extrapolate(alpha[:39], r[:39], edges=edges)
        assert np.isnan(alone.intercept)
        assert alone.dof == 0


class TestToys:
    @pytest.mark.parametrize("injected", [0.97, 1.02])
    def test_pulls(self, injected):
        """Both estimators return the injected response within their errors."""
        pulls = {"balance": [], "mpf": []}
        for seed in range(100):
            rows = toys.draw(5000, response=injected, seed=seed)
            for estimator, found in pulls.items():
                line = profiles.extrapolate(rows["alpha"], rows[estimator], edges=ALPHA_EDGES)
                found.append((line.intercept - injected) / line.error)
        for estimator, found in pulls.items():
            assert abs(np.mean(found)) < 0.35, estimator  # 3.5 standard errors
            assert 0.75 < np.std(found) < 1.25, estimator

    def test_slopes(self):
        rows = toys.draw(200_000, response=0.97, together=0.8, seed=3)
        balance = profiles.extrapolate(rows["alpha"], rows["balance"], edges=ALPHA_EDGES)
        assert balance.slope == pytest.approx(-0.6, abs=4 * balance.slope_error)
        mpf = profiles.extrapolate(rows["alpha"], rows["mpf"], edges=ALPHA_EDGES)
        assert abs(mpf.slope) < 4 * mpf.slope_error
