"""Classifiers as scikit-learn's users know them: names of columns, checks of X and y, NotFittedError."""

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastjag import Jagged
from fastjag.models.boosted_trees import BoostedTrees
from fastjag.models.deepsets import DeepSets
from fastjag.models.forests import BalancedForest, BalancedSubsets, Forest
from fastjag.models.particle_tensors import EventSets
from fastjag.models.weights import training_weights

TABLES = [
    Forest(trees=5, threads=1),
    BalancedForest(trees=5, threads=1),
    BalancedSubsets(DecisionTreeClassifier(min_samples_leaf=5), 3),
    BoostedTrees(rounds=5, threads=1),
]


def argued(estimator):
    """Checks of scikit-learn that do not hold here, each with its reason."""
    failing = {"check_supervised_y_2d": "y of shape (n, 1) is an error, not a warning"}
    if not isinstance(estimator, BalancedSubsets):
        failing["check_sample_weight_equivalence_on_dense_data"] = (
            "leaves are counted in events, whatever their weights, and the validation part is drawn"
        )
    return failing


class TestScikitLearn:
    @parametrize_with_checks(TABLES, expected_failed_checks=argued)
    def test_checks(self, estimator, check):
        check(estimator)


def swapped(columns):
    return {name: columns[name] for name in reversed(list(columns))}


@pytest.fixture(scope="module")
def events():
    rng = np.random.default_rng(3)
    y = rng.integers(0, 2, 600)
    return {"a": rng.normal(2 * y, 1), "b": rng.normal(0, 1, 600) + 5}, y


@pytest.fixture(params=TABLES, ids=lambda e: type(e).__name__)
def fitted(request, events):
    from sklearn.base import clone

    X, y = events
    return clone(request.param).fit(X, y)


class TestNames:
    def test_columns_of_a_dict_are_taken_by_name(self, fitted, events):
        X, y = events
        assert list(fitted.feature_names_in_) == ["a", "b"]
        assert fitted.n_features_in_ == 2
        assert (fitted.predict(X) == y).mean() > 0.8
        np.testing.assert_array_equal(fitted.predict_proba(swapped(X)), fitted.predict_proba(X))

    def test_columns_of_a_frame_come_in_their_order(self, fitted, events):
        X, _ = events
        np.testing.assert_array_equal(
            fitted.predict_proba(pd.DataFrame(X)), fitted.predict_proba(X)
        )
        with pytest.raises(ValueError, match="feature names should match"):
            fitted.predict(pd.DataFrame(swapped(X)))

    @pytest.mark.parametrize("kind", [dict, pd.DataFrame])
    @pytest.mark.parametrize("change", ["missing", "more", "renamed"])
    def test_other_names(self, fitted, events, kind, change):
        X = dict(events[0])
        b = X.pop("b")
        if change == "more":
            X |= {"b": b, "c": b}
        elif change == "renamed":
            X["B"] = b
        with pytest.raises(
            ValueError, match=r"names of columns are not|feature names should match"
        ):
            fitted.predict(kind(X))

    def test_a_frame_to_learn_from(self, events):
        X, y = events
        model = Forest(trees=5).fit(pd.DataFrame(X), y)
        assert list(model.feature_names_in_) == ["a", "b"]
        np.testing.assert_allclose(
            model.predict_proba(swapped(X)), model.predict_proba(X), rtol=1e-14
        )

    def test_names_that_were_never_learned(self, events):
        X, y = events
        model = Forest(trees=5).fit(np.column_stack(list(X.values())), y)
        assert not hasattr(model, "feature_names_in_")
        with pytest.raises(ValueError, match="Forest was fitted without"):
            model.predict(X)

    def test_a_second_fit_forgets(self, events):
        X, y = events
        model = Forest(trees=5).fit(X, y).fit(np.column_stack(list(X.values())), y)
        assert not hasattr(model, "feature_names_in_")

    def test_arrays_without_names_warn(self, fitted, events):
        with pytest.warns(UserWarning, match="does not have valid feature names"):
            fitted.predict(np.column_stack(list(events[0].values())))


X2 = np.arange(20.0).reshape(10, 2)
Y2 = np.arange(10) % 2


