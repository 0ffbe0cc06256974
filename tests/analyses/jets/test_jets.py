"""What is made of jets: shapes, images, tensors on disk, tracks, taggers, and the commands."""

import json
import pickle
import re

import awkward as ak
import h5py
import numpy as np
import pytest
import uproot
from hypothesis import given, settings
from hypothesis import strategies as st
from jet_samples import FEW, N_JETS, events_file, jet_folder, rows_file, write_tiny  # noqa: F401
from sentences import first_sentence

import fastjag as fj
from fastjag import toys
from fastjag.analyses.jets import report, tagging
from fastjag.analyses.jets.config import JetSelection, TensorsConfig, TrackSelection, TrainConfig
from fastjag.analyses.jets.features import FEATURES, IMPACT_FEATURES, particle_features
from fastjag.analyses.jets.ntuple import to_jetntuple
from fastjag.analyses.jets.observables import images, substructure
from fastjag.analyses.jets.reading import JetBatch, JetReader
from fastjag.analyses.jets.results import JetTable, read_tensors
from fastjag.analyses.jets.shapes import _AXES, dijet_mass, shapes
from fastjag.analyses.jets.tensors import tensors
from fastjag.analyses.jets.tracks import in_jets, tracks
from fastjag.analyses.jets.train import train
from fastjag.io import ReadError, Source
from fastjag.jagged import Jagged
from fastjag.reporting.report import with_error
from fastjag.toys.jetfiles import write_jets


@pytest.fixture(autouse=True)
def _pictures_once(monkeypatch):
    """Drawing takes longer than all the rest: PNG without PDF."""
    save = report.save
    monkeypatch.setattr(report, "save", lambda fig, *paths: save(fig, paths[0]))


def batch_of(lists, pt=100.0, eta=0.5, mass=10.0):
    """Jets at one place with constituents (pt, delta_eta, delta_phi, mass, id)."""
    flat = np.array([c for jet in lists for c in jet], np.float64).reshape(-1, 5)
    names = ("pt", "delta_eta", "delta_phi", "mass")
    columns = {n: flat[:, i].astype(np.float32) for i, n in enumerate(names)}
    columns["pdg_id"] = flat[:, 4].astype(np.int32)
    columns["charge"] = np.where(np.abs(columns["pdg_id"]) == 211, 1, 0)
    n = len(lists)
    jets = {k: np.full(n, v, np.float32) for k, v in
            {"pt": pt, "eta": eta, "phi": 0, "mass": mass, "weight": 1}.items()}  # fmt: skip
    counts = np.array([len(jet) for jet in lists])
    return JetBatch(jets, Jagged.from_counts(counts, columns), Source("f", "t", 0, n))


candidates = st.lists(
    st.tuples(st.floats(0.1, 50), st.floats(-0.5, 0.5), st.floats(-0.5, 0.5),
              st.sampled_from([0.0, 0.13957]), st.sampled_from([211, 22, 130, -211])),
    max_size=6,
)  # fmt: skip


@settings(max_examples=30)
@given(st.lists(candidates, min_size=1, max_size=4))
def test_shapes_and_images_against_loops(lists):
    batch = batch_of(lists)
    found, pictures = substructure(batch), images(batch)
    for i, jet in enumerate(lists):
        c = np.array(jet, np.float32).astype(float).reshape(-1, 5)
        assert found["multiplicity"][i] == len(c)
        assert found["charged_multiplicity"][i] == (np.abs(c[:, 4]) == 211).sum()
        picture = np.zeros((33, 33))
        for pt, deta, dphi, *_ in c:
            row, column = np.floor((np.array([deta, dphi]) + 0.4) * (33 / 0.8)).astype(int)
            if 0 <= row < 33 and 0 <= column < 33:
                picture[row, column] += pt / 100
        np.testing.assert_allclose(pictures[i], picture, rtol=1e-5, atol=1e-7)
        if not len(c):
            assert np.isnan([found[n][i] for n in ("girth", "pt_d")]).all()
            continue
        pt, deta, dphi, mass = c[:, :4].T
        y = np.arcsinh(pt * np.sinh(deta + 0.5) / np.hypot(pt, mass))
        jet_y = np.arcsinh(100 * np.sinh(0.5) / np.hypot(100, 10))
        np.testing.assert_allclose(found["girth"][i], (pt * np.hypot(y - jet_y, dphi)).sum() / 100,
                                   rtol=1e-9)  # fmt: skip
        covariance = np.cov(deta, dphi, aweights=pt**2, ddof=0)
        smaller = np.linalg.eigvalsh(covariance)[0] if len(c) > 1 else 0
        np.testing.assert_allclose(found["axis2"][i] ** 2, max(smaller, 0), atol=1e-7)


