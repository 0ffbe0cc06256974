"""Bad fits of photon+jet responses are named in the report, in its summary and in the terminal."""

import json

import numpy as np
from typer.testing import CliRunner

from fastjag.__main__ import app
from fastjag.analyses.gammajet import toys
from fastjag.analyses.gammajet.config import GammaJetConfig, GammaJetSample
from fastjag.analyses.gammajet.report import response_table, warnings_of
from fastjag.analyses.gammajet.response import measure

DATA = GammaJetSample(name="data", files=("data.root",))


def bad_rows(n=40_000):
    """Toys with a balance of two humps, and a mean that is no line in alpha."""
    rows = toys.draw(n, seed=3)
    rng = np.random.default_rng(3)
    rows["balance"] = np.where(rng.random(n) < 0.6, rng.normal(0.7, 0.06, n),
                               rng.normal(1.2, 0.06, n))  # fmt: skip
    rows["mpf"] = rng.normal(1 + 0.1 * np.sin(40 * rows["alpha"]), 0.1)
    return rows | {"weight": np.ones(n)}


class TestBadFits:
    def test_said_in_table_and_summary(self):
        config = GammaJetConfig(samples=(DATA,), pt_edges=(200, 1000), alpha_edges=(0, 0.1, 0.15, 0.2, 0.3, 0.4),
                            eta_ranges=((0.0, 2.5),))  # fmt: skip
        found = {"data": measure(bad_rows(), config)}
        summary = warnings_of(found)
        assert len(summary) == 2
        assert summary[0].startswith("! Bad fits")
        assert "line of data |eta| 0-2.5 mpf 200-1000 GeV (p " in summary[0]
        assert "balance" in summary[1]
        assert "data |eta| 0-2.5 balance 200-1000 GeV (2)" in summary[1]
        columns, (balance, mpf) = response_table(found)
        assert "core ! one of 2 humps" in balance[columns.index("fits")]
        assert mpf[columns.index("fits")].startswith("line ! bad fit, p ")
        good = toys.draw(20_000, seed=3) | {"weight": np.ones(20_000)}
        found = {"data": measure(good, config)}
        assert warnings_of(found) == []
        assert [row[-1] for row in response_table(found)[1]] == ["", ""]

    def test_whole_report(self, tmp_path, monkeypatch):
        """The page, results.json and the terminal say it, before anything else."""
        monkeypatch.setattr(toys, "draw", bent)
        toys.write(tmp_path / "data.root", 6000, seed=1)
        (tmp_path / "c.toml").write_text(
            "pt_edges = [200, 1000]\neta_ranges = [[0, 2.5]]\n"
            "alpha_edges = [0, 0.1, 0.15, 0.2, 0.3, 0.4]\n"
            '[[samples]]\nname = "data"\nfiles = "data.root"\n'
        )
        out = tmp_path / "out"
        done = CliRunner().invoke(
            app, ["gammajet", "run", str(tmp_path / "c.toml"), "--out", str(out)]
        )
        assert done.exit_code == 0, done.exception
        page = (out / "report" / "report.html").read_text()
        (said,) = json.loads((out / "report" / "results.json").read_text())["warnings"]
        assert said.startswith("! Bad fits")
        assert "! Bad fits" in page[: page.index("<h2>")]
        assert "line ! bad fit, p" in page
        assert "! Bad fits" in done.output
        assert "! bad fit" in " ".join(done.output.split())


DRAW = toys.draw


def bent(n, **options):
    """Toys whose mean balance is no line in alpha."""
    rows = DRAW(n, **options)
    bend = 1 + 0.15 * np.sin(40 * rows["alpha"])
    return rows | {"jet_pt": rows["jet_pt"] * bend}
