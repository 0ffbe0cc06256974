"""fastjag diphoton run: stages and what they leave, resumed; report; command."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from diphoton_files import SMALL, rows, write
from sentences import first_sentence

from fastjag.analyses.diphoton import report
from fastjag.analyses.diphoton.config import DiphotonConfig
from fastjag.analyses.diphoton.importance import importances
from fastjag.analyses.diphoton.run import run, settings_of
from fastjag.analyses.diphoton.toys import SAMPLE, demo
from fastjag.statistics import goodness


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Of a small analysis up to the training, on two classes of the shipped sample."""
    folder = tmp_path_factory.mktemp("small")
    (folder / "small.toml").write_text(SMALL.format(folder=SAMPLE.parent))
    config = DiphotonConfig.read(folder / "small.toml")
    return run(config, folder / "out", ["train"], progress=False, threads=1)


class TestRun:
    def test_selected_events(self, results):
        events = results.selected()
        assert events.classes == ("VBF", "ttH", "yy")
        assert (events.particles["photon"].counts == 2).all()
        assert ((events.flat["m_yy"] > 105) & (events.flat["m_yy"] < 160)).all()
        pt = events.particles["photon"]["pt"].reshape(-1, 2)
        assert (pt[:, 0] > 35).all()
        assert (pt[:, 1] > 25).all()
        # Expected in 10.064 fb-1: at most cross-section times luminosity, at least a third of it.
        sums = np.bincount(events.flat["label"], events.flat["weight"])
        for total, cross_section in zip(
            sums[:2], (0.008518764, 2.6433864e-6 / 0.00227), strict=True
        ):
            assert 0.3 < total / (cross_section * 10064) < 0.7

    def test_learned(self, results):
        events, table = results.learned(), results.features()
        assert events.classes == ("VBF", "ttH")
        assert np.bincount(events.flat["label"]).tolist() == [60, 60]
        assert list(table) == ["jet_n", "m_jj", "n_b_70"]
        assert np.array_equal(table["jet_n"], events.particles["jet"].counts)
        numbers = json.loads((results.folder("train") / "comparison.json").read_text())
        accuracy = numbers["models"]["random forest"]["balanced_accuracy"]["mean"]
        assert accuracy > 0.5 + 5 * np.sqrt(0.25 / 120)  # five standard errors above chance

    def test_resumes(self, results):
        said = []
        run(results.config, results.out, ["train"], threads=1, progress=False, told=said.append)
        assert said == ["select: is there", "features: is there", "train: is there"]
        (results.folder("train") / "comparison.json").write_text("{}")
        said.clear()
        run(results.config, results.out, ["train"], threads=1, progress=False, told=said.append)
        assert said[-2] == "train: running (comparison.json has changed)"

    def test_settings_of_later_stages_do_not_matter_to_those_before(self, results):
        config, changed = (
            results.config,
            replace(results.config, models=replace(results.config.models, folds=3)),
        )
        for stage in ("select", "features"):
            assert settings_of(changed, stage) == settings_of(config, stage)
        for stage in ("train", "report"):
            assert settings_of(changed, stage) != settings_of(config, stage)

    def test_samples_of_the_user(self, tmp_path):
        """A table doubles one class, the switch takes back ttH's correction; in two processes."""
        content = rows(np.random.default_rng(1), 300)
        write(tmp_path / "gg.root", content)
        tth = {
            "channelNumber": np.full(300, 341081, np.int32),
            "XSection": np.full(300, 2.6433864e-6),
        }
        write(tmp_path / "tt.root", content | tth)
        classes = '[classes]\ngg = "gg.root"\ntt = "tt.root"\n'
        (tmp_path / "plain.toml").write_text(classes)
        own = '[samples]\ntable = "table.toml"\ncorrect = false\n'
        (tmp_path / "own.toml").write_text(classes + own)
        (tmp_path / "table.toml").write_text("[gg]\nk_factor = 2\n")
        configs = [DiphotonConfig.read(tmp_path / f"{name}.toml") for name in ("plain", "own")]
        sums = []
        for processes, config in enumerate(configs, 1):
            out = tmp_path / str(processes)
            results = run(config, out, ["select"], processes=processes, progress=False)
            flat = results.selected().flat
            sums.append(np.bincount(flat["label"], flat["weight"]))
        np.testing.assert_allclose(sums[1] / sums[0], [2, 0.00227], rtol=1e-3)
        before = settings_of(configs[1], "select")
        assert before != settings_of(configs[0], "select")
        (tmp_path / "table.toml").write_text("[gg]\nk_factor = 3\n")
        assert settings_of(configs[1], "select") != before

    def test_report(self, results, monkeypatch):
        # Drawing all pictures takes half a minute; those of the comparison have tests of their own.
        monkeypatch.setattr(report, "add_comparison", lambda page, numbers, show: None)
        monkeypatch.setattr(goodness, "BAD_FIT", 1.1)  # as if no function described its data
        drawn = report.distributions
        monkeypatch.setattr(report, "distributions", lambda events: {"met": drawn(events)["met"]})
        run(results.config, results.out, ["report"], progress=False, threads=1)
        folder, warnings = results.folder("report"), results.warnings()
        results = json.loads((folder / "results.json").read_text())
        assert warnings == results["warnings"]
        assert results["config"]["seed"] == 1
        assert {"python", "numpy", "torch"} <= set(results["versions"])
        peak = results["mass"]["peak"]
        assert peak["values"]["mean"] == pytest.approx(125, abs=0.3)
        assert 1.3 < peak["values"]["sigma"] < 1.8
        # Both photons unconverted and central: fewer of them, of better resolution.
        central = results["mass"]["peak, unconverted central"]
        assert 0.03 < central["values"]["events"] / peak["values"]["events"] < 0.4
        assert central["values"]["sigma"] < peak["values"]["sigma"]
        assert (folder / "peak_unconverted_central.png").exists()
        # Some 40 events of background are left there, too few for a spectrum.
        assert list(results["mass"]) == ["peak", "spectrum", "peak, unconverted central"]
        flow = results["selection"]["classes"]["ttH"]["cutflow"]
        assert [cut["name"] for cut in flow][:2] == ["all", "trigger"]
        events = [cut["events"] for cut in flow]
        assert events == sorted(events, reverse=True)
        text = (folder / "report.html").read_text()
        sentence = first_sentence(text)
        assert sentence.startswith("random forest tells the 2 classes of 120 events apart: ")
        assert re.search(
            r"balanced accuracy is 0\.\d+ ± 0\.\d+, \d+ standard errors above the 0\.50 of",
            sentence,
        )
        assert re.search(r"the peak in the mass spectrum has -?\d+ ± \d+ events, ", sentence)
        # The page begins with fits that are bad.
        bad, *_ = results["warnings"]
        assert bad.startswith("! Bad fits")
        assert "peak, unconverted central (p" in bad
        assert bad.replace("<", "&lt;") in text[: text.index("<h2>")]
        assert "! bad fit, p" in text
        for part in ("Missing transverse momentum", "mask bubbling", "Mass spectrum", "VBF"):
            assert part in text
        assert {"met.png", "met.pdf", "spectrum.png", "peak.pdf"} <= {
            p.name for p in folder.iterdir()
        }
        rows = {row["class"]: row for row in results["classes"]}
        assert sum(row["share"] for row in rows.values()) == pytest.approx(1)
        for row in rows.values():
            product = row["weight per event"] * row["selected events"]
            assert product == pytest.approx(row["expected events"])


