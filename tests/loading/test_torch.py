"""loader.torch(): workers, epochs, states, and workers that die."""

import os
import re
import subprocess
import sys

import pytest
from loading.seen import LITTLE, Seen, write

import fastjag as fj

torch = pytest.importorskip("torch")
from torch.utils.data import DataLoader

pytestmark = [
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),
    pytest.mark.filterwarnings(
        "ignore:'set_vital' is deprecated:UserWarning"
    ),  # torchdata calls it
]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("torch")
    return [write(folder / "a.root", 0, 2000, 1), write(folder / "b.root", 2000, 1250, 0)]


def loader(files, **options):
    return fj.loader(files, Seen(), **{"batch_size": 100, "memory": LITTLE, **options})


def ids(batches):
    return [batch["id"].tolist() for batch in batches]


@pytest.mark.parametrize("workers", [0, 1, 2, 4])
def test_the_same_batches_for_any_number_of_workers(files, workers):
    ours = loader(files)
    expected = [ids(ours) for _ in range(2)]
    data = DataLoader(loader(files).torch(), batch_size=None, num_workers=workers)
    assert [ids(data) for _ in range(2)] == expected
    assert len(data) == len(expected[0]) == 33


def test_tensors(files):
    batch = next(iter(DataLoader(loader(files).torch(), batch_size=None)))
    assert batch["Jet"].dtype == torch.float32
    assert tuple(batch["Jet"].shape) == (100, 3, 2)
    assert batch["Jet_mask"].dtype == torch.bool


def test_workers_that_stay(files):
    ours = loader(files)
    expected = [ids(ours) for _ in range(3)]
    data = DataLoader(
        loader(files).torch(), batch_size=None, num_workers=2, persistent_workers=True
    )
    assert [ids(data) for _ in range(3)] == expected


def test_set_epoch(files):
    ours = loader(files)
    expected = [ids(ours) for _ in range(3)]
    batches = loader(files).torch()
    data = DataLoader(batches, batch_size=None, num_workers=2)
    batches.set_epoch(2)
    assert ids(data) == expected[2]


def test_ranks_with_workers(files):
    found = []
    for rank in range(2):
        ours = loader(files, rank=rank, world_size=2)
        batches = ids(DataLoader(ours.torch(), batch_size=None, num_workers=2))
        assert len(batches) == len(ours) == 17
        assert batches == ids(loader(files, rank=rank, world_size=2))
        found += [event for batch in batches for event in batch]
    assert sorted(found) == list(range(3250))


def test_workers_that_do_not_divide_the_streams(files):
    data = DataLoader(loader(files).torch(), batch_size=None, num_workers=5)
    with pytest.raises(ValueError, match="1 ranks x 5 workers = 5 do not divide the 12 streams"):
        next(iter(data))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stateful_loader_goes_on(files, workers):
    from torchdata.stateful_dataloader import StatefulDataLoader

    def data():
        return StatefulDataLoader(loader(files).torch(), batch_size=None, num_workers=workers)

    whole = data()
    expected = [ids(whole) for _ in range(3)]
    for after in (0, 20, 33):
        first = data()
        batches = iter(first)
        for _ in range(after):
            next(batches)
        state = first.state_dict()
        del batches
        second = data()
        second.load_state_dict(state)
        rest = ids(second)
        assert rest == expected[0][after:], after
        assert ids(second) == expected[1]


def test_a_worker_that_is_killed_is_named(files):
    """In a process of its own: torch raises wherever it is when a worker has died."""
    code = """
import os, signal, sys
from loading.seen import Seen
from torch.utils.data import DataLoader
import fastjag as fj

endless = fj.loader(sys.argv[1:], Seen(), batch_size=100, epochs=None)
batches = iter(DataLoader(endless.torch(), batch_size=None, num_workers=2))
next(batches)
victim = batches._workers[1].pid
print(victim, flush=True)
os.kill(victim, signal.SIGKILL)
for _ in batches:
    pass
"""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code, *files],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert re.search(rf"RuntimeError: DataLoader worker \(pid.* {done.stdout.strip()}\b", last)


def test_what_a_worker_raises(files, tmp_path):
    path = write(tmp_path / "c.root", 0, 1000, 1)
    ours = loader([path])
    os.remove(path)
    data = DataLoader(ours.torch(), batch_size=None, num_workers=1)
    with pytest.raises(FileNotFoundError, match=r"c\.root: no such file"):
        next(iter(data))
