"""A tagger from files to a report: the split, what is reached, what is exported, and what is said of it."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("xgboost")
pytest.importorskip("onnxruntime")
pytest.importorskip("mplhep")
pq = pytest.importorskip("pyarrow.parquet")

import fastjag as fj
from fastjag.analyses.train import toys
from fastjag.analyses.train.config import TaggerConfig, inputs_of
from fastjag.analyses.train.networks import network_of
from fastjag.analyses.train.performance import calibration_of, curve_of
from fastjag.analyses.train.report import sentence_of, summary_of, warnings_of
from fastjag.analyses.train.results import PARTS
from fastjag.analyses.train.run import run, settings_of
from fastjag.analyses.train.split import split_ranges
from fastjag.io.ranges import File, Range, Ranges
from fastjag.models.roc import roc_curve

EVENTS = 2000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("train")
    for kind in toys.CLASSES:
        toys.write(folder / f"{kind}.root", EVENTS, kind, 5)
    return folder


def config_of(folder, model="DeepSets", **changes):
    (folder / "tagger.toml").write_text(toys.configuration(model, 5, 3))
    config = TaggerConfig.read(folder / "tagger.toml")
    return replace(
        config, network=replace(config.network, batch_size=128, phi=(16, 16), rho=(16,)),
        trees=replace(config.trees, rounds=40), **changes,
    )  # fmt: skip


@pytest.fixture(scope="module")
def deep_sets(folder):
    return run(config_of(folder), folder / "deepsets", progress=False)


@pytest.fixture(scope="module")
def trees(folder):
    return run(config_of(folder, "XGBoost"), folder / "trees", ["score"], progress=False)


class TestSplit:
    def whole(self, sizes):
        pieces = [
            Range(d, f"{d}{i}.root", "Events", 0, n)
            for d, ns in sizes.items()
            for i, n in enumerate(ns)
        ]
        return Ranges(pieces, [File(p.dataset, p.file, p.tree, p.stop) for p in pieces])

    def test_every_event_once_and_shares_hold(self):
        whole = self.whole({"a": [1000, 333], "b": [5000]})
        parts = split_ranges(whole, 0.2, 0.3, 40, seed=1)
        assert tuple(parts) == PARTS
        seen = {(p.dataset, p.file): np.zeros(p.stop, int) for p in whole}
        for part in parts.values():
            for piece in part:
                seen[piece.dataset, piece.file][piece.start : piece.stop] += 1
        assert all((counts == 1).all() for counts in seen.values())
        n = {name: part.n_events for name, part in parts.items()}
        assert n["test"] / 6333 == pytest.approx(0.3, abs=0.02)
        assert n["validation"] / 6333 == pytest.approx(0.2, abs=0.02)

    def test_parts_are_spread_over_a_file(self):
        (test,) = [
            split_ranges(self.whole({"a": [4000]}), 0.2, 0.3, 40, seed=s)["test"] for s in (3,)
        ]
        assert len(test) > 5
        assert min(p.start for p in test) < 1000
        assert max(p.stop for p in test) > 3000

    def test_seeds_decide(self):
        whole = self.whole({"a": [1000]})
        one, again, other = (
            list(split_ranges(whole, 0.2, 0.3, 40, seed=s)["test"]) for s in (1, 1, 2)
        )
        assert one == again != other

    def test_files_with_few_events(self):
        parts = split_ranges(self.whole({"a": [5, 0, 3]}), 0.25, 0.25, 40, seed=1)
        assert sum(part.n_events for part in parts.values()) == 8


class TestToys:
    def test_the_ratio_is_that_of_densities(self):
        """Events of signal, weighted by exp(-ratio), look like background."""
        events = toys.draw(200_000, "signal", 3)
        w = np.exp(-events.ratio)
        background = toys.CLASSES["background"]
        assert w.mean() == pytest.approx(1, abs=0.02)
        assert np.average(events.jets.counts, weights=w) == pytest.approx(background.jets, rel=0.02)
        assert np.average(events.met, weights=w) == pytest.approx(background.met, rel=0.02)

    def test_files_hold_what_is_drawn(self, folder):
        (batch,) = fj.iterate(str(folder / "signal.root"), ["Jet_pt", "event"], step=10_000)
        np.testing.assert_array_equal(batch.Jet.pt, toys.draw(EVENTS, "signal", 5).jets["pt"])
        assert batch["event"].dtype == np.uint64


class TestTaggers:
    def test_deep_sets_come_near_the_best(self, deep_sets):
        best = toys.best_of(deep_sets, 5)
        curve = deep_sets.summary()["curves"]["signal"]
        assert curve["auc"] == pytest.approx(best.tagger, abs=1e-6)
        assert best.possible - best.tagger < 0.03 + 3 * best.error
        assert best.tagger < best.possible + 3 * best.error

    def test_trees(self, trees):
        best = toys.best_of(trees, 5)
        assert best.possible - best.tagger < 0.06
        assert json.loads(trees.model.read_text())["learner"]["feature_names"][:2] == [
            "Jet0_pt",
            "Jet0_eta",
        ]
        training = trees.training()
        assert len(training["losses"]["validation"]) > training["best"] >= 5

    def test_test_events_are_none_of_the_others(self, deep_sets):
        parts = {name: deep_sets.ranges(name) for name in PARTS}
        assert sum(p.n_events for p in parts.values()) == 2 * EVENTS
        table = pq.read_table(deep_sets.folder("score") / "scores.parquet").to_pydict()
        tested = {(p.file, i) for p in parts["test"] for i in range(p.start, p.stop)}
        assert set(zip(table["file"], table["entry"], strict=True)) == tested
        kind = dict(zip(table["file"], table["dataset"], strict=True))
        assert set(kind.values()) == {"signal", "background"}

    def test_what_is_exported_is_what_torch_says(self, deep_sets):
        from fastjag.models.onnx import OnnxModel
        from fastjag.models.tagger_networks import load_network

        network = load_network(deep_sets.folder("train") / "network.pt")
        model = OnnxModel.read(deep_sets.model)
        assert model.classes == ["background", "signal"]
        batch = next(iter(fj.loader(deep_sets.ranges("test"), deep_sets.inputs(), batch_size=500)))
        with torch.no_grad():
            expected = network.scores({k: torch.as_tensor(batch[k]) for k in network.tensor_names})
        np.testing.assert_allclose(model.scores(batch), expected.numpy(), atol=1e-5)

    def test_two_runs_agree(self, deep_sets, folder):
        again = run(config_of(folder), folder / "again", ["train"], progress=False)
        assert again.training()["losses"] == deep_sets.training()["losses"]
        for name in ("tagger.onnx", "inputs.json"):
            one, other = ((r.folder("train") / name).read_bytes() for r in (again, deep_sets))
            assert one == other

    def test_report(self, deep_sets):
        summary = deep_sets.summary()
        auc = summary["curves"]["signal"]["auc"]
        assert summary["sentence"].startswith(
            f"DeepSets tells signal from background with an area under the ROC curve of {auc:.3f}"[
                :-1
            ]
        )
        page = (deep_sets.folder("report") / "report.html").read_text()
        assert page.index(summary["sentence"][:60]) < page.index("What it can do")
        for name in ("roc", "scores", "calibration", "training"):
            assert (deep_sets.folder("report") / f"{name}.png").stat().st_size > 5_000
        assert "scores of the ONNX file differ" in page

    def test_batches_fit_the_particle_transformer(self, folder):
        config = config_of(folder, "ParticleTransformer")
        network = network_of(config)
        assert network.pairs == {"Jet": "Jet_p4"}
        files = {kind: [str(folder / f"{kind}.root")] for kind in toys.CLASSES}
        batch = next(iter(fj.loader(files, inputs_of(config), batch_size=50)))
        with torch.no_grad():
            assert network({k: torch.as_tensor(v) for k, v in batch.items()}).shape == (50, 2)

    def test_classes_by_expressions_and_weights(self, folder):
        config = config_of(folder, "XGBoost")
        inputs = replace(config.inputs, weight="MET_pt - 3", features=("nJet",), log=())
        config = replace(
            config, inputs=inputs, signal="many", trees=replace(config.trees, rounds=3),
            classes={"few": "sum(Jet_pt > 60) < 2", "many": "sum(Jet_pt > 60) >= 2"},
        )  # fmt: skip
        results = run(config, folder / "expressions", ["score"], progress=False)
        test = results.test()
        table = pq.read_table(results.folder("score") / "scores.parquet").to_pydict()
        np.testing.assert_array_equal(test.target, table["sum(Jet_pt > 60) >= 2"])
        assert (test.weight < 0).any()
        summary = summary_of(config, results.training(), test, results.inputs().weight)
        assert summary["curves"]["many"]["auc"] > 0.8
        assert any("weight of the test events is negative" in w for w in summary["warnings"])


class TestPerformance:
    def test_curve(self):
        rng = np.random.default_rng(1)
        signal = rng.random(4000) < 0.5
        scores, w = rng.normal(size=4000) + signal, rng.exponential(size=4000)
        found = curve_of(signal, scores, w)
        assert found["auc"] == pytest.approx(roc_curve(signal, scores, w).area)
        spread = []
        for i in range(40):
            r = np.random.default_rng(100 + i)
            s = r.random(4000) < 0.5
            spread.append(roc_curve(s, r.normal(size=4000) + s, r.exponential(size=4000)).area)
        assert found["auc_error"] == pytest.approx(np.std(spread), rel=0.35)

    def test_calibration_of_right_probabilities(self):
        rng = np.random.default_rng(2)
        p = rng.random(20_000)
        signal, w = rng.random(20_000) < p, rng.exponential(size=20_000)
        right = calibration_of(signal, p, w)
        assert right["dof"] == 10
        assert right["chi2"] < 30
        assert right["off"] < 0.02
        wrong = calibration_of(signal, np.sqrt(p), w)
        assert wrong["chi2"] > 200
        assert wrong["off"] == pytest.approx(1 / 6, abs=0.02)

    def test_equal_scores(self):
        found = calibration_of(np.array([True, False] * 50), np.full(100, 0.5), np.ones(100))
        (row,) = found["bins"]
        assert (row["share"], row["predicted"], row["pull"]) == (0.5, 0.5, 0)


class TestWords:
    def content(self, auc, error):
        half = {"rate": 0.1, "below": 0.01, "above": 0.01}
        return {"signal": "s", "background": "b",
                "curves": {"s": {"auc": auc, "auc_error": error, "mistag_at_50": half}}}  # fmt: skip

    def test_what_was_found(self):
        said = sentence_of("XGBoost", self.content(0.8, 0.01), 2000)
        assert said == (
            "XGBoost tells s from b with an area under the ROC curve of 0.800 ± 0.010 on 2,000 test events "
            "that it has not seen; where half of s passes, 10.0 ± 1.0 % of b do."
        )

    def test_that_nothing_was_found(self):
        said = sentence_of("XGBoost", self.content(0.51, 0.01), 2000)
        assert said.startswith("XGBoost cannot tell s from b")
        assert "1.0 standard deviations from the 0.5 of guessing" in said

    def test_warnings(self):
        calibration = {"chi2": 10.0, "dof": 10}
        falling = {"losses": {"validation": [3, 2, 1]}, "best": 2, "per": "epoch"}
        assert "still falling in the last epoch" in warnings_of(falling, calibration, np.ones(3))[0]
        done = {"losses": {"validation": [1, 2, 3]}, "best": 0, "per": "epoch"}
        assert warnings_of(done, calibration, np.ones(3)) == []
        off = warnings_of(done, {"chi2": 100.0, "dof": 10}, np.ones(3))
        assert "Scores are no probabilities: chi2 / bins = 100.0 / 10" in off[0]


class TestConfig:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (("seed = 5", "seed = 5\nsignal = 'sgnal'"), "signal must be one of the classes background, signal"),
            (("seed = 5", "seed = 5\ntest = 0.9"), "test and validation must leave events for training"),
            (("seed = 5", "seed = 5\nblocks = 3"), "blocks must be more than 3"),
            (('name = "background"', 'name = "signal"'), "datasets must have different names"),
            (('name = "background"', 'name = "background"\nof_class = "signal"'), "two classes or more"),
            (('"pt", "eta"', '"pt", "__import__(1)"'), "inputs|__import__"),
            (("heads", "heads"), None),
            (("width = 32", "width = 30"), "heads must divide width, got 4 heads and width 30"),
            (('model = "DeepSets"', 'model = "LLM"'), "model must be .*XGBoost"),
        ],
    )  # fmt: skip
    def test_errors(self, tmp_path, change, message):
        text = toys.configuration("DeepSets", 5, 3).replace(*change)
        (tmp_path / "tagger.toml").write_text(text)
        if message is None:
            assert TaggerConfig.read(tmp_path / "tagger.toml").class_names == [
                "background",
                "signal",
            ]
            return
        with pytest.raises(ValueError, match=message):
            TaggerConfig.read(tmp_path / "tagger.toml")

    @pytest.mark.parametrize("page", ["training", "train"])
    def test_those_of_the_pages(self, tmp_path, page):
        text = (Path(__file__).parents[3] / "docs" / f"{page}.md").read_text()
        (first, *_) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
        (tmp_path / "tagger.toml").write_text(first)
        config = TaggerConfig.read(tmp_path / "tagger.toml")
        assert len(config.class_names) == len(config.datasets) == 2
        assert config.inputs.particles[0].collection == "Jet"

    def test_what_stages_depend_on(self, folder):
        config = config_of(folder)
        renamed = replace(config, name="other", signal="background")
        assert settings_of(config, "train") == settings_of(renamed, "train")
        assert settings_of(config, "report") != settings_of(renamed, "report")
        longer = replace(config, network=replace(config.network, epochs=9))
        assert settings_of(config, "split") == settings_of(longer, "split")
        assert settings_of(config, "train") != settings_of(longer, "train")

    @pytest.mark.parametrize("model", ["DeepSets", "XGBoost"])
    def test_a_device_that_is_not_there(self, deep_sets, folder, model):
        if torch.cuda.is_available():
            pytest.skip("there is one")
        config = config_of(folder, model, device="cuda")
        with pytest.raises(ValueError, match=r"device 'cuda' (is not there|cannot be used)"):
            run(config, folder / f"cuda-{model}", ["train"], progress=False)

    def test_a_data_set_that_is_too_small(self, folder, tmp_path):
        toys.write(tmp_path / "few.root", 2, "signal", 1)
        config = config_of(folder)
        few = replace(config.datasets[1], files=(str(tmp_path / "few.root"),))
        with pytest.raises(
            ValueError, match=r"data set 'signal' has too few events for (validation|test): 2"
        ):
            run(
                replace(config, datasets=(config.datasets[0], few)),
                tmp_path / "out",
                ["split"],
                progress=False,
            )
