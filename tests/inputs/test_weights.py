"""Targets and weights of inputs."""

import numpy as np
import pytest
from inputs.some_events import batch_of, events

import fastjag as fj
from fastjag.core.devices import to_host
from fastjag.inputs import Inputs

JETS = fj.particles("Jet", ["pt"], 2)


class TestTarget:
    def test_of_data_sets(self, device):
        inputs = Inputs.of(JETS, target={"TT*": 1, "QCD_*": 0, "W": 1})
        inputs.check_datasets(["TTbar", "QCD_HT100", "QCD_HT200"])
        for name, code in (("TTbar", 1), ("QCD_HT100", 0), ("W", 1)):
            found = inputs.tensors(inputs.rows(events(3, dataset=name).to(device)))["target"]
            assert to_host(found).tolist() == [code] * 3
            assert found.dtype == np.int64
        assert inputs.target.n_classes == 2
        assert Inputs.of(JETS, target=["QCD", "TT"]).target.code("TT") == 1

    def test_data_sets_without_class_and_classes_without_data_set(self):
        inputs = Inputs.of(JETS, target=["QCD", "TT"])
        with pytest.raises(ValueError, match="no class for data set 'qcd': did you mean 'QCD'"):
            inputs.check_datasets(["qcd", "TT"])
        with pytest.raises(ValueError, match=r"no data set is of class 1 \('TT'\)"):
            inputs.check_datasets(["QCD"])

    def test_of_expressions(self, device):
        batch = events(50)
        for text, expected in (
            ("label", batch["label"].astype(np.int64)), ("MET_pt > 20", (batch["MET_pt"] > 20).astype(np.int64)),
            ("log(MET_pt)", np.log(batch["MET_pt"])), ("max(Jet_pt) > 20", None),
        ):  # fmt: skip
            inputs = Inputs.of(JETS, target=text)
            found = to_host(inputs.tensors(inputs.rows(batch.to(device)))["target"])
            if expected is not None:
                assert found.dtype == expected.dtype
                np.testing.assert_allclose(found, expected, rtol=1e-6)

    def test_classes(self, device):
        batch = events(50)
        inputs = Inputs.of(
            JETS, target={"b": "label == 2", "light": "label == 0", "c": "label == 1"}
        )
        found = to_host(inputs.rows(batch.to(device))["target"])
        assert found.tolist() == [{2: 0, 0: 1, 1: 2}[n] for n in batch["label"].tolist()]
        batch.flat["label"][7] = 9
        with pytest.raises(
            ValueError, match=r"a.root: entry 107 is of no class of \('b', 'light', 'c'\)"
        ):
            inputs.rows(batch_of(batch.Jet.offsets, {"pt": batch.Jet.pt}, batch.flat, start=100))
        both = Inputs.of(JETS, target={"a": "label >= 1", "b": "label >= 2", "c": "label == 0"})
        with pytest.raises(ValueError, match="is of classes a and b of"):
            both.rows(events(50))

    @pytest.mark.parametrize(
        "given_now", [5, {}, [], {"a": -1}, {"a": 1, "b": "x"}, [1, 2], {"a": 0.5}]
    )
    def test_refused(self, given_now):
        with pytest.raises(ValueError, match="target must be an expression, data sets"):
            Inputs.of(JETS, target=given_now)


