"""Bad fits of the diphoton mass are named beside their numbers and in the report's summary."""

import json
from dataclasses import replace

import numpy as np
import pytest

from fastjag.analyses.diphoton.mass_fit import fit_mass
from fastjag.analyses.diphoton.pictures import masses
from fastjag.analyses.diphoton.report import auc_table, fit_table, numbers_of, warnings_of
from fastjag.reporting.points import poisson_errors


@pytest.fixture(scope="module")
def good():
    rng = np.random.default_rng(1)
    return fit_mass(np.concatenate([rng.normal(125, 2, 900), rng.uniform(105, 160, 20_000)]))


def cells(fits):
    columns, rows = fit_table(fits)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def test_good_fits_say_nothing(good):
    assert warnings_of({"spectrum": good}) == []
    (row,) = cells({"spectrum": good})
    assert row["chi² / ndf"] == f"{good.chi2:.0f} / {good.ndf}"
    assert row["Z"] == f"{good.significance:.2f}"


def test_bad_and_invalid_fits(good):
    fits = {
        "peak": replace(good, chi2=159.0, ndf=22), "spectrum": good,
        "peak, unconverted central": replace(good, chi2=88.0, ndf=15),
        "spectrum, unconverted central": replace(good, valid=False),
    }  # fmt: skip
    bad, invalid = warnings_of(fits)
    assert "peak (p = 9e-23), peak, unconverted central (p = 2e-12)." in bad
    assert invalid == (
        "! Fits that are not valid: spectrum, unconverted central. They have no result."
    )
    rows = cells(fits)
    assert rows[0]["chi² / ndf"] == "159 / 22 ! bad fit, p = 9e-23"
    assert rows[2]["chi² / ndf"] == "88 / 15 ! bad fit, p = 2e-12"
    assert rows[3]["chi² / ndf"].endswith("! not valid")
    assert "!" not in rows[1]["chi² / ndf"]


def test_a_peak_alone_has_no_significance(good):
    """Z = 111 without a background: there is nothing that the peak could stand out of."""
    rows = cells({"peak": good, "spectrum": good, "peak, unconverted central": good})
    assert [row["Z"] for row in rows] == ["-", f"{good.significance:.2f}", "-"]
    assert numbers_of("peak", good)["significance"] is None
    assert numbers_of("spectrum", good)["significance"] == good.significance
    assert json.dumps(numbers_of("peak", good)["values"])


def test_points_below_a_logarithmic_axis_are_marked(good):
    """And pulls beyond theirs; a spectrum of plain counts has Poisson errors."""
    n = len(good.counts)
    expected = np.full(n, 100.0)
    counts, variances = expected.copy(), np.full(n, 100.0)
    counts[3], counts[5] = 1e-4, 200.0
    fit = replace(
        good, counts=counts, variances=variances, background=0 * expected, signal=expected
    )
    top, below = masses.peak(fit).axes
    markers = [[line.get_marker() for line in ax.lines if line.get_marker() in ("^", "v")]
               for ax in (top, below)]  # fmt: skip
    assert markers == [["v"], ["^"]]
    top, _ = masses.spectrum(good).axes
    (errors,) = top.containers[0].lines[2]
    low, high = errors.get_segments()[0][:, 1]
    expected = poisson_errors(good.counts[:1])[:, 0]
    assert [low, high] == pytest.approx(
        [good.counts[0] - expected[0], good.counts[0] + expected[1]]
    )


def test_areas_are_rounded_to_their_errors():
    curve = {"auc": 0.87654, "auc_error": 0.0123}
    numbers = {
        "classes": ["a", "b"],
        "models": {"m": {"roc": {"a": curve, "b": {"auc": 0.5, "auc_error": None}}}},
    }
    assert auc_table(numbers) == (
        ("area under the curve", "a", "b"),
        [("m", "0.877 ± 0.012", "0.500")],
    )
