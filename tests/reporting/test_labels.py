"""The label above pictures: where it is drawn, what it leaves alone."""

from dataclasses import replace

import pytest

from fastjag.analyses.common.stages import Look, Stages
from fastjag.analyses.dimuon.config import DimuonConfig
from fastjag.analyses.dimuon.run import STAGES as OF_DIMUON
from fastjag.analyses.dimuon.run import _depends_on
from fastjag.analyses.diphoton import run as diphoton
from fastjag.analyses.diphoton.config import DiphotonConfig
from fastjag.analyses.diphoton.toys import SAMPLE
from fastjag.analyses.gammajet import run as gammajet
from fastjag.analyses.gammajet.config import GammaJetConfig
from fastjag.reporting.labels import Label, labelled, shown_label
from fastjag.reporting.origin import Origin, made_by
from fastjag.reporting.output import results_directory
from fastjag.reporting.plots import figure, panels, save
from fastjag.statistics import Window

NUMBERS = r"8.7 $\mathrm{fb^{-1}}$ (13 TeV)"
LABEL = Label(experiment="CMS Open Data", energy=13, lumi=8.7)


def texts(fig):
    return {text.get_text(): text for ax in fig.axes for text in ax.texts}


def test_none_by_default(tmp_path):
    with figure() as (fig, _):
        pass
    save(fig, tmp_path / "a.png")
    assert not texts(fig)


def test_it_stands_above_the_axes(tmp_path):
    with figure() as (fig, ax):
        ax.set_title("100 events", loc="left")
    with labelled(LABEL):
        save(fig, tmp_path / "a.png", tmp_path / "a.pdf")
        save(fig, tmp_path / "b.png")
    shown = texts(fig)
    assert set(shown) == {"CMS", "Open Data", NUMBERS}
    assert sum(len(ax.texts) for ax in fig.axes) == 3  # once for all files
    fig.draw_without_rendering()
    boxes = {name: text.get_window_extent() for name, text in shown.items()}
    title = ax._left_title.get_window_extent().y1
    for box in boxes.values():
        assert box.y0 >= title - 3  # above the title of the axes
        assert box.y1 < fig.bbox.y1
        assert box.x1 <= fig.bbox.x1
    assert boxes["CMS"].x1 <= boxes["Open Data"].x0 + 1


def test_panels_have_it_once(tmp_path):
    with panels(3, 3) as (fig, axes):
        pass
    with labelled(LABEL):
        save(fig, tmp_path / "a.png")
    assert [text.get_text() for text in axes[0].texts if text.get_text()] == ["CMS", "Open Data"]
    assert not axes[1].texts
    assert [text.get_text() for text in axes[2].texts if text.get_text()] == [NUMBERS]


def test_options_come_before_the_configuration():
    with labelled(Label(experiment="ATLAS")), labelled(LABEL):
        assert shown_label(Label()) == Label(experiment="ATLAS", energy=13, lumi=8.7)
    assert shown_label(LABEL) == LABEL


@pytest.mark.parametrize(("key", "value"), [("energy", -1), ("energy", 0), ("lumi", float("inf"))])
def test_wrong_numbers(key, value):
    with pytest.raises(ValueError, match=f"{key} must be a number above 0, got {value}"):
        Label(**{key: value})


def a_dimuon(label):
    return DimuonConfig(name="a", files=("/dev/null",), window=Window(1, 2, 3, 4, 5), features=("dimu_pt",),
                        label=label)  # fmt: skip


def a_gammajet(label):
    return GammaJetConfig(samples=({"name": "a", "files": "/dev/null"},), label=label)


@pytest.mark.parametrize(
    ("settings_of", "stages", "config"),
    [(_depends_on, OF_DIMUON, a_dimuon(Label())),
     (gammajet.settings_of, gammajet.STAGES, a_gammajet(Label())),
     (diphoton.settings_of, diphoton.STAGES, DiphotonConfig.read(SAMPLE))],
    ids=["dimuon", "gammajet", "diphoton"],
)  # fmt: skip
def test_only_the_report_depends_on_it(settings_of, stages, config):
    labelled_one = replace(config, label=LABEL)
    for stage in stages:
        same = settings_of(config, stage) == settings_of(labelled_one, stage)
        assert same == (stage != "report"), stage
        assert "label" not in settings_of(config, stage)  # results without one stay as they are


def test_another_label_needs_no_force(tmp_path):
    drawn = []

    def report():
        with results_directory(tmp_path / "report") as folder:
            (folder / "a.txt").write_text("a")
            drawn.append(shown_label(Label()).experiment)

    def run(experiment):
        with made_by(Origin("x", dict)), labelled(Label(experiment=experiment)):
            settings = Look.settings(Label())
            Stages(tmp_path, {"report": report}, lambda _: {"a": 1, **settings}).run(["report"])

    for experiment in (None, None, "CMS", "CMS", "ATLAS", None):
        run(experiment)
    assert drawn == [None, "CMS", "ATLAS", None]
    with made_by(Origin("x", dict)), pytest.raises(FileExistsError, match="a was 1, is 2"):
        Stages(tmp_path, {"report": report}, lambda _: {"a": 2}).run(["report"])
