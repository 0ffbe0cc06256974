"""Peak fits: what is put in comes out, with errors that cover it."""

import pickle
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path

import hist
import numpy as np
import pytest
from scipy import integrate, stats

import fastjag as fj
from fastjag.statistics.peak_shapes import PeakModel

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import calibrate_peaks

WINDOW = calibrate_peaks.WINDOW
UPSILON = (9.4604, 10.0234, 10.3551)


@pytest.mark.parametrize("background", ["exponential", "polynomial"])
@pytest.mark.parametrize("shape", calibrate_peaks.TRUE)
def test_expectations_come_back(shape, background):
    """Bins that hold what is expected: the true values, however wide the bins are."""
    model = PeakModel(shape, background, 2, (), WINDOW)
    true = {"mass": 3.0812, "width": 0.031, "gamma": 0.03, "alpha_left": 1.2, "alpha_right": 1.6,
            "n_left": 3.0, "n_right": 3.0, "events": 4000.0, "slope": 2.0, "b0": 3000.0,
            "b1": 2000.0, "b2": 1500.0}  # fmt: skip
    values = np.array([true[n] for n in model.names])
    shapes, events, below, slope = model.split(values)
    for bins in (24, 70):
        edges = np.linspace(*WINDOW, bins + 1)
        counts = events @ model.peak_bins(edges, shapes) + below @ model.background_bins(
            edges, slope
        )
        fit = fj.fit_peak((counts, edges), shape=shape, background=background)
        assert fit.valid, fit
        for name, (value, error) in fit.parameters.items():
            assert value == pytest.approx(true[name], abs=0.02 * error + 1e-12), (name, fit)
        assert fit.events == pytest.approx(4000, rel=1e-3)
        assert fit.p_value > 0.999


def test_errors_are_those_of_the_information():
    """Of Gaussian on exponential, from derivatives of the expected bins by SciPy's functions."""
    edges = np.linspace(*WINDOW, 61)
    true = np.array([3.09, 0.03, 3000.0, 5000.0, 2.0])

    def expected(p):
        mass, width, n, b, slope = p
        decay = np.exp(-slope * (edges - edges[0]))
        return n * np.diff(stats.norm.cdf(edges, mass, width)) / (
            stats.norm.cdf(edges[-1], mass, width) - stats.norm.cdf(edges[0], mass, width)
        ) + b * -np.diff(decay) / (1 - decay[-1])

    steps = np.diag([1e-5, 1e-5, 1.0, 1.0, 1e-3])
    slopes = np.stack([(expected(true + s) - expected(true - s)) / (2 * s.sum()) for s in steps])
    covariance = np.linalg.inv(slopes / expected(true) @ slopes.T)
    fit = fj.fit_peak((expected(true), edges), minos=True)
    assert list(fit.parameters) == ["mass", "width", "events", "b0", "slope"]
    np.testing.assert_allclose(np.sqrt(np.diag(fit.covariance)), np.sqrt(np.diag(covariance)), rtol=0.01)  # fmt: skip
    sigma = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(fit.correlation, covariance / np.outer(sigma, sigma), atol=0.01)
    for (down, up), error in zip(fit.intervals.values(), sigma, strict=True):
        assert down == pytest.approx(-error, rel=0.05)
        assert up == pytest.approx(error, rel=0.05)


