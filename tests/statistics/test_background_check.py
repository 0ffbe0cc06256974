"""Tests of backgrounds: orders, goodness of fit, spurious signals, and what the check says."""

import numpy as np
import pytest

from fastjag.statistics import (
    BinnedModel,
    Family,
    Window,
    check_background,
    fit_signal,
    spurious_signal,
)
from fastjag.statistics.envelope import Envelope
from fastjag.statistics.families import FAMILIES

WINDOW = Window(5, 9, 10.6, 16, sr_edges=12)
SHAPES = {
    "exp(-m/3)": lambda m: np.exp(-m / 3),
    "m^-4": lambda m: m**-4.0,
    "turn-on": lambda m: m**-4.0 / (1 + np.exp(-(m - 7.5) / 1.33)),
}


def model_of(degree):
    return BinnedModel.of_window(WINDOW, Family("legendre", degree))


def asimov(shape, events=1e5):
    model = model_of(1)
    x, weight = np.polynomial.legendre.leggauss(20)
    half, middle = (model.high - model.low)[:, None] / 2, (model.high + model.low)[:, None] / 2
    e = (weight * SHAPES[shape](middle + half * x) * half).sum(axis=1)
    return events * e / e.sum()


@pytest.mark.parametrize(
    ("shape", "degree", "percent", "within"),
    [
        ("exp(-m/3)", 3, -1.0, 0.05),
        ("m^-4", 3, -4.8, 0.05),
        ("turn-on", 3, 2.3, 0.05),
        ("exp(-m/3)", 5, -0.01, 0.005),
        ("m^-4", 5, -0.4, 0.05),
        ("turn-on", 5, 1.1, 0.05),
    ],
)
def test_background_of_polynomials_in_the_window_of_the_search(shape, degree, percent, within):
    """How much a polynomial's background is off, between 9 and 10.6 GeV of 5 to 16 GeV."""
    truth = asimov(shape)
    S, _ = spurious_signal(model_of(degree), [truth])
    assert -100 * S[0] / truth[-1] == pytest.approx(percent, abs=within)


class TestCheck:
    @pytest.mark.parametrize(("shape", "degree"), [("m^-4", 3), ("turn-on", 3), ("turn-on", 5)])
    def test_says_that_a_model_is_biased(self, shape, degree):
        n = np.random.default_rng(2).poisson(asimov(shape, 1e5)).astype(float)
        found = check_background(model_of(degree), n)
        assert found.biased
        assert found.says.startswith("! The background legendre")
        assert np.abs(found.bias).max() > 0.2

    def test_and_that_one_is_not(self):
        n = np.random.default_rng(3).poisson(asimov("exp(-m/3)", 5000)).astype(float)
        found = check_background(model_of(5), n)
        assert not found.biased
        assert found.p_fit > 0.01
        assert found.says.startswith("The background legendre 5 is not biased")
        assert np.abs(found.profiled).max() < 0.5

    def test_orders_of_the_f_test(self):
        n = asimov("m^-4", 1e6)
        found = check_background(model_of(3), n, most=6)
        chosen = {f.name: f.order for f in found.chosen}
        assert chosen["power"] == 1
        assert chosen["dijet"] == 2
        assert "legendre" not in chosen or chosen["legendre"] > 3
        rows = {(r.family.name, r.family.order): r for r in found.fits}
        assert rows["power", 1].p_fit > 0.99
        assert rows["legendre", 3].p_fit < 1e-3
        assert rows["legendre", 3].p_order < 1e-3
        assert rows["power", 1].p_order > 0.9
        assert {Family("power", 1), Family("power", 2)} <= set(found.choices)

    def test_an_even_term_without_the_odd_one_before_it_is_seen(self):
        """A parabola around the middle of the window: order 1 is of no use, order 2 is."""
        model = model_of(1)
        middle = (model.low + model.high) / 2
        n = (500 + 10 * (middle - 10.5) ** 2) * (model.high - model.low)
        found = check_background(model, n, families=["legendre"], most=4)
        assert found.chosen == [Family("legendre", 2)]

    def test_nothing_else_describes_the_data(self):
        n = asimov("exp(-m/3)", 5000)
        found = check_background(model_of(3), n, families=["legendre"], most=3)
        assert found.truths == []
        assert "could not be tested" in found.says or "does not describe" in found.says

    def test_one_spectrum(self):
        with pytest.raises(ValueError, match="one spectrum"):
            check_background(model_of(3), np.ones((2, 65)))


def test_a_turn_on_has_a_family():
    """Of all families with four parameters, one describes it: without it, those that profiling finds are biased."""
    truth = asimov("turn-on", 2e4)
    model = model_of(3)
    families = [Family(name, 3) for name in FAMILIES]
    nll = [Envelope.of(model.with_family(f), truth, 1.0, 1.0)[0].best.nll[0] for f in families]
    best = dict(zip([f.name for f in families], nll, strict=True))
    others = [value for name, value in best.items() if name != "inverse"]
    assert 2 * (min(others) - best["inverse"]) > 2
    choice = [model.with_family(Family("inverse", order)) for order in (3, 4)]
    found = fit_signal([model.with_family(f) for f in families] + choice, truth)
    assert abs(found.S / found.error) < 0.5


def test_profiling_the_choice_has_less_bias_than_a_family_that_fails():
    """The benchmark calibrate_backgrounds.py has the whole table."""
    rng = np.random.default_rng(5)
    truth = asimov("m^-4", 1e5)
    n = rng.poisson(truth, (60, len(truth))).astype(float)
    line = model_of(3)
    families = [
        Family("legendre", 3),
        Family("power", 1),
        Family("power", 2),
        Family("exponential", 2),
    ]
    one = fit_signal(line, n)
    all_ = fit_signal([line.with_family(f) for f in families], n)
    assert np.mean(one.S / one.error) > 1
    assert abs(np.mean(all_.S / all_.error)) < 0.4
