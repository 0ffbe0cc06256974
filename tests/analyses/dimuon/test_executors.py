"""prepare on other executors, and with results that are kept: the same tables, in the same order."""

import json
from pathlib import Path

import pytest
from cut_files import cut_files

from fastjag import batch, toys
from fastjag.analyses.common import runs
from fastjag.analyses.common.runs import Workers
from fastjag.analyses.common.tables import read_parquet
from fastjag.analyses.dimuon.config import DimuonConfig
from fastjag.analyses.dimuon.prepare import prepare
from fastjag.analyses.dimuon.results import DimuonResults
from fastjag.io.files import ReadError

TOML = """
[input]
files = ["toys.root"]
[analysis_keywords.analysis_cuts.lower]
mu0_iso04 = 0.1
[window_definitions]
upsilon = { SB_left = 5, SR_left = 9, SR_right = 10.6, SB_right = 16 }
[feature_sets]
one = ["dimu_pt"]
"""


@pytest.fixture(scope="module")
def search(tmp_path_factory):
    folder = tmp_path_factory.mktemp("search")
    for i in range(3):
        toys.write(folder / f"toys{i}.root", 1_500, seed=i)
    (folder / "search.toml").write_text(TOML.replace('"toys.root"', '"toys*.root"'))
    return DimuonConfig.read(folder / "search.toml")


def run(config, out, workers=runs.HERE, **options):
    results = DimuonResults(config, Path(out), progress=False, workers=workers)
    prepare(results, **options)
    tables = {
        path.name: {name: (v.dtype, v.tobytes()) for name, v in read_parquet(path).items()}
        for path in sorted((out / "prepare").glob("*.parquet"))
    }
    left = {p.name for p in (out / "prepare").iterdir() if p.name not in tables}
    assert left <= {"cutflow.json"}  # no part of a table, and nobody's lock
    return tables, json.loads((out / "prepare" / "cutflow.json").read_text())


def test_processes(search, tmp_path, monkeypatch):
    cut_files(monkeypatch, 500)
    expected, said = run(search, tmp_path / "none")
    assert len(expected) == 5
    assert said["cutflow"]["events read"] == 4_500
    tables, again = run(search, tmp_path / "two", Workers(batch.processes(2), tmp_path / "keep"))
    assert (tables, again) == (expected, said)
    # Kept: nothing is read again, and what was damaged is.
    monkeypatch.setattr("fastjag.analyses.dimuon.prepare.pair_tables", None)
    assert run(search, tmp_path / "three", Workers(None, tmp_path / "keep")) == (expected, said)
    monkeypatch.undo()
    cut_files(monkeypatch, 500)
    part = min((tmp_path / "keep" / "parts").iterdir())
    part.write_bytes(part.read_bytes()[:-9])
    assert run(search, tmp_path / "four", Workers(None, tmp_path / "keep")) == (expected, said)


def test_errors_of_workers(search, tmp_path):
    """They are those of reading here, and name file and branch."""
    asked = f'files = ["{search.files[0].replace("*", "0")}"]\nmuon_id = "bestId"'
    (tmp_path / "search.toml").write_text(TOML.replace('files = ["toys.root"]', asked))
    config = DimuonConfig.read(tmp_path / "search.toml")
    for workers in (runs.HERE, Workers(batch.processes(1))):
        with pytest.raises(
            ReadError, match=r"toys0\.root:Events: no branch 'Muon_bestId'.*input\.muon_id"
        ):
            run(config, tmp_path / "out", workers)
        assert not (tmp_path / "out" / "prepare").exists()
