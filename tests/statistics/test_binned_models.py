"""Signals on backgrounds of several families: fits, intervals, limits and impacts against plain code."""

import numpy as np
import pytest
from scipy import optimize, special, stats

from fastjag.statistics import (
    FAMILIES,
    BinnedModel,
    Family,
    Nuisance,
    Window,
    feldman_cousins,
    fit_signal,
    gaussian_peak,
    impacts,
    interval,
    significance,
    upper_limit,
)
from fastjag.statistics.intervals import ratio_p

WINDOW = Window(5, 9, 10.6, 16, sr_edges=12)
N_LEFT = len(WINDOW.left) - 1
LINE = BinnedModel.of_window(Window(5, 9, 10, 14, sr_edges=3), Family("legendre", 1))
EDGES = np.linspace(5, 16, 45)


def expectation(model, shape, events):
    """Exact integrals of a density over the bins."""
    x, weight = np.polynomial.legendre.leggauss(20)
    half, middle = (model.high - model.low)[:, None] / 2, (model.high + model.low)[:, None] / 2
    e = (weight * shape(middle + half * x) * half).sum(axis=1)
    return events * e / e.sum()


def drawn(model, events, size, seed=1, signal=0.0):
    e = expectation(model, lambda m: np.exp(-m / 3), events) + signal * model.signal
    return np.random.default_rng(seed).poisson(e, (size, model.bins)).astype(float)


class TestFamilies:
    @pytest.mark.parametrize(
        ("name", "order", "shape"),
        [
            ("legendre", 2, lambda m: 30 - m + 0.01 * m**2),
            ("bernstein", 2, lambda m: (17 - m) ** 2),
            ("exponential", 1, lambda m: np.exp(-m / 3)),
            ("exponential", 2, lambda m: np.exp(-m / 3 - m**2 / 40)),
            ("power", 1, lambda m: m**-4.0),
            ("power", 2, lambda m: m ** (-2 - np.log(m))),
            ("inverse", 2, lambda m: np.exp(-40 / m - 60 / m**2)),
            ("dijet", 3, lambda m: (1 - m / 13000) ** 9 * (m / 13000) ** -(3 + np.log(m / 13000))),
        ],
    )
    def test_hold_their_functions(self, name, order, shape):
        model = BinnedModel.of_edges(EDGES, gaussian_peak(EDGES, 9.5, 0.2), Family(name, order))
        e = expectation(model, shape, 1e5)
        found = fit_signal(model, e)
        assert found.converged
        assert abs(found.S) < 1e-3  # of 1e5
        assert found.background == pytest.approx(e, rel=1e-6)

    @pytest.mark.parametrize("name", FAMILIES)
    def test_coefficients_give_the_density(self, name):
        family = Family(name, 3)
        model = BinnedModel.of_edges(EDGES, gaussian_peak(EDGES, 9.5, 0.2), family)
        c = np.random.default_rng(0).normal(size=family.parameters) * 0.3
        fine = np.linspace(EDGES[:-1], EDGES[1:], 201, axis=1)
        density = family.density(c, fine.ravel(), model.span).reshape(fine.shape)
        assert model.background(c) == pytest.approx(density.mean(axis=1), rel=1e-3, abs=1e-3)

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: Family("bernstien", 2), "bernstein"),
            (lambda: Family("dijet", 1), "order of dijet"),
            (lambda: Family("dijet", 2, sqrt_s=0), "sqrt_s must be above 0"),
            (lambda: Family("inverse", 1).terms([1.0], 0.0, 2.0), "masses above 0"),
            (lambda: LINE.with_family(Family("legendre", 60)), "bins cannot fix legendre 60"),
            (lambda: BinnedModel.of_edges([3, 2, 1], [1, 1], Family("power", 1)), "rising"),
            (lambda: BinnedModel.of_edges(EDGES, np.zeros(44), Family("power", 1)), "above 0 in some"),
            (lambda: BinnedModel.of_edges(EDGES, [1], Family("power", 1)), "44 finite numbers"),
            (lambda: Nuisance.lognormal("x", 0), "error must be above 0"),
            (lambda: fit_signal(LINE, np.ones(5)), "17 bins"),
            (lambda: fit_signal(LINE, -np.ones(17)), "not negative"),
            (lambda: fit_signal(LINE, np.zeros((2, 17))), "spectrum 0 is empty"),
            (lambda: fit_signal([], np.ones(17)), "at least one model"),
            (lambda: fit_signal([LINE, BinnedModel.of_window(WINDOW, LINE.family)], np.ones(17)), "same bins"),
            (lambda: interval(LINE, np.ones(17), 1.5), "between 0 and 1"),
            (lambda: feldman_cousins(LINE, np.ones((2, 17))), "one spectrum"),
        ],
    )  # fmt: skip
    def test_errors(self, make, message):
        with pytest.raises(ValueError, match=message):
            make()


