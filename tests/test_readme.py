"""The code in the README runs as it stands, and gives what it promises."""

import re
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_code_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ten_lines, numba_function = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    scope = {}
    for code in (ten_lines, numba_function):
        exec(compile(code, "README.md", "exec"), scope)  # noqa: S102
    histogram = scope["h"]
    upsilon = histogram[9.0j:10.0j].sum() / histogram[8.0j:9.0j].sum()
    assert upsilon > 1.5  # the 1S stands above the continuum
    assert scope["tensor"].shape == (len(scope["batch"]), 4, 3)
    muons = scope["muons"]
    pairs = np.isfinite(scope["closest_pair"](muons))
    np.testing.assert_array_equal(pairs, muons.counts >= 2)


def test_pictures_are_pictures():
    for picture in re.findall(r"!\[[^]]*\]\(([^)]+)\)", README):
        assert (ROOT / picture).read_bytes().startswith(b"\x89PNG"), picture


def test_benchmarks_are_published():
    page = (ROOT / "docs" / "benchmarks.md").read_text()
    assert "make bench" in page
    assert page.count("x** faster") >= 10
