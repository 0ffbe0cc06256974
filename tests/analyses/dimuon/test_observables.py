"""The hardest jet of the search is that of largest pt, whatever the order in which jets are stored."""

import numpy as np
import pytest

from fastjag.analyses.dimuon.config import DimuonConfig
from fastjag.analyses.dimuon.observables import JET, pair_columns
from fastjag.jagged import Jagged


@pytest.fixture
def events():
    """Three events with a pair and jets in random order, one without jets, one without a pair."""
    rng = np.random.default_rng(3)
    muons = Jagged([0, 2, 4, 6, 8, 9], {
        **{c: rng.uniform(0.1, 2, 9).astype(np.float32) for c in ("eta", "phi")},
        "pt": np.linspace(50, 20, 9, dtype=np.float32), "charge": np.tile([1, -1, 1], 3),
    })  # fmt: skip
    counts = [3, 5, 0, 2, 4]
    n = sum(counts)
    jets = {branch: rng.normal(size=n).astype(np.float32) for branch in JET.values()}
    jets["pt"] = rng.permutation(np.arange(20, 20 + n)).astype(np.float32)
    return muons, Jagged.from_counts(counts, jets)


def test_hardest_is_by_pt(events):
    muons, jets = events
    _, columns = pair_columns(muons, jets, np.ones(9, bool))
    assert columns["n_jets"].tolist() == [3, 5, 0, 2]
    for i, event in enumerate(columns["event"]):
        own = slice(*jets.offsets[event : event + 2])
        for name, branch in JET.items():
            found = columns[f"hardest_jet_{name}"][i]
            if own.start == own.stop:
                assert np.isnan(found)
            else:
                assert found == jets[branch][own][jets["pt"][own].argmax()]
    turn = columns["dimu_phi"] - columns["hardest_jet_phi"]
    delta_phi = np.arctan2(np.sin(turn), np.cos(turn))
    delta_eta = columns["dimu_eta"] - columns["hardest_jet_eta"]
    np.testing.assert_allclose(columns["dimujet_deltaR"], np.hypot(delta_eta, delta_phi), rtol=1e-5)


def test_convention_of_the_published_analysis(events):
    muons, jets = events
    _, columns = pair_columns(muons, jets, np.ones(9, bool), hardest_jet="first")
    first = jets.offsets[:-1][columns["event"]]
    for name, branch in JET.items():
        found = columns[f"hardest_jet_{name}"]
        assert np.isnan(found[2])
        has = [0, 1, 3]
        np.testing.assert_array_equal(found[has], jets[branch][first[has]])
    # In this order it makes a difference.
    _, by_pt = pair_columns(muons, jets, np.ones(9, bool))
    assert (by_pt["hardest_jet_pt"][has] > columns["hardest_jet_pt"][has]).any()


def test_without_pt_nothing_tells_which_is_hardest(events):
    muons, jets = events
    jets = jets[["eta", "phi"]]
    _, columns = pair_columns(muons, jets, np.ones(9, bool))
    assert all(np.isnan(columns[f"hardest_jet_{name}"]).all() for name in JET)
    assert columns["n_jets"].tolist() == [3, 5, 0, 2]
    _, columns = pair_columns(muons, jets, np.ones(9, bool), hardest_jet="first")
    assert np.isfinite(columns["hardest_jet_eta"][[0, 1, 3]]).all()


def test_configuration(tmp_path):
    text = """
[input]
files = "a.root"
{input}
[analysis_keywords]
features = "all"
[feature_sets]
all = ["hardest_jet_pt"]
[window_definitions.upsilon]
SB_left = 5.0
SR_left = 9.0
SR_right = 10.6
SB_right = 16.0
"""
    for given, expected in (("", "pt"), ('hardest_jet = "first"', "first")):
        (tmp_path / "c.toml").write_text(text.format(input=given))
        assert DimuonConfig.read(tmp_path / "c.toml").hardest_jet == expected
    for wrong in ('"second"', "5", "[1]"):
        (tmp_path / "c.toml").write_text(text.format(input=f"hardest_jet = {wrong}"))
        with pytest.raises(ValueError, match=r"c.toml: input.hardest_jet must be 'pt' or 'first'"):
            DimuonConfig.read(tmp_path / "c.toml")