class TestFits:
    @pytest.mark.parametrize(("events", "degree"), [(60, 5), (3000, 3), (1e5, 5)])
    def test_legendre_is_significance(self, events, degree):
        """The likelihood of the published search, by other code."""
        model = BinnedModel.of_window(WINDOW, Family("legendre", degree))
        n = drawn(model, events, 60)
        found = fit_signal(model, n)
        known = significance(n[:, :N_LEFT], n[:, -1], n[:, N_LEFT:-1], window=WINDOW, degree=degree)
        assert found.converged.all()
        assert found.q0 == pytest.approx(known.q0, abs=1e-7)
        assert pytest.approx(known.S, abs=1e-5) == found.S

    @pytest.mark.parametrize("name", ["bernstein", "exponential", "power", "inverse", "dijet"])
    def test_another_minimiser_finds_nothing_better(self, name):
        nuisances = [Nuisance.lognormal("luminosity", 0.1), Nuisance.gaussian("efficiency", 0.2)]
        peak = gaussian_peak(EDGES, 9.5, 0.3)
        shifted = Nuisance.shape(
            "scale", gaussian_peak(EDGES, 9.6, 0.3), gaussian_peak(EDGES, 9.45, 0.3)
        )
        model = BinnedModel.of_edges(EDGES, peak, Family(name, 2), [*nuisances, shifted])
        n = drawn(model, 2000, 1, signal=80)[0]
        found = fit_signal(model, n)

        def nll(p):
            scale = 1.1 ** p[1]
            a = p[3]
            up, down = np.array(shifted.up) - peak, peak - np.array(shifted.down)
            S, A = (up + down) / 2, (up - down) / 16
            moved = a * (S + a * A * (15 + a * a * (-10 + 3 * a * a))) if abs(a) < 1 else (
                a * (up if a > 0 else down))  # fmt: skip
            signal = p[0] * 100 * scale * (peak + moved + 0.2 * p[2] * peak)
            e = model.background(p[4:]) + signal
            if (e <= 0).any():
                return 1e9
            return (e - special.xlogy(n, e)).sum() + (p[1:4] ** 2).sum() / 2

        from fastjag.statistics.profile_fit import fit_model

        theta = fit_model(model, n[None], np.ones((1, len(n)))).theta[0].copy()
        theta[0] /= 100
        best = nll(theta)
        for seed in range(3):
            start = theta * (1 + 0.1 * np.random.default_rng(seed).normal(size=len(theta)))
            done = optimize.minimize(nll, start, method="Nelder-Mead", options={"maxfev": 4000})
            assert done.fun > best - 1e-6
        assert pytest.approx(theta[0] * 100) == found.S
        gradient = optimize.approx_fprime(theta, nll, 1e-6)
        if name != "bernstein":  # whose coefficients may be at 0
            assert np.abs(gradient).max() < 0.05

    def test_a_signal_region_without_events(self):
        n = np.r_[np.full(16, 30.0), 0.0]
        found = fit_signal(LINE, n)
        assert pytest.approx(-60, abs=1e-3) == found.S
        assert found.q0 == 0
        assert found.Z == 0

    def test_weights_are_scaled_poisson(self):
        """Twice the weight is half as many events: errors are those of the events."""
        n = drawn(LINE, 4000, 3)
        one, two = fit_signal(LINE, n), fit_signal(LINE, 2 * n, scale=0.5)
        assert pytest.approx(2 * one.S) == two.S
        assert two.error == pytest.approx(2 * one.error)
        assert two.q0 == pytest.approx(one.q0, abs=1e-8)

    def test_batches_are_single_fits(self):
        n = drawn(LINE, 300, 6).reshape(2, 3, 17)
        models = [LINE, LINE.with_family(Family("exponential", 1))]
        whole = fit_signal(models, n)
        one = fit_signal(models, n[1, 2])
        assert whole.S.shape == (2, 3)
        assert one.S.shape == ()
        assert whole.S[1, 2] == pytest.approx(float(one.S), abs=1e-6)
        assert whole.q0[1, 2] == pytest.approx(float(one.q0), abs=1e-7)


