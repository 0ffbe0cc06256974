"""Importances by each method against its definition, and all of them on toys with known answers."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import torch
import xgboost
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split
from typer.testing import CliRunner

from fastjag.__main__ import app
from fastjag.analyses.dimuon.importance import importances
from fastjag.analyses.importance import compare_importances, methods, permutation_importance, toys
from fastjag.analyses.importance.tables import read_table
from fastjag.analyses.importance.toys import TOY_FEATURES, toy_table
from fastjag.models.boosted_trees import gain_of_splits, mean_absolute_shap, train_all_rounds

RNG = np.random.default_rng(1)


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def toy():
    """(features, labels, weights) of two classes, five features that all differ."""
    y = RNG.integers(0, 2, 4000)
    x = RNG.normal(size=(4000, 5)) * [1, 2, 3, 1, 1] + np.outer(y, [1, 0.5, 0, 0, 0.2])
    return x, y, RNG.integers(1, 4, 4000).astype(float)


class TestFilters:
    def test_fisher_score(self):
        """Means d apart, unit width: (d/2)^2."""
        y = RNG.integers(0, 2, 100_000)
        x = RNG.normal(size=(100_000, 2)) + np.outer(y, [1, 0])
        found = methods.fisher_score(x * [7, 1], y, np.ones(len(y)))
        np.testing.assert_allclose(found, [0.25, 0], atol=0.006)

    def test_correlation(self, toy):
        x, y, w = toy
        rows = np.repeat(np.arange(len(y)), w.astype(int))
        expected = [abs(np.corrcoef(column, y[rows])[0, 1]) for column in x[rows].T]
        np.testing.assert_allclose(methods.correlation(x, y, w), expected, rtol=1e-10)

    def test_mutual_information(self):
        y = RNG.integers(0, 2, 50_000)
        noisy = np.where(RNG.random(len(y)) < 0.1, 1 - y, y)
        p = np.array([0.1, 0.9])
        x = np.column_stack([y, noisy, RNG.normal(size=len(y)), np.zeros(len(y)),
                             RNG.normal(size=len(y)) * (1 + y)])  # fmt: skip
        # Of two Gaussians with widths 1 and 2, by numerical integration.
        grid, width = np.linspace(-20, 20, 20_001), np.array([[1], [2]])
        density = np.exp(-0.5 * (grid / width) ** 2) / (width * np.sqrt(2 * np.pi))
        ratio = np.maximum(density, 1e-300) / np.maximum(density.mean(0), 1e-300)
        gaussian = (density * np.log(ratio)).sum() / 2 * (grid[1] - grid[0])
        exact = [np.log(2), np.log(2) + (p * np.log(p)).sum(), 0, 0, gaussian]
        found = methods.mutual_information(x, y, np.ones(len(y)))
        np.testing.assert_allclose(found, exact, atol=0.005)
        assert (found[:3] <= np.log(2) + 1e-12).all()

    @pytest.mark.parametrize("name", ["variance", "fisher_score", "correlation",
                                      "mutual_information", "lasso"])  # fmt: skip
    def test_units_weights_and_constants(self, toy, name):
        """Nothing depends on units or on the scale of weights; a constant feature has 0."""
        x, y, w = toy
        method = getattr(methods, name)
        padded = np.column_stack([x * [1e-3, 1, 1e3, 1, 1] + 5, np.full(len(x), 3.0)])
        found = method(padded, y, 1e-9 * w)
        np.testing.assert_allclose(found[:5], method(x, y, w), rtol=1e-4, atol=1e-9)
        assert found[5] == 0

    def test_weights_are_repetitions(self, toy):
        x, y, w = toy
        rows = np.repeat(np.arange(len(y)), w.astype(int))
        ones = np.ones(len(rows))
        for method in (methods.variance, methods.fisher_score):
            np.testing.assert_allclose(method(x, y, w), method(x[rows], y[rows], ones), rtol=1e-9)


class TestModels:
    def test_lasso_and_elimination(self, toy):
        x, y, w = toy
        found = methods.lasso(x, y, w)
        assert (found[[2, 3]] == 0).all()
        assert found[0] > found[1] > 0
        ranks = methods.recursive_elimination(x, y, w)
        assert sorted(ranks) == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
        assert ranks[0] == 1
        assert ranks[[0, 1, 4]].min() > ranks[[2, 3]].max()

    def test_shap_adds_up(self, toy):
        """Contributions and bias are the margin; those of a feature without splits are 0."""
        x, y, w = toy
        x = np.column_stack([x[:, :1], np.zeros(len(x))])
        trees = train_all_rounds(x, y, w * 1e-8, 2, seed=1, rounds=10, threads=1)
        p = trees.inplace_predict(x)
        assert p.std() > 0.1  # tiny weights do not keep trees from splitting
        parts = trees.predict(xgboost.DMatrix(x), pred_contribs=True)
        np.testing.assert_allclose(parts.sum(1), np.log(p / (1 - p)), rtol=1e-3, atol=1e-4)
        shap = mean_absolute_shap(trees, x, w)
        assert shap[0] == pytest.approx(np.average(np.abs(parts[:, 0]), weights=w))
        assert shap[1] == gain_of_splits(trees, 2, "total_gain")[1] == 0

    def test_three_classes(self):
        y = RNG.integers(0, 3, 600)
        x = RNG.normal(size=(600, 3)) + 2 * np.eye(3)[y] * [1, 1, 0]
        trees = train_all_rounds(x, y, np.ones(600), 3, seed=1, rounds=5, threads=1)
        assert trees.inplace_predict(x).shape == (600, 3)
        shap = mean_absolute_shap(trees, x, np.ones(600))
        assert shap.shape == (3,)
        assert min(shap[:2]) > 3 * shap[2]

    def test_permutation_of_published_example(self):
        """scikit-learn's user guide: Ridge on diabetes, R² 0.356, s5 0.204, bmi 0.176."""
        x, y = load_diabetes(return_X_y=True)
        x_train, x_test, y_train, y_test = train_test_split(x, y, random_state=0)
        model = Ridge(alpha=1e-2).fit(x_train, y_train)
        mean, error, base = permutation_importance(
            model, x_test, y_test, repeats=30, score=lambda t, p, w: r2_score(t, p)
        )
        assert base == pytest.approx(0.3567, abs=0.0005)
        for feature, (value, spread) in {8: (0.204, 0.050), 2: (0.176, 0.048)}.items():
            assert mean[feature] == pytest.approx(value, abs=spread)
            assert error[feature] == pytest.approx(spread, rel=0.5)
        assert set(np.argsort(-mean)[:2]) == {2, 8}

    def test_permutation_leaves_the_table(self, toy):
        x, y, w = toy
        before = x.copy()
        network = torch.nn.Linear(5, 1)
        results = [permutation_importance(network, x, y, w, repeats=2, seed=3) for _ in range(2)]
        np.testing.assert_array_equal(x, before)
        np.testing.assert_array_equal(results[0][0], results[1][0])
        with pytest.raises(TypeError, match="torch module, a scikit-learn estimator"):
            permutation_importance("model", x, y)
        with pytest.raises(ValueError, match=r"x, y must be \(n, F\)"):
            permutation_importance(network, x, y[:5])


