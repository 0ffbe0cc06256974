"""DeepSets: sums of ragged particles, symmetries, padded equals ragged, training."""

import copy
import pickle

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from diphoton_samples import CLASSES, events
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score

import fastjag as fj
from fastjag.models import resumable_training
from fastjag.models.deepsets import DeepSets
from fastjag.models.particle_tensors import EventSets, Ragged

INPUTS = {
    "photon": ("pt", "eta", "phi", "E"),
    "lep": ("pt", "eta", "phi"),
    "jet": ("pt", "eta", "phi", "E", "MV2c10"),
}
SMALL = DeepSets(
    INPUTS, ("met_et", "met_phi"), phi=(16, 16), rho=(32, 8), epochs=8, batch_size=64,
    learning_rate=5e-3,
)  # fmt: skip


pytestmark = pytest.mark.usefixtures("one_thread")


def labels(sample):
    return np.array(CLASSES)[sample.flat["label"]]


@pytest.fixture(scope="module")
def trained():
    sample = events(1200, seed=1)
    return clone(SMALL).fit(sample, labels(sample), sample.flat["weight"], progress=False)


@pytest.fixture(scope="module")
def unseen():
    return events(400, seed=2)


class TestSegmentSum:
    def test_sums(self):
        values = torch.arange(12.0).reshape(6, 2)
        offsets = torch.tensor([0, 0, 4, 4, 6, 6])
        expected = [[0, 0], [12, 16], [0, 0], [18, 20], [0, 0]]
        assert Ragged(values, offsets).pool(values).tolist() == expected
        empty = Ragged(torch.zeros(0, 3), torch.zeros(1, dtype=torch.int64))
        assert empty.pool(empty.values).shape == (0, 3)

    def test_gradient(self):
        values = torch.randn(9, 3, dtype=torch.float64, requires_grad=True)
        offsets = torch.tensor([0, 2, 2, 7, 9, 9])
        assert torch.autograd.gradcheck(lambda v: Ragged(v, offsets).pool(v), (values,))


class TestSymmetries:
    def test_order_of_particles_means_nothing(self, trained, unseen):
        rng = np.random.default_rng(1)
        mixed = {}
        for name, particles in unseen.particles.items():
            owner = np.repeat(np.arange(len(unseen)), particles.counts)
            order = np.lexsort((rng.random(len(owner)), owner))
            assert len(owner) < 3 or (order != np.arange(len(order))).any()
            mixed[name] = fj.Jagged(
                particles.offsets, {c: particles[c][order] for c in particles.columns}
            )
        changed = EventSets(mixed, unseen.flat)
        np.testing.assert_allclose(
            trained.predict_proba(changed), trained.predict_proba(unseen), atol=1e-6
        )

    def test_a_particle_twice_is_another_event(self, trained, unseen):
        jets = unseen.particles["jet"]
        first = int(np.flatnonzero(jets.counts)[0])
        at = int(jets.offsets[first])
        counts = jets.counts.copy()
        counts[first] += 1
        twice = fj.Jagged.from_counts(
            counts, {c: np.insert(jets[c], at, jets[c][at]) for c in jets.columns}
        )
        changed = EventSets({**unseen.particles, "jet": twice}, unseen.flat)
        difference = np.abs(trained.predict_proba(changed) - trained.predict_proba(unseen))
        assert difference[first].max() > 1e-4
        assert np.delete(difference, first, axis=0).max() < 1e-6

    def test_events_without_particles(self, trained, unseen):
        none = np.zeros(len(unseen), bool)
        empty = {
            name: p.keep(np.zeros(p.n_particles, bool)) for name, p in unseen.particles.items()
        }
        scores = trained.predict_proba(EventSets(empty, unseen.flat))
        assert np.isfinite(scores).all()
        np.testing.assert_allclose(scores.sum(axis=1), 1)
        assert trained.predict_proba(unseen[none]).shape == (0, 5)

    def test_padded_equals_ragged(self, trained, unseen):
        def padded(sample):
            return EventSets(
                {n: p.pad(max(1, p.counts.max()), INPUTS[n], fill=-99, dtype="float32")
                 for n, p in sample.particles.items() if n in INPUTS}, sample.flat,
            )  # fmt: skip

        np.testing.assert_allclose(
            trained.predict_proba(padded(unseen)), trained.predict_proba(unseen), atol=1e-5
        )
        one_epoch = clone(SMALL).set_params(epochs=1)
        y = labels(unseen)
        ragged = clone(one_epoch).fit(unseen, y, progress=False)
        dense = clone(one_epoch).fit(padded(unseen), y, progress=False)
        np.testing.assert_allclose(ragged.losses_["train"], dense.losses_["train"], rtol=1e-5)
        np.testing.assert_allclose(ragged.embed(unseen), dense.embed(unseen), atol=1e-4)


