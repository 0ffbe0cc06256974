"""The command line as a user meets it: results, one line per error, and nothing half-written."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
import uproot

import fastjag
from fastjag import toys

COMMANDS = ("spectrum", "convert", "toys", "info")
COLUMNS = ["Muon_pt", "Muon_eta", "Muon_phi", "Muon_charge"]


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    path = tmp_path_factory.mktemp("toys") / "toys.root"
    return toys.write(path, 2000, seed=1, columns=COLUMNS)


@pytest.fixture(scope="module")
def long_toy(tmp_path_factory):
    path = tmp_path_factory.mktemp("toys") / "toys.root"
    return toys.write(path, 300_000, seed=1, columns=COLUMNS)


class TestCommands:
    @pytest.mark.parametrize("command", COMMANDS)
    def test_help_has_an_example(self, run, command):
        code, out, _ = run(command, "--help")
        assert code == 0
        assert f"Example: fastjag {command}" in re.sub(r"\x1b\[[0-9;]*m", "", out)

    def test_version(self, run):
        assert run("--version") == (0, f"fastjag {fastjag.__version__}\n", "")

    def test_unknown_command_names_near_misses(self, tmp_path):
        done = subprocess.run([sys.executable, "-m", "fastjag", "diphotn"], check=False,
                              capture_output=True, text=True, cwd=tmp_path)  # fmt: skip
        assert done.returncode == 2
        assert "No such command 'diphotn'. Did you mean 'diphoton'" in done.stderr

    def test_info(self, run):
        code, out, err = run("info")
        assert (code, err) == (0, "")
        for word in (fastjag.__version__, "SIMD", "threads", "CUDA"):
            assert word in out

    def test_toys_spectrum_convert(self, run, tmp_path):
        assert run("toys", tmp_path / "t.root", "--events", 500, "--seed", 1)[0] == 0
        code, out, err = run("spectrum", tmp_path / "t.root", "--out", tmp_path / "s", "--min-pt", 4,
                             "--muon-id", "tightId", "--step", 100)  # fmt: skip
        assert (code, err) == (0, "")
        assert "opposite-sign pairs" in out
        assert "500" in out
        summary = json.loads((tmp_path / "s" / "spectrum.json").read_text())
        assert summary["cutflow"]["events read"] == 500
        assert summary["selection"]["muon_id"] == "tightId"
        assert len(list((tmp_path / "s").iterdir())) == 6  # with command.json
        code, out, err = run("convert", tmp_path / "t.root", "--out", tmp_path / "c", "--format",
                             "npz", "--columns", "Muon_p*", "--pad", "Muon=3:pt")  # fmt: skip
        assert (code, err) == (0, "")
        assert sorted(p.name for p in (tmp_path / "c").iterdir()) == [
            "command.json", "convert.json", "t-0000.npz",
        ]  # fmt: skip

    def test_skipped_files_are_named(self, run, toy, tmp_path):
        (tmp_path / "bad.root").write_text("text")
        code, out, _ = run("convert", toy, tmp_path / "bad.root", "--skip-errors", "--out",
                           tmp_path / "out")  # fmt: skip
        assert code == 0
        assert f"skipped {tmp_path / 'bad.root'}" in out


@pytest.fixture(scope="module")
def bad(tmp_path_factory, toy):
    """Arguments that cannot work, and what the error must name."""
    path = tmp_path_factory.mktemp("bad")
    (path / "text.root").write_text("no ROOT file\n" * 100)
    data = toy.read_bytes()
    (path / "cut.root").write_bytes(data[: len(data) // 2])
    toys.write(path / "empty.root", 0, columns=COLUMNS)
    toys.write(path / "other.root", 10, columns=["Muon_pt", "MET_pt"])
    with uproot.recreate(path / "treeless.root") as file:
        file["text"] = "a string"
    (path / "folder").mkdir()
    return path


INPUTS = {
    "cut.root": r"cut\.root",
    "text.root": r"text\.root: not a readable ROOT file",
    "missing.root": r"missing\.root: no such file",
    "other.root:Event": r"other\.root: no tree 'Event'.*'Events'",
    "treeless.root": r"treeless\.root: holds no TTree",
    "empty.root": "the files hold no events",
    "folder": r"folder: the directory has no \.root files",
    "x*.root": r"x\*\.root: no file matches",
}


class TestErrors:
    @staticmethod
    def one_line(code, err, message):
        assert code == 1
        assert re.fullmatch(rf"fastjag: error: .*{message}.*\n", err), err

    @pytest.mark.parametrize("command", ["spectrum", "convert"])
    @pytest.mark.parametrize("name", INPUTS)
    def test_inputs(self, run, bad, tmp_path, command, name):
        code, out, err = run(command, f"{bad}/{name}", "--out", tmp_path / "out")
        self.one_line(code, err, INPUTS[name])
        assert out == ""
        assert list(tmp_path.iterdir()) == []

    def test_missing_branch(self, run, bad, toy, tmp_path):
        code, _, err = run("spectrum", bad / "other.root", "--out", tmp_path / "out")
        self.one_line(code, err, r"other\.root:Events: no branch 'Muon_eta'")
        code, _, err = run("convert", toy, "--columns", "Muon_ptt", "--out", tmp_path / "out")
        self.one_line(code, err, r"no branch 'Muon_ptt': did you mean 'Muon_pt'")
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("command", ["spectrum", "convert"])
    @pytest.mark.parametrize("below", ["", "below"])
    def test_unwritable_output(self, run, toy, tmp_path, command, below, monkeypatch):
        """A file in the way; and it is found before the input is read."""
        (tmp_path / "out").write_text("mine")
        monkeypatch.setattr("fastjag.io.Batches.__next__", lambda _: pytest.fail("has read"))
        code, _, err = run(command, toy, "--out", tmp_path / "out" / below)
        self.one_line(code, err, str(tmp_path / "out"))
        assert (tmp_path / "out").read_text() == "mine"

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (("--format", "csv"), "format must be 'parquet' or 'hdf5' or 'npz', got 'csv'"),
            (("--pad", "Muon"), "pad must read like Muon=5"),
            (("--pad", "Tau=3"), "no collection 'Tau'"),
            (("--pad", "Muon=3:pz"), "pz"),
            (("--step", "0"), "step must be"),
            *(
                (("--step", bad), f"got {bad!r}")
                for bad in ("much", "1.2.3 GB", "²", ".B", "", "-5")
            ),
        ],
    )
    def test_options(self, run, toy, tmp_path, options, message):
        code, _, err = run("convert", toy, "--out", tmp_path / "out", *options)
        self.one_line(code, err, message)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("arguments", [["nothing"], ["spectrum"], ["toys", "--eventz", "3"], ["spectrum", "a", "--bins", "x"]])  # fmt: skip
    def test_usage(self, run, arguments):
        code, _, err = run(*arguments)
        assert code == 2
        assert "Traceback" not in err

    @pytest.mark.parametrize(
        "line",
        [
            "spectrum a.root --threads 0", "spectrum a.root --bins 2147483647",
            "toys a.root --events -1", "toys a.root --seed -1", "jets toys a.root --jets 0",
            "jets ntuple a.root b.root --copies 0", "jets tensors a.root --tracks 0", "jets tensors a.root --candidates 0",
            "jets train a --epochs 0", "jets train a --rounds 0", "dimuon toys a.root --signal -1",
            "rates demo --seed -1", "gammajet demo --events 0", "importance demo --events 0",
            "importance demo --seed -1", "simulate diphoton --workers 0",
        ],
    )  # fmt: skip
    def test_numbers_out_of_range(self, run, line, tmp_path, monkeypatch):
        """The message names the option and what is accepted, and nothing has been done."""
        monkeypatch.chdir(tmp_path)
        code, out, err = run(*line.split())
        assert (code, out) == (2, "")
        *_, option, _ = line.split()
        plain = re.sub(r"\x1b\[[0-9;]*m|[│\s]+", " ", err)
        assert f"'{option}'" in plain
        assert re.search(r"in the range|than or equal", plain), plain  # versions of typer differ
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        "line",
        ["jets train a", "dimuon run a.toml", "diphoton run --sample"],
    )
    @pytest.mark.parametrize("device", ["tpu", "", "cuda:", "cuda:x", "CUDA", "cpu:0", "cuda:1234"])
    def test_devices(self, run, line, device, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        code, out, err = run(*line.split(), "--device", device)
        assert (code, out) == (2, "")
        assert f"must be 'cpu', 'cuda' or 'cuda:N', got {device!r}" in re.sub(r"[│\s]+", " ", err)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("jets toys a.root --pileup nan", "pileup must be a number >= 0, got nan"),
            ("jets toys a.root --pileup -1", "pileup must be a number >= 0, got -1.0"),
            ("jets train a --target up", "target must be"),
            ("jets train a --models GPT", "models must be"),
            ("dimuon run a.toml --until nowhere", "until must be"),
            ("diphoton run --sample --until nowhere", "until must be"),
            ("gammajet run a.toml --until nowhere", "until must be"),
        ],
    )
    def test_values(self, run, line, message, tmp_path, monkeypatch):
        """Before any file is looked at."""
        monkeypatch.chdir(tmp_path)
        code, _, err = run(*line.split())
        self.one_line(code, err, message)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("command", ["dimuon", "diphoton", "gammajet"])
    def test_missing_configuration(self, run, command, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        code, _, err = run(command, "run", "a.toml")
        assert (code, err) == (1, "fastjag: error: a.toml: no such configuration\n")
        (tmp_path / "b.toml").write_text("")
        code, _, err = run(command, "run", "a.toml")
        assert err == "fastjag: error: a.toml: no such configuration; its folder has b.toml\n"
        code, _, err = run(command, "run", "x/a.toml")
        assert err.endswith("x/a.toml: no such configuration, as there is no folder x\n")
        (tmp_path / "c.toml").mkdir()
        code, _, err = run(command, "run", "c.toml")
        assert (code, err) == (1, "fastjag: error: c.toml: the configuration cannot be read: Is a directory\n")  # fmt: skip
        assert sorted(p.name for p in tmp_path.iterdir()) == ["b.toml", "c.toml"]

    def test_missing_file_of_an_option(self, run, toy, tmp_path):
        """One form for all, without marks of Python."""
        code, _, err = run("rates", "count", toy, "--trigger", "x", "--golden", "no.json",
                           "--out", tmp_path / "out")  # fmt: skip
        assert (code, err) == (1, "fastjag: error: no.json: No such file or directory\n")

    def test_an_error_keeps_older_results(self, run, bad, toy, tmp_path):
        assert run("convert", toy, "--out", tmp_path)[0] == 0
        before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
        assert run("convert", toy, bad / "cut.root", "--out", tmp_path)[0] == 1
        assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before

    def test_in_a_process_of_its_own(self, bad, tmp_path):
        command = [sys.executable, "-m", "fastjag", "spectrum", str(bad / "cut.root")]
        done = subprocess.run([*command, "--out", str(tmp_path / "out")], capture_output=True, text=True, check=False)  # fmt: skip
        self.one_line(done.returncode, done.stderr, r"cut\.root")
        assert done.stdout == ""
        assert list(tmp_path.iterdir()) == []


class TestProcess:
    @pytest.mark.parametrize("command", ["spectrum", "convert"])
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_interruption(self, long_toy, tmp_path, command, number):
        out = tmp_path / "deep" / "out"
        process = subprocess.Popen(  # an event at a time, which takes minutes
            [sys.executable, "-m", "fastjag", command, long_toy, "--out", str(out), "--step", "1"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            # Tests that run in the background of a script inherit that interrupts are ignored.
            preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),  # noqa: PLW1509
        )  # fmt: skip
        try:
            until = time.monotonic() + 90  # on a busy machine
            while not list(out.glob(".partial-*")) and time.monotonic() < until:
                time.sleep(0.02)
            time.sleep(0.3)
            assert process.poll() is None
            assert list(out.glob(".partial-*"))
            os.kill(process.pid, number)
            stdout, stderr = process.communicate(timeout=90)
        finally:
            process.kill()
        assert process.returncode == 128 + number
        assert stdout == ""
        assert stderr == f"fastjag: ended by {number.name}\n"
        assert list(tmp_path.iterdir()) == []

    def test_interruption_of_a_destructor(self):
        """Python swallows what is raised there."""
        code = (
            "import os, signal, time\n"
            "from fastjag import __main__ as cli\n"
            "signal.signal(signal.SIGTERM, cli._terminate)\n"
            "class Dying:\n"
            "    def __del__(self):\n"
            "        os.kill(os.getpid(), signal.SIGTERM)\n"
            "        time.sleep(0.01)\n"
            "Dying()\n"
            "time.sleep(60)\n"
        )
        started = time.monotonic()
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)  # fmt: skip
        assert (done.returncode, done.stderr) == (143, "fastjag: ended by SIGTERM\n")
        assert time.monotonic() - started < 50

    def test_silence_without_a_terminal(self, toy, tmp_path):
        command = [sys.executable, "-m", "fastjag", "convert", str(toy), "--out", str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stderr == ""
        assert "\x1b" not in done.stdout
        assert "reading" not in done.stdout
