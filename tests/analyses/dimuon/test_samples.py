"""The stage "samples": flows drawn where the background fit says, closed, and nulls that can be drawn."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from search_samples import CONFIG, WINDOW, toy_pairs

torch = pytest.importorskip("torch")
pytest.importorskip("xgboost")

from fastjag.analyses.dimuon.check import closure
from fastjag.analyses.dimuon.classify import classify
from fastjag.analyses.dimuon.config import ClassifierSection
from fastjag.analyses.dimuon.preprocess import Preprocessing
from fastjag.analyses.dimuon.samples import check_null, draw_samples
from fastjag.models.flow import ConditionalFlow
from fastjag.models.flow_training import FlowSettings
from fastjag.statistics import fit_background

pytestmark = pytest.mark.usefixtures("one_thread")


def test_null_runs_of_a_negative_background():
    """Found before any classifier is trained; beyond the outermost bins it does not matter."""
    centers = WINDOW.centers
    n_left = len(WINDOW.left) - 1
    touching = fit_background(*np.split((centers - 13) ** 2, [n_left]), window=WINDOW, degree=2)
    negative = touching._replace(coefficients=touching.coefficients - [0.5, 0, 0])
    config = replace(CONFIG, classifier=ClassifierSection(null_experiments=1))
    results = SimpleNamespace(config=config, background=lambda: negative)
    message = r"null_experiments\): the background polynomial is negative between 5.16 and 15.72"
    with pytest.raises(ValueError, match=message):
        classify(results)
    falling = fit_background(*np.split(15.8 - centers, [n_left]), window=WINDOW, degree=1)
    assert falling(16.0) < 0
    check_null(falling)


def test_samples_follow_the_sidebands():
    events = toy_pairs(n=4000)
    fitted = Preprocessing.fit(events.features, events.mass, events.sideband)
    rows = fitted.transform(events.features, events.mass)
    sideband = events.sideband
    flows = [
        ConditionalFlow(FlowSettings.preset("fast", epochs=12), seed=s).fit(
            rows.values[sideband], rows.mass[sideband]
        )
        for s in (1, 2)
    ]
    samples = draw_samples(flows, fitted, events, WINDOW, degree=3, seed=5)
    n = round(samples.background.expected)
    assert n == pytest.approx((~sideband).sum(), abs=4 * np.sqrt(n))
    assert (
        samples.signal_region.shape == samples.validation.shape == samples.roc.shape == (2 * n, 2)
    )
    assert samples.sideband.shape == (2 * sideband.sum(), 2)
    assert ((samples.mass >= 9) & (samples.mass <= 10.6)).all()
    assert not np.array_equal(samples.signal_region, samples.validation)
    again = draw_samples(flows, fitted, events, WINDOW, degree=3, seed=5)
    np.testing.assert_array_equal(samples.signal_region, again.signal_region)
    found = closure(
        CONFIG.features, samples.sideband, fitted.scale_mass(samples.sideband_mass),
        rows.values[sideband], rows.mass[sideband],
    )  # fmt: skip
    assert found.passes
    assert set(found.ks) == {*CONFIG.features, "dimu_mass"}
    assert found.ks["dimu_mass"][1] == pytest.approx(1)  # one sample per event and flow
    assert found.verdict.startswith("samples describe the data: 0.")
    assert all(0 <= p <= 1 for _, p in found.ks.values())
    # Without signal the signal region is like the samples, too.
    inside = closure(
        CONFIG.features, samples.signal_region, fitted.scale_mass(samples.mass),
        rows.values[~sideband], rows.mass[~sideband],
    )  # fmt: skip
    assert inside.auc == pytest.approx(0.5, abs=0.05)
