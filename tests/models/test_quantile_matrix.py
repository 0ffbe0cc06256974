"""Quantised matrices of batches: the same trees as of the table, and what is passed through."""

import numpy as np
import pytest

xgboost = pytest.importorskip("xgboost")
pytest.importorskip("sklearn")

from fastjag.models.boosted_trees import read_booster, train_booster
from fastjag.models.quantile_matrix import TableBatch, quantile_matrix

NAMES = ["a", "Jet_eta - Jet_eta(0)", "c"]


def table_of(n=3000, seed=1):
    rng = np.random.default_rng(seed)
    table = rng.normal(size=(n, 3)).astype("f4")
    table[rng.random((n, 3)) < 0.1] = np.nan
    label = (np.nan_to_num(table[:, 0]) + rng.normal(size=n) > 0).astype("f4")
    return table, label, rng.random(n).astype("f4")


def cut(table, label, weight, size, passes):
    def batches():
        passes.append(1)
        for start in range(0, len(table), size):
            some = slice(start, start + size)
            yield TableBatch(table[some], label[some], weight[some])

    return batches


def trees(matrix, max_bin=32):
    return train_booster(matrix, 8, 2, seed=1, threads=1, max_depth=3, max_bin=max_bin)


@pytest.mark.parametrize("size", [3000, 700])
def test_same_trees_as_of_the_table(size):
    table, label, weight = table_of()
    passes = []
    matrix = quantile_matrix(cut(table, label, weight, size, passes), NAMES, max_bin=32, threads=1)
    assert (matrix.num_row(), matrix.num_col()) == table.shape
    assert matrix.feature_names == NAMES
    np.testing.assert_array_equal(matrix.get_label(), label)
    np.testing.assert_array_equal(matrix.get_weight(), weight)
    whole = xgboost.QuantileDMatrix(
        table, label, weight=weight, feature_names=NAMES, max_bin=32, nthread=1
    )
    found, expected = trees(matrix), trees(whole)
    if size == len(table):
        assert found.get_dump() == expected.get_dump()
    probe = xgboost.DMatrix(table, feature_names=NAMES)
    np.testing.assert_allclose(found.predict(probe), expected.predict(probe), atol=0.05)
    assert len(passes) > 1


@pytest.mark.skipif(not hasattr(xgboost, "ExtMemQuantileDMatrix"), reason="XGBoost before 3.0")
def test_bins_on_disk(tmp_path):
    table, label, weight = table_of()
    batches = cut(table, label, weight, 700, [])
    there = quantile_matrix(batches, NAMES, max_bin=32, cache=tmp_path / "bins", threads=1)
    assert list(tmp_path.iterdir())
    here = quantile_matrix(batches, NAMES, max_bin=32, threads=1)
    assert trees(there).get_dump() == trees(here).get_dump()


def test_bins_of_the_training(tmp_path):
    table, label, weight = table_of()
    train = quantile_matrix(cut(table, label, weight, 700, []), NAMES, threads=1)
    other = table_of(seed=2)
    valid = quantile_matrix(cut(*other, 500, []), NAMES, ref=train, threads=1)
    losses = {}
    train_booster(train, 5, 2, seed=1, threads=1, evals=[(valid, "v")], evals_result=losses)
    assert losses["v"]["mlogloss"][-1] < losses["v"]["mlogloss"][0]


def test_errors_of_batches_are_raised():
    def batches():
        yield TableBatch(np.zeros((3, 3), "f4"))
        raise OSError("a.root: is gone")

    with pytest.raises(OSError, match=r"a\.root: is gone"):
        quantile_matrix(batches, NAMES)
    with pytest.raises(ValueError, match="the batch has 2 columns, names are 3"):
        quantile_matrix(lambda: iter([TableBatch(np.zeros((3, 2), "f4"))]), NAMES)
    with pytest.raises(ValueError, match="max_bin"):
        quantile_matrix(batches, NAMES, max_bin=1)


def test_its_own_file(tmp_path):
    table, label, weight = table_of()
    matrix = quantile_matrix(cut(table, label, weight, 700, []), NAMES, threads=1)
    booster = trees(matrix, 256)
    booster.save_model(tmp_path / "trees.json")
    again = read_booster(tmp_path / "trees.json")
    probe = xgboost.DMatrix(table, feature_names=NAMES)
    np.testing.assert_array_equal(again.predict(probe), booster.predict(probe))
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(ValueError, match=r"other\.json: holds no model of XGBoost"):
        read_booster(tmp_path / "other.json")
