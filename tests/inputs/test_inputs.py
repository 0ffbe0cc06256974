"""Inputs as a whole: selections, what is saved, and means that batching does not change."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inputs.some_events import events

import fastjag as fj
from fastjag import toys
from fastjag.core.devices import to_host
from fastjag.inputs import Inputs, sampling
from fastjag.io.ranges import Range

JETS = fj.particles("Jet", ["pt"], 2)


class TestSelection:
    def test_events_and_definitions(self, device):
        batch = events(100)
        inputs = Inputs.of(
            [JETS, fj.features(["ht", "met2"])], "label", "abs(w)", selection="ht > 60 and met2 > 1",
            define={"ht": "sum(Jet_pt)", "met2": "log(met)", "met": "MET_pt"}, observers=["event", "met"],
        )  # fmt: skip
        assert set(inputs.columns) == {"Jet_pt", "MET_pt", "label", "w", "event"}
        tensors = inputs.tensors(inputs.rows(batch.to(device)))
        ht = batch.Jet.aggregate("pt", ["sum"])["sum"]
        kept = (ht > 60) & (np.log(batch["MET_pt"]) > 1)
        assert 0 < kept.sum() < 100
        np.testing.assert_allclose(to_host(tensors["features"])[:, 0], ht[kept], rtol=1e-6)
        assert to_host(tensors["event"]).tolist() == batch["event"][kept].tolist()
        assert tensors["event"].dtype == np.uint64
        assert len(tensors["Jet"]) == len(tensors["target"]) == kept.sum()

    def test_circles(self):
        with pytest.raises(ValueError, match="'a' is made of itself: a > b > a"):
            Inputs.of(JETS, define={"a": "b + 1", "b": "2 * a"})
        assert Inputs.of(JETS, define={"a": "a"}).columns == ("Jet_pt",)


class TestFit:
    inputs = Inputs.of(
        [fj.particles("Jet", ["pt", "Jet_eta + MET_pt"], 2, by="pt", log=["pt"], standardise="fit"),
         fj.ragged("Jet", ["eta"], standardise="fit", name="all"),
         fj.features(["MET_pt", "event"], standardise={"MET_pt": "fit"})],
        "label", fj.weights("w", balance=True), selection="MET_pt > 5",
    )  # fmt: skip

    def test_means_and_scales(self):
        batch = events(500)
        fitted = self.inputs.fit([batch], events=None)
        kept = batch[batch["MET_pt"] > 5]
        leading = np.concatenate([np.sort(jets["pt"])[::-1][:2] for jets in kept.Jet])
        logs = np.log(leading).astype(np.float64)
        expected = [(logs.mean(), logs.std()), (kept.Jet.eta.mean(), kept.Jet.eta.std())]
        met = kept["MET_pt"].astype(np.float64)
        expected.append((met.mean(), met.std()))
        found = [g.columns[0] for g in fitted.groups]
        np.testing.assert_allclose([(c.mean, c.scale) for c in found], expected, rtol=1e-12)
        assert fitted.groups[2].columns[1].mean is None
        assert fitted.fit_record.events == len(kept)
        tensors = fitted.tensors(fitted.rows(batch))
        np.testing.assert_allclose(tensors["features"][:, 0].std(), 1, rtol=1e-5)
        standard = tensors["Jet"][..., 0][tensors["Jet_mask"]]
        np.testing.assert_allclose((standard.mean(), standard.std()), (0, 1), atol=1e-5)

    @settings(max_examples=25)
    @given(
        cuts=st.lists(st.integers(0, 300), max_size=8),
        order=st.randoms(),
        limit=st.sampled_from([None, 1, 90, 999]),
    )
    def test_batches_and_their_order_make_no_difference(self, cuts, order, limit):
        inputs = Inputs.of(self.inputs, weight="w")  # a class may be missing in a small sample
        batch = events(300)
        whole = inputs.fit([batch], events=limit, seed=5)
        bounds = sorted({0, 300, *cuts})
        parts = [batch[a:b] for a, b in itertools.pairwise(bounds)]
        order.shuffle(parts)
        assert inputs.fit(parts, events=limit, seed=5) == whole
        assert whole.fit_record.events == min(limit or 999, (batch["MET_pt"] > 5).sum())

    def test_the_seed_says_which(self):
        batch = events(300)
        a, b, c = (self.inputs.fit([batch], events=100, seed=seed) for seed in (1, 1, 2))
        assert a == b != c
        assert a.groups[0].columns[0].mean != c.groups[0].columns[0].mean
        assert a.fit_record.seed == 1

    def test_a_sample_is_one_of_all(self):
        """Means of many samples scatter as those of random ones, around the mean of all."""
        inputs = Inputs.of(fj.features("MET_pt", standardise="fit"))
        batch = events(2000)
        means = [
            inputs.fit([batch], events=100, seed=s).groups[0].columns[0].mean for s in range(60)
        ]
        all_of_them = batch["MET_pt"].astype(float)
        error = all_of_them.std() / 10
        assert abs(np.mean(means) - all_of_them.mean()) < 3.5 * error / 60**0.5
        assert 0.7 < np.std(means) / error < 1.3

    def test_numbers_that_are_not_finite(self):
        batch = events(50)
        batch.flat["MET_pt"][:3] = [np.nan, np.inf, 0]
        fitted = Inputs.of(fj.features("MET_pt", log="MET_pt", standardise="fit", name="f")).fit(
            [batch]
        )
        assert fitted.fit_record.not_finite == {"f.MET_pt": 3}
        logs = np.log(batch["MET_pt"][3:]).astype(float)
        np.testing.assert_allclose(fitted.groups[0].columns[0].mean, logs.mean(), rtol=1e-12)
        batch.flat["MET_pt"][:] = np.nan
        with pytest.raises(ValueError, match="column 'MET_pt' of 'f' has no finite number"):
            Inputs.of(fj.features("MET_pt", standardise="fit", name="f")).fit([batch])

    def test_one_number_has_scale_1(self):
        batch = events(50)
        batch.flat["MET_pt"][:] = 7
        fitted = Inputs.of(fj.features("MET_pt", standardise="fit")).fit([batch])
        assert (fitted.groups[0].columns[0].mean, fitted.groups[0].columns[0].scale) == (7, 1)

    def test_far_from_zero(self):
        batch = events(500)
        batch.flat["x"] = 1e9 + np.random.default_rng(1).normal(size=500)
        column = Inputs.of(fj.features("x", standardise="fit")).fit([batch]).groups[0].columns[0]
        np.testing.assert_allclose(column.scale, (batch["x"] - 1e9).std(), rtol=1e-12)

    def test_not_fitted(self):
        inputs = Inputs.of(fj.particles("Jet", "pt", 2, standardise="fit"))
        with pytest.raises(ValueError, match=r"column 'pt' of 'Jet' .*nobody has fitted"):
            inputs.tensors(inputs.rows(events(3)))
        with pytest.raises(ValueError, match="there are no events to fit"):
            inputs.fit([])
        with pytest.raises(TypeError, match=r"batches or fj.ranges\(...\), got str"):
            inputs.fit(["a.root"])

    def test_of_files(self, tmp_path):
        for i in range(3):
            toys.write(tmp_path / f"{i}.root", 400 + i, seed=i)
        ranges = fj.ranges(tmp_path, 100)
        inputs = Inputs.of(fj.particles("Muon", ["pt"], 3, standardise="fit"))
        everything = fj.iterate(tmp_path, list(inputs.columns))
        whole = inputs.fit(everything, events=None).groups
        again = inputs.fit(ranges, events=None).groups[0].columns[0]
        np.testing.assert_allclose(again.mean, whole[0].columns[0].mean, rtol=1e-12)
        some = inputs.fit(ranges, events=600, seed=3)
        assert some.fit_record.events == 600
        assert some == inputs.fit(ranges, events=600, seed=3)
        assert some.groups[0].columns[0].mean != whole[0].columns[0].mean

    def test_what_is_read_between_pieces_does_not_count(self, tmp_path, monkeypatch):
        toys.write(tmp_path / "a.root", 1000, seed=1)
        ranges = fj.ranges(tmp_path / "a.root", 100)
        parts = [*ranges[:3], *ranges[6:]]  # what is between is of somebody else
        ranges = type(ranges)(parts)
        inputs = Inputs.of(fj.features("MET_pt", standardise="fit"))
        pieces = sampling.windows(ranges, 100, 4)
        assert len(sampling.spans(pieces)) == 1 < len(pieces)
        some = inputs.fit(ranges, events=100, seed=4)
        assert some.fit_record.events == 100
        monkeypatch.setattr(sampling, "GAP", -1)
        assert sampling.spans(pieces) == pieces
        assert inputs.fit(ranges, events=100, seed=4) == some

    def test_small_data_sets_are_seen_and_count_as_they_are(self, tmp_path):
        """A tenth of the events is of class 1: each of the sample counts for as many as it stands for."""
        files = {"large": tmp_path / "large.root", "small": tmp_path / "small.root"}
        toys.write(files["large"], 3600, seed=1)
        toys.write(files["small"], 400, seed=2)
        ranges = fj.ranges({name: [str(path)] for name, path in files.items()}, 400)
        inputs = Inputs.of(
            fj.features(["MET_pt"], standardise="fit"),
            {"large": 0, "small": 1},
            fj.weights(balance=True),
        )
        whole = inputs.fit(ranges, events=None)
        np.testing.assert_allclose(whole.weight.factors, (4000 / 3600 / 2, 4000 / 400 / 2))
        samples = [inputs.fit(ranges, events=800, seed=seed) for seed in range(8)]
        for some in samples:
            assert some.fit_record.events <= 800
            np.testing.assert_allclose(some.weight.factors, whole.weight.factors, rtol=1e-9)
        means = [some.groups[0].columns[0].mean for some in samples]
        column = whole.groups[0].columns[0]
        assert abs(np.mean(means) - column.mean) < 3 * column.scale / (8 * 700) ** 0.5

    @settings(max_examples=50)
    @given(
        sizes=st.lists(st.integers(0, 200), min_size=1, max_size=6),
        n=st.integers(1, 400),
        seed=st.integers(0, 9),
        n_sets=st.integers(1, 3),
    )
    def test_pieces_of_ranges(self, sizes, n, seed, n_sets):
        starts = [7 * i for i in range(len(sizes))]
        ranges = [
            Range(f"d{i % n_sets}", f"{i}.root", "T", a, a + s)
            for i, (a, s) in enumerate(zip(starts, sizes, strict=True))
        ]
        found = sampling.windows(ranges, n, seed)
        entries = [(r.dataset, r.file, e) for r in found for e in range(r.start, r.stop)]
        possible = {(r.dataset, r.file, e) for r in ranges for e in range(r.start, r.stop)}
        some = {r.dataset for r in ranges if len(r)}
        assert {name for name, _, _ in entries} == some
        assert len(entries) == len(set(entries)) <= max(min(n, sum(sizes)), len(some))
        if n_sets == 1 or sum(sizes) <= n:
            assert len(entries) == min(n, sum(sizes))
        assert set(entries) <= possible


class TestSaved:
    def test_to_the_last_bit(self, tmp_path):
        fitted = TestFit.inputs.fit([events(300)], events=200, seed=3)
        fitted.save(tmp_path / "inputs.json")
        again = Inputs.load(tmp_path / "inputs.json")
        assert again == fitted
        assert again.digest == fitted.digest != TestFit.inputs.digest
        batch = events(40, seed=1)
        for name, values in fitted.tensors(fitted.rows(batch)).items():
            np.testing.assert_array_equal(again.tensors(again.rows(batch))[name], values)

    def test_clipped_at_infinity(self, tmp_path):
        inputs = Inputs.of(fj.features("MET_pt", clip=(0, np.inf)))
        inputs.save(tmp_path / "a.json")
        assert Inputs.load(tmp_path / "a.json") == inputs

    def test_what_is_wrong_is_named(self, tmp_path):
        path = tmp_path / "a.json"
        Inputs.of(JETS).save(path)
        content = json.loads(path.read_text())
        for change, message in (
            ({"format": 99}, "a.json: no inputs of format"),
            ({"group": []}, "unknown key in .*a.json: 'group': did you mean 'groups'"),
            ({"groups": [content["groups"][0] | {"width": -1}]}, r"groups\[0\].width must be an integer >= 1"),
        ):  # fmt: skip
            path.write_text(json.dumps(content | change))
            with pytest.raises(ValueError, match=message):
                Inputs.load(path)
        path.write_text("{")
        with pytest.raises(ValueError, match=r"a\.json: is no JSON file"):
            Inputs.load(path)


class TestMaking:
    def test_of_what_the_loader_takes(self):
        both = [JETS, fj.features("MET_pt")]
        assert [g.name for g in Inputs.of(both).groups] == ["Jet", "features"]
        assert [g.name for g in Inputs.of({"j": JETS, "e": both[1]}).groups] == ["j", "e"]
        inputs = Inputs.of(both, target="label")
        assert Inputs.of(inputs) is inputs
        assert Inputs.of(inputs, weight="w").target == inputs.target
        assert Inputs.of(inputs, weight="w").for_prediction() == Inputs.of(both)

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda: Inputs.of([]), "groups must be a list"),
            (lambda: Inputs.of(["Jet"]), "inputs are groups made by fj.particles"),
            (lambda: Inputs.of([JETS, JETS]), "different names, got 'Jet' twice"),
            (lambda: Inputs.of([JETS, fj.features("x", name="Jet_mask")]), "'Jet_mask' twice"),
            (lambda: Inputs.of({"target": JETS}), "'target' twice"),
            (lambda: Inputs.of(JETS, weight=5), "weight must be an expression"),
            (lambda: Inputs.of(JETS, selection="x >"), "cannot be read"),
        ],
    )  # fmt: skip
    def test_refused(self, call, message):
        with pytest.raises((ValueError, TypeError), match=message):
            call()
