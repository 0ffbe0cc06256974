"""fj.loader: every event once, in an order that a seed decides, whatever threads there are."""

import json
import threading

import numpy as np
import pytest
from loading.seen import LITTLE, RaggedSeen, Seen, WideSeen, write

import fastjag as fj
from fastjag.core.devices import on_gpu
from fastjag.loading.plan import EventCost, Options, Plan


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """4,600 events in three files: two data sets."""
    folder = tmp_path_factory.mktemp("loader")
    return {
        "signal": [write(folder / "a.root", 0, 2000, 1), write(folder / "b.root", 2000, 1000, 1)],
        "background": [write(folder / "c.root", 3000, 1600, 0)],
    }


def numbers(batches):
    return [b.id.tolist() for b in batches]


def check(batch):
    """That particles are those of their events."""
    jets, mask = batch.Jet, batch.Jet_mask
    assert (jets[..., 0] == np.where(mask, batch["id"][:, None], 0)).all()
    assert len(batch["id"]) == batch.n_events


@pytest.mark.parametrize("seen", [Seen, WideSeen])
class TestOrder:
    def test_every_event_once(self, files, seen):
        loader = fj.loader(files, seen(), batch_size=100, memory=LITTLE)
        assert len(loader.plan.sets[0].laps) > 5
        batches = list(loader)
        for batch in batches:
            check(batch)
        assert [b.n_events for b in batches] == [100] * 46
        assert len(loader) == 46
        assert loader.n_events == 4_600
        found = np.concatenate([b["id"] for b in batches]).tolist()
        assert sorted(found) == list(range(4_600))
        assert [(b.epoch, b.number) for b in batches] == [(0, i) for i in range(46)]

    def test_as_it_stands(self, files, seen):
        loader = fj.loader(files, seen(), batch_size=128, shuffle=None, memory=LITTLE)
        found = np.concatenate([b["id"] for b in loader])
        assert found.tolist() == list(range(4_600))

    def test_epochs_differ_and_seeds_decide(self, files, seen):
        def epochs(seed):
            loader = fj.loader(files, seen(), batch_size=100, seed=seed, memory=LITTLE)
            return [numbers(loader) for _ in range(2)]

        one, again, other = epochs(1), epochs(1), epochs(2)
        assert one == again
        assert one[0] != one[1]
        assert one[0] != other[0]


def test_names(files):
    batch = next(iter(fj.loader(files, Seen(), batch_size=10)))
    assert (batch.epoch, batch.number) == (0, 0)
    assert batch["id"].shape == (10,)
    assert set(batch) == {"Jet", "Jet_mask", "id", "label"}
    assert "10 events" in repr(batch)
    with pytest.raises(KeyError, match="no tensor 'jet': did you mean 'Jet'"):
        batch["jet"]
    with pytest.raises(AttributeError, match="a batch has no 'jet': did you mean 'Jet'"):
        _ = batch.jet


def test_threads_change_nothing(files, monkeypatch):
    found = []
    for threads in ("1", "3"):
        monkeypatch.setenv("FASTJAG_NUM_THREADS", threads)
        found.append(
            [b["id"].tolist() for b in fj.loader(files, Seen(), batch_size=100, memory=LITTLE)]
        )
    assert found[0] == found[1]


def test_ragged_groups(files):
    for batch in fj.loader(files, RaggedSeen(), batch_size=64, memory=LITTLE):
        counts = np.diff(batch.Jet_offsets)
        assert batch.Jet.tolist() == np.repeat(batch["id"], counts).tolist()


