"""Commands that read files, on any executor: the same to the last bit, though a worker is killed."""

import json
import os
import signal
import threading
import time

import numpy as np
import pytest
import uproot
from rate_samples import write_events
from toy_samples import KINEMATICS
from typer.testing import CliRunner

from fastjag import batch, toys
from fastjag.__main__ import app
from fastjag.analyses.common import runs
from fastjag.analyses.common.runs import Workers
from fastjag.analyses.convert import convert
from fastjag.analyses.gammajet import toys as photon_jets
from fastjag.analyses.jets import reading
from fastjag.analyses.rates.count import count
from fastjag.analyses.spectrum import MuonSelection, spectrum
from fastjag.io.files import ReadError
from fastjag.toys.jetfiles import write_jets
from fastjag.toys.jets import JetToyParameters

#: What differs between two runs: where and how long; files with times of their own.
TIMES = ("seconds",)
DATED = (".pdf", ".root", ".html", ".h5", "command.json")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    for i in range(3):
        toys.write(
            folder / f"toys{i}.root", 1_500, seed=i, columns=[*KINEMATICS, "Jet_pt", "event"]
        )
    rng = np.random.default_rng(1)
    for i in range(3):
        run, section = rng.integers(1, 4, (2, 400))
        bits = {name: rng.random(400) < 0.3 for name in ("HLT_A", "HLT_B")}
        blocks = [(r, s) for r in (1, 2, 3) for s in (1, 2, 3, 4)]
        write_events(folder / f"rates{i}.root", run, section, blocks, **bits)
    return folder


def numbers(out):
    """Every result, without times; of files that have their own time inside, their names."""
    found = {}
    for path in sorted(path for path in out.iterdir() if path.is_file()):
        if path.suffix == ".json" and path.name not in DATED:
            content = json.loads(path.read_text())
            found[path.name] = {k: v for k, v in content.items() if k not in TIMES}
        else:
            found[path.name] = None if path.name.endswith(DATED) else path.read_bytes()
    return found


def invoke(*arguments):
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


COMMANDS = {
    "spectrum": ["spectrum", "toys*.root", "--fit", "J/psi", "--no-pictures", "--step", "333"],
    "parquet": ["convert", "toys*.root", "--pad", "Muon=2:pt", "--step", "400"],
    "rates": ["rates", "count", "rates*.root", "--trigger", "HLT_A", "--step", "77"],
}  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_commands(files, tmp_path, monkeypatch, name):
    """Here, by processes that keep results, and from these results."""
    monkeypatch.setattr(runs, "SIZE", 500)
    monkeypatch.chdir(files)
    results, said = [], []
    runs_of_it = [("none", []), ("processes:2", ["--keep", tmp_path / "keep"])]
    if name == "spectrum":
        runs_of_it.append(("none", runs_of_it[1][1]))
    for executor, keep in runs_of_it:
        out = tmp_path / f"out{len(said)}"
        said.append(invoke("--json", *COMMANDS[name], "--out", out, "--executor", executor, *keep))
        results.append(numbers(out))
        said[-1].pop("out")
        said[-1].pop("seconds", None)
    assert len(results[0]) > 2
    assert all(found == results[0] for found in results)
    assert all(found == said[0] for found in said)
    state = json.loads((tmp_path / "keep" / "status.json").read_text())
    assert (state["state"], state["failed"]) == ("ended", [])


STAGES = {
    "prepare": ["dimuon", "run", "search.toml", "--until", "prepare"],
    "select": ["gammajet", "run", "gammajet.toml", "--until", "select"],
    "skim": ["diphoton", "run", "--sample", "--until", "select"],
    "tensors": ["jets", "tensors", "jets.root", "--step", "40", "--format", "parquet"],
}  # fmt: skip


