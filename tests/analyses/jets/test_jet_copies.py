"""Copies of events say whose they are, and no split puts two of them on different sides."""

import numpy as np
import pytest
import uproot
from jet_samples import FEW, events_file, jet_folder, tiny_events, write_tiny  # noqa: F401

from fastjag.analyses.jets import tagging
from fastjag.analyses.jets.config import JetSelection, TensorsConfig, TrainConfig
from fastjag.analyses.jets.ntuple import to_jetntuple
from fastjag.analyses.jets.reading import JetReader
from fastjag.analyses.jets.results import JetTable, read_tensors
from fastjag.analyses.jets.tensors import tensors
from fastjag.analyses.jets.train import train
from fastjag.io.files import ReadError
from fastjag.models.weights import hold_out
from fastjag.toys.jetfiles import write_jets


def test_branches(events_file, tmp_path):  # noqa: F811
    """In small batches, with several files: numbers of copies are never those of other events."""
    path = to_jetntuple(events_file, tmp_path / "c.root", copies=3, seed=1, step=11)
    with uproot.open(path) as file:
        rows = file["AK4jets/jetTree"].arrays(["event", "originEvent", "run", "lumi", "jetPt"],
                                              library="np")  # fmt: skip
    events = {
        (e, o) for e, o in zip(rows["event"].tolist(), rows["originEvent"].tolist(), strict=True)
    }
    assert len(events) == len({e for e, _ in events})
    assert all(e % 2**48 == o for e, o in events)
    numbers, counts = np.unique([o for _, o in events], return_counts=True)
    assert set(counts) == {3}
    with uproot.open(events_file) as file:
        assert set(numbers) <= set(file["Events"]["event"].array(library="np").tolist())
    # Copies have the same jets.
    for number in numbers[:20]:
        mine = rows["originEvent"] == number
        pts = [sorted(rows["jetPt"][mine & (rows["event"] == e)].tolist())
               for e in np.unique(rows["event"][mine])]  # fmt: skip
        assert pts[0] == pts[1] == pts[2]


def test_tensors_carry_the_origin(events_file, tmp_path):  # noqa: F811
    path = to_jetntuple(events_file, tmp_path / "c.root", copies=4, seed=1)
    tensors(JetReader(path), tmp_path / "t")
    copied = read_tensors(tmp_path / "t")
    tensors(JetReader(events_file, JetSelection(min_pt=30, max_abs_eta=2.5)), tmp_path / "p")
    plain = read_tensors(tmp_path / "p")
    np.testing.assert_array_equal(plain["origin"], plain["event"])
    assert set(copied["origin"].tolist()) <= set(plain["origin"].tolist())
    held = tagging.held_out(copied, 0.3, 5)
    assert 0.2 < held.mean() < 0.4
    assert not set(copied["origin"][held]) & set(copied["origin"][~held])
    assert set(tagging.origins(copied)[1]) == {4}
    assert set(tagging.origins(plain)[1]) == {1}


def test_origins_by_hand():
    table = JetTable(
        {name: np.array(x, np.uint64) for name, x in {
            "run": [1, 1, 2, 1, 1, 1], "lumi": [1, 1, 1, 1, 2, 1],
            "event": [7, 2**48 + 7, 7, 7, 7, 2**50 + 7], "origin": [7] * 6,
        }.items()}, "t",
    )  # fmt: skip
    group, copies = tagging.origins(table)
    assert group.tolist() == [0, 0, 1, 0, 2, 0]
    assert copies.tolist() == [3, 3, 1, 3, 1, 3]
    plain = JetTable({n: v for n, v in table.columns.items() if n != "origin"}, "t")
    group, copies = tagging.origins(plain)
    assert group.tolist() == [0, 1, 2, 0, 3, 4]
    assert copies.tolist() == [1] * 6
    nameless = JetTable({"run": table["run"], "event": table["event"]}, "t")
    assert tagging.origins(nameless)[0].tolist() == [0, 1, 2, 3, 4, 5]


