"""Taggers of which a data configuration of weaver says what they see."""

import json
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("xgboost")
pytest.importorskip("yaml")
pq = pytest.importorskip("pyarrow.parquet")

import fastjag as fj
from fastjag.analyses.train import toys
from fastjag.analyses.train.config import TaggerConfig, inputs_of
from fastjag.analyses.train.networks import network_of
from fastjag.analyses.train.report import summary_of
from fastjag.analyses.train.run import run, settings_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weaver")
    for kind in toys.CLASSES:
        toys.write(folder / f"{kind}.root", 2000, kind, 5)
    return folder


WEAVER = """
selection: nJet > 0
test_time_selection: nJet > 1
new_variables:
   jet_mask: ak.ones_like(Jet_pt)
   jet_px: Jet_pt * np.cos(Jet_phi)
   jet_py: Jet_pt * np.sin(Jet_phi)
   jet_pz: Jet_pt * np.sinh(Jet_eta)
   jet_e: np.sqrt((Jet_pt * np.cosh(Jet_eta))**2 + Jet_mass**2)
   jet_logpt: np.log(Jet_pt)
   many: ak.sum(Jet_pt > 60) > 1
   few: ~many
inputs:
   pf_points: {length: 6, vars: [Jet_eta, Jet_phi]}
   pf_features: {length: 6, pad_mode: wrap, vars: [[jet_logpt, 4, 1.5], [Jet_eta, 0, 0.7]]}
   pf_vectors: {length: 6, vars: [[jet_px, null], [jet_py, null], [jet_pz, null], [jet_e, null]]}
   pf_mask: {length: 6, vars: [[jet_mask, null]]}
   jet_features: {length: null, vars: [[MET_pt, 30, 0.03], [nJet, null]]}
labels: {type: simple, value: [few, many]}
observers: [MET_pt]
weights:
   use_precomputed_weights: false
   reweight_method: flat
   reweight_vars: {MET_pt: [0, 15, 30, 60, 300]}
   reweight_classes: [few, many]
   reweight_threshold: 15
"""


class TestWeaver:
    """Inputs of a configuration that are a YAML file of weaver's."""

    def config(self, folder, model="XGBoost", yaml=WEAVER, change=("", "")):
        (folder / "weaver.yaml").write_text(yaml)
        text = toys.configuration(model, 5, 2)
        start, stop = text.index("[inputs]"), text.index("[network]")
        text = f'{text[:start]}[inputs]\nweaver = "weaver.yaml"\n{text[stop:]}'
        (folder / "weaver.toml").write_text(text.replace(*change))
        config = TaggerConfig.read(folder / "weaver.toml")
        return replace(config, trees=replace(config.trees, rounds=5))

    def test_from_files_to_scores(self, folder):
        config = self.config(folder)
        assert config.class_names == ["few", "many"]
        results = run(config, folder / "weaver", ["score"], progress=False)
        names = json.loads(results.model.read_text())["learner"]["feature_names"]
        assert names[:2] + names[-2:] == ["pf_features0_jet_logpt", "pf_features0_Jet_eta", "MET_pt", "nJet"]  # fmt: skip
        table = pq.read_table(results.folder("score") / "scores.parquet").to_pydict()
        test = results.test()
        np.testing.assert_array_equal(test.target, np.array(table["many"]) != 0)
        summary = summary_of(config, results.training(), test, results.inputs().weight)
        assert summary["curves"]["many"]["auc"] > 0.9
        # Of the calibration, weights as in training: of bins of the missing momentum.
        bins = np.digitize(table["MET_pt"], [15, 30, 60])
        outside = np.array(table["MET_pt"]) > 300
        np.testing.assert_array_equal(test.cells, np.where(outside, -1, 4 * test.target + bins))
        assert len(np.unique(test.cells[~outside])) == 8
        rows = {"weight": test.weight, "weight_cell": test.cells, "target": test.target}
        weights = results.inputs().weight.weights(rows)
        assert sum(b["weight"] for b in summary["calibration"]["bins"]) == pytest.approx(weights.sum(), rel=1e-5)  # fmt: skip

    def test_batches_fit_networks(self, folder):
        config = self.config(folder, "ParticleTransformer")
        network = network_of(config)
        assert network.pairs == {"pf_features": "pf_features_p4"}
        files = {kind: [str(folder / f"{kind}.root")] for kind in toys.CLASSES}
        seen = inputs_of(config)
        batch = next(fj.iterate(files["signal"], list(seen.columns), step=100))
        tensors = seen.for_prediction().tensors(seen.for_prediction().rows(batch))
        chosen = batch[batch["nJet"] > 1]
        padded = chosen.Jet.pad(6, ["pt", "eta", "phi", "mass"])
        np.testing.assert_array_equal(tensors["pf_features_mask"], padded.mask)
        np.testing.assert_allclose(tensors["pf_features_p4"][..., :3], padded.values[..., :3], atol=2e-3, rtol=1e-5)  # fmt: skip
        np.testing.assert_allclose(tensors["pf_features_p4"][..., 3], padded.values[..., 3], rtol=0.02, atol=0.3)  # fmt: skip
        expected = (np.log(padded.values[..., 0], where=padded.mask, out=np.zeros(padded.mask.shape, "f4")) - 4) * 1.5  # fmt: skip
        np.testing.assert_allclose(tensors["pf_features"][..., 0][padded.mask], expected[padded.mask], atol=1e-5)  # fmt: skip
        with torch.no_grad():
            scores = network({k: torch.as_tensor(v) for k, v in tensors.items()})
        assert scores.shape == (len(chosen), 2)
        assert set(network_of(self.config(folder, "DeepSets")).groups) == {"pf_features"}

    def test_the_file_is_one_of_the_inputs(self, folder):
        config = self.config(folder)
        before = {stage: settings_of(config, stage) for stage in ("split", "train")}
        self.config(folder, yaml=WEAVER.replace("nJet > 1", "nJet > 2"))
        assert settings_of(config, "split") == before["split"]
        assert settings_of(config, "train") != before["train"]

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"labels": "labels: {type: custom, value: {x: MET_pt}}"}, "labels.type must be 'simple'"),
            ({"toml": ('weaver = "weaver.yaml"', 'weaver = "weaver.yaml"\nfeatures = ["nJet"]')},
             "features is what .*weaver.yaml says: leave it out"),
            ({"toml": ('name = "signal"', 'name = "signal"\nof_class = "many"')}, "leave out classes and of_class"),
            ({"toml": ('"weaver.yaml"', '"none.yaml"')}, "none.yaml"),
            ({"pf_vectors": "pf_vectors: {length: 5, vars: [jet_px, jet_py, jet_pz, jet_e]}"},
             "inputs.pf_vectors must be as long as one group beside it"),
        ],
    )  # fmt: skip
    def test_errors(self, tmp_path, change, message):
        yaml = "\n".join(
            next((f"{line[: len(line) - len(line.lstrip())]}{new}" for key, new in change.items() if line.lstrip().startswith(f"{key}:")), line)
            for line in WEAVER.splitlines()
        )  # fmt: skip
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            self.config(tmp_path, "ParticleTransformer", yaml, change.get("toml", ("", "")))
