"""Parts of the mass scan: where a spectrum find_ends, how far a peak goes, fits of sidebands, global p."""

import numpy as np
import pytest

special = pytest.importorskip("scipy.special")
optimize = pytest.importorskip("scipy.optimize")

from fastjag.statistics.baseline import (
    baseline,
    find_candidates,
    find_ends,
    find_extent,
    merge_range,
    stitch,
)
from fastjag.statistics.elsewhere import calibrated_log_p, counting_Z
from fastjag.statistics.sidebands import Choice, Series, Sidebands, p_of_fit, series_rows

CHOICE = Choice(level=0.03, nearby=0.36, margin=4, lowest=3, largest_error=2)


class TestEnds:
    def test_a_cut_ends_a_spectrum(self):
        counts = np.full(60, 50.0)
        counts[:10] = 0
        counts[45:] = 0
        assert find_ends(counts, 4) == (11, 44)
        assert find_ends(np.full(60, 50.0), 4) == (0, 60)
        assert find_ends(np.zeros(60), 4) == (0, 60)

    def test_a_spectrum_that_fades_has_no_end(self):
        fading = np.round(1e4 * np.exp(-np.arange(60) / 3))
        assert fading[-1] == 0
        assert find_ends(fading, 4) == (0, 60)
        assert find_ends(fading[::-1], 4) == (0, 60)

    def test_a_few_events_end_nothing(self):
        counts = np.zeros(60)
        counts[20:24] = 2
        assert find_ends(counts, 4)[0] == 21  # 8 events, and none beside
        counts[20] = 1
        assert find_ends(counts, 4) == (0, 60)

    def test_one_empty_bin_misses_less_than_four(self):
        counts = np.full(60, 5.0)
        counts[0] = 0
        assert find_ends(counts, 4) == (0, 60)  # 5 events missed
        counts[:4] = 0
        assert find_ends(counts, 4) == (5, 60)  # 20


class TestExtent:
    expected = np.full(40, 100.0)

    def spectrum(self, **bins):
        counts = self.expected.copy()
        for at, value in bins.items():
            counts[int(at[1:])] = value
        return counts

    def test_three_bins_at_the_background_end_a_peak(self):
        # 1.5 sqrt(101) = 15.07 above 100 is high.
        assert find_extent(self.spectrum(), self.expected, 10, 14) == (9, 15)
        assert find_extent(self.spectrum(b7=116), self.expected, 10, 14) == (6, 15)
        assert find_extent(self.spectrum(b6=116), self.expected, 10, 14) == (9, 15)
        assert find_extent(self.spectrum(b16=116), self.expected, 10, 14) == (9, 18)
        assert find_extent(self.spectrum(b17=116), self.expected, 10, 14) == (9, 15)
        assert find_extent(self.spectrum(b9=115), self.expected, 10, 14) == (9, 15)

    def test_the_ends_of_the_spectrum(self):
        assert find_extent(self.spectrum(b0=200), self.expected, 2, 6) == (0, 7)
        assert find_extent(self.spectrum(b0=200, b1=200), self.expected, 1, 5) == (0, 6)
        assert find_extent(self.spectrum(b39=200), self.expected, 34, 38) == (33, 40)

    def test_an_empty_background(self):
        counts = np.zeros(20)
        assert find_extent(counts, np.zeros(20), 8, 12) == (7, 13)  # nothing is high
        counts[7] = 1  # below 1.5
        assert find_extent(counts, np.zeros(20), 8, 12) == (7, 13)
        counts[7] = 2
        assert find_extent(counts, np.zeros(20), 8, 12) == (6, 13)

    def test_tails_belong_to_their_peak(self):
        assert merge_range([(10, 14)], 20, 24) == [(10, 14), (20, 24)]
        assert merge_range([(10, 14)], 17, 20) == [(10, 14), (17, 20)]
        assert merge_range([(10, 14)], 16, 20) == [(10, 20)]
        assert merge_range([(10, 14), (30, 34)], 5, 8) == [(30, 34), (5, 14)]
        assert merge_range([(10, 14)], 5, 7) == [(10, 14), (5, 7)]
        assert merge_range([(10, 14), (20, 24)], 15, 19) == [(10, 24)]


