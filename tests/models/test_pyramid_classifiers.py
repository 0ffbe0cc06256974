"""Kernel machines on pyramids of several types of particles: by matrix, by features, in batches."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

pytest.importorskip("sklearn")

from diphoton_samples import CLASSES, events
from sklearn.base import clone
from sklearn.metrics import balanced_accuracy_score
from sklearn.svm import SVC, LinearSVC

import fastjag as fj
from fastjag.analyses.diphoton.models import in_own_frame, pyramid_sets
from fastjag.models.pyramid_classifiers import PyramidLinear, PyramidSVM, SumOfPyramids

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "bench_sets.py"
EXTENT = {"log_pt": (2.0, 7.0), "eta": (-5.0, 5.0)}
KERNELS = {
    "photon": fj.PyramidMatch(3, EXTENT, shifts=1),
    "lep": fj.PyramidMatch(3, EXTENT),
    "jet": fj.PyramidMatch(3, EXTENT | {"MV2c10": (-1.0, 1.0)}),
}


def sample(n, seed):
    sample = events(n, seed, shares=(0.2,) * 5)
    return pyramid_sets(in_own_frame(sample)), np.array(CLASSES)[sample.flat["label"]], sample.flat


@pytest.fixture(scope="module")
def known():
    return sample(900, 1)


@pytest.fixture(scope="module")
def unseen():
    return sample(500, 2)


class TestSum:
    def test_features_side_by_side_are_the_sum_of_kernels(self, known, unseen):
        X, Y = known[0], unseen[0]
        pyramids = SumOfPyramids(KERNELS).fit(X)
        phi, psi = pyramids.transform(X), pyramids.transform(Y)
        expected = sum(k.gram(Y[t], X[t], dtype="f8") for t, k in KERNELS.items())
        assert_allclose((psi @ phi.T).toarray(), expected, atol=1e-12)
        assert_allclose(pyramids.gram(Y, X), expected)
        assert_allclose(pyramids.gram(X), (phi @ phi.T).toarray(), atol=1e-12)

    def test_events_may_have_particles(self, known):
        class Held:
            particles = known[0]

        a = SumOfPyramids(KERNELS).fit_transform(Held())
        assert (a != SumOfPyramids(KERNELS).fit_transform(known[0])).nnz == 0

    def test_matrix_and_features_make_one_machine(self, known, unseen):
        """SVC on the matrix and on Phi are one; LinearSVC differs by its penalty on the offset."""
        X, y, _ = known
        two = np.isin(y, ["ggF", "ttH"])
        X, y = {t: p[np.flatnonzero(two)] for t, p in X.items()}, y[two]
        pyramids = SumOfPyramids(KERNELS).fit(X)
        phi, psi = pyramids.transform(X), pyramids.transform(unseen[0])
        gram = pyramids.gram(unseen[0], X)
        by_matrix = SVC(kernel="precomputed", tol=1e-8).fit(pyramids.gram(X), y)
        scores = by_matrix.decision_function(gram)
        by_features = SVC(kernel="linear", tol=1e-8).fit(phi, y)
        assert_allclose(scores, by_features.decision_function(psi), atol=1e-5)
        linear = LinearSVC(loss="hinge", tol=1e-6, max_iter=50_000, random_state=1).fit(phi, y)
        expected = linear.decision_function(psi)
        assert np.corrcoef(scores, expected)[0, 1] > 0.999
        assert ((scores > 0) == (expected > 0)).mean() > 0.98


class TestMachines:
    @pytest.mark.parametrize("model", [PyramidLinear(KERNELS), PyramidSVM(KERNELS)])
    def test_learns(self, known, unseen, model):
        X, y, flat = known
        model = clone(model).fit(X, y, flat["weight"])
        p = model.predict_proba(unseen[0])
        assert_allclose(p.sum(axis=1), 1)
        assert balanced_accuracy_score(unseen[1], model.predict(unseen[0])) > 0.4
        again = clone(model).fit(X, y, flat["weight"])
        np.testing.assert_array_equal(p, again.predict_proba(unseen[0]))

    def test_they_agree(self, known, unseen):
        X, y, _ = known
        linear = PyramidLinear(KERNELS, epochs=20).fit(X, y)
        machine = PyramidSVM(KERNELS).fit(X, y)
        same = linear.predict(unseen[0]) == machine.predict(unseen[0])
        assert same.mean() > 0.75  # chance: 0.2
        a, b = (m.predict_proba(unseen[0]).ravel() for m in (linear, machine))
        assert np.corrcoef(a, b)[0, 1] > 0.9

    def test_learns_as_events_come(self, unseen):
        X, y, _ = sample(2000, 3)
        model = PyramidLinear(KERNELS)
        accuracies = []
        for begin in range(0, 2000, 400):
            some = slice(begin, begin + 400)
            model.partial_fit({t: p[some] for t, p in X.items()}, y[some], classes=CLASSES)
            accuracies.append(balanced_accuracy_score(unseen[1], model.predict(unseen[0])))
        assert accuracies[-1] > max(0.45, accuracies[0])
        assert model.classes_.tolist() == sorted(CLASSES)

    def test_many_events_are_thinned_by_weight(self, known):
        X, y, flat = known
        model = PyramidSVM(KERNELS, most=200).fit(X, y, flat["weight"])
        assert 150 < len(model.events_["jet"]) <= 200
        assert model.predict_proba(X).shape == (900, 5)

    def test_negative_weights(self, known):
        X, y, _ = known
        w = np.where(np.random.default_rng(99).random(len(y)) < 0.25, -1.0, 1.0)
        for model in (PyramidLinear(KERNELS), PyramidSVM(KERNELS, most=300)):
            assert balanced_accuracy_score(y, model.fit(X, y, w).predict(X)) > 0.4
            with pytest.raises(ValueError, match="events have negative weights"):
                clone(model).set_params(negative="error").fit(X, y, w)


class TestErrors:
    def test_wrong_input(self, known):
        X, y, _ = known
        with pytest.raises(ValueError, match="kernels must map at least one type of particles"):
            SumOfPyramids({}).fit(X)
        with pytest.raises(KeyError, match="no particles 'muon'"):
            PyramidLinear({"muon": KERNELS["lep"]}).fit(X, y)
        with pytest.raises(ValueError, match="X has 900 events, but y has 899"):
            PyramidSVM(KERNELS).fit(X, y[:-1])
        bad = dict(X)
        eta = X["jet"]["eta"].copy()
        eta[X["jet"].offsets[40]] = np.nan
        bad["jet"] = X["jet"].with_columns(eta=eta)
        with pytest.raises(ValueError, match="column 'eta' must be finite, got nan in event"):
            PyramidLinear(KERNELS).fit(bad, y)

    def test_partial_fit(self, known):
        X, y, _ = known
        with pytest.raises(ValueError, match="the first call of partial_fit needs classes"):
            PyramidLinear(KERNELS).partial_fit(X, y)
        with pytest.raises(ValueError, match=r"event \d+ is of class ttH; classes are VBF, .*ggF"):
            PyramidLinear(KERNELS).partial_fit(X, y, classes=CLASSES[:4])
        w = np.ones(len(y))
        w[3] = -1
        with pytest.raises(ValueError, match=r"weights must not be negative, got -1\.0 in event 3"):
            PyramidLinear(KERNELS).partial_fit(X, y, CLASSES, w)


def test_memory_grows_with_events_not_with_pairs():
    """20,000 events, of which the matrix would take 3.2 GB."""
    done = subprocess.run(
        [sys.executable, str(BENCHMARK), "20000"], capture_output=True, text=True, check=True
    )
    result = json.loads(done.stdout)
    assert result["events"] == 20_000
    assert result["peak_MB"] < 400
    assert result["balanced_accuracy"] > 0.45
