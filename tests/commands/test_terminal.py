"""What every command understands: -h, completion, --quiet, --verbose, --json, and the end of a pipe."""

import importlib
import json
import os
import re
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from fastjag import __main__ as cli
from fastjag import toys
from fastjag.__main__ import COMMANDS, app
from fastjag.commands import App, remark, show, tell, warn
from fastjag.commands.terminal import console, plain, speaking
from fastjag.reporting import progress

COLUMNS = ["Muon_pt", "Muon_eta", "Muon_phi", "Muon_charge"]


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    path = tmp_path_factory.mktemp("toys") / "toys.root"
    return toys.write(path, 500, seed=1, columns=COLUMNS)


def all_commands():
    """("spectrum",), ("dimuon", "run"), ...: every command that there is."""
    root = typer.main.get_command(app)
    for name in COMMANDS:
        command = root.get_command(None, name)
        if not hasattr(command, "commands"):
            yield (name,)
        for sub in getattr(command, "commands", ()):
            yield (name, sub)


class TestHelp:
    @pytest.mark.parametrize("command", [(), *all_commands()], ids=" ".join)
    def test_short_and_long(self, command):
        short, long = (CliRunner().invoke(app, [*command, o]) for o in ("-h", "--help"))
        assert short.exit_code == long.exit_code == 0
        assert short.output == long.output
        plain_text = re.sub(r"\x1b\[[0-9;]*m", "", short.output)
        for option in ("--quiet", "--verbose", "--json"):
            assert option in plain_text


class TestCompletion:
    def complete(self, words, run, monkeypatch):
        monkeypatch.setenv("_FASTJAG_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(len(words.split(" ")) - 1))
        code, out, err = run()
        assert (code, err) == (0, "")
        return out.split()

    @pytest.mark.parametrize(
        ("words", "found"),
        [
            ("fastjag dim", ["dimuon"]),
            ("fastjag ", [*COMMANDS]),
            ("fastjag dimuon r", ["run"]),
            ("fastjag jets t", ["toys", "tensors", "tracks", "train"]),
            ("fastjag spectrum --min", ["--min-pt"]),
            ("fastjag --qu", ["--quiet"]),
            ("fastjag rates count --js", ["--json"]),
        ],
    )
    def test_words(self, words, found, run, monkeypatch):
        assert self.complete(words, run, monkeypatch) == found

    def test_a_command_that_is_not_completed_is_not_imported(self, run, monkeypatch):
        asked = []
        monkeypatch.setattr(
            cli, "import_module", lambda name: asked.append(name) or importlib.import_module(name)
        )
        self.complete("fastjag dimuon r", run, monkeypatch)
        assert set(asked) == {"fastjag.commands.dimuon"}

    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_script(self, run, monkeypatch, shell):
        monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
        monkeypatch.setenv("_FASTJAG_COMPLETE", f"source_{shell}")
        code, out, _ = run()
        assert code == 0
        assert "_FASTJAG_COMPLETE" in out

    def test_the_root_alone_offers_to_install_it(self, run):
        assert "--install-completion" in run("--help")[1]
        assert "--install-completion" not in run("dimuon", "--help")[1]
        assert "--install-completion" not in run("spectrum", "--help")[1]


class TestQuiet:
    @pytest.mark.parametrize("before", [True, False])
    @pytest.mark.parametrize("flag", ["--quiet", "-q"])
    def test_nothing_but_warnings(self, run, toy, tmp_path, before, flag):
        (tmp_path / "bad.root").write_text("text")
        line = ["convert", toy, tmp_path / "bad.root", "--skip-errors", "--out", tmp_path / "out"]
        code, out, err = run(flag, *line) if before else run(*line, flag)
        assert (code, out) == (0, "")
        assert re.fullmatch(r"skipped .*bad\.root: .*\n", err)
        assert (tmp_path / "out" / "convert.json").is_file()

    def test_errors(self, run):
        code, out, err = run("--quiet", "spectrum", "missing.root")
        assert (code, out) == (1, "")
        assert err == "fastjag: error: missing.root: no such file\n"

    def test_the_next_command_speaks_again(self, run, toy, tmp_path):
        run("--quiet", "spectrum", toy, "--out", tmp_path)
        run("--quiet", "spectrum", "missing.root")
        assert "Cutflow" in run("spectrum", toy, "--out", tmp_path)[1]

    def test_notes_and_bars(self, capsys, monkeypatch):
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
        with speaking(quiet=True, verbose=False, as_json=False, about=""):
            remark("note", "of no matter")
            remark("warning", "of matter")
            warn("! doubtful")
            tell("running")
            assert not progress._wanted()
        assert progress._wanted()
        assert capsys.readouterr() == ("", "warning of matter\n! doubtful\n")


class TestVerbose:
    def test_settings_time_and_result(self, run, toy, tmp_path):
        code, out, err = run("spectrum", toy, "--out", tmp_path, "-v", "--min-pt", 4)
        assert code == 0
        assert "Cutflow" in out
        first, last = err.splitlines()
        assert re.match(r"fastjag: \d+\.\d+.*: spectrum files=.* min_pt=4\.0", first)
        assert re.fullmatch(r"fastjag: \d+\.\d s in all", last)

    def test_where_an_error_comes_from(self, run):
        assert "Traceback" not in run("spectrum", "missing.root")[2]
        code, _, err = run("--verbose", "spectrum", "missing.root")
        assert code == 1
        assert "Traceback" in err
        assert err.endswith("\nfastjag: error: missing.root: no such file\n")

    def test_not_with_quiet(self, run):
        code, _, err = run("--verbose", "info", "--quiet")
        assert code == 1
        assert err == "fastjag: error: give --quiet or --verbose, not both\n"


class TestJson:
    @pytest.mark.parametrize("before", [True, False])
    def test_spectrum(self, run, toy, tmp_path, before):
        line = ["spectrum", toy, "--out", tmp_path / "out"]
        code, out, err = run("--json", *line) if before else run(*line, "--json")
        assert code == 0
        found = json.loads(out)
        summary = json.loads((tmp_path / "out" / "spectrum.json").read_text())
        assert found["cutflow"] == summary["cutflow"]
        assert found["yields"] == summary["windows_gev"]
        assert found["out"] == str(tmp_path / "out")
        assert "Cutflow" in err

    def test_what_was_left_out(self, run, toy, tmp_path):
        (tmp_path / "bad.root").write_text("text")
        code, out, _ = run("--json", "convert", toy, tmp_path / "bad.root", "--skip-errors",
                           "--out", tmp_path / "out")  # fmt: skip
        found = json.loads(out)
        assert code == 0
        assert found["events"]["toys"] == 500
        (remark,) = found["remarks"]
        assert remark["kind"] == "skipped"
        assert "bad.root" in remark["text"]

    @pytest.mark.parametrize(
        ("line", "keys"),
        [
            ("toys t.root --events 10", {"events": 10, "out": "t.root"}),
            ("jets toys j.root --jets 5", {"jets": 5, "out": "j.root"}),
            ("rates fit r.csv --out r", {"out": "r"}),
        ],
    )
    def test_other_commands(self, run, tmp_path, monkeypatch, line, keys):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "r.csv").write_text("rate,pileup,error\n10,20,0.1\n20,40,0.1\n15,30,0.1\n")
        code, out, err = run("--quiet", *line.split(), "--json")
        assert (code, err) == (0, "")
        assert json.loads(out).items() >= keys.items()

    def test_a_text_is_in_it(self, run):
        toml = run("jets", "config", "--show")[1]
        assert json.loads(run("--json", "jets", "config", "--show")[1]) == {"toml": toml}

    def test_info(self, run):
        found = json.loads(run("info", "--json")[1])
        assert {"fastjag", "kernels", "threads", "cuda", "missing"} <= set(found)

    def test_an_error_is_no_object(self, run):
        code, out, err = run("--json", "spectrum", "missing.root")
        assert (code, out) == (1, "")
        assert "missing.root: no such file" in err

    def test_every_table_has_its_numbers(self):
        """``console.print`` would show a table that the object lacks."""
        folder = os.path.dirname(importlib.import_module("fastjag.commands").__file__)
        for name in os.listdir(folder):
            if name.endswith(".py") and name != "terminal.py":
                with open(os.path.join(folder, name)) as file:
                    assert not re.search(r"console\.print|(?<!\w)print\(", file.read()), name

    def test_settings_are_told_apart(self):
        values = [float("nan"), float("inf"), -float("inf"), None]
        assert len({json.dumps(plain(v)) for v in values}) == len(values)