class TestTraining:
    def test_learns(self, trained, unseen):
        assert trained.classes_.tolist() == sorted(CLASSES)
        predicted = trained.predict(unseen)
        assert balanced_accuracy_score(labels(unseen), predicted) > 0.4
        assert trained.losses_["train"][-1] < 0.8 * trained.losses_["train"][0]
        assert trained.best_epoch_ == int(np.argmin(trained.losses_["validation"]))

    def test_embedding_serves_other_models(self, trained, unseen):
        known = events(1200, seed=1)
        assert trained.embed(known).shape == (1200, 8)
        other = LogisticRegression(max_iter=300, class_weight="balanced")
        other.fit(trained.embed(known), labels(known))
        accuracy = balanced_accuracy_score(labels(unseen), other.predict(trained.embed(unseen)))
        assert accuracy > 0.4

    def test_one_seed_one_result(self, unseen):
        quick = clone(SMALL).set_params(epochs=2)
        y, w = labels(unseen), unseen.flat["weight"]
        runs = [
            clone(quick).set_params(seed=s).fit(unseen, y, w, progress=False) for s in (1, 1, 2)
        ]
        a, b, c = (run.predict_proba(unseen) for run in runs)
        np.testing.assert_array_equal(a, b)
        assert not np.array_equal(a, c)
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(runs[0])).predict_proba(unseen), a)

    def test_stops_early_with_the_best(self):
        """Labels by chance: what is learned is noise, and validation says so."""
        sample = events(300, seed=3)
        y = np.random.default_rng(1).integers(0, 2, 300)
        model = clone(SMALL).set_params(epochs=60, patience=3, learning_rate=0.02)
        model.fit(sample, y, progress=False)
        losses = model.losses_["validation"]
        assert len(losses) == model.best_epoch_ + 1 + 3 < 60
        assert losses[model.best_epoch_] == min(losses)

    def test_interrupted_training_ends_the_same(self, unseen, tmp_path, monkeypatch):
        from fastjag.models.deepsets import _Training

        y, path = labels(unseen), tmp_path / "state.pt"
        quick = clone(SMALL).set_params(epochs=5)
        whole = clone(quick).fit(unseen, y, progress=False)
        monkeypatch.setattr(resumable_training, "_EVERY", 0.0)
        epoch = _Training.train_epoch

        def interrupted(self):
            if self.done == 3:
                raise KeyboardInterrupt
            epoch(self)

        with monkeypatch.context() as patch:
            patch.setattr(_Training, "train_epoch", interrupted)
            with pytest.raises(KeyboardInterrupt):
                clone(quick).fit(unseen, y, checkpoint=path, progress=False)
        counted = []
        monkeypatch.setattr(_Training, "train_epoch", lambda s: (counted.append(1), epoch(s)))
        resumed = clone(quick).fit(unseen, y, checkpoint=path, progress=False)
        assert len(counted) == 2
        assert resumed.losses_ == whole.losses_
        np.testing.assert_array_equal(resumed.predict_proba(unseen), whole.predict_proba(unseen))
        # Of other data it is no state to go on from.
        clone(quick).fit(unseen[:300], y[:300], checkpoint=path, progress=False)
        assert len(counted) == 2 + 5
        path.write_bytes(b"nonsense")
        with pytest.raises(ValueError, match=r"state\.pt: is not a checkpoint of DeepSets"):
            clone(quick).fit(unseen, y, checkpoint=path, progress=False)
        # What somebody else saved with torch stays.
        torch.save(whole.network_.state_dict(), path)
        content = path.read_bytes()
        with pytest.raises(ValueError, match=r"state\.pt: is not a checkpoint of DeepSets$"):
            clone(quick).fit(unseen, y, checkpoint=path, progress=False)
        assert path.read_bytes() == content

    def test_negative_weights(self):
        sample = events(800, seed=4, negative=0.25)
        assert (sample.flat["weight"] < 0).mean() > 0.2
        model = clone(SMALL).fit(sample, labels(sample), sample.flat["weight"], progress=False)
        new = events(400, seed=5)
        assert balanced_accuracy_score(labels(new), model.predict(new)) > 0.35


class TestErrors:
    def test_values_are_named_with_their_event(self, unseen):
        y = labels(unseen)
        jets = unseen.particles["jet"]
        event = int(np.flatnonzero(jets.counts)[20])
        for value, wanted in ((np.nan, "finite and not negative, got nan"), (-5.0, "got -5.0")):
            pt = jets["pt"].copy()
            pt[jets.offsets[event]] = value
            bad = EventSets({**unseen.particles, "jet": jets.with_columns(pt=pt)}, unseen.flat)
            with pytest.raises(
                ValueError, match=rf"column 'pt' of jet .*{wanted} in event {event}$"
            ):
                clone(SMALL).fit(bad, y, progress=False)
        flat = copy.copy(dict(unseen.flat))
        flat["met_phi"] = flat["met_phi"].copy()
        flat["met_phi"][7] = np.inf
        with pytest.raises(
            ValueError, match=r"'met_phi' of the events must be finite, .* event 7$"
        ):
            clone(SMALL).fit(EventSets(unseen.particles, flat), y, progress=False)

    def test_missing_inputs(self, unseen):
        y = labels(unseen)
        with pytest.raises(KeyError, match="no particles 'jets': did you mean 'jet'"):
            DeepSets({"jets": ("pt",)}).fit(unseen, y)
        with pytest.raises(KeyError, match="no column 'PT': did you mean 'pt'"):
            DeepSets({"jet": ("PT",)}).fit(unseen, y)
        with pytest.raises(KeyError, match="no flat column 'met': accepted are 'met_et'"):
            DeepSets({"jet": ("pt",)}, ("met",)).fit(unseen, y)
        with pytest.raises(ValueError, match="inputs, phi and rho must not be empty"):
            DeepSets({}).fit(unseen, y)
        with pytest.raises(ValueError, match="X has 400 events, but y has 399"):
            clone(SMALL).fit(unseen, y[:-1])
        dense = unseen.particles["jet"].pad(3, ["pt", "eta"])
        with pytest.raises(ValueError, match=r"padded jet must have shape \(n_events, width, 5\)"):
            clone(SMALL).fit(EventSets({**unseen.particles, "jet": dense}, unseen.flat), y)
        short = EventSets({**unseen.particles, "jet": unseen.particles["jet"][:9]}, unseen.flat)
        with pytest.raises(ValueError, match=r"all parts must have as many events, got .*'jet': 9"):
            clone(SMALL).fit(short, y)
