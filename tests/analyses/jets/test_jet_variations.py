"""Variations of jets by keys, against shapes of jets that were changed."""

from dataclasses import replace

import numpy as np
import pytest
from correction_files import binning, category, correction
from correction_files import write as write_corrections
from jet_samples import events_file, jet_folder, rows_file  # noqa: F401

pytest.importorskip("hist")
pytest.importorskip("correctionlib")

from fastjag.analyses.common.variations import VariationSettings
from fastjag.analyses.jets.config import JetsConfig, JetSelection
from fastjag.analyses.jets.reading import JetFormat, JetReader
from fastjag.analyses.jets.shapes import shapes
from fastjag.analyses.jets.variations import OBSERVABLES, branches, section
from fastjag.reporting.report import Report

SCALE = VariationSettings(name="jet scale", column="Jet_pt", relative=0.05)
SELECTION = JetSelection(min_pt=60)


@pytest.mark.parametrize("kind", ["rows_file", "events_file"])
def test_a_scale_is_shapes_of_other_jets(kind, request, tmp_path, monkeypatch):
    path = request.getfixturevalue(kind)
    table = {
        side: binning("pt", [0.0, 100.0, 200.0], [f, f]) for side, f in (("up", 1.5), ("down", 0.5))
    }
    write_corrections(tmp_path / "sf.json", [correction("sf", category("systematic", **table), pt="real", systematic="string")])  # fmt: skip
    factor = VariationSettings(name="factor", file=str(tmp_path / "sf.json"), correction="sf", up="up", down="down")  # fmt: skip
    event = VariationSettings(name="number", up="event")
    config = JetsConfig(selection=SELECTION, variations=(SCALE, factor, event))
    reader = JetReader(str(path), SELECTION, extra=branches(config.variations))
    result = shapes(reader, variations=config.variations)
    varied = result.varied.histograms
    assert [*varied["pt all"].axes[0]] == ["nominal", "factor up", "factor down", "number up",
                                           "jet scale up", "jet scale down"]  # fmt: skip
    for name in OBSERVABLES:
        for flavour, h in result.histograms[name].items():
            own = varied[f"{name} {flavour}"]
            np.testing.assert_array_equal(own["nominal", :].values(flow=True), h.values(flow=True))
            np.testing.assert_allclose(own["factor up", :].values(), 1.5 * h.values(), rtol=1e-12)
    assert result.varied.outside["sf: pt above"] > 0
    every = JetFormat.every

    def scaled(form, batch):
        jets = every(form, batch)
        return replace(jets, jets={**jets.jets, "pt": jets.jets["pt"] * np.float32(1.05)})

    monkeypatch.setattr(JetFormat, "every", scaled)
    other = shapes(JetReader(str(path), SELECTION))
    for name in OBSERVABLES:
        for flavour, h in other.histograms[name].items():
            up = varied[f"{name} {flavour}"]["jet scale up", :]
            np.testing.assert_allclose(up.values(flow=True), h.values(flow=True), rtol=1e-12)
    page = Report("x")
    section(page, result.varied.record())
    page.write(tmp_path / "x.html", "")
    text = (tmp_path / "x.html").read_text()
    for word in ("jet scale down", "charged_multiplicity", "sf: pt above"):
        assert word in text


@pytest.mark.parametrize(
    ("variation", "message"),
    [
        (VariationSettings(name="a", column="Jet_eta", relative=0.1), "column must be Jet_pt or Jet_mass"),
        (VariationSettings(name="a", file="x.json", correction="c", particles="Jet", up="up"), "leave particles out"),
    ],
)  # fmt: skip
def test_what_is_no_variation_of_jets(variation, message):
    with pytest.raises(ValueError, match=message):
        branches([variation])
