"""Photon+jet: selection, responses, stitching, and a whole measurement."""

import json
import typing
from dataclasses import replace

import awkward as ak
import numpy as np
import pyarrow.parquet as pq
import pytest
import uproot
from gammajet_samples import selected

import fastjag as fj
from fastjag.analyses.gammajet import response, toys
from fastjag.analyses.gammajet.config import GammaJetConfig, PhotonJetSelection
from fastjag.analyses.gammajet.run import GammaJet
from fastjag.analyses.gammajet.selection import MET_FILTERS, columns_of, select
from fastjag.analyses.gammajet.stitching import continuity, photon_parton_delta_r, stitched
from fastjag.io.files import ReadError

ALPHA_EDGES = (0, 0.1, 0.15, 0.2, 0.3, 0.4)


def by_awkward(events, selection):
    """The same selection, written event by event from what uproot reads."""
    rows = []
    for e in events:
        if not all(e[f] for f in MET_FILTERS if f in events.fields):
            continue
        if "Photon_cutBased" in events.fields:
            tight = ak.to_numpy(e["Photon_cutBased"]) >= 3
        else:
            tight = (ak.to_numpy(e["Photon_cutBasedBitmap"]) & 4) != 0
        good = [
            i for i in range(len(tight))
            if tight[i] and (selection.photon_veto == "none" or e["Photon_electronVeto"][i])
            and e["Photon_pt"][i] > selection.photon_pt
            and abs(e["Photon_eta"][i]) < selection.photon_abs_eta
        ]  # fmt: skip
        leptons = sum(
            m and pt > selection.lepton_pt
            for m, pt in zip(e["Muon_looseId"], e["Muon_pt"], strict=True)
        )
        leptons += sum(c >= 2 and pt > selection.lepton_pt
                       for c, pt in zip(e["Electron_cutBased"], e["Electron_pt"], strict=True))  # fmt: skip
        if len(good) != 1 or leptons:
            continue
        own = e["Photon_jetIdx"][good[0]]
        jets = [j for j in range(len(e["Jet_pt"])) if j != own]
        leading = [
            j for j in jets
            if e["Jet_jetId"][j] & 2 and e["Jet_pt"][j] > selection.jet_pt
            and abs(e["Jet_eta"][j]) < selection.jet_abs_eta
        ]  # fmt: skip
        if not leading:
            continue
        first = max(leading, key=lambda j: e["Jet_pt"][j])
        second = [e["Jet_pt"][j] for j in jets if j != first and e["Jet_pt"][j] > 15]
        pt, phi = e["Photon_pt"][good[0]], e["Photon_phi"][good[0]]
        along = e["MET_pt"] * np.cos(e["MET_phi"]) * pt * np.cos(phi)
        along += e["MET_pt"] * np.sin(e["MET_phi"]) * pt * np.sin(phi)
        rows.append((e["Jet_pt"][first] / pt, 1 + along / pt**2, max(second, default=0) / pt))
    return np.array(rows).reshape(-1, 3)


