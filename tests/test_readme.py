"""README: its code runs as it stands, and gives what it promises; its numbers are made by make docs-numbers."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
NUMBERS = runpy.run_path(str(ROOT / "benchmarks" / "docs_numbers.py"), run_name="docs_numbers")
FIRST_SCREEN = README[: README.index("\n|---")]


def blocks(language, text=README):
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


class TestFirstScreen:
    def test_what_stands_before_the_first_table(self):
        start = FIRST_SCREEN[: FIRST_SCREEN.index("## Install")]
        assert len(start.splitlines()) < 50
        assert start.startswith("# fastjag\n\nfastjag turns")
        (commands,), (ten_lines,) = blocks("bash", start), blocks("python", start)
        assert [line.split()[:2] for line in commands.splitlines()] == [
            ["fastjag", "toys"], ["fastjag", "spectrum"]]  # fmt: skip
        assert len(ten_lines.splitlines()) == 10
        order = ["<img ", "Two commands", "```bash", "```python", "Where next: "]
        assert [start.index(text) for text in order] == sorted(start.index(text) for text in order)

    def test_links(self):
        for link in re.findall(r"\]\((?!https?:)([^)]+)\)", README):
            path, _, anchor = link.partition("#")
            assert not path or (ROOT / path).exists(), link
            if anchor:
                assert re.search(
                    rf"^#+ {anchor.replace('-', ' ')}$", README, re.MULTILINE | re.IGNORECASE
                ), link


def test_the_code_runs(run, tmp_path, monkeypatch):
    """The two commands, with fewer events, and what the ten lines and numba make of their file."""
    monkeypatch.chdir(tmp_path)
    (commands,) = blocks("bash", FIRST_SCREEN[: FIRST_SCREEN.index("## Install")])
    for line in commands.replace("200000", "100000").splitlines():
        code, out, err = run(*line.split("#")[0].split()[1:])
        assert code == 0, (line, out, err)
    assert (tmp_path / "results" / "report.html").is_file()
    ten_lines, numba_function = blocks("python")
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
    pictures = re.findall(r'!\[[^]]*\]\(([^)]+)\)|<img src="([^"]+)"', README)
    assert len(pictures) >= 3
    for picture in pictures:
        assert (ROOT / "".join(picture)).read_bytes().startswith(b"\x89PNG"), picture


class TestNumbers:
    @pytest.mark.parametrize("name", ["jets", "kernels", "races"])
    def test_of_benchmarks_are_those_measured_last(self, name, tmp_path):
        """make docs-numbers NUMBERS='races kernels jets' takes them over."""
        stands = NUMBERS["between"](name).search(README)
        assert stands[0] == f"{stands[1]}{NUMBERS['NUMBERS'][name](tmp_path)}{stands[2]}"

    def test_code_stays_in_one_line(self):
        assert NUMBERS["wrapped"]("ab `c d e` f", width=8) == "ab\n`c d e`\nf"

    def test_all_have_a_place(self):
        assert set(re.findall(r"<!-- numbers: (\w+) -->", README)) == set(NUMBERS["NUMBERS"])

    def test_there_are_no_others(self):
        """Outside of those, of code and of addresses, digits are in names alone."""
        rest = re.sub(
            r"<!-- numbers: .*?<!-- end of numbers -->|```.*?```|`[^`]*`",
            "",
            README,
            flags=re.DOTALL,
        )
        rest = re.sub(r"\]\([^)]*\)|https?://\S+|<img [^>]*>", "]", rest)
        names = r"Python 3\.1\d(?:, 3\.1\d)?( to 3\.1\d)?|x86-64|aarch64|HDF5|w²|d_xy|arXiv:2502\.14036|BSD-3-Clause|alpha = 0|pybind11|liblzma 5\.8"
        assert re.findall(r".{0,20}\d.{0,20}", re.sub(names, "", rest)) == []


def test_benchmarks_are_published():
    page = (ROOT / "docs" / "benchmarks.md").read_text()
    assert "make bench" in page
    assert page.count("x** faster") >= 10


@pytest.mark.slow
def test_commands_run_in_an_environment_of_their_own(tmp_path):
    """Every command of README, and then its Python, in an environment that its install line makes."""
    install, *others = sorted(blocks("bash"), key=lambda block: "git clone" not in block)
    assert "git clone REPOSITORY fastjag" in install
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "env"], check=True)
    own = f"{tmp_path / 'env' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    constraints = str(ROOT / ".ci" / "constraints.txt")  # torch for CPUs
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
    environment = {**kept, "PATH": own, "PIP_CONSTRAINT": constraints, "PIP_QUIET": "1"}
    for block in (install, *others):
        script = block.replace("REPOSITORY", str(ROOT))
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script], cwd=tmp_path, env=environment, check=False
        )
        assert ran.returncode == 0, script
    ten_lines, numba_function = blocks("python")
    extra = re.search(r"\(`(pip install [^`]*)`\)", README)[1]
    subprocess.run(["bash", "-c", extra], cwd=tmp_path, env=environment, check=True)
    (tmp_path / "readme.py").write_text(f"{ten_lines}\n{numba_function}")
    said = subprocess.check_output(
        ["python", "readme.py"], cwd=tmp_path, env=environment, text=True
    )
    assert "pairs around the Upsilon(1S)" in said
    assert (tmp_path / "results" / "report.html").is_file()
    assert (tmp_path / "search" / "report" / "report.html").is_file()
