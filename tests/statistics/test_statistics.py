"""Window and significance: published spectra, a second optimiser, calibration on toys, bad input."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, special

from fastjag.statistics import Window, background, significance

UPSILON = Window(5, 9, 10.6, 16, sr_edges=12)

# Real opposite-sign events with a muon isolation above 0.55 (CMS Open Data 2016H), 12 edges:
# degree 5, false-positive rate 0.001 of a classifier. S, B and Z of two independent optimisers.
PUBLISHED = {
    3: (58.2389752225406, 1633.7610247774594, 1.1189110646321694),
    5: (97.16091035322347, 1594.8390896467765, 1.595580233628861),
}


def smooth_spectrum(window=UPSILON, events=12_000):
    """Expected counts of a falling background: sideband bins and signal region."""
    m = window.centers
    shape = np.exp(-(m - 5) / 6)
    sr = np.exp(-((window.signal[:-1] + window.signal[1:]) / 2 - 5) / 6).sum()
    scale = events / (shape.sum() + sr)
    return np.split(scale * shape, [len(window.left) - 1]), scale * sr


class TestWindow:
    @pytest.mark.parametrize(
        ("edges", "bins"), [(6, (12, 5, 16)), (8, (17, 7, 23)), (12, (27, 11, 37)), (16, (37, 15, 50))]
    )  # fmt: skip
    def test_bins_of_the_published_window(self, edges, bins):
        w = Window(5, 9, 10.6, 16, edges)
        assert (len(w.left) - 1, len(w.signal) - 1, len(w.right) - 1) == bins
        assert (w.left[-1], w.signal[0], w.signal[-1], w.right[0]) == (9, 9, 10.6, 10.6)
        assert w.left[0] >= 5
        assert w.right[-1] <= 16

    def test_reference_bins(self, cases):
        for name, expected in json.loads((cases / "bins.json").read_text()).items():
            particle, mode, edges = name.split("_")
            bounds = (5, 9, 10.6, 16) if particle == "upsilon" else (0.3, 0.525, 0.569, 0.72)
            w = Window(*bounds, int(edges), logarithmic=mode == "log")
            np.testing.assert_array_equal(w.left, expected["left"])
            # The last bit of the powers depends on how they are taken.
            np.testing.assert_array_max_ulp(w.signal, np.array(expected["SR"]), 2)
            np.testing.assert_array_max_ulp(w.right, np.array(expected["right"]), 4)

    @pytest.mark.parametrize("logarithmic", [False, True])
    def test_no_bin_is_lost_to_rounding(self, logarithmic):
        """Windows whose sidebands are a whole number of bins wide, and a little less."""
        rng = np.random.default_rng(1)
        w = Window(2, 3, 3.3, 4, 4)
        assert (len(w.left) - 1, len(w.right) - 1) == (10, 7)
        assert (w.left[0], w.right[-1]) == (2, 4)
        for _ in range(300):
            bins = rng.integers(1, 40, 3)
            start, width = rng.uniform(0.5, 5), rng.uniform(0.01, 0.1)
            ends = np.r_[0, np.cumsum(bins)]
            bounds = start * (1 + width) ** ends if logarithmic else start + width * ends
            w = Window(*bounds, int(bins[1]) + 1, logarithmic)
            assert (len(w.left) - 1, len(w.right) - 1) == (bins[0], bins[2])
            assert (w.left[0], w.right[-1]) == (bounds[0], bounds[3])
            shrunk = (1e-6, 0, 0, -1e-6) * np.diff(bounds)[[0, 0, 0, 2]] / bins[[0, 0, 0, 2]]
            if min(bins[0], bins[2]) > 1:
                w = Window(*(bounds + shrunk), int(bins[1]) + 1, logarithmic)
                assert (len(w.left), len(w.right)) == (bins[0], bins[2])

    def test_smallest_windows(self):
        """One bin in the signal region and in each sideband."""
        w = Window(8, 9, 10, 11, 2)
        assert [len(x) for x in (w.left, w.signal, w.right)] == [2, 2, 2]
        np.testing.assert_allclose(w.centers, [8.5, 10.5])
        assert w.bin_width == 1
        assert Window(5, 9, 10.6, 16, 9).bin_width == pytest.approx(0.2)
        w = Window(0, 9, 10, 11, 2)  # 0 is no border of bins of equal width
        assert w.left[0] == 0
        w = Window(8, 9, 10.125, 12, 2, logarithmic=True)
        np.testing.assert_allclose(w.centers, np.sqrt([8 * 9, 10.125 * 10.125 * 1.125]))
        assert w.bin_width == pytest.approx(1.125)

    def test_counts_without_weights_are_whole_numbers(self):
        counts = UPSILON.count_cuts([6.0, 9.5, 9.6, 12.0], [1, 2, 3, 4], [0, 2.5, 4])
        assert counts.signal.tolist() == [2, 1, 0]
        assert counts.left.sum(axis=1).tolist() == [1, 0, 0]
        assert counts.right.sum(axis=1).tolist() == [1, 1, 1]
        assert counts.left.dtype == counts.signal.dtype == np.float64

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (([6.0], [1, 2], [0]), "scores has 2 entries"),
            (([6.0], [1], [0], [1, 1]), "weights has 2 entries"),
            (([6.0], [1], [0, np.nan]), "cuts must be numbers, one-dimensional"),
            (([6.0], [1], [[0]]), "cuts must be numbers, one-dimensional"),
        ],
    )
    def test_what_cannot_be_counted(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            UPSILON.count_cuts(*arguments)

    def test_borders_belong_to_no_bin(self):
        masses = [9, 10.6, np.nextafter(9, 0), np.nextafter(9, 10), np.nextafter(10.6, 11), 4, 16.1]
        counts = UPSILON.count(masses)
        assert (counts.left.sum(), counts.signal, counts.right.sum()) == (1, 1, 1)
        assert (counts.left[-1], counts.right[0]) == (1, 1)
        assert counts.variances is None

    @given(st.integers(0, 2**32 - 1), st.booleans())
    def test_counts_are_those_of_numpy(self, seed, logarithmic):
        w = Window(5, 9, 10.6, 16, 8, logarithmic)
        rng = np.random.default_rng(seed)
        masses, weights = rng.uniform(4, 17, 300), rng.exponential(size=300)
        counts = w.count(masses, weights)
        for found, square, edges in zip(
            counts[:3], counts.variances, (w.left, w.signal[[0, -1]], w.right), strict=True
        ):
            np.testing.assert_allclose(
                found, np.histogram(masses, edges, weights=weights)[0].squeeze()
            )
            expected = np.histogram(masses, edges, weights=weights**2)[0].squeeze()
            np.testing.assert_allclose(square, expected)

    @given(st.integers(0, 2**32 - 1), st.booleans())
    def test_many_cuts_at_once(self, seed, weighted):
        rng = np.random.default_rng(seed)
        masses, scores = rng.uniform(4, 17, 200), rng.random(200).round(1)
        weights = rng.exponential(size=200) if weighted else None
        cuts = [0.5, 0.0, 0.9, 2.0]
        counts = UPSILON.count_cuts(masses, scores, cuts, weights)
        for i, cut in enumerate(cuts):
            chosen = scores >= cut
            one = UPSILON.count(masses[chosen], None if weights is None else weights[chosen])
            for found, expected in zip(counts[:3], one[:3], strict=True):
                np.testing.assert_allclose(found[i], expected, rtol=1e-12)
            assert (one.variances is None) == (not weighted)
            for found, expected in zip(counts.variances or (), one.variances or (), strict=True):
                np.testing.assert_allclose(found[i], expected, rtol=1e-12)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ((5, 10, 9, 16), "sb_left < sr_left < sr_right < sb_right, got 5, 10, 9, 16"),
            ((5, 9, 10, np.nan), "sb_left < sr_left"),
            ((5, 9, 9, 16), "sb_left < sr_left < sr_right < sb_right, got 5, 9, 9, 16"),
            ((5, 9, 10, 10.2, 3), "the right sideband is narrower than a bin"),
            ((-1, 9, 10, 16, 12, True), "logarithmic bins need sb_left > 0, got -1"),
            ((5, 9, 10, 16, 1), "sr_edges must be an integer >= 2, got 1"),
            ((8.9, 9, 10, 16, 3), "the left sideband is narrower than a bin"),
            ((0, 9, 10, 16, 12, True), "logarithmic bins need sb_left > 0, got 0"),
        ],
    )
    def test_errors(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            Window(*arguments)


class TestReferences:
    def test_all_spectra(self, cases):
        spectra = json.loads((cases / "significance_cases.json").read_text())["cases"]
        assert len(spectra) == 56
        for case in spectra:
            window = Window(5, 9, 10.6, 16, case["n_edges_SR"])
            found = significance(
                case["SB_left"], case["SR"], case["SB_right"], window=window, degree=case["degree"]
            )
            assert found.converged
            assert pytest.approx(case["S_converged"], rel=1e-5) == found.S
            assert pytest.approx(case["B_converged"], rel=1e-5) == found.B
            tolerance = 1e-4 if case["n_events"] < 30 else 1e-6
            assert pytest.approx(case["Z_converged"], abs=tolerance) == found.Z

    def test_the_published_figure_that_had_not_converged(self, cases):
        """27.71 for degree 7 before the isolation cut; the optimum of that likelihood is 23.886."""
        masses = np.load(cases / "masses_OS.npz")["OS_7"]
        left, signal, right, _ = UPSILON.count(masses)
        found = significance(left, signal, right, window=UPSILON, degree=7)
        assert found.converged
        assert pytest.approx(23.886, abs=5e-4) == found.Z

    def test_unbinned_masses(self, cases):
        masses = np.load(cases / "masses_OS.npz")["OS_0"]
        left, signal, right, _ = UPSILON.count(masses)
        assert signal == 1692
        for degree, (S, B, Z) in PUBLISHED.items():
            found = significance(left, signal, right, window=UPSILON, degree=degree)
            assert pytest.approx((S, B, Z), rel=1e-7) == (found.S, found.B, found.Z)

    def test_weighted(self, cases):
        expected = json.loads((cases / "weighted_synthetic.json").read_text())
        masses = np.sort(np.load(cases / "masses_OS.npz")["OS_0"])
        u = np.modf(0.5 + np.arange(len(masses)) * 0.6180339887498949)[0]
        bump = np.exp(-0.5 * ((masses - 9.46) / 0.12) ** 2)
        score = np.clip(0.15 + 0.42 * u**3 + 0.25 * u * bump, 1e-6, 1 - 1e-6)
        mu = expected["mu"]
        weights = np.clip((score / (1 - score) - (1 - mu)) / mu, 0, 1e9)
        left, signal, right, variances = UPSILON.count(masses, weights)
        np.testing.assert_allclose(np.r_[left, right], expected["SB_sumw"], rtol=1e-12)
        found = significance(left, signal, right, window=UPSILON, variances=variances)
        assert found.converged
        assert pytest.approx(9.385994619426723, abs=1e-6) == found.Z
        assert pytest.approx(expected["converged"]["S"], rel=1e-5) == found.S


def negative_log_likelihood(theta, design, n, scale):
    expected = design @ theta
    return np.sum(scale * (expected - special.xlogy(n, np.maximum(expected, 1e-300))))


class TestOptimum:
    @pytest.mark.parametrize("events", [30, 300, 12_000])
    @pytest.mark.parametrize("degree", [0, 2, 5])
    def test_a_second_optimiser_finds_nothing_better(self, events, degree):
        """scipy's SLSQP with the constraint that no bin is below zero."""
        from fastjag.statistics.likelihood import design_matrix

        rng = np.random.default_rng(events + degree)
        (left, right), sr = smooth_spectrum(events=events)
        left, right, signal = rng.poisson(left), rng.poisson(right), rng.poisson(1.2 * sr)
        found = significance(left, signal, right, window=UPSILON, degree=degree)
        design = design_matrix(UPSILON, degree)
        n = np.r_[left, right, signal].astype(float)
        optima = []
        for rows in (slice(0, -1), slice(None)):
            start = np.zeros(degree + 1)
            start[0] = n[rows].mean()
            done = optimize.minimize(
                negative_log_likelihood, start, (design[rows], n[rows], np.ones(len(n[rows]))),
                method="SLSQP", options={"maxiter": 1000, "ftol": 1e-14},
                constraints=[{"type": "ineq", "fun": lambda t, d=design[rows]: d @ t}],
            )  # fmt: skip
            optima.append(done)
        free, null = optima
        assert found.converged
        own = negative_log_likelihood(found.coefficients, design[:-1], n[:-1], np.ones(len(n) - 1))
        assert own <= free.fun + 1e-7 * abs(free.fun)
        best = free.fun + signal - special.xlogy(signal, signal)
        expected = max(0, 2 * (null.fun - best)) if signal > design[-1] @ free.x else 0
        assert found.q0 == pytest.approx(expected, abs=2e-4)

    def test_scaling_all_weights_changes_nothing(self):
        rng = np.random.default_rng(3)
        (left, right), sr = smooth_spectrum()
        left, right, signal = rng.poisson(left), rng.poisson(right), rng.poisson(1.1 * sr)
        plain = significance(left, signal, right, window=UPSILON)
        w = 7.5
        scaled = significance(
            w * left, w * signal, w * right, window=UPSILON,
            variances=(w * w * left, w * w * signal, w * w * right),
        )  # fmt: skip
        assert pytest.approx(plain.Z, rel=1e-9) == scaled.Z
        assert pytest.approx(w * plain.S, rel=1e-9) == scaled.S

    def test_an_exact_polynomial_is_found(self):
        design = np.polynomial.legendre.legvander((UPSILON.centers - 10.5) / 5.5, 3)
        theta = np.array([100.0, -40.0, 10.0, 3.0])
        counts = np.split(design @ theta, [len(UPSILON.left) - 1])
        found = significance(counts[0], 0, counts[1], window=UPSILON, degree=3)
        np.testing.assert_allclose(found.coefficients, theta, rtol=1e-8)
        m = np.array([6.0, 12.0])
        np.testing.assert_allclose(
            background(found.coefficients, m, UPSILON),
            np.polynomial.legendre.legvander((m - 10.5) / 5.5, 3) @ theta,
        )
        assert (found.q0, found.Z, found.p) == (0, 0, 0.5)
        assert found.S == -found.B

    def test_batches_equal_single_spectra(self):
        rng = np.random.default_rng(4)
        (left, right), sr = smooth_spectrum(events=400)
        lefts, rights = (rng.poisson(x, (3, 2, len(x))) for x in (left, right))
        signals = rng.poisson(sr, (3, 2))
        batch = significance(lefts, signals, rights, window=UPSILON, degree=3)
        assert batch.Z.shape == (3, 2)
        assert batch.coefficients.shape == (3, 2, 4)
        for at in np.ndindex(3, 2):
            one = significance(lefts[at], signals[at], rights[at], window=UPSILON, degree=3)
            assert pytest.approx(batch.Z[at], abs=1e-9) == one.Z
            assert one.Z.shape == ()

    def test_far_tail(self):
        """A p-value where 1 - cdf would be 0."""
        (left, right), sr = smooth_spectrum()
        found = significance(left, 1.5 * sr, right, window=UPSILON)
        assert 9 < found.Z < 30
        assert found.p == pytest.approx(0.5 * special.erfc(found.Z / np.sqrt(2)))
        assert found.p > 0

    def test_no_events_in_many_bins(self):
        left, right = np.zeros(27), np.zeros(37)
        left[[3, 9]], right[[1, 30]] = 1, 1
        found = significance(left, 0, right, window=UPSILON)
        assert found.converged
        assert found.B >= -1e-9