class TestSelection:
    @pytest.mark.parametrize(
        "name",
        ["coffea_nano_dy.root", "coffea_nano_dimuon.root", "nanoAOD_2015_CMS_Open_Data_ttbar.root"],
    )
    def test_real_files(self, real_data, name):
        needed, optional = columns_of(PhotonJetSelection())
        batches = list(fj.iterate(str(real_data / name), needed, optional=optional, step=37))
        kinds = ("Photon_", "Jet_", "Muon_", "Electron_", "MET_", "Flag_")
        events = uproot.open(real_data / name)["Events"].arrays(
            filter_name=[f"{kind}*" for kind in kinds]
        )
        # The files hold few photons: looser cuts make sure that something is compared.
        loose = PhotonJetSelection(photon_pt=5, photon_abs_eta=3, jet_pt=16, lepton_pt=1e9)
        for cuts in (PhotonJetSelection(), loose, replace(loose, photon_veto="none")):
            cutflow = {}
            parts = [select(batch, cuts, cutflow) for batch in batches]
            expected = by_awkward(events, cuts)
            assert cutflow["a tight jet"] == len(expected)
            found = np.stack(
                [np.concatenate([p[c] for p in parts]) for c in ("balance", "mpf", "alpha")], 1
            )
            np.testing.assert_allclose(found, expected, rtol=1e-5)
        if "ttbar" in name:
            assert len(expected) >= 10

    def test_toys_come_through_the_file(self, tmp_path):
        drawn = toys.draw(500, response=0.97, seed=4)
        toys.write(tmp_path / "toys.root", 500, kind="qcd", response=0.97, seed=4)
        rows, cutflow = selected(tmp_path / "toys.root", PhotonJetSelection())
        assert cutflow["a tight jet"] == 500
        for name in ("balance", "mpf", "alpha", "delta_phi"):
            np.testing.assert_allclose(rows[name], drawn[name], rtol=2e-4, err_msg=name)
        np.testing.assert_allclose(rows["delta_r"], drawn["delta_r"], atol=2e-6)

    def test_photon_is_no_jet(self, tmp_path):
        rows, _ = selected(toys.write(tmp_path / "t.root", 100, seed=1), PhotonJetSelection())
        photons = uproot.open(tmp_path / "t.root")["Events"].arrays(["Photon_pt", "Jet_pt"])
        # With the photon's own jet (1.02 of its pt) the balance would never be below 1.02.
        assert (ak.max(photons.Jet_pt, axis=1) >= 1.01 * photons.Photon_pt[:, 0]).tolist() == [
            True
        ] * 100
        assert (rows["balance"] < 1).mean() > 0.5

    def test_cuts(self, tmp_path):
        toys.write(tmp_path / "t.root", 300, seed=2)
        _, cutflow = selected(
            tmp_path / "t.root", PhotonJetSelection(photon_pt=250, min_delta_phi=3.2)
        )
        photons = ak.flatten(uproot.open(tmp_path / "t.root")["Events"]["Photon_pt"].array())
        assert cutflow["exactly one tight photon"] == (ak.to_numpy(photons) > 250).sum()
        assert cutflow["delta_phi > 3.2"] == 0

    def test_missing_branches(self, tmp_path):
        toys.write(tmp_path / "t.root", 10)
        with pytest.raises(ReadError, match=r"t.root:Events: no branch 'HLT_Photon30EB'"):
            selected(tmp_path / "t.root", PhotonJetSelection(trigger="HLT_Photon30EB"))
        with pytest.raises(ReadError, match=r"no branch 'PuppiMET_pt'.*MET_pt"):
            selected(tmp_path / "t.root", PhotonJetSelection(met="PuppiMET"))


class TestResponse:
    @pytest.mark.parametrize("injected", [0.97, 1.02])
    def test_pulls(self, injected):
        """Both estimators return the injected response within their errors."""
        pulls = {"balance": [], "mpf": []}
        for seed in range(100):
            rows = toys.draw(5000, response=injected, seed=seed)
            for estimator, found in pulls.items():
                line = response.extrapolate(rows["alpha"], rows[estimator], edges=ALPHA_EDGES)
                found.append((line.intercept - injected) / line.error)
        for estimator, found in pulls.items():
            assert abs(np.mean(found)) < 0.35, estimator  # 3.5 standard errors
            assert 0.75 < np.std(found) < 1.25, estimator

    def test_slopes(self):
        rows = toys.draw(200_000, response=0.97, together=0.8, seed=3)
        balance = response.extrapolate(rows["alpha"], rows["balance"], edges=ALPHA_EDGES)
        assert balance.slope == pytest.approx(-0.6, abs=4 * balance.slope_error)
        mpf = response.extrapolate(rows["alpha"], rows["mpf"], edges=ALPHA_EDGES)
        assert abs(mpf.slope) < 4 * mpf.slope_error

    def test_core_is_blind_to_a_tail(self):
        rng = np.random.default_rng(2)
        pulls, means = [], []
        for _ in range(60):
            clean = rng.normal(0.98, 0.1, 2000)
            found = response.core(clean, np.full(2000, 3.0))
            pulls.append((found.mean - 0.98) / found.error)
            tail = 0.98 - np.abs(rng.normal(0, 1.0, 100))
            means.append((response.core(np.append(clean, tail)).mean - 0.98, tail.sum() / 2100))
        assert abs(np.mean(pulls)) < 0.4
        assert 0.75 < np.std(pulls) < 1.3
        assert abs(np.mean(means, 0)[0]) < 0.005  # the arithmetic mean moves by 0.04
        assert np.isnan(response.core(clean[:5]).mean)


