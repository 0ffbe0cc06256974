"""The mass scan of a search: names of what it finds, and the real resonances through prepare."""

import json
from dataclasses import replace

import numpy as np
import pytest

from fastjag.analyses.common.tables import write_parquet
from fastjag.analyses.dimuon.config import DimuonConfig, ScanSettings
from fastjag.analyses.dimuon.results import DimuonResults
from fastjag.analyses.dimuon.scan import scan, scan_spectrum
from fastjag.statistics import Window

TOML = """
[input]
files = "{file}"
muon_id = "any"
[window_definitions]
upsilon = {{ SB_left = 5, SR_left = 9, SR_right = 10.6, SB_right = 16 }}
[feature_sets]
one = ["dimu_pt"]
[scan]
toys = 60
"""


def test_names_and_the_rest():
    rng = np.random.default_rng(1)
    masses = np.r_[2 * 60 ** rng.beta(1, 1.5, 20_000), rng.normal(3.097, 0.03, 900),
                   rng.normal(28, 0.3, 600)]  # fmt: skip
    settings = ScanSettings(toys=30)
    found = scan_spectrum(masses, settings, seed=2)
    assert [p["names"] for p in found["peaks"]] == [["J/psi"], []]
    assert [p["mass"] for p in found["peaks"]] == pytest.approx([3.097, 28], rel=0.03)
    assert found["elsewhere"]["Z"] < 4.5
    assert found["elsewhere"]["Z_global"] < 3
    assert found["n_in_range"] == pytest.approx(len(masses), rel=0.02)
    assert "by F test up to 8" in found["model"]
    assert "30 background-only" in found["model"]
    assert found["seed"] == 2
    json.dumps(found["peaks"], default=float)


@pytest.mark.parametrize("peak", [None, {"Z": None}, {"Z": 7.0}])
def test_a_picture_of_what_could_not_be_fitted(tmp_path, peak):
    """No significance anywhere, and a peak that has none (null in JSON)."""
    pytest.importorskip("matplotlib")
    from fastjag.analyses.dimuon.pictures.scan import local_significance
    from fastjag.reporting.plots import save

    edges = np.geomspace(5, 16, 31)
    peaks = [] if peak is None else [{"mass": 9.5, "low": 9.2, "high": 9.8, "names": [], **peak}]
    scan = {"edges": edges, "counts": np.arange(30), "expected": np.full(30, 2.0),
            "mass": edges[1:4], "Z": [None] * 3, "peaks": peaks}  # fmt: skip
    save(local_significance(scan), tmp_path / "scan.png")
    assert (tmp_path / "scan.png").stat().st_size > 10_000


def test_a_skim_with_a_mass_window(cases, tmp_path):
    """Events of 5 < m < 16 GeV: the spectrum ends within the scan."""
    pytest.importorskip("xgboost")
    from fastjag.analyses.dimuon.pictures.scan import local_significance
    from fastjag.analyses.dimuon.run import run
    from fastjag.reporting.plots import save

    config = DimuonConfig.read(cases / "faults" / "skim5_16.toml")
    found = run(replace(config, scan=ScanSettings(toys=10)), tmp_path / "out", ["scan"]).scan
    assert None not in found["Z"]
    assert not all(found["usable"])
    # Where the cut ends the spectrum is no peak.
    assert [p["names"] for p in found["peaks"]] == [["Upsilon(1S)", "Upsilon(2S)", "Upsilon(3S)"]]
    assert found["n_in_range"] == 6596  # of opposite sign
    save(local_significance(found), tmp_path / "scan.png")


def test_opposite_sign_pairs_before_the_cuts(tmp_path):
    (tmp_path / "prepare").mkdir()
    mass = np.geomspace(2.1, 100, 4000).astype("f4")
    columns = {"dimu_mass": mass, "charge": np.resize(np.array([0, 2, -2, 0], "i1"), 4000)}
    write_parquet(tmp_path / "prepare" / "all_pairs.parquet", columns)
    config = DimuonConfig(
        name="toy", window=Window(5, 9, 10.6, 16), features=("dimu_pt",), scan=ScanSettings(toys=2)
    )
    results = DimuonResults(config, tmp_path)
    scan(results)
    assert results.scan["n_pairs"] == 2000
    expected = np.histogram(mass[columns["charge"] == 0], results.scan["edges"])[0]
    assert results.scan["counts"] == expected.tolist()


def test_a_range_without_room_for_a_window():
    with pytest.raises(ValueError, match=r"scan: the range 2 to 2\.1 GeV has"):
        scan_spectrum(np.ones(3), ScanSettings(high=2.1), 0)


def test_real_collisions(real_data, tmp_path):
    """CMS Open Data 2012 from file to peaks; no identification is stored there."""
    pytest.importorskip("xgboost")
    from fastjag.analyses.dimuon.run import run

    source = tmp_path / "search.toml"
    source.write_text(TOML.format(file=real_data / "agc_open-data-example.root"))
    said = []
    found = run(DimuonConfig.read(source), tmp_path / "out", ["scan"], told=said.append).scan
    assert said[::2] == ["prepare: running", "scan: running"]
    assert [p["names"] for p in found["peaks"]] == [
        ["J/psi"], ["psi(2S)"], ["Upsilon(1S)", "Upsilon(2S)", "Upsilon(3S)"], ["Z"],
    ]  # fmt: skip
    assert all(p["Z_global"] > 5 for p in found["peaks"])
    assert found["elsewhere"]["Z_global"] < 3
    assert found["n_pairs"] == 58_374


def test_skims_of_other_kinds(real_data, tmp_path):
    """Windows at resonances and beside them, one-sided ones, few events: pictures of all."""
    pytest.importorskip("matplotlib")
    import fastjag as fj
    from fastjag.analyses.dimuon.pictures.scan import local_significance
    from fastjag.reporting.output import write_json
    from fastjag.reporting.plots import save

    branches = [f"Muon_{name}" for name in ("pt", "eta", "phi", "charge")]
    (batch,) = fj.iterate(real_data / "agc_open-data-example.root", branches, step=1_000_000)
    mass = fj.dimuon(batch.Muon, "opposite").mass.astype(float)
    for low, high, most in [(60, 120, None), (2.2, 4.2, None), (5, np.inf, None), (0, 16, None),
                            (8, 12, None), (5, 16, 60), (0.2, 2, None), (9.4, 9.5, 20)]:  # fmt: skip
        skim = mass[(mass > low) & (mass < high)][:most]
        found = scan_spectrum(skim, ScanSettings(toys=3), 1)
        write_json(tmp_path / "scan.json", found)
        found = json.loads((tmp_path / "scan.json").read_text())
        assert all(np.isfinite(peak["Z"]) for peak in found["peaks"])
        if (low, high) in ((60, 120), (0, 16)):
            assert found["peaks"]
        picture = local_significance(found)
        if most:  # the least that there may be to draw
            save(picture, tmp_path / f"{low}.png")
