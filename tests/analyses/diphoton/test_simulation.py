"""The simulation of diphoton samples, and the sample in the package."""

import json
from importlib.resources import files

import numpy as np
import pytest

import fastjag as fj
from fastjag.analyses.diphoton.simulation import detector
from fastjag.analyses.diphoton.simulation.generate import (
    COLUMNS,
    PROCESSES,
    TYPES,
    generate,
    simulate,
)

SAMPLE = files("fastjag.analyses.diphoton") / "sample"


@pytest.fixture(scope="module")
def sample():
    """Class to (collections, flat) of the shipped files, in GeV."""
    found = {}
    for name in PROCESSES:
        (batch,) = fj.iterate(SAMPLE / f"{name}.root")
        found[name] = batch
    return found


def mass(photons):
    pt, eta, phi = np.moveaxis(photons.pad(2, ["pt", "eta", "phi"], dtype="f8").values, 2, 0)
    cosh = np.cosh(eta[:, 0] - eta[:, 1]) - np.cos(phi[:, 0] - phi[:, 1])
    return np.sqrt(2 * pt[:, 0] * pt[:, 1] * cosh)


class TestSample:
    def test_size_and_record(self, sample):
        record = json.loads((SAMPLE / "simulation.json").read_text())
        assert sum((SAMPLE / f"{name}.root").stat().st_size for name in PROCESSES) < 3_000_000
        for name, batch in sample.items():
            found = record["classes"][name]
            assert len(batch) == found["written"] > 1000
            assert np.unique(batch["XSection"]) == np.float32(found["cross_section_pb"])
            assert np.unique(batch["SumWeights"]) == np.float32(found["sum_of_weights"])
            assert np.unique(batch["channelNumber"]) == PROCESSES[name].dsid
            assert batch["mcWeight"].sum() < found["sum_of_weights"]
            assert len(np.unique(batch["event"])) == len(batch)

    def test_branches_are_vectors_of_the_release(self):
        import uproot

        kinds = {"bool": "bool", "float32": "float", "int32": "int32_t", "uint32": "uint32_t"}
        with uproot.open(SAMPLE / "ttH125_gamgam.root") as file:
            for kind, columns in COLUMNS.items():
                for column in columns:
                    branch = file[f"mini/{kind}_{column}"]
                    assert branch.typename == f"std::vector<{kinds[TYPES.get(column, 'float32')]}>"
                    assert branch.interpretation.header_bytes == 10

    def test_mass_peaks_with_the_documented_resolution(self, sample):
        for name in list(PROCESSES)[:-1]:
            photons = sample[name].Photon
            m = mass(photons)
            energy, eta = np.moveaxis(photons.pad(2, ["energy", "eta"], dtype="f8").values, 2, 0)
            # Half the quadratic sum of the relative resolutions of both energies.
            expected = np.median(m * np.hypot(*detector.photon_resolution(energy, eta).T) / 2)
            low, middle, high = np.quantile(m[photons.counts == 2], [0.1587, 0.5, 0.8413])
            assert abs(middle - 125) < 0.15
            assert (high - low) / 2 == pytest.approx(expected, rel=0.08)
            assert 1.4 < expected < 1.7
        background = mass(sample["yy"].Photon)
        assert np.mean(np.abs(background - 125) < 5) < 0.15

    def test_acceptance(self, sample):
        for batch in sample.values():
            assert batch.Photon.counts.min() >= 2
            assert batch.Photon["pt"].min() > 24.9
            assert np.abs(batch.Photon["eta"]).max() < 2.371
            assert batch.Jet["pt"].min() > 19.9
            for kind in ("Photon", "Jet", "Lepton", "Tau"):
                pt = batch.collections[kind].pad(3, "pt", fill=0).values
                assert (np.diff(pt, axis=1) <= 0).all()
        share = np.mean(sample["ggH125_gamgam"].Photon["convType"] > 0)
        assert 0.25 < share < 0.45

    def test_top_quarks_have_most_jets_and_b_tags(self, sample):
        jets = {n: b.Jet.counts.mean() for n, b in sample.items()}
        tags = {n: (b.Jet["MV2c10"] > 0.8244).sum() / len(b) for n, b in sample.items()}
        for found in (jets, tags):
            top = found.pop("ttH125_gamgam")
            assert top > 1.8 * max(found.values())
        assert max(jets, key=jets.get) == "VBFH125_gamgam"
        assert max(tags, key=tags.get) == "ZH125J_Zincl_gamgam"

    def test_b_tagging_has_the_efficiencies_of_its_working_points(self, sample):
        jets = sample["ttH125_gamgam"].Jet
        inside = np.abs(jets["eta"]) < 2.5
        for flavour, cut, expected in ((5, 0.8244, 0.70), (5, 0.1758, 0.85), (4, 0.1758, 1 / 3.1)):
            score = jets["MV2c10"][inside & (jets["trueflav"] == flavour)]
            error = np.sqrt(expected * (1 - expected) / len(score))
            assert abs(np.mean(score > cut) - expected) < 4 * error

    def test_vector_bosons_fuse_with_jets_far_apart(self, sample):
        def spread(batch):
            eta = batch.Jet.aggregate("eta", ["min", "max"])
            return np.nan_to_num(eta["max"] - eta["min"])

        mean = {n: spread(b).mean() for n, b in sample.items()}
        fusion = mean.pop("VBFH125_gamgam")
        assert fusion > 1.2 * max(mean.values())
        two = {n: spread(b)[b.Jet.counts == 2].mean() for n, b in sample.items()}
        assert two.pop("VBFH125_gamgam") > 1.3 * max(two.values())

    def test_leptons_and_missing_momentum(self, sample):
        W, Z = sample["WpH125J_Wincl_gamgam"], sample["ZH125J_Zincl_gamgam"]
        # BR(W -> e, mu nu) 21 %, with taus 25 %, less acceptance; only W+ is there.
        assert 0.10 < np.mean(W.Lepton.counts == 1) < 0.25
        assert np.mean(W.Lepton["charge"] > 0) > 0.97
        # BR(Z -> ee, mumu) 6.7 %
        assert 0.02 < np.mean(Z.Lepton.counts == 2) < 0.07
        with_lepton = W.Lepton.counts == 1
        assert np.median(W["MET_pt"][with_lepton]) > 30
        # BR(Z -> nu nu) 20 %
        assert 0.10 < np.mean(Z["MET_pt"] > 60) < 0.30
        assert np.mean(sample["ggH125_gamgam"]["MET_pt"] > 60) < 0.01
        assert np.mean(sample["ggH125_gamgam"].Lepton.counts) < 0.01


