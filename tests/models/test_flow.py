"""Conditional flows learn densities they can sample, resume, and refuse what is no data."""

import pickle

import numpy as np
import pytest
from scipy import stats

torch = pytest.importorskip("torch")
pytest.importorskip("zuko")

from fastjag.models import resumable_training
from fastjag.models.flow import ConditionalFlow, fit_flows
from fastjag.models.flow_events import HeldEvents
from fastjag.models.flow_training import FlowSettings, FlowTraining, make_network
from fastjag.models.stacked_flows import StackedFlows

TINY = FlowSettings.preset("fast", epochs=4, hidden=(8,), patience=None)


pytestmark = pytest.mark.usefixtures("one_thread")


def sample(seed=1, n=3000):
    """Two features whose means and correlation depend on the context."""
    rng = np.random.default_rng(seed)
    c = rng.normal(size=n)
    x = 0.5 * c + rng.normal(size=n)
    y = np.tanh(x) + 0.4 * rng.normal(size=n)
    return np.stack([x, y], axis=1), c


def test_learns_a_conditional_density():
    features, context = sample()
    flow = ConditionalFlow(
        FlowSettings.preset("fast", transforms=2, epochs=40, batch_size=512), seed=3
    )
    flow.fit(features, context)
    test, at = sample(seed=2)
    x, y = test.T
    truth = stats.norm.logpdf(x, 0.5 * at) + stats.norm.logpdf(y, np.tanh(x), 0.4)
    assert flow.log_prob(test, at).mean() == pytest.approx(truth.mean(), abs=0.06)
    drawn = flow.sample(at, seed=4)
    for column in range(2):
        assert stats.ks_2samp(drawn[:, column], test[:, column]).pvalue > 1e-4
    assert np.corrcoef(drawn[:, 0], at)[0, 1] == pytest.approx(np.corrcoef(x, at)[0, 1], abs=0.06)
    latent = flow.latent(test, at)
    assert latent.shape == test.shape
    assert latent.mean(axis=0) == pytest.approx([0, 0], abs=0.1)
    assert latent.std(axis=0) == pytest.approx([1, 1], abs=0.1)
    assert flow.record["best_epoch"] == int(np.argmin(flow.record["validation_loss"]))


def test_one_seed_one_flow():
    features, context = sample(n=200)
    runs = [ConditionalFlow(TINY, seed=s).fit(features, context) for s in (1, 1, 2)]
    losses = [r.record["validation_loss"] for r in runs]
    assert losses[0] == losses[1] != losses[2]
    draws = [runs[0].sample(context, seed=s) for s in (1, 1, 2)]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])


def test_arrays_of_any_kind():
    """Read-only and reversed ones of float32, which torch would share, and big-endian ones."""
    features, context = (a.astype("f4") for a in sample(n=60))
    flow = ConditionalFlow(TINY, seed=1).fit(features, context)
    expected = flow.log_prob(features, context)
    locked = features.copy()
    locked.flags.writeable = False
    for kind in (locked, features[::-1].copy()[::-1], features.astype(">f4")):
        again = ConditionalFlow(TINY, seed=1).fit(kind, context)
        np.testing.assert_array_equal(again.log_prob(kind, context), expected)


@pytest.mark.parametrize("kind", ["spline", "affine"])
@pytest.mark.parametrize("n_features", [1, 3])
def test_saved_and_loaded(tmp_path, kind, n_features):
    rng = np.random.default_rng(1)
    features, context = rng.normal(size=(60, n_features)), rng.normal(size=60)
    flow = ConditionalFlow(FlowSettings(kind, 2, (8,), epochs=2), seed=1).fit(features, context)
    flow.save(tmp_path / "flow.pt")
    loaded = ConditionalFlow.load(tmp_path / "flow.pt")
    np.testing.assert_array_equal(
        loaded.log_prob(features, context), flow.log_prob(features, context)
    )
    np.testing.assert_array_equal(loaded.sample(context, seed=1), flow.sample(context, seed=1))
    assert loaded.record == flow.record
    assert loaded.sample([], seed=1).shape == (0, n_features)
    assert loaded.log_prob(np.zeros((0, n_features)), []).shape == (0,)
    # Sampling inverts the map to the latent space.
    drawn = loaded.sample(context, seed=1)
    noise = torch.randn(60, n_features, generator=torch.Generator().manual_seed(1))
    np.testing.assert_allclose(loaded.latent(drawn, context), noise, atol=2e-3)


