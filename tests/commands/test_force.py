"""Results of commands: the same command replaces them, another one only with --force."""

import json
import re

import pytest

from fastjag import toys

COLUMNS = ["Muon_pt", "Muon_eta", "Muon_phi", "Muon_charge"]
RATES = "rate,pileup,error\n10,20,0.1\n20,40,0.1\n15,30,0.1\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """With inputs of every command below, and the working directory."""
    monkeypatch.chdir(tmp_path)
    toys.write("a.root", 300, seed=1, columns=COLUMNS)
    toys.write("b.root", 300, seed=2, columns=COLUMNS)
    (tmp_path / "r.csv").write_text(RATES)
    (tmp_path / "s.csv").write_text(RATES)
    return tmp_path


def content(folder):
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in folder.rglob("*")
            if p.is_file()}  # fmt: skip


PLAIN = [
    ("spectrum a.root --out out", "spectrum b.root --out out", "files"),
    ("spectrum a.root --out out", "spectrum a.root --out out --min-pt 4", r"min_pt was 0\.0, is 4\.0"),
    ("spectrum a.root --out out", "spectrum a.root b.root --out out", "files"),
    ("convert a.root --out out", "convert a.root --out out --format npz", "was parquet, is npz"),
    ("convert a.root --out out", "spectrum a.root --out out", "the result of fastjag convert"),
    ("rates fit r.csv --out out", "rates fit s.csv --out out", "table was"),
    ("rates fit r.csv --out out", "rates fit r.csv --out out --at 50", "at was None, is 50"),
    ("toys t.root --events 10", "toys t.root --events 20", "events was 10, is 20"),
    ("toys t.root --events 10", "jets toys t.root --jets 5", "the result of fastjag toys"),
    ("jets toys t.root --jets 5", "jets toys t.root --jets 5 --seed 2", "seed was 0, is 2"),
]  # fmt: skip


@pytest.mark.parametrize(("first", "second", "message"), PLAIN)
def test_plain_commands(run, folder, first, second, message):
    assert run(*first.split())[0] == 0
    assert run(*first.split(), "--quiet") == (0, "", "")
    before = content(folder)
    code, out, err = run(*second.split())
    assert (code, out) == (1, "")
    line = rf"fastjag: error: (out|t\.root): .*{message}.*--force \(nothing was touched\)\n"
    assert re.fullmatch(line, err), err
    assert content(folder) == before
    assert run("--quiet", *second.split(), "--force") == (0, "", "")
    assert run("--quiet", *second.split()) == (0, "", "")
    assert run(*first.split())[0] == 1


def test_from_another_folder(run, folder, monkeypatch):
    """The same words there are other files; the same files in other words are the same."""
    assert run("spectrum", "a.root", "--out", "out")[0] == 0
    assert run("spectrum", folder / "a.root", "--out", folder / "out")[0] == 0
    (folder / "deep").mkdir()
    monkeypatch.chdir(folder / "deep")
    assert run("spectrum", "../a.root", "--out", "../out")[0] == 0
    toys.write("a.root", 10, seed=1, columns=COLUMNS)
    code, _, err = run("spectrum", "a.root", "--out", "../out")
    assert code == 1
    assert "../out: holds the result of fastjag spectrum with other settings (files was" in err


def test_threads_change_no_result(run, folder):
    assert run("spectrum", "a.root", "--out", "out")[0] == 0
    assert run("spectrum", "a.root", "--out", "out", "--threads", 1)[0] == 0


def test_the_record(run, folder):
    run("spectrum", "a.root", "--out", "out", "--min-pt", 4, "-q")
    record = json.loads((folder / "out" / "command.json").read_text())
    assert record["command"] == "spectrum"
    assert record["settings"]["files"] == [str(folder / "a.root")]
    assert record["settings"]["min_pt"] == 4
    assert record["settings"]["max_abs_eta"] == "inf"
    assert not {"out", "threads", "quiet", "force"} & set(record["settings"])


class TestFiles:
    def test_what_is_not_ours(self, run, folder):
        """Data that were meant to be read are not written."""
        before = content(folder)
        code, _, err = run("jets", "ntuple", "missing.root", "a.root")
        assert code == 1
        assert err.startswith(
            "fastjag: error: a.root: is a file without a record of how it was made"
        )
        assert run("toys", "b.root")[0] == 1
        assert content(folder) == before
        assert run("toys", "b.root", "--events", 5, "--force")[0] == 0

    def test_a_file_that_has_changed(self, run, folder):
        line = ("toys", "t.root", "--events", 10)
        assert run(*line)[0] == 0
        toys.write("t.root", 5, seed=3)
        code, _, err = run(*line)
        assert code == 1
        assert "t.root: is not the file that the record beside it was written for" in err
        (folder / "t.root").unlink()
        assert run(*line)[0] == 0

    def test_an_error_keeps_file_and_record(self, run, folder):
        assert run("toys", "t.root", "--events", 10)[0] == 0
        assert run("toys", "t.root", "--compression", "no", "--force")[0] == 1
        assert run("toys", "t.root", "--events", 10)[0] == 0

    def test_dimuon_toys(self, run, folder):
        line = ("dimuon", "toys", "search/toys.root", "--events", 500, "--signal", 20)
        assert run(*line)[0] == 0
        assert run(*line)[0] == 0
        code, _, err = run(*line, "--seed", 5)
        assert code == 1
        assert "seed was 0, is 5" in err


class TestDemo:
    def test_another_seed(self, run, folder):
        line = ("rates", "demo", "--out", "demo")
        assert run(*line)[0] == 0
        assert run(*line)[0] == 0
        before = content(folder)
        code, _, err = run(*line, "--seed", 2)
        assert code == 1
        assert (
            "demo: holds the result of fastjag rates demo with other settings (seed was 1, is 2)"
            in err
        )
        assert content(folder) == before
        assert run(*line, "--seed", 2, "--force")[0] == 0

    @pytest.mark.parametrize("command", ["dimuon", "gammajet", "jets"])
    def test_before_the_toys(self, run, folder, command):
        """Nothing of a demo is replaced before all of it may be."""
        (folder / "demo").mkdir()
        record = {"command": f"{command} demo", "settings": {"seed": 7}}
        (folder / "demo" / "command.json").write_text(json.dumps(record))
        before = content(folder)
        code, _, err = run(command, "demo", "--out", "demo")
        assert code == 1
        assert "seed was 7, is 1" in err
        assert content(folder) == before

    def test_an_edited_configuration(self, run, folder, monkeypatch):
        """Of gammajet: what the user wrote into it is not lost."""
        from fastjag.analyses.gammajet import toys as gammajet

        class Ran:
            def __init__(self, config, out, *_, **__):
                self.out = out

            def folder(self, stage):
                return self.out / stage

            def summary(self):
                return {}

        monkeypatch.setattr(gammajet, "run", Ran)
        line = ("gammajet", "demo", "--out", "demo", "--events", 300)
        assert run(*line)[0] == 0
        assert run(*line)[0] == 0
        config = folder / "demo" / "gammajet.toml"
        written = config.read_text()
        config.write_text(written.replace("luminosity = 1000.0", "luminosity = 2000.0"))
        before = content(folder)
        code, _, err = run(*line)
        assert code == 1
        assert re.search(r"demo/gammajet\.toml: .*edited.*--force \(nothing was touched\)", err), (
            err
        )
        (folder / "demo" / "command.json").unlink()
        assert run(*line)[0] == 1
        (folder / "demo" / "qcd.root").unlink()
        assert run(*line)[0] == 1
        assert content(folder).items() <= before.items()
        assert run(*line, "--force")[0] == 0
        assert config.read_text() == written
