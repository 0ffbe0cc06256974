"""The stage "flow": what is out of range is dropped and said, a control without pairs left out."""

import json
from dataclasses import replace

import numpy as np
import pytest
from search_samples import CONFIG, toy_pairs

pytest.importorskip("torch")

from fastjag.analyses.common.tables import write_parquet
from fastjag.analyses.dimuon.config import FlowSection
from fastjag.analyses.dimuon.flow import flow
from fastjag.analyses.dimuon.report import _dropped_table
from fastjag.analyses.dimuon.results import DimuonResults
from fastjag.reporting.report import Report


def search(folder, other):
    """A search whose first stage left toys as OS and ``other`` as SS."""
    (folder / "prepare").mkdir()
    for name, events in (("OS", toy_pairs(n=600)), ("SS", other)):
        columns = {"dimu_mass": events.mass, **events.features}
        write_parquet(folder / "prepare" / f"{name}.parquet", columns)
    settings = FlowSection(preset="fast", settings={"epochs": 1, "hidden": [4]})
    return DimuonResults(replace(CONFIG, flow=settings), folder, progress=False)


def test_what_is_out_of_range_is_reported(tmp_path):
    other = toy_pairs(2, n=300)
    other.features["dimu_pt"][:3] = 1e4
    other.features["mu0_ip3d"][2:4] = np.nan
    results = search(tmp_path, other)
    flow(results)
    dropped = json.loads((tmp_path / "flow" / "training.json").read_text())["dropped"]
    assert dropped["OS"] == {}
    pairs, _ = results.preprocessed["SS"]
    assert dropped["SS"]["dimu_pt"] >= 3
    assert dropped["SS"]["mu0_ip3d"] >= 2
    total = sum(dropped["SS"].values())
    assert total - 5 <= 300 - len(pairs) < total  # one of them for two reasons
    page = Report("a search")
    _dropped_table(page, dropped)
    page.write(tmp_path / "page.html", "")
    cells = f"<td>SS</td><td>dimu_pt</td><td>{dropped['SS']['dimu_pt']}</td>"
    assert cells in "".join((tmp_path / "page.html").read_text().split("\n"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda e: e[:0], "none of 0 pairs has a mass between 5 and 16 GeV"),
        (lambda e: e[~e.sideband], "SS pairs: no pair has a mass in the sidebands, 5.16 to 9 and"),
        (lambda e: replace(e, features={k: v * np.nan for k, v in e.features.items()}),
         "SS pairs: none in the window has numbers in range in every feature"),
    ],
)  # fmt: skip
def test_a_control_without_pairs_is_left_out(tmp_path, change, message):
    results = search(tmp_path, change(toy_pairs(2, n=300)))
    flow(results)
    assert results.classes == ("OS",)
    assert results.left_out()["SS"].startswith(message)
    # What is learned from must be there, which is found out before the training.
    other = replace(results, config=replace(results.config, train_on="SS"))
    with pytest.raises(ValueError, match=r"none of 0 pairs|left sideband|none in the window"):
        flow(other)
