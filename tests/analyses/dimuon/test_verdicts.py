"""What a search says of itself: failed checks are loud, and mark all that stands behind them."""

import io
import json

import numpy as np
import pytest
import uproot
from rich.console import Console
from search_samples import CONFIG, PASSED, scored
from typer.testing import CliRunner

pytest.importorskip("pyarrow")

from fastjag.analyses.dimuon.significance import compute_significances
from fastjag.analyses.dimuon.verdicts import (
    failed_checks,
    mark,
    picture_title,
    summary,
    verdict,
    verdicts,
)
from fastjag.commands.significances import significances
from fastjag.reporting.report import fixed
from fastjag.statistics import Window

GOOD = {
    "passes": True,
    "verdict": "samples describe the data: 0.5010 +- 0.0090, +0.1 sigma from 0.5",
}
BAD = {
    "passes": False,
    "verdict": "samples differ from the data: 0.5700 +- 0.0090, +7.8 sigma from 0.5",
}
FIT, POOR = {"chi2": 30.0, "dof": 28}, {"chi2": 90.0, "dof": 28}


def test_verdicts():
    fine = verdicts({"both sidebands": GOOD}, FIT, None, "SS")
    assert [check["passes"] for check in fine.values()] == [True, True]
    assert failed_checks(fine, of_flows=True) == []
    assert picture_title("significance", fine) == ""
    assert "0.5010 +- 0.0090" in summary(fine, [])[0]
    assert not any(sentence.startswith("!") for sentence in summary(fine, []))
    # One part of the sidebands is enough.
    wrong = verdicts({"both sidebands": GOOD, "left sideband": BAD}, FIT, None, "SS")
    assert wrong["closure"]["passes"] is False
    first = summary(wrong, [])[0]
    assert first.startswith("! CLOSURE FAILED")
    assert "left sideband: AUC 0.5700 +- 0.0090, +7.8 sigma" in first
    assert "both sidebands" not in first
    assert failed_checks(wrong, of_flows=True) == ["closure"]
    assert failed_checks(wrong, of_flows=False) == []  # cuts on features need no flows
    assert picture_title("masses", wrong).startswith("CLOSURE FAILED")
    assert picture_title("triggers", wrong) == ""
    # Not tested is not passed.
    unknown = verdicts({}, FIT, None, "SS")
    assert failed_checks(unknown, of_flows=True) == ["closure"]
    assert summary(unknown, [])[0].startswith("! CLOSURE NOT TESTED: fewer than 20 pairs")
    assert picture_title("masses", unknown) == "CLOSURE NOT TESTED"


def test_a_bad_background_fit_and_no_control():
    found = verdicts({"both sidebands": GOOD}, POOR, "no pair has a mass", "SS")
    assert failed_checks(found, of_flows=True) == ["background"]
    said = summary(found, [])
    assert said[0].startswith(
        "! Bad fits, whose chi2 has a probability below 0.001: background (p ="
    )
    assert said[1] == "! There is no control: SS pairs are left out, as no pair has a mass."
    assert said[2].startswith("Closure passes")
    assert picture_title("background", found) == "BAD BACKGROUND FIT"


def test_rows_behind_a_failed_check():
    checks = {**PASSED, "closure": {"passes": False, "says": "! CLOSURE FAILED"}}
    result = compute_significances({"OS": scored()}, CONFIG, checks)
    for row in result["table"]:
        assert row["failed_checks"] == (["closure"] if row["discriminant"] == "classifier" else [])
        assert mark(row) == ("! closure failed" if row["discriminant"] == "classifier" else "")
    assert {k: v for k, v in result["checks"].items() if k != "bias"} == checks
    assert result["OS"]["reweighted"]["failed_checks"] == ["closure"]
    marked = {name: curve["failed_checks"] for name, curve in result["OS"]["curves"].items()}
    assert marked == {"classifier": ["closure"], "dimu_pt": [], "mu0_ip3d": [], "random": []}


def test_fits_that_do_not_describe_the_sidebands():
    """A polynomial of degree 2 does not follow a second peak in the right sideband."""
    some = scored(n=6000)
    mass = some.pairs.mass.copy()
    mass[:700] = np.random.default_rng(1).normal(13, 0.2, 700)
    some.pairs.mass[:] = mass
    some.pairs.sideband[:] = (mass < 9) | (mass >= 10.6)
    rows = compute_significances({"OS": some}, CONFIG, PASSED)["table"]
    assert rows[0]["selection"] == "inclusive"
    assert rows[0]["fit_p"] < 1e-3
    assert rows[0]["failed_checks"] == ["fit"]
    assert mark(rows[0]).startswith("! bad fit, p = ")
    said = [s for s in summary(PASSED, rows) if s.startswith("! Bad fits to the sidebands")]
    assert len(said) == 1
    assert "OS none, inclusive" in said[0]
    assert "! beside Z: bad fit, p" in text_of(rows)


