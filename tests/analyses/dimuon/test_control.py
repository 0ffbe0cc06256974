"""Searches of data without same-sign pairs: there is no control, and the report says so."""

import json

import awkward as ak
import numpy as np
import pytest
import uproot
from typer.testing import CliRunner

pytest.importorskip("torch")
pytest.importorskip("xgboost")

from fastjag.__main__ import app

TOML = """
seed = 1
[input]
files = ["pairs.root"]
muon_id = "any"
[window_definitions]
upsilon = { SB_left = 5, SR_left = 9, SR_right = 10.6, SB_right = 16 }
[feature_sets]
two = ["dimu_pt", "mu0_eta"]
[scan]
toys = 3
[flow]
preset = "fast"
settings = { epochs = 2, hidden = [8] }
[classifier]
preset = "fast"
settings = { members = 1, rounds = 5 }
pseudo_experiments = 2
[significance]
degree = 2
sr_edges = 5
degrees = [2]
edges = [5]
rates = [1.0, 0.3]
toys = 10
"""


def write_pairs(path, n_same, n=1500, seed=1):
    """Two muons in each event, of opposite charge but in the last ``n_same``."""
    rng = np.random.default_rng(seed)
    charge = np.tile([1, -1], (n, 1))
    charge[n - n_same :] = 1
    eta = rng.normal(0, 1, n)
    muons = {
        "pt": rng.uniform(5, 12, (n, 2)),
        "eta": np.stack([eta, eta + rng.normal(0, 0.6, n)], axis=1),
        "phi": rng.uniform(-np.pi, np.pi, (n, 2)),
        "charge": charge,
    }
    lists = {name: ak.from_regular(x.astype("i4" if name == "charge" else "f4"))
             for name, x in muons.items()}  # fmt: skip
    with uproot.recreate(path) as file:
        content = {"Muon": ak.zip(lists)}
        file.mktree("Events", {"Muon": content["Muon"].type.content}).extend(content)


@pytest.mark.parametrize("n_same", [0, 3])
def test_the_search_goes_on_without_a_control(tmp_path, n_same, monkeypatch):
    if n_same:  # drawing takes most of the time
        monkeypatch.setattr("fastjag.analyses.dimuon.report.draw", lambda *_: [])
    write_pairs(tmp_path / "pairs.root", n_same)
    (tmp_path / "search.toml").write_text(TOML)
    out = tmp_path / "out"
    ran = CliRunner().invoke(
        app, ["dimuon", "run", str(tmp_path / "search.toml"), "--out", str(out)]
    )
    assert ran.exit_code == 0, ran.output
    results = json.loads((out / "report" / "results.json").read_text())
    pairs = {row["pairs"] for row in results["table"]}
    page = (out / "report" / "report.html").read_text()
    if n_same == 0:
        assert pairs == {"OS"}
        for text in (ran.output, page):
            assert "! There is no control: SS pairs are left out, as none of 0 pairs" in text
        assert results["checks"]["control"]["passes"] is None
        assert str(tmp_path) not in results["checks"]["control"]["says"]
        assert not (out / "classify" / "SS.parquet").exists()
        assert "SS" not in results["events"]
    else:  # few are searched, or said to be too few, whatever their masses
        assert ("SS" in pairs) == ("control" not in results["checks"])
    assert (out / "report" / "significance.png").exists() == (n_same == 0)
