"""Loaders of tensors that are there: in memory, mapped into it, or put together batch by batch."""

import numpy as np
import pytest

from fastjag.loading import tensor_loader

N = 1037


def tensors():
    ids = np.arange(N)
    return {
        "Jet": np.arange(N * 6, dtype=np.float32).reshape(N, 3, 2), "Jet_mask": ids[:, None] % 4 > np.arange(3),
        "id": ids, "weight": np.linspace(1, 2, N, dtype=np.float32),
    }  # fmt: skip


def ids(batches):
    return [batch["id"].tolist() for batch in batches]


class PutTogether:
    """A tensor that is nowhere as a whole."""

    shape, dtype = (N, 2), np.dtype(np.float32)

    def take(self, rows, axis):
        assert axis == 0
        return np.stack([rows, 10 * rows], axis=1).astype(np.float32)


def test_every_epoch_is_an_exact_permutation():
    given = tensors() | {"made": PutTogether()}
    loader = tensor_loader(given, batch_size=100, seed=4)
    epochs = []
    for _ in range(2):
        found = []
        for batch in loader:
            at = batch["id"]
            for name, values in given.items():
                np.testing.assert_array_equal(batch[name], values.take(at, axis=0))
            batch["weight"][:] = -1  # nobody else's
            found.append(at.tolist())
        epochs.append(found)
        assert [len(b) for b in found] == [100] * 10 + [37]
        assert sorted(sum(found, [])) == list(range(N))  # noqa: RUF017
    assert epochs[0] != epochs[1]
    assert ids(tensor_loader(given, batch_size=100, seed=4)) == epochs[0]
    assert ids(tensor_loader(given, batch_size=100, seed=5)) != epochs[0]


def test_some_rows_in_their_order():
    rows = np.array([5, 1000, 3, 3, 77], np.uint16)
    assert ids(tensor_loader(tensors(), rows, batch_size=2, shuffle=None)) == [[5, 1000], [3, 3], [77]]  # fmt: skip


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
def test_ranks_and_workers():
    data = pytest.importorskip("torch.utils.data")
    whole = ids(tensor_loader(tensors(), batch_size=50, seed=1))
    halves = [ids(tensor_loader(tensors(), batch_size=50, seed=1, rank=r, world_size=2)) for r in (0, 1)]  # fmt: skip
    assert len(halves[0]) == len(halves[1])
    assert sorted(n for half in halves for b in half for n in b) == list(range(N))
    loaded = data.DataLoader(
        tensor_loader(tensors(), batch_size=50, seed=1).torch(), batch_size=None, num_workers=2
    )
    assert ids(loaded) == whole


def test_going_on_and_another_content(tmp_path):
    for name, values in tensors().items():
        np.save(tmp_path / f"{name}.npy", values)
    mapped = {name: np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in tensors()}
    loader = tensor_loader(tensors(), batch_size=100)
    batches = iter(loader)
    first = [next(batches)["id"].tolist() for _ in range(4)]
    state = loader.state_dict()
    batches.close()
    again = tensor_loader(mapped, batch_size=100)
    again.load_state_dict(state)
    assert first + ids(again) == ids(tensor_loader(tensors(), batch_size=100))
    other = tensors()
    other["Jet"][500, 1, 0] += 1
    with pytest.raises(ValueError, match="state is of a loader of other data or options: inputs"):
        tensor_loader(other, batch_size=100).load_state_dict(state)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tensors": {}}, "tensors must name one tensor or more"),
        ({"tensors": {"a": [1, 2], "b": [1]}}, "as many events as one another, got a 2, b 1"),
        ({"tensors": {"a": 3}}, "tensor 'a' must have one entry per event"),
        ({"rows": [0, N]}, f"rows must be from 0 to {N - 1}, got 0 to {N}"),
        ({"rows": [0.5]}, r"rows must be integers \(m,\), got float64"),
        ({"rows": []}, "there are no events"),
        ({"shuffle": "buffer"}, "shuffle must be 'global', got 'buffer'"),
        ({"seed": -1}, "seed must be an integer of 0 or more, got -1"),
        ({"rank": 0, "world_size": 5}, "5"),
    ],
)
def test_errors(change, message):
    with pytest.raises((ValueError, TypeError), match=message):
        tensor_loader(**{"tensors": tensors(), **change})
