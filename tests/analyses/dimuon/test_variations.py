"""Variations of the search by keys, against searches of files that were changed."""

import json

import numpy as np
import pytest
import uproot
from correction_files import binning, category, correction
from correction_files import write as write_corrections
from toy_samples import KINEMATICS

pytest.importorskip("pyarrow")
pytest.importorskip("correctionlib")

from fastjag import toys
from fastjag.analyses.dimuon.config import DimuonConfig
from fastjag.analyses.dimuon.results import DimuonResults
from fastjag.analyses.dimuon.run import run
from fastjag.analyses.dimuon.variations import section, variations
from fastjag.reporting.report import Report
from fastjag.statistics import significance

TEXT = """
[input]
files = ["toys.root"]
muon_id = "any"
[analysis_keywords]
name = "toys"
features = "search"
[analysis_keywords.analysis_cuts.lower]
mu0_pt = 12
[window_definitions.upsilon]
SB_left = 5
SR_left = 9
SR_right = 10.6
SB_right = 16
[feature_sets]
search = ["dimu_pt"]
[significance]
degree = 1
sr_edges = 4
"""
KEYS = """
[[variations]]
name = "muon scale"
column = "Muon_pt"
relative = 0.02

[[variations]]
name = "weight"
up = "w"

[[variations]]
name = "id"
file = "id.json"
correction = "id"
particles = "Muon"
up = "up"
down = "down"
"""


def configured(folder, text):
    (folder / "search.toml").write_text(text)
    return DimuonConfig.read(folder / "search.toml")


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("variations")
    toys.write(folder / "plain.root", 6000, seed=2, columns=KINEMATICS)
    for name, factor in (("toys", 1.0), ("up", 1.02), ("down", 0.98)):
        with uproot.open(folder / "plain.root") as file:
            arrays = file["Events"].arrays()
        with uproot.recreate(folder / f"{name}.root") as file:
            columns = {f: arrays[f] for f in arrays.fields if not f.startswith("nMuon")}
            columns["Muon_pt"] = arrays["Muon_pt"] * np.float32(factor)
            columns["w"] = np.arange(len(arrays)) % 3
            file["Events"] = columns
    table = {
        side: binning("pt", [0.0, 20.0, 40.0], [f, f]) for side, f in (("up", 1.1), ("down", 0.9))
    }
    write_corrections(folder / "id.json", [correction("id", category("systematic", **table), pt="real", systematic="string")])  # fmt: skip
    results = DimuonResults(configured(folder, TEXT + KEYS), folder / "out", progress=False)
    variations(results, step=500)
    return folder, results


def test_each_is_the_spectrum_of_changed_files(found):
    folder, results = found
    record, window = results.variations, results.config.window
    assert record["names"] == [
        "nominal",
        "weight up",
        "id up",
        "id down",
        "muon scale up",
        "muon scale down",
    ]
    for name, file in (("nominal", "toys"), ("muon scale up", "up"), ("muon scale down", "down")):
        config = configured(folder, TEXT.replace("toys.root", f"{file}.root"))
        own = run(config, folder / f"out-{file}", ["prepare"], progress=False)
        for c in ("OS", "SS"):
            counts = window.count(own.pairs(c).mass)
            h, i = record["histograms"][c], record["names"].index(name)
            expected = [*counts.left, counts.signal, *counts.right]
            np.testing.assert_array_equal(h["values"][i][1:-1], expected)
            fit = significance(*counts[:3], window=window, degree=1)
            assert h["excess"]["S"][i] == pytest.approx(float(fit.S), abs=1e-9)
            assert h["excess"]["Z"][i] == pytest.approx(float(fit.Z), abs=1e-9)
    assert sum(record["histograms"]["OS"]["values"][0]) > 300


def test_weights_are_those_of_the_events(found):
    folder, results = found
    record = results.variations
    with uproot.open(folder / "toys.root") as file:
        events = file["Events"].arrays(["Muon_pt"])
    h = {
        name: np.array(record["histograms"]["OS"]["values"][i])
        for i, name in enumerate(record["names"])
    }
    # w is 0, 1 or 2 for a third of the events each; two muons have 1.1² and 0.9².
    assert h["weight up"].sum() == pytest.approx(h["nominal"].sum(), rel=0.2)
    assert (h["weight up"] == np.round(h["weight up"])).all()
    assert h["id up"].sum() > 1.2 * h["nominal"].sum()
    pt = np.concatenate([np.asarray(p) for p in events["Muon_pt"]])
    assert record["outside"] == {"id: pt above": int((pt >= 40).sum())}


def test_the_section_shows_them(found, tmp_path):
    _, results = found
    page = Report("x")
    section(page, results.variations, results.config)
    page.write(tmp_path / "x.html", "")
    text = (tmp_path / "x.html").read_text()
    for word in ("OS pairs", "SS pairs", "muon scale down", "signal region", "id: pt above"):
        assert word in text


def test_without_keys_nothing_is_read(found):
    folder, _ = found
    results = DimuonResults(
        configured(folder, TEXT.replace("toys.root", "nowhere.root")), folder / "none"
    )
    variations(results)
    assert json.loads((folder / "none" / "variations" / "variations.json").read_text()) == {}
    assert results.variations == {}


def test_two_of_one_name(tmp_path):
    with pytest.raises(ValueError, match="two variations have the name 'weight'"):
        configured(tmp_path, TEXT + KEYS + '[[variations]]\nname = "weight"\nup = "w"')