@pytest.fixture(scope="module")
def inputs(files):
    """Of the other commands that read."""
    (files / "search.toml").write_text(
        '[input]\nfiles = ["toys*.root"]\nmuon_id = "any"\n'
        "[window_definitions.upsilon]\nSB_left = 5\nSR_left = 9\nSR_right = 10.6\nSB_right = 16\n"
        '[feature_sets]\none = ["dimu_pt"]\n'
    )
    photon_jets.write(files / "data.root", 1_200, response=0.97, seed=1)
    for seed, kind in enumerate(("gjets", "qcd"), 2):
        photon_jets.write(files / f"{kind}.root", 1_200, kind=kind, response=1.02, seed=seed)
    (files / "gammajet.toml").write_text(photon_jets.configuration(files))
    write_jets(files / "jets.root", 700, seed=1, format="pfnano",
               parameters=JetToyParameters(pileup=20.0))  # fmt: skip
    return files


@pytest.mark.parametrize("name", STAGES)
def test_other_commands(inputs, tmp_path, monkeypatch, name):
    """What reads is cut into ranges; two processes leave what this one leaves."""
    monkeypatch.setattr(runs, "SIZE", 500)
    monkeypatch.setattr(reading, "SIZE", 200)
    monkeypatch.chdir(inputs)
    results, said = [], []
    for executor in ("none", "processes:2"):
        out = tmp_path / executor[:4]
        told = invoke("--json", *STAGES[name], "--out", out, "--executor", executor)
        said.append({key: value for key, value in told.items() if key not in ("out", "seconds")})
        folder = out / STAGES[name][-1] if STAGES[name][1] == "run" else out
        results.append(numbers(folder))
    assert len(results[0]) > 1
    assert results[0] == results[1]
    assert said[0] == said[1]


class Killer:
    """Makes executors, and kills a process of the first one when some results are there."""

    def __init__(self, keep):
        self.keep, self.make, self.pools, self.killed = keep, batch.processes(2), [], None
        self.thread = threading.Thread(target=self._kill)

    def __call__(self):
        self.pools.append(self.make())
        if len(self.pools) == 1:
            self.thread.start()
        return self.pools[-1]

    def _kill(self):
        end = time.monotonic() + 60
        while time.monotonic() < end and not any(self.keep.glob("*/*.result")):
            time.sleep(0.002)
        self.killed = next(iter(self.pools[0]._processes))
        os.kill(self.killed, signal.SIGKILL)


def test_a_worker_that_is_killed(files, tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "SIZE", 20)  # 225 ranges
    paths = sorted(files.glob("toys*.root"))
    expected = spectrum(paths, MuonSelection(min_pt=4.0), fits=["J/psi"])
    killer = Killer(tmp_path)
    found = spectrum(
        paths, MuonSelection(min_pt=4.0), fits=["J/psi"], workers=Workers(killer, tmp_path)
    )
    killer.thread.join()
    assert killer.killed
    assert len(killer.pools) == 2
    assert (found.opposite, found.same) == (expected.opposite, expected.same)
    assert (found.cutflow, found.windows) == (expected.cutflow, expected.windows)
    assert found.cutflow["events read"] == 4_500
    assert found.skipped == []


def test_what_cannot_be_read(files, tmp_path, monkeypatch):
    """The error of reading itself, wherever that was; left out and listed with the rest going on."""
    monkeypatch.setattr(runs, "SIZE", 500)
    good = sorted(files.glob("toys*.root"))
    content = bytearray(good[0].read_bytes())
    (tmp_path / "none.root").write_text("no ROOT file")
    with uproot.open(good[0]) as file:
        at = int(file["Events"]["Muon_pt"].member("fBasketSeek")[0])
    content[at : at + 40] = bytes(40)  # the key of its first basket
    (tmp_path / "bad.root").write_bytes(content)
    paths = [tmp_path / "none.root", good[1], tmp_path / "bad.root", good[2]]
    two = Workers(batch.processes(2))
    for workers in (runs.HERE, two):
        with pytest.raises(ReadError, match=r"bad\.root:Events.*"):
            spectrum(paths[1:], workers=workers)
    with pytest.raises(ReadError, match=r"none\.root: not a readable ROOT file"):
        spectrum(paths)
    here, there = (spectrum(paths, workers=w, on_error="skip") for w in (runs.HERE, two))
    assert here.skipped == there.skipped
    assert [s.file for s in here.skipped] == [str(p) for p in (paths[0], paths[2])]
    assert here.skipped[0].events is None
    left = here.skipped[1].events
    assert 0 < left <= 1_500
    assert here.cutflow["events read"] == 4_500 - left
    assert (here.cutflow, here.opposite) == (there.cutflow, there.opposite)
    assert here.files == [str(p) for p in paths]