class TestToys:
    """60 per shape. With a bias of 0.1 and widths of 0.9 to 1.1, which is what docs/peaks.md promises,
    a mean leaves these limits, and a width, with a chance of 1e-4."""

    MEAN = 0.1 + 1.1 * stats.norm.isf(0.5e-4) / np.sqrt(60)
    WIDTH = (0.9 * np.sqrt(stats.chi2.ppf(0.5e-4, 59) / 59),
             1.1 * np.sqrt(stats.chi2.isf(0.5e-4, 59) / 59))  # fmt: skip

    @pytest.mark.parametrize(
        "case",
        [("gaussian", "exponential", "unbinned"), ("gaussian", "polynomial", "binned"),
         ("crystal-ball", "exponential", "binned"), ("voigt", "exponential", "binned")],
    )  # fmt: skip
    def test_pulls(self, case):
        n = 500 if case[-1] == "unbinned" else 1500  # masses one by one cost time
        done = [calibrate_peaks.pulls((*case, 1, i, n, n)) for i in range(60)]
        assert all(valid for _, _, valid in done)
        for name in done[0][0]:
            pull = np.array([found[name] for found, _, _ in done])
            pull = pull[np.isfinite(pull)]  # without errors: those that ended at a limit
            assert len(pull) >= 57, name
            assert abs(pull.mean()) < self.MEAN, name
            assert self.WIDTH[0] < pull.std(ddof=1) < self.WIDTH[1], name
        p = np.array([p for _, p, _ in done])
        assert stats.kstest(p, "uniform").pvalue > 1e-4


@pytest.fixture(scope="module")
def masses():
    rng = np.random.default_rng(5)
    return calibrate_peaks.toy("gaussian", "exponential", rng, 2000, 3000)


class TestData:
    def test_fine_bins_and_single_masses_agree(self, masses):
        alone = fj.fit_peak(masses, WINDOW)
        binned = fj.fit_peak(np.histogram(masses, np.linspace(*WINDOW, 1201)))
        assert alone.unbinned
        assert not binned.unbinned
        for name, (value, error) in alone.parameters.items():
            assert binned.parameters[name][0] == pytest.approx(value, abs=0.05 * error), name
            assert binned.parameters[name][1] == pytest.approx(error, rel=0.02), name

    def test_histograms(self, masses):
        """Of hist, of fastjag, with weights of 1: the same fit. Bins partly in the window are left out."""
        edges = np.linspace(2.7, 3.5, 81)
        plain = fj.fit_peak(np.histogram(masses, edges), WINDOW)
        assert plain.window == pytest.approx(WINDOW)
        assert len(plain.counts) == 60
        others = [
            hist.Hist(hist.axis.Variable(edges)).fill(masses),
            hist.Hist(hist.axis.Variable(edges), storage=hist.storage.Weight()).fill(masses),
            fj.histogram(masses, edges),
            (*np.histogram(masses, edges), np.histogram(masses, edges)[0]),
        ]
        for other in others:
            fit = fj.fit_peak(other, (2.796, 3.404))
            assert fit.mass == pytest.approx(plain.mass, abs=0.05 * plain.mass_error)
            assert fit.events_error == pytest.approx(plain.events_error, rel=0.02)

    def test_histograms_in_files(self, masses, tmp_path):
        """What uproot reads has the same methods."""
        import uproot

        from fastjag.io import write_histograms

        h = fj.histogram(masses, (60, *WINDOW), weights=np.full(len(masses), 0.5))
        write_histograms(tmp_path / "h.root", {"h": h})
        with uproot.open(tmp_path / "h.root") as file:
            read, own = fj.fit_peak(file["h"]), fj.fit_peak(h)
        assert read.mass == pytest.approx(own.mass, abs=1e-3 * own.mass_error)
        assert read.events_error == pytest.approx(own.events_error, rel=1e-3)

    def test_weights(self, masses):
        """Each entry counts 3: yields and their errors triple, and nothing else changes."""
        counts, edges = np.histogram(masses, np.linspace(*WINDOW, 61))
        plain, triple = fj.fit_peak((counts, edges)), fj.fit_peak((3 * counts, edges, 9 * counts))
        assert triple.mass == pytest.approx(plain.mass, abs=0.02 * plain.mass_error)
        assert triple.mass_error == pytest.approx(plain.mass_error, rel=0.01)
        assert triple.events == pytest.approx(3 * plain.events, rel=2e-3)
        assert triple.events_error == pytest.approx(3 * plain.events_error, rel=0.01)
        assert triple.chi2 == pytest.approx(plain.chi2, rel=0.01)

    def test_the_unit_does_not_matter(self, masses):
        gev = fj.fit_peak(masses, WINDOW)
        mev = fj.fit_peak(1000 * masses, (2800, 3400))
        assert mev.mass == pytest.approx(1000 * gev.mass, abs=20 * gev.mass_error)
        assert mev.mass_error == pytest.approx(1000 * gev.mass_error, rel=0.02)
        assert mev.events == pytest.approx(gev.events, abs=0.02 * gev.events_error)

    def test_single_precision_and_order(self, masses):
        fit, other = fj.fit_peak(masses, WINDOW), fj.fit_peak(masses[::-1].astype("f4"), WINDOW)
        assert other.mass == pytest.approx(fit.mass, abs=0.02 * fit.mass_error)

    def test_real_jpsi(self, real_data):
        """Within 5 MeV of the 3.0969 GeV of the Particle Data Group."""
        found = []
        names = ["Muon_pt", "Muon_eta", "Muon_phi", "Muon_charge"]
        for batch in fj.iterate(real_data / "agc_open-data-example.root", names, progress=False):
            muons = batch.Muon[np.flatnonzero(batch.Muon.counts == 2)]
            found.append(fj.dimuon(muons, "opposite", fields=("mass",)).mass)
        masses = np.concatenate(found)
        for data in (masses, np.histogram(masses, np.linspace(2.8, 3.4, 81))):
            fit = fj.fit_peak(data, (2.8, 3.4), shape="crystal-ball")
            assert fit.valid
            assert fit.mass == pytest.approx(3.0969, abs=0.005)
            assert fit.mass_error < 0.001
            assert 0.02 < fit.width < 0.04
            assert fit.events == pytest.approx(3220, abs=4 * fit.events_error)
            assert fit.p_value > 0.001

    def test_real_upsilon(self, real_data):
        """Radiation makes a tail: without one the fit is called bad, with one it is good."""
        pairs = np.genfromtxt(real_data / "Ymumu_Run2011A_20k.csv", delimiter=",", names=True)
        energy, *momentum = (pairs[f"{c}1"] + pairs[f"{c}2"] for c in ("E", "px", "py", "pz"))
        masses = np.sqrt(energy**2 - sum(p**2 for p in momentum))
        bins = np.histogram(masses, np.linspace(8.5, 11.5, 101))
        bad = fj.fit_peak(bins, peaks=UPSILON)
        assert bad.warnings[0].startswith("! bad fit, p = ")
        fit = fj.fit_peak(bins, peaks=UPSILON, shape="crystal-ball")
        assert fit.valid
        assert fit.p_value > 0.05
        assert fit.mass == pytest.approx(UPSILON[0], abs=0.02)
        first, second, third = (fit.parameters[f"events_{i}"][0] for i in (1, 2, 3))
        assert first > 2 * second > 2 * third > 400


