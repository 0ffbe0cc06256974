"""A whole measurement of photon+jet toys."""

import json
import re

import numpy as np
import pyarrow.parquet as pq
import pytest
from cut_files import cut_files
from sentences import first_sentence

from fastjag import batch
from fastjag.analyses.common.runs import Workers
from fastjag.analyses.gammajet import toys
from fastjag.analyses.gammajet.config import GammaJetConfig
from fastjag.analyses.gammajet.results import GammaJetResults
from fastjag.analyses.gammajet.run import run


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gammajet")
    toys.write(folder / "data.root", 8000, response=0.97, seed=1)
    for seed, kind in enumerate(("gjets", "qcd"), 2):
        toys.write(folder / f"{kind}.root", 8000, kind=kind, response=1.02, seed=seed)
    (folder / "gammajet.toml").write_text(toys.configuration(folder))
    run(GammaJetConfig.read(folder / "gammajet.toml"), folder / "out")
    return folder


class TestMeasurement:
    def test_responses_come_back(self, measured):
        results = json.loads((measured / "out" / "report" / "results.json").read_text())
        for name, injected in (("data", 0.97), ("simulation", 1.02)):
            for part in results[name]:
                # Errors of few events are not Gaussian.
                lines = [b["line"] for b in part["bins"] if b["entries"] > 300]
                chi2 = sum(((x["intercept"] - injected) / x["error"]) ** 2 for x in lines)
                assert len(lines) >= 3
                assert chi2 < len(lines) + 4 * np.sqrt(2 * len(lines))
        assert abs(results["continuity"]["pull"]) < 4
        page = (measured / "out" / "report" / "report.html").read_text()
        assert page.count("data:image/png;base64,") == 5
        said = re.search(
            r"the responses of data and simulation have the ratio ([\d.]+) ± ([\d.]+) by balance",
            first_sentence(page),
        )
        assert abs(float(said[1]) - 0.97 / 1.02) < 4 * float(said[2]) < 0.1
        assert results["warnings"] == []
        assert "bad fit" not in page
        for words in ("Variations of the simulated response", "photon scale up", "Decomposition"):
            assert words in page

    def test_simulation_is_worth_its_cross_section(self, measured):
        config = GammaJetConfig.read(measured / "gammajet.toml")
        rows = GammaJetResults(config, measured / "out").rows(data=False)
        # 100 pb of unsplit events at 1000 / pb, all of which pass in the toys.
        assert rows["weight"].sum() == pytest.approx(100_000, rel=0.03)
        table = pq.read_table(measured / "out" / "select" / "QCD.parquet")
        assert table.num_rows == 8000

    def test_processes(self, measured, tmp_path, monkeypatch):
        """To the last bit, here and in processes, and again with what they kept."""
        cut_files(monkeypatch, 3000)
        config = GammaJetConfig.read(measured / "gammajet.toml")
        here = run(config, tmp_path / "here", ["select"])
        for name, executor in (("two", batch.processes(2)), ("kept", None)):
            workers = Workers(executor, tmp_path / "keep")
            there = run(config, tmp_path / name, ["select"], workers=workers)
            assert there.totals() == here.totals()
            for data in (True, False):
                other = there.rows(data=data)
                for column, values in here.rows(data=data).items():
                    assert values.tobytes() == other[column].tobytes(), column
            monkeypatch.setattr("fastjag.analyses.gammajet.select.select_events", None)

    def test_nothing_is_done_twice(self, measured):
        said = []
        config = GammaJetConfig.read(measured / "gammajet.toml")
        run(config, measured / "out", told=said.append)
        assert said == ["select: is there", "response: is there", "report: is there"]

    def test_no_photon_is_in_a_bin(self, measured):
        """Pictures of nothing: the page says so by empty rows, as it does for single empty bins."""
        text = (measured / "gammajet.toml").read_text()
        text = text.replace("[200, 230, 300, 400, 600, 1000]", "[50000, 60000, 70000]")
        (measured / "beyond.toml").write_text(text)
        run(GammaJetConfig.read(measured / "beyond.toml"), measured / "beyond")
        results = json.loads((measured / "beyond" / "report" / "results.json").read_text())
        bins = [b for part in results["data"] for b in part["bins"]]
        assert [b["entries"] for b in bins] == [0] * len(bins)
        assert "<img" in (measured / "beyond" / "report" / "report.html").read_text()

    def test_nothing_passes(self, measured, tmp_path):
        text = (measured / "gammajet.toml").read_text()
        text = text.replace("min_delta_phi = 2.7", "photon_pt = 1e6")
        (measured / "none.toml").write_text(text)
        with pytest.raises(ValueError, match="no event of data passes the selection"):
            run(GammaJetConfig.read(measured / "none.toml"), tmp_path / "out")
        assert not (tmp_path / "out" / "response").exists()

    def test_data_taken_for_simulation(self, measured, tmp_path):
        text = (measured / "gammajet.toml").read_text().replace('"qcd.root"', '"data.root"')
        (measured / "wrong.toml").write_text(text)
        with pytest.raises(
            ValueError, match=r"data.root.*QCD is qcd, but the file has no genWeight"
        ):
            run(GammaJetConfig.read(measured / "wrong.toml"), tmp_path / "out")
