"""Samples, closure and significances of the dimuon search on small toys with known truth."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fastjag.analyses.dimuon import steps
from fastjag.analyses.dimuon.bumps import cut_curve, discriminant_of, reweighted
from fastjag.analyses.dimuon.check import area_under_curve, auc_error, closure
from fastjag.analyses.dimuon.config import Config
from fastjag.analyses.dimuon.pages import _dropped_table
from fastjag.analyses.dimuon.preprocess import Preprocessing
from fastjag.analyses.dimuon.samples import Events, check_null, draw_samples
from fastjag.analyses.dimuon.search import Search
from fastjag.reporting.report import Report
from fastjag.statistics import Window, fit_background, significance

torch = pytest.importorskip("torch")
pytest.importorskip("xgboost")

from sklearn.metrics import roc_auc_score

from fastjag.models.flow import ConditionalFlow
from fastjag.models.flow_training import FlowSettings

WINDOW = Window(5, 9, 10.6, 16, sr_edges=6)
CONFIG = Config("toy", ("toys.root",), WINDOW, ("dimu_pt", "mu0_ip3d"))


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def toy(seed=1, n=3000, signal=0):
    """A falling mass spectrum, two features, and a peak at 9.5 GeV of high pt."""
    rng = np.random.default_rng(seed)
    mass = 5 + rng.exponential(7, 3 * n)
    mass = mass[mass < 16][:n]
    pt, ip3d = rng.exponential(10, len(mass)), rng.lognormal(-4, 0.5, len(mass))
    mass = np.r_[mass, rng.normal(9.5, 0.1, signal)]
    pt = np.r_[pt, rng.normal(45, 5, signal)]
    ip3d = np.r_[ip3d, rng.lognormal(-4.5, 0.3, signal)]
    sideband = (mass < 9) | (mass >= 10.6)
    return Events(mass, {"dimu_pt": pt, "mu0_ip3d": ip3d}, sideband)


class TestEvents:
    def test_read(self, tmp_path):
        mass = np.array([4.99, 5, 8.999, 9, 10.599, 10.6, 15.99, 16], "f4")
        path = tmp_path / "OS.parquet"
        pq.write_table(
            pa.table({"dimu_mass": mass, "dimu_pt": np.arange(8.0), "mu0_ip3d": np.ones(8)}), path
        )
        events = Events.read(path, CONFIG)
        assert events.features["dimu_pt"].tolist() == [1, 2, 3, 4, 5, 6]
        # float32 10.6 is above 10.6, 9 is 9: both ends belong to the bin above.
        assert events.sideband.tolist() == [True, True, False, False, True, True]
        assert len(events[events.sideband]) == 4

    def test_errors(self, tmp_path):
        path = tmp_path / "OS.parquet"
        pq.write_table(pa.table({"dimu_mass": [1.0], "dimu_pt": [1.0], "mu0_ip3D": [1.0]}), path)
        with pytest.raises(ValueError, match=r"OS.parquet: no column 'mu0_ip3d': did you mean"):
            Events.read(path, CONFIG)
        pq.write_table(pa.table({"dimu_mass": [1.0], "dimu_pt": [1.0], "mu0_ip3d": [1.0]}), path)
        with pytest.raises(ValueError, match="none of 1 pairs has a mass between 5 and 16 GeV"):
            Events.read(path, CONFIG)


def prepared(folder, other):
    """A search whose first stage left toys as OS and ``other`` as SS."""
    (folder / "prepare").mkdir()
    for name, events in (("OS", toy(n=600)), ("SS", other)):
        table = pa.table({"dimu_mass": events.mass, **events.features})
        pq.write_table(table, folder / "prepare" / f"{name}.parquet")
    flow = {"preset": "fast", "settings": {"epochs": 1, "hidden": [4]}}
    return Search(replace(CONFIG, flow=flow), folder, progress=False)


def test_what_is_out_of_range_is_reported(tmp_path):
    other = toy(2, n=300)
    other.features["dimu_pt"][:3] = 1e4
    other.features["mu0_ip3d"][2:4] = np.nan
    search = prepared(tmp_path, other)
    steps.flow(search)
    dropped = json.loads((tmp_path / "flow" / "training.json").read_text())["dropped"]
    assert dropped["OS"] == {}
    events, _ = search.preprocessed("SS")
    assert dropped["SS"]["dimu_pt"] >= 3
    assert dropped["SS"]["mu0_ip3d"] >= 2
    total = sum(dropped["SS"].values())
    assert total - 5 <= 300 - len(events) < total  # one of them for two reasons
    page = Report("a search")
    _dropped_table(page, dropped)
    page.write(tmp_path / "page.html", "")
    cells = f"<td>SS</td><td>dimu_pt</td><td>{dropped['SS']['dimu_pt']}</td>"
    assert cells in "".join((tmp_path / "page.html").read_text().split("\n"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda e: e[:0], "none of 0 pairs has a mass between 5 and 16 GeV"),
        (lambda e: e[~e.sideband], "SS pairs: no pair has a mass in the sidebands, 5.16 to 9 and"),
        (lambda e: replace(e, features={k: v * np.nan for k, v in e.features.items()}),
         "SS pairs: none in the window has numbers in range in every feature"),
    ],
)  # fmt: skip
def test_a_control_without_pairs_is_left_out(tmp_path, change, message):
    search = prepared(tmp_path, change(toy(2, n=300)))
    steps.flow(search)
    assert search.classes == ("OS",)
    assert search.left_out()["SS"].startswith(message)
    # What is learned from must be there, which is found out before the training.
    other = replace(search, config=replace(search.config, train_on="SS"))
    with pytest.raises(ValueError, match=r"none of 0 pairs|left sideband|none in the window"):
        steps.flow(other)


def test_null_runs_of_a_negative_background():
    """Found before any classifier is trained; beyond the outermost bins it does not matter."""
    centers = WINDOW.centers
    n_left = len(WINDOW.left) - 1
    touching = fit_background(*np.split((centers - 13) ** 2, [n_left]), window=WINDOW, degree=2)
    negative = touching._replace(coefficients=touching.coefficients - [0.5, 0, 0])
    config = replace(CONFIG, classifier={"null_experiments": 1})
    search = SimpleNamespace(config=config, background=lambda: negative)
    message = r"null_experiments\): the background polynomial is negative between 5.16 and 15.72"
    with pytest.raises(ValueError, match=message):
        steps.classify(search)
    falling = fit_background(*np.split(15.8 - centers, [n_left]), window=WINDOW, degree=1)
    assert falling(16.0) < 0
    check_null(falling)


def test_samples_follow_the_sidebands():
    events = toy(n=4000)
    fitted = Preprocessing.fit(events.features, events.mass, events.sideband)
    rows = fitted.transform(events.features, events.mass)
    beside = events.sideband
    flows = [
        ConditionalFlow(FlowSettings.preset("fast", epochs=12), seed=s).fit(
            rows.values[beside], rows.mass[beside]
        )
        for s in (1, 2)
    ]
    samples = draw_samples(flows, fitted, events, WINDOW, degree=3, seed=5)
    n = round(samples.background.expected)
    assert n == pytest.approx((~beside).sum(), abs=4 * np.sqrt(n))
    assert (
        samples.signal_region.shape == samples.validation.shape == samples.roc.shape == (2 * n, 2)
    )
    assert samples.sideband.shape == (2 * beside.sum(), 2)
    assert ((samples.mass >= 9) & (samples.mass <= 10.6)).all()
    assert not np.array_equal(samples.signal_region, samples.validation)
    again = draw_samples(flows, fitted, events, WINDOW, degree=3, seed=5)
    np.testing.assert_array_equal(samples.signal_region, again.signal_region)
    found = closure(
        CONFIG.features, samples.sideband, fitted.scale_mass(samples.sideband_mass),
        rows.values[beside], rows.mass[beside],
    )  # fmt: skip
    assert found.passes
    assert set(found.ks) == {*CONFIG.features, "dimu_mass"}
    assert found.ks["dimu_mass"][1] == pytest.approx(1)  # one sample per event and flow
    assert found.verdict.startswith("samples describe the data: 0.")
    assert all(0 <= p <= 1 for _, p in found.ks.values())
    # Without signal the signal region is like the samples, too.
    inside = closure(
        CONFIG.features, samples.signal_region, fitted.scale_mass(samples.mass),
        rows.values[~beside], rows.mass[~beside],
    )  # fmt: skip
    assert inside.auc == pytest.approx(0.5, abs=0.05)


def test_closure_sees_a_difference():
    rng = np.random.default_rng(1)
    mass = rng.normal(size=2000)
    found = closure(
        ("a", "b"), rng.normal(size=(2000, 2)), mass, rng.normal(0.3, 1, (2000, 2)), mass
    )
    assert found.auc > 0.55
    assert not found.passes
    assert found.ks["a"][1] < 1e-6
    assert found.verdict.startswith(f"samples differ from the data: {found.auc:.4f} +- 0.0091")
    # A difference that only the mass shows is one, too.
    a, b = rng.normal(size=(2, 2000, 2))
    turned = closure(("a", "b"), a, a[:, 0], b, -b[:, 0])
    assert turned.auc == pytest.approx(0.5, abs=0.04)
    assert turned.auc_with_mass > 0.9
    assert not turned.passes


def test_area_under_curve():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=300).round(1), rng.normal(0.5, 1, 200).round(1)
    expected = roc_auc_score(np.repeat([0, 1], [300, 200]), np.r_[x, y])
    assert area_under_curve(x, y) == pytest.approx(expected, rel=1e-12)
    spread = [area_under_curve(*np.split(rng.random(500), [300])) for _ in range(400)]
    assert np.std(spread) == pytest.approx(auc_error(300, 200), rel=0.15)


class TestBumps:
    def test_a_cut_on_the_right_feature_finds_the_peak(self):
        events = toy(signal=90)
        plain = cut_curve(events, np.zeros(len(events)), WINDOW, degree=3, rates=[1.0])
        curve = cut_curve(events, events.features["dimu_pt"], WINDOW, degree=3)
        assert plain.result.Z[0] < 5
        assert curve.result.Z[curve.best] > plain.result.Z[0] + 3
        assert curve.result.S[curve.best] == pytest.approx(90, abs=30)
        # Each point is the fit of the events that pass.
        i = curve.best
        chosen = events[events.features["dimu_pt"] >= curve.cuts[i]]
        left, sr, right, _ = WINDOW.count(chosen.mass)
        one = significance(left, sr, right, window=WINDOW, degree=3)
        assert pytest.approx(curve.result.Z[i], abs=1e-9) == one.Z
        assert chosen.sideband.sum() / events.sideband.sum() == pytest.approx(curve.rates[i])

    def test_reweighting(self):
        events = toy(signal=150)
        pt = events.features["dimu_pt"]
        mu = 0.25  # what an ideal classifier of data against background says
        signal = np.exp(-0.5 * ((pt - 45) / 5) ** 2) / (5 * np.sqrt(2 * np.pi))
        ratio = 1 - mu + mu * signal / (np.exp(-pt / 10) / 10)
        likely = ratio / (1 + ratio)
        found = reweighted(events, likely, WINDOW, degree=3)
        left, sr, right, _ = WINDOW.count(events.mass)
        plain = significance(left, sr, right, window=WINDOW, degree=3)
        assert found.converged
        assert found.Z > plain.Z + 2
        with pytest.raises(ValueError, match="probabilities between 0 and 1"):
            reweighted(events, likely * 0, WINDOW, degree=3)

    def test_no_excess_no_reweighting(self):
        events = toy(n=2000)
        depleted = events[events.sideband | (np.arange(len(events)) % 2 == 0)]
        found = reweighted(depleted, np.full(len(depleted), 0.5), WINDOW, degree=3)
        assert found.S < 0
        assert (found.Z, found.p) == (0, 0.5)

    def test_no_background_no_reweighting(self):
        """A classifier that leaves no event of the sidebands a weight: nothing can be claimed."""
        events = toy(signal=150)
        certain = np.where(events.sideband, 0.1, 0.9)
        assert reweighted(events, certain, WINDOW, degree=3).Z == 0

    def test_signs_of_the_publication(self):
        x = np.array([-2.0, 1.0])
        assert discriminant_of("dimu_pt", x).tolist() == [-2, 1]
        assert discriminant_of("mu0_ip3d", x).tolist() == [2, -1]
        assert discriminant_of("dimu_eta", x).tolist() == [-2, -1]
        assert discriminant_of("mumu_deltaR", x).tolist() == [-2, 1]