class TestDiscreteProfiling:
    def test_is_the_smallest_of_all_with_a_penalty(self):
        n = drawn(LINE, 500, 8)
        models = [LINE.with_family(f) for f in (Family("legendre", 0), Family("legendre", 3))]
        alone = [fit_signal(m, n) for m in models]
        for penalty in (0.0, 1.0, 50.0):
            both = fit_signal(models, n, penalty=penalty)
            for S, choice in zip(both.S, both.choice, strict=True):
                assert any(pytest.approx(float(a.S[i]), abs=1e-5) == S
                           for a in alone for i in range(8))  # fmt: skip
                assert choice in (0, 1)
            if penalty == 0:
                assert (both.choice == 1).all()  # more parameters are never worse
            if penalty == 50:
                assert both.S[both.choice == 0] == pytest.approx(
                    alone[0].S[both.choice == 0], abs=1e-6
                )

    def test_intervals_are_wider(self):
        n = drawn(LINE, 2000, 20)
        line = interval(LINE, n)
        choices = interval(
            [
                LINE,
                LINE.with_family(Family("exponential", 1)),
                LINE.with_family(Family("power", 2)),
            ],
            n,
        )
        assert choices.found.all()
        assert ((choices.high - choices.low) >= 0.99 * (line.high - line.low)).mean() > 0.5


class TestIntervals:
    def test_rises_by_the_quantile(self):
        n = drawn(LINE, 400, 5)
        from fastjag.statistics.envelope import Envelope

        for level, rise in ((0.6826894921370859, 1.0), (0.95, 3.841458820694124)):
            found = interval(LINE, n, level)
            assert found.found.all()
            envelope, _ = Envelope.of(LINE, n, 1.0, 1.0)
            for end in (found.low, found.high):
                assert 2 * (envelope.at(end).nll - envelope.best.nll) == pytest.approx(
                    rise, abs=1e-4
                )
            assert (found.low < found.S).all()
            assert (found.high > found.S).all()

    def test_counting_experiment(self):
        """With a background that is known, the profile is Poisson's likelihood."""
        edges = np.linspace(0, 100, 102)
        signal = np.zeros(101)
        signal[50] = 1
        model = BinnedModel.of_edges(edges, signal, Family("legendre", 0))
        n = np.full(101, 10_000.0)
        n[50] = 10_300
        found = interval(model, n)
        root = optimize.brentq(
            lambda s: 2 * (10_000 + s - 10_300 - 10_300 * np.log((10_000 + s) / 10_300)) - 1,
            300,
            600,
        )
        assert found.high == pytest.approx(root, rel=0.01)

    def test_feldman_cousins_with_a_background_that_is_known(self):
        """n = 7 and b = 3: from 0.89 to 9.53 at 90 % in table V of the publication."""
        model = BinnedModel.of_edges([0, 500, 501, 1001], [0, 1, 0], Family("legendre", 0))
        found = feldman_cousins(model, [1500, 7, 1500], 0.9, toys=400, points=31, seed=3)
        assert found.low == pytest.approx(0.89, abs=0.3)
        assert found.high == pytest.approx(9.53, abs=0.6)
        again = feldman_cousins(model, [1500, 7, 1500], 0.9, toys=400, points=31, seed=3)
        assert again.high == found.high
        assert found.seed == 3

    def test_p_of_the_best_signal_is_one(self):
        n = drawn(LINE, 60, 1)[0]
        n[-1] += 5
        best = float(fit_signal(LINE, n).S)
        assert ratio_p(LINE, n, best, toys=50, seed=1) > 0.9