def test_particle_features():
    batch = batch_of([[(50, 0.1, -0.2, 0.13957, -211), (20, 0, 0, 0, 22)], [(1, 0, 0, 0.5, 130)]])
    f = particle_features(batch)
    assert f.columns == ("pt", *FEATURES)
    energy = np.hypot(50 * np.cosh(0.6), 0.13957)
    jet_energy = np.hypot(100 * np.cosh(0.5), 10)
    expected = {"delta_eta": 0.1, "delta_phi": -0.2, "log_pt": np.log(50), "log_e": np.log(energy),
                "log_pt_rel": np.log(0.5), "log_e_rel": np.log(energy / jet_energy),
                "delta_r": np.hypot(0.1, 0.2), "charge": 1, "is_charged_hadron": 1,
                "is_neutral_hadron": 0, "is_photon": 0, "is_electron": 0, "is_muon": 0}  # fmt: skip
    for name, value in expected.items():
        assert f[name][0] == pytest.approx(value, abs=1e-6), name
    np.testing.assert_array_equal(f["is_photon"], [0, 1, 0])
    np.testing.assert_array_equal(f["is_neutral_hadron"], [0, 0, 1])


def test_dijet_mass():
    rng = np.random.default_rng(0)
    pt, mass = rng.uniform(30, 500, (50, 2)), rng.uniform(1, 40, (50, 2))
    eta, phi = rng.normal(0, 1, (50, 2)), rng.uniform(-3, 3, (50, 2))
    px, py, pz = pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)
    energy = np.sqrt(px**2 + py**2 + pz**2 + mass**2)
    squared = energy.sum(1) ** 2 - sum(p.sum(1) ** 2 for p in (px, py, pz))
    found = dijet_mass(np.stack([pt, eta, phi, mass], axis=2))
    np.testing.assert_allclose(found, np.sqrt(squared), rtol=1e-9)


def test_spectra_hold_every_jet_once(rows_file):  # noqa: F811
    result = shapes(JetReader(rows_file, JetSelection(gen=True), step=97))
    with uproot.open(rows_file) as file:
        rows = file["AK4jets/jetTree"].arrays(
            ["jetPt", "eventWeight", "event", "jetMult", "jetGenMatch", "genJetPt"], library="np"
        )
    h = result.histograms["pt"]["all"]
    assert h.values(flow=True).sum() == pytest.approx(rows["eventWeight"].sum(), rel=1e-6)
    wanted, _ = np.histogram(
        rows["jetPt"], h.axes[0].edges, weights=rows["eventWeight"].astype(float)
    )
    np.testing.assert_allclose(h.values(), wanted, rtol=1e-5)
    assert result.counts["jets"] == N_JETS
    assert result.counts["events"] == len(np.unique(rows["event"]))
    pairs = result.histograms["dijet_mass"]["all"]
    two = np.unique(rows["event"], return_counts=True)
    first = np.unique(rows["event"], return_index=True)[1][two[1] >= 2]
    np.testing.assert_allclose(pairs.values(flow=True).sum(), rows["eventWeight"][first].sum(),
                               rtol=1e-6)  # fmt: skip
    for compared in result.compared.values():
        assert compared["difference"] < 1e-5 * max(1, compared["stored"])
    matched = rows["jetGenMatch"] == 1
    response = (rows["jetPt"][matched] / rows["genJetPt"][matched]).mean()
    assert result.gen["response"] == pytest.approx(response, rel=1e-5)


