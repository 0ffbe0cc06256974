"""fj.predict: scores of files, the same to the last bit whoever computes them, beside exact event numbers."""

from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
xgboost = pytest.importorskip("xgboost")
pq = pytest.importorskip("pyarrow.parquet")
pytest.importorskip("sklearn")

from servers import http_server

import fastjag as fj
from fastjag.batch import BatchError
from fastjag.inputs.tables import table_names, table_of
from fastjag.io.errors import ReadError
from fastjag.models.onnx import export_onnx
from fastjag.models.particle_transformer import ParticleTransformer
from fastjag.models.quantile_matrix import TableBatch, quantile_matrix
from fastjag.models.scorers import BLOCK, scorer_of
from fastjag.models.tagger_networks import DeepSetsNetwork

N = {"a": 2600, "b": 1500}
COLUMNS = ["pt", "eta", "phi", "mass"]


def events(n, seed):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(2, n)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    k = int(offsets[-1])
    jets = {"pt": rng.exponential(40, k) + 15, "eta": rng.normal(0, 1.5, k),
            "phi": rng.uniform(-3, 3, k), "mass": rng.exponential(8, k)}  # fmt: skip
    return {
        "run": np.full(n, 362_104 + seed, np.uint32), "luminosityBlock": np.arange(n, dtype=np.uint32) // 7,
        "event": rng.integers(2**62, 2**64, n, np.uint64), "MET_pt": rng.exponential(30, n).astype("f4"),
        "Jet": fj.Jagged(offsets, {c: v.astype("f4") for c, v in jets.items()}),
    }  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    for i, (name, n) in enumerate(N.items()):
        fj.io.write_events(folder / f"{name}.root", [events(n, i)])
    return {name: [str(folder / f"{name}.root")] for name in N}


def groups():
    return {
        "Jet": fj.particles("Jet", COLUMNS, width=4, by="pt", log=["pt"], standardise="fit", clip=(-5, 5)),
        "Jet_p4": fj.particles("Jet", COLUMNS, width=4, by="pt"),
        "features": fj.features("MET_pt", log=["MET_pt"], standardise="fit"),
    }  # fmt: skip


@pytest.fixture(scope="module")
def inputs(files):
    wanted = fj.Inputs.of(groups(), target=["a", "b"])
    return wanted.fit(fj.ranges(files))


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(1)
    return ParticleTransformer(
        {"Jet": 4}, 1, 2, {"Jet": "Jet_p4"}, width=16, heads=2, blocks=1
    ).eval()


@pytest.fixture(scope="module")
def tensors(files, inputs):
    """All tensors of data set a, and of b."""
    seen = inputs.for_prediction()
    found = {}
    for name, paths in files.items():
        (batch,) = fj.iterate(paths, list(seen.columns), step=10_000)
        found[name] = seen.tensors(seen.rows(batch))
    return found


@pytest.fixture(scope="module")
def trees(inputs, tensors):
    tables = [table_of(inputs, part) for part in tensors.values()]
    labels = np.repeat([0, 1], [len(t) for t in tables])
    matrix = quantile_matrix(
        lambda: iter([TableBatch(np.concatenate(tables), labels)]), table_names(inputs), threads=1
    )
    return xgboost.train(
        {"objective": "multi:softprob", "num_class": 2, "nthread": 1, "max_depth": 3}, matrix, 5
    )


def read(path):
    return pq.read_table(path).to_pydict()


