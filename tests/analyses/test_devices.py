"""Reading stages with device="cuda": the numbers of the CPU."""

import numpy as np
import pytest
from jet_samples import events_file, jet_folder  # noqa: F401

from fastjag import toys
from fastjag.analyses.common.runs import HERE, Workers
from fastjag.analyses.common.tables import read_parquet
from fastjag.analyses.dimuon.config import DimuonConfig
from fastjag.analyses.dimuon.prepare import prepare
from fastjag.analyses.dimuon.results import DimuonResults
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
