"""The stage "check": a classifier sees what is different, and its area is that of others."""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("xgboost")

from fastjag.analyses.dimuon import check
from fastjag.analyses.dimuon.check import auc_error, closure
from fastjag.models.roc import roc_curve


def test_closure_sees_a_difference():
    rng = np.random.default_rng(1)
    mass = rng.normal(size=2000)
    found = closure(
        ("a", "b"), rng.normal(size=(2000, 2)), mass, rng.normal(0.3, 1, (2000, 2)), mass
    )
    assert found.auc > 0.55
    assert not found.passes
    assert found.ks["a"][1] < 1e-6
    assert found.verdict.startswith(f"samples differ from the data: {found.auc:.4f} +- 0.0091")
    # A difference that only the mass shows is one, too.
    a, b = rng.normal(size=(2, 2000, 2))
    turned = closure(("a", "b"), a, a[:, 0], b, -b[:, 0])
    assert turned.auc == pytest.approx(0.5, abs=0.04)
    assert turned.auc_with_mass > 0.9
    assert not turned.passes


def test_error_of_the_area():
    rng = np.random.default_rng(2)
    spread = [roc_curve(np.arange(500) >= 300, rng.random(500)).area for _ in range(400)]
    assert np.std(spread) == pytest.approx(auc_error(300, 200), rel=0.15)


def test_the_area_is_a_mean_over_folds(monkeypatch):
    """One way to draw them moves it by more than its statistical error, on samples of a few thousand."""
    rng = np.random.default_rng(3)
    x, mass = rng.normal(size=(300, 1)), rng.normal(size=300)
    drawn = {}

    def scored(background, data, inside, *, seed, **_):
        own = np.random.default_rng(seed).random((2, 300))
        drawn.setdefault(background.shape[1], {})[seed] = own
        return SimpleNamespace(background=own[0], data=own[1])

    monkeypatch.setattr(check, "fold_scores", scored)
    first, second = (check.closure(("a",), x, mass, x, mass, seed=seed) for seed in (1, 2))
    labels = np.arange(600) >= 300
    areas = [roc_curve(labels, own.ravel()).area for own in drawn[1].values()]
    assert len(areas) == 10
    assert (first.auc, second.auc) == (np.mean(areas[:5]), np.mean(areas[5:]))
    assert first.auc_with_mass == first.auc  # of the same scores here