class TestStitching:
    def test_pair_of_samples_gives_the_unsplit_one(self, tmp_path):
        unsplit = toys.draw(4000, seed=6)["delta_r"]
        rows = {}
        for kind in ("gjets", "qcd"):
            path = toys.write(tmp_path / f"{kind}.root", 4000, kind=kind, seed=6)
            found, _ = selected(path, PhotonJetSelection())
            rows[kind] = found["delta_r"][stitched(kind, found["delta_r"])]
        assert rows["gjets"].min() > 0.4 >= rows["qcd"].max()
        both = np.concatenate(list(rows.values()))
        edges = np.linspace(0, 3.5, 71)
        np.testing.assert_array_equal(np.histogram(both, edges)[0], np.histogram(unsplit, edges)[0])

    def test_continuity(self):
        rng = np.random.default_rng(7)
        pulls = []
        for _ in range(100):
            x = rng.triangular(0, 3, 3.5, 50_000)
            pulls.append(continuity(x, np.full(50_000, 0.3)).pull)
        assert abs(np.mean(pulls)) < 0.4
        assert 0.8 < np.std(pulls) < 1.25
        step = np.append(x, np.repeat(x[x > 0.4], 2))
        assert continuity(step, np.ones(len(step))).pull > 5

    def test_photons_without_partons_and_none(self):
        class Events:
            source = "here"
            collections: typing.ClassVar = {
                "GenPart": fj.Jagged([0, 2, 2, 4], {
                    "pt": [9.0, 50.0, 40.0, 60.0], "eta": [0.0, 1.0, 0.0, 0.0], "phi": [0.0, 3.1, 0.0, 1.0],
                    "pdgId": [22, 22, 22, 22], "status": [1, 1, 1, 23], "statusFlags": [1, 1, 0, 1],
                }),
                "LHEPart": fj.Jagged([0, 3, 3, 4], {
                    "eta": [1.0, 1.0, 1.0, 0.0], "phi": [-3.1, 3.1, 3.1, 0.0],
                    "pdgId": [2, 2, 11, 21], "status": [1, -1, 1, 1],
                }),
            }  # fmt: skip
            GenPart, LHEPart = collections["GenPart"], collections["LHEPart"]

            def __len__(self):
                return 3

        # The hardest prompt photon; incoming partons and leptons do not count; the wrap in phi.
        found = photon_parton_delta_r(Events())
        np.testing.assert_allclose(found, [2 * np.pi - 6.2, np.nan, np.nan])
        assert stitched("qcd", found).tolist() == [True, True, True]
        assert stitched("gjets", [np.inf, 0.4, np.nan]).tolist() == [True, False, False]
        assert stitched("qcd", [np.inf, 0.4, np.nan]).tolist() == [False, True, True]
        with pytest.raises(ValueError, match="kind must be one of data, gjets"):
            stitched("gjet", found)

    def test_real_generator_records(self, real_data):
        path = real_data / "nanoAOD_2015_CMS_Open_Data_ttbar.root"
        (batch,) = fj.iterate(str(path), ["GenPart_*", "LHEPart_*"])
        found = photon_parton_delta_r(batch)
        events = uproot.open(path)["Events"].arrays(filter_name=["GenPart_*", "LHEPart_*"])
        n = 0
        for e, dr in zip(events, found, strict=True):
            photons = [
                i for i in range(len(e["GenPart_pt"]))
                if e["GenPart_pdgId"][i] == 22 and e["GenPart_status"][i] == 1
                and e["GenPart_statusFlags"][i] & 1
            ]  # fmt: skip
            if not photons:
                assert np.isnan(dr)
                continue
            n += 1
            i = max(photons, key=lambda i: e["GenPart_pt"][i])
            distances = [
                np.hypot(e["LHEPart_eta"][j] - e["GenPart_eta"][i],
                         (e["LHEPart_phi"][j] - e["GenPart_phi"][i] + np.pi) % (2 * np.pi) - np.pi)
                for j in range(len(e["LHEPart_eta"]))
                if e["LHEPart_status"][j] == 1
                and (abs(e["LHEPart_pdgId"][j]) <= 5 or e["LHEPart_pdgId"][j] == 21)
            ]  # fmt: skip
            assert dr == pytest.approx(min(distances, default=np.inf), abs=1e-5)
        assert n > 0


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gammajet")
    toys.write(folder / "data.root", 8000, response=0.97, seed=1)
    for seed, kind in enumerate(("gjets", "qcd"), 2):
        toys.write(folder / f"{kind}.root", 8000, kind=kind, response=1.02, seed=seed)
    (folder / "gammajet.toml").write_text(toys.configuration(folder))
    GammaJet(GammaJetConfig.read(folder / "gammajet.toml"), folder / "out").run()
    return folder