class TestTensors:
    @pytest.mark.parametrize("format", ["hdf5", "parquet", "npz"])
    def test_files_of_all_formats(self, events_file, tmp_path, format):  # noqa: F811
        (tmp_path / "jets.h5").write_text("of an earlier run")
        config = TensorsConfig(format=format, candidates=12, tracks=6, vertices=2, images=True)
        written = tensors(JetReader(events_file, step=100), tmp_path, config)  # fmt: skip
        names = {"hdf5": "jets.h5", "parquet": "jets.parquet"}.get(format)
        found = sorted(p.name for p in tmp_path.iterdir())
        assert "tensors.json" in found
        assert found == sorted([names, "tensors.json"]) if names else len(found) > 2
        assert written["jets"] == written["jets read"] == N_JETS
        table = read_tensors(tmp_path)
        (batch,) = JetReader(events_file, step=10**6)
        particles = particle_features(batch)
        values, mask, features = table.tensor("pfcand")
        assert tuple(features) == FEATURES + IMPACT_FEATURES
        expected = particles.pad(12, list(features), by="pt")
        np.testing.assert_array_equal(values, expected.values)
        np.testing.assert_array_equal(mask, expected.mask)
        charged = particles.keep(batch.constituents["charge"] != 0)
        np.testing.assert_array_equal(table["n_tracks"], charged.counts)
        np.testing.assert_array_equal(
            table["track_tanh_d0"], charged.pad(6, "tanh_d0", by="pt").values
        )
        vertices = batch.vertices
        np.testing.assert_array_equal(table["n_sv"], vertices.counts)
        np.testing.assert_array_equal(table["sv_d3d"], vertices.pad(2, "d3d", by="pt").values)
        assert (table["pfcand_log_pt"][~mask] == 0).all()
        np.testing.assert_array_equal(table["event"], batch.jets["event"])
        assert len(read_tensors(tmp_path, 5)) == 5

    def test_contract(self, rows_file, tmp_path):  # noqa: F811
        """100 candidates and 60 tracks, as in CERN open data record 12102."""
        tensors(JetReader(rows_file), tmp_path)
        with h5py.File(tmp_path / "jets.h5") as file:
            assert file["pfcand_pt"].shape == (N_JETS, 100)
            assert file["track_pt"].shape == (N_JETS, 60)
            assert "sv_pt" not in file  # a JetNtuple has none
            assert file["n_pfcands"][:].max() < 100
            pt = file["pfcand_pt"][:]
            assert (np.diff(pt, axis=1) <= 0).all()
        assert json.loads((tmp_path / "tensors.json").read_text())["slots"]["sv"] == 5

    def test_errors(self, rows_file, tmp_path):  # noqa: F811
        with pytest.raises(ValueError, match="none of 700 jets passes"):
            tensors(JetReader(rows_file, JetSelection(min_pt=1e5)), tmp_path / "x")
        assert list(tmp_path.iterdir()) == []
        with pytest.raises(FileNotFoundError, match="no tensors there"):
            read_tensors(tmp_path)
        (tmp_path / "a.csv").write_text("")
        with pytest.raises(ValueError, match=r"tensors end in \.h5, \.parquet, \.npz"):
            read_tensors(tmp_path / "a.csv")
        table = JetTable({"fj_girth": np.zeros(3)}, "somewhere")
        with pytest.raises(
            KeyError, match="somewhere: no column 'fj_girht': did you mean 'fj_girth'"
        ):
            table["fj_girht"]
        with pytest.raises(ValueError, match=r"no columns pfcand_\*"):
            table.tensor("pfcand")


class TestTracks:
    def test_nearest_jet_by_loops(self, events_file):  # noqa: F811
        columns = [f"{c}_{x}" for c in ("Jet", "PFCands") for x in ("eta", "phi")]
        batch = next(fj.iterate(events_file, columns, step=20))
        jets, tracks = batch.Jet, batch.PFCands
        found = in_jets(jets, tracks, 0.5)
        for event in range(len(batch)):
            a, b = jets.offsets[event : event + 2]
            for t in range(*tracks.offsets[event : event + 2]):
                dphi = np.abs(jets["phi"][a:b] - tracks["phi"][t])
                r = np.hypot(
                    jets["eta"][a:b] - tracks["eta"][t], np.minimum(dphi, 2 * np.pi - dphi)
                )
                assert found[t] == (a + r.argmin() if r.min() < 0.5 else -1)

    def test_spectrum(self, events_file):  # noqa: F811
        result = tracks(events_file, TrackSelection(min_track_pt=1), step=50)
        with uproot.open(events_file) as file:
            events = file["Events"].arrays()
        good = (events.PFCands_charge != 0) & (events.PFCands_d0Err != -1) & (events.PFCands_pt > 1)
        counts = np.asarray(ak.sum(good, axis=1))
        weights = np.repeat(np.asarray(events.genWeight, float), counts)
        assert result.counts["tracks"] == len(weights)
        total = sum(result.histograms[n].values(flow=True).sum() for n in ("in jets", "elsewhere"))
        assert total == pytest.approx(weights.sum(), rel=1e-6)
        parts = [result.histograms[f"in {f} jets"].values() for f in ("b", "c", "light")]
        np.testing.assert_allclose(np.sum(parts, axis=0), result.histograms["in jets"].values())
        assert result.weight == "genWeight"

    def test_tiny(self, tmp_path):
        """A track at phi = 3.1 near a jet at 3.14; one at exactly -1 cm; a neutral one is none."""
        result = tracks(write_tiny(tmp_path / "a.root"))
        assert result.counts["tracks"] == result.counts["tracks in jets"] == 3
        h = result.histograms["in jets"]
        edges = h.axes[0].edges
        expected, _ = np.histogram([0.02, 1.0, 0.3], edges, weights=[2, 2, 0.5])
        np.testing.assert_array_equal(h.values(), expected)
        np.testing.assert_array_equal(h.variances(), np.histogram(
            [0.02, 1.0, 0.3], edges, weights=[4, 4, 0.25])[0])  # fmt: skip
        with pytest.raises(ValueError, match=r"no track is within 0\.5 of a jet: 2 events, 0 jets"):
            tracks(tmp_path / "a.root", TrackSelection(min_jet_pt=1e4))
        with pytest.raises(ReadError, match=r"no branch 'Jets_pt'.*'Jet_pt'"):
            tracks(tmp_path / "a.root", TrackSelection(jets="Jets"))


