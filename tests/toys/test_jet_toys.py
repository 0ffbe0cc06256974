"""Toy jets: seeds, four-momenta, and what the files hold."""

import json

import numpy as np
import pytest
import uproot
from jet_samples import FEW, N_JETS, jet_folder, rows_file  # noqa: F401

from fastjag.toys.jetfiles import write_jets
from fastjag.toys.jets import generate_jets


class TestToys:
    def test_seeds(self):
        a, b, other = (next(generate_jets(40, seed, FEW)) for seed in (1, 1, 2))
        np.testing.assert_array_equal(a["PFCands"]["d0"], b["PFCands"]["d0"])
        assert len(a["Jet"]) == 40
        assert len(a["PFCands"]["pt"]) != len(other["PFCands"]["pt"])

    def test_jets_are_the_sums_of_their_constituents(self):
        events = next(generate_jets(30, 1, FEW))
        jets, links, pf = events["Jet"], events["JetPFCands"], events["PFCands"]
        event = np.repeat(np.arange(30), links.counts)
        jet, c = jets.offsets[event] + links["jetIdx"], pf.offsets[event] + links["pFCandsIdx"]
        px, py = (np.bincount(jet, pf["pt"][c] * f(pf["phi"][c])) for f in (np.cos, np.sin))
        np.testing.assert_allclose(
            np.hypot(px, py), jets["pt"] * (1 - jets["rawFactor"]), rtol=1e-4
        )
        np.testing.assert_array_equal(np.bincount(jet), jets["nConstituents"])

    def test_files(self, rows_file, tmp_path):  # noqa: F811
        with uproot.open(rows_file) as file:
            tree = file["AK4jets/jetTree"]
            assert (tree.num_entries, len(tree.keys())) == (N_JETS, 66)
            assert json.loads(file["fastjag_toys"])["seed"] == 3
        with pytest.raises(ValueError, match="unknown column 'PF_pt': did you mean 'PF_pT'"):
            write_jets(tmp_path / "a.root", 10, parameters=FEW, columns=["PF_pt"])
        with pytest.raises(ValueError, match="columns must name at least one branch"):
            write_jets(tmp_path / "a.root", 10, parameters=FEW, columns=[])
        with pytest.raises(ValueError, match="format must be 'jetntuple' or 'pfnano'"):
            write_jets(tmp_path / "a.root", 10, format="nano")
        assert list(tmp_path.iterdir()) == []
