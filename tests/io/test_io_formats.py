"""Formats and real files: their names, units, and the numbers that are known of them."""

import awkward as ak
import numpy as np
import pytest
import uproot

import fastjag as fj
from fastjag.schemas import ATLAS_MINI, JETNTUPLE, NANOAOD, PHYSLITE

PHYSLITE_FILES = ("atlas_PHYSLITE_mc700322_100ev.root", "atlas_PHYSLITE_mc_40ev.root")


class TestSchemas:
    def test_atlas_mini(self, tmp_path):
        """The real files have std::vector branches, which uproot cannot write: counters here."""
        pt = ak.Array([[30_000.0, 45_000.0], [], [1_500.0]])
        path = tmp_path / "a.root"
        with uproot.recreate(path) as file:
            branches = {
                "lep": ak.zip({"pt": pt, "E": pt * 2, "eta": pt / 1e5, "charge": ak.values_astype(pt * 0 + 1, "i4")}),
                "photon": ak.zip({"pt": pt, "ptcone30": pt}),
                "met_et": np.array([1e3, 2e3, 3e3], "f4"),
                "met_phi": np.array([1, 2, 3], "f4"),
                "runNumber": np.array([7, 7, 7], "i4"),
                "scaleFactor_PILEUP": np.ones(3, "f4"),
            }  # fmt: skip
            file.mktree("mini", {k: v.dtype if isinstance(v, np.ndarray) else v.type.content
                                 for k, v in branches.items()})  # fmt: skip
            file["mini"].extend(branches)
        (batch,) = fj.iterate(path)
        np.testing.assert_allclose(batch.Lepton["pt"], [30, 45, 1.5], rtol=1e-12)
        np.testing.assert_allclose(batch.Lepton["energy"], [60, 90, 3], rtol=1e-12)
        np.testing.assert_allclose(batch.Lepton["eta"], [0.3, 0.45, 0.015])
        np.testing.assert_allclose(batch.Photon["ptcone30"], [30, 45, 1.5], rtol=1e-12)
        np.testing.assert_allclose(batch["MET_pt"], [1, 2, 3], rtol=1e-6)
        assert batch["MET_pt"].dtype == np.float32
        assert batch["MET_phi"].tolist() == [1, 2, 3]
        assert batch["run"].tolist() == [7, 7, 7]
        assert batch["scaleFactor_PILEUP"].tolist() == [1, 1, 1]

    def test_jetntuple(self, tmp_path):
        path = tmp_path / "a.root"
        with uproot.recreate(path) as file:
            file.mktree("AK4jets/jetTree", {"jetPt": "f4", "PF_pT": "var * float32"})
            file["AK4jets/jetTree"].extend(
                {"jetPt": np.array([50, 60], "f4"), "PF_pT": ak.Array([[1.0, 2.0], [3.0]])}
            )
        (batch,) = fj.iterate(path, ["jetPt", "PF_pt"])
        assert batch.source.tree == "AK4jets/jetTree"
        assert batch.PF["pt"].tolist() == [1, 2, 3]
        assert batch["jetPt"].tolist() == [50, 60]
        (same,) = fj.iterate(f"{path}:AK4jets/jetTree", "PF_pt", schema=JETNTUPLE)
        assert same.PF["pt"].tolist() == [1, 2, 3]

    def test_names_and_units(self):
        assert PHYSLITE.public("AnalysisPhotonsAuxDyn.m") == "Photon_mass"
        assert PHYSLITE.public("a/EventInfoAuxDyn.runNumber") == "run"
        assert PHYSLITE.scale("Photon_pt") == 1e-3
        assert PHYSLITE.scale("Photon_eta") == 1
        assert PHYSLITE.split("Photon_link.m_persKey") == ("Photon", "link.m_persKey")
        assert PHYSLITE.split("TruthTausAuxDyn.pt") == ("TruthTausAuxDyn", "pt")
        assert ATLAS_MINI.scale("MET_pt") == 1e-3
        assert NANOAOD.public("Muon_pt") == "Muon_pt"
        assert NANOAOD.scale("Muon_pt") == 1


