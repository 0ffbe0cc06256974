"""Variations of the dimuon spectrum, by keys, against the spectrum of files that were changed."""

import json

import numpy as np
import pytest
import uproot
from correction_files import binning, category, correction, write
from toy_samples import KINEMATICS

from fastjag import toys
from fastjag.analyses.common.variations import VariationSettings, read_variations
from fastjag.analyses.spectrum import MuonSelection, spectrum

TRIGGER = "HLT_Mu17_Mu8"
KEYS = """
[[variations]]
name = "muon scale"
column = "Muon_pt"
relative = 0.01

[[variations]]
name = "events"
up = "event"
"""


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    path = tmp_path_factory.mktemp("toys") / "toys.root"
    return toys.write(path, 6000, seed=2, columns=[*KINEMATICS, "Muon_tightId", TRIGGER, "event"])


@pytest.mark.parametrize(
    "cuts",
    [MuonSelection(), MuonSelection(min_pt=8, max_abs_eta=1.5, muon_id="tightId"),
     MuonSelection(min_pt=5, exactly_two=True, trigger=TRIGGER)],
)  # fmt: skip
def test_each_is_the_spectrum_of_changed_files(toy, tmp_path, cuts):
    (tmp_path / "v.toml").write_text(KEYS)
    variations = read_variations(tmp_path / "v.toml")
    result = spectrum(toy, cuts, variations=variations, step=1000, bins=50, progress=False)
    names = ["nominal", "events up", "muon scale up", "muon scale down"]
    assert list(result.varied["opposite"].axes["variation"]) == names
    for sign in ("opposite", "same"):
        nominal = getattr(result, sign).values(flow=True)
        np.testing.assert_array_equal(result.varied[sign]["nominal", :].values(flow=True), nominal)
    for name, factor in (("muon scale up", 1.01), ("muon scale down", 0.99)):
        with uproot.open(toy) as file:
            arrays = file["Events"].arrays()
        changed = tmp_path / "changed.root"
        with uproot.recreate(changed) as file:
            columns = {f: arrays[f] for f in arrays.fields if not f.startswith("nMuon")}
            columns["Muon_pt"] = arrays["Muon_pt"] * np.float32(factor)
            file["Events"] = columns
        other = spectrum(changed, cuts, bins=50, progress=False)
        for sign in ("opposite", "same"):
            np.testing.assert_array_equal(
                result.varied[sign][name, :].values(flow=True),
                getattr(other, sign).values(flow=True),
            )
    # Weights: the sum of the events' numbers.
    assert result.varied["opposite"]["events up", :].values().sum() > 0


def test_results_and_command(toy, tmp_path, monkeypatch):
    from fastjag.__main__ import main

    (tmp_path / "v.toml").write_text(KEYS)
    words = ["spectrum", str(toy), "--out", str(tmp_path / "out"), "--variations",
             str(tmp_path / "v.toml"), "--no-pictures"]  # fmt: skip
    monkeypatch.setattr("sys.argv", ["fastjag", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    summary = json.loads((tmp_path / "out" / "spectrum.json").read_text())
    assert list(summary["variations"]) == [
        "nominal",
        "events up",
        "muon scale up",
        "muon scale down",
    ]
    assert summary["variations"]["nominal"]["opposite"] == summary["opposite_sign"]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "muon scale down" in page
    with uproot.open(tmp_path / "out" / "spectrum.root") as file:
        values = file["opposite_sign_muon_scale_up"].values(flow=True)
    assert values.tolist() == summary["variations"]["muon scale up"]["opposite"]


def test_corrections_of_files(toy, tmp_path):
    """Factors of the muons of an event, and entries outside of their range, once each."""
    pytest.importorskip("correctionlib")
    table = {
        side: binning("momentum", [0.0, 20.0], [f])
        for side, f in (("nominal", 2.0), ("up", 3.0), ("down", 1.0))
    }
    one = correction("id", category("which", **table), momentum="real", which="string")
    of_events = correction(
        "events", category("which", up=binning("event", [0.0, 1000.0], [4.0])),
        event="int", which="string",
    )  # fmt: skip
    write(tmp_path / "id.json", [one, of_events])
    (tmp_path / "v.toml").write_text("""
[[variations]]
name = "id"
file = "id.json"
correction = "id"
particles = "Muon"
columns = { momentum = "pt" }
nominal = "nominal"
up = "up"
down = "down"

[[variations]]
name = "of events"
file = "id.json"
correction = "events"
up = "up"

[[variations]]
name = "scale"
column = "Muon_pt"
relative = 0.01
""")
    variations = read_variations(tmp_path / "v.toml")
    cuts = MuonSelection(exactly_two=True)
    result = spectrum(toy, cuts, variations=variations, step=1000, bins=50, progress=False)
    plain = spectrum(toy, cuts, bins=50, progress=False)
    h = result.varied["opposite"]
    # Events with more muons have none of two: 2² for each pair.
    with uproot.open(toy) as file:
        events = file["Events"].arrays(["Muon_pt", "event"])
    pt = np.concatenate([np.asarray(p) for p in events["Muon_pt"]])
    np.testing.assert_array_equal(h["id down", :].values(), plain.opposite.values())
    np.testing.assert_array_equal(h["nominal", :].values(), 4 * plain.opposite.values())
    np.testing.assert_array_equal(h["id up", :].values(), 9 * plain.opposite.values())
    np.testing.assert_array_equal(h["of events up", :].values(), 16 * plain.opposite.values())
    assert result.outside["id: momentum above"] == (pt >= 20).sum()
    assert result.outside["events: event above"] == (np.asarray(events["event"]) >= 1000).sum()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('variations = 1', r"must hold tables \[\[variations\]\] alone"),
        ('[[variations]]\nname = "a"', "a must have either column and relative, or branches"),
        ('[[variations]]\nname = "a"\ncolumn = "Muon_pt"', "a: relative must be above 0"),
        ('[[variations]]\nname = "a"\ncolumn = "pt"\nrelative = 0.1', "must be COLLECTION_COLUMN"),
        ('[[variations]]\nname = "a"\nup = "w"\nscale = 1', "scale"),
        ('[[variations]]\nname = "a"\nup = "w"\nfile = "a.json"', "a: file and correction go together"),
        ('[[variations]]\nname = "a"\nup = "w"\nparticles = "Muon"', "belong to file and correction"),
        ('[[variations]]\nname = "a"\nup = "w"\n[[variations]]\nname = "a"\nup = "w"',
         "two variations have the name 'a'"),
    ],
)  # fmt: skip
def test_errors_name_the_file(tmp_path, text, message):
    (tmp_path / "v.toml").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_variations(tmp_path / "v.toml")


def test_missing_branches_are_named(toy):
    one = VariationSettings(name="a", up="puWeightUp")
    with pytest.raises(Exception, match="puWeightUp"):
        spectrum(toy, variations=[one], progress=False)
