"""DeepSets of jets: batches are put together of the table, and what is kept gives the scores again."""

import pickle

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from fastjag.analyses.jets import tagging
from fastjag.analyses.jets.config import TrainConfig
from fastjag.analyses.jets.results import SHAPES, JetTable
from fastjag.analyses.jets.train import train

SLOTS = 8


@pytest.fixture(scope="module")
def table():
    """Quarks, gluons and a few others; gluons have more candidates, farther from the axis."""
    rng = np.random.default_rng(1)
    n = 1500
    flavour = rng.choice([1, 21, 0], n, p=[0.2, 0.75, 0.05])
    gluon = flavour == 21
    counts = 3 + rng.poisson(2 + 3 * gluon)
    mask = np.arange(10) < counts[:, None]
    far = rng.normal(0, 0.1 + 0.1 * gluon[:, None], (n, 10))
    columns = {
        "fj_parton_flavour": flavour, "fj_pt": rng.exponential(50, n) + 30, "n_pfcands": counts,
        "pfcand_pt": np.where(mask, 1, 0), "pfcand_delta_eta": np.where(mask, far, 0).astype("f4"),
        "pfcand_charge": np.where(mask, rng.integers(-1, 2, (n, 10)), 0).astype("f4"),
        **{f"fj_{name}": rng.normal(size=n).astype("f4") for name in SHAPES},
    }  # fmt: skip
    columns["fj_girth"][3] = np.nan
    return JetTable(columns, "t")


def test_scores_and_records(table):
    config = TrainConfig(models=("DeepSets",), epochs=4, slots=SLOTS)
    result = train(table, config, progress=False)
    known = result.models["DeepSets"]
    assert known["auc"] > 0.65
    assert len(known["losses"]["validation"]) == 4
    assert known["features"] == ["pfcand_delta_eta", "pfcand_charge", *(f"fj_{n}" for n in SHAPES)]
    rows, labels = tagging.labels_of(table, "quark")
    held = tagging.held_out(JetTable({n: v[rows] for n, v in table.columns.items()}, "t"), 0.25, 0)
    model = pickle.loads(pickle.dumps(known["model"]))
    np.testing.assert_array_equal(model.predict_proba(table, rows[held])[:, 1], known["scores"])
    np.testing.assert_array_equal(labels[held], result.labels)
    assert known["batches"]["n_events"] == pytest.approx(0.8 * (~held).sum(), abs=1)
    assert known["batches"]["seed"] == 0
    again = train(table, config, progress=False).models["DeepSets"]
    np.testing.assert_array_equal(again["scores"], known["scores"])


def test_numbers_are_those_of_the_table(table):
    from fastjag.analyses.jets.deep_sets import SlotTensor

    tensor = SlotTensor.of(table, "pfcand", SLOTS)
    values, mask, _ = table.tensor("pfcand", SLOTS)
    at = np.array([7, 3, 1000])
    np.testing.assert_array_equal(tensor.take(at, 0), np.where(mask[at][..., None], values[at], 0))
    rows = np.arange(0, 1500, 2)
    standard = tensor.fit(rows)
    given = standard.take(rows, 0)[standard.mask(rows)].astype(float)
    np.testing.assert_allclose(given.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(given.std(axis=0), 1, atol=1e-4)
    assert SlotTensor.of(table, "pfcand", None).shape == (1500, 10, 2)


def test_numbers_that_are_not_finite():
    from fastjag.analyses.jets.deep_sets import SlotTensor

    values = np.ones((4, 3), np.float32)
    values[2, 1] = np.nan
    columns = {"pfcand_charge": values, "n_pfcands": np.array([3, 1, 1, 3])}
    table = JetTable(columns, "t")
    assert SlotTensor.of(table, "pfcand", 9).shape == (4, 3, 1)  # an empty slot
    columns["n_pfcands"][2] = 2
    with pytest.raises(
        ValueError, match="t: column 'pfcand_charge' must be finite, got nan in jet 2"
    ):
        SlotTensor.of(table, "pfcand", 9)