class TestTaggers:
    def test_roc(self):
        from sklearn.metrics import roc_auc_score

        rng = np.random.default_rng(1)
        labels = rng.integers(0, 2, 500)
        scores = np.round(rng.normal(labels, 1.5), 1)  # ties
        weights = rng.random(500)
        found = tagging.roc(scores, labels, weights)
        assert found["auc"] == pytest.approx(roc_auc_score(labels, scores, sample_weight=weights))
        assert 0.01 < found["auc_error"] < 0.05
        perfect = tagging.roc(labels.astype(float), labels, weights)
        assert (perfect["auc"], perfect["mistag_at_50"]) == (1, 0)
        # Rates have errors, and one of 0 an upper limit.
        below, above = perfect["mistag_at_50_error"]
        assert below == 0 < above < 0.02
        effective = weights[labels == 0].sum() ** 2 / (weights[labels == 0] ** 2).sum()
        rate = found["mistag_at_70"]
        assert np.mean(found["mistag_at_70_error"]) == pytest.approx(
            np.sqrt(rate * (1 - rate) / effective), rel=0.1
        )
        assert found["mistag_error"].shape == (2, len(found["mistag"]))

    def test_events_stay_together(self, events_file, tmp_path):  # noqa: F811
        tensors(JetReader(events_file), tmp_path)
        table = read_tensors(tmp_path)
        held = tagging.held_out(table, 0.3, 5)
        assert not set(table["event"][held]) & set(table["event"][~held])
        assert 0.2 < held.mean() < 0.4
        np.testing.assert_array_equal(held, tagging.held_out(table, 0.3, 5))

    def test_same_spectrum(self):
        rng = np.random.default_rng(2)
        labels = np.repeat([1, 0], 3000)
        pt = np.concatenate([rng.exponential(50, 3000), rng.exponential(80, 3000)]) + 30
        weights = tagging.same_spectrum(pt, labels)
        means = [np.average(pt[labels == k], weights=weights[labels == k]) for k in (0, 1)]
        assert means[0] == pytest.approx(means[1], rel=0.05)
        assert weights[labels == 0].mean() == pytest.approx(1)

    def test_train(self, jet_folder, tmp_path):  # noqa: F811
        import torch

        torch.set_num_threads(1)
        path = write_jets(
            jet_folder / "train.root", 1500, seed=8, parameters=FEW, compression="none"
        )
        tensors(JetReader(path), tmp_path, TensorsConfig(candidates=20, tracks=2, vertices=1))
        table = read_tensors(tmp_path)
        result = train(table, TrainConfig(epochs=2, rounds=6, slots=8), threads=1)
        for name, chance in (("XGBoost", 0.62), ("DeepSets", 0.55)):
            assert result.models[name]["auc"] > chance
        (tmp_path / "out").mkdir()
        report.write_tagging(result, tmp_path / "out")
        model = pickle.loads((tmp_path / "out" / "xgboost.pickle").read_bytes())
        assert len(model.classes_) == 2
        summary = json.loads((tmp_path / "out" / "tagging.json").read_text())
        assert summary["models"]["XGBoost"]["auc"] == pytest.approx(result.models["XGBoost"]["auc"])
        tagger = summary["models"]["XGBoost"]
        assert len(tagger["mistag_error"]) == 2
        page = (tmp_path / "out" / "report.html").read_text()
        assert with_error(tagger["auc"], tagger["auc_error"]) in page
        assert len(page) > 50_000
        best = max(summary["models"], key=lambda name: summary["models"][name]["auc"])
        area = with_error(*(summary["models"][best][k] for k in ("auc", "auc_error")))
        sentence = first_sentence(page)
        assert best in sentence
        assert f"an area under the ROC curve of {area} on " in sentence

    def test_errors(self):
        table = JetTable({"fj_parton_flavour": np.full(50, 21), "fj_pt": np.ones(50)}, "t")
        with pytest.raises(ValueError, match="0 quark and 50 gluon jets; training needs 20"):
            train(table)
        with pytest.raises(ValueError, match="b jets need the column fj_hadron_flavour"):
            train(table, TrainConfig(target="b"))
        with pytest.raises(ValueError, match="target must be 'quark' or 'b', got 'top'"):
            TrainConfig(target="top")


