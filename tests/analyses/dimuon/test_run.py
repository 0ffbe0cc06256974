"""The dimuon search as a whole: every stage once, skipped when done, run again when it must be."""

import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
import uproot
from search_samples import cut_curve
from typer.testing import CliRunner

torch = pytest.importorskip("torch")
pytest.importorskip("xgboost")

from fastjag import toys
from fastjag.__main__ import app
from fastjag.analyses.dimuon.config import DimuonConfig
from fastjag.analyses.dimuon.gallery import CAPTIONS
from fastjag.analyses.dimuon.results import DimuonResults
from fastjag.analyses.dimuon.run import STAGES, run
from fastjag.analyses.dimuon.significance import significance

TOML = """
seed = 3
[input]
files = ["toys.root"]
[analysis_keywords]
name = "upsilon"
[analysis_keywords.analysis_cuts.lower]
mu0_iso04 = 0.1
[window_definitions]
upsilon = { SB_left = 5, SR_left = 9, SR_right = 10.6, SB_right = 16 }
[feature_sets]
two = ["dimu_pt", "mu0_ip3d"]
[scan]
toys = 5
[flow]
preset = "fast"
seeds = [1, 2]
settings = { epochs = 2, hidden = [8] }
[classifier]
preset = "fast"
settings = { members = 1, rounds = 5 }
pseudo_experiments = 2
null_experiments = 1
[significance]
degree = 2
sr_edges = 5
degrees = [2]
edges = [5, 6]
rates = [1.0, 0.3, 0.1]
toys = 20
signal_errors = { efficiency = 0.1 }
"""


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A search that has run: its folder, its configuration file, and what it said."""
    folder = tmp_path_factory.mktemp("search")
    toys.write(folder / "toys.root", 6000, seed=1)
    (folder / "search.toml").write_text(TOML)
    said = []
    run(DimuonConfig.read(folder / "search.toml"), folder / "out", told=said.append)
    return folder, said


def run_again(folder, text=TOML):
    (folder / "search.toml").write_text(text)
    said = []
    run(DimuonConfig.read(folder / "search.toml"), folder / "out", told=said.append)
    return [line.split(":")[0] for line in said if line.endswith("running")]


def test_every_stage_leaves_its_results(done):
    folder, said = done
    assert said[::2] == [f"{stage}: running" for stage in STAGES]
    assert [line.split(", ")[0] for line in said[1::2]] == [f"{stage}: done" for stage in STAGES]
    out = folder / "out"
    results = json.loads((out / "report" / "results.json").read_text())
    assert {row["pairs"] for row in results["table"]} == {"OS", "SS"}
    scores = pq.read_table(out / "classify" / "OS.parquet")
    assert {"dimu_mass", "dimu_pt", "mu0_ip3d", "score", "fold"} <= set(scores.column_names)
    score = scores["score"].to_numpy()
    assert ((score > 0) & (score < 1)).all()
    # The published number can be computed again from the scores.
    curve = results["OS"]["curves"]["classifier"]
    mass = scores["dimu_mass"].to_numpy()
    inside = (mass > 9) & (mass < 10.6)
    for cut, S, B in zip(curve["cuts"], curve["S"], curve["B"], strict=True):
        assert pytest.approx((inside & (score >= cut)).sum()) == S + B
    page = (out / "report" / "report.html").read_text()
    pictures = sorted((out / "report").glob("*.png"))
    assert {p.stem for p in pictures} == set(CAPTIONS)
    assert page.count("data:image/png;base64,") == len(pictures)
    for picture in pictures:
        assert picture.stat().st_size > 10_000, picture
        assert picture.with_suffix(".pdf").stat().st_size > 5_000, picture
    for text in ("likelihood reweighting", "samples d", "background-only spectra", "torch"):
        assert text in page
    assert "src=" not in page.replace('src="data:', "")  # self-contained
    for key in ("versions", "seeds", "scan", "closure", "cutflow", "background", "config"):
        assert results[key]
    assert (out / "likelihoods" / "OS_best_cut.json").exists()
    assert "table_1.yaml" in (out / "hepdata" / "submission.yaml").read_text()
    # ROOT reads back what is in the tables.
    with uproot.open(out / "report" / "histograms.root") as file:
        h = file["mass_OS_rate_1"]
        edges = h.axis().edges()
        np.testing.assert_array_equal(h.values(), np.histogram(mass, edges)[0])
        before = pq.read_table(out / "prepare" / "OS_before_isolation.parquet")["dimu_mass"]
        expected = np.histogram(before.to_numpy(), edges)[0]
        np.testing.assert_array_equal(file["mass_OS_before_isolation"].values(), expected)
        assert file["scan_counts"].values().sum() == results["scan"]["n_in_range"]
        flows, data = (file[f"signal_region_dimu_pt_{kind}"].values() for kind in ("flows", "data"))
        assert flows.sum() == pytest.approx(results["background"]["expected"], rel=0.05)
        assert data.sum() == pytest.approx(inside.sum(), rel=0.05)


def test_counted_on_a_gpu(done, tmp_path, emulation):
    """The scores of data and of what the flows made, counted there: the same table, bands and null runs."""
    folder, _ = done
    shutil.copytree(folder / "out", tmp_path / "out")
    config = DimuonConfig.read(folder / "search.toml")
    significance(DimuonResults(config, tmp_path / "out", device="cuda"))
    cpu, gpu = (json.loads((out / "significance" / "significance.json").read_text())
                for out in (folder / "out", tmp_path / "out"))  # fmt: skip
    assert (cpu.pop("counted_on"), gpu.pop("counted_on")) == ("cpu", "cuda")
    assert json.dumps(gpu) == json.dumps(cpu)  # NaN, too


def test_every_score_is_kept(done):
    """So that bands and null runs can be recomputed, too."""
    folder, _ = done
    out = folder / "out"
    results = DimuonResults(DimuonConfig.read(folder / "search.toml"), out)
    found = json.loads((out / "significance" / "significance.json").read_text())
    for c in ("OS", "SS"):
        pairs, _ = results.preprocessed[c]
        table = pq.read_table(out / "classify" / f"bootstrap_{c}.parquet")
        assert ("fold" in table.column_names) == (c == "OS")
        assert set(table["experiment"].to_pylist()) == {1, 2}
        again = list(results.bootstraps(c))
        assert [len(scores) for _, scores in again] == [len(pairs)] * 2
        rows, scores = again[1]
        curve = cut_curve(pairs[rows], scores, results.config.window, degree=2, rates=[1.0, 0.3])
        band = found[c]["bands"]
        at = [band["wanted"].index(rate) for rate in curve.wanted]
        Z = [band["curves"]["classifier"]["Z"][1][i] for i in at]
        assert pytest.approx(curve.result.Z.tolist(), abs=1e-6) == Z
    (pairs, values, scores), *none = results.null_runs()
    assert not none
    assert len(pairs) == len(values) == len(scores) > 100
    assert found["null"]["experiments"] == 1
    for name in ("background", "validation", "roc"):
        table = pq.read_table(out / "classify" / f"{name}.parquet")
        assert {"dimu_mass", "dimu_pt", "mu0_ip3d", "score"} == set(table.column_names)
    assert not list((out / "classify").glob("*.npz"))
    assert set(found["versions"]) == {
        "python", "fastjag", "numpy", "scipy", "torch", "zuko", "xgboost"
    }  # fmt: skip
    assert found["seeds"] == {"search": 3, "flows": [1, 2]}
    assert found["config"]["classifier"]["pseudo_experiments"] == 2


def test_trained_on_same_sign_in_latent_space_with_peaks(done, tmp_path):
    folder, _ = done
    text = TOML.replace("seed = 3", 'seed = 3\ntrain_on = "SS"', 1)
    text = text.replace("pseudo_experiments = 2\nnull_experiments = 1", "latent = true")
    text = text.replace("toys = 20", "toys = 0\nlimits = false\npeaks = true").replace(
        "toys.root", str(folder / "toys.root")
    )
    (tmp_path / "search.toml").write_text(text)
    out = tmp_path / "out"
    results = run(DimuonConfig.read(tmp_path / "search.toml"), out, ["significance"])
    assert "fold" in pq.read_schema(out / "classify" / "SS.parquet").names
    assert "fold" not in pq.read_schema(out / "classify" / "OS.parquet").names
    found = json.loads((out / "significance" / "significance.json").read_text())
    assert (found["OS"]["alternate"], found["SS"]["alternate"]) == (True, False)
    assert {row["trained_on"] for row in found["table"]} == {"SS"}
    assert found["SS"]["bands"] is None
    assert found["null"] is None
    background = json.loads((out / "samples" / "background.json").read_text())
    assert len(background["peak_tests"]["p_values"]) >= 1
    assert results.background().expected == pytest.approx(background["expected"])
    # The constants of the preprocessing are those of opposite sign, whatever flows learn from.
    first, second = (DimuonResults(results.config, o).preprocessing for o in (out, folder / "out"))
    assert first == second


@pytest.fixture
def no_pictures(monkeypatch):
    """Drawing takes most of the time of a report."""
    monkeypatch.setattr("fastjag.analyses.dimuon.report.draw", lambda *_: [])


@pytest.mark.usefixtures("no_pictures")
def test_what_is_there_is_not_made_again(done, tmp_path):
    folder, _ = done
    shutil.copytree(folder, tmp_path / "copy", copy_function=shutil.copy2)
    copy = tmp_path / "copy"
    assert run_again(copy) == []  # the same content in another folder
    rates = TOML.replace("rates = [1.0, 0.3, 0.1]", "limits = false\nrates = [1.0, 0.2]")
    assert run_again(copy, rates) == ["significance", "report"]
    (copy / "out" / "significance" / "stage.json").write_text("{")
    assert run_again(copy, rates) == ["significance"]  # whose result is the same again


@pytest.mark.usefixtures("no_pictures")
def test_damaged_results_are_made_again(done, tmp_path):
    folder, _ = done
    shutil.copytree(folder, tmp_path / "copy")
    results = tmp_path / "copy" / "out" / "classify"
    whole = pq.read_table(results / "OS.parquet")
    (results / "OS.parquet").write_bytes((results / "OS.parquet").read_bytes()[:-100])
    said = []
    config, out = DimuonConfig.read(folder / "search.toml"), tmp_path / "copy" / "out"
    run(config, out, told=said.append)
    assert said.pop(-3).startswith("classify: done, ")
    assert said[-4:] == [
        "check: is there",
        "classify: running (OS.parquet has changed)",
        "significance: is there",  # it came back as it was
        "report: is there",
    ]
    assert pq.read_table(results / "OS.parquet").equals(whole)
    (results / "SS.parquet").unlink()
    said.clear()
    run(config, out, ["classify"], told=said.append)
    assert said[-2] == "classify: running (SS.parquet is missing)"


def test_two_runs_agree(done, tmp_path):
    folder, _ = done
    run(DimuonConfig.read(folder / "search.toml"), tmp_path / "again", ["classify"])
    first, second = (
        pq.read_table(out / "classify" / "OS.parquet")["score"].to_numpy()
        for out in (folder / "out", tmp_path / "again")
    )
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("epochs = 2", "epoch = 2", "unknown key in flow.settings: 'epoch': did you mean 'epochs'"),
        ("members = 1", "member = 1", "unknown key in classifier.settings: 'member': did you mean"),
        ('preset = "fast"\nsettings = { members', 'preset = "fst"\nsettings = { members', "classifier: settings must be"),
    ],
)  # fmt: skip
def test_wrong_settings_are_found_before_anything_runs(tmp_path, old, new, message):
    assert old in TOML
    (tmp_path / "search.toml").write_text(TOML.replace(old, new))
    config = DimuonConfig.read(tmp_path / "search.toml")
    with pytest.raises(ValueError, match=message):
        run(config, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_unknown_stage(done):
    folder, _ = done
    config = DimuonConfig.read(folder / "search.toml")
    with pytest.raises(ValueError, match="stage must be 'prepare' or"):
        run(config, folder / "out", ["flows"])


def test_command(done, tmp_path):
    """It ends with the table of what finds the excess; nothing is done twice."""
    folder, _ = done
    command = ["dimuon", "run", str(folder / "search.toml"), "--out", str(folder / "out")]
    shown = CliRunner().invoke(app, command)
    assert shown.exit_code == 0, shown.output
    assert shown.output.count("is there") == len(STAGES)
    for text in ("inclusive", "best feature cut", "classifier cut", "OS", "SS", "results in"):
        assert text in shown.output
    wrong = CliRunner().invoke(app, [*command, "--until", "flows"])
    assert "until must be 'prepare' or" in str(wrong.exception)
