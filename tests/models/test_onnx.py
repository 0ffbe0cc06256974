"""ONNX files: scores equal torch's, and what is no such file."""

import pickle

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

from network_samples import GROUPS, N_FEATURES, PAIRS, batch_of

from fastjag.models import onnx
from fastjag.models.onnx import OnnxModel, export_onnx
from fastjag.models.particle_transformer import ParticleTransformer
from fastjag.models.tagger_networks import DeepSetsNetwork


def network_of(kind):
    torch.manual_seed(3)
    if kind == "DeepSets":
        return DeepSetsNetwork(GROUPS, N_FEATURES, 3, phi=(16, 16), rho=(16,)).eval()
    return ParticleTransformer(
        GROUPS, N_FEATURES, 3, PAIRS, width=16, heads=2, blocks=1, dropout=0.1
    ).eval()


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("onnx")
    found = {}
    for kind in ("DeepSets", "ParticleTransformer"):
        network = network_of(kind)
        path = folder / f"{kind}.onnx"
        difference = export_onnx(network, batch_of(20), path, classes=("b", "c", "other"))
        found[kind] = network, path, difference
    return found


@pytest.mark.parametrize("kind", ["DeepSets", "ParticleTransformer"])
class TestScores:
    @pytest.mark.parametrize("n", [1, 2, 333])
    def test_equal_torch(self, exported, kind, n):
        network, path, difference = exported[kind]
        batch = batch_of(n, seed=n)
        with torch.no_grad():
            expected = network.scores(batch).numpy()
        model = OnnxModel.read(path)
        scores = model.scores({k: v.numpy() for k, v in batch.items()})
        assert scores.shape == (n, 3)
        np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-5)
        assert 0 <= difference < 1e-5
        assert expected.std() > 1e-3

    def test_says_what_it_takes(self, exported, kind):
        network, path, _ = exported[kind]
        model = OnnxModel.read(path)
        assert list(model.inputs) == network.tensor_names
        assert model.inputs["Jet"] == ("tensor(float)", ["events", 6, 5])
        assert model.classes == ["b", "c", "other"]

    def test_travels(self, exported, kind):
        model = OnnxModel.read(exported[kind][1])
        batch = {k: v.numpy() for k, v in batch_of(7).items()}
        again = pickle.loads(pickle.dumps(model))
        assert (again.scores(batch) == model.scores(batch)).all()


def test_a_tensor_that_is_missing(exported):
    model = OnnxModel.read(exported["DeepSets"][1])
    with pytest.raises(KeyError, match=r"DeepSets\.onnx: the batch has no tensor 'Jet'"):
        model.scores({"Jets": np.zeros((1, 6, 5))})


def test_other_files(tmp_path):
    (tmp_path / "no.onnx").write_text("no model")
    with pytest.raises(ValueError, match=r"no\.onnx: is no ONNX model"):
        OnnxModel.read(tmp_path / "no.onnx")


def test_scores_that_differ_are_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(OnnxModel, "scores", lambda *_: np.full((20, 3), np.nan))
    with pytest.raises(ValueError, match=r"differ from torch's by nan, more than 1e-05"):
        export_onnx(network_of("DeepSets"), batch_of(20), tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


def test_batches_and_classes_are_checked(tmp_path):
    network = network_of("DeepSets")
    with pytest.raises(ValueError, match="two events or more, got 1"):
        export_onnx(network, batch_of(1), tmp_path / "net.onnx")
    with pytest.raises(ValueError, match="has 3 classes, got 2 names"):
        export_onnx(network, batch_of(4), tmp_path / "net.onnx", classes=("a", "b"))
    assert onnx.TOLERANCE == 1e-5