class TestResult:
    def test_parts_add_up(self, masses):
        fit = fj.fit_peak(masses, WINDOW, background="polynomial")
        n = len(masses)
        assert fit.events + fit.background == pytest.approx(n, abs=2)
        assert fit.expected.sum() == pytest.approx(n, abs=2)
        x = np.linspace(*WINDOW, 3001)
        assert integrate.simpson(fit.curve(x), x=x) == pytest.approx(n, abs=2)
        assert integrate.simpson(fit.curve(x, "peak"), x=x) == pytest.approx(fit.events, rel=1e-4)
        both = fit.curve(x, "peak") + fit.curve(x, "background")
        np.testing.assert_allclose(fit.curve(x), both)
        assert np.isnan(fit.curve([2.0, 4.0])).all()
        assert fit.curve(3.1).shape == ()
        assert fit.dof == len(fit.counts) - 6
        assert fit.pulls.std() == pytest.approx(1, abs=0.4)
        with pytest.raises(ValueError, match="part must be 'all'"):
            fit.curve(3.1, "signal")

    def test_it_is_a_value(self, masses):
        fit = fj.fit_peak(masses, WINDOW)
        assert isinstance(fit, fj.PeakFit)
        again = pickle.loads(pickle.dumps(fit))
        assert again.parameters == fit.parameters
        assert again.curve(3.1) == fit.curve(3.1)
        with pytest.raises(FrozenInstanceError):
            fit.chi2 = 0
        assert repr(fit).startswith("PeakFit(gaussian on exponential, 2.8 to 3.4: mass 3.09")
        assert len(repr(fit)) < 200

    def test_fixed(self, masses):
        fit = fj.fit_peak(masses, WINDOW, fixed={"mass": 3.097, "width": 0.03})
        assert fit.parameters["mass"] == (3.097, 0)
        assert fit.valid
        assert not fit.covariance[:2].any()
        free = fj.fit_peak(masses, WINDOW)
        assert fit.events_error < free.events_error
        with pytest.raises(ValueError, match="no parameter 'sigma' to fix"):
            fj.fit_peak(masses, WINDOW, fixed={"sigma": 1})

    def test_powers_of_the_crystal_ball_are_fixed_unless_let_go(self, masses):
        rng = np.random.default_rng(3)
        tails = calibrate_peaks.toy("crystal-ball", "exponential", rng, 40_000, 4000)
        bins = np.histogram(tails, np.linspace(*WINDOW, 121))
        fit = fj.fit_peak(bins, shape="crystal-ball")
        assert fit.parameters["n_left"] == (3, 0)
        free = fj.fit_peak(bins, shape="crystal-ball", fixed={"n_left": None})
        n, error = free.parameters["n_left"]
        assert error > 0
        assert n == pytest.approx(3, abs=4 * error)

    def test_several_peaks(self):
        """The Upsilon: one scale, 3 yields."""
        rng = np.random.default_rng(7)
        true = (900, 400, 250)
        parts = [rng.normal(0.999 * m, 0.009 * m, n) for m, n in zip(UPSILON, true, strict=True)]
        masses = np.concatenate([*parts, rng.uniform(8, 11.5, 2000)])
        fit = fj.fit_peak(masses, (8, 11.5), peaks=UPSILON)
        assert fit.valid
        assert fit.mass == pytest.approx(0.999 * UPSILON[0], abs=4 * fit.mass_error)
        for i, n in enumerate(true):
            value, error = fit.parameters[f"events_{i + 1}"]
            assert value == pytest.approx(n, abs=4 * error)
        assert fit.events == pytest.approx(sum(v for n, (v, _) in fit.parameters.items() if n.startswith("events")))  # fmt: skip
        quadratic = np.sqrt(sum(e**2 for n, (_, e) in fit.parameters.items() if n[:6] == "events"))
        assert 0.7 * quadratic < fit.events_error < 1.5 * quadratic