class TestMeasurement:
    def test_responses_come_back(self, measured):
        results = json.loads((measured / "out" / "report" / "results.json").read_text())
        for name, injected in (("data", 0.97), ("simulation", 1.02)):
            for part in results[name]:
                # Errors of few events are not Gaussian.
                lines = [b["line"] for b in part["bins"] if b["entries"] > 300]
                chi2 = sum(((x["intercept"] - injected) / x["error"]) ** 2 for x in lines)
                assert len(lines) >= 3
                assert chi2 < len(lines) + 4 * np.sqrt(2 * len(lines))
        assert abs(results["continuity"]["pull"]) < 4
        page = (measured / "out" / "report" / "report.html").read_text()
        assert page.count("data:image/png;base64,") == 5
        assert results["warnings"] == []
        assert "bad fit" not in page

    def test_simulation_is_worth_its_cross_section(self, measured):
        job = GammaJet(GammaJetConfig.read(measured / "gammajet.toml"), measured / "out")
        rows = job.rows(data=False)
        # 100 pb of unsplit events at 1000 / pb, all of which pass in the toys.
        assert rows["weight"].sum() == pytest.approx(100_000, rel=0.03)
        table = pq.read_table(measured / "out" / "select" / "QCD.parquet")
        assert table.num_rows == 8000

    def test_nothing_is_done_twice(self, measured):
        said = []
        job = GammaJet(GammaJetConfig.read(measured / "gammajet.toml"), measured / "out")
        job.run(told=said.append)
        assert said == ["select: is there", "response: is there", "report: is there"]

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ("min_delta_phi", "min_dphi", "unknown key in selection: 'min_dphi'.*min_delta_phi"),
            ("min_delta_phi = 2.7", "min_delta_phi = 'wide'", "selection.min_delta_phi must be a number"),
            ('kind = "qcd"', 'kind = "qdc"', r"samples\[2\].kind must be .*got 'qdc'"),
            ('name = "QCD"', 'name = "data"', "different names"),
            ("cross_section = 100.0  # pb", "k_factor = 2", r"samples\[2\]: simulation .QCD. needs a cross_section"),
            ("luminosity", "lumi", "unknown key: 'lumi'.*luminosity"),
            ("[200, 230,", "[200, 200,", "pt_edges must be two or more rising"),
            ("[selection]", "[selection", "gammajet.toml: "),
        ],
    )  # fmt: skip
    def test_configuration_errors(self, measured, tmp_path, old, new, message):
        text = (measured / "gammajet.toml").read_text()
        assert old in text
        (tmp_path / "gammajet.toml").write_text(text.replace(old, new))
        with pytest.raises(ValueError, match=message):
            GammaJetConfig.read(tmp_path / "gammajet.toml")

    def test_nothing_passes(self, measured, tmp_path):
        text = (measured / "gammajet.toml").read_text()
        text = text.replace("min_delta_phi = 2.7", "photon_pt = 1e6")
        (measured / "none.toml").write_text(text)
        with pytest.raises(ValueError, match="no event of data passes the selection"):
            GammaJet(GammaJetConfig.read(measured / "none.toml"), tmp_path / "out").run()
        assert not (tmp_path / "out" / "response").exists()

    def test_data_taken_for_simulation(self, measured, tmp_path):
        text = (measured / "gammajet.toml").read_text().replace('"qcd.root"', '"data.root"')
        (measured / "wrong.toml").write_text(text)
        with pytest.raises(
            ValueError, match=r"data.root.*QCD is qcd, but the file has no genWeight"
        ):
            GammaJet(GammaJetConfig.read(measured / "wrong.toml"), tmp_path / "out").run()