def test_triggers_that_only_some_files_have(files, tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "SIZE", 100)
    bits = {"HLT_A": np.ones(300, bool), "HLT_C": np.ones(300, bool)}
    odd = write_events(tmp_path / "odd.root", np.ones(300, int), np.ones(300, int), **bits)
    paths = [*sorted(files.glob("rates*.root")), odd]
    for workers in (runs.HERE, Workers(batch.processes(2))):
        with pytest.raises(ReadError, match=r"odd\.root.*other triggers match.*: HLT_B, HLT_C"):
            count(paths, ["HLT_*"], workers=workers)


@pytest.mark.parametrize("format", ["parquet", "hdf5", "npz"])
def test_convert_leaves_out_files_as_a_whole(files, tmp_path, format):
    good = sorted(files.glob("toys*.root"))
    damaged = bytearray(good[0].read_bytes())
    damaged[len(damaged) // 3 : 2 * len(damaged) // 3] = bytes(len(damaged) // 3)
    (tmp_path / "bad.root").write_bytes(damaged)
    paths = [good[1], tmp_path / "bad.root", good[2]]
    options = {"format": format, "step": 100}
    with pytest.raises(ReadError, match=r"bad\.root"):
        convert(paths, tmp_path / "here", **options)
    assert not (tmp_path / "here").exists()
    workers = Workers(batch.processes(2) if format == "hdf5" else None, tmp_path / "keep")
    for out, where in ((tmp_path / "here", runs.HERE), (tmp_path / "kept", workers)):
        result = convert(paths, out, **options, workers=where, on_error="skip")
        assert [s.file for s in result.skipped] == [str(paths[1])]
        assert result.events == {"toys1": 1_500, "bad": 0, "toys2": 1_500}
        listed = json.loads((out / "convert.json").read_text())["outputs"]
        assert {name.partition(".")[0].partition("-")[0] for name in listed} == {"toys1", "toys2"}
        assert {p.name for p in out.iterdir()} == {*listed, "convert.json"}
    # A kept output that is gone is made again; the other one is taken as it is.
    one, other = (p for p in (tmp_path / "keep" / "parts").iterdir() if p.is_dir())
    next(one.iterdir()).unlink()
    times = {p: p.stat().st_mtime_ns for p in other.iterdir()}
    convert(
        paths,
        tmp_path / "again",
        **options,
        workers=Workers(None, tmp_path / "keep"),
        on_error="skip",
    )
    assert times == {p: p.stat().st_mtime_ns for p in other.iterdir()}
    for path in (tmp_path / "here").iterdir():
        again = (tmp_path / "again" / path.name).read_bytes()
        assert path.suffix == ".h5" or again == path.read_bytes(), path  # HDF5 has its time inside


def test_memory_that_does_not_suffice(files, tmp_path, monkeypatch):
    """It is said: halves of a file would be two outputs."""

    def full(*_):
        raise MemoryError

    monkeypatch.setattr("fastjag.analyses.convert._Layout", full)
    with pytest.raises(ValueError, match=r"toys0\.root: memory does not suffice for steps of 2 GB"):
        convert(files / "toys0.root", tmp_path / "out", step="2 GB")
    assert not (tmp_path / "out").exists()
