"""Toys of the dimuon search: the same with and without a file, and a signal as it is asked for."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

pytest.importorskip("torch")
pytest.importorskip("xgboost")

from search_samples import prepared

from fastjag.analyses.dimuon.config import ClassifierSection, DimuonConfig, FlowSection
from fastjag.analyses.dimuon.pairs import WindowPairs
from fastjag.analyses.dimuon.run import run
from fastjag.analyses.dimuon.toys import (
    CONFIG,
    FITS,
    demo,
    search_pairs,
    toy_events,
    write_search,
)
from fastjag.models import resumable_training
from fastjag.models.flow_training import FlowTraining
from fastjag.statistics import significance


@pytest.fixture(scope="module")
def background():
    return toy_events(80_000, seed=3)


def test_the_file_holds_the_same_events(tmp_path):
    path = write_search(tmp_path / "toys.root", 6000, signal=300, seed=5)
    config = DimuonConfig.read(path)
    assert config == replace(CONFIG, files=(str(tmp_path / "toys.root"),))
    prepared(config, tmp_path / "tables")
    for charge_class, expected in toy_events(6000, signal=300, seed=5).items():
        found = WindowPairs.read(
            tmp_path / "tables" / "prepare" / f"{charge_class}.parquet", config
        )
        assert len(expected) > 100
        np.testing.assert_array_equal(found.mass, expected.mass)
        np.testing.assert_array_equal(found.sideband, expected.sideband)
        for name in CONFIG.features:
            np.testing.assert_array_equal(found.features[name], expected.features[name])


def test_another_search_is_not_overwritten(tmp_path):
    (tmp_path / "search.toml").write_text("seed = 7")
    with pytest.raises(FileExistsError, match=r"search.toml: holds another search"):
        write_search(tmp_path / "toys.root", 100)
    assert [p.name for p in tmp_path.iterdir()] == ["search.toml"]


def test_demo(tmp_path):
    """Toys, their configuration, and the stages of the search that are asked for."""
    told = []
    results = demo(tmp_path, 4000, signal=40, stages=["prepare"], told=told.append)
    assert told[0] == "prepare: running"
    assert results.config == DimuonConfig.read(tmp_path / "search.toml")
    assert results.json("prepare", "cutflow")["cutflow"]["events read"] == 4000
    assert len(results.pairs("OS")) > 100


def test_yields_are_those_of_the_publication(background):
    mass = background["OS"].mass
    counts = [np.count_nonzero((mass >= lo) & (mass < hi)) for lo, hi in ((5, 9), (9, 10.6))]
    assert counts == pytest.approx([6924, 1595], rel=0.15)
    assert len(background["SS"]) == pytest.approx(0.57 * len(mass), rel=0.1)


def test_the_signal_is_prompt_hard_and_at_the_upsilon(background):
    with_signal = toy_events(80_000, signal=80_000, seed=3)
    assert len(with_signal["SS"]) < 0.01 * len(with_signal["OS"])  # third muons
    signal = with_signal["OS"]
    assert len(signal) == pytest.approx(0.36 * 80_000, rel=0.03)
    assert (~signal.sideband).mean() > 0.97
    for state, share in ((9.460, 0.55), (10.023, 0.27)):
        near = np.abs(signal.mass - state) < 0.15
        assert near.mean() == pytest.approx(share, abs=0.1)
    medians = {k: np.median(v) for k, v in signal.features.items()}
    others = {k: np.median(v) for k, v in background["OS"].features.items()}
    assert medians["dimu_pt"] > 1.15 * others["dimu_pt"]
    for name in ("mu0_ip3d", "mu1_ip3d"):
        assert medians[name] < 0.4 * others[name]


def test_features_change_smoothly_with_mass(background):
    events = background["OS"]
    rho = stats.spearmanr(events.mass, events.features["dimu_pt"]).statistic
    assert 0.03 < rho < 0.5
    inside = ~events.sideband
    near = (events.mass > 8) & (events.mass < 12) & events.sideband
    for values in events.features.values():
        assert stats.ks_2samp(values[inside], values[near]).pvalue > 1e-3


def test_inclusive_excess(background):
    """Nothing without a signal; with one of the published size below two sigma on average."""
    window = CONFIG.window
    found = {}
    for signal in (0, 270):
        counts = [window.count(toy_events(80_000, signal=signal, seed=s)["OS"].mass)
                  for s in range(12)]  # fmt: skip
        left, inside, right = (np.stack([c[i] for c in counts]) for i in range(3))
        found[signal] = significance(left, inside, right, window=window)
    assert np.mean(found[0].S) == pytest.approx(0, abs=4 * 55 / np.sqrt(12))
    assert 1 < np.median(found[270].Z) < 2
    assert np.mean(found[270].S) == pytest.approx(97, abs=4 * 55 / np.sqrt(12))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((100, 101), "signal must not be more than the 100 events, got 101"),
        ((100, -1), "signal must be an integer >= 0, got -1"),
        ((0, 0), "n_events must be an integer >= 1, got 0"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        toy_events(arguments[0], signal=arguments[1])


def test_an_interrupted_search_goes_on(tmp_path, monkeypatch):
    """From the last checkpoint, to the same flows; a damaged one is named."""
    path = write_search(tmp_path / "toys.root", 8000, seed=5)
    text = path.read_text()
    assert "epochs = 50" in text
    path.write_text(text.replace("epochs = 50", "epochs = 3"))
    config = DimuonConfig.read(path)
    whole = run(config, tmp_path / "whole", ["flow"], progress=False)
    monkeypatch.setattr(resumable_training, "_EVERY", -1.0)  # a checkpoint after every epoch
    epoch, done = FlowTraining.train_epoch, []

    def interrupted(self):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(1)
        epoch(self)

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(FlowTraining, "train_epoch", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(config, out, ["flow"], progress=False)
    checkpoint = out / "flow" / "training.pt"
    content = checkpoint.read_bytes()
    checkpoint.write_bytes(content[:1000])
    with pytest.raises(ValueError, match=r"training.pt: is not a checkpoint .* remove it to start"):
        run(config, out, ["flow"], progress=False)
    checkpoint.write_bytes(content)
    resumed = run(config, out, ["flow"], progress=False)
    assert not checkpoint.exists()
    first, second = (r.json("flow", "training") for r in (whole, resumed))
    assert first == second
    assert len(first["flows"]) == 2
    draws = [[f.sample(np.zeros(5), seed=1) for f in r.flows()] for r in (whole, resumed)]
    np.testing.assert_array_equal(*draws)


def test_events_that_nothing_can_be_learned_from(background, tmp_path):
    config = replace(
        CONFIG, flow=FlowSection(preset="fast"), significance=FITS,
        classifier=ClassifierSection(preset="fast", settings={"members": 1, "folds": 50}),
    )  # fmt: skip
    tiny = toy_events(300, seed=1)
    with pytest.raises(ValueError, match=r"background has \d events, fewer than the 50 folds"):
        search_pairs(tiny, config, tmp_path / "tiny")
    nowhere = {name: x[x.sideband] for name, x in toy_events(6000, seed=1).items()}
    with pytest.raises(ValueError, match="OS pairs: no pair has a mass in the signal region"):
        search_pairs(nowhere, config, tmp_path / "nowhere")
    for value, message in ((1.5, "'mu0_ip3d' has the same value 1.5"),
                           (np.nan, "'mu0_ip3d' is not a finite number in any")):  # fmt: skip
        broken = {
            name: replace(x, features=x.features | {"mu0_ip3d": np.full(len(x), value)})
            for name, x in background.items()
        }
        with pytest.raises(ValueError, match=message):
            search_pairs(broken, config, tmp_path / str(value))
