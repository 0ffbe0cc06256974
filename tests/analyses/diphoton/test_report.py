"""Bad fits of the diphoton mass are named beside their numbers and in the report's summary."""

import json
from dataclasses import replace

import numpy as np
import pytest

from fastjag.analyses.diphoton.mass_fit import fit_mass
from fastjag.analyses.diphoton.report import fit_table, numbers_of, warnings_of


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