class TestLimits:
    def test_formulae_of_a_counting_experiment(self):
        """Against CLs written out for one bin with a background that is known."""
        edges = np.linspace(0, 1001, 1002)
        signal = np.zeros(1001)
        signal[500] = 1
        model = BinnedModel.of_edges(edges, signal, Family("legendre", 0))
        n = np.full(1001, 50.0)
        for observed in (40.0, 50.0, 70.0):
            n[500] = observed
            found = upper_limit(model, n)

            def q(s, n, best):
                return 2 * (s - best - n * np.log((50 + s) / (50 + best)))

            def cls(s, observed=observed, q=q):
                best = max(observed - 50, 0.0)
                root = np.sqrt(max(q(s, observed, best), 0)) if s > best else 0.0
                asimov = np.sqrt(q(s, 50, 0))
                distance = root - asimov if root <= asimov else (root**2 - asimov**2) / (2 * asimov)
                return stats.norm.sf(distance + asimov) / stats.norm.sf(distance) - 0.05

            assert found.observed == pytest.approx(optimize.brentq(cls, 0.1, 200), rel=2e-3)
            assert found.found
            median = optimize.brentq(
                lambda s: 2 * stats.norm.sf(np.sqrt(q(s, 50, 0))) - 0.05, 1, 100
            )
            assert found.expected[2] == pytest.approx(median, rel=2e-3)
            assert (np.diff(found.expected) > 0).all()

    def test_a_cross_section_is_events_over_luminosity_and_efficiency(self):
        n = drawn(LINE, 1000, 3)
        cross = BinnedModel.of_window(LINE.window, LINE.family, signal=20.0 * 0.4)
        one, two = upper_limit(LINE, n), upper_limit(cross, n)
        assert two.observed == pytest.approx(one.observed / 8, rel=1e-5)
        assert two.expected == pytest.approx(one.expected / 8, rel=1e-5)

    def test_uncertainties_weaken_limits(self):
        n = drawn(LINE, 1000, 4)
        loose = BinnedModel.of_window(LINE.window, LINE.family, [Nuisance.lognormal("e", 0.4)])
        assert (upper_limit(loose, n).observed > upper_limit(LINE, n).observed).all()


class TestImpacts:
    def test_of_a_log_normal_efficiency(self):
        model = BinnedModel.of_window(LINE.window, LINE.family, [
            Nuisance.lognormal("small", 0.02), Nuisance.lognormal("large", 0.3)])  # fmt: skip
        n = np.r_[np.full(16, 100.0), 500.0]
        found = impacts(model, n)
        assert [i.name for i in found.nuisances] == ["large", "small"]
        large = found.nuisances[0]
        assert large.up == pytest.approx(300 / 1.3 - 300, abs=1e-3)
        assert large.down == pytest.approx(300 * 1.3 - 300, abs=1e-3)
        assert large.pull == pytest.approx(0, abs=1e-6)
        assert large.error == pytest.approx(1, abs=1e-4)
        parts = found.statistical**2 + (300 * np.log(1.3)) ** 2 + (300 * np.log(1.02)) ** 2
        assert found.error**2 == pytest.approx(parts, rel=1e-4)

    def test_data_pull_a_mass_scale(self):
        """A peak beside where it is expected: the scale moves there, and its error shrinks."""
        peak = gaussian_peak(EDGES, 9.5, 0.3)
        scale = Nuisance.shape(
            "scale", gaussian_peak(EDGES, 9.7, 0.3), gaussian_peak(EDGES, 9.3, 0.3)
        )
        model = BinnedModel.of_edges(EDGES, peak, Family("exponential", 1), [scale])
        n = expectation(model, lambda m: np.exp(-m / 3), 2000) + 500 * gaussian_peak(
            EDGES, 9.6, 0.3
        )
        found = impacts(model, n).nuisances[0]
        assert 0.3 < found.pull < 0.6
        assert found.error < 0.3

    def test_batched(self):
        model = BinnedModel.of_window(LINE.window, LINE.family, [Nuisance.gaussian("e", 0.1)])
        n = drawn(LINE, 1000, 4)
        whole = impacts(model, n)
        assert whole.error.shape == (4,)
        assert whole.nuisances[0].up[2] == pytest.approx(
            float(impacts(model, n[2]).nuisances[0].up), abs=1e-6
        )
