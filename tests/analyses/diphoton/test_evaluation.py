"""Figures of merit against plain formulas, and the comparison of all models."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("torch")
pytest.importorskip("sklearn")
pytest.importorskip("xgboost")
pytest.importorskip("imblearn")
pytest.importorskip("mplhep")

from diphoton_samples import CLASSES, events, table
from sklearn import metrics

from fastjag.analyses.diphoton import comparison, evaluation
from fastjag.analyses.diphoton.comparison_pages import (
    add_comparison,
    class_table,
    significance_table,
    summary_table,
)
from fastjag.analyses.diphoton.config import SAMPLE
from fastjag.analyses.diphoton.evaluation import (
    balanced_accuracy,
    category_significance,
    confusion,
    evaluate,
    mean_and_error,
    purities,
    recalls,
    reliability,
    roc,
    stratified_folds,
)
from fastjag.analyses.diphoton.events import Events
from fastjag.analyses.diphoton.features import aggregates
from fastjag.analyses.diphoton.recipes import MODELS, in_own_frame
from fastjag.analyses.diphoton.selections import selection_of
from fastjag.analyses.diphoton.skim import skim
from fastjag.analyses.diphoton.study import thinned
from fastjag.reporting.output import write_json
from fastjag.reporting.report import Report


def answers(seed, n=200, k=4):
    """Labels, probabilities that know something, positive weights; every class occurs."""
    rng = np.random.default_rng(seed)
    label = rng.permutation(np.arange(n) % k)
    logits = rng.normal(size=(n, k)).round(1) + 1.5 * np.eye(k)[label]  # rounded: ties
    p = np.exp(logits)
    return label, p / p.sum(axis=1, keepdims=True), rng.gamma(2, 1, n)


@settings(max_examples=15)
@given(st.integers(0, 2**32 - 1))
def test_as_scikit_learn_has_them(seed):
    label, p, w = answers(seed)
    predicted = p.argmax(axis=1)
    matrix = confusion(label, predicted, 4, w)
    np.testing.assert_allclose(
        matrix, metrics.confusion_matrix(label, predicted, sample_weight=w), rtol=1e-12
    )
    np.testing.assert_allclose(
        recalls(matrix), metrics.recall_score(label, predicted, average=None, sample_weight=w)
    )
    np.testing.assert_allclose(
        purities(matrix),
        metrics.precision_score(
            label, predicted, average=None, sample_weight=w, zero_division=np.nan
        ),
    )
    assert balanced_accuracy(confusion(label, predicted, 4)) == pytest.approx(
        metrics.balanced_accuracy_score(label, predicted)
    )
    curve = roc(label == 1, p[:, 1], w)
    assert curve["auc"] == pytest.approx(
        metrics.roc_auc_score(label == 1, p[:, 1], sample_weight=w)
    )
    assert (curve["signal"][0], curve["background"][0]) == (0, 0)
    assert (curve["signal"][-1], curve["background"][-1]) == pytest.approx((1, 1))


def test_negative_weights_cancel():
    """An event and its negative copy change no weighted figure."""
    label, p, w = answers(1)
    more = (np.append(label, [2, 2]), np.concatenate([p, p[:1], p[:1]]), np.append(w, [5.0, -5.0]))
    for function in (
        lambda y, q, v: confusion(y, q.argmax(axis=1), 4, v),
        lambda y, q, v: roc(y == 2, q[:, 2], v)["auc"],
        lambda y, q, v: reliability(y == 2, q[:, 2], v)["share"],
    ):
        np.testing.assert_allclose(function(*more), function(label, p, w), rtol=1e-12, atol=1e-12)


class TestSignificance:
    def test_of_numbers(self):
        found = category_significance(np.array([[10.0, 2.0], [100.0, 8.0]]))
        np.testing.assert_allclose(found["S"], [10, 8])
        np.testing.assert_allclose(found["B"], [100, 2])
        np.testing.assert_allclose(found["simple"], [1.0, 8 / np.sqrt(2)])
        expected = [
            np.sqrt(2 * (110 * np.log(1.1) - 10)), np.sqrt(2 * (10 * np.log(5) - 8))
        ]  # fmt: skip
        np.testing.assert_allclose(found["asimov"], expected)

    def test_of_nothing(self):
        """No background, a negative one, and a category that is negative as a whole."""
        found = category_significance(
            np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 2.0], [0.0, -2.0, -3.0]])
        )
        assert np.isnan(found["asimov"]).all()
        assert np.isnan(found["simple"]).all()
        assert np.isnan(purities(np.array([[0.0, 1.0], [0.0, 2.0]]))[0])

    def test_negative_signal(self):
        found = category_significance(np.array([[-1.0, 0.0], [10.0, 1.0]]))
        assert found["simple"][0] == pytest.approx(-1 / np.sqrt(10))
        assert found["asimov"][0] == pytest.approx(-1 / np.sqrt(10), rel=0.05)


def test_reliability_of_true_probabilities():
    """Classes drawn with the probabilities themselves lie on the diagonal; squared ones do not."""
    rng = np.random.default_rng(1)
    p = rng.random(40_000)
    is_class = rng.random(40_000) < p
    w = rng.gamma(2, 1, 40_000)
    good = reliability(is_class, p, w)
    assert (np.abs(good["share"] - good["probability"]) < 4 * good["error"]).all()
    assert good["ece"] < 0.02
    assert 1000 < good["events"].min() < 40_000
    assert reliability(is_class, p**2, w)["ece"] > 0.1


def test_errors_are_those_of_a_mean():
    found = mean_and_error([0.5, 0.6, 0.7])
    assert found["mean"] == pytest.approx(0.6)
    assert found["error"] == pytest.approx(0.1 / np.sqrt(3))


def test_folds_have_their_share_of_every_class():
    label = np.repeat([0, 1, 2], [100, 10, 31])
    fold = stratified_folds(label, ("a", "b", "c"), 5, seed=1)
    for c, n in enumerate((100, 10, 31)):
        counts = np.bincount(fold[label == c], minlength=5)
        assert counts.sum() == n
        assert counts.max() - counts.min() <= 1
    assert not np.array_equal(fold, stratified_folds(label, ("a", "b", "c"), 5, seed=2))
    with pytest.raises(ValueError, match="class 'd' has no events, but there are 5 folds"):
        stratified_folds(label, ("a", "b", "c", "d"), 5, seed=1)
    with pytest.raises(ValueError, match="class 'b' has 10 events, but there are 11 folds"):
        stratified_folds(label, ("a", "b", "c"), 11, seed=1)


def test_permutation_finds_what_matters():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(500, 2))
    drops = evaluation.permutation_drops(
        lambda X: ((X[:, 0] > 0) == (x[:, 0] > 0)).mean(),
        x,
        {n: lambda c=c: comparison._other_values(x, c, rng) for c, n in enumerate("ab")},
    )
    assert drops["a"] == pytest.approx(0.5, abs=0.1)
    assert drops["b"] == 0


def test_frame_forgets_directions():
    """Events turned around the beam, mirrored and swapped end to end look the same."""
    sample = events(200, seed=1)
    angle = np.random.default_rng(1).uniform(-np.pi, np.pi, 200)

    def moved(part):
        phi = -(part["phi"].astype("f8") + np.repeat(angle, part.counts))
        return part.with_columns(phi=phi, eta=-part["eta"])

    flat = {**sample.flat, "met_phi": -(sample.flat["met_phi"] + angle)}
    turned = Events({n: moved(p) for n, p in sample.particles.items()}, flat, sample.classes)
    a, b = in_own_frame(sample), in_own_frame(turned)
    for name in a.particles:
        np.testing.assert_allclose(a.particles[name]["eta"], b.particles[name]["eta"])
        delta = np.asarray(a.particles[name]["phi"] - b.particles[name]["phi"])
        np.testing.assert_allclose(np.cos(delta), 1, atol=1e-10)
    np.testing.assert_allclose(np.cos(a.flat["met_phi"] - b.flat["met_phi"]), 1, atol=1e-10)


FEATURES = ("n_jets_30", "ht", "btag_1", "delta_eta_jj", "m_jj", "lt", "n_b_77", "met", "pt_yy",
            "cos_theta_star", "largeRjet_n")  # fmt: skip


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """All models on some events of the sample in the package."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    files = {
        name: str(SAMPLE.parent / f"{file}_gamgam.root")
        for name, file in {"ggF": "ggH125", "VBF": "VBFH125", "WH": "WpH125J_Wincl",
                           "ZH": "ZH125J_Zincl", "ttH": "ttH125"}.items()
    }  # fmt: skip
    found = skim(files, tmp_path_factory.mktemp("skim"), selection_of("slides"), progress=False)
    sample = thinned(found.events(), 150, seed=1)
    yield (
        sample,
        comparison.compare(
            sample,
            aggregates(sample, FEATURES),
            folds=3,
            fast=True,
            seed=1,
            threads=1,
            progress=False,
        ),
    )
    torch.set_num_threads(before)