class TestBaseline:
    def test_it_follows_no_peak(self):
        smooth = 1e4 * np.exp(-np.arange(120) / 30)
        peak = 3000 * np.exp(-0.5 * (np.arange(120) - 60.0) ** 2 / 2)
        found = baseline(np.round(smooth + peak), 4, 28)
        np.testing.assert_allclose(found, smooth, atol=0.5 * np.sqrt(smooth.max()))
        [(first, last)] = find_candidates(np.round(smooth + peak), 4, 28)
        assert first <= 57
        assert last >= 64
        assert last - first < 15
        assert find_candidates(np.round(smooth), 4, 28) == []
        assert find_candidates(smooth[:27], 4, 28) == []

    def test_curves_are_joined_where_windows_fit(self):
        curves = np.array([[1.0, 1, 1], [2.0, 2, 2]])
        both = stitch(curves, np.array([True, True]), np.zeros(2), 5, np.full(5, 9.0))
        assert both[[0, 3, 4]] == pytest.approx([1, 2, 9])
        assert 1 < both[1] < 1.5 < both[2] < 2  # mostly that whose middle is nearer
        one = stitch(curves, np.array([True, False]), np.zeros(2), 5, np.full(5, 9.0))
        assert one == pytest.approx([1, 1, 1, 9, 9])
        faint = stitch(curves, np.array([True, False]), np.full(2, 1e-9), 5, np.full(5, 9.0))
        assert faint == pytest.approx([1, 1, 1, 2, 9])


class TestSidebands:
    def test_the_fit_is_the_optimum(self):
        """Against another minimiser of the same likelihood."""
        rows = series_rows(24, 4)
        n = np.random.default_rng(1).poisson(30 * np.exp(rows @ [0, -0.7, 0.2, 0, 0.1]))
        found = Series(rows).fit(n[None].astype(float), np.ones((1, 24)), np.array([4]), None)[0]

        def value(theta):
            return np.exp(rows @ theta).sum() - n @ rows @ theta

        best = optimize.minimize(value, [3.0, 0, 0, 0, 0], method="BFGS", tol=1e-10)
        np.testing.assert_allclose(found, best.x, atol=1e-3)

    def test_error_of_the_background(self):
        """B and its error have the spread that toys have, also of each region of a wide gap."""
        for gap in (4, 9):
            windows = Sidebands(4, 12, 8, CHOICE._replace(level=1e-9, nearby=1e-9), gap)
            expected = 400 * np.exp(-np.arange(windows.length) / 20)
            spectra = np.random.default_rng(2).poisson(expected, (400, windows.length))
            n = windows.windows(spectra.astype(float)).reshape(400, 24)
            found = windows.fit(n, np.ones((400, 24), bool))
            true = [expected[12 + i : 16 + i].sum() for i in range(gap - 3)]
            assert found.B.shape == (400, gap - 3)
            assert (found.degree == 3).all()
            pull = (found.B - true) / found.error
            assert pull.mean(axis=0) == pytest.approx(0, abs=0.2)
            assert pull.std(axis=0) == pytest.approx(1, abs=0.12)
            assert found.usable.mean() > 0.8

    def test_what_cannot_be_used(self):
        windows = Sidebands(4, 12, 8, CHOICE)
        flat, used = np.full((1, 24), 100.0), np.ones((1, 24), bool)
        assert windows.fit(flat, used).usable.all()
        few = used.copy()
        few[0, 2:12] = False  # two bins on one side
        assert not windows.fit(flat, few).usable.any()
        few[0, 2] = True
        assert windows.fit(flat, few).usable.all()
        rough = flat + 40 * (-1.0) ** np.arange(24)
        bad = windows.fit(rough, used)
        assert bad.p_fit[0] < 0.01
        assert not bad.usable.any()
        bent = 1000 * np.exp(2 * np.cos(np.arange(28) / 1.5))[None]
        assert not windows.fit(windows.windows(bent)[:, 0], used).usable.any()

    def test_no_events(self):
        found = Sidebands(4, 12, 8, CHOICE).fit(np.zeros((1, 24)), np.ones((1, 24), bool))
        assert found.usable.all()
        assert found.B[0, 0] == pytest.approx(0, abs=1e-6)
        # Twice as large sidebands of nothing: one event above them has 2 sigma.
        assert counting_Z(1, found.B, found.error)[0, 0] == pytest.approx(1.97, abs=0.01)
        assert counting_Z(0, found.B, found.error)[0, 0] == 0

    def test_degrees_near_a_curvature_are_looked_at_twice(self):
        bins = np.arange(240)
        shape = 1e4 * np.exp(-bins / 60) / (1 + np.exp(-(bins - 120) / 6.0))
        windows = Sidebands(4, 12, 8, CHOICE)
        n = windows.windows(shape)
        used = np.ones(n.shape, bool)
        alone = windows.fit(n, used).degree
        together = windows.fit(n, used, len(n)).degree
        assert (together >= alone).all()
        assert (together > alone).any()
        assert together[-50:].max() == 3

    def test_goodness_of_fit(self):
        assert p_of_fit(np.array([20.0]), np.array([20.0]), np.array([40.0])) == 1
        p = p_of_fit(np.array([45.31]), np.array([20.0]), np.array([40.0]))
        assert p == pytest.approx(0.001, rel=0.01)  # chi² of 20 degrees of freedom
        assert p_of_fit(np.array([0.0]), np.array([1.0]), np.array([0.0])) == 1


