"""Bad fits are called bad: probabilities of chi2 and the words for them."""

import math

import pytest
from scipy import stats

from fastjag.statistics import bad_fits, fit_probability, fit_warning


@pytest.mark.parametrize(("chi2", "dof"), [(0, 1), (3.84, 1), (22, 22), (159, 22), (88, 15)])
def test_probability(chi2, dof):
    assert fit_probability(chi2, dof) == pytest.approx(stats.chi2.sf(chi2, dof), rel=1e-9)


def test_hostile_chi2():
    assert math.isnan(fit_probability(3, 0))
    assert fit_warning(3, 0) == ""
    assert fit_probability(-1e-12, 3) == 1  # rounding
    for chi2 in (math.nan, math.inf, 1e9):
        assert fit_warning(chi2, 5) == "! bad fit, p < 1e-300"


def test_words():
    border = stats.chi2.isf(1e-3, 10)
    assert fit_warning(border * 0.999, 10) == ""
    assert fit_warning(border * 1.001, 10) == "! bad fit, p = 0.001"
    assert fit_warning(159, 22) == "! bad fit, p = 9e-23"
    assert bad_fits({"a": (10, 10)}) == ""
    assert bad_fits({}) == ""
    said = bad_fits({"peak": (159, 22), "good": (9, 9), "tail": (88, 15)})
    assert said.startswith("! Bad fits")
    assert "peak (p = 9e-23), tail (p = 2e-12)" in said
    assert "good" not in said
