"""Sections of a search's configuration: defaults, and errors that name key and near misses."""

from dataclasses import replace
from pathlib import Path

import pytest

from fastjag.analyses.common.config import markdown, show
from fastjag.analyses.dimuon.config import (
    FINE,
    ClassifierSection,
    DimuonConfig,
    DimuonFile,
    FlowSection,
    SignificanceSettings,
)
from fastjag.statistics import Window

TOML = """
train_on = "OS"
[input]
files = "toys.root"
[window_definitions]
upsilon = { SB_left = 5, SR_left = 9, SR_right = 10.6, SB_right = 16 }
[feature_sets]
one = ["dimu_pt"]
[flow]
seeds = [1, 2]
[classifier]
latent = true
pseudo_experiments = 3
null_experiments = 0
experiment_members = 5
[significance]
degree = 4
sr_edges = 8
degrees = [3, 4]
edges = [6, 8]
rates = [1, 0.5]
toys = 50
peaks = true
"""


def read(folder, text):
    (folder / "search.toml").write_text(text)
    return DimuonConfig.read(folder / "search.toml")


def test_what_it_says(tmp_path):
    config = read(tmp_path, TOML)
    assert config.window == Window(5, 9, 10.6, 16, 8)
    assert config.flow == FlowSection(preset="spline", seeds=(1, 2), settings={})
    assert config.classifier == ClassifierSection(
        preset="paper", latent=True, pseudo_experiments=3, null_experiments=0, experiment_members=5
    )
    assert config.significance == SignificanceSettings(
        degree=4, degrees=(3, 4), edges=(6, 8), rates=(1, 0.5), toys=50, peaks=True
    )


def test_defaults():
    config = DimuonConfig(name="toy", window=Window(5, 9, 10.6, 16), features=("dimu_pt",), seed=7)
    assert config.flow.seeds == (7,)
    assert config.train_on == "OS"
    assert config.significance.degree == 5
    assert config.significance.rates == FINE
    assert config.classifier.experiment_members is None
    assert replace(config, train_on="SS").train_on == "SS"


def test_what_config_shows_is_a_configuration(tmp_path):
    """With a file, a window and features filled in; "none" is what is not given."""
    text = show(DimuonFile).replace("files = []", 'files = "toys.root"')
    text = text.replace("feature_sets = {}", 'feature_sets = { one = ["dimu_pt"] }')
    text = text.replace("# [window_definitions.NAME]", "[window_definitions.upsilon]")
    for bound, value in (("SB_left", 5), ("SR_left", 9), ("SR_right", 10.6), ("SB_right", 16)):
        text = text.replace(f"# # {bound} =", f"{bound} = {value}")
    assert read(tmp_path, text) == DimuonConfig(
        name="upsilon", files=(str(tmp_path / "toys.root"),), window=Window(5, 9, 10.6, 16),
        features=("dimu_pt",),
    )  # fmt: skip


def test_every_key_is_documented():
    page = Path(__file__).parents[3] / "docs" / "dimuon.md"
    assert markdown(DimuonFile) in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("latent = true", "latnt = true", "unknown key in classifier: 'latnt': did you mean 'latent'"),
        ("latent = true", "latent = 1", "classifier.latent must be true or false, got 1"),
        ("pseudo_experiments = 3", "pseudo_experiments = -1", "pseudo_experiments must be an integer >= 0"),
        ("experiment_members = 5", "experiment_members = 0", "experiment_members must be an integer >= 1"),
        ('train_on = "OS"', 'train_on = "os"', "train_on must be 'OS' or 'SS', got 'os'"),
        ('train_on = "OS"', 'train_onn = "OS"', "unknown key: 'train_onn': did you mean 'train_on'"),
        ("seeds = [1, 2]", "seeds = 3", "flow.seeds must be a list of integers, got 3"),
        ("seeds = [1, 2]", "seeds = [1, 1]", "flow.seeds must be a list of different integers"),
        ("seeds = [1, 2]", "seeds = []", "flow.seeds must be a list of integers, got"),
        ("degree = 4", 'degree = "5"', "significance.degree must be an integer >= 0, got '5'"),
        ("degrees = [3, 4]", "degrees = [3.5]", "significance.degrees must be a list of integers"),
        ("edges = [6, 8]", "edges = [1]", r"edges must be a list of integers >= 2, got 1 in it"),
        ("rates = [1, 0.5]", "rates = [1.5]", "rates must be a list of numbers above 0 and up to 1"),
        ("rates = [1, 0.5]", "rates = 0.5", "rates must be a list of numbers .*, got 0.5"),
        ("toys = 50", "toy = 50", "unknown key in significance: 'toy': did you mean 'toys'"),
        ("toys = 50", "toys = 2.5", "significance.toys must be an integer >= 0, got 2.5"),
        ("sr_edges = 8", "sr_edges = 1", "sr_edges must be an integer >= 2"),
        ("[flow]", "[scan]\nhig = 3\n[flow]", "unknown key in scan: 'hig': did you mean 'high'"),
        ("[flow]", "[file_paths]\ndata = 'a'\n[flow]", "unknown key in file_paths: 'data'"),
        ("[flow]", "[scan]\nlow = 'a'\n[flow]", "scan.low must be a number, got 'a'"),
        ("[flow]", "[scan]\ntoys = true\n[flow]", "scan.toys must be an integer, got True"),
        ("peaks = true", 'peaks = "yes"', "significance.peaks must be true or false, got 'yes'"),
    ],
)  # fmt: skip
def test_errors(tmp_path, old, new, message):
    assert old in TOML
    with pytest.raises(ValueError, match=f"search.toml: .*{message}"):
        read(tmp_path, TOML.replace(old, new, 1))


@pytest.mark.parametrize("given", ['""', '"none"', '"None"', '" "', "false", "0", '["tightId"]'])
def test_no_identification_is_called_any(tmp_path, given):
    """What else might be meant by it is refused before any file is read."""
    text = TOML.replace("[input]", f"[input]\nmuon_id = {given}", 1)
    assert text != TOML
    with pytest.raises(
        ValueError, match=r"search.toml: input.muon_id must name .* or be 'any' for"
    ):
        read(tmp_path, text)
    assert read(tmp_path, text.replace(f"muon_id = {given}", 'muon_id = "any"')).muon_id == "any"


WINDOW = Window(5, 9, 10.6, 16)


def test_sections_may_be_tables_in_python():
    config = DimuonConfig(
        name="a", window=WINDOW, features=("dimu_pt",), flow={"preset": "fast"},
        classifier={"latent": True}, significance={"degree": 4}, scan={"toys": 10},
    )  # fmt: skip
    assert config.flow.preset == "fast"
    assert config.flow.seeds == (1,)
    assert config.classifier.latent is True
    assert config.significance.degree == 4
    assert config.scan.toys == 10
    with pytest.raises(ValueError, match="unknown key in flow: 'pre': accepted are 'preset'"):
        DimuonConfig(name="a", window=WINDOW, features=("dimu_pt",), flow={"pre": "fast"})
    with pytest.raises(ValueError, match="seed must be an integer >= 0, got -1"):
        DimuonConfig(name="a", window=WINDOW, features=("dimu_pt",), seed=-1)


def test_none_is_a_name_like_any_other(tmp_path):
    text = TOML.replace('files = "toys.root"', 'files = "toys.root"\ngolden_json = "none"')
    text = text.replace("[input]", '[analysis_keywords]\nname = "none"\n[input]', 1)
    config = read(tmp_path, text)
    assert config.name == "none"
    assert config.golden_json == str(tmp_path / "none")