def test_real_file_as_jetntuple_through_the_chain(real_data, tmp_path):
    path = to_jetntuple(real_data / "coffea_pfnano.root", tmp_path / "jets.root", copies=4, seed=1)
    result = shapes(JetReader(path))
    n = result.counts["jets"]
    assert (n, result.counts["events"]) == (4 * 36, 40)
    # What the constituents give is what the links gave.
    direct = next(
        iter(JetReader(real_data / "coffea_pfnano.root", JetSelection(min_pt=30, max_abs_eta=2.5)))
    )
    (copied,) = JetReader(path)
    assert set(copied.jets["pt"]) <= set(direct.jets["pt"])
    once = np.isin(direct.jets["pt"], copied.jets["pt"])
    expected = np.sort(substructure(direct)["girth"][once])
    np.testing.assert_allclose(np.sort(substructure(copied)["girth"])[::4], expected, rtol=1e-4)
    assert result.compared["jetGirth"]["difference"] < 1e-5
    assert tensors(JetReader(path), tmp_path / "t")["jets"] == n


class TestCommands:
    @pytest.mark.parametrize(
        "command", ["toys", "ntuple", "shapes", "tensors", "tracks", "train", "demo"]
    )
    def test_help(self, run, command):
        code, out, _ = run("jets", command, "--help")
        assert code == 0
        assert f"Example: fastjag jets {command}" in out

    def test_results(self, run, rows_file, events_file, tmp_path, monkeypatch):  # noqa: F811
        for name in ("multiplicity", "charged_multiplicity", "pt_d", "axis2"):
            monkeypatch.delitem(_AXES, name)  # fewer panels
        code, out, _ = run("jets", "shapes", rows_file, "--out", tmp_path / "s")
        assert (code, "b jets" in out) == (0, True)
        summary = json.loads((tmp_path / "s" / "shapes.json").read_text())
        assert summary["counts"]["jets"] == N_JETS
        code, _, _ = run("jets", "tracks", events_file, "--out", tmp_path / "t")
        assert code == 0
        for folder, picture in (("s", "images.png"), ("t", "tracks.png")):
            assert (tmp_path / folder / picture).stat().st_size > 10_000
            page = (tmp_path / folder / "report.html").read_text()
            assert "<img" in page
            assert re.match(r"[\d,]+ (jets|events) have ", first_sentence(page))
        assert re.search(r"above 0.1 cm: [\d.]+ ± [\d.]+ % in jets", first_sentence(page))
        with uproot.open(tmp_path / "t" / "tracks.root") as file:
            assert "in_jets" in [k.split(";")[0] for k in file]

    def test_errors_leave_nothing(self, run, rows_file, tmp_path):  # noqa: F811
        nano = toys.write(tmp_path / "nano.root", 50, columns=["Muon_pt", "Jet_pt"])
        rows_file = str(rows_file)
        for arguments, message in (
            (("shapes", nano), "neither a JetNtuple (branches jetPt, PF_pT) nor PFNano"),
            (("tracks", nano), "no branch 'Jet_eta'"),
            (("shapes", rows_file, "--min-pt", "1e5"), "none of 700 jets passes"),
            (("tensors", rows_file, "--format", "csv"), "format must be"),
            (("shapes", tmp_path / "no.root"), "no such file"),
            (("train", tmp_path / "none"), "no tensors there"),
        ):
            code, _, err = run("jets", *arguments, "--out", tmp_path / "out")
            assert code == 1
            assert message in err
            assert err.count("\n") == 1
            assert not (tmp_path / "out").exists()

    def test_demo_of_too_few_jets(self, run, tmp_path):
        """Before any work, not when the last tagger lacks b jets."""
        code, _, err = run("jets", "demo", "--jets", 300, "--out", tmp_path / "demo")
        assert code == 1
        assert err.startswith("fastjag: error: --jets must be 2,000 or more, got 300: of fewer")
        assert err.count("\n") == 1
        assert not (tmp_path / "demo").exists()