WINDOW = Window(5, 9, 10.6, 16)


class TestVerdict:
    """The first sentence of a report."""

    def said(self, *rows, checks=PASSED):
        return verdict(checks, rows, WINDOW)

    def test_an_excess_with_local_and_global_significance(self):
        control = row(pairs="SS", alternate=True, Z=1.2)
        weaker = row(discriminant="dimu_pt", Z=9.0)  # the classifier is what is searched with
        assert self.said(weaker, row(), control) == (
            "Opposite-sign pairs between 9 and 10.6 GeV show an excess of 4.0 sigma locally and 3.5 "
            "sigma globally, for the choice of the cut: 30 pairs where 20 are expected behind the cut on "
            "the classifier that keeps 10 % of the sidebands; all checks pass, and same-sign pairs, the "
            "control, have at most 1.2 sigma locally."
        )

    def test_the_global_one_decides(self):
        assert "show no significant excess: the largest has 4.0 sigma locally and 2.9" in self.said(
            row(Z_global=2.9)
        )
        assert "(no toys: no global one)" in self.said(row(Z_global=None))
        assert "show an excess of 4.0" in self.said(row(Z_global=None))

    def test_what_cannot_be_trusted_is_said(self):
        for passes, why in (
            (False, "the closure failed"),
            (None, "the closure could not be tested"),
        ):
            checks = {**PASSED, "closure": {"passes": passes, "says": "!"}}
            said = self.said(row(failed_checks=["closure", "fit"]), checks=checks)
            assert said.startswith("! Opposite-sign pairs")
            assert said.endswith(
                f"; this cannot be trusted: {why} and the fit to its sidebands is bad."
            )

    def test_without_control_or_cut(self):
        inclusive = row(
            discriminant="none", selection="inclusive", rate=1.0, cut=None, Z_global=None
        )
        said = self.said(inclusive)
        assert said.endswith(
            "30 pairs where 20 are expected; all checks pass, and there is no control."
        )


def row(**changes):
    return {"pairs": "OS", "discriminant": "classifier", "selection": "best cut", "rate": 0.1, "Z": 4.0,
            "Z_global": 3.5, "S": 10.0, "B": 20.0, "toy_p": 0.005, "toy_p_low": 0.0,
            "toy_p_high": 0.0092, "toys": 200, "agrees": True, "failed_checks": [], "alternate": False,
            "cut": 0.6, **changes}  # fmt: skip


def text_of(rows):
    console = Console(file=io.StringIO(), width=80, markup=False)  # as the command's
    console.print(significances(rows))
    return console.file.getvalue()


def test_the_best_cut_keeps_its_global_significance():
    """Where a fixed rate is the same cut, and where one with too few events shows more."""
    fixed_rate = row(selection="10 %", Z_global=None)
    few = row(selection="0.1 %", Z=9.0, Z_global=None)
    for rows in ([fixed_rate, few, row()], [row(), few, fixed_rate]):
        line = next(s for s in text_of(rows).splitlines() if "classifier cut" in s)
        assert line.split()[-5:] == ["0.005", "3.50", "10.0", "20.0", "10.00%"]
        assert "9.00" not in text_of(rows)


def test_numbers_of_the_table():
    text = text_of([row(Z=0.0, Z_global=-0.0, S=-0.04, B=-0.0)])
    assert "-0.0" not in text
    assert fixed(-0.0, 2) == fixed(-0.004, 2) == "0.00"
    assert fixed(-0.006, 2) == "-0.01"
    # Names with markup stay as they are, and nothing is cut off.
    name = "HLT_[bold]a_very_long_name_of_a_trigger_that_no_table_has_room_for"
    assert "".join(text_of([row(discriminant=name)]).split()).count("[bold]a_very_long") == 1


def test_toys_that_disagree_are_shown():
    """A same-sign reweighting of 3.38 whose toys say 0.06."""
    odd = row(pairs="SS", selection="likelihood reweighting", rate=None, Z=3.38, Z_global=None,
              toy_p=0.06, agrees=False)  # fmt: skip
    text = text_of([row(), odd])
    assert "3.38" in text
    assert "0.06 !" in text
    assert "disagrees with the asymptotic p of Z; trust the toys" in text
    assert "disagrees" not in text_of([row()])
    marked = row(failed_checks=["closure"])
    assert "4.00 !" in text_of([marked])
    assert "! beside Z: closure failed" in text_of([marked])