class TestWeights:
    @pytest.mark.parametrize("negative", ["abs", "clip", "drop"])
    def test_negative_ones(self, device, negative):
        batch = events(200)
        inputs = Inputs.of(JETS, weight=fj.weights("w", negative=negative), observers="w")
        found = {n: to_host(v) for n, v in inputs.tensors(inputs.rows(batch.to(device))).items()}
        w = batch["w"]
        expected = {"abs": abs(w), "clip": np.maximum(w, 0), "drop": w[w >= 0]}[negative]
        assert found["weight"].dtype == np.float32
        np.testing.assert_allclose(found["weight"], expected, rtol=1e-6)
        kept = w >= 0 if negative == "drop" else np.ones(200, bool)
        np.testing.assert_array_equal(found["w"], w[kept])
        assert found["Jet_mask"].sum() == np.minimum(batch.Jet.counts[kept], 2).sum()

    def test_an_error_names_the_event(self):
        batch = events(50, start=1000)
        first = 1000 + int((batch["w"] < 0).argmax())
        with pytest.raises(ValueError, match=f"a.root: entry {first} has w = -.*negative='abs'"):
            Inputs.of(JETS, weight=fj.weights("w", negative="error")).rows(batch)
        batch.flat["w"][3] = np.nan
        with pytest.raises(ValueError, match="entry 1003 has w = nan: weights must be finite"):
            Inputs.of(JETS, weight="w").rows(batch)

    @pytest.mark.parametrize("negative", ["abs", "clip", "drop"])
    def test_balanced_as_training_weights_are(self, device, negative):
        from fastjag.models.weights import training_weights

        batch = events(300)
        inputs = Inputs.of(JETS, "label", fj.weights("w", balance=True, negative=negative))
        assert not inputs.fitted
        with pytest.raises(ValueError, match="nobody has fitted"):
            inputs.tensors(inputs.rows(batch))
        fitted = inputs.fit([batch.to(device)], events=None)
        found = fitted.tensors(fitted.rows(batch.to(device)))["weight"]
        expected = training_weights(batch["label"], batch["w"], negative=negative)
        np.testing.assert_allclose(to_host(found), expected.weights, rtol=1e-6)

    @pytest.mark.parametrize("method", ["flat", "ref"])
    def test_reweighting_in_one_bin_is_balancing(self, method):
        batch = events(300)
        given = {"MET_pt": [0, 1e9]}
        inputs = Inputs.of(JETS, "label", fj.weights("abs(w)", reweight=given, method=method))
        with pytest.raises(ValueError, match="nobody has fitted"):
            inputs.tensors(inputs.rows(batch))
        balanced = Inputs.of(JETS, "label", fj.weights("abs(w)", balance=True))
        found, expected = (
            one.tensors(one.rows(batch))["weight"]
            for one in (i.fit([batch]) for i in (inputs, balanced))
        )
        np.testing.assert_allclose(found, expected, rtol=1e-6)

    def test_bins_of_reweighting(self, device):
        """Edges belong to the bin above, the last one to the last; what is outside has no weight."""
        x = np.array([0.0, 1.0, 1.5, 2.0, 2.1, -0.1, np.nan, np.inf, 0.5])
        batch = batch_of(
            np.zeros(10, int), {"pt": np.empty(0)}, {"x": x, "label": np.zeros(9, int)}
        )
        for outside, inside in (("drop", 5), ("clip", 8)):
            weight = fj.weights(reweight={"x": [0, 1, 2]}, outside=outside)
            inputs = Inputs.of(fj.features("x"), "label", weight)
            cells = to_host(inputs.rows(batch.to(device))["weight_cell"])
            clipped = [1, 0, -1, 1] if outside == "clip" else [-1] * 4
            assert cells.tolist() == [0, 1, 1, 1, *clipped, 0]
            fitted = inputs.fit([batch.to(device)])
            found = to_host(fitted.tensors(fitted.rows(batch.to(device)))["weight"])
            assert (found > 0).sum() == inside
            np.testing.assert_allclose(found.mean(), 1, rtol=1e-6)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"reweight": {}}, "variables must name one expression"),
            ({"reweight": {"x": [1]}}, "the edges of 'x' must ascend"),
            ({"reweight": {"x": [1, 1]}}, "the edges of 'x' must ascend"),
            ({"reweight": {"1 + 1": [1, 2]}}, "variables must name branches"),
            ({"reweight": {"x": [1, 2]}, "balance": True}, "two ways to the same"),
            ({"reweight": {"x": [1, 2]}, "method": "max"}, "method must be 'flat' or 'ref'"),
            ({"reweight": {"x": [1, 2]}, "threshold": 101}, "threshold must be a number >= 0 and up to 100"),
            ({"reweight": {"x": [1, 2]}, "outside": "keep"}, "outside must be"),
            ({"reweight": {"x": [1, 2]}, "class_weights": [0, 1]}, "class_weights must be"),
            ({"expression": "1 + 1"}, "the weight must name a branch"),
            ({"negative": "keep"}, "negative must be"),
        ],
    )  # fmt: skip
    def test_refused(self, options, message):
        with pytest.raises(ValueError, match=message):
            fj.weights(**options)

    def test_targets_that_are_no_classes(self):
        batch = events(50)
        batch.flat["code"] = np.full(50, -1, np.int16)
        for text, message in (
            ("MET_pt", "need a target of integers"), ("label / 2", "got floats"),
            ("code", "classes are 0, 1, .*, but the target is -1"),
        ):  # fmt: skip
            inputs = Inputs.of(JETS, text, fj.weights(balance=True))
            with pytest.raises(ValueError, match=message):
                inputs.fit([batch])

    def test_other_numbers_of_classes(self):
        batch = events(300)
        weight = fj.weights(reweight={"MET_pt": [0, 1e9]}, class_weights=[1, 2])
        with pytest.raises(ValueError, match="class_weights must be one for each of 3 classes"):
            Inputs.of(JETS, "label", weight).fit([batch])
        few = batch[batch["label"] < 2]
        fitted = Inputs.of(JETS, "label", weight).fit([few])
        with pytest.raises(ValueError, match="is of class 2, which the sample"):
            fitted.tensors(fitted.rows(batch))

    def test_a_class_that_the_sample_had_not(self):
        batch = events(300)
        few = batch[batch["label"] < 2]
        fitted = Inputs.of(JETS, "label", fj.weights(balance=True)).fit([few])
        with pytest.raises(ValueError, match="is of class 2, which the sample"):
            fitted.tensors(fitted.rows(batch))
        with pytest.raises(ValueError, match=r"class 2 has no weight in the sample of \d+ events"):
            Inputs.of(JETS, {"a": "label == 0", "b": "label == 1", "c": "label == 2"},
                      fj.weights(balance=True)).fit([few])  # fmt: skip

    def test_balance_needs_classes(self):
        with pytest.raises(ValueError, match="weight balances classes, but the target has none"):
            Inputs.of(JETS, weight=fj.weights(balance=True))
