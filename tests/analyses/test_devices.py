"""Reading stages with device="cuda": the numbers of the CPU."""

import json

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest
from jet_samples import events_file, jet_folder, rows_file  # noqa: F401
from typer.testing import CliRunner

from fastjag import toys
from fastjag.__main__ import app
from fastjag.analyses.common.runs import HERE, Workers
from fastjag.analyses.common.tables import read_parquet
from fastjag.analyses.convert import Pad, convert
from fastjag.analyses.dimuon.config import DimuonConfig
from fastjag.analyses.dimuon.prepare import prepare
from fastjag.analyses.dimuon.results import DimuonResults
from fastjag.analyses.gammajet import toys as photon_jets
from fastjag.analyses.gammajet.config import GammaJetConfig
from fastjag.analyses.gammajet.results import GammaJetResults
from fastjag.analyses.gammajet.select import select
from fastjag.analyses.jets.config import JetSelection, TensorsConfig
from fastjag.analyses.jets.reading import JetReader
from fastjag.analyses.jets.results import read_tensors
from fastjag.analyses.jets.shapes import shapes
from fastjag.analyses.jets.tensors import tensors
from fastjag.analyses.jets.tracks import tracks
from fastjag.analyses.spectrum import MuonSelection, spectrum

CUDA = Workers(device="cuda")
SEARCH = """
[input]
files = ["toys.root"]
golden_json = "golden.json"
require_jet = true
[analysis_keywords.analysis_cuts.lower]
mu0_iso04 = 0.1
[window_definitions]
upsilon = { SB_left = 5, SR_left = 9, SR_right = 10.6, SB_right = 16 }
[feature_sets]
one = ["dimu_pt"]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    toys.write(folder / "toys.root", 1_500, seed=1)
    (folder / "golden.json").write_text('{"1": [[1, 2000]]}')
    (folder / "search.toml").write_text(SEARCH)
    return folder


def test_spectrum(emulation, folder):
    cuts = MuonSelection(min_pt=3.0, max_abs_eta=2.0, exactly_two=True, muon_id="tightId")
    cpu, gpu = (
        spectrum(folder / "toys.root", cuts, step=400, fits=["J/psi"], workers=w)
        for w in (HERE, CUDA)
    )
    assert gpu.cutflow == cpu.cutflow
    assert (gpu.opposite.sum(flow=True), gpu.same.sum(flow=True)) == (
        cpu.opposite.sum(flow=True), cpu.same.sum(flow=True)
    )  # fmt: skip
    assert np.abs(gpu.opposite.values() - cpu.opposite.values()).sum() <= 2  # masses at an edge


def test_tracks(emulation, events_file):  # noqa: F811
    cpu, gpu = (tracks(events_file, step=100, workers=w) for w in (HERE, CUDA))
    assert gpu.counts == cpu.counts
    for name, h in cpu.histograms.items():
        np.testing.assert_allclose(gpu.histograms[name].values(), h.values(), rtol=1e-12)


@pytest.mark.parametrize("format", ["parquet", "hdf5", "npz"])
def test_convert(emulation, folder, tmp_path, format):
    """The same bytes of every column."""
    pads = Pad.parse_all(["Muon=3:pt"])
    for name, workers in (("cpu", HERE), ("gpu", CUDA)):
        convert(
            folder / "toys.root",
            tmp_path / name,
            format=format,
            pad=pads,
            step=400,
            workers=workers,
        )
    cpu, gpu = ({p.name: p for p in sorted((tmp_path / n).iterdir())} for n in ("cpu", "gpu"))
    assert list(gpu) == list(cpu)
    columns = [read_columns(some, format) for some in (cpu, gpu)]
    assert columns[0].keys() == columns[1].keys()
    assert {"Muon_pt", "Jet_pt", "MET_pt"} <= columns[0].keys()
    for column, values in columns[0].items():
        assert values == columns[1][column], column
    assert json.loads(cpu["convert.json"].read_text()) == json.loads(
        gpu["convert.json"].read_text()
    )


def read_columns(files, format):
    if format == "parquet":
        table = pq.read_table(files["toys.parquet"])
        return {name: table[name].to_pylist() for name in table.column_names}
    if format == "hdf5":
        with h5py.File(files["toys.h5"]) as file:
            return {name: (file[name].dtype, file[name][:].tobytes()) for name in file}
    shards = [np.load(path) for name, path in files.items() if name.endswith(".npz")]
    assert len(shards) == 4
    return {c: [(s[c].dtype, s[c].tobytes()) for s in shards] for c in shards[0].files}


def test_photon_jet(emulation, tmp_path):
    photon_jets.write(tmp_path / "data.root", 1_500, response=0.97, seed=1)
    for seed, kind in enumerate(("gjets", "qcd"), 2):
        photon_jets.write(tmp_path / f"{kind}.root", 1_500, kind=kind, response=1.02, seed=seed)
    (tmp_path / "gammajet.toml").write_text(photon_jets.configuration(tmp_path))
    config = GammaJetConfig.read(tmp_path / "gammajet.toml")
    tables = []
    for name, workers in (("cpu", HERE), ("gpu", CUDA)):
        select(GammaJetResults(config, tmp_path / name, workers=workers), progress=False)
        left = tmp_path / name / "select"
        tables.append(({p.name: read_parquet(p) for p in sorted(left.glob("*.parquet"))},
                       json.loads((left / "totals.json").read_text())))  # fmt: skip
    (cpu, totals), (gpu, other) = tables
    assert len(cpu) == 7
    assert other.keys() == totals.keys()
    for sample, of in totals.items():
        assert other[sample]["cutflow"] == of["cutflow"]
        assert other[sample]["sum_of_weights"] == pytest.approx(of["sum_of_weights"], rel=1e-12)
        assert other[sample]["varied_sums"] == pytest.approx(of["varied_sums"], rel=1e-12)
    for table, columns in cpu.items():
        assert list(gpu[table]) == list(columns)
        assert len(columns["jet_pt"]) > 100
        for name, values in columns.items():
            assert gpu[table][name].dtype == values.dtype
            np.testing.assert_allclose(gpu[table][name], values, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", ["rows", "events"])
def test_jets(emulation, rows_file, events_file, tmp_path, kind):  # noqa: F811
    """Shapes and tensors, of a row per jet and of links to candidates."""
    file = rows_file if kind == "rows" else events_file
    reader = JetReader(file, JetSelection(gen=kind == "rows"), step=150, progress=False)
    cpu, gpu = (shapes(reader, workers=w) for w in (HERE, CUDA))
    assert gpu.counts == cpu.counts
    assert gpu.compared.keys() == cpu.compared.keys()
    for one, other in (
        (gpu.gen, cpu.gen),
        *((gpu.compared[s], v) for s, v in cpu.compared.items()),
    ):
        assert one == pytest.approx(other, rel=1e-5)
    for name, by in cpu.histograms.items():
        assert list(gpu.histograms[name]) == list(by)
        for flavour, h in by.items():
            moved = np.abs(gpu.histograms[name][flavour].values(flow=True) - h.values(flow=True))
            assert moved.sum() <= 1e-3 * np.abs(h.values(flow=True)).sum(), name  # at an edge
    for flavour, image in cpu.images.items():
        np.testing.assert_allclose(gpu.images[flavour], image, rtol=1e-9, atol=1e-9)
    config = TensorsConfig(candidates=20, tracks=10, images=True, format="npz")
    both = []
    for name, workers in (("cpu", HERE), ("gpu", CUDA)):
        written = tensors(reader, tmp_path / name, config, workers=workers)
        both.append((written, read_tensors(tmp_path / name).columns))
    assert both[0][0] == both[1][0]
    for name, values in both[0][1].items():
        np.testing.assert_allclose(both[1][1][name], values, rtol=2e-5, atol=2e-6, err_msg=name)


def test_prepare(emulation, folder, tmp_path):
    config = DimuonConfig.read(folder / "search.toml")
    tables = []
    for name, workers in (("cpu", HERE), ("gpu", CUDA)):
        prepare(DimuonResults(config, tmp_path / name, progress=False, workers=workers), step=400)
        left = tmp_path / name / "prepare"
        tables.append({p.name: read_parquet(p) for p in sorted(left.glob("*.parquet"))})
        tables[-1]["cutflow"] = {"text": np.array((left / "cutflow.json").read_text())}
    cpu, gpu = tables
    assert len(cpu) == 6
    assert sum(map(len, cpu["OS.parquet"].values())) > 0
    for table, columns in cpu.items():
        assert list(gpu[table]) == list(columns)
        for name, values in columns.items():
            assert gpu[table][name].dtype == values.dtype
            if values.dtype.kind == "f":
                np.testing.assert_allclose(gpu[table][name], values, rtol=2e-6, atol=1e-6)
            else:
                np.testing.assert_array_equal(gpu[table][name], values)


@pytest.mark.parametrize(
    "command",
    ["convert x.root", "jets shapes x.root", "jets tensors x.root", "gammajet run g.toml"],
)
def test_device_of_commands(tmp_path, monkeypatch, command):
    """All that have work for a GPU take it to their workers."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "g.toml").write_text('[[samples]]\nname = "data"\nfiles = "x.root"\n')
    done = CliRunner().invoke(app, [*command.split(), "--device", "tpu"])
    assert "device must be" in str(done.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["g.toml"]