TOML = """
seed = 1
[input]
files = ["{file}"]
muon_id = "any"
[analysis_keywords]
name = "real"
[window_definitions]
upsilon = {{ SB_left = 5, SR_left = 9, SR_right = 10.6, SB_right = 16 }}
[feature_sets]
s = ["dimu_pt", "mu0_eta", "mu1_eta"]
[scan]
toys = 5
[flow]
preset = "fast"
settings = {{ epochs = 4 }}
[classifier]
preset = "fast"
settings = {{ members = 1, rounds = 10 }}
[significance]
sr_edges = 12
degrees = [5]
edges = [12]
rates = [1.0, 0.3]
toys = 20
"""


@pytest.fixture(scope="module")
def failing(real_data, tmp_path_factory):
    """A search of real collisions whose flow has learned too little, and what the terminal showed."""
    pytest.importorskip("xgboost")
    from fastjag.__main__ import app

    folder = tmp_path_factory.mktemp("failing")
    path = folder / "search.toml"
    path.write_text(TOML.format(file=real_data / "agc_open-data-example.root"))
    ran = CliRunner().invoke(app, ["dimuon", "run", str(path), "--out", str(folder / "out")])
    assert ran.exit_code == 0, ran.output
    return folder, ran.output


def test_a_failed_closure_is_loud(failing):
    """In the terminal, at the top of the report, in tables, captions, JSON and ROOT."""
    folder, output = failing
    report = folder / "out" / "report"
    assert "! CLOSURE FAILED: a classifier tells the flows' samples from the data" in output
    assert "! beside Z: closure failed" in output
    results = json.loads((report / "results.json").read_text())
    assert results["checks"]["closure"]["passes"] is False
    behind = {r["discriminant"] for r in results["table"] if "closure" in r["failed_checks"]}
    assert behind == {"classifier"}
    page = (report / "report.html").read_text()
    body = page[page.index("</h1>") :]
    assert body.startswith('</h1><div class="warning"><p>! CLOSURE FAILED')
    assert results["verdict"].startswith("! ")
    assert "this cannot be trusted: the closure failed" in results["verdict"]
    assert page.count("<figcaption>CLOSURE FAILED") >= 5
    assert "<td>closure failed</td>" in page
    with uproot.open(report / "histograms.root") as file:
        title = file["mass_OS_rate_1"].member("fXaxis").member("fTitle")
    assert "CLOSURE FAILED" in title


def test_without_identification_the_upsilon_is_found(failing):
    """100,000 events of CMS 2012 open data: about 18 sigma, and nothing among same-sign pairs."""
    folder, _ = failing
    results = json.loads((folder / "out" / "report" / "results.json").read_text())
    inclusive = {r["pairs"]: r for r in results["table"] if r["selection"] == "inclusive"}
    assert inclusive["OS"]["Z"] == pytest.approx(18, abs=1.5)
    assert inclusive["OS"]["S"] == pytest.approx(850, rel=0.1)
    assert inclusive["SS"]["Z"] < 2
    assert results["cutflow"]["cutflow"]["two muons"] > 60_000


def test_importances_behind_a_failed_closure(failing):
    from fastjag.__main__ import app

    folder, _ = failing
    command = ["dimuon", "importance", str(folder / "search.toml"), "--out", str(folder / "out")]
    ran = CliRunner().invoke(app, command)
    assert ran.exit_code == 0, ran.output
    assert "warning ! CLOSURE FAILED" in ran.output
    page = (folder / "out" / "importance" / "report.html").read_text()
    assert "Warning: ! CLOSURE FAILED" in page


@pytest.mark.parametrize("window", [(5, 9, 10.6, 16), (60, 80, 100, 120)])
def test_the_template_of_the_toys_passes_on_data(failing, window):
    """Flows as ``dimuon toys`` sets them up, on real sidebands of the Upsilon and the Z."""
    from dataclasses import replace

    from fastjag.analyses.dimuon import toys
    from fastjag.analyses.dimuon.check import check
    from fastjag.analyses.dimuon.config import DimuonConfig
    from fastjag.analyses.dimuon.flow import flow
    from fastjag.analyses.dimuon.results import DimuonResults
    from fastjag.analyses.dimuon.samples import samples
    from fastjag.statistics import Window

    folder, _ = failing
    config = replace(DimuonConfig.read(folder / "search.toml"), window=Window(*window, 12),
                     flow=replace(toys.CONFIG.flow, seeds=(1,)))  # fmt: skip
    out = folder / f"template{window[0]}"
    out.mkdir()
    (out / "prepare").symlink_to(folder / "out" / "prepare")
    results = DimuonResults(config, out, progress=False, threads=1)
    for stage in (flow, samples, check):
        stage(results)
    parts = json.loads((out / "check" / "closure.json").read_text())
    assert len(parts) == 3
    assert all(part["passes"] for part in parts.values())
    assert parts["both sidebands"]["auc"] == pytest.approx(0.5, abs=0.025)