@pytest.mark.parametrize("ranks", [2, 3, 4])
@pytest.mark.parametrize("drop_last", [False, True])
def test_ranks_share_an_epoch(files, ranks, drop_last):
    loaders = [
        fj.loader(
            files,
            Seen(),
            batch_size=100,
            memory=LITTLE,
            rank=r,
            world_size=ranks,
            drop_last=drop_last,
        )
        for r in range(ranks)
    ]
    epochs = [[b["id"].tolist() for b in loader] for loader in loaders]
    assert {len(batches) for batches in epochs} == {len(loaders[0])}
    found = sorted(n for batches in epochs for batch in batches for n in batch)
    assert len(set(found)) == len(found) == loaders[0].n_events
    assert len(found) == (46 // ranks * ranks * 100 if drop_last else 4_600)


def test_what_is_dropped_is_other_events_in_other_epochs(files):
    loader = fj.loader(files, Seen(), batch_size=1000, drop_last=True)
    kept = [{n for b in loader for n in b["id"].tolist()} for _ in range(2)]
    assert len(kept[0]) == len(kept[1]) == 4_000
    assert kept[0] != kept[1]


@pytest.mark.parametrize("n_sets", [2, 3, 12])
def test_sets_of_lanes(files, n_sets):
    """As large data have them: each set has ranges of its own."""
    loader = fj.loader(files, Seen(), batch_size=100, memory=LITTLE)
    runs = loader.plan.runs
    options = Options(100, "buffer", 0, 12, 1, False, LITTLE)
    loader.plan = Plan.of(runs, options, EventCost(50, 50), n_sets)
    batches = list(loader)
    assert sorted(n for b in batches for n in b["id"].tolist()) == list(range(4_600))
    places = [
        {(s.run, s.start) for lane in own.lanes for s in lane.segments} for own in loader.plan.sets
    ]
    assert sum(map(len, places)) == len(set().union(*places))
    assert all({run for run, _ in own} == {0, 1, 2} for own in places)


class TestState:
    @pytest.mark.parametrize("after", [0, 1, 46, 60])
    def test_the_next_batch_is_the_next_one(self, files, after):
        def fresh():
            return fj.loader(files, Seen(), batch_size=100, memory=LITTLE, epochs=2)

        whole = [(b.epoch, b.number, b["id"].tolist()) for b in fresh()]
        assert len(whole) == 92
        first, second = fresh(), fresh()
        batches = iter(first)
        begun = [next(batches) for _ in range(after)]
        state = json.loads(json.dumps(first.state_dict()))
        batches.close()
        second.load_state_dict(state)
        rest = list(second)
        assert [(b.epoch, b.number, b["id"].tolist()) for b in [*begun, *rest]] == whole

    def test_of_another_loader(self, files):
        state = fj.loader(files, Seen(), batch_size=100).state_dict()
        with pytest.raises(ValueError, match=r"other data or options: .*seed 0, not 3"):
            fj.loader(files, Seen(), batch_size=100, seed=3).load_state_dict(state)
        with pytest.raises(ValueError, match="n_events 4600, not 3000"):
            fj.loader(files["signal"], Seen(), batch_size=100).load_state_dict(state)

    def test_a_loop_that_is_left_is_an_epoch(self, files):
        loader = fj.loader(files, Seen(), batch_size=100)
        left = next(iter(loader))
        assert (left.epoch, next(iter(loader)).epoch) == (0, 1)
        loader.set_epoch(0)
        assert next(iter(loader))["id"].tolist() == left["id"].tolist()


def test_threads_end_with_the_loop(files):
    before = threading.active_count()
    loader = fj.loader(files, Seen(), batch_size=100, memory=LITTLE)
    batches = iter(loader)
    next(batches)
    assert threading.active_count() > before
    batches.close()
    assert threading.active_count() == before


class TestErrors:
    @pytest.mark.parametrize(("options", "message"), [
        ({"batch_size": 0}, "batch_size must be"),
        ({"shuffle": "all"}, "shuffle must be"),
        ({"seed": -1}, "seed must be an integer of 0 or more, got -1"),
        ({"epochs": 0}, "epochs must be"),
        ({"memory": 1000}, "memory=1,000 bytes is not enough for batches of 1024"),
        ({"rank": 0}, "give rank and world_size, or none"),
        ({"rank": 2, "world_size": 2}, "rank must be one of 0 to 1, got 2"),
        ({"rank": 0, "world_size": 5}, "5 ranks = 5 do not divide the 12 streams"),
        ({"on_error": "stop"}, "on_error must be"),
    ])  # fmt: skip
    def test_arguments(self, files, options, message):
        with pytest.raises(ValueError, match=message):
            fj.loader(files, Seen(), **options)

    def test_no_such_branch(self, files):
        class Other(Seen):
            columns = ("Jet_pt", "Jet_eta", "ids", "label")

        with pytest.raises(fj.io.ReadError, match=r"root:Events: .*'ids'.*did you mean 'id'"):
            fj.loader(files, Other())

    def test_what_the_inputs_raise_comes_through(self, files):
        class Other(Seen):
            def tensors(self, rows, out=None):
                raise RuntimeError("no tensors today")

        with pytest.raises(RuntimeError, match="no tensors today"):
            next(iter(fj.loader(files, Other())))

    def test_inputs_of_several_lengths(self, files):
        class Other(Seen):
            def rows(self, events):
                return {**super().rows(events), "label": events["label"][1:]}

        with pytest.raises(
            ValueError, match=r"a.root:Events\[0:.*the inputs differ in how many events"
        ):
            next(iter(fj.loader(files["signal"][:1], Other(), shuffle=None)))


class TestDevices:
    def test_batches_on_the_gpu(self, files):
        from on_device import emulated, missing

        if reason := missing("cuda-emulated"):
            pytest.skip(reason)
        expected = list(fj.loader(files, Seen(), batch_size=500))
        with emulated():
            found = list(fj.loader(files, Seen(), batch_size=500, device="cuda"))
            for batch, alike in zip(found, expected, strict=True):
                assert batch.n_events == alike.n_events
                for name, values in batch.items():
                    assert on_gpu(values)
                    np.testing.assert_array_equal(values.get(), alike[name])

    def test_unknown(self, files):
        with pytest.raises(ValueError, match="device must be"):
            fj.loader(files, Seen(), device="tpu")


def test_ranks_of_torch(files, tmp_path):
    import torch.distributed as dist

    dist.init_process_group("gloo", f"file://{tmp_path / 'meet'}", rank=0, world_size=1)
    try:
        assert fj.loader(files, Seen()).plan.options.ranks == 1
        monkey = pytest.MonkeyPatch()
        monkey.setattr(dist, "get_rank", lambda: 1)
        monkey.setattr(dist, "get_world_size", lambda: 2)
        loader = fj.loader(files, Seen(), batch_size=100)
        monkey.undo()
        assert [b.number for b in loader] == list(range(1, 46, 2))
    finally:
        dist.destroy_process_group()
