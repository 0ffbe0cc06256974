"""Stages: what runs, what is skipped, and what runs again because of what it reads."""

import json
import os
import re
import threading

import pytest
from servers import http_server

from fastjag import toys
from fastjag.analyses.common import stages
from fastjag.analyses.common.stages import Stages, input_digest, input_digests
from fastjag.io.files import ReadError
from fastjag.io.remotes import remote_state
from fastjag.io.sources.access import Access, said
from fastjag.reporting.output import results_directory


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


def test_an_earlier_result_stays_until_the_new_one_stands(tmp_path):
    def good(directory):
        for name in ("one", "two"):
            (directory / name).write_text("good")

    def bad(directory):
        (directory / "one").write_text("bad")
        raise RuntimeError

    def stages(step, setting):
        def run():
            with results_directory(tmp_path / "a") as directory:
                step(directory)

        return Stages(tmp_path, {"a": run}, lambda name: {"is": setting})

    stages(good, 1).run(["a"])
    before = {p.name: p.read_text() for p in (tmp_path / "a").iterdir()}
    assert sorted(before) == ["one", "stage.json", "two"]
    with pytest.raises(RuntimeError):
        stages(bad, 2).run(["a"])
    assert {p.name: p.read_text() for p in (tmp_path / "a").iterdir()} == before
    stages(lambda _: pytest.fail("it is there"), 1).run(["a"])
    stages(lambda directory: (directory / "one").write_text("good"), 3).run(["a"])
    assert sorted(os.listdir(tmp_path / "a")) == ["one", "stage.json"]


GOOD = {"key": "k", "inputs": "i", "files": {"result": "d"}}


@pytest.mark.parametrize("content", [
    "", "\xff\xfe", "null", "3", '"text"', "[]", "{", "[" * 100_000, "{}", '{"a":' * 100_000,
    *(json.dumps(GOOD | {key: value}) for key in GOOD
      for value in (None, 3, 1.5, True, [], ["result"], {"result": 3}, {"result": None}, "x",
                    {"../../mine": "d"}, {"..": "d"}, {"": "d"}, {"a\0b": "d"}, {"result": []})),
    json.dumps({**GOOD, "more": 1}),
])  # fmt: skip
def test_a_marker_with_anything_in_it(tmp_path, content):
    (tmp_path / "mine").write_text("mine")
    out = tmp_path / "out"
    (out / "a").mkdir(parents=True)
    (out / "a" / "stage.json").write_bytes(content.encode("latin-1"))
    assert run(out, {"a": 1}, ["a"], {}) == ["a"]
    assert run(out, {"a": 1}, ["a"], {}) == []
    assert (tmp_path / "mine").read_text() == "mine"


def test_one_run_at_a_time(tmp_path):
    def step():
        (tmp_path / "a").mkdir()
        with pytest.raises(BlockingIOError, match=f"{tmp_path}: process {os.getpid()} on .* is"):
            run(tmp_path, {"b": 1}, ["b"], {})

    Stages(tmp_path, {"a": step}, lambda name: {}).run(["a"])


def test_a_remote_file_is_known_by_what_it_says(tmp_path, monkeypatch):
    """Not by its name alone; local files are known by their content, wherever they are."""
    paths = [toys.write(tmp_path / f"{i}.root", 10, seed=0, columns=["event"]) for i in "ab"]
    urls = [f"file://{path}" for path in paths]
    assert input_digests(urls) == input_digests(urls)
    first = input_digest(urls[0])
    assert first != input_digest(urls[1])
    paths[0].write_bytes(paths[1].read_bytes())
    assert input_digest(str(paths[0])) == input_digest(str(paths[1]))
    assert input_digest(urls[0]) != first
    with pytest.raises(
        ReadError, match=r"file:///nowhere/x\.root: not a readable file: FileNotFound"
    ):
        input_digest("file:///nowhere/x.root")


def test_what_a_web_server_says_of_a_file(tmp_path):
    """ETag, or time of the last change, which tells of changed bytes that the header does not."""
    with http_server({"/x.root": b"root" * 9}) as (url, server):
        server.headers = {"ETag": '"1"'}
        first = remote_state(f"{url}/x.root")
        assert (first["size"], first["version"]) == (36, '"1"')
        server.headers = {"Last-Modified": "Mon, 30 Nov 2026 08:00:00 GMT"}
        other = remote_state(f"{url}/x.root")
        assert other == first | {"version": "Mon, 30 Nov 2026 08:00:00 GMT"}
        server.files["/x.root"] = b"rout" * 9
        assert remote_state(f"{url}/x.root")["head"] != first["head"]


def test_results_that_are_there_need_no_lock(tmp_path, monkeypatch):
    """Such as those in a folder that is read-only."""
    settings = dict.fromkeys("ab", 1)
    assert run(tmp_path, settings, ["b"], {}) == ["a", "b"]

    def refused(folder):
        raise PermissionError(f"{folder}: cannot be written")

    monkeypatch.setattr("fastjag.analyses.common.stages.locked", refused)
    assert run(tmp_path, settings, ["b"], {}) == []
    with pytest.raises(PermissionError):
        run(tmp_path, {**settings, "b": 2}, ["b"], {})


def test_a_stage_tells_when_it_is_done(tmp_path):
    heard = []
    steps = {"a": (tmp_path / "a").mkdir}
    Stages(tmp_path, steps, lambda name: {}).run(["a"], heard.append)
    assert heard[0] == "a: running"
    assert re.fullmatch(r"a: done, \d+\.\d s", heard[1])
    heard.clear()
    Stages(tmp_path, steps, lambda name: {}).run(["a"], heard.append)
    assert heard == ["a: is there"]


def test_several_inputs_are_read_at_once(tmp_path, monkeypatch):
    """Several at once, with what the command says of servers; the first error is what is raised."""
    paths = [tmp_path / f"{i}.root" for i in range(3)]
    for path in paths:
        path.write_bytes(b"x")
    both, options = threading.Barrier(3, timeout=20), []

    def digest(path):
        both.wait()
        options.append(Access.of().storage_options)
        if path != str(paths[0]):
            raise OSError(f"{path}: gone")
        return "0"

    monkeypatch.setattr(stages, "input_digest", digest)
    with said({"token": "t"}, None), pytest.raises(OSError, match=r"1\.root: gone"):
        input_digests(paths)
    assert options == [{"token": "t"}] * 3


def test_inputs_are_read_again_when_they_change(tmp_path, monkeypatch):
    path, read = tmp_path / "a.root", []
    usual = stages.file_digest
    monkeypatch.setattr(stages, "file_digest", lambda path: read.append(path) or usual(path))
    path.write_bytes(b"one")
    first = input_digest(str(path))
    assert input_digest(str(path)) == first
    assert len(read) == 2  # it has just changed, and may again within a tick of the clock
    monkeypatch.setattr(stages, "_SETTLED", 0)
    assert [input_digest(str(path)) for _ in range(3)] == [first] * 3
    assert len(read) == 3
    path.write_bytes(b"two")
    assert input_digest(str(path)) != first
    path.unlink()
    with pytest.raises(FileNotFoundError):
        input_digest(str(path))