class TestOptions:
    def test_a_command_keeps_its_function(self):
        """It can be called, and has no options but its own."""
        small = App()

        @small.command()
        def double(x: int) -> None:
            show_nothing = x
            tell(str(2 * show_nothing))

        double(3)
        with pytest.raises(TypeError):
            double(3, quiet=True)

    def test_show_without_json(self, capsys):
        from rich.table import Table

        show(Table("a", title="A"), numbers=[1])
        assert "A" in capsys.readouterr().out
        assert not console.quiet


class TestPipe:
    @pytest.mark.parametrize(
        "line", ["jets config --show", "info", "info -q --json", "spectrum TOY"]
    )
    def test_nobody_reads(self, line, toy, tmp_path):
        """As ``| head -1``, when that has ended: silence, and the code of SIGPIPE."""
        reading, writing = os.pipe()
        os.close(reading)
        try:
            done = subprocess.run(
                [sys.executable, "-m", "fastjag", *line.replace("TOY", str(toy)).split()],
                stdout=writing, stderr=subprocess.PIPE, text=True, cwd=tmp_path, check=False,
            )  # fmt: skip
        finally:
            os.close(writing)
        assert (done.returncode, done.stderr) == (141, "")

    def test_another_pipe_is_an_error(self, run, monkeypatch):
        """Such as that of a worker, which is not stdout."""

        def broken(*_):
            raise BrokenPipeError(32, "Broken pipe")

        monkeypatch.setattr("fastjag.commands.info._cuda", broken)
        code, out, err = run("info")
        assert (code, out) == (1, "")
        assert "Broken pipe" in err
