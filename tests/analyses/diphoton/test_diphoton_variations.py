"""Variations of the diphoton selection by keys, against the selection itself."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fastjag.analyses.common.variations import VariationSettings
from fastjag.analyses.diphoton import samples
from fastjag.analyses.diphoton.config import DiphotonConfig, SelectionSettings
from fastjag.analyses.diphoton.results import DiphotonResults
from fastjag.analyses.diphoton.run import run, settings_of
from fastjag.analyses.diphoton.variations import section, variations
from fastjag.reporting.report import Report

pytest.importorskip("pyarrow")

SAMPLE = Path(samples.__file__).parent / "sample"
CONFIG = DiphotonConfig(
    classes={"gg": (str(SAMPLE / "ggH125_gamgam.root"),), "VBF": (str(SAMPLE / "VBFH125_gamgam.root"),)}
)  # fmt: skip
SCALE = VariationSettings(name="photon scale", column="Photon_pt", relative=0.01)
PILEUP = VariationSettings(name="pileup", nominal="scaleFactor_PILEUP", up="event")
VARIED = replace(CONFIG, variations=(SCALE, PILEUP))


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    results = DiphotonResults(VARIED, tmp_path_factory.mktemp("varied"))
    variations(results, progress=False)
    return results


def test_nominal_is_the_selection(found, tmp_path):
    record = found.variations()
    assert record["names"] == ["nominal", "pileup up", "photon scale up", "photon scale down"]
    selected = run(CONFIG, tmp_path, ["select"], progress=False).selected()
    for i, label in enumerate(("gg", "VBF")):
        own = selected.flat["label"] == i
        h = record["histograms"][label]
        expected, _ = np.histogram(selected.flat["m_yy"][own], h["edges"], weights=selected.flat["weight"][own])  # fmt: skip
        np.testing.assert_allclose(h["values"][0][1:-1], expected, rtol=1e-9, atol=1e-12)
        # The factors of pileup are 1 in this sample: up has the events' numbers instead.
        weights = (selected.flat["weight"] * selected.flat["event"])[own]
        expected, _ = np.histogram(selected.flat["m_yy"][own], h["edges"], weights=weights)
        np.testing.assert_allclose(h["values"][1][1:-1], expected, rtol=1e-9)


def test_a_scale_of_both_photons_moves_the_mass(found):
    """Cuts on pt over mass do not change, that on pt does for few."""
    record = found.variations()
    h = record["histograms"]["gg"]
    edges = np.array(h["edges"])
    middle = (edges[1:] + edges[:-1]) / 2
    means = [np.average(middle, weights=np.array(v)[1:-1]) for v in h["values"]]
    assert means[2] - means[0] == pytest.approx(1.25, abs=0.15)
    assert means[3] - means[0] == pytest.approx(-1.25, abs=0.15)


def test_the_section_shows_them(found, tmp_path):
    page = Report("x")
    section(page, found.variations())
    page.write(tmp_path / "x.html", "")
    text = (tmp_path / "x.html").read_text()
    assert "photon scale down" in text
    assert "GeV)" in text


def test_models_do_not_depend_on_them():
    for stage in ("select", "features", "train"):
        assert settings_of(VARIED, stage) == settings_of(CONFIG, stage)
    assert settings_of(VARIED, "variations") != settings_of(CONFIG, "variations")


@pytest.mark.parametrize(
    ("variation", "message"),
    [
        (VariationSettings(name="a", column="Jet_pt", relative=0.1), "one of photons, such as Photon_pt"),
        (VariationSettings(name="a", nominal="w", up="x"), "must be a factor of the weight"),
    ],
)  # fmt: skip
def test_what_is_wrong(tmp_path, variation, message):
    with pytest.raises(ValueError, match=message):
        variations(DiphotonResults(replace(CONFIG, variations=(variation,)), tmp_path))


def test_real_data_have_none(tmp_path):
    files = CONFIG.classes["gg"]
    config = replace(VARIED, background={"data": files}, selection=SelectionSettings())
    results = DiphotonResults(replace(config, variations=()), tmp_path)
    variations(results, progress=False)
    assert results.variations() == {}