@pytest.fixture(scope="module")
def demonstration(tmp_path_factory):
    """What the demonstration finds, and the folder it leaves."""
    out = tmp_path_factory.mktemp("demo")
    return toys.demo(out, events=3000, seed=1, progress=False), out


@pytest.fixture(scope="module")
def compared(demonstration):
    return demonstration[0]


class TestCompare:
    def test_who_sees_what(self, compared):
        of = {name: dict(zip(TOY_FEATURES, s, strict=True))
              for name, s in compared.normalised().items()}  # fmt: skip
        for blind in ("Fisher score", "correlation", "lasso"):
            assert of[blind]["shift"] == 1
            assert max(of[blind][f] for f in ("width", "product a", "product b")) < 0.15
        assert of["mutual information"]["width"] > 0.5
        assert of["mutual information"]["product a"] < 0.1
        for seeing in ("tree SHAP", "permutation", "Taylor"):
            told = ("shift", "width", "product a", "product b")
            assert min(of[seeing][f] for f in told) > 2 * of[seeing]["noise b"]
        assert set(compared.order()[-2:]) == {5, 6}
        mixed = {key: t for key, t in compared.taylor.items() if len(set(key)) == 2}
        assert max(mixed, key=mixed.get) == (3, 4)
        squares = [compared.taylor[i, i] for i in (0, 1, 2, 5, 6)]
        assert np.argmax(squares) == 2
        assert compared.performance["model"] > 0.8
        assert compared.performance["boosted trees"] > 0.8
        assert compared.warnings == []

    def test_errors_of_bars(self, demonstration):
        """Of all that the pictures draw as bars, in importance.json too."""
        compared, out = demonstration
        assert set(compared.errors) == {"permutation", "tree permutation", "Taylor"}
        found = json.loads((out / "importance.json").read_text())
        assert set(found["taylor_errors"]) == set(found["taylor"])
        assert all(0 < found["taylor_errors"][k] < 0.2 * t for k, t in found["taylor"].items())
        assert (out / "permutations.png").stat().st_size > 10_000

    def test_clusters(self, compared):
        assert compared.clusters == [0, 0, 1, 2, 3, 4, 5]
        assert compared.correlations[0, 1] == pytest.approx(0.96, abs=0.01)
        np.testing.assert_array_equal(np.diag(compared.correlations), 1)

    def test_watched_training(self, compared):
        steps, curves = compared.training["steps"], compared.training["taylor"]
        assert steps == list(range(21))
        assert curves["shift"][1] > curves["product a"][1]  # what is linear is learned first
        assert curves["product a"][-1] > 5 * curves["product a"][0]

    def test_seed_and_classes_as_texts(self, toy):
        x, y, _ = toy
        some = {"methods": ["Taylor", "tree permutation", "lasso"], "epochs": 2, "repeats": 1}
        first = compare_importances(x[:600], y[:600], seed=5, **some)
        again = compare_importances(
            x[:600], np.where(y[:600], "signal", "background"), seed=5, **some
        )
        other = compare_importances(x[:600], y[:600], seed=6, **some)
        assert again.settings["classes"] == ["background", "signal"]
        for name in first.scores:
            np.testing.assert_array_equal(first.scores[name], again.scores[name])
        assert (first.scores["Taylor"] != other.scores["Taylor"]).any()

    def test_three_classes(self, tmp_path):
        y = RNG.integers(0, 3, 900)
        x = RNG.normal(size=(900, 3)) + 2 * np.eye(3)[y] * [1, 1, 0]
        found = compare_importances(
            x, y, names=["a", "b", "noise"], epochs=15, repeats=1, threads=1
        )
        for name, scores in found.scores.items():
            if name != "variance":
                assert scores[2] == scores.min(), name
        one = compare_importances(x, y, epochs=1, methods=["Taylor"], output=2)
        assert one.taylor != found.taylor

    def test_given_models(self, toy):
        x, y, w = toy
        estimator = LogisticRegression().fit(x, y)
        found = compare_importances(x, y, w, model=estimator, methods=["permutation", "Taylor"])
        assert list(found.scores) == ["permutation"]
        assert np.argmax(found.scores["permutation"]) == 0
        plane = torch.nn.Linear(5, 1)
        with torch.no_grad():
            plane.weight.copy_(torch.tensor([[1.0, 2, 3, 0, 0]]))
        found = compare_importances(x, y, model=plane, methods=["permutation", "Taylor"])
        # In units of the balanced sample's standard deviations.
        np.testing.assert_allclose(
            found.scores["Taylor"] / x.std(axis=0), [1, 2, 3, 0, 0], rtol=1e-3
        )
        two = torch.nn.Sequential(torch.nn.Linear(5, 2), torch.nn.Softmax(1))
        found = compare_importances(x, y, model=two, methods=["permutation", "Taylor"])
        assert 0 <= found.performance["model"] <= 1
        with pytest.raises(ValueError, match="3 outputs, but there are 2 classes"):
            compare_importances(x, y, model=torch.nn.Linear(5, 3), methods=["permutation"])
        with pytest.raises(ValueError, match="cannot take these 5 features"):
            compare_importances(x, y, model=torch.nn.Linear(4, 1), methods=["permutation"])

    def test_of_a_dimuon_search(self):
        """The signal has high pt: data of the signal region against samples of the flows."""
        values = RNG.normal(size=(1500, 2))
        sideband = np.arange(1500) < 500
        values[-300:, 0] += 2
        results = SimpleNamespace(
            trained=(SimpleNamespace(sideband=sideband), values),
            samples={"signal_region": RNG.normal(size=(2000, 2))},
            config=SimpleNamespace(features=("dimu_pt", "mu0_ip3d"), seed=3, train_on="OS"),
            checks=lambda: {"closure": {"passes": False, "says": "! CLOSURE FAILED"},
                            "background": {"passes": True, "says": "fine"}},
            threads=1, progress=False,
        )  # fmt: skip
        found = importances(results, methods=["Fisher score", "tree SHAP"])
        assert found.settings["classes"] == ["samples", "signal region"]
        assert found.settings["events"] == 3000
        assert found.warnings[0] == "! CLOSURE FAILED"
        for scores in found.scores.values():
            assert scores[0] > 1.5 * scores[1]

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"features": np.zeros(30)}, "features must have shape"),
            ({"names": ["a"]}, "names must be 2 different ones"),
            ({"names": ["a", "a"]}, "names must be 2 different ones"),
            ({"features": np.full((30, 2), np.nan)}, "feature '0' must be finite, event 0"),
            ({"labels": np.zeros(30)}, "two classes or more of ten events or more, got 0.0: 30"),
            ({"labels": np.arange(30)}, "two classes"),
            ({"labels": np.zeros(29)}, r"labels must have shape \(30,\)"),
            ({"weights": np.r_[-1, np.ones(29)]}, "not negative .*event 0 has -1"),
            ({"weights": np.repeat([0, 1], 15)}, "class 0 has no event"),
            ({"weights": np.ones(3)}, "weights must have shape"),
            ({"methods": ["taylor"]}, "methods must be"),
            ({"methods": []}, "at least one"),
            ({"correlated": 0}, "correlated must be"),
        ],
    )
    def test_errors(self, change, message):
        given = {"features": RNG.normal(size=(30, 2)), "labels": np.repeat([0, 1], 15), **change}
        with pytest.raises(ValueError, match=message):
            compare_importances(**given)


