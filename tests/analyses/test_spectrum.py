"""The spectrum job against awkward arrays in double precision, and on real collisions."""

import json

import awkward as ak
import numpy as np
import pytest
import uproot
from sentences import first_sentence
from toy_samples import KINEMATICS

import fastjag
from fastjag import MUON_MASS, toys
from fastjag.analyses.spectrum import MuonSelection, spectrum, write
from fastjag.io import ReadError
from fastjag.reporting.report import with_error

TRIGGER = "HLT_Mu17_Mu8"


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    path = tmp_path_factory.mktemp("toys") / "toys.root"
    return toys.write(path, 20_000, seed=2, columns=[*KINEMATICS, "Muon_tightId", TRIGGER])


def expected_masses(path, cuts):
    """(opposite, same) masses of the two leading selected muons, from E and p in float64."""
    with uproot.open(path) as file:
        a = file["Events"].arrays()
    if cuts.trigger:
        a = a[a[cuts.trigger]]
    mask = (a.Muon_pt > cuts.min_pt) & (abs(a.Muon_eta) < cuts.max_abs_eta)
    if cuts.muon_id:
        mask = mask & a[f"Muon_{cuts.muon_id}"]
    order = ak.argsort(a.Muon_pt[mask], ascending=False, stable=True)
    pt, eta, phi, charge = (
        ak.values_astype(a[f"Muon_{c}"][mask][order], "f8") for c in ("pt", "eta", "phi", "charge")
    )
    chosen = ak.num(pt) == 2 if cuts.exactly_two else ak.num(pt) >= 2
    pt, eta, phi, charge = (ak.to_numpy(x[chosen][:, :2]) for x in (pt, eta, phi, charge))
    px, py, pz = pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)
    energy = np.sqrt(px**2 + py**2 + pz**2 + MUON_MASS**2)
    mass = np.sqrt(sum(s * x.sum(axis=1) ** 2 for s, x in zip((1, -1, -1, -1), (energy, px, py, pz), strict=True)))  # fmt: skip
    opposite = charge.sum(axis=1) == 0
    return mass[opposite], mass[~opposite]


CUTS = [
    MuonSelection(),
    MuonSelection(min_pt=5.0),
    MuonSelection(max_abs_eta=1.2),
    MuonSelection(muon_id="tightId"),
    MuonSelection(exactly_two=True),
    MuonSelection(trigger=TRIGGER),
    MuonSelection(6.0, 2.0, "tightId", True, TRIGGER),
]


@pytest.mark.parametrize("cuts", CUTS, ids=str)
def test_equals_double_precision(toy, cuts):
    result = spectrum(toy, cuts, bins=200)
    for h, masses in zip((result.opposite, result.same), expected_masses(toy, cuts), strict=True):
        counts, _ = np.histogram(masses, h.axes[0].edges)
        assert h.sum(flow=True) == len(masses)
        # Single precision may carry a mass across an edge now and then.
        assert np.abs(h.values() - counts).sum() <= 0.001 * len(masses) + 2


@pytest.mark.parametrize("cuts", CUTS, ids=str)
def test_cutflow_adds_up(toy, cuts):
    flow = spectrum(toy, cuts).cutflow
    assert flow["events read"] == 20_000
    events = flow[
        "exactly two selected muons" if cuts.exactly_two else "at least two selected muons"
    ]
    assert flow["opposite-sign pairs"] + flow["same-sign pairs"] == events
    steps = [
        n for name, n in flow.items() if name not in ("opposite-sign pairs", "same-sign pairs")
    ]
    assert steps == sorted(steps, reverse=True)
    assert (f"pass {TRIGGER}" in flow) == bool(cuts.trigger)


@pytest.mark.parametrize("options", [{"step": 777}, {"step": "50 kB"}, {"threads": 1}, {"threads": 3}], ids=str)  # fmt: skip
def test_the_way_of_reading_does_not_matter(toy, options):
    plain, other = spectrum(toy), spectrum(toy, **options)
    for name in ("opposite", "same"):
        np.testing.assert_array_equal(getattr(plain, name).values(flow=True), getattr(other, name).values(flow=True))  # fmt: skip
    assert (plain.cutflow, plain.windows) == (other.cutflow, other.windows)


def test_real_collisions(real_data):
    path = real_data / "agc_open-data-example.root"
    result = spectrum(path, MuonSelection(exactly_two=True), step=30_000)
    assert result.cutflow["events read"] == 100_000
    assert result.cutflow["opposite-sign pairs"] == 37_183
    found = {name: n["opposite"] for name, n in result.windows.items()}
    assert found["Upsilon(1S,2S,3S)"] == 1139
    assert found["Upsilon sideband below"] == 529
    assert found["Upsilon sideband above"] == 412
    edges, counts = result.opposite.axes[0].edges, result.opposite.values()
    for peak in (3.097, 91.19):  # the highest bin around it is where it belongs
        near = (edges[:-1] > 0.8 * peak) & (edges[1:] < 1.2 * peak)
        top = edges[:-1][near][counts[near].argmax()]
        assert top == pytest.approx(peak, rel=0.03)