def test_copies_teach_nothing(jet_folder, tmp_path):  # noqa: F811
    """Labels at random: an AUC of 1/2, however many copies; split by copies it would be near 1."""
    path = write_jets(jet_folder / "few.root", 300, seed=9, format="pfnano", parameters=FEW,
                      compression="none")  # fmt: skip
    copied = to_jetntuple(path, tmp_path / "c.root", copies=15, seed=2, compression="none")
    tensors(JetReader(copied), tmp_path / "t", TensorsConfig(candidates=12, tracks=2, vertices=1))
    table = read_tensors(tmp_path / "t")
    columns = dict(table.columns)
    # Of a jet and all its copies: by a number that they share.
    rng = np.random.default_rng(4)
    _, jet = np.unique(columns["fj_pt"], return_inverse=True)
    columns["fj_hadron_flavour"] = np.zeros(len(table), np.int32)
    columns["fj_parton_flavour"] = rng.choice([1, 21], jet.max() + 1)[jet]
    result = train(JetTable(columns, "t"), TrainConfig(models=("XGBoost",), rounds=60), threads=1)
    found = result.models["XGBoost"]
    # The error knows that there are 300 jets, not 4,500.
    assert 0.05 < found["auc_error"] < 0.15
    assert abs(found["auc"] - 0.5) < 3.5 * found["auc_error"]
    del columns["origin"]
    mixed = train(JetTable(columns, "t"), TrainConfig(models=("XGBoost",), rounds=60), threads=1)
    assert mixed.models["XGBoost"]["auc"] > 0.95


def test_error_of_copies():
    """That of the jets without their copies."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 400)
    scores, weights = rng.normal(labels, 1.5), rng.random(400)
    once = tagging.roc(scores, labels, weights)
    ten = [np.repeat(x, 10) for x in (scores, labels, weights)]
    copies = tagging.roc(*ten, np.full(4000, 10))
    assert copies["auc"] == pytest.approx(once["auc"])
    assert copies["auc_error"] == pytest.approx(once["auc_error"])
    assert tagging.roc(*ten)["auc_error"] == pytest.approx(once["auc_error"] / 10**0.5, rel=0.02)


def test_errors(events_file, tmp_path):  # noqa: F811
    for copies in (0, 2**15 + 1, True, 1.5):
        with pytest.raises(ValueError, match="copies must be"):
            to_jetntuple(events_file, tmp_path / "c.root", copies=copies)
    jets = tiny_events()["Jet"]
    path = write_tiny(
        tmp_path / "t.root", Jet=jets.with_columns(area=jets["pt"], rawFactor=jets["pt"] * 0), event=np.array([2**48, 1], np.uint64), run=np.ones(2, np.uint32),
        luminosityBlock=np.ones(2, np.uint32),
    )  # fmt: skip
    with pytest.raises(ReadError, match=r"t.root.*: event numbers must be below 2\^48"):
        to_jetntuple(path, tmp_path / "c.root")


def test_validation_keeps_copies_together():
    """The part that ends training early holds no copies of what is trained on."""
    rng = np.random.default_rng(5)
    group = rng.integers(0, 60, 900)
    codes, weights = (group % 3).astype(np.int64), rng.random(900)
    held = hold_out(codes, 0.2, np.random.default_rng(1), weights, group + 7)
    assert 0.1 < held.mean() < 0.3
    assert not set(group[held]) & set(group[~held])
    assert set(codes[held]) == set(codes[~held]) == {0, 1, 2}
    again = hold_out(codes, 0.2, np.random.default_rng(1), weights, group + 7)
    np.testing.assert_array_equal(held, again)
    with pytest.raises(ValueError, match="3 groups cannot be split so that both parts have events"):
        hold_out(codes, 0.2, np.random.default_rng(1), weights, codes)


def test_models_are_told(monkeypatch):
    """Both hand their groups on, of the events that they train on."""
    from fastjag.models import boosted_trees, deepsets

    seen = []

    def part(codes, share, rng, weights, groups=None):
        seen.append(groups)
        raise StopIteration

    rng = np.random.default_rng(6)
    y, w, group = rng.integers(0, 2, 50), rng.normal(1, 1, 50), np.arange(50) // 2
    monkeypatch.setattr(boosted_trees, "hold_out", part)
    monkeypatch.setattr(deepsets, "hold_out", part)
    with pytest.raises(StopIteration):
        boosted_trees.BoostedTrees(rounds=5, negative="drop").fit(rng.random((50, 2)), y, w, group)
    with pytest.raises(StopIteration):
        deepsets.DeepSets({"a": ("pt",)}, (), negative="drop").fit({}, y, w, groups=group)
    for groups in seen:
        np.testing.assert_array_equal(groups, group[w >= 0])