class TestScores:
    def test_are_those_of_the_network_beside_exact_numbers(
        self, files, inputs, network, tensors, tmp_path
    ):
        done = fj.predict(network, files, inputs, tmp_path / "s.parquet", progress=False)
        assert (done.rows, done.read, done.missing) == (sum(N.values()), sum(N.values()), ())
        assert done.scores == ("score_a", "score_b")
        table = pq.read_table(tmp_path / "s.parquet")
        assert [str(table.schema.field(n).type) for n in ("run", "event", "entry", "score_a")] == [
            "uint32", "uint64", "int64", "float"]  # fmt: skip
        found = table.to_pydict()
        expected = [events(n, i) for i, n in enumerate(N.values())]
        for name in ("run", "luminosityBlock", "event"):
            assert found[name] == np.concatenate([e[name] for e in expected]).tolist()
        assert found["dataset"] == [name for name, n in N.items() for _ in range(n)]
        assert found["file"][-1] == files["b"][0]
        assert found["entry"] == [i for n in N.values() for i in range(n)]
        with torch.no_grad():
            scores = [network.scores({k: torch.tensor(v) for k, v in part.items()}) for part in tensors.values()]  # fmt: skip
        np.testing.assert_allclose(found["score_b"], torch.cat(scores)[:, 1], atol=1e-6)
        assert np.std(found["score_b"]) > 1e-3

    def test_same_to_the_last_bit_on_any_executor(self, files, inputs, network, tmp_path):
        ways = {
            "here": {}, "ranges": {"size": 700},
            "threads": {"executor": ThreadPoolExecutor(2), "size": 900},
            "processes": {"executor": ProcessPoolExecutor(2), "size": 1300},
        }  # fmt: skip
        content = {}
        before = torch.get_num_threads()
        for name, options in ways.items():
            torch.set_num_threads(2 if name == "here" else 1)
            fj.predict(network, files, inputs, tmp_path / name, progress=False, **options)
            content[name] = read(tmp_path / name)
            if "executor" in options:
                options["executor"].shutdown()
        torch.set_num_threads(before)
        assert content["here"] == content["ranges"] == content["threads"] == content["processes"]

    def test_onnx(self, files, inputs, tensors, tmp_path):
        torch.manual_seed(2)
        network = DeepSetsNetwork({"Jet": 4}, 1, 2, phi=(8,), rho=(8,)).eval()
        small = {k: v[:100] for k, v in tensors["a"].items()}
        export_onnx(network, small, tmp_path / "net.onnx", classes=["bkg", "sig"])
        inputs.save(tmp_path / "inputs.json")
        onnx = fj.predict(tmp_path / "net.onnx", files, tmp_path / "inputs.json",
                          tmp_path / "onnx.parquet", progress=False)  # fmt: skip
        assert onnx.scores == ("score_bkg", "score_sig")
        fj.predict(network, files, inputs, tmp_path / "torch.parquet", progress=False)
        one, other = read(onnx.path), read(tmp_path / "torch.parquet")
        np.testing.assert_allclose(one["score_sig"], other["score_b"], atol=1e-5)
        assert one["event"] == other["event"]

    def test_xgboost(self, files, inputs, trees, tensors, tmp_path):
        trees.save_model(tmp_path / "trees.json")
        for name, model in (("a", trees), ("b", tmp_path / "trees.json")):
            fj.predict(model, files, inputs, tmp_path / name, progress=False, size=1000)
        assert read(tmp_path / "a") == read(tmp_path / "b")
        table = table_of(inputs, tensors["a"])
        assert np.isnan(table).any()
        names = table_names(inputs)
        assert names[:2] + names[-1:] == ["Jet0_pt", "Jet0_eta", "MET_pt"]
        expected = trees.predict(xgboost.DMatrix(table, feature_names=names))
        np.testing.assert_allclose(
            read(tmp_path / "a")["score_b"][: N["a"]], expected[:, 1], atol=1e-6
        )

    def test_saved_network(self, files, inputs, tmp_path):
        torch.manual_seed(2)
        network = DeepSetsNetwork({"Jet": 4}, 1, 2, phi=(8,), rho=(8,)).eval()
        network.save(tmp_path / "net.pt")
        fj.predict(network, files, inputs, tmp_path / "a", progress=False)
        fj.predict(tmp_path / "net.pt", files, inputs, tmp_path / "b", progress=False)
        assert read(tmp_path / "a") == read(tmp_path / "b")

    def test_any_torch_module(self, files, inputs, tensors, tmp_path):
        class Mean(torch.nn.Module):
            def forward(self, batch):
                return batch["Jet"].mean(dim=(1, 2))

        done = fj.predict(Mean(), files, inputs, tmp_path / "s", columns=["MET_pt"], progress=False)
        assert done.scores == ("score",)
        found = read(done.path)
        assert list(found) == ["dataset", "file", "entry", "MET_pt", "score"]
        np.testing.assert_allclose(
            found["score"][: N["a"]], tensors["a"]["Jet"].mean(axis=(1, 2)), atol=1e-6
        )

    def test_the_selection_of_the_inputs(self, files, inputs, network, tmp_path):
        chosen = fj.Inputs.of(inputs, selection="MET_pt > 30")
        done = fj.predict(network, files, chosen, tmp_path / "s", columns=["MET_pt", "event"], progress=False)  # fmt: skip
        everything = read(fj.predict(network, files, inputs, tmp_path / "t", progress=False).path)
        by_event = dict(zip(everything["event"], everything["score_a"], strict=True))
        found = read(done.path)
        assert 0 < done.rows < done.read == sum(N.values())
        assert min(found["MET_pt"]) > 30
        assert [by_event[e] for e in found["event"]] == found["score_a"]
        nothing = fj.Inputs.of(inputs, selection="MET_pt > 1e9")
        assert fj.predict(network, files, nothing, tmp_path / "n", progress=False).rows == 0
        assert pq.read_table(tmp_path / "n").num_rows == 0


