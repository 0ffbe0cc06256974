"""Stages: what runs, what is skipped, and what runs again because of what it reads."""

import pytest

from fastjag.analyses.stages import Stages


def run(out, settings, wanted, reads):
    ran = []

    def step(name):
        ran.append(name)
        (out / name).mkdir(parents=True, exist_ok=True)
        (out / name / "result").write_text(str(settings[name]))

    steps = {name: lambda name=name: step(name) for name in settings}
    Stages(out, steps, lambda name: {"is": settings[name]}, reads).run(wanted)
    return ran


def test_a_stage_depends_on_what_it_reads(tmp_path):
    reads = {"b": ["a"], "c": ["a"]}  # d reads all
    settings = dict.fromkeys("abcd", 1)
    assert run(tmp_path, settings, ["c"], reads) == ["a", "c"]
    assert run(tmp_path, settings, ["d"], reads) == ["b", "d"]
    assert run(tmp_path, settings, ["d"], reads) == []
    assert run(tmp_path, {**settings, "b": 2}, ["d"], reads) == ["b", "d"]
    assert run(tmp_path, {**settings, "b": 2, "a": 3}, ["b"], reads) == ["a", "b"]
    assert run(tmp_path, {**settings, "b": 2, "a": 3}, ["b"], reads) == []


def test_without_it_everything_after_runs_again(tmp_path):
    settings = dict.fromkeys("abc", 1)
    assert run(tmp_path, settings, ["c"], {}) == ["a", "b", "c"]
    assert run(tmp_path, {**settings, "a": 2}, ["c"], {}) == ["a", "b", "c"]
    with pytest.raises(ValueError, match="stage must be 'a' or 'b' or 'c', got 'd'"):
        run(tmp_path, settings, ["d"], {})


def test_what_was_made_from_something_else_is_made_again(tmp_path):
    """Also if the two were not replaced in one call."""
    settings = dict.fromkeys("ab", 1)
    assert run(tmp_path, settings, ["b"], {}) == ["a", "b"]
    (tmp_path / "a" / "result").write_text("damaged")
    assert run(tmp_path, {"a": 1, "b": 1}, ["a"], {}) == ["a"]
    assert run(tmp_path, settings, ["b"], {}) == []  # a came back as it was
    steps = {"a": lambda: (tmp_path / "a" / "result").write_text("another")}
    (tmp_path / "a" / "result").unlink()
    Stages(tmp_path, steps, lambda name: {"is": 1}).run(["a"])
    assert run(tmp_path, settings, ["b"], {}) == ["b"]


def test_nothing_of_an_older_result_stays(tmp_path):
    def first():
        (tmp_path / "a" / "kept").mkdir(parents=True)
        for name in ("one", "two", "kept/three"):
            (tmp_path / "a" / name).write_text(name)

    Stages(tmp_path, {"a": first}, lambda name: {"is": 1}).run(["a"])
    second = {"a": lambda: (tmp_path / "a" / "one").write_text("new")}
    Stages(tmp_path, second, lambda name: {"is": 2}).run(["a"])
    assert (tmp_path / "a" / "one").read_text() == "new"
    assert not (tmp_path / "a" / "two").exists()
    assert (tmp_path / "a" / "kept" / "three").exists()
