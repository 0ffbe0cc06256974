"""``--no-pictures``: the same numbers without pictures, and without the libraries that nobody needs."""

import json
import subprocess
import sys

import pytest
import uproot
from toy_samples import KINEMATICS

from fastjag import toys
from fastjag.analyses.spectrum import spectrum, write

# What reading TTrees of numbers and filling histograms takes no part of.
NOT_NEEDED = ("awkward.contents", "matplotlib", "mplhep", "numpy.ma", "pandas", "pyarrow", "scipy",
              "torch", "fsspec.implementations.http", "aiohttp", "numba", "sklearn", "h5py", "iminuit",
              "fastjag.jagged.numba_support", "pydantic")  # fmt: skip
COMMAND = """
import sys
from fastjag.__main__ import main
try:
    main()
finally:
    print(*sys.modules, file=sys.stderr)
"""


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    path = tmp_path_factory.mktemp("toys") / "toys.root"
    return toys.write(path, 2000, seed=5, columns=KINEMATICS)


def command(*args):
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *map(str, args)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout), set(done.stderr.split())


def numbers(folder):
    summary = json.loads((folder / "spectrum.json").read_text())
    del summary["seconds"]
    with uproot.open(folder / "spectrum.root") as file:
        return summary, {key: file[key].to_numpy(flow=True)[0].tolist() for key in file.keys()}  # noqa: SIM118


def test_same_numbers_and_nothing_that_is_not_needed(toy, tmp_path):
    shown, modules = command("spectrum", toy, "--out", tmp_path / "a", "--json", "--no-pictures")
    assert "uproot" in modules
    assert sorted(modules.intersection(NOT_NEEDED)) == []
    assert {p.name for p in (tmp_path / "a").iterdir()} == {
        "command.json", "report.html", "spectrum.json", "spectrum.root",
    }  # fmt: skip
    write(spectrum(toy), tmp_path / "b")
    assert numbers(tmp_path / "a") == numbers(tmp_path / "b")
    assert shown["cutflow"] == numbers(tmp_path / "b")[0]["cutflow"]
    assert "<img" not in (tmp_path / "a" / "report.html").read_text()


def test_earlier_pictures_go(toy, tmp_path):
    result = spectrum(toy, fits=["J/psi"])
    write(result, tmp_path)
    assert {"spectrum.png", "spectrum.pdf", "fit_jpsi.png"} <= {p.name for p in tmp_path.iterdir()}
    write(result, tmp_path, pictures=False)
    left = {p.name for p in tmp_path.iterdir()}
    assert left == {"report.html", "spectrum.json", "spectrum.root"}
    summary = json.loads((tmp_path / "spectrum.json").read_text())
    assert summary["fits"]["J/psi"]["pictures"] == []
    assert ">Peaks</h2>" in (tmp_path / "report.html").read_text()
