"""Tree ensembles of unequal classes: they learn, take weights, forgive NaN, and repeat."""

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("xgboost")
pytest.importorskip("imblearn")

from imblearn.ensemble import EasyEnsembleClassifier
from sklearn.base import clone
from sklearn.ensemble import AdaBoostClassifier
from sklearn.metrics import balanced_accuracy_score
from sklearn.tree import DecisionTreeClassifier

from fastjag.models.boosted_trees import BoostedTrees
from fastjag.models.forests import (
    BalancedForest,
    BalancedSubsets,
    Forest,
    balanced_bagging,
    easy_ensemble,
    undersampling,
)
from fastjag.models.table_classifier import as_table

MODELS = {
    "forest": Forest(15, threads=1),
    "balanced forest": BalancedForest(15, threads=1),
    "XGBoost": BoostedTrees(25, threads=1),
    "undersampling": undersampling(trees=15, threads=1),
    "bagging": balanced_bagging(subsets=8),
    "EasyEnsemble": easy_ensemble(subsets=3, rounds=6),
}


def sample(n, seed=1, counts=(0.8, 0.15, 0.05)):
    """Three classes, 16 to 1, whose weights are ten times as unequal, with missing values."""
    rng = np.random.default_rng(seed)
    y = rng.choice(3, n, p=counts)
    x = rng.normal(size=(n, 4))
    x[:, 0] += 1.5 * y
    x[:, 1] += 1.5 * (y == 1)
    x[rng.random(n) < 0.2, 3] = np.nan
    return x, np.array(["p", "q", "r"])[y], np.array([1e-7, 1e-8, 1e-10])[y] * rng.gamma(4, 1, n)


@pytest.mark.parametrize("name", MODELS)
def test_learns_from_tiny_weights(name):
    x, y, w = sample(800)
    unseen, truth, _ = sample(800, seed=2)
    model = clone(MODELS[name]).fit(x, y, w)
    p = model.predict_proba(unseen)
    assert p.shape == (800, 3)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-12)
    assert model.classes_.tolist() == ["p", "q", "r"]
    assert balanced_accuracy_score(truth, model.predict(unseen)) > 0.6
    gain = model.feature_importances_
    assert gain.sum() == pytest.approx(1)
    assert gain[0] > gain[2]
    again = clone(MODELS[name]).fit(x, y, w).predict_proba(unseen)
    np.testing.assert_array_equal(p, again)
    other = clone(MODELS[name]).set_params(seed=1).fit(x, y, w).predict_proba(unseen)
    assert not np.array_equal(p, other)


@pytest.mark.parametrize("name", MODELS)
def test_weights_move_borders(name):
    """Where one class has two clusters, the one of larger weights decides."""
    rng = np.random.default_rng(5)
    x = np.concatenate([rng.normal(0, 1, 300), rng.normal(3, 1, 300), rng.normal(3, 1, 300)])
    y = np.repeat([0, 0, 1], 300)
    at = np.array([[3.0]])
    scores = []
    for second in (0.1, 10.0):
        w = np.repeat([1.0, second, 1.0], 300)
        scores.append(clone(MODELS[name]).fit(x[:, None], y, w).predict_proba(at)[0, 1])
    assert scores[0] > 0.6
    assert scores[1] < scores[0] - 0.1


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("weighted", [False, True])
def test_classes_are_balanced_once(name, weighted):
    """Noise of ten events to one: neither class is more probable than the other."""
    rng = np.random.default_rng(3)
    y = np.repeat([0, 1], [2000, 200])
    unseen = rng.normal(size=(1000, 3))
    w = np.where(y == 0, 1e-6, 1e-9) if weighted else None
    p = clone(MODELS[name]).fit(rng.normal(size=(2200, 3)), y, w).predict_proba(unseen)[:, 1]
    assert p.mean() < 0.55
    assert (p > 0.5).mean() < 0.6


def test_negative_weights_and_policies():
    x, y, w = sample(1200)
    w = w * np.where(np.random.default_rng(1).random(len(w)) < 0.25, -1, 1)
    for policy in ("abs", "clip", "drop"):
        for model in (BoostedTrees(20, negative=policy), BalancedSubsets(
            DecisionTreeClassifier(max_depth=3), 3, negative=policy
        )):  # fmt: skip
            p = model.fit(x, y, w).predict_proba(x)
            assert balanced_accuracy_score(y, model.classes_[p.argmax(axis=1)]) > 0.6
    with pytest.raises(ValueError, match="events have negative weights, the first is event"):
        Forest(5, negative="error").fit(x, y, w)


def test_without_weights_as_imbalanced_learn():
    """Ours with equal weights is EasyEnsemble."""
    x, y, _ = sample(1500)
    unseen, truth, _ = sample(1500, seed=2)
    x, unseen = np.nan_to_num(x), np.nan_to_num(unseen)
    boosted = AdaBoostClassifier(DecisionTreeClassifier(max_depth=2), n_estimators=10)
    theirs = EasyEnsembleClassifier(5, estimator=boosted, random_state=1).fit(x, y)
    ours = BalancedSubsets(boosted, 5, seed=1).fit(x, y)
    a, b = theirs.predict_proba(unseen), ours.predict_proba(unseen)
    assert balanced_accuracy_score(truth, ours.predict(unseen)) == pytest.approx(
        balanced_accuracy_score(truth, theirs.predict(unseen)), abs=0.03
    )
    assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.95


def test_missing_values_have_a_meaning():
    """The class is written in what is missing, and nowhere else."""
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(400, 2)), rng.integers(0, 2, 400)
    x[y == 1, 1] = np.nan
    for name, model in MODELS.items():
        assert (clone(model).fit(x, y).predict(x) == y).mean() > 0.95, name
    x[:, 0] = np.nan  # a column that is never there
    assert (Forest(10, threads=1).fit(x, y).predict(x) == y).all()


class TestErrors:
    def test_infinite_values_are_named(self):
        table = {"ht": [1.0, 2.0, 3.0], "m_jj": [1.0, np.nan, -np.inf]}
        with pytest.raises(ValueError, match=r"column 'm_jj' must be .*, got -inf in event 2"):
            Forest().fit(table, [0, 1, 0])
        with pytest.raises(ValueError, match=r"column 1 must be finite or NaN, got inf in event 0"):
            as_table(np.array([[1.0, np.inf]]))

    @pytest.mark.parametrize(
        ("x", "y", "message"),
        [
            (np.zeros(3), [0, 1, 0], "Expected 2D array, got 1D array"),
            (np.zeros((3, 1)), [0, 1], "X has 3 events, but y has 2"),
            ({"a": [1.0], "b": [1.0, 2.0]}, [0], "columns must have equal lengths, got"),
            (np.zeros((3, 1)), [0, 1, 1], "class needs two events .* class number 0 has 1"),
        ],
    )
    def test_wrong_shapes(self, x, y, message):
        with pytest.raises(ValueError, match=message):
            BoostedTrees().fit(x, y)

    def test_other_columns_than_learned(self):
        model = Forest(2, threads=1).fit(np.zeros((4, 2)), [0, 1, 0, 1])
        with pytest.raises(ValueError, match="X has 3 features, but Forest is expecting 2"):
            model.predict_proba(np.zeros((4, 3)))
