"""Tensors of groups: against slots filled one by one, on every device."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from inputs.some_events import batch_of, batches
from on_device import moved

import fastjag as fj
from fastjag.core.devices import to_host
from fastjag.inputs import Inputs, join, nested, pick

JETS = fj.particles("Jet", "pt", 2)
OPTIONS = st.fixed_dictionaries(
    {
        "log": st.sampled_from([(), ("pt",), ("pt", "eta")]),
        "standardise": st.sampled_from([None, {"pt": (1.5, 0.25)}, {"eta": (0.0, -2.0), "pt": None}]),
        "clip": st.sampled_from([None, (-1.0, 2.0), {"pt": (0.0, 1.0)}]),
        "nan": st.sampled_from([None, 0.0, -7.5]),
    }
)  # fmt: skip
PADDING = st.fixed_dictionaries(
    {
        "by": st.sampled_from([None, "pt", "abs(Jet_eta)"]),
        "where": st.sampled_from([None, "Jet_pt > 0", "Jet_n > MET_pt or Jet_eta < 0"]),
        "fill": st.sampled_from([0.0, -1.5, {"eta": 3.0}]),
        "pad_mode": st.sampled_from(["constant", "wrap"]),
        "layout": st.sampled_from(["NKF", "NFK"]),
    }
)


def prepared(name, x, options):
    """One number as the model sees it."""
    x = float(x)
    if name in options["log"]:
        x = (
            math.log(x)
            if x > 0 and x < math.inf
            else (-math.inf if x == 0 else x if x > 0 else math.nan)
        )
    way = (options["standardise"] or {}).get(name)
    x = x if way is None else (x - way[0]) / way[1]
    clip = options["clip"]
    clip = clip.get(name) if isinstance(clip, dict) else clip
    if clip is not None and not math.isnan(x):
        x = min(max(x, clip[0]), clip[1])
    if math.isnan(x) and options["nan"] is not None:
        return options["nan"]
    return x


def seen(batch, i, options):
    """(pt, eta) of the particles of an event, chosen and in their order, one after the other."""
    jets = batch.Jet[i]
    particles = list(range(len(jets)))
    pt, eta, n = (np.asarray(jets[name], np.float64) for name in ("pt", "eta", "n"))
    met = float(batch["MET_pt"][i])
    if options["where"] == "Jet_pt > 0":
        particles = [k for k in particles if pt[k] > 0]
    elif options["where"] is not None:
        particles = [k for k in particles if n[k] > met or eta[k] < 0]
    if options["by"] is not None:
        key = pt if options["by"] == "pt" else abs(eta)
        particles.sort(key=lambda k: (math.isnan(key[k]), -key[k] if not math.isnan(key[k]) else 0))
    return [(pt[k], eta[k]) for k in particles]


def on_host(tensors):
    return {name: to_host(values) for name, values in tensors.items()}


class TestParticles:
    @settings(max_examples=60)
    @given(
        batch=batches(dtypes=("f4", "i2"), huge=40),
        options=OPTIONS,
        padding=PADDING,
        width=st.integers(1, 5),
    )
    def test_every_slot(self, device, batch, options, padding, width):
        group = fj.particles("Jet", ["pt", "eta"], width, **options, **padding)
        inputs = Inputs.of(group)
        found = on_host(inputs.tensors(inputs.rows(batch.to(device))))
        values = found["Jet"] if padding["layout"] == "NKF" else found["Jet"].transpose(0, 2, 1)
        assert values.dtype == np.float32
        assert values.shape == (len(batch), width, 2)
        fill = padding["fill"]
        fills = [fill.get(n, 0.0) if isinstance(fill, dict) else fill for n in ("pt", "eta")]
        for i in range(len(batch)):
            chosen = seen(batch, i, padding)
            for slot in range(width):
                assert found["Jet_mask"][i, slot] == (slot < len(chosen))
                if slot < len(chosen) or (chosen and padding["pad_mode"] == "wrap"):
                    number = chosen[slot % len(chosen)]
                    expected = [
                        prepared(n, x, options) for n, x in zip(("pt", "eta"), number, strict=True)
                    ]
                else:
                    expected = fills
                with np.errstate(over="ignore"):
                    np.testing.assert_allclose(
                        values[i, slot], np.asarray(expected, "f4"), rtol=3e-6, atol=1e-6
                    )

    def test_memory_is_used_again(self, device):
        batch = batch_of([0, 2, 3], {"pt": [3.0, 1.0, 2.0]}).to(device)
        inputs = Inputs.of(fj.particles("Jet", "pt", 2, standardise={"pt": (1, 2)}))
        first = inputs.tensors(inputs.rows(batch))
        again = inputs.tensors(inputs.rows(batch[:1]), first)
        assert np.shares_memory(again["Jet"], first["Jet"]) if device == "cpu" else True
        assert to_host(again["Jet"]).tolist() == [[[1.0], [0.0]]]

    def test_types_that_differ_from_file_to_file(self):
        inputs = Inputs.of(JETS, target="x", observers="y")
        first = batch_of(
            [0, 0], {"pt": np.empty(0)}, {"x": np.ones(1, "i4"), "y": np.ones(1, "u8")}
        )
        tensors = inputs.tensors(inputs.rows(first))
        for name, message in (
            ("x", "'target' is float32 .* and int64"),
            ("y", "'y' is float64 .* uint64"),
        ):
            other = batch_of([0, 0], {"pt": np.empty(0)}, first.flat | {name: np.ones(1)})
            with pytest.raises(TypeError, match=message):
                inputs.tensors(inputs.rows(other), tensors)

    def test_numbers_of_the_event_go_with_each_particle(self, device):
        batch = batch_of(
            [0, 2, 2, 3], {"pt": [4.0, 2.0, 9.0]}, {"MET_pt": np.array([2, 1, 3], "f4")}
        )
        inputs = Inputs.of(
            fj.particles("Jet", ["Jet_pt / MET_pt", "`MET_pt`", "Jet_pt / Jet_pt[0]"], 2)
        )
        assert inputs.columns == ("Jet_pt", "MET_pt")
        found = to_host(inputs.tensors(inputs.rows(batch.to(device)))["Jet"])
        assert found.tolist() == [[[2, 2, 1], [1, 2, 0.5]], [[0] * 3] * 2, [[3, 3, 1], [0] * 3]]


class TestNames:
    def test_a_name_alone_is_a_column_of_the_collection(self):
        names = ["pt", "Jet_pt", "Jet.pt", "JetPuppi_pt", "`MET_pt`", "2 * pt", "`Jet/pt`"]
        found = [column.expression for column in fj.particles("Jet", names, 2, by="eta").columns]
        assert found == [
            "Jet_pt",
            "Jet_pt",
            "Jet.pt",
            "Jet_JetPuppi_pt",
            "`MET_pt`",
            "2 * pt",
            "`Jet/pt`",
        ]
        assert fj.particles("Jet", "pt", 2, by="eta").by == "Jet_eta"
        assert [column.expression for column in fj.features(["pt", "Jet_n"]).columns] == [
            "pt",
            "Jet_n",
        ]

    def test_of_tensors(self):
        assert fj.particles("Jet", "pt", 2).name == "Jet"
        assert fj.ragged("Jet", "pt", name="j").name == "j"
        assert fj.features("x").name == "features"
        assert fj.features("x").columns[0].fill == 0


class TestFeatures:
    @settings(max_examples=40)
    @given(batch=batches(dtypes=("f4",), huge=40), options=OPTIONS)
    def test_every_event(self, device, batch, options):
        batch.flat = {"pt": batch["MET_pt"], "eta": batch["nPV"], "event": batch["event"]}
        inputs = Inputs.of(fj.features(["pt", "eta"], **options))
        found = on_host(inputs.tensors(inputs.rows(batch.to(device))))["features"]
        assert found.dtype == np.float32
        assert found.shape == (len(batch), 2)
        for i in range(len(batch)):
            expected = [prepared(n, batch.flat[n][i], options) for n in ("pt", "eta")]
            with np.errstate(over="ignore"):
                np.testing.assert_allclose(
                    found[i], np.asarray(expected, "f4"), rtol=3e-6, atol=1e-6
                )

    def test_of_particles(self, device):
        batch = batch_of([0, 2, 2], {"pt": [4.0, 2.0]})
        inputs = Inputs.of(fj.features(["sum(Jet_pt)", "Jet_pt[1]", "count(Jet_pt)"], nan=-1))
        found = to_host(inputs.tensors(inputs.rows(batch.to(device)))["features"])
        assert found.tolist() == [[6, 2, 2], [0, -1, 0]]

    def test_a_number_of_each_particle_is_refused(self):
        batch = batch_of([0, 2, 2], {"pt": [4.0, 2.0]})
        inputs = Inputs.of(fj.features(["Jet_pt"]))
        with pytest.raises(
            ValueError, match=r"'Jet_pt' has a number for each particle.*Jet_pt\[0\]"
        ):
            inputs.rows(batch)


class TestRagged:
    @settings(max_examples=40)
    @given(batch=batches(dtypes=("f4", "f8"), huge=40), options=OPTIONS,
           by=st.sampled_from([None, "pt"]), where=st.sampled_from([None, "Jet_pt > 0"]))  # fmt: skip
    def test_every_particle(self, device, batch, options, by, where):
        inputs = Inputs.of(fj.ragged("Jet", ["pt", "eta"], by=by, where=where, **options))
        found = on_host(inputs.tensors(inputs.rows(batch.to(device))))
        events = [seen(batch, i, {"by": by, "where": where}) for i in range(len(batch))]
        assert np.diff(found["Jet_offsets"]).tolist() == [len(e) for e in events]
        expected = [
            [prepared("pt", a, options), prepared("eta", b, options)] for e in events for a, b in e
        ]
        assert found["Jet"].dtype == np.float32
        with np.errstate(over="ignore"):
            expected = np.asarray(expected, "f4").reshape(-1, 2)
        np.testing.assert_allclose(found["Jet"], expected, rtol=3e-6, atol=1e-6)

    def test_nested(self):
        batch = batch_of([0, 2, 2, 3], {"pt": [4.0, 2.0, 9.0], "eta": [0.0, 1.0, 2.0]})
        inputs = Inputs.of(fj.ragged("Jet", ["pt", "eta"]))
        tensors = inputs.tensors(inputs.rows(batch))
        as_torch = {name: torch.tensor(values) for name, values in tensors.items()}
        for given_now in (tensors, as_torch):
            parts = nested(given_now, "Jet").unbind()
            assert [part.tolist() for part in parts] == [[[4, 0], [2, 1]], [], [[9, 2]]]


class TestRows:
    @settings(max_examples=25)
    @given(batch=batches(dtypes=("f4", "i2"), huge=40), cut=st.floats(0, 1), data=st.data())
    def test_joined_and_picked_is_the_same(self, device, batch, cut, data):
        inputs = Inputs.of(
            [fj.particles("Jet", ["pt", "log(Jet_n)"], 3, by="eta"), fj.ragged("Jet", "eta", name="all"),
             fj.features("MET_pt")],
            target="nPV > 3", weight="nPV", observers="event",
        )  # fmt: skip
        batch = batch.to(device)
        middle = round(cut * len(batch))
        whole = inputs.rows(batch)
        parts = join([inputs.rows(batch[:middle]), inputs.rows(batch[middle:])])
        n = len(batch)
        events = np.array(
            data.draw(st.lists(st.integers(0, n - 1), max_size=6) if n else st.just([])), np.int64
        )
        there = moved(events, device)
        one, two = (inputs.tensors(pick(rows, there)) for rows in (whole, parts))
        of_batch = inputs.tensors(inputs.rows(batch[there]))
        for name in one:
            for other in (two, of_batch):
                np.testing.assert_array_equal(to_host(one[name]), to_host(other[name]))

    def test_dense_bytes_are_those_of_tensors(self):
        batch = batch_of(
            [0, 2, 2], {"pt": [4.0, 2.0]}, {"a": np.ones(2), "b": np.ones(2, np.uint64)}
        )
        inputs = Inputs.of(
            [fj.particles("Jet", "pt", 3), fj.features(["a", "a + 1"])],
            "a > 1",
            "a",
            observers=["b"],
        )
        tensors = inputs.tensors(inputs.rows(batch))
        assert inputs.dense_bytes * len(batch) == sum(t.nbytes for t in tensors.values())
        assert inputs.is_dense
        assert not Inputs.of(fj.ragged("Jet", "pt")).is_dense


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fj.particles("Jet", [], 3), "columns must name at least one"),
        (lambda: fj.particles("Jet", [5], 3), "columns must be texts"),
        (lambda: fj.particles(5, ["pt"], 3), "collection must be a text"),
        (lambda: fj.particles("Jet", ["pt", "pt"], 3), "'pt' twice"),
        (lambda: fj.particles("Jet", ["pt"], 0), "width must be an integer >= 1, got 0"),
        (lambda: fj.particles("Jet", ["pt"], 3, log=["Pt"]), "log names 'Pt'.*did you mean 'pt'"),
        (lambda: fj.particles("Jet", ["pt"], 3, standardise="fitt"), "must be 'fit', None or"),
        (lambda: fj.particles("Jet", ["pt"], 3, standardise={"pt": (1, 0)}), "scale of 'pt' must not be 0"),
        (lambda: fj.particles("Jet", ["pt"], 3, standardise={"eta": "fit"}), "standardise names 'eta'"),
        (lambda: fj.particles("Jet", ["pt"], 3, clip=(2, 1)), r"clip of 'pt' must be \(low, high\)"),
        (lambda: fj.particles("Jet", ["pt"], 3, pad_mode="zero"), "pad_mode must be 'constant' or 'wrap'"),
        (lambda: fj.particles("Jet", ["pt"], 3, layout="KNF"), "layout must be"),
        (lambda: fj.particles("Jet", ["pt"], 3, by="lg(Jet_pt)"), "no function 'lg'"),
        (lambda: fj.particles("Jet", ["1 + 1"], 3), "must name a branch"),
        (lambda: fj.features(["log(MET_pt"]), "cannot be read"),
    ],
)  # fmt: skip
def test_refused(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()