def test_the_sample_is_a_mixture_of_known_classes(tmp_path):
    """Gluon fusion is nine tenths of all Higgs bosons, and the diphoton mass peaks at theirs."""
    events = demo(tmp_path, stages=["select"], progress=False).selected()
    higgs = events.of_classes(("ggF", "VBF", "WH", "ZH", "ttH"))
    expected = np.bincount(higgs.flat["label"], higgs.flat["weight"])
    assert expected.argmax() == 0
    assert 0.85 < expected[0] / expected.sum() < 0.95
    assert np.median(higgs.flat["m_yy"]) == pytest.approx(125, abs=0.2)


def test_command(tmp_path):
    from typer.testing import CliRunner

    from fastjag.__main__ import app

    for command in (["diphoton", "run"], ["simulate", "diphoton"]):
        shown = CliRunner().invoke(app, [*command, "--help"])
        assert shown.exit_code == 0
        assert "Example" in shown.output
    neither = CliRunner().invoke(app, ["diphoton", "run", "--out", str(tmp_path)])
    assert isinstance(neither.exception, ValueError)


def test_importances_of_the_aggregates(results):
    """What tells VBF from ttH most: jets, b tags and what follows from them."""
    methods = ["Fisher score", "mutual information"]
    found = importances(results, most=2, methods=methods)
    assert list(found.scores) == methods
    everything = importances(results, most=1000, methods=["mutual information"])
    score = dict(zip(everything.names, everything.scores["mutual information"], strict=True))
    assert set(score) == {"jet_n", "m_jj", "n_b_70"}
    assert set(found.names) == set(sorted(score, key=score.__getitem__)[-2:])
    with pytest.raises(ValueError, match="most must be 2 or more, got 1"):
        importances(results, most=1)