def test_calibration_on_toys():
    """Background only: half of the toys at zero, the others as the half-normal distribution says."""
    rng = np.random.default_rng(5)
    (left, right), sr = smooth_spectrum()
    n = 3000
    found = significance(
        rng.poisson(left, (n, len(left))), rng.poisson(sr, n), rng.poisson(right, (n, len(right))),
        window=UPSILON,
    )  # fmt: skip
    assert found.converged.all()
    for cut, share in ((0, 0.5), (1, 0.15866), (1.645, 0.05), (2, 0.02275)):
        assert (cut < found.Z).mean() == pytest.approx(share, abs=4 * np.sqrt(share / n))


class TestErrors:
    @pytest.mark.parametrize(
        ("left", "signal", "right", "options", "message"),
        [
            (np.ones(26), 1, np.ones(37), {}, "left must have 27 bins .* got shape \\(26,\\)"),
            (np.ones(27), 1, 5, {}, "right must have 37 bins"),
            (-np.ones(27), 1, np.ones(37), {}, "left must be finite and not negative"),
            (np.ones(27), np.nan, np.ones(37), {}, "signal must be finite"),
            (np.zeros(27), 1, np.zeros(37), {}, "sidebands of spectrum 0 are empty"),
            (np.ones(27), 1, np.ones(37), {"degree": -1}, "degree must be an integer >= 0, got -1"),
            (np.ones(27), 1, np.ones(37), {"degree": 64}, "64 sideband bins cannot fix"),
            (np.ones(27), 1, np.ones(37),
             {"variances": (np.ones(27), 1, np.ones(36))}, "right variances must have 37 bins"),
        ],
    )  # fmt: skip
    def test_say_what_is_accepted(self, left, signal, right, options, message):
        with pytest.raises(ValueError, match=message):
            significance(left, signal, right, window=UPSILON, **options)
