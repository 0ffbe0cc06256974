"""Training of networks on batches: the loader's are as good as memory, seeds decide, checkpoints go on."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

import fastjag as fj
from fastjag.models.batch_training import train_network
from fastjag.models.roc import area_error, roc_curve
from fastjag.models.tagger_networks import DeepSetsNetwork

N = 2000


pytestmark = pytest.mark.usefixtures("one_thread")


def write(path, n, signal, seed):
    """Signal has one jet more, and harder ones."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(2 + signal, n)
    k = int(counts.sum())
    jets = {
        "pt": rng.exponential(40 + 8 * signal, k) + 20,
        "eta": rng.normal(0, 1.5 - 0.3 * signal, k),
    }
    fj.io.write_events(path, [{
        "Jet": fj.Jagged.from_counts(counts, {c: v.astype("f4") for c, v in jets.items()}),
        "MET_pt": rng.exponential(30 + 5 * signal, n).astype("f4"),
    }])  # fmt: skip
    return str(path)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("training")
    return {
        part: {n: [write(folder / f"{part}-{n}.root", N, s, 2 * i + s)] for s, n in enumerate("bs")}
        for i, part in enumerate(("train", "valid", "test"))
    }


GROUPS = {
    "Jet": fj.particles("Jet", ["pt", "eta"], width=6, by="pt", log=["pt"], standardise="fit"),
    "features": fj.features("MET_pt", log=["MET_pt"], standardise="fit"),
}


@pytest.fixture(scope="module")
def loaders(files):
    train = fj.loader(files["train"], GROUPS, target=["b", "s"], batch_size=128, seed=3)
    rest = [
        fj.loader(files[part], train.inputs, batch_size=500, shuffle=None)
        for part in ("valid", "test")
    ]
    return train, *rest


class InMemory:
    """All events as arrays, in a new order in every epoch."""

    def __init__(self, loader, size):
        batches = [dict(b) for b in loader]
        self.all = {k: np.concatenate([b[k] for b in batches]) for k in batches[0]}
        self.size = size

    def set_epoch(self, epoch):
        self.order = np.random.default_rng(100 + epoch).permutation(len(self.all["target"]))

    def __iter__(self):
        for start in range(0, len(self.order), self.size):
            rows = self.order[start : start + self.size]
            yield {k: v[rows] for k, v in self.all.items()}


def network(seed=1):
    torch.manual_seed(seed)
    return DeepSetsNetwork({"Jet": 2}, 1, 2, phi=(16, 16), rho=(16,))


def train(net, *batches, epochs=4, **options):
    options = {"learning_rate": 5e-3, "progress": False} | options
    return train_network(net, *batches, epochs=epochs, **options)


def auc(net, test):
    scores, labels = [], []
    with torch.no_grad():
        for batch in test:
            scores.append(
                net.scores({k: torch.as_tensor(batch[k]) for k in net.tensor_names})[:, 1]
            )
            labels.append(batch["target"])
    return roc_curve(np.concatenate(labels) == 1, torch.cat(scores).numpy()).area


def test_as_good_as_in_memory(loaders):
    training, valid, test = loaders
    from_files = train(network(), training, valid)
    in_memory = train(network(), InMemory(training, 128), valid)
    found, expected = auc(from_files.network, test), auc(in_memory.network, test)
    error = area_error(expected, N, N)
    assert expected > 0.7
    assert abs(found - expected) < 2 * error
    assert from_files.validation[from_files.best_epoch] == min(from_files.validation)
    assert from_files.train[-1] < from_files.train[0]


def test_seeds_decide(loaders):
    training, valid, _ = loaders
    one, again, other = (train(network(s), training, valid, epochs=2) for s in (1, 1, 2))
    assert (one.train, one.validation) == (again.train, again.validation)
    for a, b in zip(one.network.parameters(), again.network.parameters(), strict=True):
        assert torch.equal(a, b)
    assert one.train != other.train


def test_goes_on_from_a_checkpoint(loaders, tmp_path, monkeypatch):
    from fastjag.models import batch_training, resumable_training

    training, valid, _ = loaders
    whole = train(network(), training, valid)
    monkeypatch.setattr(resumable_training, "_EVERY", -1.0)
    real, epochs = batch_training._BatchTraining.train_epoch, []

    def interrupted(self):
        if len(epochs) == 2:
            raise KeyboardInterrupt
        epochs.append(1)
        real(self)

    monkeypatch.setattr(batch_training._BatchTraining, "train_epoch", interrupted)
    path = tmp_path / "state.pt"
    with pytest.raises(KeyboardInterrupt):
        train(network(), training, valid, checkpoint=path)
    monkeypatch.setattr(
        batch_training._BatchTraining, "train_epoch", lambda self: epochs.append(2) or real(self)
    )
    rest = train(network(), training, valid, checkpoint=path)
    assert epochs == [1, 1, 2, 2]
    assert (rest.train, rest.validation, rest.best_epoch) == (
        whole.train,
        whole.validation,
        whole.best_epoch,
    )
    for a, b in zip(rest.network.parameters(), whole.network.parameters(), strict=True):
        assert torch.equal(a, b)


def test_weights_count(files, loaders):
    """With all the weight on one class, the network calls everything that class."""
    _, valid, test = loaders
    weighted = fj.Inputs.of(valid.inputs, target=["b", "s"], weight="1e-3 + 2 * (MET_pt > -1)")
    batches = fj.loader(files["train"], weighted, batch_size=128)

    class OnlySignal(InMemory):
        def __iter__(self):
            for batch in super().__iter__():
                yield batch | {"weight": batch["target"].astype("f4") * 2}

    done = train(network(), OnlySignal(batches, 128), OnlySignal(batches, 500), epochs=2)
    with torch.no_grad():
        batch = next(iter(test))
        scores = done.network.scores(
            {k: torch.as_tensor(batch[k]) for k in done.network.tensor_names}
        )
    assert scores[:, 1].min() > 0.9


class Batches(list):
    def set_epoch(self, epoch):
        pass


def test_what_cannot_be(loaders):
    _, valid, _ = loaders
    good = dict(next(iter(valid)))
    for change, message in [
        ({"target": good["target"] + 2}, "the target has classes 2 to 2, the network has 2"),
        ({"target": good["target"].astype("f4")}, "the target must be the class of each event"),
        ({"Jet": good["Jet"][..., :1]}, "tensor 'Jet' must have 2 columns"),
        ({"weight": 0 * good["features"][:, 0]}, "have no events with weights above 0"),
    ]:
        with pytest.raises(ValueError, match=message):
            train(network(), Batches([good | change]), valid, epochs=1)
    with pytest.raises(ValueError, match="have no target"):
        train(network(), Batches([{k: v for k, v in good.items() if k != "target"}]), valid)
    with pytest.raises(ValueError, match="no events with weights"):
        train(network(), Batches([]), valid)
    with pytest.raises(FloatingPointError, match="the loss is nan in epoch 0"):
        train(network(), Batches([good | {"features": good["features"] * np.nan}]), valid)
    with pytest.raises(ValueError, match="patience"):
        train(network(), valid, valid, patience=0)
