"""Mass fits: numbers put in come out, with errors that cover them; published figures add up."""

import math

import numpy as np
import pytest

from fastjag.analyses.diphoton.mass_fit import PUBLISHED_EVENTS, fit_mass
from fastjag.statistics import fit_probability


def spectrum(seed, n_signal, n_background, sigma=2.0):
    """A peak at 125 GeV on a falling exponential between 105 and 160 GeV."""
    rng = np.random.default_rng(seed)
    u = rng.random(rng.poisson(n_background))
    tau = 35.0
    background = 105 - tau * np.log1p(-u * (1 - np.exp(-55 / tau)))
    signal = rng.normal(125.0, sigma, rng.poisson(n_signal))
    return np.concatenate([background, signal])


def test_published_figures():
    width = 55 / 30
    assert 119.1 * 2.38 * math.sqrt(2 * math.pi) / width == pytest.approx(
        PUBLISHED_EVENTS["inclusive"], abs=1
    )
    assert 23.2 * 1.83 * math.sqrt(2 * math.pi) / width == pytest.approx(
        PUBLISHED_EVENTS["unconverted central"], abs=1
    )


class TestFit:
    def test_pulls(self):
        """Events in the peak over 10 experiments: unbiased, with errors of the right size."""
        pulls = []
        for seed in range(10):
            fit = fit_mass(spectrum(seed, 300, 6000), fixed={"mean": 125.0, "sigma": 2.0})
            assert fit.valid
            pulls.append((fit.values["events"] - 300) / fit.errors["events"])
        # Fluctuations of the number itself are part of it: extended likelihood.
        assert abs(np.mean(pulls)) < 4 / math.sqrt(10)
        assert 0.4 < np.std(pulls) < 1.8

    def test_large_sample(self):
        fit = fit_mass(spectrum(3, 40_000, 200_000, sigma=2.2))
        assert fit.valid
        assert fit.values["events"] == pytest.approx(40_000, abs=4 * fit.errors["events"])
        assert fit.values["mean"] == pytest.approx(125, abs=4 * fit.errors["mean"])
        assert fit.values["sigma"] == pytest.approx(2.2, abs=4 * fit.errors["sigma"])
        assert fit.errors["events"] < 2000
        assert fit.ndf == 30 - 7
        assert fit.chi2 < 60
        assert fit.significance > 30
        assert (fit.signal + fit.background).sum() == pytest.approx(fit.counts.sum(), rel=1e-3)

    def test_published_setting(self):
        """Mean and height fixed as in the release's own fit: sigma alone says how many events."""
        mass = spectrum(5, 388, 36_000, sigma=2.38)
        free = fit_mass(mass, fixed={"mean": 125.0, "events": 388.0})
        assert free.values["sigma"] == pytest.approx(2.38, abs=4 * free.errors["sigma"])
        assert free.errors["mean"] == free.errors["events"] == 0

    def test_significance(self):
        """Of a peak alone in few bins: close to that of counting."""
        fit = fit_mass(spectrum(7, 300, 6000), fixed={"mean": 125.0, "sigma": 2.0})
        assert fit.significance == pytest.approx(
            fit.values["events"] / fit.errors["events"], rel=0.15
        )
        nothing = fit_mass(spectrum(8, 0, 6000), fixed={"mean": 125.0, "sigma": 2.0})
        assert abs(nothing.significance) < 3

    def test_significance_without_signal(self):
        """That of a standard normal variable, though place and width of the peak are fitted."""
        fits = [fit_mass(spectrum(1000 + seed, 0, 6000)) for seed in range(80)]
        Z = np.array([fit.significance for fit in fits])
        assert fits[0].tested == {"mean": 125.0, "sigma": 2.0}
        assert fits[0].errors["sigma"] > 0
        # The best of all shapes is above 2 sigma in 13 % of them: 10 of 80; more than 6, with 2.3 %, is
        # a chance of 0.2 %.
        assert (Z > 2).sum() <= 6
        assert abs(Z.mean()) < 4 / math.sqrt(len(Z))
        assert 0.7 < Z.std() < 1.3

    def test_significance_of_a_shape_that_is_given(self):
        mass = spectrum(4, 400, 6000, sigma=1.2)
        shape = {"mean": 125.0, "sigma": 1.2}
        fits = [fit_mass(mass, fixed=fixed) for fixed in (None, {"sigma": 1.2}, shape)]
        assert [fit.tested["sigma"] for fit in fits] == [2.0, 1.2, 1.2]
        assert fits[1].significance == pytest.approx(fits[2].significance, abs=1e-2)
        assert fits[0].significance < fits[2].significance
        assert fits[0].numbers()["tested"] == fits[0].tested

    @pytest.mark.parametrize("seed", range(6))
    def test_negative_weights_that_no_likelihood_describes(self, seed):
        """Bins whose weights add up to less than nothing: these fits are wrong by up to any number."""
        mass = spectrum(seed, 20, 200)
        sign = np.where(np.random.default_rng(seed).random(len(mass)) < 0.45, -1.0, 1.0)
        fit = fit_mass(mass, sign)
        assert ((fit.counts <= 0) & (fit.variances > 0)).any()
        assert not fit.valid

    def test_a_shape_at_its_limit_is_not_found(self):
        rng = np.random.default_rng(1)
        narrow = np.r_[spectrum(2, 0, 3000), rng.normal(125, 0.1, 400)]
        fit = fit_mass(narrow)
        assert fit.values["sigma"] == pytest.approx(0.5, abs=0.01)
        assert not fit.valid
        assert fit_mass(narrow, fixed={"sigma": 0.5}).valid

    def test_crystal_ball(self):
        rng = np.random.default_rng(1)
        core = rng.normal(125, 1.5, 30_000)
        tail = 125 - 1.5 * 1.5 - rng.exponential(3, 6_000)
        gaussian = fit_mass(np.concatenate([core, tail]), degree=0)
        tails = fit_mass(np.concatenate([core, tail]), signal="crystal-ball", degree=0)
        assert tails.chi2 < gaussian.chi2 / 4
        assert tails.values["sigma"] == pytest.approx(1.5, abs=0.15)

    def test_weights(self):
        """Weights of 0.01: a hundredth of the events, errors of the simulation's size."""
        mass = spectrum(2, 20_000, 100_000)
        one = fit_mass(mass)
        small = fit_mass(mass, np.full(len(mass), 0.01))
        assert small.values["events"] == pytest.approx(0.01 * one.values["events"], rel=0.01)
        assert small.errors["events"] == pytest.approx(0.01 * one.errors["events"], rel=0.05)
        assert small.chi2 == pytest.approx(one.chi2, rel=0.05)
        # A quarter of negative weights: the same expectation, larger errors.
        sign = np.where(np.random.default_rng(0).random(len(mass)) < 0.25, -1.0, 1.0)
        signed = fit_mass(mass, 0.02 * sign)
        assert signed.values["events"] == pytest.approx(
            0.01 * one.values["events"], abs=4 * signed.errors["events"]
        )
        assert signed.errors["events"] > 1.5 * small.errors["events"]

    def test_errors(self):
        mass = spectrum(1, 100, 1000)
        for kwargs, message in (
            ({"signal": "cb"}, "signal must be 'gaussian' or 'crystal-ball', got 'cb'"),
            ({"degree": -1}, "degree must be"),
            ({"window": (160, 105)}, "window must be an interval"),
            ({"window": (300, 400)}, "0 of .* events have a mass between 300 and 400 GeV"),
            ({"fixed": {"sigm": 2}}, "no parameter 'sigm' to fix: did you mean 'sigma'"),
            ({"weights": np.full(len(mass), -1.0)}, "weights in the window add up to -"),
            ({"weights": np.ones(3)}, "weights has 3 entries"),
        ):
            with pytest.raises(ValueError, match=message):
                fit_mass(mass, **kwargs)


