"""``fastjag spectrum --fit``: windows, numbers in terminal, JSON and report, pictures that come and go."""

import json

import numpy as np
import pytest
from sentences import first_sentence
from toy_samples import KINEMATICS
from typer.testing import CliRunner

from fastjag import __main__ as cli
from fastjag import toys
from fastjag.analyses.spectrum import MuonSelection, spectrum, write
from fastjag.analyses.spectrum_fits import NAMED, FitWindow, earlier_pictures, fit_windows
from fastjag.reporting.report import with_error

RANGE = (0.3, 150.0)


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return toys.write(
        tmp_path_factory.mktemp("toys") / "t.root", 60_000, seed=3, columns=KINEMATICS
    )


def test_windows():
    windows = fit_windows(["J/psi", "2.9:3.3", "J/psi", "2.90:3.3"], RANGE)
    assert windows == [NAMED["J/psi"], FitWindow("2.9:3.3", 2.9, 3.3)]
    assert windows[1].stem == "fit_2.9-3.3"
    assert fit_windows([], RANGE) == []
    assert NAMED["Upsilon"].peaks == (9.4604, 10.0234, 10.3551)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Jpsi", "no peak 'Jpsi' to fit: .*'J/psi'.*2.9:3.3, in GeV"),
        ("upsilon", "did you mean 'Upsilon'"),
        ("3.3:2.9", "a window to fit is LOW:HIGH in GeV, such as 2.9:3.3, got '3.3:2.9'"),
        ("2.9:", "LOW:HIGH"),
        ("a:b", "LOW:HIGH"),
        ("nan:3", "LOW:HIGH"),
        ("1:inf", "LOW:HIGH"),
        ("-1:3", "LOW:HIGH"),
        ("1:2:3", "LOW:HIGH"),
        ("140:160", "the fit of 140:160 needs masses from 140 to 160 GeV, the spectrum goes from 0.3"),
    ],
)  # fmt: skip
def test_wrong_windows(name, message, tmp_path):
    """Before a file is opened."""
    with pytest.raises(ValueError, match=message):
        spectrum(tmp_path / "none.root", fits=[name])


def test_toy_peaks(toy, tmp_path):
    """Bins of the windows hold what the pairs are; all outputs say the same; nothing without fits."""
    result = spectrum(toy, fits=["J/psi", "Upsilon", "140:145"], step=20_000)
    plain = spectrum(toy)
    np.testing.assert_array_equal(plain.opposite.values(), result.opposite.values())
    by_name = {window.name: fit for window, fit in result.fits.items()}
    assert by_name["J/psi"].mass == pytest.approx(3.0969, abs=0.005)
    assert by_name["Upsilon"].mass == pytest.approx(9.4604, abs=0.02)
    write(result, tmp_path)
    names = {p.name for p in tmp_path.iterdir()}
    assert {"fit_jpsi.png", "fit_jpsi.pdf", "fit_upsilon.png", "fit_upsilon.pdf"} <= names
    summary = json.loads((tmp_path / "spectrum.json").read_text())["fits"]
    fit = summary["J/psi"]
    assert fit["mass"] == by_name["J/psi"].mass
    assert fit["parameters"]["mass"]["error"] == by_name["J/psi"].mass_error
    assert sum(fit["counts"]) == pytest.approx(fit["events"] + fit["background"], abs=2)
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert html.count("data:image/png") >= 3
    assert "<h2>Peaks</h2>" in html
    assert f"{by_name['J/psi'].mass:.3f}" in html
    jpsi = by_name["J/psi"]
    events = with_error(jpsi.events, jpsi.events_error)
    assert f"the peak J/psi has {events} pairs at " in first_sentence(html)
    # What is not fitted any more has no picture; what somebody else put there stays.
    (tmp_path / "fit_mine.png").write_text("mine")
    write(plain, tmp_path)
    names = {p.name for p in tmp_path.iterdir()}
    assert {n for n in names if n.startswith("fit_")} == {"fit_mine.png"}
    assert "fits" not in json.loads((tmp_path / "spectrum.json").read_text())
    assert "Peaks" not in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_too_few_pairs_leave_the_spectrum(tmp_path):
    path = toys.write(tmp_path / "t.root", 50, seed=1, columns=KINEMATICS)
    result = spectrum(path, fits=["140:145"])
    assert "entries between 140 and 145" in next(iter(result.fits.values()))
    write(result, tmp_path / "out")
    error = json.loads((tmp_path / "out" / "spectrum.json").read_text())["fits"]["140:145"]["error"]
    assert "needs at least 10" in error
    html = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "140:145: ! no fit: " in html[: html.index("<nav>")]  # a warning stands above all


def test_command(toy, tmp_path):
    run = CliRunner().invoke(
        cli.app,
        ["spectrum", str(toy), "--out", str(tmp_path / "s"), "--fit", "J/psi", "--fit", "9:10.6"],
    )
    assert run.exit_code == 0, run.output
    assert "Peaks" in run.output
    assert "3.09" in run.output
    assert {"fit_jpsi.png", "fit_9-10.6.png"} <= {p.name for p in (tmp_path / "s").iterdir()}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"fits": 3}', '{"fits": {"a": 3}}', "{", "[1]"])
def test_earlier_results_of_any_kind(tmp_path, text):
    (tmp_path / "spectrum.json").write_text(text)
    assert earlier_pictures(tmp_path) == []
    assert earlier_pictures(tmp_path / "none") == []


def test_real_jpsi(real_data):
    path = real_data / "agc_open-data-example.root"
    result = spectrum(path, MuonSelection(exactly_two=True), fits=["J/psi", "Upsilon"])
    jpsi, upsilon = result.fits.values()
    assert jpsi.valid
    assert jpsi.mass == pytest.approx(3.0969, abs=0.005)
    assert jpsi.counts.sum() == pytest.approx(3220 + 683, abs=3)
    assert upsilon.valid
    assert upsilon.mass == pytest.approx(9.4604, abs=0.02)
    first, second, third = (upsilon.parameters[f"events_{i}"][0] for i in (1, 2, 3))
    assert first > second > 50
    assert third > 50
    assert max(jpsi.p_value, upsilon.p_value) > 0.01
