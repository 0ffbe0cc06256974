"""Loader.xgboost and Loader.partial_fit: the matrix of all events, and models that learn batch by batch."""

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.linear_model import SGDClassifier

import fastjag as fj
from fastjag.inputs.tables import table_names, table_of
from fastjag.models.pyramid_classifiers import PyramidLinear

WIDTH = 3


def write(path, n, shift, seed):
    """Jets that have another pt where shift is another one."""
    rng = np.random.default_rng(seed)
    jets = {
        "pt": rng.exponential(30 + shift, 3 * n) + 10,
        "eta": rng.normal(0, 1 + shift / 60, 3 * n),
    }
    counts = rng.integers(0, 4, n)
    k = int(counts.sum())
    columns = {name: values[:k].astype("f4") for name, values in jets.items()}
    fj.io.write_events(path, [{
        "Jet": fj.Jagged.from_counts(counts, columns), "MET_pt": rng.exponential(20 + shift, n).astype("f4"),
        "genWeight": rng.uniform(0.5, 1.5, n).astype("f4"),
    }])  # fmt: skip
    return str(path)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    return {
        name: [write(folder / f"{name}{i}.root", 1500, 30 * (name == "s"), 10 * i + (name == "s")) for i in (0, 1)]
        for name in ("b", "s")
    }  # fmt: skip


def loader(files, groups, **options):
    return fj.loader(files, groups, target=["b", "s"], batch_size=256, **options)


def dense():
    return [fj.particles("Jet", ["pt", "eta"], width=WIDTH, by="pt"), fj.features("MET_pt")]


class TestXgboost:
    @pytest.fixture(autouse=True)
    def _xgboost(self):
        self.xgboost = pytest.importorskip("xgboost")

    def test_is_the_matrix_of_all_events(self, files):
        weighted = loader(files, dense(), weight="genWeight")
        matrix = weighted.xgboost(max_bin=64)
        names = table_names(weighted.inputs)
        assert names == [
            "Jet0_pt",
            "Jet0_eta",
            "Jet1_pt",
            "Jet1_eta",
            "Jet2_pt",
            "Jet2_eta",
            "MET_pt",
        ]
        assert matrix.feature_names == names
        assert (matrix.num_row(), matrix.num_col()) == (6000, 7)
        batches = [dict(b) for b in weighted]
        np.testing.assert_array_equal(
            matrix.get_label(), np.concatenate([b["target"] for b in batches])
        )
        np.testing.assert_array_equal(
            matrix.get_weight(), np.concatenate([b["weight"] for b in batches])
        )
        table = np.concatenate([table_of(weighted.inputs, b) for b in batches])
        found = matrix.get_data().toarray()
        filled = ~np.isnan(table)
        # Of a bin, XGBoost gives the lower edge.
        assert (found[filled] <= table[filled]).all()
        assert matrix.num_nonmissing() == filled.sum()

    def test_same_whatever_was_read_before(self, files):
        one, other = loader(files, dense()), loader(files, dense())
        next(iter(other))
        labels = [m.xgboost(max_bin=8).get_label() for m in (one, other)]
        np.testing.assert_array_equal(*labels)
        assert one.epoch == 0

    def test_files_are_read_once_where_the_table_fits(self, files, monkeypatch):
        from fastjag.loading import tables

        read = []
        real = fj.Loader._once
        monkeypatch.setattr(
            fj.Loader, "_once", lambda self, epoch: read.append(1) or real(self, epoch)
        )
        small = loader(files, dense(), memory=80_000)
        matrices = [loader(files, dense()).xgboost(max_bin=8)]
        assert len(read) == 1
        monkeypatch.setattr(tables, "ROWS", 1000)
        matrices.append(small.xgboost(max_bin=8))
        assert len(read) > 2
        assert matrices[0].num_nonmissing() == matrices[1].num_nonmissing()

    def test_validation_and_disk(self, files, tmp_path):
        train = loader(files, dense()).xgboost(max_bin=32, cache=tmp_path / "bins")
        valid = loader(files, dense(), shuffle=None).xgboost(max_bin=32, ref=train)
        losses = {}
        self.xgboost.train(
            {"objective": "binary:logistic", "eval_metric": "logloss", "max_bin": 32, "nthread": 1},
            train, 10, evals=[(valid, "v")], evals_result=losses, verbose_eval=False,
        )  # fmt: skip
        assert losses["v"]["logloss"][-1] < 0.65
        assert list(tmp_path.iterdir())

    def test_ragged_groups(self, files):
        with pytest.raises(
            ValueError, match="group 'Jet' is ragged, and a table has the same columns"
        ):
            loader(files, [fj.ragged("Jet", "pt")]).xgboost()


class TestPartialFit:
    def test_linear_model_of_pyramid_features(self, files):
        kernel = fj.PyramidMatch(4, {"pt": (0, 300), "eta": (-5, 5)})
        model = PyramidLinear({"Jet": kernel})
        ragged = loader(files, [fj.ragged("Jet", ["pt", "eta"])])
        assert ragged.partial_fit(model, epochs=3, rows=2000) == 18_000
        assert model.classes_.tolist() == [0, 1]
        right = total = 0
        for batch in loader(files, [fj.ragged("Jet", ["pt", "eta"])], shuffle=None):
            jets = fj.Jagged(batch.Jet_offsets, {"pt": batch.Jet[:, 0], "eta": batch.Jet[:, 1]})
            right += (model.predict({"Jet": jets}) == batch.target).sum()
            total += len(batch.target)
        assert right / total > 0.58

    def test_any_model_gets_a_table(self, files):
        class Sees(SGDClassifier):
            sizes = ()

            def partial_fit(self, X, y, classes=None, sample_weight=None):
                self.sizes = (*self.sizes, X.shape)
                return super().partial_fit(X, y, classes, sample_weight)

        model = Sees(loss="log_loss", random_state=0)
        inputs = [fj.features(["log(MET_pt)"], standardise="fit")]
        assert loader(files, inputs).partial_fit(model, rows=1000) == 6000
        assert model.sizes[0] == (1024, 1)
        assert sum(n for n, _ in model.sizes) == 6000

    def test_classes_have_to_be_known(self, files):
        unknown = fj.loader(files, fj.features("MET_pt"), target="MET_pt > 30")
        with pytest.raises(
            ValueError, match="the target of the inputs must say how many there are"
        ):
            unknown.partial_fit(SGDClassifier())
        with pytest.raises(ValueError, match="the target of the inputs must say"):
            fj.loader(files, fj.features("MET_pt")).partial_fit(SGDClassifier())
