"""Which tree of which file is meant, in all the ways in which people say it."""

import shutil

import numpy as np
import pytest
import uproot

import fastjag as fj
from fastjag.io import ReadError
from fastjag.io.files import _split_tree, find_files
from fastjag.schemas import PHYSLITE
from fastjag.selection import Step, survivors


def trees(files):
    return [(batch.source.tree, len(batch)) for batch in fj.iterate(files)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """two.root with the trees Events (5 entries) and Other (3)."""
    path = tmp_path_factory.mktemp("trees")
    with uproot.recreate(path / "two.root") as file:
        for name, n in (("Events", 5), ("Other", 3)):
            file.mktree(name, {"x": "i4"})
            file[name].extend({"x": np.arange(n, dtype="i4")})
    return path


class TestForms:
    def test_pairs_and_mappings(self, folder):
        path = folder / "two.root"
        for files in ({path: "Other"}, {str(path): "Other"}, [(path, "Other")], [(str(path), "Other")],
                      f"{path}:Other", f"{path}:Other;1", f"{path}:/Other", [f"{path}:Other"],
                      {folder: "Other"}, {f"{folder}/t*.root": "Other"}, f"{folder}:Other",
                      f"file://{path}:Other"):  # fmt: skip
            assert trees(files) == [("Other", 3)], files
        assert trees({path: None}) == trees([(path, None)]) == trees(path) == [("Events", 5)]
        both = [("Other", 3), ("Events", 5)]
        assert trees([(path, "Other"), f"{path}:Events"]) == both

    @pytest.mark.parametrize("item", [("a.root", "b", "c"), ("a.root",), ("a.root", 3), (3, "b")])
    def test_no_pairs(self, item):
        with pytest.raises(TypeError, match="files must be paths"):
            fj.iterate([item])

    def test_names_of_grid_sites_and_capitals(self, folder, tmp_path):
        names = ["DAOD_PHYSLITE.1._000001.pool.root.1", "a.ROOT", "b.Root.12", "c.root"]
        for name in names:
            shutil.copy(folder / "two.root", tmp_path / name)
            assert trees(f"{tmp_path / name}:Other") == [("Other", 3)]
        (tmp_path / "d.root.part").write_text("no ROOT file")
        (tmp_path / "root.txt").write_text("no ROOT file")
        found = find_files(tmp_path)
        assert found == [(str(tmp_path / name), None) for name in sorted(names)]
        assert find_files(f"{tmp_path}:Other") == [(path, "Other") for path, _ in found]

    @pytest.mark.parametrize(
        ("text", "path", "tree"),
        [
            ("a.root:b/c", "a.root", "b/c"),
            ("a.root:b:c;2", "a.root", "b:c;2"),
            ("x.pool.root.1:CollectionTree", "x.pool.root.1", "CollectionTree"),
            ("root://h:1094//a/b.pool.root.1:T", "root://h:1094//a/b.pool.root.1", "T"),
            ("root://h:1094//a/b.root", "root://h:1094//a/b.root", None),
            ("https://h:80/b.root:a:b", "https://h:80/b.root", "a:b"),
            ("https://h:80/b:c", "https://h:80/b:c", None),
        ],
    )
    def test_files_that_nobody_looks_at(self, text, path, tree):
        assert _split_tree(text) == (path, tree)

    def test_colons_in_paths_that_are_there(self, folder, tmp_path):
        odd = tmp_path / "a.root:b"
        odd.mkdir()
        shutil.copy(folder / "two.root", odd / "x:y")
        assert trees(odd / "x:y") == [("Events", 5)]
        assert trees(f"{odd}/x:y:Other") == [("Other", 3)]

    def test_colons_in_names_of_trees(self, tmp_path):
        with uproot.recreate(tmp_path / "a.root") as file:
            file.mkrntuple("RNT:Tree", {"x": np.arange(3)})
            file.mkrntuple("RNT", {"x": np.arange(4)})
        assert trees(f"{tmp_path}/a.root:RNT:Tree") == [("RNT:Tree", 3)]
        assert trees(f"{tmp_path}/a.root:RNT") == [("RNT", 4)]

    def test_cycles(self, tmp_path):
        with uproot.recreate(tmp_path / "a.root") as file:
            for n in (2, 3):
                file.mktree("T", {"x": "i4"})
                file["T"].extend({"x": np.arange(n, dtype="i4")})
        cycles = [trees(f"{tmp_path}/a.root:T{cycle}") for cycle in ("", ";2", ";1")]
        assert cycles == [[("T", 3)], [("T", 3)], [("T;1", 2)]]
        with pytest.raises(ReadError, match=r"a.root: no tree 'T;3'.*'T'"):
            trees(f"{tmp_path}/a.root:T;3")


class TestEmptyTrees:
    @pytest.fixture
    def files(self, folder, tmp_path):
        with uproot.recreate(tmp_path / "empty.root") as file:
            file.mktree("Events", {"y": "i4"})
        return [tmp_path / "empty.root", folder / "two.root"]

    @pytest.mark.parametrize("order", [1, -1])
    @pytest.mark.parametrize("columns", ["x", ["x"], "x*"])
    def test_the_others_are_read(self, files, order, columns):
        batches = fj.iterate(files[::order], columns)
        assert [len(b) for b in batches] == [5]
        assert batches.skipped == []
        step = Step("all", ["x"], lambda batch: batch["x"] > 1)
        chosen = survivors(files[::order], [step], columns)
        assert [batch["x"].tolist() for batch in chosen] == [[2, 3, 4]]

    def test_alone_it_is_an_error(self, files):
        step = Step("all", ["x"], lambda batch: batch["x"] > 1)
        for read in (fj.iterate(files[0], "x"), survivors(files[0], [step])):
            with pytest.raises(ReadError, match=r"empty.root:Events: no branch 'x'"):
                list(read)
        assert list(fj.iterate(files[0])) == []

    def test_a_branch_that_is_missing_elsewhere_is_an_error(self, files):
        with pytest.raises(ReadError, match=r"two.root:Events: no branch 'z'"):
            list(fj.iterate(files, "z"))


class TestUnits:
    def test_one_rule_for_all_containers(self, real_data):
        for name in ("atlas_PHYSLITE_mc700322_100ev", "atlas_PHYSLITE_mc_40ev"):
            with uproot.open(real_data / f"{name}.root") as file:
                stored = file["CollectionTree"]["TruthTausAuxDyn.pt_vis"].array()
            columns = ["TruthTausAuxDyn.*", "GenMuon_px"]
            (batch,) = fj.iterate(real_data / f"{name}.root", columns)
            expected = np.concatenate([np.asarray(x) for x in stored]) * 1e-3
            np.testing.assert_allclose(batch.TruthTausAuxDyn["pt_vis"], expected, rtol=2e-7)
            assert 0.1 < np.median(batch.TruthTausAuxDyn["pt_vis"]) < 200  # GeV

    def test_rntuples_too(self, tmp_path):
        data = {
            "AnalysisJetsAuxDyn:pt": [[1e3], [2e3, 3e3]],
            "AnalysisJetsAuxDyn:eta": [[1.0], [2.0, 3.0]],
            "AnalysisJetsAuxDyn:m": [[10.0], [20.0, 30.0]],
            "TruthTausAuxDyn:pt": [[1e3], []],
            "TruthTausAuxDyn:m": [[1e3], []],
            "MET_Core_AnalysisMETAuxDyn:mpx": [[5e3], [6e3]],
        }
        with uproot.recreate(tmp_path / "a.root") as file:
            file.mkrntuple("CollectionTree", data)
        (batch,) = fj.iterate(tmp_path / "a.root")
        assert batch.Jet["pt"].tolist() == [1, 2, 3]
        assert batch.Jet["mass"].tolist() == [0.01, 0.02, 0.03]
        assert batch.Jet["eta"].tolist() == [1, 2, 3]
        assert batch.TruthTausAuxDyn["pt"].tolist() == batch.TruthTausAuxDyn["m"].tolist() == [1]
        assert batch["MET_Core_AnalysisMETAuxDyn"]["mpx"].tolist() == [5, 6]
        (same,) = fj.iterate(tmp_path / "a.root", ["AnalysisJetsAuxDyn:pt", "TruthTausAuxDyn.pt"])
        assert same.Jet["pt"].tolist() == [1, 2, 3]

    @pytest.mark.parametrize(
        "name",
        ["Jet_pt", "Jet_mass", "X.m", "X.e", "X.px", "X.pt_vis", "X.m_vis", "Muon_ptcone20",
         "Muon_ptvarcone30_Nonprompt_All_MaxWeightTTVALooseCone_pt1000", "EventInfoAuxDyn.GenFiltHT",
         "MET_TruthAuxDyn.sumet", "Tau_ptFinalCalib"],
    )  # fmt: skip
    def test_energies(self, name):
        assert PHYSLITE.scale(name) == 1e-3

    @pytest.mark.parametrize(
        "name",
        ["Jet_eta", "X.eta_vis", "Muon_ptconeCorrBitset", "Electron_topoetconeCorrBitset",
         "Photon_link.m_persKey", "X.qOverP", "Jet_JvtRpt", "X.z0", "X.theta", "Jet_EMFrac",
         "Jet_ActiveArea4vec_pt", "run", "event"],
    )  # fmt: skip
    def test_others(self, name):
        assert PHYSLITE.scale(name) == 1