class TestRealFiles:
    def test_muons_of_2012(self, real_data):
        path = real_data / "agc_open-data-example.root"
        batches = list(fj.iterate(path, "*", step=30_001))
        assert sum(map(len, batches)) == 100_000
        assert sum(b.Muon.n_particles for b in batches) == 235_286
        counts = np.concatenate([b.Muon.counts for b in batches])
        assert (counts.min(), counts.max()) == (0, 39)
        with uproot.open(path) as file:
            plain = file["Events"].arrays()
        for column in ("pt", "eta", "phi", "mass", "charge"):
            found = np.concatenate([b.Muon[column] for b in batches])
            np.testing.assert_array_equal(found, ak.to_numpy(ak.flatten(plain[f"Muon_{column}"])))
        np.testing.assert_array_equal(counts, plain["nMuon"])

    def test_rntuple_has_the_first_of_them(self, real_data):
        (first,) = fj.iterate(real_data / "Run2012BC_DoubleMuParked_Muons_1000evts_rntuple.root")
        whole = next(fj.iterate(real_data / "agc_open-data-example.root", step=1000))
        assert len(first) == len(whole) == 1000
        np.testing.assert_array_equal(first.Muon.offsets, whole.Muon.offsets)
        assert set(first.Muon.columns) == set(whole.Muon.columns)
        for column in whole.Muon.columns:
            np.testing.assert_array_equal(first.Muon[column], whole.Muon[column])
        np.testing.assert_array_equal(first["nMuon"], whole["nMuon"])

    @pytest.mark.parametrize("name", PHYSLITE_FILES)
    def test_physlite(self, real_data, name):
        columns = ["Photon_pt", "Photon_eta", "Photon_mass", "Jet_pt"]
        batches = list(fj.iterate(real_data / name, columns, step=17))
        with uproot.open(real_data / name) as file:
            tree = file["CollectionTree"]
            stored = {
                c: tree[f"Analysis{c.replace('_', 'sAuxDyn.').replace('mass', 'm')}"].array()
                for c in columns
            }
        assert sum(map(len, batches)) == len(stored["Jet_pt"])
        for column, expected in stored.items():
            collection, field = column.split("_")
            counts = np.concatenate([b.collections[collection].counts for b in batches])
            np.testing.assert_array_equal(counts, ak.num(expected))
            factor = 1.0 if field == "eta" else 1e-3
            found = np.concatenate([b.collections[collection][field] for b in batches])
            assert found.dtype == np.float32
            np.testing.assert_allclose(found, ak.flatten(expected) * factor, rtol=2e-7)
        assert batches[0].source.tree == "CollectionTree"
        pt = np.concatenate([b.Photon["pt"] for b in batches])
        assert 1 < np.median(pt) < 100  # GeV

    def test_physlite_photons_stay_in_their_order(self, real_data):
        (batch,) = fj.iterate(real_data / PHYSLITE_FILES[0], "Photon_pt")
        assert len(batch) == 100
        assert (batch.Photon.counts.min(), batch.Photon.counts.max()) == (0, 11)
        assert not np.array_equal(batch.Photon.sort("pt")["pt"], batch.Photon["pt"])

    @pytest.mark.parametrize(
        ("name", "events", "muons", "jets"),
        [
            ("coffea_nano_dimuon.root", 40, 84, 264),
            ("nanoAOD_2015_CMS_Open_Data_ttbar.root", 200, 41, 537),
            ("coffea_nano_dy.root", 40, None, None),
            ("coffea_pfnano.root", 10, None, None),
        ],
    )
    def test_nanoaod(self, real_data, name, events, muons, jets):
        columns = ["Muon_*", "Jet_pt", "Jet_jetId", "MET_*", "run", "HLT_IsoMu2*"]
        (batch,) = fj.iterate(real_data / name, columns)
        assert len(batch) == events
        if muons is not None:
            assert (batch.Muon.n_particles, batch.Jet.n_particles) == (muons, jets)
        assert batch["run"].shape == batch["MET_pt"].shape == (events,)
        assert len(batch.Muon.columns) > 20

    def test_hzz(self, real_data):
        path = real_data / "uproot-HZZ.root"
        (batch,) = fj.iterate(path)
        with uproot.open(path) as file:
            plain = file["events"].arrays()
        assert len(batch) == 2421
        for name, particles in batch.collections.items():
            for column in particles.columns:
                expected = plain[f"{name}_{column}"]
                np.testing.assert_array_equal(particles.counts, ak.num(expected))
                np.testing.assert_array_equal(particles[column], ak.flatten(expected))
        assert set(batch.collections) == {"Muon", "Jet", "Photon", "Electron"}

    def test_strings(self, real_data):
        (batch,) = fj.iterate(real_data / "uproot-Zmumu.root")
        assert len(batch) == 2304
        names, codes = np.unique(batch["Type"], return_inverse=True)
        assert names.tolist() == ["GG", "GT", "TT"]
        assert np.bincount(codes).tolist() == [(batch["Type"] == name).sum() for name in names]
        assert not batch.collections

    def test_patterns_take_lists_of_any_length(self, real_data):
        """Trigger words in one container have lengths of their own: nobody named them."""
        path = real_data / PHYSLITE_FILES[1]
        batches = list(fj.iterate(path, ["xTrigDecisionAux.*", "Photon_pt"], step=15))
        assert sum(batch.Photon.n_particles for batch in batches) == 5
        assert all("xTrigDecisionAux.lvl2PassedPhysics" in b.collections for b in batches)

    def test_lists_of_jets(self, real_data):
        """Momenta of tracks at every vertex, in GeV, and links of electrons to tracks."""
        path = real_data / PHYSLITE_FILES[0]
        names = ["Jet_pt", "Jet_SumPtTrkPt500", "Electron_trackParticleLinks", "Jet_NumTrkPt500"]
        (batch,) = fj.iterate(path, names)
        with uproot.open(path) as file:
            tree = file["CollectionTree"]
            sums = tree["AnalysisJetsAuxDyn.SumPtTrkPt500"].array()
            links = tree["AnalysisElectronsAuxDyn.trackParticleLinks"].array()
        found = batch.Jet.SumPtTrkPt500
        assert found.counts.tolist() == ak.num(ak.flatten(sums)).to_list()
        np.testing.assert_allclose(found.value, ak.flatten(sums, axis=None) / 1000, rtol=1e-6)
        largest = found.aggregate("value", ["max"])["max"]
        assert largest.shape == batch.Jet.pt.shape
        assert batch.Jet.pad((4, 10), "SumPtTrkPt500").values.shape == (100, 4, 10)
        assert batch.Jet.NumTrkPt500.value.dtype == np.int32
        tracks = batch.Electron.flatten("trackParticleLinks")
        assert tracks.m_persIndex.tolist() == ak.flatten(links.m_persIndex, axis=None).to_list()
        assert tracks.counts.tolist() == ak.sum(ak.num(links, axis=2), axis=1).to_list()

    def test_constituents_of_jets(self, real_data):
        """The lines of docs/reading.md: jets have a pt near the sum of their constituents'."""
        columns = ["Jet_pt", "Jet_rawFactor", "JetPFCands_*", "PFCands_pt"]
        (batch,) = fj.iterate(real_data / "coffea_pfnano.root", columns)
        jets, cands, links = batch.Jet, batch.PFCands, batch.JetPFCands
        jet = links.jetIdx + links.broadcast(jets.offsets[:-1])
        cand = links.pFCandsIdx + links.broadcast(cands.offsets[:-1])
        order = np.argsort(jet, kind="stable")
        counts = np.bincount(jet, minlength=jets.n_particles)
        parts = fj.Jagged.from_counts(counts, {"pt": cands.pt[cand[order]]})
        jets = jets.with_columns(parts=parts)
        assert (counts.min(), counts.max()) == (3, 82)
        raw = jets.pt * (1 - jets.rawFactor)
        sums = jets.parts.aggregate("pt", ["sum"])["sum"]
        assert np.median(sums / raw) == pytest.approx(1, abs=0.05)
        assert jets.flatten("parts").n_particles == counts.sum()
        padded = jets.pad((4, 20), "parts", by=("pt", "pt"))
        assert padded.values.shape == (10, 4, 20, 1)
        assert (np.diff(padded.values[..., 0], axis=2) <= 0).all()