class TestInputs:
    @pytest.mark.parametrize(
        ("y", "message"),
        [
            (None, "requires y to be passed"),
            (np.linspace(0, 1, 10), "Unknown label type: continuous.*0.11.* for event 1"),
            (np.where(Y2 == 1, np.nan, 0.0), "y contains NaN, the first for event 1"),
            (np.where(Y2 == 1, np.inf, 0.0), "y contains infinity, the first for event 1"),
            (np.where(Y2 == 1, None, "a"), "y contains NaN, the first for event 1"),
            (Y2 + 1j, "y must hold classes, got dtype complex128"),
            (Y2.astype("M8[s]"), "y must hold classes, got dtype datetime64"),
            (Y2[:, None], r"y must have shape \(n,\), got \(10, 1\)"),
        ],
    )
    def test_what_is_no_class(self, y, message):
        with pytest.raises(ValueError, match=message):
            training_weights(y)
        for model in TABLES:
            with pytest.raises(ValueError, match=message):
                model.fit(X2, y)

    @pytest.mark.parametrize("y", [Y2, Y2 == 1, Y2.astype(float), np.array(["a", "b"])[Y2],
                                   np.array(["a", "b"], object)[Y2]])  # fmt: skip
    def test_what_is(self, y):
        assert len(training_weights(y).classes) == 2

    @pytest.mark.parametrize("X", [X2 + 1j, {"a": X2[:, 0] + 1j}, pd.DataFrame(X2 + 1j)])
    def test_complex_numbers(self, X):
        with pytest.raises(ValueError, match="Complex data not supported"):
            Forest().fit(X, Y2)

    def test_infinity_names_the_column(self):
        frame = pd.DataFrame({"a": X2[:, 0], "b": np.where(Y2 == 1, np.inf, 0)})
        with pytest.raises(ValueError, match="column b must be finite or NaN, got inf in event 1"):
            Forest().fit(frame, Y2)

    @pytest.mark.parametrize("model", TABLES, ids=lambda e: type(e).__name__)
    def test_not_fitted(self, model):
        with pytest.raises(NotFittedError):
            type(model)(**model.get_params(deep=False)).predict(X2)
        with pytest.raises(NotFittedError):
            DeepSets({"j": ["pt"]}).predict(SETS)


SETS = EventSets({"j": Jagged(np.arange(11), {"pt": np.arange(10.0) + 1})}, {})


class TestParameters:
    @pytest.mark.parametrize(
        ("name", "value", "message"),
        [
            ("epochs", 0, "epochs must be an integer >= 1, got 0"),
            ("patience", 0, "patience must be an integer >= 1, got 0"),
            ("batch_size", 0, "batch_size must be an integer >= 1, got 0"),
            ("learning_rate", 0.0, "learning_rate must be a positive number, got 0.0"),
            ("learning_rate", float("nan"), "learning_rate must be a positive number, got nan"),
            ("weight_decay", -1.0, "weight_decay must be a number >= 0, got -1.0"),
            ("validation", 1, "validation must be a share between 0 and 1"),
        ],
    )
    def test_deep_sets(self, name, value, message):
        with pytest.raises(ValueError, match=message):
            DeepSets({"j": ["pt"]}, **{name: value}).fit(SETS, Y2)

    @pytest.mark.parametrize("name", ["rounds", "early_stopping_rounds"])
    def test_boosted_trees(self, name):
        with pytest.raises(ValueError, match=f"^{name} must be an integer >= 1, got 0"):
            BoostedTrees(**{name: 0}).fit(X2, Y2)

    @pytest.mark.parametrize("model", TABLES, ids=lambda e: type(e).__name__)
    def test_no_events(self, model):
        with pytest.raises(ValueError, match=r"there are no events|minimum of 1 is required"):
            model.fit(np.zeros((0, 2)), np.zeros(0, int))


class TestValidationPart:
    def test_weights_of_zero_leave_a_loss(self):
        """9 of 10 events weigh nothing: drawn at random, the part often held only such."""
        rng = np.random.default_rng(1)
        y = np.arange(200) % 2
        X, w = rng.normal(y[:, None], 1, (200, 2)), (rng.random(200) < 0.1).astype(float)
        for seed in range(8):
            model = BoostedTrees(rounds=3, validation=0.05, seed=seed, threads=1).fit(X, y, w)
            assert np.isfinite(model.losses_["validation"]["mlogloss"]).all()

    def test_too_few_of_them(self):
        w = np.where(np.arange(10) < 3, 1.0, 0.0)
        with pytest.raises(ValueError, match="weights above 0; class number 1 has 1"):
            BoostedTrees().fit(X2, Y2, w)
