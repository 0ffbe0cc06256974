"""Pseudo-experiments, null runs and classifiers in latent space."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("xgboost")

from scipy import stats
from sklearn.metrics import roc_auc_score

from fastjag.analyses.dimuon.classifier import CathodeClassifier, ClassifierInput
from fastjag.analyses.dimuon.preprocess import Preprocessing, Scale
from fastjag.analyses.dimuon.pseudo_experiments import (
    Experiment,
    bootstrap,
    digest,
    make_or_reuse,
    null_run,
    null_seed,
)
from fastjag.analyses.dimuon.samples import draw_null
from fastjag.models.fold_scores import TreeSettings, fold_scores
from fastjag.statistics import Window, fit_background

WINDOW = Window(5, 9, 10.6, 16, sr_edges=6)
SETTINGS = TreeSettings.preset("fast", folds=3, members=1, rounds=8)
FITTED = Preprocessing({n: Scale(0, 1, 0, 1) for n in ("a", "b")}, 9.0, 3.0)


class LinearFlow:
    """Features that are shifted by the mass: known in closed form, with a flow's methods."""

    def __init__(self, slope):
        self.slope = np.array([slope, 0.0])

    def latent(self, values, context):
        return values - self.slope * context[:, None]

    def sample(self, context, *, seed):
        noise = np.random.default_rng(seed).normal(size=(len(context), 2))
        return noise + self.slope * context[:, None]


def events(seed, n=2000, signal=0, slope=0.8):
    rng = np.random.default_rng(seed)
    mass = 5 + rng.exponential(7, 3 * n)
    mass = mass[mass < 16][:n]
    values = LinearFlow(slope).sample(FITTED.scale_mass(mass), seed=seed)
    mass = np.r_[mass, rng.normal(9.8, 0.1, signal)]
    values = np.r_[values, rng.normal([0.2, 2.5], 0.3, (signal, 2))]
    return ClassifierInput(values, mass)


def inside(mass):
    return (mass >= 9) & (mass < 10.6)


def classifier(slopes=(0.8,), **options):
    flows = [LinearFlow(s) for s in slopes]
    mass = np.random.default_rng(9).uniform(9, 10.6, 600)
    background = ClassifierInput(flows[0].sample(FITTED.scale_mass(mass), seed=4), mass)
    return CathodeClassifier(background, flows, FITTED, replace(SETTINGS, **options), threads=1)


class TestCopies:
    def test_share_a_fold(self):
        rng = np.random.default_rng(1)
        rows = rng.integers(150, size=400)
        table = rng.normal(size=(150, 2))[rows]
        found = fold_scores(
            rng.normal(size=(90, 2)), table, rows < 80, copies_of=rows, settings=SETTINGS,
            threads=1, progress=False,
        )  # fmt: skip
        for row in np.unique(rows):
            assert len(set(found.folds[rows == row])) == 1
            assert len(set(found.data[rows == row])) == 1
        per_fold = [len(np.unique(rows[(found.folds == f) & (rows < 80)])) for f in range(3)]
        assert max(per_fold) - min(per_fold) <= 1

    def test_otherwise_classifiers_know_what_they_score(self):
        """Bootstrapped noise looks like signal where copies of test events are trained on."""
        rng = np.random.default_rng(2)
        rows = rng.integers(300, size=300)
        table, background = rng.normal(size=(300, 2))[rows], rng.normal(size=(900, 2))
        deep = replace(SETTINGS, max_depth=8, rounds=60, learning_rate=0.3)
        auc = {}
        for name, copies in (("apart", rows), ("mixed", None)):
            found = fold_scores(
                background, table, np.ones(300, bool), copies_of=copies, settings=deep, threads=1,
                progress=False,
            )  # fmt: skip
            auc[name] = roc_auc_score(
                np.repeat([0, 1], [900, 300]), np.r_[found.background, found.data]
            )
        assert auc["apart"] == pytest.approx(0.5, abs=0.07)
        assert auc["mixed"] > auc["apart"] + 0.05

    def test_too_few_different_events(self):
        with pytest.raises(ValueError, match="the signal region has 2 events, fewer than the 3"):
            fold_scores(
                np.zeros((9, 1)), np.zeros((8, 1)), np.ones(8, bool), settings=SETTINGS,
                copies_of=[0, 1] * 4,
            )  # fmt: skip
        with pytest.raises(ValueError, match="copies_of has 2 entries"):
            fold_scores(np.zeros((9, 1)), np.zeros((8, 1)), np.ones(8, bool), copies_of=[0, 1])


