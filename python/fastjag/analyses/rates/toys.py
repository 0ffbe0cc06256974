"""Toy runs whose rates are known."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from fastjag.analyses.rates.config import RatesConfig, SectionWindow, Target
from fastjag.analyses.rates.results import RatesResult
from fastjag.analyses.rates.run import run
from fastjag.analyses.rates.tables import write_csv
from fastjag.core.checks import at_least
from fastjag.reporting.output import results_directory
from fastjag.toys.triggers import write_triggers

#: Hz per unit of pileup.
PER_PILEUP = {"HLT_Photon30EB": 0.41, "HLT_DoubleMu4": 0.09}


def demo(
    out: str | os.PathLike[str], *, seed: int = 1, progress: bool | None = None
) -> RatesResult:
    """Six toy runs with falling pileup and known rates, from files to the prediction."""
    rng = np.random.default_rng(at_least("seed", seed, 0))
    files, windows = [], []
    with results_directory(out) as directory:
        for i, start in enumerate((26.0, 32.0, 36.0, 40.0, 45.0, 52.0)):
            number, n = 400_000 + 10 * i, int(rng.integers(60, 140))
            pileup = start * np.exp(-np.arange(n) / 1500)  # luminosity falls during a run
            path = directory / f"toy-{number}.root"
            write_triggers(path, number, pileup, PER_PILEUP, seed=seed)
            files.append(Path(out) / path.name)
            windows.append(SectionWindow(number, pileup=float(pileup.mean()), bunches=2400))
        write_csv(directory / "windows.csv", windows)
    config = RatesConfig(trigger=tuple(PER_PILEUP), target=Target(pileup=50.0, bunches=2400))
    return run(files, out, config, windows=windows, progress=progress, seed=seed)
