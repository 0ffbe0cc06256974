"""The look-elsewhere effect over all that was tried: two null searches that train again."""

import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("xgboost")

from fastjag.analyses.dimuon.config import ClassifierSection, FlowSection
from fastjag.analyses.dimuon.elsewhere import largest_Z, look_elsewhere, toy_nulls
from fastjag.analyses.dimuon.inference_report import everything_tried
from fastjag.analyses.dimuon.results import DimuonResults
from fastjag.analyses.dimuon.toys import CONFIG, FITS, search_pairs, toy_events

SMALL = replace(
    CONFIG, features=("dimu_pt", "mu0_ip3d"),
    significance=replace(FITS, degree=2, degrees=(2,), rates=(1.0, 0.3, 0.1)),
    flow=FlowSection(preset="fast", seeds=(1,), settings={"epochs": 1, "hidden": [8]}),
    classifier=ClassifierSection(preset="fast", settings={"members": 1, "rounds": 5}),
)  # fmt: skip
EVENTS = 10_000


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("search")
    return search_pairs(toy_events(EVENTS, signal=200, seed=1), SMALL, folder / "search")


def test_two_null_searches(searched, tmp_path):
    nulls = toy_nulls(EVENTS, seed=50)
    record = look_elsewhere([searched], nulls, 2, keep=tmp_path / "kept")
    assert record["Z"] == largest_Z(searched.significance, "OS")
    assert record["p_global"] == pytest.approx((record["above"] + 1) / 3)
    assert record["above"] == (record["maxima"] >= record["Z"]).sum()
    # Each is the search of its own toys, trained with seeds of its own.
    one = replace(SMALL, seed=1)
    again = search_pairs(nulls(1, one), one, tmp_path / "again")
    assert record["maxima"][1] == pytest.approx(largest_Z(again.significance, "OS"), abs=1e-9)
    kept = json.loads((searched.folder("elsewhere") / "elsewhere.json").read_text())
    assert searched.elsewhere == kept
    assert "2 searches of data without a signal" in everything_tried(kept)
    # The same call goes on with what is kept: nothing is searched again.
    files = {
        p: p.stat().st_mtime_ns for p in (tmp_path / "kept").rglob("*") if "status" not in p.name
    }
    more = look_elsewhere([searched], nulls, 2, keep=tmp_path / "kept")
    np.testing.assert_array_equal(more["maxima"], record["maxima"])
    assert {p: p.stat().st_mtime_ns for p in files if p.is_file()} == {
        p: time for p, time in files.items() if p.is_file()
    }
    assert len(files) >= 2


def test_what_is_wrong_is_said_first(searched):
    with pytest.raises(ValueError, match="experiments"):
        look_elsewhere([searched], toy_nulls(10), 0)
    with pytest.raises(ValueError, match="at least one search"):
        look_elsewhere([], toy_nulls(10), 1)


def test_the_largest_is_of_features_cuts_and_reweighting():
    record = {
        "table": [{"pairs": "OS", "selection": "best cut", "Z": 1.0}, {"pairs": "SS", "selection": "best cut", "Z": 9.0}],
        "OS": {"curves": {"classifier": {"Z": [0.5, 7.0]}, "random": {"Z": [8.0]}}, "reweighted": {"Z": 2.0}},
    }  # fmt: skip
    assert largest_Z(record, "OS") == 2.0


def test_nothing_was_asked_for(tmp_path):
    assert DimuonResults(SMALL, tmp_path).elsewhere is None
