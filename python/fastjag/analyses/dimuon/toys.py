"""Toys of the search: background pairs around the Upsilon, and a signal hidden among them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np

from fastjag import toys
from fastjag.analyses.common.runs import HERE, Workers
from fastjag.analyses.common.tables import write_parquet
from fastjag.analyses.dimuon.check import check
from fastjag.analyses.dimuon.classify import classify
from fastjag.analyses.dimuon.config import (
    ClassifierSection,
    DimuonConfig,
    FlowSection,
    SignificanceSettings,
)
from fastjag.analyses.dimuon.flow import flow
from fastjag.analyses.dimuon.observables import pair_columns
from fastjag.analyses.dimuon.pairs import WindowPairs
from fastjag.analyses.dimuon.prepare import passing_cuts
from fastjag.analyses.dimuon.results import DimuonResults
from fastjag.analyses.dimuon.run import STAGES, run
from fastjag.analyses.dimuon.samples import samples
from fastjag.analyses.dimuon.significance import significance
from fastjag.core.checks import at_least
from fastjag.reporting.output import whole_directory, write_json, write_text
from fastjag.statistics import Window

_TRIGGER = "HLT_TrkMu15_DoubleTrkMu5NoFiltersNoVtx"

#: Cuts, window and features of the published search; its stages small enough for a laptop.
CONFIG = DimuonConfig(
    name="toys",
    files=(),
    window=Window(5, 9, 10.6, 16, sr_edges=12),
    features=("dimu_pt", "mu0_ip3d", "mu1_ip3d"),
    lower={"mu0_iso04": 0.55, "mu1_iso04": 0.55, "mu0_pt": 17, "mu1_pt": 8, _TRIGGER: 1},
    # Preset "fast" is too small for real data: closure tests give areas of 0.53 to 0.62.
    flow=FlowSection(seeds=(1, 2), settings={"epochs": 50, "learning_rate": 5e-3}),
    classifier=ClassifierSection(preset="fast"),
    significance=SignificanceSettings(
        luminosity=8800.0, efficiency=0.2, signal_errors={"luminosity": 0.026, "efficiency": 0.1}
    ),
)

#: One fit of each cut, for studies: no variations, no background-only toys, no limits.
FITS = SignificanceSettings(degrees=(5,), edges=(12,), toys=0, limits=False)

_TOML = """\
# The search in toys: fastjag dimuon run {config} --out results
seed = {c.seed}

[input]
files = ["{file}"]

[analysis_keywords]
name = "{c.name}"
particle = "upsilon"
features = "search"

[analysis_keywords.analysis_cuts.lower]
{cuts}

[window_definitions.upsilon]  # GeV
SB_left = {w.sb_left:g}
SR_left = {w.sr_left:g}
SR_right = {w.sr_right:g}
SB_right = {w.sb_right:g}

[feature_sets]
search = [{features}]

[flow]  # preset = "paper" and seeds = [1, 2, 3, 4, 5] are those of the publication
preset = "{c.flow.preset}"
seeds = {seeds}
settings = {{ {settings} }}  # a quarter of the time of the preset alone

[classifier]  # preset = "paper": ensembles of 100
preset = "{c.classifier.preset}"

