"""weaver-core's data configurations: the tensors and weights that it makes of a few events, and what is refused."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from inputs.record_weaver import CONFIG, WEIGHTS
from inputs.some_events import batch_of

import fastjag as fj
from fastjag.core.devices import to_host
from fastjag.inputs import Inputs

RECORD = json.loads((Path(__file__).parents[1] / "data" / "weaver.json").read_text())


def array(stored):
    dtype, values = stored
    return np.array(values, dtype)


@pytest.fixture
def events():
    columns = {n.removeprefix("part_"): array(v) for n, v in RECORD["columns"].items()}
    flat = {n: array(v) for n, v in RECORD["flat"].items()}
    return batch_of(RECORD["offsets"], columns, flat, collection="part")


def written(path, **changes):
    path.write_text(yaml.safe_dump(yaml.safe_load(CONFIG) | changes, sort_keys=False))
    return path


class TestNumbers:
    """As weaver-core 0.5.3 made them (record_weaver.py)."""

    @pytest.mark.parametrize("selection", ["selection", "test_time_selection"])
    def test_tensors(self, tmp_path, events, device, selection):
        inputs = Inputs.of(written(tmp_path / "c.yaml", weights=None))
        training = selection == "selection"
        inputs = inputs if training else inputs.for_prediction()
        found = inputs.tensors(inputs.rows(events.to(device)))
        expected = RECORD["tensors"][selection]
        names = {f"_{g.name}": g.name for g in inputs.groups} | {
            "event_no": "event_no",
            "jet_pt": "jet_pt",
        }
        names |= {"_label_": "target"} if training else {}
        for theirs, ours in names.items():
            # Masses of float32: E and p nearly cancel, in another order of sums.
            rtol = 1e-4 if theirs == "_pf_features" else 2e-6
            np.testing.assert_allclose(
                to_host(found[ours]), expected[theirs], rtol=rtol, atol=1e-6, err_msg=ours
            )
        assert set(found) == set(names.values())
        assert found["event_no"].dtype == np.int32

    @pytest.mark.parametrize("name", WEIGHTS)
    def test_weights_up_to_one_factor(self, tmp_path, events, device, name):
        content = yaml.safe_load(CONFIG)["weights"] | WEIGHTS[name]
        inputs = Inputs.of(written(tmp_path / "c.yaml", weights=content)).fit([events], events=None)
        found = to_host(inputs.tensors(inputs.rows(events.to(device)))["weight"]).astype(float)
        expected = np.array(RECORD["weights"][name])
        assert (expected > 0).mean() > 0.5
        np.testing.assert_allclose(found.mean(), 1, rtol=1e-6)
        np.testing.assert_allclose(found, expected / expected.mean(), rtol=1e-5, atol=1e-9)
        assert Inputs.from_description(inputs.describe()) == inputs

    def test_reweighting_of_targets(self, events, device):
        """The same by fj.weights, of the target's classes."""
        given = {"jet_pt": [150, 250, 400, 800], "jet_eta": [-2.4, 0, 2.4]}
        inputs = Inputs.of(
            fj.features("jet_pt"), "label",
            fj.weights(reweight=given, threshold=15, class_weights=[1, 1, 2.5]),
            selection="jet_pt > 150 and abs(jet_eta) < 2.4 and event_no % 7 != 0",
        ).fit([events], events=None)  # fmt: skip
        found = to_host(inputs.tensors(inputs.rows(events.to(device)))["weight"])
        expected = np.array(RECORD["weights"]["flat"])
        np.testing.assert_allclose(found, expected / expected.mean(), rtol=1e-5, atol=1e-9)

    def test_weights_of_branches(self, tmp_path, events):
        given = {"use_precomputed_weights": True, "weight_branches": ["w", "jet_pt"]}
        inputs = Inputs.of(written(tmp_path / "c.yaml", weights=given, selection=None))
        found = inputs.tensors(inputs.rows(events))["weight"]
        np.testing.assert_allclose(found, events["w"] * events["jet_pt"], rtol=1e-6)

    def test_histograms_that_weaver_wrote(self, tmp_path, events):
        content = yaml.safe_load(CONFIG)["weights"]
        rows = [[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]]
        content |= {"reweight_hists": {f"label_{n}": rows for n in "abc"}}
        inputs = Inputs.of(written(tmp_path / "c.yaml", weights=content))
        assert inputs.fitted
        found = inputs.tensors(inputs.rows(events))
        x = np.digitize(found["jet_pt"], [150, 250, 400, 800]) - 1
        eta = found["jet_features"][:, 1] >= 0
        expected = [rows[i][int(k)] if i < 3 else 0 for i, k in zip(x.tolist(), eta, strict=True)]
        np.testing.assert_allclose(found["weight"], expected, rtol=1e-6)

    def test_parameters_that_weaver_wrote(self, tmp_path):
        own = {
            "length": 4,
            "pad_mode": "wrap",
            "center": 3.0,
            "scale": 2.0,
            "min": -1,
            "max": 1,
            "pad_value": 0,
        }
        given = {"method": "auto", "params": {"part_dphi": own}}
        inputs = Inputs.of(written(tmp_path / "c.yaml", preprocess=given))
        column = inputs.groups[0].columns[1]
        assert (column.mean, column.scale, column.clip) == (3, 0.5, (-1, 1))

    def test_labels_of_expressions(self, tmp_path, events):
        labels = {
            "type": "custom",
            "value": {"mass": "np.where(label == 1, jet_pt, 0)", "eta": "jet_eta"},
        }
        inputs = Inputs.of(
            written(tmp_path / "c.yaml", labels=labels, selection=None, weights=None)
        )
        found = inputs.tensors(inputs.rows(events))["target"]
        assert found.dtype == np.float32
        pt = np.where(events["label"] == 1, events["jet_pt"], 0)
        np.testing.assert_allclose(found, np.stack([pt, events["jet_eta"]], axis=1), rtol=1e-6)

    def test_observers_of_64_bits(self, tmp_path, events):
        events.flat["event"] = np.arange(len(events), dtype=np.uint64) + 2**63
        inputs = Inputs.of(
            written(tmp_path / "c.yaml", observers=["event"], selection=None, weights=None)
        )
        assert inputs.tensors(inputs.rows(events))["event"].tolist() == events["event"].tolist()


