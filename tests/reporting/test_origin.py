"""Results that are there: who may replace them, and what an error says of them."""

import json

import pytest

from fastjag.reporting.origin import RECORD, Origin, made_by
from fastjag.reporting.output import results_directory, whole_directory


def write(out, text="new", origin=None, name="result"):
    with made_by(origin), results_directory(out) as directory:
        (directory / name).write_text(text)


def origin(command="spectrum", force=False, version="1", **settings):
    return Origin(command, lambda: settings, version, force)


def content(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if not p.is_dir()}


class TestResults:
    def test_the_same_command_with_the_same_settings(self, tmp_path):
        write(tmp_path, "old", origin(x=1, files=["a"]))
        write(tmp_path, "new", origin(x=1, files=["a"], version="2"))
        assert (tmp_path / "result").read_text() == "new"
        record = json.loads((tmp_path / RECORD).read_text())
        assert record == {
            "command": "spectrum",
            "settings": {"x": 1, "files": ["a"]},
            "fastjag": "2",
        }

    @pytest.mark.parametrize(
        ("other", "message"),
        [
            (origin("convert", x=1), "holds the result of fastjag spectrum;"),
            (origin(x=2), r"result of fastjag spectrum with other settings \(x was 1, is 2\);"),
            (origin(y=1), r"\(x was 1, is None; y was None, is 1\);"),
            (origin(x=1, a=1, b=2, c=3, d=4), r"\(a was .*; b was .*; c was .*; 1 more\);"),
            (origin(x=[*range(500)]), r"x was 1, is 0, 1, 2, .*\.\.\..*498, 499\)"),
        ],
    )
    def test_others(self, tmp_path, other, message):
        write(tmp_path, "old", origin(x=1))
        before = content(tmp_path)
        with pytest.raises(FileExistsError, match=message) as caught:
            write(tmp_path, "new", other)
        assert str(caught.value).startswith(f"{tmp_path}: holds")
        for word in ("--out", "--force", "nothing was touched"):
            assert word in str(caught.value)
        assert len(str(caught.value)) < 400 + len(str(tmp_path))
        assert content(tmp_path) == before

    def test_before_any_work(self, tmp_path):
        write(tmp_path, "old", origin(x=1))
        with made_by(origin(x=2)), pytest.raises(FileExistsError), results_directory(tmp_path):
            pytest.fail("has begun")

    def test_force(self, tmp_path):
        write(tmp_path, "old", origin(x=1))
        write(tmp_path, "new", origin(x=2, force=True))
        assert (tmp_path / "result").read_text() == "new"
        write(tmp_path, "newer", origin(x=2))
        with pytest.raises(FileExistsError):
            write(tmp_path, "old", origin(x=1))

    def test_a_failure_keeps_the_record(self, tmp_path):
        write(tmp_path, "old", origin(x=1))
        before = content(tmp_path)

        def fail():
            with results_directory(tmp_path) as directory:
                (directory / "result").write_text("new")
                raise RuntimeError

        with made_by(origin(x=2, force=True)), pytest.raises(RuntimeError):
            fail()
        assert content(tmp_path) == before

    def test_a_function_replaces_and_leaves_no_record(self, tmp_path):
        write(tmp_path, "old", origin(x=1), "report.html")
        write(tmp_path, "new", name="report.html")
        assert content(tmp_path) == {"report.html": b"new"}
        with pytest.raises(FileExistsError, match=r"holds results \(report\.html\) without a rec"):
            write(tmp_path, "newer", origin(x=1))

    @pytest.mark.parametrize(
        "name", ["report.html", "convert.json", "tensors.json", "a/stage.json"]
    )
    def test_results_of_unknown_origin(self, tmp_path, name):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
        with pytest.raises(FileExistsError, match="without a record"):
            write(tmp_path, origin=origin())
        write(tmp_path, origin=origin(force=True))

    def test_files_that_are_no_results(self, tmp_path):
        (tmp_path / "notes.txt").write_text("mine")
        write(tmp_path, origin=origin())
        assert sorted(content(tmp_path)) == [RECORD, "notes.txt", "result"]

    @pytest.mark.parametrize(
        "text", ["", "[]", "null", "{", '"x"', "{}", '{"command": 1, "settings": {}}', "\xff",
                 '{"command": "spectrum", "settings": []}', "[" * 100_000],
    )  # fmt: skip
    def test_a_record_with_anything_in_it(self, tmp_path, text):
        (tmp_path / RECORD).write_bytes(text.encode("latin-1"))
        with pytest.raises(
            FileExistsError, match=r"a result whose record, command\.json, cannot be read"
        ):
            write(tmp_path, origin=origin())
        write(tmp_path, origin=origin(force=True))
        write(tmp_path, origin=origin())


class TestWholeDirectory:
    def fill(self, out, own):
        with made_by(own), whole_directory(out):
            out.mkdir(exist_ok=True)
            (out / "toys").write_text(str(own.settings()))
            write(out / "inner", origin=own)

    def test_again(self, tmp_path):
        out = tmp_path / "out"
        self.fill(out, origin("demo", seed=1))
        before = content(out)
        self.fill(out, origin("demo", seed=1))
        assert content(out) == before
        with pytest.raises(FileExistsError, match="seed was 1, is 2"):
            self.fill(out, origin("demo", seed=2))
        assert content(out) == before
        self.fill(out, origin("demo", seed=2, force=True))
        assert content(out) != before

    def test_folders_in_it(self, tmp_path):
        out = tmp_path / "out"
        self.fill(out, origin("demo", seed=1))
        write(out / "inner", origin=origin("shapes", force=True))
        before = content(out)
        with pytest.raises(FileExistsError, match="inner: holds the result of fastjag shapes"):
            self.fill(out, origin("demo", seed=1))
        assert content(out) == before

    def test_no_record_of_what_failed(self, tmp_path):
        out = tmp_path / "deep" / "out"
        with pytest.raises(RuntimeError), made_by(origin()), whole_directory(out):
            raise RuntimeError
        assert list(tmp_path.iterdir()) == []

    def test_an_interrupted_command_goes_on(self, tmp_path):
        out = tmp_path / "out"

        def interrupted():
            with made_by(origin("demo", seed=1)), whole_directory(out):
                (out / "a").mkdir()
                (out / "a" / "stage.json").write_text("{}")
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            interrupted()
        self.fill(out, origin("demo", seed=1))
        with pytest.raises(FileExistsError, match="seed was 1, is 2"):
            self.fill(out, origin("demo", seed=2))

    def test_from_python(self, tmp_path):
        with whole_directory(tmp_path):
            pass
        assert content(tmp_path) == {}
