"""device="cuda": the same results as on the CPU, as NumPy arrays and histograms."""

import gc
from collections import Counter, defaultdict
from typing import NamedTuple

import numpy as np
import pytest
from batch.engines import Chaos
from hypothesis import given, settings
from hypothesis import strategies as st

import fastjag as fj
from fastjag import batch, toys
from fastjag.batch.device import on_host
from fastjag.core import devices
from fastjag.core.devices import on_gpu
from fastjag.selection import Step

COLUMNS = ["Muon_pt", "Muon_eta", "Muon_phi", "Muon_mass", "Muon_charge", "MET_pt"]


@pytest.fixture(scope="module")
def pieces(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    for i in range(2):
        toys.write(folder / f"{i}.root", 700 + i, seed=i)
    return fj.ranges(folder, size=300)  # a cluster of each file


def counts(events):
    good = events.Muon.keep(events.Muon["pt"] > 4)
    pairs = fj.dimuon(good, charge="opposite")
    assert on_gpu(events["MET_pt"]) == on_gpu(pairs.mass)
    return {
        "mass": fj.histogram(pairs.mass, (60, 0, 120)), "pairs": len(pairs.mass), "where": {good.device},
        "muons": good.counts.sum(), "met": (events["MET_pt"] > 30).sum(), "jagged": good,
    }  # fmt: skip


def same(gpu, cpu):
    assert gpu["mass"] == cpu["mass"]
    for name in ("pairs", "muons", "met"):
        assert int(gpu[name]) == int(cpu[name])
    assert fj.equal(gpu["jagged"], cpu["jagged"])


class TestRun:
    @pytest.mark.parametrize("step", [77, "100 MB"])
    def test_equals_the_cpu(self, emulation, pieces, step):
        cpu = batch.run(counts, pieces, COLUMNS, step=step).value
        gpu = batch.run(counts, pieces, COLUMNS, step=step, device="cuda").value
        assert (cpu.pop("where"), gpu.pop("where")) == ({"cpu"}, {"cuda"})
        assert gpu["jagged"].device == "cpu"
        assert isinstance(gpu["muons"], np.integer)
        same(gpu, cpu)

    def test_on_workers_that_die(self, emulation, pieces, tmp_path):
        cpu = batch.run(counts, pieces, COLUMNS, step=77).value
        for _ in range(2):  # the second time from what is kept
            gpu = batch.run(
                counts, pieces, COLUMNS, step=77, device="cuda", executor=Chaos(3, loses=0.3), retries=9,
                keep=tmp_path,
            )  # fmt: skip
            same(gpu.value, cpu)
        assert gpu.kept == len(pieces)
        assert batch.run(counts, pieces, COLUMNS, step=77, keep=tmp_path).kept == 0

    def test_survivors(self, emulation, pieces):
        steps = (Step("met", ["MET_pt"], lambda events: events["MET_pt"] > 20),)

        def selected(chosen):
            sums = {"muons": 0, "where": set()}
            for events in chosen:
                sums["muons"] += int(events.Muon.counts.sum())
                sums["where"].add(events.Muon.device)
            return sums | {"passed": [cut.events for cut in chosen.cutflow][-1]}

        selection = batch.Selection(steps, ("Muon_pt",), batch_size=50)
        cpu = batch.run(selected, pieces, selection).value
        gpu = batch.run(selected, pieces, selection, device="cuda").value
        assert (cpu.pop("where"), gpu.pop("where")) == ({"cpu"}, {"cuda"})
        assert gpu == cpu
        assert gpu["muons"] > 0

    @pytest.mark.parametrize("form", [lambda h: h, lambda h: {"h": h[:1]}, lambda h: h[:1]])
    def test_a_function_that_fills_one_array(self, emulation, pieces, form):
        total = devices.zeros(2, np.int64)

        def filled(events):
            total[0] += len(events)
            return form(total)

        with pytest.raises(batch.BatchError, match=r"the same .* for two batches"):
            batch.run(filled, pieces, COLUMNS, device="cuda")

    def test_an_error_names_its_range(self, emulation, pieces):
        def fails(events):
            if events.source.file.endswith("1.root"):
                return events["MET_pt"].no_such_method()
            return len(events)

        outcome = batch.run(fails, pieces, COLUMNS, device="cuda", on_error="report")
        assert [f.range for f in outcome.failed] == list(pieces[1:])
        assert "no_such_method" in outcome.failed[0].message

    def test_no_room_on_the_gpu(self, emulation, pieces, monkeypatch):
        """What does not fit is read in halves; memory of attempts that failed is free by then."""
        import emulated_memory

        cpu = batch.run(len, pieces, COLUMNS).value
        gc.collect()
        monkeypatch.setattr(emulated_memory, "limit", emulated_memory.used + 9_000)
        gc.disable()  # it comes when it likes
        try:
            small = batch.run(len, pieces, COLUMNS, device="cuda", on_error="report")
        finally:
            gc.enable()
        assert small.value == cpu, small.failed

    def test_where_there_is_no_gpu(self, pieces, monkeypatch):
        from fastjag.kernels import gpu

        def gone():
            raise RuntimeError("there is no NVIDIA driver")

        monkeypatch.setattr(gpu, "cuda_module", gone)
        monkeypatch.setattr(devices, "_cupy", None)
        with pytest.raises(batch.BatchError, match=r"CuPy|NVIDIA"):
            batch.run(len, pieces, COLUMNS, device="cuda")


class Point(NamedTuple):
    x: object
    y: object


nested = st.recursive(
    st.integers(-9, 9) | st.text(max_size=3) | st.none(),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=2), inner, max_size=3)
    | st.tuples(inner, inner)
    | st.builds(Point, inner, inner)
    | st.builds(lambda items: defaultdict(list, items), st.dictionaries(st.text(max_size=2), inner, max_size=2)),
    max_leaves=8,
)  # fmt: skip


class TestOnHost:
    @settings(max_examples=40)
    @given(value=nested)
    def test_what_is_on_the_host_stays(self, value):
        found = on_host(value)
        assert found == value
        assert type(found) is type(value)

    def test_arrays_within(self, emulation):
        def moved(values):
            return devices.to_gpu(np.array(values))

        found = on_host(
            {"a": [moved([1, 2]), Point(moved(3.5), "b")], "c": Counter(d=moved(4)), "e": {5}}
        )
        assert found["a"][0].tolist() == [1, 2]
        assert isinstance(found["a"][0], np.ndarray)
        assert found["a"][1] == Point(3.5, "b")
        assert found["c"] == Counter(d=4)
        assert isinstance(found["c"]["d"], np.integer)
        assert found["e"] == {5}

    def test_pairs(self, emulation):
        rng = np.random.default_rng(1)
        columns = {name: rng.random(30) + 1 for name in ("pt", "eta", "phi")}
        columns["charge"] = rng.choice([-1, 1], 30)
        muons = fj.Jagged.from_counts(np.full(10, 3), columns)
        expected = fj.dimuon(muons)
        found = on_host(fj.dimuon(muons.to("cuda")))
        assert type(found) is type(expected)
        assert found.mass.tobytes() == expected.mass.tobytes()
        assert found.offsets.tolist() == expected.offsets.tolist()
