"""The likelihood of an excess: backgrounds that are not negative, far tails, errors, any units."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.polynomial import legendre
from scipy import optimize, special, stats

from fastjag.statistics import (
    Window,
    Z_of_log_p,
    background,
    background_error,
    enough_filled,
    likelihood,
    log_p,
    p_text,
    significance,
)
from fastjag.statistics.likelihood import design_matrix, mass_of, null_expectation, unit_mass

WINDOW = Window(5, 9, 10.6, 16, sr_edges=6)
N_LEFT = len(WINDOW.left) - 1


def drawn(seed, events, shape=()):
    """Sidebands of an exponential background."""
    e = np.exp(-(WINDOW.centers - 5) / 6)
    counts = np.random.default_rng(seed).poisson(events * e / e.sum(), (*shape, len(e)))
    return np.split(counts, [N_LEFT], axis=-1)


def dip():
    """Sidebands that fall towards the signal region as if there were less than nothing in it."""
    return np.split(np.round(8 * ((WINDOW.centers - 9.8) ** 2 - 0.9)), [N_LEFT])


class TestBackgroundIsNotNegative:
    @given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(0, 7), st.booleans())
    def test_no_event_no_excess(self, seed, events, degree, weighted):
        left, right = drawn(seed, events)
        left[0] += 1
        rng = np.random.default_rng(seed)
        w = rng.exponential(size=len(left) + len(right)) if weighted else np.ones(28)
        w = np.split(w, [len(left)])
        v = (left * w[0] ** 2, 0, right * w[1] ** 2) if weighted else None
        found = significance(
            left * w[0], 0, right * w[1], window=WINDOW, degree=degree, variances=v
        )
        assert (found.Z, found.q0, found.p) == (0, 0, 0.5)
        assert found.B >= 0
        assert found.S == -found.B
        assert found.converged

    def test_the_best_of_those_that_are_not(self):
        """Events beside the signal region only where the polynomial then has to turn below zero."""
        left, right = dip()
        design = design_matrix(WINDOW, 4)
        n = np.r_[left, right]

        def loss(theta, rows=slice(-1)):
            seen = np.r_[n, 3][rows]
            expected = design[rows] @ theta
            return np.sum(expected - special.xlogy(seen, np.maximum(expected, 1e-300)))

        start = np.r_[n.mean(), np.zeros(4)]
        bounds = {"type": "ineq", "fun": lambda theta: design @ theta}
        options = {"method": "SLSQP", "constraints": [bounds], "options": {"ftol": 1e-14}}
        free = optimize.minimize(loss, start, **options)
        null = optimize.minimize(loss, start, (slice(None),), **options)
        found = significance(left, 3, right, window=WINDOW, degree=4)
        assert (found.B, found.S) == (0, 3)
        assert found.converged
        assert loss(found.coefficients) == pytest.approx(free.fun, rel=1e-6)
        assert (design[:-1] @ found.coefficients).min() > -1e-9
        best = free.fun + 3 - special.xlogy(3, 3)
        assert found.q0 == pytest.approx(2 * (null.fun - best), rel=1e-4)
        # Without the signal region's bound it would be lower than that.
        sides = optimize.minimize(
            loss, start, method="SLSQP", options={"ftol": 1e-14},
            constraints=[{"type": "ineq", "fun": lambda theta: design[:-1] @ theta}],
        )  # fmt: skip
        assert design[-1] @ sides.x < -1
        assert sides.fun < free.fun

    def test_others_of_a_batch_are_not_touched(self):
        left, right = (np.stack(side) for side in zip(dip(), drawn(1, 3000), strict=True))
        batch = significance(left, [3, 500], right, window=WINDOW, degree=4)
        one = significance(left[1], 500, right[1], window=WINDOW, degree=4)
        assert batch.B[0] == 0
        assert batch.B[1] == pytest.approx(float(one.B), rel=1e-9)
        assert batch.Z[1] == pytest.approx(float(one.Z), rel=1e-9)

    def test_null_toys_of_few_events(self):
        """Z is large no more often than that of a half-normal variable."""
        left, right = drawn(5, 17, (3000,))
        filled = left.sum(axis=1) + right.sum(axis=1) > 0
        signal = np.random.default_rng(6).poisson(3, 3000)[filled]
        found = significance(left[filled], signal, right[filled], window=WINDOW, degree=1)
        assert found.converged.all()
        assert (found.Z > 3).mean() < 0.005


class TestFarTail:
    def test_above_what_p_can_say(self):
        left, right = drawn(2, 1e6)
        found = significance(left, 3e5, right, window=WINDOW)
        assert found.Z > 100
        assert found.p == 0
        assert Z_of_log_p(log_p(found.Z)) == pytest.approx(found.Z, rel=1e-12)

    def test_both_ways(self):
        Z = np.r_[0, np.geomspace(1e-3, 1e4, 60)]
        np.testing.assert_allclose(Z_of_log_p(log_p(Z)), Z, rtol=1e-9, atol=1e-12)
        near = Z[Z < 30]
        np.testing.assert_allclose(np.exp(log_p(near)), stats.norm.sf(near), rtol=1e-10)

    def test_an_excess_is_not_below_zero(self):
        found = Z_of_log_p(np.log([0.5, 0.7, 1.0]))
        assert found.tolist() == [0, 0, 0]
        assert not np.signbit(found).any()
        assert Z_of_log_p(-np.inf) == np.inf

    @pytest.mark.parametrize(
        ("Z", "said"),
        [(0, "0.5"), (2, "0.023"), (37, "5.7e-300"), (40, "3.7e-350"), (1000, "2.3e-217151")],
    )
    def test_in_words(self, Z, said):
        assert p_text(float(log_p(Z))) == said

    def test_words_of_round_numbers(self):
        assert p_text(-1000 * np.log(10)) == "1.0e-1000"
        assert p_text(np.log(9.99) - 1000 * np.log(10)) == "1.0e-999"
        assert p_text(-np.inf) == "0"


class TestUnits:
    @pytest.mark.parametrize("unit", [1e-290, 1e-6, 1e6, 1e60])
    def test_of_weights(self, unit):
        left, right = drawn(3, 300)
        plain = significance(left, 80, right, window=WINDOW, degree=2)
        v = (left * unit**2, 80 * unit**2, right * unit**2)
        if unit == 1e-290:  # its square is none
            v = None
        found = significance(left * unit, 80 * unit, right * unit, window=WINDOW, degree=2,
                             variances=v)  # fmt: skip
        assert found.converged
        np.testing.assert_allclose(found.S / unit, plain.S, rtol=1e-7)
        if v is not None:
            # An empty bin counts as one of weight 1, so that few units are the same to the last bit.
            assert pytest.approx(float(plain.Z), abs=1e-6 if (left > 0).all() else 2) == found.Z

    def test_empty_bins_of_large_counts(self):
        """Where rounding of a count of a million is more than an empty bin expects."""
        rng = np.random.default_rng(4)
        for _ in range(20):
            left, right = (rng.poisson(1e6 * rng.random(n) ** 5) for n in
                           (N_LEFT, len(WINDOW.right) - 1))  # fmt: skip
            left[rng.integers(N_LEFT)], right[rng.integers(5)] = 0, 0
            found = significance(left, 1000, right, window=WINDOW, degree=5)
            assert found.converged
            assert (design_matrix(WINDOW, 5) @ found.coefficients > -1e-9 * left.sum()).all()


def test_spectra_beyond_a_chunk(monkeypatch):
    left, right = drawn(7, 500, (2, 5))
    signal = np.random.default_rng(7).poisson(120, (2, 5))
    options = {"window": WINDOW, "degree": 2}
    whole = significance(left, signal, right, **options)
    expected = null_expectation(left, signal, right, **options)
    monkeypatch.setattr(likelihood, "_CHUNK", 3)
    parts = significance(left, signal, right, **options)
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)
    for one, other in zip(expected, null_expectation(left, signal, right, **options), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9)


def test_no_spectra():
    left, right = drawn(7, 500, (2, 0))
    found = significance(left, np.zeros((2, 0)), right, window=WINDOW, degree=2)
    assert found.Z.shape == found.converged.shape == (2, 0)
    assert found.coefficients.shape == (2, 0, 3)
    expected = null_expectation(left, np.zeros((2, 0)), right, window=WINDOW, degree=2)
    assert [x.shape for x in expected] == [left.shape, (2, 0), right.shape]


def test_null_expectation_of_many():
    left, right = drawn(8, 400, (3,))
    found = null_expectation(left, [90, 95, 130], right, window=WINDOW, degree=2)
    assert [x.shape for x in found] == [left.shape, (3,), right.shape]
    for i in range(3):
        one = null_expectation(left[i], [90, 95, 130][i], right[i], window=WINDOW, degree=2)
        for many, single in zip(found, one, strict=True):
            np.testing.assert_allclose(many[i], single, rtol=1e-9)


def test_an_expectation_of_few():
    left, right = np.zeros(N_LEFT), np.zeros(len(WINDOW.right) - 1)
    left[:2] = 3, 1
    found = np.r_[*map(np.atleast_1d, null_expectation(left, 0, right, window=WINDOW, degree=2))]
    assert found.sum() == pytest.approx(4, rel=1e-6)
    assert 0 <= found.min() < 1e-6


@pytest.mark.parametrize("scaled", [False, True])
def test_background_error(scaled):
    """The inverse of the expected information, bin by bin; and what toys scatter by."""
    left, right = drawn(9, 4000, (2, 3))
    v = (left * 4.0, np.full((2, 3), 4.0), right * 4.0) if scaled else None
    w = 2.0 if scaled else 1.0
    found = significance(left * w, np.full((2, 3), 2.0), right * w, window=WINDOW, degree=2,
                         variances=v)  # fmt: skip
    masses = np.array([6.0, 9.8, 15.0])
    scale = np.full(len(WINDOW.centers), 1 / w)
    errors = background_error(found.coefficients, masses, WINDOW, scale=scale)
    assert errors.shape == (2, 3, 3)
    for at in np.ndindex(2, 3):
        theta = found.coefficients[at]
        information = np.zeros((3, 3))
        for mass in WINDOW.centers:
            row = legendre.legvander([(mass - 10.5) / 5.5], 2)[0]
            information += np.outer(row, row) / w / (row @ theta)
        for i, mass in enumerate(masses):
            row = legendre.legvander([(mass - 10.5) / 5.5], 2)[0]
            expected = np.sqrt(row @ np.linalg.inv(information) @ row)
            assert errors[*at, i] == pytest.approx(expected, rel=1e-9)
    many = significance(*drawn(10, 4000, (400,))[:1], np.zeros(400), drawn(10, 4000, (400,))[1],
                        window=WINDOW, degree=2)  # fmt: skip
    scatter = background(many.coefficients, masses, WINDOW).std(axis=0)
    np.testing.assert_allclose(scatter * np.sqrt(w) ** 2, errors[0, 0], rtol=0.2)


def test_an_expectation_of_nothing_has_an_error():
    theta = np.array([1.0, -1.0])  # 0 at the right end
    assert np.isfinite(background_error(theta, [15.9, 16], WINDOW)).all()


def test_masses_and_units_are_inverse():
    np.testing.assert_allclose(unit_mass([5, 10.5, 16], WINDOW), [-1, 0, 1])
    masses = np.linspace(5, 16, 7)
    np.testing.assert_allclose(mass_of(unit_mass(masses, WINDOW), WINDOW), masses, rtol=1e-14)


def test_enough_filled():
    left, right = np.zeros((2, 12)), np.zeros((2, 16))
    left[0, :2], right[0, 3], left[1, 0] = 1, 2, 5
    assert enough_filled(left, right, 2).tolist() == [True, False]
    assert enough_filled(left, right, 3).tolist() == [False, False]
    assert enough_filled(left, right, 0).all()


@pytest.mark.parametrize("unit", [1e-6, 0.01, 10.0, 1e6])
def test_nothing_depends_on_the_unit_of_weights(unit):
    """Empty bins once had the scale of weights of 1: then Z grew from 0.5 to 20 with the unit."""
    rng = np.random.default_rng(1)
    window = Window(5, 9, 10.6, 16, sr_edges=12)
    left, right = (rng.poisson(1.0, len(edges) - 1) for edges in (window.left, window.right))
    assert (left == 0).any()
    assert (right == 0).any()

    def of(c):
        weighted = (left * c, 20 * c, right * c)
        return significance(
            *weighted, window=window, degree=3, variances=tuple(part * c for part in weighted)
        )

    one, other = of(1.0), of(unit)
    np.testing.assert_allclose(one.Z, 1.0666, atol=1e-4)
    np.testing.assert_allclose(other.Z, one.Z, rtol=1e-9)
    np.testing.assert_allclose([other.S / unit, other.B / unit], [one.S, one.B], rtol=1e-9)


def test_a_bin_of_few_heavy_events_counts_for_little():
    """A bin with ten times the content is followed where it holds many events, and not where one."""
    window = Window(5, 9, 10.6, 16, sr_edges=12)
    left, right = (np.full(len(edges) - 1, 40.0) for edges in (window.left, window.right))
    flat = significance(left, 200, right, window=window, degree=1).B
    left[-2] = 400.0

    def of(events):
        variances = (left.copy(), 200.0, right.copy())
        variances[0][-2] = 400.0**2 / events
        return significance(left, 200, right, window=window, degree=1, variances=variances).B

    assert of(400) > 1.1 * flat
    assert of(1) < 1.001 * flat
    assert of(400) > of(40) > of(4) > of(1)


@pytest.mark.parametrize(("count", "variance"), [(0.0, 9.0), (5.0, 0.0)])
def test_a_bin_whose_weights_say_nothing_has_the_mean_one(count, variance):
    """Weights that cancel, or counts without variance: as an empty bin, and as the others."""
    window = Window(5, 9, 10.6, 16, sr_edges=12)
    left, right = (np.full(len(edges) - 1, 40.0) for edges in (window.left, window.right))
    left[2] = count

    def of(bin_variance):
        variances = (3 * left, 600.0, 3 * right)
        variances[0][2] = bin_variance
        return significance(left, 200, right, window=window, degree=1, variances=variances).B

    # All others have s = 3.
    assert of(variance) == pytest.approx(float(of(3 * count)), rel=1e-9)