class TestTables:
    def tables(self, path, columns):
        table = pa.table(columns)
        pq.write_table(table, path / "t.parquet")
        pyarrow.csv.write_csv(table, path / "t.csv")
        np.savez(path / "t.npz", **{k: np.asarray(v) for k, v in columns.items()})
        return [path / f"t.{kind}" for kind in ("parquet", "csv", "npz")]

    def test_formats_agree(self, tmp_path):
        columns = {"a": [1.5, 2, np.nan, 4], "b": [1, 2, 3, 4], "kind": list("ssbb"),
                   "w": [1.0, 2, 3, np.inf], "note": list("wxyz")}  # fmt: skip
        for file in self.tables(tmp_path, columns):
            table = read_table(file, "kind", "w")
            assert (table.names, table.not_numbers) == (["a", "b"], ["note"])
            np.testing.assert_array_equal(table.features, [[1.5, 1], [2, 2]])
            assert table.labels.tolist() == ["s", "s"]
            assert table.weights.tolist() == [1, 2]
            assert (table.n_read, table.missing) == (4, {"a": 1, "w": 1})
            assert read_table(file, "kind", features=["b"]).features.shape == (4, 1)

    def test_nulls_and_blocks(self, tmp_path):
        pq.write_table(pa.table({"a": [1, None, 3], "y": [0, 1, None]}), tmp_path / "n.parquet")
        table = read_table(tmp_path / "n.parquet", "y")
        assert table.missing == {"a": 1, "y": 1}
        assert table.labels.tolist() == [0]
        assert table.labels.dtype.kind == "i"
        np.savez(tmp_path / "b.npz", x=np.arange(6).reshape(3, 2), y=[0, 1, 0])
        assert read_table(tmp_path / "b.npz", "y").names == ["x[0]", "x[1]"]

    def test_errors(self, tmp_path):
        files = self.tables(
            tmp_path, {"a": [np.nan, 1], "b": [1, np.nan], "y": [0, 1], "t": ["p", "q"]}
        )
        for file in files:
            with pytest.raises(ValueError, match=rf"{file}: no column 'Y': did you mean 'y'"):
                read_table(file, "Y")
            with pytest.raises(ValueError, match=r"none of 2 events .*'a' lacks 1"):
                read_table(file, "y")
            with pytest.raises(ValueError, match="column 't' is not of numbers"):
                read_table(file, "y", features=["t"])
            with pytest.raises(ValueError, match="cannot be features"):
                read_table(file, "y", features=["y"])
            file.write_bytes(b"\x00\xff no table")
            with pytest.raises(ValueError, match=rf"{file}: "):
                read_table(file, "y")
        with pytest.raises(FileNotFoundError, match="no such file"):
            read_table(tmp_path / "none.csv", "y")
        (tmp_path / "t.txt").write_text("")
        with pytest.raises(ValueError, match=r"accepted are \.parquet, \.csv, \.npz"):
            read_table(tmp_path / "t.txt", "y")
        (tmp_path / "twice.csv").write_text("a,y,a,b,b\n1,0,2,3,4\n")
        with pytest.raises(ValueError, match=r"twice.csv: columns of one name: 'a', 'b'"):
            read_table(tmp_path / "twice.csv", "y")
        np.savez(tmp_path / "l.npz", a=[1], y=[1, 2])
        with pytest.raises(ValueError, match="different lengths"):
            read_table(tmp_path / "l.npz", "y")


