"""Flows that learn from batches of loaders, so that events need not fit into memory."""

import numpy as np
import pytest
from scipy import stats

torch = pytest.importorskip("torch")
pytest.importorskip("zuko")

import fastjag as fj
from fastjag.loading import tensor_loader
from fastjag.models import flow_events, resumable_training
from fastjag.models.flow import ConditionalFlow, fit_flows, fit_flows_on_batches
from fastjag.models.flow_training import FlowSettings, FlowTraining

TINY = FlowSettings.preset("fast", epochs=3, hidden=(8,), patience=None)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def sample(seed, n):
    """Jets of which pt depends on MET, in GeV."""
    rng = np.random.default_rng(seed)
    met = rng.exponential(30, n) + 10
    pt = rng.normal(50 + 0.5 * met, 8)
    return np.stack([pt, rng.normal(0.01 * pt, 0.4)], axis=1).astype("f4"), met.astype("f4")


def loaders(n=3000, batch_size=256, **more):
    x, c = sample(1, n)
    tensors = {"features": x, "context": c, **{k: v[:n] for k, v in more.items()}}
    cut = n // 5
    return (
        tensor_loader(tensors, np.arange(cut, n), batch_size=batch_size, seed=2),
        tensor_loader(tensors, np.arange(cut), batch_size=1000, shuffle=None),
    )


def test_as_good_as_in_memory():
    settings = FlowSettings.preset("fast", epochs=12, batch_size=256, validation=0.2)
    flows = fit_flows_on_batches(settings, [3, 4], *loaders(), progress=False)
    held = fit_flows(settings, [3], *sample(1, 3000), progress=False)[0]
    test, at = sample(2, 3000)
    pt, eta = test.T.astype(float)
    truth = stats.norm.logpdf(pt, 50 + 0.5 * at, 8) + stats.norm.logpdf(eta, 0.01 * pt, 0.4)
    expected = held.log_prob(test, at).mean()
    assert expected == pytest.approx(truth.mean(), abs=0.15)
    for flow in flows:
        assert flow.log_prob(test, at).mean() == pytest.approx(expected, abs=0.05)
        assert flow.record["validation_events"] == held.record["validation_events"] == 600
        assert min(flow.record["validation_loss"]) == pytest.approx(-truth.mean(), abs=0.2)
    assert not np.array_equal(flows[0].sample(at, seed=1), flows[1].sample(at, seed=1))


def test_from_files(tmp_path):
    """Of ROOT files, in batches of fj.loader; context and features are groups of its inputs."""
    x, c = sample(5, 2000)
    groups = {"features": fj.features(["pt", "eta"]), "context": fj.features("MET_pt")}
    both = []
    for name, some in (("train", slice(400, None)), ("valid", slice(400))):
        columns = {"pt": x[some, 0], "eta": x[some, 1], "MET_pt": c[some]}
        fj.io.write_events(tmp_path / f"{name}.root", [columns])
        both.append(fj.loader(str(tmp_path / f"{name}.root"), groups, batch_size=200))
    (flow,) = fit_flows_on_batches(TINY, [1], *both, progress=False)
    assert flow.record["train_loss"][-1] < flow.record["train_loss"][0]
    assert np.abs(np.median(flow.sample(c, seed=1), axis=0) - np.median(x, axis=0)).max() < 8
    flow.save(tmp_path / "flow.pt")
    assert ConditionalFlow.load(tmp_path / "flow.pt").record == flow.record


def test_goes_on_from_a_checkpoint(tmp_path, monkeypatch):
    (whole,) = fit_flows_on_batches(TINY, [1], *loaders(500), progress=False)
    monkeypatch.setattr(resumable_training, "_EVERY", -1.0)
    step, done = FlowTraining.train_epoch, []

    def interrupted(self):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(step(self))

    path = tmp_path / "state.pt"
    with monkeypatch.context() as patch:
        patch.setattr(FlowTraining, "train_epoch", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fit_flows_on_batches(TINY, [1], *loaders(500), checkpoint=path, progress=False)
    again = []
    monkeypatch.setattr(FlowTraining, "train_epoch", lambda self: again.append(step(self)))
    (flow,) = fit_flows_on_batches(TINY, [1], *loaders(500), checkpoint=path, progress=False)
    assert len(again) == 1
    assert flow.record == whole.record


def test_events_are_evaluated_in_blocks(monkeypatch):
    """However many events are kept aside, layers see some of them at a time."""
    x, c = sample(3, 1000)
    (whole,) = fit_flows(TINY, [1], x, c, progress=False)
    seen = []
    validation = flow_events.HeldEvents.validation

    def counted(self):
        for pair in validation(self):
            seen.append(pair[0].shape[1])
            yield pair

    monkeypatch.setattr(flow_events, "_BLOCK", 64)
    monkeypatch.setattr(flow_events.HeldEvents, "validation", counted)
    (blocks,) = fit_flows(TINY, [1], x, c, progress=False)
    assert seen == [64, 64, 64, 8] * 3
    np.testing.assert_allclose(
        blocks.record["validation_loss"], whole.record["validation_loss"], rtol=1e-5
    )
    assert blocks.record["train_loss"] == whole.record["train_loss"]


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"features": "feature"}, KeyError, "no tensor 'feature'.*features"),
        ({"context": "features"}, ValueError, r"'features' must have shape \(n,\) or \(n, 1\), got"),
        ({"features": "context"}, ValueError, r"'context' must have shape \(n, F\), got"),
        ({"features": "bad"}, ValueError, "'bad' must be finite numbers"),
    ],
)  # fmt: skip
def test_batches_that_cannot_be(given, error, message):
    bad = np.ones((500, 2), "f4")
    bad[123, 1] = np.nan
    with pytest.raises(error, match=message):
        fit_flows_on_batches(TINY, [1], *loaders(500, bad=bad), progress=False, **given)


def test_weights_and_few_events():
    with pytest.raises(ValueError, match="batches have weights, with which flows do not learn"):
        fit_flows_on_batches(TINY, [1], *loaders(500, weight=np.ones(500)), progress=False)
    with pytest.raises(ValueError, match="needs at least 10 events to learn from, got 8"):
        fit_flows_on_batches(TINY, [1], *loaders(10), progress=False)
    with pytest.raises(ValueError, match="seeds must be different numbers"):
        fit_flows_on_batches(TINY, [1, 1], *loaders(500), progress=False)