[significance]
sr_edges = {w.sr_edges}
luminosity = {c.significance.luminosity:g}  # 1/pb; this and what follows are invented: toys have none
efficiency = {c.significance.efficiency:g}
signal_errors = {{ {errors} }}
"""


def write_search(
    path: str | os.PathLike[str],
    n_events: int,
    *,
    signal: int = 0,
    seed: int = 0,
    progress: bool | None = None,
) -> Path:
    """Write toys to a ROOT file and ``search.toml`` beside it, which is returned.

    ``signal`` of the ``n_events`` events, on average, are Upsilons before any cut; see
    :func:`fastjag.toys.upsilon_search`. Raises FileExistsError where there is another search.toml.
    """
    target = Path(path)
    config = target.with_name("search.toml")
    text = _TOML.format(
        c=CONFIG,
        w=CONFIG.window,
        config=config.name,
        file=target.name,
        cuts="\n".join(f"{column} = {bound:g}" for column, bound in CONFIG.lower.items()),
        features=", ".join(f'"{feature}"' for feature in CONFIG.features),
        seeds=[*CONFIG.flow_seeds],
        errors=", ".join(f"{k} = {v:g}" for k, v in CONFIG.significance.signal_errors.items()),
        settings=", ".join(f"{k} = {v:g}" for k, v in CONFIG.flow.settings.items()),
    )
    if config.exists() and config.read_text(encoding="utf-8") != text:
        raise FileExistsError(f"{config}: holds another search; write the toys into another folder")
    parameters = toys.upsilon_search(_share(n_events, signal))
    target.parent.mkdir(parents=True, exist_ok=True)
    toys.write(target, n_events, seed=seed, parameters=parameters, progress=progress)
    write_text(config, text)
    return config


def demo(
    out: str | os.PathLike[str], n_events: int = 80_000, *, signal: int = 270, seed: int = 1,
    stages: Iterable[str] = STAGES, workers: Workers = HERE,
    told: Callable[[str], None] | None = None,
) -> DimuonResults:  # fmt: skip
    """Toys as many as the published events, some of them Upsilons, and the search of them."""
    with whole_directory(out):
        config = write_search(Path(out) / "toys.root", n_events, signal=signal, seed=seed)
        return run(DimuonConfig.read(config), out, stages, workers=workers, told=told)


def toy_events(
    n_events: int, *, signal: int = 0, seed: int = 0, config: DimuonConfig = CONFIG
) -> dict[str, WindowPairs]:
    """The same toys without a file: "OS" and "SS" events that ``prepare`` would give.

    Cuts, features and window are those of ``config``, which can ask for what muons and triggers
    give, not for jets.
    """
    columns = [c for c in toys.BRANCHES if c.startswith(("Muon_", "HLT_"))]
    parameters = toys.upsilon_search(_share(n_events, signal))
    parts: dict[str, list[WindowPairs]] = {"OS": [], "SS": []}
    for chunk in toys.generate(n_events, seed, parameters, columns):
        muons = chunk["Muon"]
        good = muons[config.muon_id].astype(bool)
        charge, table = pair_columns(muons, None, good, threads=1)
        event = table.pop("event")
        table |= {name: chunk[name][event] for name in columns if name.startswith("HLT_")}
        passing = np.ones(len(charge), bool)
        for passed in passing_cuts(config, table).values():
            passing &= passed
        for name, chosen in (("OS", passing & (charge == 0)), ("SS", passing & (charge != 0))):
            mass = table["dimu_mass"][chosen].astype(np.float64)
            features = {f: table[f][chosen].astype(np.float64) for f in config.features}
            parts[name].append(WindowPairs.select(mass, features, config.window))
    return {name: WindowPairs.concatenate(some) for name, some in parts.items()}


def search_pairs(
    pairs: Mapping[str, WindowPairs], config: DimuonConfig, out: str | os.PathLike[str], *,
    closure: bool = False,
) -> DimuonResults:  # fmt: skip
    """The stages from flow to significance for pairs in memory: for studies of hundreds of toys.

    ``pairs`` are what :func:`toy_events` gives, ``out`` is a folder without results. Without
    ``closure`` the classifiers of the stage "check" are not trained.
    """
    results = DimuonResults(config, Path(out), progress=False, threads=1)
    for charge_class, some in pairs.items():
        path = results.path_of_pairs(charge_class)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_parquet(path, {"dimu_mass": some.mass, **some.features})
    for stage in (flow, samples):
        stage(results)
    if closure:
        check(results)
    else:
        results.folder("check").mkdir()
        write_json(results.folder("check") / "closure.json", {})
    for stage in (classify, significance):
        stage(results)
    return results


def _share(n_events: int, signal: int) -> float:
    at_least("n_events", n_events, 1)
    if at_least("signal", signal, 0) > n_events:
        raise ValueError(f"signal must not be more than the {n_events} events, got {signal}")
    return signal / n_events
