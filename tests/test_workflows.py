"""Workflows of .github can be read, and their steps are targets of the Makefile."""

import re
import tomllib
from pathlib import Path

import pytest

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)[1].split())
ACTIONS = {"actions/checkout@v4", "actions/setup-python@v5", "actions/upload-artifact@v4"}
COMMAND = re.compile(r"(?:sudo )?make ([a-z-]+)((?: [A-Z_]+=\w+)*)")


def jobs(path):
    return yaml.safe_load(path.read_text())["jobs"].items()


def test_which_there_are():
    assert [path.stem for path in WORKFLOWS] == ["docs", "lint", "tests", "wheels"]


def test_targets_have_rules():
    for target in TARGETS:
        assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), target


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.stem)
class TestWorkflow:
    def test_it_says_that_it_has_not_run(self, path):
        assert path.read_text().startswith("# This has not run yet")

    def test_when_and_with_which_rights(self, path):
        workflow = yaml.safe_load(path.read_text())
        assert workflow["name"] == path.stem
        assert set(workflow[True]) >= {"push"}  # "on" is a boolean of YAML 1.1
        assert workflow["permissions"] == {"contents": "read"}

    def test_steps_are_targets_of_the_makefile(self, path):
        for name, job in jobs(path):
            assert job["steps"][0] == {"uses": "actions/checkout@v4"}
            assert job["timeout-minutes"] <= 90
            commands = [step["run"] for step in job["steps"] if "run" in step]
            assert commands, name
            for command in commands:
                found = COMMAND.fullmatch(command)
                assert found, command
                assert found[1] in TARGETS, command
            for step in job["steps"]:
                assert ("run" in step) != (step.get("uses") in ACTIONS), step

    def test_matrix_has_what_is_asked_of_it(self, path):
        for _, job in jobs(path):
            matrix = job.get("strategy", {}).get("matrix", {})
            for name in re.findall(r"\$\{\{ matrix\.(\w+) \}\}", str(job)):
                assert name in matrix

    def test_artifacts_are_what_targets_make(self, path):
        for _, job in jobs(path):
            for step in job["steps"]:
                if step.get("uses") == "actions/upload-artifact@v4":
                    assert re.match("build/docs$|dist/", step["with"]["path"])


def test_pythons_are_those_of_readme_and_wheels():
    tests = dict(jobs(ROOT / ".github" / "workflows" / "tests.yml"))
    pythons = tests["tests"]["strategy"]["matrix"]["python"]
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    built = settings["tool"]["cibuildwheel"]["build"].split()
    assert built == [f"cp{version.replace('.', '')}-*" for version in pythons]
    assert settings["project"]["requires-python"] == f">={pythons[0]}"
    assert f"Python {pythons[0]} to {pythons[-1]}" in (ROOT / "README.md").read_text()
