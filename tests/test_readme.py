"""The ten lines of the README run as they stand, and give what they promise."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_ten_lines_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    scope = {}
    exec(compile(code, "README.md", "exec"), scope)  # noqa: S102
    histogram = scope["h"]
    upsilon = histogram[9.0j:10.0j].sum() / histogram[8.0j:9.0j].sum()
    assert upsilon > 1.5  # the 1S stands above the continuum
    assert scope["tensor"].shape == (len(scope["batch"]), 4, 3)


def test_pictures_are_pictures():
    for picture in re.findall(r"!\[[^]]*\]\(([^)]+)\)", README):
        assert (ROOT / picture).read_bytes().startswith(b"\x89PNG"), picture


def test_benchmarks_are_published():
    page = (ROOT / "docs" / "benchmarks.md").read_text()
    assert "make bench" in page
    assert page.count("x** faster") >= 10