def test_outputs(toy, tmp_path):
    result = spectrum(toy, MuonSelection(min_pt=3.0), bins=100, mass_range=(0.5, 120))
    assert write(result, tmp_path / "out") == tmp_path / "out"
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == ["report.html", "spectrum.json", "spectrum.pdf", "spectrum.png", "spectrum.root"]  # fmt: skip
    summary = json.loads((tmp_path / "out" / "spectrum.json").read_text())
    assert summary["fastjag"] == fastjag.__version__
    assert summary["files"] == [str(toy)]
    assert summary["cutflow"] == result.cutflow
    page = (tmp_path / "out" / "report.html").read_text()
    assert ">Selection</h2>" in page
    assert summary["selection"]["min_pt"] == 3.0
    assert summary["selection"]["max_abs_eta"] is None
    assert len(summary["edges_gev"]) == 101
    assert summary["opposite_sign"] == result.opposite.values(flow=True).tolist()
    assert summary["windows_gev"]["Z"] == {"low": 80, "high": 100, **result.windows["Z"]}
    with uproot.open(tmp_path / "out" / "spectrum.root") as file:
        for name, h in (("opposite_sign", result.opposite), ("same_sign", result.same)):
            counts, edges = file[name].to_numpy(flow=True)
            np.testing.assert_array_equal(counts, h.values(flow=True))
            np.testing.assert_allclose(edges[1:-1], h.axes[0].edges)
    assert (tmp_path / "out" / "spectrum.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "out" / "spectrum.pdf").read_bytes().startswith(b"%PDF")
    html = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "data:image/png;base64," in html
    assert "http" not in html
    n = result.windows["Z"]
    said = with_error(n["opposite"] - n["same"], (n["opposite"] + n["same"]) ** 0.5)
    sentence = first_sentence(html)
    assert sentence.startswith("20,000 events have ")
    assert sentence.endswith(f"{said} (Z), with statistical errors.")
    assert "sideband" not in sentence
    assert f"{result.cutflow['events read']:,}" in html


def test_skipped_files_are_reported(toy, tmp_path):
    (tmp_path / "bad.root").write_text("no ROOT file")
    result = spectrum([toy, tmp_path / "bad.root"], on_error="skip")
    assert result.cutflow["events read"] == 20_000
    write(result, tmp_path / "out")
    summary = json.loads((tmp_path / "out" / "spectrum.json").read_text())
    assert summary["skipped"][0]["file"] == str(tmp_path / "bad.root")
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "not a readable ROOT file" in page
    assert "! 1 of the files, or parts of them, cannot be read" in page[: page.index("<nav>")]


def test_errors(toy, tmp_path):
    for options in ({"bins": 0}, {"mass_range": (0, 10)}, {"mass_range": (5, 5)},
                    {"bins": 2**31 - 1}, {"mass_range": (1, np.inf)},
                    {"mass_range": (np.nan, 5)}):  # fmt: skip
        with pytest.raises(ValueError, match="need bins >= 1 and 0 < low < high"):
            spectrum(toy, **options)
    empty = toys.write(tmp_path / "empty.root", 0, columns=KINEMATICS)
    with pytest.raises(ValueError, match="the files hold no events"):
        spectrum(empty)
    with pytest.raises(ReadError, match=r"no branch 'Muon_tightID': did you mean 'Muon_tightId'"):
        spectrum(toy, MuonSelection(muon_id="tightID"))
    with uproot.recreate(tmp_path / "flat.root") as file:
        columns = {name: np.ones(3, "f4") for name in KINEMATICS}
        file.mktree("Events", dict.fromkeys(columns, "f4"))
        file["Events"].extend(columns)
    with pytest.raises(ReadError, match=r"flat\.root:Events.* not jagged"):
        spectrum(tmp_path / "flat.root")


@pytest.mark.parametrize(
    ("cuts", "message"),
    [
        ({"min_pt": np.nan}, "min_pt must be a number >= 0, got nan"),
        ({"min_pt": np.inf}, "min_pt must be a number >= 0, got inf"),
        ({"min_pt": -1}, "min_pt must be a number >= 0, got -1"),
        ({"max_abs_eta": np.nan}, "max_abs_eta must be a number above 0, got nan"),
        ({"max_abs_eta": 0}, "max_abs_eta must be a number above 0, got 0"),
    ],
)
def test_nonsense_is_refused(cuts, message):
    with pytest.raises(ValueError, match=message):
        MuonSelection(**cuts)


@pytest.mark.parametrize(
    ("cuts", "message"),
    [
        ({"trigger": "MET_pt"}, "MET_pt is no bit: float32"),
        ({"trigger": "event"}, "event is no bit: uint64 up to 100"),
        ({"trigger": "Muon_pt"}, "Muon_pt is no bit: it has a list per event"),
        ({"muon_id": "pt"}, "Muon_pt is no bit: float32"),
        ({"muon_id": "charge"}, "Muon_charge is no bit: int32 from -1 to 1"),
    ],
)
def test_numbers_are_no_bits(tmp_path, cuts, message):
    path = toys.write(tmp_path / "t.root", 100, seed=1, columns=[*KINEMATICS, "MET_pt", "event"])
    with pytest.raises(ReadError, match=rf"t.root:Events.*: {message}"):
        spectrum(path, MuonSelection(**cuts))
