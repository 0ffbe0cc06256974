"""Stages of commands: results of other settings are replaced with --force only."""

import json

import pytest

from fastjag.analyses.common.stages import InputFiles, Stages
from fastjag.reporting.origin import RECORD, Origin, made_by
from fastjag.reporting.output import results_directory


@pytest.fixture
def analysis(tmp_path):
    """A function that runs two stages, the first reading a file, and names those that ran."""
    (tmp_path / "in").write_text("data")
    out = tmp_path / "out"

    def analyse(cut=1, name="x", file="in", force=False, python=False, wanted="second"):
        ran = []

        def step(stage):
            ran.append(stage)
            with results_directory(out / stage) as directory:
                (directory / "result").write_text(f"{cut} {name}")

        def settings(stage):
            own = {"file": InputFiles.read(str(tmp_path / file)), "cut": cut}
            return own | ({"name": name} if stage == "second" else {})

        steps = {stage: lambda stage=stage: step(stage) for stage in ("first", "second")}
        origin = None if python else Origin("dimuon run", dict, "1", force)
        with made_by(origin):
            Stages(out, steps, settings).run([wanted])
        return ran

    return analyse


def content(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_other_settings(analysis, tmp_path):
    assert analysis() == ["first", "second"]
    before = content(tmp_path)
    assert sorted(before) == ["in", *(f"out/{stage}/{name}" for stage in ("first", "second")
                                      for name in ("result", "stage.json"))]  # fmt: skip
    with pytest.raises(FileExistsError, match=r"out: holds a result of first with other settings "
                       r"\(cut was 1, is 2\).*--force.*nothing was touched"):  # fmt: skip
        analysis(cut=2)
    with pytest.raises(
        FileExistsError, match=r"of second with other settings \(name was x, is y\)"
    ):
        analysis(name="y")
    assert content(tmp_path) == before
    assert analysis(name="y", wanted="first") == []
    assert analysis(name="y", force=True) == ["second"]
    assert analysis(cut=2, name="y", force=True) == ["first", "second"]
    with pytest.raises(FileExistsError, match="cut was 2, is 1"):
        analysis()


def test_python_replaces(analysis):
    analysis()
    assert analysis(cut=2, python=True) == ["first", "second"]


def test_the_same_settings_replace(analysis, tmp_path):
    """With other content of the input, with damaged results, and with another version."""
    analysis()
    (tmp_path / "in").write_text("more")
    assert analysis() == ["first", "second"]
    (tmp_path / "out" / "second" / "result").write_text("damaged")
    assert analysis() == ["second"]
    marker = tmp_path / "out" / "second" / "stage.json"
    marker.write_text(json.dumps(json.loads(marker.read_text()) | {"key": "of another version"}))
    assert analysis() == ["second"]


def test_files_are_known_by_content_and_asked_for_by_name(analysis, tmp_path):
    analysis()
    (tmp_path / "moved").write_text("data")
    assert analysis(file="moved") == []
    (tmp_path / "other").write_text("other data")
    with pytest.raises(FileExistsError, match=r"file was .*/in, is .*/other"):
        analysis(file="other")


def test_a_result_without_settings(analysis, tmp_path):
    """As versions before left it: used while nothing changes, and not replaced."""
    analysis()
    marker = tmp_path / "out" / "first" / "stage.json"
    kept = json.loads(marker.read_text())
    del kept["settings"]
    marker.write_text(json.dumps(kept))
    assert analysis() == []
    with pytest.raises(FileExistsError, match="a result of first without a record of its settings"):
        analysis(cut=2)
    assert analysis(cut=2, force=True) == ["first", "second"]


def test_a_demo_whose_results_were_replaced_is_none_any_more(analysis, tmp_path):
    analysis()
    record = tmp_path / "out" / RECORD
    record.write_text("{}")
    assert analysis() == []
    assert record.exists()
    analysis(cut=2, force=True)
    assert not record.exists()