def test_an_interrupted_training_goes_on(tmp_path, monkeypatch):
    features, context = sample(n=200)
    whole = ConditionalFlow(TINY, seed=1).fit(features, context)
    monkeypatch.setattr(resumable_training, "_EVERY", -1.0)  # a checkpoint after every epoch
    step = FlowTraining.train_epoch
    done = []

    def interrupted(self):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(1)
        step(self)

    path = tmp_path / "training.pt"
    monkeypatch.setattr(FlowTraining, "train_epoch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ConditionalFlow(TINY, seed=1).fit(features, context, checkpoint=path)
    count = []
    monkeypatch.setattr(FlowTraining, "train_epoch", lambda self: (count.append(1), step(self)))
    resumed = ConditionalFlow(TINY, seed=1).fit(features, context, checkpoint=path)
    assert len(count) == 2
    assert resumed.record["validation_loss"] == whole.record["validation_loss"]
    np.testing.assert_array_equal(resumed.sample(context, seed=1), whole.sample(context, seed=1))
    # A checkpoint of other data is not gone on from, a finished one is not trained again.
    other = ConditionalFlow(TINY, seed=1).fit(features + 1, context, checkpoint=path)
    assert len(count) == 6
    again = ConditionalFlow(TINY, seed=1).fit(features + 1, context, checkpoint=path)
    assert len(count) == 6
    assert again.record == other.record


@pytest.mark.parametrize("kind", ["spline", "affine"])
@pytest.mark.parametrize("n_features", [1, 3])
def test_a_stack_is_its_flows(kind, n_features):
    """Likelihoods and gradients of all at once are those of zuko, flow by flow."""
    settings = FlowSettings(kind, 2, (8, 6), activation="Tanh", bins=5)
    torch.manual_seed(1)
    networks = [make_network(settings, n_features) for _ in range(3)]
    for parameter in (p for network in networks for p in network.parameters()):
        parameter.data *= 2
    stack = StackedFlows(networks, kind)
    x, c = 3 * torch.randn(3, 40, n_features), torch.randn(3, 40, 1)  # some beyond the spline
    x[:, 0] = torch.tensor([-5.0, 5.0, 0.0])[:n_features]  # and at its ends
    clip = 0.5
    loss = stack.gradients(x, c, clip)
    for i, network in enumerate(networks):
        expected = network(c[i]).log_prob(x[i])
        torch.testing.assert_close(stack.log_prob(x, c)[i], expected, rtol=1e-4, atol=1e-4)
        (-expected.mean()).backward()
        assert loss[i].item() == pytest.approx(-expected.mean().item(), rel=1e-5)
        norm = torch.nn.utils.clip_grad_norm_(network.parameters(), clip)
        assert norm > clip
        gradient = torch.cat([p.grad.flatten() for p in network.parameters()])
        ours = stack.parameters.grad[stack.owner == i]
        torch.testing.assert_close(ours, gradient, rtol=1e-3, atol=1e-4)
    noise = 0.01 * torch.randn(len(stack.parameters))
    changed = stack.parameters + noise * (stack.parameters != 0)  # masked ones stay 0
    before = stack.log_prob(x, c).detach()
    stack.parameters.copy_(changed)
    assert not torch.allclose(stack.log_prob(x, c), before)
    for i, network in enumerate(stack.unstack(changed)):
        torch.testing.assert_close(
            stack.log_prob(x, c)[i], network(c[i]).log_prob(x[i]), rtol=1e-4, atol=1e-4
        )


def test_flows_side_by_side_are_those_trained_alone():
    features, context = sample(n=300)
    settings = FlowSettings.preset("fast", epochs=40, hidden=(8,), patience=2, learning_rate=0.02)
    together = fit_flows(settings, [1, 2, 5], features, context)
    epochs = set()
    for flow in together:
        alone = ConditionalFlow(settings, seed=flow.seed).fit(features, context)
        epochs.add(len(alone.record["train_loss"]))
        for name in ("train_loss", "validation_loss"):
            assert flow.record[name] == pytest.approx(alone.record[name], abs=1e-4)
        drawn = [f.sample(context, seed=1) for f in (flow, alone)]
        np.testing.assert_allclose(*drawn, atol=5e-3)
    assert len(epochs) > 1  # each stopped when its own patience was over
    with pytest.raises(ValueError, match=r"seeds must be different numbers, .* got \[1, 1\]"):
        fit_flows(settings, [1, 1], features, context)


def test_a_loss_that_diverges_is_an_error():
    features, context = sample(n=100)
    with pytest.raises(FloatingPointError, match=r"the loss is .* in epoch \d: lower the learning"):
        ConditionalFlow(FlowSettings.preset("fast", learning_rate=1e30)).fit(features, context)


def test_early_stopping():
    rng = np.random.default_rng(1)
    flow = ConditionalFlow(
        FlowSettings.preset("fast", patience=2, epochs=500, learning_rate=0.05), seed=1
    )
    flow.fit(rng.normal(size=(60, 2)), rng.normal(size=60))
    epochs = len(flow.record["train_loss"])
    assert epochs == flow.record["best_epoch"] + 3
    assert epochs < 500


class TestErrors:
    def test_data(self):
        flow = ConditionalFlow(TINY)
        good, context = np.zeros((20, 2)), np.zeros(20)
        for features, c, message in (
            (np.zeros(20), context, r"features must have shape \(n, F\), got \(20,\)"),
            (good, np.zeros(19), "features have 20 events, but context has 19"),
            (good, np.zeros((20, 1)), r"context must have shape \(n,\)"),
            (np.where(np.arange(40).reshape(20, 2) == 7, np.nan, 0), context, "event 3 is"),
            (good[:5], context[:5], "at least 10 events to learn from, got 5"),
        ):
            with pytest.raises(ValueError, match=message):
                flow.fit(features, c)
        with pytest.raises(RuntimeError, match="call fit first"):
            flow.sample(context, seed=1)

    def test_settings(self):
        with pytest.raises(ValueError, match="settings must be 'spline' or 'paper' or 'fast'"):
            ConditionalFlow("papr")
        with pytest.raises(ValueError, match="activation must be a torch"):
            ConditionalFlow(FlowSettings(activation="Tan"))

    def test_damaged_checkpoint(self, tmp_path):
        path = tmp_path / "training.pt"
        features, context = sample(n=50)
        ConditionalFlow(TINY).fit(features, context, checkpoint=path)
        path.write_bytes(path.read_bytes()[:200])
        with pytest.raises(ValueError, match=r"training.pt: is not a checkpoint of a flow, or is"):
            ConditionalFlow(TINY).fit(features, context, checkpoint=path)
        assert not list(tmp_path.glob("*.partial"))

    def test_a_saved_flow_is_no_checkpoint(self, tmp_path):
        path = tmp_path / "flow.pt"
        features, context = sample(n=50)
        ConditionalFlow(TINY).fit(features, context).save(path)
        content = path.read_bytes()
        with pytest.raises(ValueError, match=r"flow.pt: is not a checkpoint of a flow$"):
            ConditionalFlow(TINY).fit(features, context, checkpoint=path)
        assert path.read_bytes() == content


def in_gev(seed=1, n=4000):
    """An exponential pt above 17 GeV that grows with the mass, and an eta; mass from 5 to 16 GeV."""
    rng = np.random.default_rng(seed)
    mass = rng.uniform(5, 16, n)
    pt = 17 + rng.exponential(20 + 2 * mass)
    return np.stack([pt, rng.normal(0, 1.2, n)], axis=1), mass


def test_features_in_gev_are_learned():
    """Splines are the identity beyond 5: without standardisation nothing of pt would be learned."""
    settings = FlowSettings.preset(
        "spline", epochs=40, learning_rate=5e-3, hidden=(32,), transforms=2
    )
    flow = ConditionalFlow(settings, seed=1).fit(*in_gev())
    test, mass = in_gev(2)
    scale = 20 + 2 * mass
    truth = -(test[:, 0] - 17) / scale - np.log(scale) + stats.norm.logpdf(test[:, 1], 0, 1.2)
    given = flow.log_prob(test, mass)
    assert given.mean() == pytest.approx(truth.mean(), abs=0.08)
    # Losses are of what was given, not of what networks see.
    assert min(flow.record["validation_loss"]) == pytest.approx(-truth.mean(), abs=0.15)
    drawn = flow.sample(mass, seed=3)
    for column in range(2):
        assert stats.ks_2samp(drawn[:, column], test[:, column]).statistic < 0.05
    hard, soft = drawn[mass > 13, 0], drawn[mass < 8, 0]
    assert hard.mean() - soft.mean() == pytest.approx(2 * (14.5 - 6.5), rel=0.25)


def test_standardisation_is_saved_and_0_1_0_had_none(tmp_path):
    features, mass = in_gev(n=200)
    flow = ConditionalFlow(TINY, seed=1).fit(features, mass)
    flow.save(tmp_path / "flow.pt")
    content = torch.load(tmp_path / "flow.pt", weights_only=True)
    names = [name for name in content["state"] if name.startswith("standardisation.")]
    assert len(names) == 4
    assert content["state"]["standardisation.shift"] == pytest.approx(np.median(features, axis=0))
    # A file of 0.1.0: the same without them; its network saw features and context as they are.
    for name in names:
        content["state"].pop(name)
    torch.save(content, tmp_path / "old.pt")
    old, scale = ConditionalFlow.load(tmp_path / "old.pt"), flow._standard
    x, c = torch.as_tensor(features, dtype=torch.float32), torch.as_tensor(mass)[:, None]
    standardised = scale.features(x).numpy(), scale.context(c).numpy()[:, 0]
    np.testing.assert_allclose(
        flow.log_prob(features, mass) + scale.log_volume, old.log_prob(*standardised), atol=1e-5
    )
    # Its pickles, too.
    state = vars(old).copy()
    del state["_standard"]
    again = ConditionalFlow.__new__(ConditionalFlow)
    again.__setstate__(state)
    np.testing.assert_array_equal(again.log_prob(*standardised), old.log_prob(*standardised))
    fresh = pickle.loads(pickle.dumps(flow))
    np.testing.assert_array_equal(fresh.sample(mass, seed=1), flow.sample(mass, seed=1))
    torch.save({"weights": 1}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match=r"other.pt: is not a saved flow: it holds weights"):
        ConditionalFlow.load(tmp_path / "other.pt")


def test_a_checkpoint_of_0_1_0_is_not_gone_on_from(tmp_path):
    """Its weights belong to features that were not standardised."""
    features, mass = in_gev(n=200)
    path = tmp_path / "training.pt"
    whole = ConditionalFlow(TINY, seed=1).fit(features, mass, checkpoint=path)
    content = torch.load(path, weights_only=True)
    assert content["identity"].pop("standardised")
    content["best"] = content["best"] * 0
    torch.save(content, path)
    again = ConditionalFlow(TINY, seed=1).fit(features, mass, checkpoint=path)
    np.testing.assert_array_equal(again.sample(mass, seed=1), whole.sample(mass, seed=1))


def test_validation_events_without_a_density_are_counted():
    features, mass = in_gev(n=300)
    first = int(torch.randperm(300, generator=torch.Generator().manual_seed(1))[0])
    features[first, 0] = 1e30  # the first event of the validation data
    flow = ConditionalFlow(TINY, seed=1)
    with pytest.warns(
        RuntimeWarning, match="flow of seed 1: 1 of 60 events of the validation data"
    ):
        flow.fit(features, mass)
    assert flow.record["validation_infinite"] == [1] * 4
    assert np.isfinite(flow.record["validation_loss"]).all()
    with pytest.raises(FloatingPointError, match="look for outliers in the features"):
        ConditionalFlow(TINY, seed=2).fit(features, mass)  # there it is one of the training data
    with pytest.raises(FloatingPointError, match="in epoch 0: lower the learning rate"):
        fit_flows(TINY, [1, 2], features, mass)  # the second of them
    # An epoch that leaves out fewer of them is a better one, whatever its loss.
    held = HeldEvents(torch.randn(50, 1), torch.randn(50, 1), [0], 0.2, 16, torch.device("cpu"))
    training = FlowTraining([flow], held)
    training.valid_loss, training.valid_infinite = [[1.0, 2.0, 3.0]], [[3, 0, 0]]
    assert training.best_epoch(0) == 1


def test_degenerate_features():
    """A constant feature, one that is nearly always 0, and an outlier: numbers, no error."""
    rng = np.random.default_rng(1)
    x = np.stack([np.full(300, 7.0), rng.random(300) < 0.05, rng.normal(50, 9, 300)], axis=1)
    x[0, 2] = 1e6
    flow = ConditionalFlow(TINY, seed=1).fit(x, np.full(300, 3.0))
    assert flow._standard.scale.tolist()[0] == 1
    assert flow._standard.scale[2] == pytest.approx(9, rel=0.2)
    assert np.isfinite(flow.sample(np.full(50, 3.0), seed=1)).all()
    with pytest.raises(ValueError, match=r"shape \(n, 3\) as in the training, got \(5, 2\)"):
        flow.log_prob(np.zeros((5, 2)), np.zeros(5))