class TestExperiments:
    def test_bootstrap(self):
        data, other = events(1), events(2, n=500)
        run = lambda k, seed: bootstrap(classifier(), data, other, inside(data.mass), k, seed)
        one, again, two = run(1, 5), run(1, 5), run(2, 5)
        np.testing.assert_array_equal(one.rows, again.rows)
        np.testing.assert_array_equal(one.scores, again.scores)
        assert not np.array_equal(one.rows, two.rows)
        np.testing.assert_array_equal(one.data.mass, data.mass[one.rows])
        # With replacement: 1 - 1/e of all events occur.
        assert len(np.unique(one.rows)) / len(data.mass) == pytest.approx(0.632, abs=0.03)
        assert len(one.other_scores) == len(one.other_rows) == 500
        assert ((one.scores > 0) & (one.scores < 1)).all()

    def test_null_runs_hold_no_signal(self):
        left, _, right, _ = WINDOW.count(events(1).mass)
        fit = fit_background(left, right, window=WINDOW, degree=3)
        flows = [LinearFlow(0.8), LinearFlow(0.8)]
        seed = null_seed(1, 3)
        mass, values = draw_null(flows, FITTED, fit, seed=seed)
        assert len(mass) == pytest.approx(2000, abs=5 * np.sqrt(2000))
        low, high = WINDOW.left[0], WINDOW.right[-1]
        assert ((mass >= low) & (mass <= high)).all()
        real = events(2).mass
        assert stats.ks_2samp(mass, real[(real >= low) & (real <= high)]).pvalue > 1e-3
        latent = flows[0].latent(values, FITTED.scale_mass(mass))
        assert stats.kstest(latent.ravel(), "norm").pvalue > 1e-3
        again, _ = draw_null(flows, FITTED, fit, seed=seed)
        np.testing.assert_array_equal(mass, again)
        assert null_seed(2, 3) != seed
        found = null_run(classifier(), ClassifierInput(values, mass), inside(mass), 1, 3)
        auc = roc_auc_score(inside(mass), found.scores)
        # Only what the mass itself does to the first feature.
        assert auc == pytest.approx(0.5, abs=0.06)

    def test_latent(self):
        """In latent space the mass is gone: the sidebands score like the background."""
        data, other = events(1, n=4000, signal=150, slope=2.0), events(2, n=300, slope=2.0)
        flat = classifier((2.0, 2.0), rounds=30)
        found = {}
        for latent in (False, True):
            found[latent] = replace(flat, latent=latent).score(
                data, inside(data.mass), {"other": other}, seed=1, progress=False
            )
        signal = np.r_[np.zeros(4000, bool), np.ones(150, bool)]
        beside = ~inside(data.mass)
        assert roc_auc_score(signal, found[True].data) > 0.85
        high, low = data.mass[beside] > 12, data.mass[beside] < 6
        means = {
            k: f.data[beside][high].mean() - f.data[beside][low].mean() for k, f in found.items()
        }
        assert abs(means[True]) < 0.5 * abs(means[False])
        assert len(found[True].best_rounds) == 6  # folds of both flows
        assert found[True].background.shape == (600,)
        assert found[True].others.keys() == {"other"}
        assert len(found[True].others["other"]) == 300


class TestReuse:
    def make(self, calls):
        def one(number):
            calls.append(number)
            rng = np.random.default_rng(number)
            rows = rng.integers(9, size=9)
            return Experiment(
                number, ClassifierInput(rng.random((9, 2)), rng.random(9)), rows, rng.random(9), rows,
                rows, rng.random(9),
            )  # fmt: skip

        return one

    def test_goes_on_after_an_interrupt(self, tmp_path):
        calls = []
        make = self.make(calls)

        def interrupted(number):
            if number == 3:
                raise KeyboardInterrupt
            return make(number)

        with pytest.raises(KeyboardInterrupt):
            make_or_reuse(tmp_path, "null", 4, "key", interrupted, False)
        found = make_or_reuse(tmp_path, "null", 4, "key", make, False)
        assert calls == [1, 2, 3, 4]
        for experiment in found:
            fresh = make(experiment.number)
            np.testing.assert_array_equal(experiment.data.values, fresh.data.values)
            np.testing.assert_array_equal(experiment.scores, fresh.scores)
            np.testing.assert_array_equal(experiment.other_rows, fresh.other_rows)

    @pytest.mark.parametrize("damage", ["truncated", "empty", "text", "other key"])
    def test_damaged_or_foreign_files_are_made_again(self, tmp_path, damage):
        calls = []
        make_or_reuse(tmp_path, "null", 2, "key", self.make(calls), False)
        path = tmp_path / "null2.npz"
        content = path.read_bytes()
        changed = {"truncated": content[:-200], "empty": b"", "text": b"no", "other key": content}
        path.write_bytes(changed[damage])
        key = "other" if damage == "other key" else "key"
        make_or_reuse(tmp_path, "null", 2, key, self.make(calls), False)
        assert calls == [1, 2] + ([1, 2] if damage == "other key" else [2])

    def test_digest(self):
        a = np.arange(3.0)
        assert digest(a, 1) == digest(a.copy(), 1)
        assert len({digest(a, 1), digest(a, 2), digest(a + 1, 1), digest(SETTINGS)}) == 4