class TestStarts:
    """Found without help: the fit ends where the peak is."""

    @pytest.mark.parametrize("way", ["unbinned", "binned"])
    def test_a_steep_background(self, way):
        """14 times exp(-1) over the window, in which the peak is 1 % of the entries."""
        rng = np.random.default_rng(1)
        masses = np.append(rng.normal(10, 0.1, 1000), 5 + rng.exponential(0.5, 100_000))
        binned = np.histogram(masses, np.linspace(5, 12, 201))
        fit = fj.fit_peak(binned if way == "binned" else masses[masses < 12], (5, 12))
        assert fit.valid
        assert fit.mass == pytest.approx(10, abs=4 * fit.mass_error)
        assert fit.width == pytest.approx(0.1, abs=4 * fit.width_error)
        assert fit.events == pytest.approx(1000, abs=4 * np.sqrt(1000))

    def test_tails_that_nothing_tells(self):
        """A Gaussian with many entries, fitted with tails: its errors are those without any."""
        rng = np.random.default_rng(1)
        x = np.append(rng.normal(0, 1, 300_000), rng.uniform(-6, 6, 200_000))
        bins = np.histogram(x, np.linspace(-6, 6, 101))
        plain, fit = fj.fit_peak(bins), fj.fit_peak(bins, shape="crystal-ball")
        assert fit.valid, fit
        assert fit.mass_error == pytest.approx(plain.mass_error, rel=0.05)
        assert 1 < fit.events_error / plain.events_error < 1.3
        assert fit.events == pytest.approx(300_000, abs=4 * fit.events_error)

    def test_masses_around_zero(self):
        """Residuals, with a negative window edge."""
        rng = np.random.default_rng(1)
        x = np.append(rng.normal(0, 1, 2000), rng.uniform(-6, 6, 2000))
        fit = fj.fit_peak(x, (-6, 6))
        assert fit.valid
        assert abs(fit.mass) < 4 * fit.mass_error < 0.2

    def test_few_entries_in_many_bins(self, masses):
        """Empty bins are known, too: an error is not called too small because of them."""
        fit = fj.fit_peak(np.histogram(masses, np.linspace(*WINDOW, 20_001)))
        assert fit.valid, fit


