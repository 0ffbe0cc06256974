"""The stage "check": a classifier sees what is different, and its area is that of others."""

import numpy as np
import pytest

pytest.importorskip("xgboost")

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