class TestGlobalP:
    maxima = np.arange(1.0, 101) / 25  # 0.04 to 4

    def test_shares_of_toys(self):
        p = np.exp(calibrated_log_p([0.0, 2.0, 2.02, 3.64], self.maxima, 1.0))
        assert p == pytest.approx([1, 52 / 101, 51 / 101, 11 / 101])

    def test_beyond_them(self):
        Z = np.linspace(3.64, 60, 300)
        log_p = calibrated_log_p(Z, self.maxima, 3.0)
        assert log_p[0] == pytest.approx(np.log(11 / 101))
        assert (np.diff(log_p) < 0).all()
        log_p[0] = np.log(10 / 101)  # the last that is counted includes itself
        excursions = special.ndtr(-Z[:50]) + 3 * np.exp(-(Z[:50] ** 2 - 1) / 2)
        assert log_p[:50] - log_p[0] == pytest.approx(np.log(excursions / excursions[0]))
        assert log_p[-1] < -1700  # no end at 37 sigma
        assert np.isfinite(calibrated_log_p(50.0, self.maxima, 0.0))

    @pytest.mark.parametrize(("toys", "counted"), [(1, 1), (10, 1), (11, 2), (99, 10), (500, 10)])
    def test_from_which_toy_on(self, toys, counted):
        maxima = np.arange(1.0, toys + 1)
        last = toys + 1 - counted
        assert np.exp(calibrated_log_p(last, maxima, 1.0)) == pytest.approx(
            (counted + 1) / (toys + 1)
        )
        beyond = np.exp(calibrated_log_p([last + 1e-9, last + 1], maxima, 1.0))
        assert beyond[0] == pytest.approx(counted / (toys + 1), rel=1e-4)
        assert beyond[1] < beyond[0]


class TestCountingZ:
    @pytest.mark.parametrize(
        ("N", "B", "error"), [(10, 4, 1.5), (140, 100 / 1.2, 10 / 1.2), (3, 0.4, 0.5)]
    )
    def test_it_is_the_likelihood_ratio(self, N, B, error):
        tau, M = B / error**2, (B / error) ** 2

        def deviance(b):
            return -2 * (N * np.log(b) - b + M * np.log(tau * b) - tau * b)

        null = optimize.minimize_scalar(deviance, bounds=(1e-9, N + B), method="bounded")
        best = -2 * (N * np.log(N) - N + M * np.log(M) - M)
        assert counting_Z(N, B, error) == pytest.approx(np.sqrt(null.fun - best), rel=1e-5)

    def test_no_excess_and_no_background(self):
        assert counting_Z([0, 4, 5], 5, 1).tolist() == [0, 0, 0]
        assert counting_Z(0, 0, 0) == 0
        assert np.isfinite(counting_Z(3, 0, 0))
