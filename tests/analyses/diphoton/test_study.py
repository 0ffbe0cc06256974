"""fastjag diphoton run: configuration, stages, report."""

import json

import numpy as np
import pytest
from diphoton_files import rows, write

from fastjag.analyses.diphoton import pages
from fastjag.analyses.diphoton.config import SAMPLE, Config
from fastjag.analyses.diphoton.events import Events
from fastjag.analyses.diphoton.importance import importances
from fastjag.analyses.diphoton.study import Study, of_classes, thinned

SMALL = """
name = "small"
[classes]
VBF = "{folder}/VBFH125_gamgam.root"
ttH = "{folder}/ttH125_gamgam.root"
[background]
yy = "{folder}/yy.root"
[features]
names = ["jet_n", "m_jj", "n_b_70"]
[models]
names = ["random forest"]
folds = 2
fast = true
most_events = 60
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A small study up to the training, on two classes of the shipped sample."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "small.toml").write_text(SMALL.format(folder=SAMPLE.parent))
    made = Study(Config.read(folder / "small.toml"), folder / "out", progress=False, threads=1)
    made.run(["train"])
    return made


class TestStudy:
    def test_selected_events(self, study):
        events = study.selected()
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

    def test_learned(self, study):
        events, table = study.learned(), study.features()
        assert events.classes == ("VBF", "ttH")
        assert np.bincount(events.flat["label"]).tolist() == [60, 60]
        assert list(table) == ["jet_n", "m_jj", "n_b_70"]
        assert np.array_equal(table["jet_n"], events.particles["jet"].counts)
        numbers = json.loads((study.folder("train") / "comparison.json").read_text())
        accuracy = numbers["models"]["random forest"]["balanced_accuracy"]["mean"]
        assert accuracy > 0.5 + 5 * np.sqrt(0.25 / 120)  # five standard errors above chance

    def test_resumes(self, study):
        said = []
        study.run(["train"], told=said.append)
        assert said == ["select: is there", "features: is there", "train: is there"]
        (study.folder("train") / "comparison.json").write_text("{}")
        said.clear()
        study.run(["train"], told=said.append)
        assert said[-1] == "train: running (comparison.json has changed)"

    def test_settings_of_a_stage_do_not_touch_those_before(self, study):
        other = Config(**{**vars(study.config), "folds": 3})
        changed = Study(other, study.out)
        for stage in ("select", "features"):
            assert changed._settings(stage) == study._settings(stage)
        for stage in ("train", "report"):
            assert changed._settings(stage) != study._settings(stage)

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
        studies = [
            Study(Config.read(tmp_path / f"{name}.toml"), tmp_path / name, False, processes=n)
            for name, n in (("plain", 1), ("own", 2))
        ]
        sums = []
        for study in studies:
            study.run(["select"])
            flat = study.selected().flat
            sums.append(np.bincount(flat["label"], flat["weight"]))
        np.testing.assert_allclose(sums[1] / sums[0], [2, 0.00227], rtol=1e-3)
        before = studies[1]._settings("select")
        assert before != studies[0]._settings("select")
        (tmp_path / "table.toml").write_text("[gg]\nk_factor = 3\n")
        assert studies[1]._settings("select") != before

    def test_report(self, study, monkeypatch):
        # Drawing all pictures takes half a minute; those of the comparison have tests of their own.
        monkeypatch.setattr(pages, "add_comparison", lambda page, directory, numbers: None)
        shown = pages.pictures
        monkeypatch.setattr(pages, "pictures", lambda events: [next(iter(shown(events)))])
        study.run(["report"])
        folder = study.folder("report")
        results = json.loads((folder / "results.json").read_text())
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
        # A Gaussian does not describe a sum of resolutions: the page begins with that.
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


class TestEvents:
    def events(self):
        label = np.repeat([0, 1, 2], [50, 20, 30])
        weight = np.linspace(-0.2, 1, 100)
        return Events({}, {"label": label, "weight": weight}, ("a", "b", "c"))

    def test_of_classes(self):
        found = of_classes(self.events(), ("c", "a"))
        assert np.bincount(found.flat["label"]).tolist() == [30, 50]
        assert found.flat["weight"][found.flat["label"] == 0].min() > 0.6

    def test_thinned_keeps_yields(self):
        events = self.events()
        found = thinned(events, 25, seed=2)
        assert np.bincount(found.flat["label"]).tolist() == [25, 20, 25]
        before, after = (np.bincount(e.flat["label"], e.flat["weight"]) for e in (events, found))
        np.testing.assert_allclose(before, after)
        again = thinned(events, 25, seed=2)
        assert np.array_equal(again.flat["weight"], found.flat["weight"])
        assert not np.array_equal(thinned(events, 25, seed=3).flat["weight"], found.flat["weight"])


class TestConfig:
    def test_sample(self):
        config = Config.read(SAMPLE)
        assert list(config.classes) == ["ggF", "VBF", "WH", "ZH", "ttH"]
        assert list(config.background) == ["yy"]

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ("[features]", "[feature]", "unknown key: 'feature': did you mean 'features'"),
            ("folds = 2", "fold = 2", "unknown key in models: 'fold': did you mean 'folds'"),
            ("folds = 2", "folds = 1", "models.folds must be an integer >= 2, got 1"),
            ('"random forest"', '"random forrest"', "did you mean 'random forest'"),
            ("fast = true", 'fast = "yes"', "models.fast must be true or false"),
            ("yy =", "ttH =", "'ttH' is both a class and a background"),
            ("[models]", '[selection]\npreset = "slide"\n[models]', "did you mean 'slides'"),
            ("[models]", "[selection.cuts]\nmin_pts = [1, 1]\n[models]", "did you mean 'min_pt'"),
            ("[models]", "[selection]\nluminosity = -1\n[models]", "luminosity must be a number"),
            ("[models]", '[fit]\nsignal = "gauss"\n[models]', "fit.signal must be 'gaussian'"),
            (
                "[models]",
                "[samples]\ncorrect = 1\n[models]",
                "samples.correct must be true or false",
            ),
            ("[models]", "[samples]\ntable = 1\n[models]", "samples.table must be the name of a"),
            ("[models]", '[samples]\ntable = "no.toml"\n[models]', "samples.table: .*no.toml"),
            ("[models]", '[samples]\ntable = "own.toml"\n[models]', "no class: did you mean 'VBF'"),
            ("[classes]", "[classes", "small.toml: .*line 3"),
        ],
    )
    def test_mistakes(self, tmp_path, old, new, message):
        (tmp_path / "own.toml").write_text("[VBFH]\nk_factor = 2\n")
        path = tmp_path / "small.toml"
        path.write_text(SMALL.format(folder="x").replace(old, new, 1))
        with pytest.raises(ValueError, match=message):
            Config.read(path)

    def test_one_class(self, tmp_path):
        (tmp_path / "a.toml").write_text('[classes]\nggF = "a.root"\n')
        with pytest.raises(ValueError, match=r"a\.toml: classes must name at least two"):
            Config.read(tmp_path / "a.toml")


def test_command(tmp_path):
    from typer.testing import CliRunner

    from fastjag.__main__ import app

    for command in (["diphoton", "run"], ["simulate", "diphoton"]):
        shown = CliRunner().invoke(app, [*command, "--help"])
        assert shown.exit_code == 0
        assert "Example" in shown.output
    neither = CliRunner().invoke(app, ["diphoton", "run", "--out", str(tmp_path)])
    assert isinstance(neither.exception, ValueError)


def test_importances_of_the_aggregates(study):
    """What tells VBF from ttH most: jets, b tags and what follows from them."""
    methods = ["Fisher score", "mutual information"]
    found = importances(study, most=2, methods=methods)
    assert list(found.scores) == methods
    everything = importances(study, most=1000, methods=["mutual information"])
    score = dict(zip(everything.names, everything.scores["mutual information"], strict=True))
    assert set(score) == {"jet_n", "m_jj", "n_b_70"}
    assert set(found.names) == set(sorted(score, key=score.__getitem__)[-2:])
    with pytest.raises(ValueError, match="most must be 2 or more, got 1"):
        importances(study, most=1)
