"""Every writer on a disk that runs full: one error that names the file, and nothing half-written."""

import errno
import os
import resource
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest

import fastjag as fj
from fastjag import io, toys
from fastjag.analyses.common.tables import write_parquet
from fastjag.analyses.convert import convert
from fastjag.analyses.diphoton.events import Events
from fastjag.analyses.rates.config import SectionWindow
from fastjag.analyses.rates.tables import write_csv
from fastjag.io.writer import write_tree
from fastjag.pyramid.matrixfile import write_matrix
from fastjag.reporting import plots
from fastjag.reporting.output import WriteError, results_directory, write_json, write_text
from fastjag.reporting.report import Report
from fastjag.toys.jetfiles import write_jets
from fastjag.toys.triggers import write_triggers


@contextmanager
def full_after(n_bytes):
    """Files cannot be longer: where the system says "file too large", a full disk says "no space"."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


NOISE = np.random.default_rng(1).random(50_000)
MUONS = fj.Jagged([0, 20_000, 50_000], {"pt": NOISE})


def figure(path):
    with plots.figure() as (fig, ax):
        ax.plot(NOISE[:2000])
    plots.save(fig, path)


def histograms(path):
    import hist

    io.write_histograms(path, {"a": hist.Hist(hist.axis.Regular(20_000, 0, 1))})


def flow(path):
    import torch

    from fastjag.models.resumable_training import write_checkpoint

    write_checkpoint({"a": torch.rand(50_000)}, path)


def report(path):
    page = Report("title")
    page.text("text " * 20_000)
    page.write(path, "footer")


WRITERS = {
    "a.root": lambda p: toys.write(p, 3000),
    "rn.root": lambda p: toys.write(p, 3000, format="rntuple"),
    "jets.root": lambda p: write_jets(p, 300),
    "triggers.root": lambda p: write_triggers(p, 1, [30.0] * 3000, {"HLT_x": 1.0}),
    "events.root": lambda p: io.write_events(p, [{"Muon": MUONS}]),
    "tree.root": lambda p: write_tree(p, "t", {"muon": MUONS}, {}, vectors=False),
    "histograms.root": histograms,
    "a.parquet": lambda p: write_parquet(p, {"x": NOISE}),
    "events.parquet": lambda p: Events({"photon": MUONS}, {}, ("a",)).write(p),
    "a.json": lambda p: write_json(p, {"x": NOISE}),
    "a.txt": lambda p: write_text(p, "x" * 100_000),
    "a.csv": lambda p: write_csv(p, [SectionWindow(run) for run in range(1, 3000)]),
    "a.html": report,
    "a.png": figure,
    "a.pdf": figure,
    "flow.pt": flow,
    "m.npy": lambda p: matrix(p),
    "m.h5": lambda p: matrix(p),
}


def matrix(path):
    def fill(row, band):
        band[:] = row

    write_matrix(path, (300, 300), np.dtype("f8"), fill, fingerprint="x", attributes={},
                 overwrite=True)  # fmt: skip


@pytest.mark.parametrize("name", WRITERS)
def test_files(tmp_path, name):
    path = tmp_path / name
    path.write_text("earlier")
    for n_bytes in (1000, 9000):
        with full_after(n_bytes), pytest.raises(OSError, match="File too large") as caught:
            WRITERS[name](path)
        assert caught.value.errno == errno.EFBIG
        assert str(path) in str(caught.value)
        assert ".partial-" not in str(caught.value)
        left = {p.name for p in tmp_path.iterdir()} - {f"{name}.x.partial"}  # a matrix is resumed
        assert left == {name}
        assert path.read_text() == "earlier"
    WRITERS[name](path)
    assert path.stat().st_size > 9000
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("name", [n for n in WRITERS if not n.startswith("m.")])
def test_results(tmp_path, name):
    """The same inside of results, of which the others then do not appear."""

    def produce():
        with results_directory(tmp_path / "out") as directory:
            (directory / "first").write_text("whole")
            WRITERS[name](directory / name)

    with full_after(3000), pytest.raises(WriteError) as caught:
        produce()
    assert str(caught.value) == f"{tmp_path / 'out' / name}: File too large"
    assert list(tmp_path.iterdir()) == []
    produce()
    assert sorted(os.listdir(tmp_path / "out")) == sorted(["first", name])


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return toys.write(tmp_path_factory.mktemp("toys") / "t.root", 3000)


@pytest.mark.parametrize("step", [400, "100 MB"])
@pytest.mark.parametrize(("format", "name"), [
    ("parquet", "t.parquet"), ("npz", r"t-000\d.npz"),
])  # fmt: skip
def test_convert(tmp_path, toy, format, name, step):
    convert(toy, tmp_path, format=format, step=1000)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    for n_bytes in (100, 10_000, 30_000):
        with full_after(n_bytes), pytest.raises(WriteError, match=rf"/{name}: File too large"):
            convert(toy, tmp_path, format=format, step=step)
        assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_convert_to_hdf5(tmp_path, toy):
    """In a process of its own: HDF5 would take this one with it. With earlier results and without."""
    command = [sys.executable, "-m", "fastjag", "convert", str(toy), "--format", "hdf5", "--force"]
    convert(toy, tmp_path / "earlier", format="hdf5")
    before = {p.name: p.read_bytes() for p in (tmp_path / "earlier").iterdir()}
    for out, n_bytes in (("new", 60_000), ("earlier", 200_000)):
        done = subprocess.run(
            [*command, "--step", "400", "--out", str(tmp_path / out)], capture_output=True, text=True,
            check=False, preexec_fn=lambda n=n_bytes: resource.setrlimit(resource.RLIMIT_FSIZE, (n, n)),
        )  # fmt: skip
        assert done.returncode == 1
        assert done.stderr == f"fastjag: error: {tmp_path / out / 't.h5'}: File too large\n"
        assert os.listdir(tmp_path) == ["earlier"]
        assert {p.name: p.read_bytes() for p in (tmp_path / "earlier").iterdir()} == before


def test_hdf5_at_every_size(tmp_path):
    """Whatever is refused first; and where it is found out, at once or at the end."""
    code = """
import resource, sys
import numpy as np
from fastjag.io.hdf5 import NewHdf5

def write(n_bytes, check):
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, -1))
    try:
        with NewHdf5(sys.argv[1]) as new:
            for _ in range(3):
                for name in "abcdefgh":
                    values = np.random.default_rng(1).random(3000)
                    if name not in new.file:
                        new.file.create_dataset(name, data=values, maxshape=(None,), chunks=(1000,))
                    else:
                        data = new.file[name]
                        data.resize(len(data) + 3000, axis=0)
                        data[-3000:] = values
                    if check:
                        new.check()
        return "whole"
    except OSError as error:
        return str(error)

for n_bytes in [*range(0, 700_000, 20_011), 10_000_000]:
    for check in (True, False):
        print(write(n_bytes, check))
"""
    path = tmp_path / "x.h5"
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)  # fmt: skip
    assert done.stderr == ""
    *refused, first, second = done.stdout.splitlines()
    assert (first, second) == ("whole", "whole")
    assert set(refused[:50]) == {f"{path}: File too large"}
    assert set(refused) <= {f"{path}: File too large", "whole"}