def group(**changes):
    return {"inputs": {"pf": {"length": 3, "vars": ["part_px"]} | changes}}


def weights(**changes):
    return {"weights": yaml.safe_load(CONFIG)["weights"] | changes}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"treename": "Events"}, "treename is not supported: the data sets say it"),
        ({"bucketing": {"var": "n", "bins": 3}}, "bucketing is not supported"),
        ({"monitor_variables": ["x"]}, "monitor_variables is not supported: observers"),
        ({"selections": "x > 1"}, "unknown key 'selections': did you mean 'selection'"),
        ({"selection": "lg(x) > 1"}, "selection: expression 'lg(x) > 1': no function 'lg'"),
        ({"new_variables": {"a": "x.argmax(1)"}}, "new_variables.a: expression"),
        ({"new_variables": {"a": None}}, "new_variables.a must be an expression"),
        ({"new_variables": {"a": "b", "b": "a"}}, "define: 'a' is made of itself"),
        ({"preprocess": {"method": "auto"}}, "preprocess.method 'auto' is not supported"),
        ({"inputs": None}, "inputs must name at least one group"),
        (group(vars=[]), "inputs.pf.vars must be a list"),
        (group(length="a"), "inputs.pf.length must be an integer >= 1 or null, got 'a'"),
        (group(pad_mode="edge"), "inputs.pf.pad_mode must be 'constant' or 'wrap', got 'edge'"),
        (group(lengths=3), "unknown key 'lengths' in inputs.pf: did you mean 'length'"),
        (group(vars=[["x", "auto"]]), "inputs.pf.vars: center 'auto' of 'x' is not supported"),
        (group(vars=[["x", 1, "a"]]), "scale of 'x' must be a number, got 'a'"),
        (group(vars=[["x", 1, 0]]), "scale of 'x' must not be 0"),
        (group(vars=[["x", 1, 1, 1, 1, 1, 1]]), "a variable is name or"),
        (group(vars=["x", "x"]), "inputs.pf: columns of 'pf' must be different"),
        ({"inputs": {"a_mask": {"length": 2, "pad_mode": "wrap", "vars": ["x"]}}}, "'constant' for a mask"),
        ({"labels": {"type": "odd", "value": []}}, "labels.type must be 'simple' or 'custom', got 'odd'"),
        ({"labels": {"type": "simple", "value": "x"}}, "labels.value must be a list"),
        ({"labels": {"type": "custom", "value": {"y": "label.argmax(1)"}}}, "labels.value.y: expression"),
        (weights(reweight_method="max"), "weights: method must be 'flat' or 'ref'"),
        (weights(reweight_vars={"x": [2, 1]}), "the edges of 'x' must ascend"),
        (weights(reweight_hists={"label_a": [[1]]}), "weights.reweight_hists lacks 'label_b'"),
        ({"weights": {"use_precomputed_weights": True}}, "weights.weight_branches must be a list"),
    ],
)  # fmt: skip
def test_refused(tmp_path, changes, message):
    path = written(tmp_path / "c.yaml", **changes)
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        Inputs.of(path)
    if "define" not in message:
        assert str(caught.value).startswith(str(path))


def test_what_is_no_configuration(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("a: [")
    with pytest.raises(ValueError, match=r"c\.yaml: is no YAML file"):
        Inputs.of(path)
    path.write_text("- a")
    with pytest.raises(ValueError, match=r"c\.yaml: must be a table"):
        Inputs.of(path)
