"""What does not fit into the time of continuous integration, and is no part of another test: make slow."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NUMBERS = runpy.run_path(str(ROOT / "benchmarks" / "docs_numbers.py"), run_name="docs_numbers")
pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "demo",
    [("rates", "demo"), ("jets", "demo"), ("gammajet", "demo"), ("importance", "demo"), ("train", "demo"),
     ("diphoton", "run", "--sample")],
    ids="-".join,
)  # fmt: skip
def test_demos_in_full(run, browser, demo, tmp_path):
    """conftest.py opens the reports, with all their pictures."""
    code, out, err = run(*demo, "--out", tmp_path / "out")
    assert code == 0, (out, err)
    assert list((tmp_path / "out").rglob("report.html"))


def test_the_dimuon_search_in_full(run, browser, tmp_path):
    """It is the one of README, whose numbers are those that it gives."""
    for arguments in (("toys", tmp_path / "toys.root", "--seed", NUMBERS["SEED"]),
                      ("run", tmp_path / "search.toml", "--out", tmp_path / "search"),
                      ("importance", tmp_path / "search.toml", "--out", tmp_path / "search")):  # fmt: skip
        code, out, err = run("dimuon", *arguments)
        assert code == 0, (out, err)
    assert len(list((tmp_path / "search").rglob("report.html"))) == 2
    NUMBERS["search"].__globals__["fastjag"] = lambda *_: None  # it has run
    said = NUMBERS["search"](tmp_path)
    stands = NUMBERS["between"]("search").search((ROOT / "README.md").read_text())
    assert stands[0] == f"{stands[1]}{said}{stands[2]}", "make docs-numbers NUMBERS=search"


def test_pulls_of_peak_fits():
    """500 toys of every shape: means within 0.1 of zero, widths between 0.9 and 1.1."""
    program = ROOT / "benchmarks" / "calibrate_peaks.py"
    ran = subprocess.run([sys.executable, program], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}"
    assert ran.stdout.count("| gaussian |") >= 6