def test_results(demonstration):
    compared, out = demonstration
    found = json.loads((out / "importance.json").read_text())
    assert found["taylor"]["product a x product b"] == compared.taylor[3, 4]
    assert found["ranking"] == [TOY_FEATURES[i] for i in compared.order()]
    assert found["table"]["n_read"] == 3000
    names = {f"{p}.{kind}" for p in ("importances", "permutations", "correlations", "taylor", "training")
             for kind in ("png", "pdf")}  # fmt: skip
    assert {p.name for p in out.iterdir()} == {
        *names, "toys.parquet", "importance.json", "report.html",
    }  # fmt: skip
    page = (out / "report.html").read_text()
    assert page.count("<img") == 5
    for word in ("product a x product b", "tree SHAP", " is the most important of 7 features by "):
        assert word in page


class TestCommand:
    def test_run(self, tmp_path):
        table = toy_table(200, 1)
        pq.write_table(pa.table(table), tmp_path / "t.parquet")
        arguments = ["importance", "run", str(tmp_path / "t.parquet"), "--label", "label",
                     "--features", "shift", "--features", "width", "--out", str(tmp_path / "out"),
                     "--methods", "correlation"]  # fmt: skip
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 0, done.output
        assert re.search(r"shift .* 1.00", done.output)
        found = json.loads((tmp_path / "out" / "importance.json").read_text())
        assert found["names"] == ["shift", "width"]

    def test_errors_leave_nothing(self, tmp_path):
        pq.write_table(pa.table(toy_table(200, 1)), tmp_path / "t.parquet")
        arguments = ["importance", "run", str(tmp_path / "t.parquet"), "--out",
                     str(tmp_path / "out"), "--label"]  # fmt: skip
        done = CliRunner().invoke(app, [*arguments, "labels"])
        assert "no column 'labels': did you mean 'label'?" in str(done.exception)
        done = CliRunner().invoke(app, [*arguments, "noise a"])
        assert "labels need two classes" in str(done.exception)
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize("command", ["run", "demo"])
    def test_help(self, command):
        done = CliRunner().invoke(app, ["importance", command, "--help"])
        assert f"Example: fastjag importance {command}" in done.output
