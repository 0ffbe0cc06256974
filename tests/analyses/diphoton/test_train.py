"""The comparison of all models on the same events in the same folds."""

import json

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")
pytest.importorskip("xgboost")
pytest.importorskip("imblearn")
pytest.importorskip("mplhep")

from diphoton_samples import CLASSES, events, table
from sklearn import metrics

from fastjag.analyses.diphoton.events import Events
from fastjag.analyses.diphoton.features import aggregates, thin
from fastjag.analyses.diphoton.models import MODELS, in_own_frame
from fastjag.analyses.diphoton.report import (
    add_comparison,
    purity_table,
    recall_table,
    significance_table,
    summary_table,
)
from fastjag.analyses.diphoton.select import skim_files
from fastjag.analyses.diphoton.selections import PRESETS
from fastjag.analyses.diphoton.toys import SAMPLE
from fastjag.analyses.diphoton.train import compare, permutation_drops
from fastjag.reporting.output import write_json
from fastjag.reporting.report import Report


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


def test_permutation_finds_what_matters():
    class First:
        """Knows the class from the first of two columns."""

        def predict_proba(self, X):
            return np.stack([X[:, 0] > 0, X[:, 0] <= 0], axis=1)

    x = np.random.default_rng(1).normal(size=(500, 2))
    drops = permutation_drops(First(), x, (x[:, 0] > 0).astype(int), [1, 0], seed=1)
    assert drops[0] == pytest.approx(0.5, abs=0.1)
    assert drops[1] == 0


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
    skim = skim_files(files, tmp_path_factory.mktemp("skim"), PRESETS["slides"], progress=False)
    sample = thin(skim.events(), 150, seed=1)
    yield (
        sample,
        compare(
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

        def show(name, fig, caption):
            fig.savefig(tmp_path / f"{name}.png")
            page.figure(tmp_path / f"{name}.png", caption)

        add_comparison(page, numbers, show)
        page.write(tmp_path / "page.html", "")
        html = (tmp_path / "page.html").read_text()
        pictures = {path.stem for path in tmp_path.glob("*.png")}
        assert pictures == {"accuracies", "confusion", "weighted_confusion", "roc", "calibration",
                            "importances", "particles", "costs"}  # fmt: skip
        assert html.count("<img") == len(pictures)
        for table_of in (summary_table, recall_table, purity_table, significance_table):
            columns, rows = table_of(numbers)
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
        a, b = (compare(sample, table(sample), **options) for _ in range(2))
        for name in options["models"]:
            np.testing.assert_array_equal(a.probabilities[name], b.probabilities[name])

    def test_negative_weights_among_their_neighbours(self):
        sample = events(300, seed=2, shares=(0.2,) * 5, negative=0.2)
        found = {
            negative: compare(sample, table(sample), models=["balanced forest"], folds=2, fast=True,
                              threads=1, negative=negative, progress=False)
            for negative in ("abs", "resample")
        }  # fmt: skip
        assert found["resample"].numbers["settings"]["negative"] == "resample"
        a, b = (found[n].probabilities["balanced forest"] for n in ("abs", "resample"))
        assert not np.array_equal(a, b)
        # What they are judged by keeps its signs.
        assert found["abs"].numbers["expected"] == found["resample"].numbers["expected"]

    def test_wrong_input(self):
        sample = events(200, seed=3, shares=(0.2,) * 5)
        features = table(sample)
        with pytest.raises(ValueError, match="no model 'xgboost': did you mean 'XGBoost'"):
            compare(sample, features, models=["xgboost"])
        no_ttH = sample[sample.flat["label"] != 4]
        with pytest.raises(ValueError, match="class 'ttH' has no events, but there are 5 folds"):
            compare(no_ttH, table(no_ttH))
        with pytest.raises(ValueError, match="aggregates have 200 events, but there are 199"):
            compare(sample[:199], features)
        features["ht"][3] = np.inf
        with pytest.raises(
            ValueError, match="column 'ht' must be finite or NaN, got inf in event 3"
        ):
            compare(sample, features)
        weight = np.where(sample.flat["label"] == 2, -1.0, 1.0)
        bad = Events(sample.particles, {**sample.flat, "weight": weight}, sample.classes)
        with pytest.raises(
            ValueError, match="XGBoost, fold 0: the weights of class WH add up to -"
        ):
            compare(bad, table(sample), models=["XGBoost"])
        unlabelled = Events(
            sample.particles, {n: v for n, v in sample.flat.items() if n != "label"}, sample.classes
        )
        with pytest.raises(KeyError, match="events need a flat column 'label'"):
            compare(unlabelled, features)
