"""Every name that a picture can show has a title as physicists write it."""

import re

import pytest
from matplotlib.mathtext import MathTextParser

from fastjag.analyses.dimuon.observables import OBSERVABLES
from fastjag.analyses.diphoton.column_statistics import STATISTICS
from fastjag.analyses.diphoton.features import DEFAULT, GROUPS
from fastjag.analyses.gammajet.comparison import COMPARED
from fastjag.analyses.gammajet.response import ESTIMATORS
from fastjag.analyses.jets.features import FEATURES, IMPACT_FEATURES
from fastjag.analyses.jets.shapes import _AXES
from fastjag.analyses.jets.train import SHAPES
from fastjag.reporting.titles import axis_title, known_title, plain

NAMES = sorted(
    {
        *OBSERVABLES, *DEFAULT, *(name for group in GROUPS for name in group.documented),
        *(f"jet_pt_{statistic}" for statistic in STATISTICS), *COMPARED, *ESTIMATORS, *FEATURES,
        *IMPACT_FEATURES, *SHAPES, *_AXES, *(f"fj_{name}" for name in SHAPES),
        *(f"pfcand_{name}" for name in FEATURES), "Muon_pt", "Muon_eta", "Jet_pt", "MET_pt", "delta_r",
    }
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_title_is_known_and_can_be_drawn(name):
    title = axis_title(name)
    assert known_title(name) is not None
    assert name != title
    assert "_" not in re.sub(r"\$.*?\$", "", title)
    assert title[0].isupper() or title[0] == "$" or title[0] == "|"
    MathTextParser("path").parse(title)  # an error if it is no formula


def test_the_unit_is_that_of_the_column():
    assert axis_title("dimu_pt") == r"$p_T^{\mu\mu}$ [GeV]"
    assert axis_title("dimu_pt", unit=False) == r"$p_T^{\mu\mu}$"
    assert axis_title("mu0_ip3d") == "Leading muon $d_{3D}$ [cm]"
    assert axis_title("jet_pt_max") == "Largest jet $p_T$ [GeV]"
    assert axis_title("jet_pt_var") == "Variance of jet $p_T$"
    assert axis_title("lep_n") == "Leptons"


@pytest.mark.parametrize("group", GROUPS, ids=lambda g: g.title)
def test_units_are_those_that_are_documented(group):
    for name, text in group.documented.items():
        in_gev = re.search(r"\[(.*)\]$", text)
        if in_gev and in_gev[1] == "GeV":
            assert known_title(name).unit == "GeV", name


@pytest.mark.parametrize("name", ["shift", "HLT_Mu17_Mu8", "a$b", "_u", "jet_unknown", "mu0_new"])
def test_other_names_stay(name):
    assert axis_title(name) == plain(name)