class TestSimulate:
    def test_files_and_seeds(self, tmp_path):
        name = "WpH125J_Wincl_gamgam"
        record = simulate(tmp_path / "a", 40, 3, [name], workers=1, progress=False)
        assert json.loads((tmp_path / "a" / "simulation.json").read_text()) == record
        assert sorted(p.name for p in (tmp_path / "a").iterdir()) == [
            f"{name}.root", "simulation.json"
        ]  # fmt: skip
        # The same events as in this process, to the rounding of the file.
        chunk = generate(name, 40, 3, 0)
        (batch,) = fj.iterate(tmp_path / "a" / f"{name}.root")
        assert len(batch) == len(chunk.flat["mcWeight"]) == record["classes"][name]["written"] > 0
        np.testing.assert_allclose(batch.Photon["pt"], chunk.collections["photon"]["pt"], rtol=1e-4)
        np.testing.assert_allclose(batch["MET_pt"], chunk.flat["met_et"], rtol=1e-4)
        other = generate(name, 40, 3, 1)
        assert not np.array_equal(other.flat["met_et"][:5], chunk.flat["met_et"][:5])

    def test_bad_input(self, tmp_path):
        with pytest.raises(
            ValueError, match="unknown class 'ggHH125_gamgam': did you mean 'ggH125_gamgam'"
        ):
            simulate(tmp_path, 10, classes=["ggHH125_gamgam"])
        with pytest.raises(ValueError, match="n_events must be an integer >= 1, got 0"):
            simulate(tmp_path, 0)
        assert not list(tmp_path.iterdir())