class TestBadFits:
    def test_the_wrong_shape_is_named(self):
        rng = np.random.default_rng(2)
        two = np.concatenate([rng.normal(3.0, 0.02, 3000), rng.normal(3.2, 0.02, 3000), rng.uniform(*WINDOW, 500)])  # fmt: skip
        fit = fj.fit_peak(two, WINDOW)
        assert fit.p_value < 1e-10
        assert any(w.startswith("! bad fit, p ") for w in fit.warnings)
        assert "! bad fit" in repr(fit)

    def test_without_background(self):
        rng = np.random.default_rng(2)
        fit = fj.fit_peak(rng.normal(3.1, 0.03, 1000), WINDOW)
        assert fit.mass == pytest.approx(3.1, abs=0.004)
        assert fit.events == pytest.approx(1000, abs=5)
        assert fit.events_error == pytest.approx(np.sqrt(1000), rel=0.05)
        assert fit.background < 5
        assert fit.valid

    def test_without_a_peak(self):
        """Nothing is found, or what is found is small and said to be doubtful."""
        rng = np.random.default_rng(4)
        for _ in range(10):
            fit = fj.fit_peak(np.histogram(rng.uniform(*WINDOW, 2000), np.linspace(*WINDOW, 61)))
            assert not fit.valid or abs(fit.events) < 5 * fit.events_error

    def test_all_masses_are_the_same(self):
        fit = fj.fit_peak(np.append(np.full(500, 3.1), np.linspace(2.8, 3.39, 100)), WINDOW)
        assert not fit.valid
        assert any("width" in w and "at its limit" in w for w in fit.warnings)


def test_picture(masses, tmp_path):
    binned = np.histogram(masses, np.geomspace(*WINDOW, 50))
    for data, window in ((masses, WINDOW), (binned, None), (masses[:40], WINDOW)):
        fit = fj.fit_peak(data, window)
        figure = fit.picture(tmp_path / "peak.png", label=r"$m_{\mu\mu}$ [GeV]", entries="Pairs")
        top, below = figure.axes
        assert top.get_ylabel().startswith("Pairs / ")
        assert [t.get_text() for t in top.get_legend().get_texts()] == ["fit", "background", "data"]
        assert below.get_ylabel() == "Pull"
        assert below.get_xlim() == pytest.approx(fit.window)
        assert (tmp_path / "peak.png").read_bytes().startswith(b"\x89PNG")


def test_points_have_poisson_errors(masses):
    """Garwood's: 0 has 1.84 above and none below, 3 has +2.92 -1.63 (PDG, statistics)."""
    fit = fj.fit_peak(masses, WINDOW)
    object.__setattr__(fit, "counts", np.array([0.0, 3.0]))
    object.__setattr__(fit, "variances", np.array([0.0, 3.0]))
    np.testing.assert_allclose(fit._point_errors(), [[0, 1.633], [1.841, 2.918]], atol=1e-3)