class TestServers:
    def test_are_told_and_their_files_kept(self, files, inputs, network, tmp_path, monkeypatch):
        """Planning and workers send the token; the second time only the beginning of files is asked for: whether they are the same."""
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
        plain = read(fj.predict(network, files, inputs, tmp_path / "here", progress=False).path)
        with http_server({f"/{n}.root": Path(p).read_bytes() for n, (p,) in files.items()}) as (
            url,
            server,
        ):
            far = {name: [f"{url}/{name}.root"] for name in files}
            server.token = "s3cret"
            with pytest.raises(ReadError, match=r"a\.root.*401"):
                fj.predict(network, far, inputs, tmp_path / "s", progress=False)
            options = {
                "storage_options": {"token": "s3cret"},
                "cache": tmp_path / "copies",
                "progress": False,
            }
            asked = []
            server.fault = lambda handler, first, last, data: asked.append(first)
            for name, executor in (("first", None), ("second", ThreadPoolExecutor(2))):
                asked.clear()
                done = fj.predict(
                    network, far, inputs, tmp_path / name, executor=executor, size=1000, **options
                )
                found = read(done.path)
                assert {k: v for k, v in found.items() if k != "file"} == {
                    k: v for k, v in plain.items() if k != "file"
                }
                assert found["file"][0] == far["a"][0]
                assert any(asked) == (name == "first"), asked
            executor.shutdown()
        assert list((tmp_path / "copies").rglob("*.bytes"))

    def test_options_that_cannot_be(self, files, inputs, network, tmp_path):
        with pytest.raises(TypeError, match="storage_options must be a dict, got str"):
            fj.predict(network, files, inputs, tmp_path / "s", storage_options="anon")
        with pytest.raises(TypeError, match="cache must be a folder, got 3"):
            fj.predict(network, files, inputs, tmp_path / "s", cache=3)


class TestErrors:
    def test_inputs_that_are_not_fitted(self, files, network, tmp_path):
        with pytest.raises(ValueError, match="the inputs are not fitted"):
            fj.predict(network, files, groups(), tmp_path / "s")

    def test_models(self, files, inputs, tmp_path):
        with pytest.raises(TypeError, match=r"model must be a torch network, .* got int"):
            fj.predict(3, files, inputs, tmp_path / "s")
        with pytest.raises(FileNotFoundError, match=r"none\.onnx: there is no such model"):
            fj.predict(tmp_path / "none.onnx", files, inputs, tmp_path / "s")
        with pytest.raises(ValueError, match=r"net\.pkl: the name of a model ends in \.onnx"):
            fj.predict("net.pkl", files, inputs, tmp_path / "s")

    def test_columns_of_trees(self, files, inputs, trees, tmp_path):
        other = fj.Inputs.of({"Jet": fj.particles("Jet", COLUMNS, width=4), "Jet_p4": fj.particles("Jet", COLUMNS, width=4),
                              "features": fj.features("MET_pt * 2")})  # fmt: skip
        with pytest.raises(
            ValueError, match=r"column 32 of the model is 'MET_pt', .*'MET_pt \* 2'"
        ):
            fj.predict(trees, files, other, tmp_path / "s")
        fewer = fj.Inputs.of(fj.features("MET_pt"))
        with pytest.raises(ValueError, match="the model takes 33 columns, the inputs have 1"):
            fj.predict(trees, files, fewer, tmp_path / "s")

    def test_scores_that_are_no_numbers(self, files, inputs, tmp_path):
        class Bad(torch.nn.Module):
            def forward(self, batch):
                return batch["features"][:, 0] / 0 * 0

        with pytest.raises(BatchError, match=r"a\.root: the score of entry 0 is not finite"):
            fj.predict(Bad(), files, inputs, tmp_path / "s", progress=False)
        assert not (tmp_path / "s").exists()

    def test_classes(self, files, inputs, network, tmp_path):
        with pytest.raises(BatchError, match="gives 2 scores, and classes are x, y, z"):
            fj.predict(network, files, inputs, tmp_path / "s", classes="xyz", progress=False)

    def test_ragged_groups_have_no_table(self):
        with pytest.raises(ValueError, match="group 'Jet' is ragged"):
            table_names(fj.Inputs.of(fj.ragged("Jet", "pt")))


def test_blocks_have_one_shape():
    shapes = []

    class Sees(torch.nn.Module):
        def forward(self, batch):
            shapes.append(tuple(batch["x"].shape))
            return batch["x"][:, 0]

    from fastjag.models.scorers import scores_in_blocks

    scorer, x = scorer_of(Sees()), np.arange(2 * BLOCK + 5, dtype="f4")[:, None]
    np.testing.assert_array_equal(scores_in_blocks(scorer, {"x": x}, len(x)), x[:, 0])
    assert set(shapes) == {(BLOCK, 1)}
    assert scores_in_blocks(scorer, {"x": x[:0]}, 0).shape == (0,)