def drawn(seed, n=20_000, signal=600):
    """A falling spectrum between 105 and 160 GeV with a peak at 125 GeV."""
    rng = np.random.default_rng(seed)
    m = 105 + rng.exponential(30, 3 * n)
    return np.r_[m[m < 160][:n], rng.normal(125, 2, signal)]


@pytest.mark.parametrize(("seed", "valid"), [(1, True), (2, False), (4, False)])
def test_an_error_below_the_least_possible_is_not_valid(seed, valid):
    """The Crystal Ball's Hesse matrix may be that of no minimum: 1348 +- 2 events where 600 are."""
    fit = fit_mass(drawn(seed), signal="crystal-ball")
    assert fit.valid is valid
    assert (fit.errors["events"] > 40) is valid


@pytest.mark.parametrize("fixed", [{"mean": 140.0, "sigma": 2.0}, {"sigma": 10.0}])
def test_fixed_values_are_not_moved(fixed):
    """Limits are for what is fitted."""
    fit = fit_mass(drawn(7), fixed=fixed)
    for name, value in fixed.items():
        assert fit.values[name] == fit.tested[name] == value


@pytest.mark.parametrize("fixed", [{"sigma": 0.0}, {"sigma": -1.0}, {"mean": np.nan}])
def test_fixed_values_that_are_none(fixed):
    with pytest.raises(ValueError, match=f"fixed {next(iter(fixed))} must be a positive number"):
        fit_mass(drawn(7), fixed=fixed)


def test_classes_of_different_weights_are_no_bad_fit():
    """Bins beside the peak hold single light events of rare classes: these do not judge the fit."""
    worst = 1.0
    for seed in range(8):
        rng = np.random.default_rng(seed)
        weights = np.repeat([0.2566, 0.0214, 0.0049, 0.0044, 0.0029], 1500)
        fit = fit_mass(
            rng.normal(125, 1.55, len(weights)), weights, degree=0, window=(118, 132), bins=28
        )
        worst = min(worst, fit_probability(fit.chi2, fit.ndf))
    assert worst > 1e-3