class TestComparison:
    @pytest.mark.parametrize("model", MODELS)
    def test_beats_chance(self, compared, model):
        accuracy = compared[1].numbers["models"][model]["balanced_accuracy"]
        assert accuracy["mean"] > 1 / 5 + 5 * accuracy["error"]

    def test_boosted_trees_are_no_worse_than_the_forest(self, compared):
        models = compared[1].numbers["models"]
        best = max(models[name]["balanced_accuracy"]["mean"] for name in ("XGBoost", "DeepSets"))
        forest = models["random forest"]["balanced_accuracy"]
        assert best > forest["mean"] - forest["error"]

    def test_numbers_are_those_of_the_probabilities(self, compared):
        sample, found = compared
        yields = np.bincount(sample.flat["label"], sample.flat["weight"])
        label, weight = sample.flat["label"], sample.flat["weight"]
        assert list(found.numbers["models"]) == list(MODELS)
        for name, p in found.probabilities.items():
            m = found.numbers["models"][name]
            predicted = p.argmax(axis=1)
            assert (p >= 0).all()
            np.testing.assert_allclose(p.sum(axis=1), 1)
            by_fold = [
                metrics.balanced_accuracy_score(
                    label[found.folds == i], predicted[found.folds == i]
                )
                for i in range(3)
            ]
            np.testing.assert_allclose(m["balanced_accuracy"]["values"], by_fold)
            np.testing.assert_allclose(m["weighted_confusion"].sum(), weight.sum())
            np.testing.assert_allclose(m["weighted_confusion"].sum(axis=1), yields)
            np.testing.assert_array_equal(m["confusion"].sum(axis=1), np.bincount(label))
            assert m["training_seconds"] > 0
        assert found.numbers["expected"] == pytest.approx(dict(zip(CLASSES, yields, strict=True)))

    def test_importances(self, compared):
        found = compared[1].numbers["importances"]
        for name in ("random forest", "XGBoost", "EasyEnsemble"):
            gain = {f: v["mean"] for f, v in found["gain"][name].items()}
            assert sum(gain.values()) == pytest.approx(1)
            assert gain["n_jets_30"] + gain["ht"] > gain["largeRjet_n"]
        drops = {f: v["mean"] for f, v in found["permutation"]["DeepSets"].items()}
        assert {"photon", "lep", "jet", "met"} <= set(drops)
        assert max(drops, key=drops.get) == "jet"

    def test_page(self, compared, tmp_path):
        drawn = ("XGBoost", "DeepSets")  # drawing all takes long
        models = {name: compared[1].numbers["models"][name] for name in drawn}
        write_json(tmp_path / "numbers.json", compared[1].numbers | {"models": models})
        numbers = json.loads((tmp_path / "numbers.json").read_text())
        page = Report("Comparison")
        add_comparison(page, tmp_path, numbers)
        page.write(tmp_path / "page.html", "")
        html = (tmp_path / "page.html").read_text()
        pictures = {path.stem for path in tmp_path.glob("*.png")}
        assert pictures == {"accuracies", "confusion", "weighted_confusion", "roc", "calibration",
                            "importances", "particles", "costs"}  # fmt: skip
        assert html.count("<img") == len(pictures)
        for made in (summary_table(numbers), class_table(numbers, "purity"),
                     significance_table(numbers)):  # fmt: skip
            columns, rows = made
            assert [row[0] for row in rows] == list(drawn)
            assert {len(row) for row in rows} == {len(columns)}

    def test_one_seed_one_result(self):
        sample = events(300, seed=2, shares=(0.2,) * 5)
        options = {
            "models": ["balanced bagging", "pyramid linear"],
            "folds": 2,
            "fast": True,
            "threads": 1,
        }
        a, b = (comparison.compare(sample, table(sample), **options) for _ in range(2))
        for name in options["models"]:
            np.testing.assert_array_equal(a.probabilities[name], b.probabilities[name])

    def test_wrong_input(self):
        sample = events(200, seed=3, shares=(0.2,) * 5)
        features = table(sample)
        with pytest.raises(ValueError, match="no model 'xgboost': did you mean 'XGBoost'"):
            comparison.compare(sample, features, models=["xgboost"])
        no_ttH = sample[sample.flat["label"] != 4]
        with pytest.raises(ValueError, match="class 'ttH' has no events, but there are 5 folds"):
            comparison.compare(no_ttH, table(no_ttH))
        with pytest.raises(ValueError, match="aggregates have 200 events, but there are 199"):
            comparison.compare(sample[:199], features)
        features["ht"][3] = np.inf
        with pytest.raises(
            ValueError, match="column 'ht' must be finite or NaN, got inf in event 3"
        ):
            comparison.compare(sample, features)
        weight = np.where(sample.flat["label"] == 2, -1.0, 1.0)
        bad = Events(sample.particles, {**sample.flat, "weight": weight}, sample.classes)
        with pytest.raises(
            ValueError, match="XGBoost, fold 0: the weights of class WH add up to -"
        ):
            comparison.compare(bad, table(sample), models=["XGBoost"])
        unlabelled = Events(
            sample.particles, {n: v for n, v in sample.flat.items() if n != "label"}, sample.classes
        )
        with pytest.raises(KeyError, match="events need a flat column 'label'"):
            comparison.compare(unlabelled, features)


def test_figures_of_a_perfect_model():
    label = np.arange(60) % 3
    found = evaluate(
        label, np.eye(3)[label], np.ones(60), np.arange(60) // 3 % 4, ("a", "b", "c")
    )  # fmt: skip
    assert found["balanced_accuracy"]["mean"] == 1
    assert found["log_loss"] == pytest.approx(0)
    assert [found["roc"][c]["auc"] for c in "abc"] == [1, 1, 1]
    np.testing.assert_array_equal(found["confusion"], 20 * np.eye(3))
